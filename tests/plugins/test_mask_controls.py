"""The negative controls of mask training: matrices that have lost what training put into them."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError
from small_mask_training import attached, by_magnitude, small_network

from srf_pruners.arithmetic import control_weights
from srf_pruners.mask_options import MaskOptions
from srframework import Mask


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(5)


def test_shuffled_has_the_same_rows_in_another_order():
    weight = torch.arange(40.0).reshape(10, 4)
    shuffled = control_weights(weight, "shuffled", generator())
    assert not torch.equal(shuffled, weight)
    assert torch.equal(shuffled[shuffled[:, 0].argsort()], weight)
    assert torch.equal(shuffled, control_weights(weight, "shuffled", generator()))


def test_random_has_the_standard_deviation_of_the_matrix_and_no_entry_of_it():
    weight = torch.arange(10_000.0).reshape(100, 100)  # standard deviation: √((10⁴² - 1) / 12) ≈ 2886.9
    drawn = control_weights(weight, "random", generator())
    assert drawn.std().item() == pytest.approx(2886.9, rel=0.04)
    assert drawn.mean().abs().item() < 4 * 2886.9 / 100
    assert (drawn != weight).all()
    assert drawn.dtype == weight.dtype


@pytest.mark.parametrize("control", ["random", "shuffled"])
@pytest.mark.parametrize("init", ["hard", "soft"])
def test_the_mask_starts_from_the_magnitudes_of_the_control(control, init):
    network, untouched = small_network(), small_network()
    pruner = attached(network, sparsity=0.5, control=control, init=init)
    matrices = {name: network.model.get_submodule(name).parametrizations.weight.original for name in "023"}
    assert pruner.masks() == Mask(by_magnitude(matrices, 0.5))
    assert not torch.equal(matrices["0"], untouched.model[0].weight)
    assert all(torch.equal(network.model[int(name)].bias, untouched.model[int(name)].bias) for name in "023")


def test_parts_that_are_not_pruned_keep_their_weights():
    network, untouched = small_network(), small_network()
    attached(network, control="random", pooler=False)
    assert torch.equal(network.model[2].weight, untouched.model[2].weight)


def test_an_unknown_control_is_refused():
    with pytest.raises(ValidationError, match="'random' or 'shuffled'"):
        MaskOptions.model_validate({"control": "reversed"})
