"""Iterative magnitude pruning: its levels, its prunes, and a run through all of them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from pydantic import ValidationError
from small_context import context
from torch import nn

from srf_pruners.imp import IterativeMagnitudePruning
from srf_pruners.options import ImpOptions, ImpRewindOptions
from srframework import Mask, Network, Phase

LEVELS = (0.2, 0.4, 0.6)


def imp(**options: object) -> IterativeMagnitudePruning:
    return IterativeMagnitudePruning(ImpOptions(**options))


def small_network(*rows: list[float]) -> Network:
    model = nn.Sequential(nn.Linear(len(rows[0]), len(rows)), nn.Linear(len(rows), 1))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor(rows))
    return Network(model, None, {"0": "encoder", "1": "classifier"})


class TestOptions:
    @pytest.mark.parametrize(
        ("options", "levels"),
        [
            ({}, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]),
            ({"sparsity": 0.3}, [0.1, 0.2, 0.3]),
            ({"sparsity": 0.7, "step": 0.7}, [0.7]),
            ({"sparsity": 0.9, "step": 0.3}, [0.3, 0.6, 0.9]),
            ({"sparsity": 0.15, "step": 0.05}, [0.05, 0.1, 0.15]),
        ],
    )
    def test_the_levels_are_the_multiples_of_the_step(self, options, levels):
        assert ImpOptions(**options).reached() == levels

    @pytest.mark.parametrize("options", [{"sparsity": 0.75}, {"sparsity": 0.05}, {"sparsity": 0.5, "step": 0.3}])
    def test_a_sparsity_between_two_levels_is_refused(self, options):
        with pytest.raises(ValidationError, match="a sparsity that is a multiple of step"):
            ImpOptions(**options)

    @pytest.mark.parametrize(
        ("levels", "kept"),
        [
            ("all", [0.1, 0.2, 0.3]),
            ("last", []),
            ([0.3, 0.1, 0.1], [0.1, 0.3]),
            ((0.1 + 0.2,), [0.3]),
        ],
    )
    def test_the_user_chooses_the_levels_that_are_kept(self, levels, kept):
        options = ImpOptions(sparsity=0.3, levels=levels)
        assert [level for level in options.reached() if options.keeps(level)] == kept

    def test_only_the_end_of_the_stage_is_kept_by_default(self):
        assert ImpOptions().levels == ImpRewindOptions().levels == "last"

    @pytest.mark.parametrize("levels", ["none", "", 0.5, True, [], [1], [1.0], [0.0], ["0.5"], [[0.5]], None])
    def test_other_levels_are_refused(self, levels):
        with pytest.raises(ValidationError) as refused:
            ImpOptions(levels=levels)
        (error,) = refused.value.errors()
        assert error["loc"] == ("levels",)
        expected = '"all", "last", or an array of sparsity levels in (0, 1), such as [0.2, 0.5]'
        assert error["msg"] == f"Value error, {expected}"

    @pytest.mark.parametrize(("levels", "first"), [([0.25], "0.25"), ([0.1, 0.8, 0.9], "0.8")])
    def test_a_level_that_is_never_reached_is_refused(self, levels, first):
        with pytest.raises(ValidationError) as refused:
            ImpOptions(sparsity=0.3, levels=levels)
        (error,) = refused.value.errors()
        assert error["msg"] == f"Value error, levels among 0.1, 0.2, 0.3 (got {first})"

    @pytest.mark.parametrize(
        ("key", "value"),
        [("sparsity", 0.0), ("sparsity", 1.0), ("step", 0.0), ("step", 1.0), ("interval", 0.0), ("interval", 1.1)],
    )
    def test_values_out_of_range_are_refused(self, key, value):
        with pytest.raises(ValidationError) as refused:
            ImpOptions(**{key: value})
        assert [error["loc"] for error in refused.value.errors()] == [(key,)]


class TestPhases:
    @pytest.mark.parametrize(
        ("options", "total", "steps"),
        [
            ({"sparsity": 0.2}, 100, 10),
            ({"sparsity": 0.2, "interval": 0.5}, 100, 50),
            ({"sparsity": 0.2}, 36_816, 3682),
            ({"sparsity": 0.2}, 3, 1),
        ],
    )
    def test_each_level_takes_its_share_of_the_steps_without_warmup(self, options, total, steps):
        assert imp(**options).phases(total) == [
            Phase(steps, level=0.1, warmup=False, decay_steps=total, kept=False),
            Phase(steps, level=0.2, warmup=False, decay_steps=total, kept=False),
        ]

    @pytest.mark.parametrize(("levels", "kept"), [("all", [True, True]), ([0.2], [False, True])])
    def test_the_choice_of_levels_is_all_that_it_changes(self, levels, kept):
        plain, chosen = imp(sparsity=0.2).phases(100), imp(sparsity=0.2, levels=levels).phases(100)
        assert [phase.kept for phase in chosen] == kept
        assert [replace(phase, kept=False) for phase in chosen] == plain

    def test_the_rate_may_decay_to_0_within_each_interval(self):
        assert imp(sparsity=0.2, decay="interval", levels="all").phases(100) == [
            Phase(10, level=0.1, warmup=False),
            Phase(10, level=0.2, warmup=False),
        ]

    @pytest.mark.parametrize(
        ("decay", "rates"),
        [("complete", [1.0, 0.95] * 3), ("interval", [1.0, 0.5] * 3)],
    )
    def test_the_learning_rate_restarts_at_each_prune(self, train, make_network, decay, rates):
        pruner = imp(sparsity=0.3, step=0.1, interval=0.1, decay=decay)
        ran = train(pruner, network=make_network(), max_steps=20, learning_rate=1.0, warmup_steps=5)
        assert [rate for _, _, rate in ran.steps] == pytest.approx(rates)

    def test_the_last_level_is_the_result_not_the_best(self):
        assert not imp().keeps_best


class TestPrune:
    def test_it_removes_the_smallest_magnitudes_of_each_matrix(self):
        network = small_network([0.5, -0.1, 0.3, 0.9], [-0.2, 0.7, -0.8, 0.4])
        with torch.no_grad():
            network.model[1].weight.copy_(torch.tensor([[100.0, -200.0]]))
        pruner = imp(sparsity=0.5, step=0.25)
        pruner.attach(network, context())
        assert pruner.masks() == Mask({})
        pruner.begin(Phase(1, level=0.25), step=0)
        assert network.matrices()["0"].tolist() == [
            pytest.approx([0.5, 0.0, 0.3, 0.9]),
            pytest.approx([0.0, 0.7, -0.8, 0.4]),
        ]
        assert network.matrices()["1"].tolist() == [[100.0, -200.0]]
        pruner.begin(Phase(1, level=0.5), step=1)
        assert pruner.masks()["0"].int().tolist() == [[1, 0, 0, 1], [0, 1, 1, 0]]
        assert pruner.masks()["1"].int().tolist() == [[0, 1]]

    def test_globally_it_removes_the_smallest_of_all_matrices_together(self):
        network = small_network([0.5, -0.1, 0.3, 0.9], [-0.2, 0.7, -0.8, 0.4])
        with torch.no_grad():
            network.model[1].weight.copy_(torch.tensor([[0.25, -0.15]]))
        pruner = imp(sparsity=0.6, step=0.3, scope="global")
        pruner.attach(network, context())
        pruner.begin(Phase(1, level=0.3), step=0)
        assert network.matrices()["0"].tolist() == [
            pytest.approx([0.5, 0.0, 0.3, 0.9]),
            pytest.approx([0.0, 0.7, -0.8, 0.4]),
        ]
        assert network.matrices()["1"].tolist() == [[0.25, 0.0]]
        with torch.no_grad():
            network.model[1].weight.copy_(torch.tensor([[0.25, 9.0]]))
        pruner.begin(Phase(1, level=0.6), step=1)
        assert {name: mask.int().tolist() for name, mask in pruner.masks().items()} == {
            "0": [[1, 0, 0, 1], [0, 1, 1, 0]],
            "1": [[0, 0]],
        }

    def test_it_looks_at_the_weights_as_they_are_then_but_never_brings_one_back(self):
        network = small_network([1.0, 2.0, 3.0, 4.0])
        pruner = imp(sparsity=0.5, step=0.25)
        pruner.attach(network, context())
        pruner.begin(Phase(1, level=0.25), step=0)
        with torch.no_grad():
            network.model[0].weight.copy_(torch.tensor([[9.0, 2.0, 3.0, 0.1]]))
        pruner.begin(Phase(1, level=0.5), step=1)
        assert pruner.masks()["0"].int().tolist() == [[0, 1, 1, 0]]

    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            ({}, {"0", "2"}),
            ({"pooler": True}, {"0", "1", "2"}),
            ({"classifier": False}, {"0"}),
        ],
    )
    def test_the_parts_that_the_options_name_are_pruned(self, options, expected):
        model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2))
        pruner = imp(**options)
        pruner.attach(Network(model, None, {"0": "encoder", "1": "pooler", "2": "classifier"}), context())
        pruner.begin(Phase(1, level=0.5), step=0)
        assert set(pruner.masks()) == expected


@pytest.fixture
def ran(train, make_network):
    """Levels of 0.2, 0.4 and 0.6, three steps for each."""
    pruner = imp(sparsity=0.6, step=0.2, interval=0.3, pooler=True, levels="all")
    return train(pruner, network=make_network(), max_steps=10, eval_every=1, weight_decay=0.1, metrics=[0.9, 0.1])


class TestRun:
    def test_every_level_is_kept_after_the_steps_that_follow_its_prune(self, ran):
        assert [(each.step, each.point) for each in ran.checkpoints] == [
            *((3, "0.2"), (6, "0.4"), (9, "0.6")),
            (9, None),
        ]

    def test_every_matrix_of_every_level_has_exactly_its_zeros(self, ran):
        for level, checkpoint in zip(LEVELS, ran.checkpoints, strict=False):
            assert len(checkpoint.mask) == 8
            for name, mask in checkpoint.mask.items():
                assert int((~mask).sum()) == round(level * mask.numel())
                assert torch.equal(checkpoint.weights[f"{name}.weight"] == 0, ~mask)

    def test_each_levels_mask_is_inside_the_one_before(self, ran):
        for before, after in zip(ran.checkpoints, ran.checkpoints[1:], strict=False):
            for name, mask in after.mask.items():
                assert not (mask & ~before.mask[name]).any()
        assert ran.checkpoints[0].mask != ran.checkpoints[1].mask

    def test_kept_weights_are_trained_between_prunes(self, ran):
        first, second = ran.checkpoints[:2]
        for name, mask in second.mask.items():
            key = f"{name}.weight"
            assert (first.weights[key][mask] != second.weights[key][mask]).any()

    def test_each_prune_removes_the_smallest_of_what_the_level_before_left(self, ran):
        for before, after in zip(ran.checkpoints[:2], ran.checkpoints[1:3], strict=True):
            for name, mask in after.mask.items():
                magnitude = before.weights[f"{name}.weight"].abs()
                newly = before.mask[name] & ~mask
                assert magnitude[newly].max() <= magnitude[mask].min()

    def test_the_result_is_the_last_level(self, ran):
        last, final = ran.checkpoints[-2:]
        assert final.mask == last.mask
        assert all(torch.equal(value, last.weights[name]) for name, value in final.weights.items())


def test_only_the_chosen_levels_are_kept_and_evaluated_and_no_bit_changes(train, make_network):
    def run(levels, points_kept=()):
        pruner = imp(sparsity=0.6, step=0.2, interval=0.25, levels=levels)
        network = make_network(dropout=0.1)
        return train(pruner, network=network, max_steps=12, eval_every=100, points_kept=points_kept)

    found = {}
    for levels in ("all", "last", (0.4,)):
        found[levels] = ran = run(levels)
        kept = {"all": [(3, "0.2"), (6, "0.4"), (9, "0.6")], "last": [], (0.4,): [(6, "0.4")]}[levels]
        assert [(each.step, each.point) for each in ran.checkpoints] == [*kept, (9, None)]
        assert ran.evaluated == list(dict.fromkeys([*(step for step, _ in kept), 9]))
    for ran in found.values():
        assert ran.steps == found["all"].steps
        assert ran.final.mask == found["all"].final.mask
        assert all(torch.equal(each, found["all"].final.weights[name]) for name, each in ran.final.weights.items())
    (middle,) = [each for each in found["all"].checkpoints if each.point == "0.4"]
    for ran in (found[0.4,], run("last", ["0.4"])):  # chosen by the user; needed by another stage
        assert ran.checkpoints[0].mask == middle.mask
        assert all(torch.equal(each, middle.weights[name]) for name, each in ran.checkpoints[0].weights.items())
