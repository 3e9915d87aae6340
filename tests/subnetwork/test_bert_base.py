"""Artifacts and locks at the sizes of BERT-base, with random weights."""

from __future__ import annotations

import copy

import pytest
import torch
from safetensors.torch import load_file
from small_subnetwork import random_mask, weights_of
from transformers import AutoModelForSequenceClassification, BertConfig, BertForSequenceClassification

import srframework
from srframework.subnetwork.artifact import Subnetwork
from srframework.subnetwork.base import BaseModel
from srframework.subnetwork.coding import bound
from srframework.subnetwork.writing import Content, write_artifact

pytestmark = pytest.mark.slow

ENTRIES = 12 * (4 * 768 * 768 + 2 * 768 * 3072)
"""Entries of the matrices of the 12 layers."""


@pytest.fixture(scope="module")
def dense():
    torch.manual_seed(0)
    return BertForSequenceClassification(BertConfig(num_labels=3)).eval()


def logits(model) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(input_ids=torch.arange(1000, 1064).reshape(2, 32)).logits


@pytest.mark.parametrize("sparsity", [0.5, 0.7, 0.9])
def test_the_size_is_that_of_the_bits_and_the_values(dense, sparsity, tmp_path, record_property):
    """The masks are random: no code can use any pattern in them."""
    model, mask = copy.deepcopy(dense), random_mask(dense, sparsity)
    mask.apply_(model)
    weights, config = weights_of(model), model.config.to_dict()
    assert mask.entries == ENTRIES
    write_artifact(Content(weights, [mask], config), tmp_path / "own")
    write_artifact(Content(weights, [mask], config, BaseModel("dense", None, weights_of(dense))), tmp_path / "on-base")
    kept, other = mask.entries - mask.pruned, sum(each.numel() for each in weights.values()) - ENTRIES
    own = sum(path.stat().st_size for path in (tmp_path / "own").iterdir())
    assert own == pytest.approx(ENTRIES / 8 + 4 * (kept + other), rel=0.05)
    of_mask = sum(path.stat().st_size for path in (tmp_path / "on-base").iterdir())
    least = bound(ENTRIES, kept)
    assert of_mask <= 1.1 * least
    record_property("dense, packed bits, bound, mask, own", (4 * (ENTRIES + other), ENTRIES / 8, least, of_mask, own))
    print(f"{sparsity}: {4 * (ENTRIES + other)=} {ENTRIES / 8=} {least=:.0f} {of_mask=} {own=}")
    own_loaded = srframework.load_subnetwork(tmp_path / "own")
    assert torch.equal(logits(own_loaded), logits(model))
    assert torch.equal(logits(srframework.load_subnetwork(tmp_path / "on-base", base=dense)), logits(model))
    assert Subnetwork(tmp_path / "on-base").mask() == mask


def test_three_levels_are_one_map(dense, tmp_path):
    model, masks = copy.deepcopy(dense), [random_mask(dense, 0.5)]
    masks.append(masks[-1] & random_mask(dense, 0.4, 1))
    masks.append(masks[-1] & random_mask(dense, 2 / 3, 2))
    masks[-1].apply_(model)
    content = Content(weights_of(model), masks, model.config.to_dict(), BaseModel("dense", None, weights_of(dense)))
    write_artifact(content, tmp_path / "levels")
    size = sum(each.numel() for each in load_file(tmp_path / "levels/subnetwork.safetensors").values())
    # 50, 70 and 90 %: 1 bit for each entry, H(0.4) of the half that is left, H(2/3) of the 30 % that are left.
    assert size <= 1.02 * ENTRIES / 8 * (1 + 0.5 * 0.97095 + 0.3 * 0.91830)
    assert [Subnetwork(tmp_path / "levels").mask(level) for level in (0.5, 0.7, 0.9)] == masks


def test_fifty_steps_of_adamw_leave_pruned_entries_at_0(dense, tmp_path):
    mask = random_mask(dense, 0.7)
    model = srframework.lock(copy.deepcopy(dense), mask).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.1)
    for step in range(50):
        optimizer.zero_grad()
        ids = torch.arange(step, step + 8).reshape(2, 4)
        model(input_ids=ids, labels=torch.tensor([step % 3, 1])).loss.backward()
        optimizer.step()
    model.save_pretrained(tmp_path / "saved")
    plain, loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path / "saved", output_loading_info=True)
    assert not loaded["missing_keys"]
    assert not loaded["unexpected_keys"]
    for each in (model, plain):
        assert not any(each.get_submodule(name).weight[~kept].any() for name, kept in mask.items())
    assert not torch.equal(model.classifier.weight, dense.classifier.weight)
