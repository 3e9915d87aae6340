"""The prunable matrices of each family of sequence classifiers, on tiny random models."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
import torch
from small_families import DISENTANGLED, FAMILIES, SIZES, save, tiny
from transformers import AutoModelForSequenceClassification

from srf_backbones.options import EncoderOptions
from srf_backbones.structure import find_structure
from srf_pruners.imp import IterativeMagnitudePruning
from srf_pruners.mask import MaskTraining
from srf_pruners.mask_options import MaskOptions
from srf_pruners.options import ImpOptions
from srframework import BackboneError, Component, Network, Phase, keep_highest
from srframework.testing import check_component, context
from srframework.training.gradients import one_per_example


@pytest.mark.parametrize("family", FAMILIES)
def test_each_matrix_has_the_part_of_its_role(family):
    known = FAMILIES[family]
    model = tiny(known.kind, known.sizes)
    parts = find_structure(model).prunable
    assert Counter(parts.values()) == Counter(encoder=known.layers, pooler=len(known.poolers), classifier=1)
    assert [name for name, part in parts.items() if part == "pooler"] == list(known.poolers)
    assert sum(matrix.numel() for matrix in Network(model, None, parts).matrices(["encoder"]).values()) == known.entries
    assert list(parts.values())[-1] == "classifier"
    assert not any("embed" in name for name in parts)


def test_the_row_blocks_of_fused_matrices_are_found():
    blocks = find_structure(tiny("modernbert", FAMILIES["modernbert"].sizes)).blocks
    assert blocks["model.layers.0.attn.Wqkv"] == (16, 16, 16)
    assert blocks["model.layers.1.mlp.Wi"] == (32, 32)
    assert len(blocks) == 4


@pytest.mark.parametrize("family", FAMILIES)
def test_imp_prunes_half_of_each_matrix_or_block_and_plain_transformers_loads_the_model(family, tmp_path):
    model = tiny(FAMILIES[family].kind, FAMILIES[family].sizes).eval()
    structure = find_structure(model)
    network = Network(model, None, structure.prunable, structure.blocks)
    pruner = IterativeMagnitudePruning(ImpOptions(sparsity=0.5, step=0.5))
    pruner.attach(network, context(steps=1))
    pruner.begin(Phase(1, level=0.5), 0)
    for name, weight in network.counted().items():
        for block in torch.split(weight, list(network.blocks.get(name, [len(weight)]))):
            assert int((block == 0).sum()) == block.numel() / 2, name
    model.save_pretrained(tmp_path)
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    texts = {"input_ids": torch.tensor([[5, 6, 7, 2], [5, 8, 2, 0]])}
    texts["attention_mask"] = (texts["input_ids"] != 0).long()
    with torch.no_grad():
        assert torch.equal(model(**texts).logits, loaded(**texts).logits)


def test_a_fused_matrix_is_ranked_by_block_with_local_scope_and_as_one_with_global_scope():
    scores = {"qkv": torch.tensor([[1.0, 2.0], [3.0, 4.0]])}
    blocks = {"qkv": (1, 1)}
    assert keep_highest(scores, 0.5, "local", None, blocks)["qkv"].tolist() == [[False, True], [False, True]]
    assert keep_highest(scores, 0.5, "global", None, blocks)["qkv"].tolist() == [[False, False], [True, True]]
    remaining = {"qkv": torch.tensor([[True, False], [True, True]])}
    assert keep_highest(scores, 0.5, "local", remaining, blocks)["qkv"].tolist() == [[True, False], [False, True]]


@pytest.mark.parametrize("init", ["hard", "soft"])
def test_mask_training_prunes_half_of_each_row_block_with_local_scope(init):
    model = tiny("modernbert", FAMILIES["modernbert"].sizes)
    structure = find_structure(model)
    pruner = MaskTraining(MaskOptions(sparsity=0.5, init=init))
    pruner.attach(Network(model, None, structure.prunable, structure.blocks), context(steps=1))
    for step in (0, 1):
        for name, rows in structure.blocks.items():
            for block in torch.split(pruner.masks()[name], list(rows)):
                assert int((~block).sum()) == block.numel() / 2, name
        (group,) = pruner.parameter_groups()
        for scores in group.parameters:
            scores.data.uniform_(generator=torch.Generator().manual_seed(step))
        pruner.update_mask(1)


def test_a_shared_matrix_is_returned_once_by_its_first_name():
    model = tiny("bert", SIZES)
    layers = model.bert.encoder.layer
    layers[1].output.dense.weight = layers[0].output.dense.weight
    names = list(Network(model, None, find_structure(model).prunable).matrices(["encoder"]))
    assert len(names) == 11
    assert "bert.encoder.layer.0.output.dense" in names


def test_mobilebert_is_refused_with_the_reason():
    sizes = SIZES | {"embedding_size": 16, "intra_bottleneck_size": 8, "true_hidden_size": 8}
    with pytest.raises(BackboneError, match="MobileBertModel cannot be pruned: each of its layers has bottlenecks"):
        find_structure(tiny("mobilebert", sizes))


def test_unknown_layers_are_compared_with_the_nearest_pattern():
    with pytest.raises(BackboneError) as caught:
        find_structure(tiny("deberta", DISENTANGLED))
    message = str(caught.value)
    assert "6 linear modules a layer, as in the nearest pattern (BERT, RoBERTa, ALBERT," in message
    assert "but of other shapes or in another order: expected dxd, dxd, dxd, dxd, fxd, dxf, got" in message
    assert "got attention.self.in_proj 48x16, attention.self.pos_proj 16x16," in message


@pytest.mark.parametrize("family", FAMILIES)
def test_each_family_is_documented(family):
    page = Path(__file__).parents[2] / "docs" / "plugins" / "backbone.md"
    rows = re.findall(r"^\| (.*?) \|", page.read_text("utf-8"), re.MULTILINE)
    names = [name.lower().replace(" ", "-") for row in rows for name in row.split(", ")]
    assert family.removesuffix("-groups") in names


@pytest.mark.long
@pytest.mark.parametrize("family", FAMILIES)
def test_a_checkpoint_of_each_family_conforms(family):
    checkpoint = Component(
        name=family,
        options=EncoderOptions,
        factory="srf_backbones.encoder:HuggingFaceEncoder",
        summary="A checkpoint.",
        source="srframework",
        example=lambda folder: {"path": str(save(FAMILIES[family], folder / "model"))},
    )
    results = list(check_component(checkpoint, "backbone"))
    assert [(each.check.name, each.reason) for each in results if each.outcome == "failed"] == []


@pytest.mark.parametrize("left", [False, True], ids=["right-padded", "left-padded"])
@pytest.mark.parametrize("family", [*FAMILIES, "eurobert-late"])
def test_the_hidden_state_of_each_example_gives_its_logits(family, left):
    known = FAMILIES[family.removesuffix("-late")]
    model = tiny(known.kind, known.sizes | ({"classifier_pooling": "late"} if family.endswith("late") else {})).eval()
    last = model.get_submodule(list(find_structure(model).prunable)[-1])
    seen = []
    last.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    ids = torch.tensor([[5, 6, 7, 9], [0, 0, 5, 8] if left else [5, 8, 0, 0]])
    batch = {"input_ids": ids, "attention_mask": (ids != 0).long()}
    with torch.no_grad():
        logits = model(**batch).logits
        hidden = one_per_example(model, seen[0], batch)
        assert hidden.shape == (2, 16)
        torch.testing.assert_close(last(hidden), logits)
