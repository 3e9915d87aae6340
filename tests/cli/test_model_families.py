"""A run on each family of models: exact counts of zeros, and saved models that plain transformers loads."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from small_families import FAMILIES, GROUPED, SIZES, Family, save
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from srf_backbones.structure import find_structure
from srframework import Mask

RECIPE = """
name = "families"
schema = 1
backbone = { use = "encoder", path = "model" }
training = { batch_size = 8, max_steps = 2, learning_rate = 1e-3 }

[dataset]
use = "pairs"
labels = ["no", "yes", "maybe"]
features = "none"
train.path = "train.tsv"
dev.path = "dev.tsv"
ood.other.path = "dev.tsv"

[[stages]]
name = "full"
op = "train"
loss = "std"

[[stages]]
name = "mask"
op = "prune"
weights = "full"
pruner = { use = "mask", sparsity = 0.5, pooler = true }
loss = "std"

[[stages]]
name = "imp"
op = "prune"
weights = "full"
pruner = { use = "imp", sparsity = 0.5, step = 0.25 }
loss = "std"
"""

CLASSIFIER = 3 * 16
ANIMALS = (
    "the owl",
    "surely the fox",
    "perhaps the happy bear",
    "hare",
    "the calm and tall wolf",
    "a duck 狐",
    "goats",
)


def rows(count: int) -> list[tuple[str, str, str]]:
    """Pairs of texts of different lengths, with a label."""
    return [
        (
            f"{ANIMALS[i % 7]} is {'very ' * (i % 5)}tall",
            f"{ANIMALS[i * 3 % 7]} is short",
            ("no", "yes", "maybe")[i % 3],
        )
        for i in range(count)
    ]


def write(path: Path, examples: list[tuple[str, str, str]]) -> None:
    path.write_text("\n".join(["sentence1\tsentence2\tlabel", *map("\t".join, examples)]) + "\n", encoding="utf-8")


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(family, marks=[pytest.mark.long] * (family not in ("modernbert", "qwen3"))) for family in FAMILIES
    ],
)
def finished(request, tmp_path_factory, perform) -> tuple[str, Path]:
    """The name of a family, and the run of the recipe on its model."""
    home = tmp_path_factory.mktemp(request.param)
    save(FAMILIES[request.param], home / "model", initializer_range=0.3)
    write(home / "train.tsv", rows(24))
    write(home / "dev.tsv", rows(21))
    (home / "recipe.toml").write_text(RECIPE)
    done = perform("run", "recipe.toml", "--out", "out", cwd=home)
    assert done.code == 0, done.err
    return request.param, home / "out"


@pytest.mark.parametrize("stage", ["mask", "imp"])
def test_half_of_the_counted_entries_of_each_matrix_are_zeros(finished, stage):
    family, out = finished
    place = out / "stages" / stage
    model = AutoModelForSequenceClassification.from_pretrained(place / "model")
    mask = Mask.load(place / "mask.safetensors")
    zeros = entries = 0
    for name, kept in mask.items():
        weight = model.get_submodule(name).weight
        assert torch.equal(weight != 0, kept), name
        assert int((weight == 0).sum()) == weight.numel() / 2, name
        if name not in FAMILIES[family].poolers:
            zeros, entries = zeros + int((weight == 0).sum()), entries + weight.numel()
    for name, rows_of_blocks in find_structure(model).blocks.items():
        for block in torch.split(model.get_submodule(name).weight, list(rows_of_blocks)):
            assert int((block == 0).sum()) == block.numel() / 2, name
    assert entries == FAMILIES[family].entries + CLASSIFIER
    assert zeros == entries / 2
    assert json.loads((place / "figures.json").read_text())["final"]["sparsity"] == 0.5


@pytest.mark.parametrize("stage", ["full", "mask", "imp"])
def test_plain_transformers_gives_the_saved_predictions(finished, stage):
    place = finished[1] / "stages" / stage
    saved = load_file(place / "predictions" / "dev.safetensors")
    model = AutoModelForSequenceClassification.from_pretrained(place / "model")
    tokenizer = AutoTokenizer.from_pretrained(place / "model")
    first, second, _ = map(list, zip(*rows(21), strict=True))
    batch = tokenizer(first, second, padding=True, return_tensors="pt")
    with torch.no_grad():
        logits = model.eval()(**batch).logits.numpy()
    assert not batch["attention_mask"].all()
    assert logits.std(axis=0).min() > 0.01
    np.testing.assert_allclose(logits, saved["logits"], atol=1e-5, rtol=0)
    assert np.array_equal(logits.argmax(1), saved["predicted"])


@pytest.mark.parametrize(
    ("kind", "sizes", "reason"),
    [
        (
            "mobilebert",
            SIZES | {"embedding_size": 16, "intra_bottleneck_size": 8, "true_hidden_size": 8},
            "MobileBertModel cannot be pruned: each of its layers has bottlenecks and several feed-forward layers",
        ),
        (
            "phi3",
            GROUPED,
            "Phi3Model cannot be pruned: 4 linear modules a layer, as in the nearest pattern (ModernBERT), but of "
            "other shapes or in another order: expected 3dxd, dxd, 2fxd, dxf, "
            "got self_attn.o_proj 16x16, self_attn.qkv_proj 32x16, mlp.gate_up_proj 64x16, mlp.down_proj 16x32",
        ),
        (
            "longformer",
            SIZES,
            "LongformerModel cannot be pruned: 9 linear modules a layer where the nearest pattern (DeBERTa v2 with two "
            "position projections) has 8: expected dxd, dxd,",
        ),
    ],
)
def test_an_unknown_structure_is_refused_with_the_difference(tmp_path, perform, kind, sizes, reason):
    save(Family(kind, sizes, layers=0, entries=0), tmp_path / "model")
    (tmp_path / "recipe.toml").write_text(RECIPE)
    for name in ("train", "dev"):
        write(tmp_path / f"{name}.tsv", rows(9))
    done = perform("run", "recipe.toml", "--out", "out", cwd=tmp_path)
    assert done.code == 1
    assert reason in " ".join(done.err.split())
    assert not (tmp_path / "out").exists()
