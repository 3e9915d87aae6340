"""Row blocks of fused matrices must fit the matrices."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from srframework import Network, PluginError, keep_highest
from srframework.registry.return_checks import _network


def checked(blocks: object) -> Network:
    model = nn.Sequential(nn.Linear(4, 6))
    return _network(Network(model, lambda text: text, {"0": "encoder"}, blocks), "backbone 'x' of zoo 1", "load()")


def test_blocks_that_add_up_to_the_rows_are_accepted():
    assert checked({"0": (3, 2, 1)}).blocks == {"0": (3, 2, 1)}


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        (None, "a Network whose blocks is a mapping"),
        ({"1": (6,)}, r"blocks of prunable modules \(got '1': \(6,\)\)"),
        ({"0": (3, 2)}, r"blocks of at least 1 row each, 6 in total as the module has \(got '0': \(3, 2\)\)"),
        ({"0": (7, -1)}, r"6 in total as the module has \(got '0': \(7, -1\)\)"),
        ({"0": (6, 0)}, r"got '0': \(6, 0\)"),
        ({"0": (3.0, 3.0)}, r"got '0': \(3.0, 3.0\)"),
        ({"0": 6}, r"got '0': 6"),
        ({"0": ()}, r"got '0': \(\)"),
    ],
)
def test_other_blocks_are_the_plugins_fault(blocks, message):
    with pytest.raises(PluginError, match=message) as refused:
        checked(blocks)
    assert str(refused.value).startswith("backbone 'x' of zoo 1: its load() must return ")


@pytest.mark.parametrize("rows", [(4,), (3, 0), ()])
def test_blocks_that_do_not_fit_a_matrix_are_refused(rows):
    expected = r"blocks of 'a': expected at least 1 row each, 3 in total, got \["
    with pytest.raises(ValueError, match=expected):
        keep_highest({"a": torch.rand(3, 2)}, 0.5, blocks={"a": rows})
