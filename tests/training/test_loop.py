"""The training loop."""

from __future__ import annotations

import gc
import math
import re
import weakref
from dataclasses import dataclass, field
from itertools import chain
from typing import ClassVar

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from torch.optim.optimizer import register_optimizer_step_pre_hook
from transformers import RobertaConfig, RobertaForSequenceClassification

from srf_debiasers.losses import Standard
from srf_debiasers.options import NoOptions
from srf_pruners.imp import IterativeMagnitudePruning
from srf_pruners.mask import MaskTraining
from srf_pruners.options import ImpOptions, MaskOptions
from srframework.contracts import LossInputs, Network, Phase
from srframework.errors import SRFrameworkError
from srframework.fixed_mask import FixedMask
from srframework.masks import Mask
from srframework.run.prediction import predict
from srframework.training.events import KeptModel
from srframework.training.options import TrainingOptions, optimizer_steps


class Recording(Standard):
    """Cross-entropy that notes what it is given; ``examples`` are the numbers of the examples, batch by batch."""

    def __init__(self) -> None:
        super().__init__(NoOptions())
        self.inputs: list[LossInputs] = []
        self.losses: list[float] = []

    def loss(self, inputs: LossInputs) -> torch.Tensor:
        loss = super().loss(inputs)
        self.inputs.append(inputs)
        self.losses.append(loss.item())
        return loss

    @property
    def examples(self) -> list[list[int]]:
        return [[int(row[0]) for row in inputs.bias_log_probs] for inputs in self.inputs]


class Phased(FixedMask):
    """Trains in the phases that it is given, and notes when they begin."""

    def __init__(self, *phases: Phase, keeps_best: bool = True) -> None:
        super().__init__()
        self.given, self.keeps_best = phases, keeps_best
        self.calls: list[str] = []

    def phases(self, total_steps: int) -> tuple[Phase, ...]:
        return self.given

    def begin(self, phase: Phase, step: int) -> None:
        self.calls.append(f"begin at {step}")

    def before_step(self, step: int) -> None:
        self.calls.append(f"before {step}")

    def after_step(self, step: int) -> None:
        self.calls.append(f"after {step}")

    def update_mask(self, step: int) -> None:
        self.calls.append(f"update_mask {step}")


@dataclass
class Optimized:
    """What every optimizer was about to do, step by step."""

    rates: list[float] = field(default_factory=list)
    gradients: list[list[torch.Tensor]] = field(default_factory=list)
    fresh: list[bool] = field(default_factory=list)
    alive: weakref.WeakSet[torch.optim.Optimizer] = field(default_factory=weakref.WeakSet)

    def __call__(self, optimizer: torch.optim.Optimizer, args: object, kwargs: object) -> None:
        (group,) = optimizer.param_groups
        self.rates.append(group["lr"])
        self.gradients.append([each.grad.detach().clone().cpu() for each in group["params"] if each.grad is not None])
        self.fresh.append(not optimizer.state)
        self.alive.add(optimizer)


@pytest.fixture
def optimized():
    seen = Optimized()
    handle = register_optimizer_step_pre_hook(seen)
    yield seen
    handle.remove()


def some_mask(network, sparsity: float = 0.5) -> Mask:
    draw = torch.Generator().manual_seed(7)
    return Mask({name: torch.rand(w.shape, generator=draw) >= sparsity for name, w in network.matrices().items()})


PRUNERS = {
    "dense": lambda _: FixedMask(),
    "fixed mask": lambda network: FixedMask(mask=some_mask(network)),
    "mask training": lambda _: MaskTraining(MaskOptions(sparsity=0.7)),
    "imp": lambda _: IterativeMagnitudePruning(ImpOptions(sparsity=0.4, step=0.2, interval=0.5)),
}
every_pruner = pytest.mark.parametrize("pruner_name", PRUNERS)


def assert_same_bits(one: KeptModel, other: KeptModel) -> None:
    assert one.step == other.step
    assert one.mask == other.mask
    assert one.weights.keys() == other.weights.keys()
    for name, value in one.weights.items():
        assert torch.equal(value, other.weights[name]), name


class TestSteps:
    @pytest.mark.parametrize(
        ("examples", "processes", "options", "expected"),
        [
            (10, 1, {"epochs": 1, "batch_size": 5}, 2),
            (11, 1, {"epochs": 1, "batch_size": 5}, 3),
            (11, 1, {"epochs": 3, "batch_size": 5}, 9),
            (1, 1, {"epochs": 2, "batch_size": 32}, 2),
            (11, 2, {"epochs": 3, "batch_size": 5}, 6),
            (20, 1, {"epochs": 3, "batch_size": 5, "gradient_accumulation": 4}, 3),
            (25, 1, {"epochs": 3, "batch_size": 5, "gradient_accumulation": 4}, 6),
            (392_702, 1, {}, 36_816),
            (392_702, 1, {"max_steps": 7}, 7),
            (3, 4, {"max_steps": 7, "epochs": 9, "gradient_accumulation": 2}, 7),
        ],
    )
    def test_they_are_those_of_the_epochs_unless_given(self, examples, processes, options, expected):
        assert optimizer_steps(TrainingOptions(**options), examples, processes) == expected

    def test_a_stage_takes_them(self, train, make_examples):
        ran = train(examples=make_examples(10), max_steps=None, epochs=2, batch_size=4)
        assert [step for step, _, _ in ran.steps] == [1, 2, 3, 4, 5, 6]


class TestBatches:
    @pytest.mark.parametrize("grouped", [False, True], ids=["random", "grouped by length"])
    def test_every_epoch_has_every_example_once_in_an_order_of_its_own(self, train, make_examples, grouped):
        loss = Recording()
        train(debiaser=loss, examples=make_examples(10), max_steps=9, group_by_length=grouped)
        assert [len(batch) for batch in loss.examples] == [4, 4, 2] * 3
        epochs = [list(chain(*loss.examples[start : start + 3])) for start in (0, 3, 6)]
        assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
        assert len({tuple(epoch) for epoch in epochs}) == 3

    @pytest.mark.parametrize("grouped", [False, True], ids=["random", "grouped by length"])
    def test_the_order_is_a_function_of_the_seed_alone(self, train, make_network, grouped):
        def order(seed: int, **settings) -> list[list[int]]:
            loss = Recording()
            train(debiaser=loss, max_steps=13, seed=seed, group_by_length=grouped, **settings)
            return loss.examples

        reference = order(1)
        assert (
            order(1, network=make_network(dropout=0.3), pruner=MaskTraining(MaskOptions()), eval_every=2) == reference
        )
        assert order(2) != reference

    def test_grouping_puts_like_lengths_together(self, train, make_examples):
        examples = make_examples(96)

        def spread(grouped: bool) -> int:
            loss = Recording()
            train(debiaser=loss, examples=examples, max_steps=24, group_by_length=grouped)
            lengths = [[examples[index]["length"] for index in batch] for batch in loss.examples]
            return sum(max(batch) - min(batch) for batch in lengths)

        assert 2 * spread(grouped=True) < spread(grouped=False)

    def test_labels_and_bias_stay_with_their_example(self, train):
        loss = Recording()
        train(debiaser=loss)
        for inputs in loss.inputs:
            assert inputs.bias_log_probs.dtype == torch.float32
            assert inputs.labels.dtype == torch.int64
            assert torch.equal(inputs.labels, inputs.bias_log_probs[:, 0].long() % 3)
            assert torch.equal(inputs.bias_log_probs[:, 1:], torch.zeros_like(inputs.bias_log_probs[:, 1:]))

    def test_a_training_set_without_bias_gives_the_loss_none(self, train, make_examples):
        loss = Recording()
        train(debiaser=loss, examples=make_examples(8).remove_columns("bias_log_probs"), max_steps=1)
        assert loss.inputs[0].bias_log_probs is None


class TestPhases:
    def test_the_pruner_is_called_in_the_order_of_its_contract(self, train):
        pruner = Phased(Phase(2), Phase(1))
        train(pruner=pruner)
        assert pruner.calls == [
            *("begin at 0", "before 0", "after 1", "before 1", "after 2", "update_mask 2"),
            *("begin at 2", "before 2", "after 3", "update_mask 3"),
        ]

    def test_optimizer_and_schedule_begin_anew(self, train, optimized):
        train(pruner=Phased(Phase(4), Phase(2, warmup=False)), learning_rate=1.0, warmup_steps=2)
        assert optimized.rates == pytest.approx([0.0, 0.5, 1.0, 0.5, 1.0, 0.5])
        assert optimized.fresh == [True, False, False, False, True, False]

    def test_no_more_than_one_optimizer_outlives_them(self, train, optimized):
        train(pruner=Phased(Phase(1), Phase(1), Phase(1), Phase(1)))
        gc.collect()
        assert len(optimized.alive) <= 1

    def test_the_model_does_not_outlive_the_training(self, train, make_network):
        network = make_network()
        model = weakref.ref(network.model)
        train(network=network)
        del network
        gc.collect()
        assert model() is None

    def test_a_level_is_kept_at_the_end_of_its_phase_and_the_result_comes_last(self, train):
        pruner = Phased(Phase(2, level=0.25), Phase(1), Phase(3, level=0.5), keeps_best=False)
        ran = train(pruner=pruner, eval_every=100)
        assert [(each.step, each.point) for each in ran.checkpoints] == [(2, "0.25"), (6, "0.5"), (6, None)]
        assert ran.evaluated == [2, 3, 6]

    def test_a_phase_without_steps_is_pruned_and_its_level_kept(self, train, optimized):
        pruner = Phased(Phase(0, level=0.1), Phase(2, level=0.2), Phase(0, level=0.3), Phase(0), keeps_best=False)
        ran = train(pruner=pruner)
        assert [(each.step, each.point) for each in ran.checkpoints] == [(0, "0.1"), (2, "0.2"), (2, "0.3"), (2, None)]
        assert pruner.calls == [
            *("begin at 0", "update_mask 0"),
            *("begin at 0", "before 0", "after 1", "before 1", "after 2", "update_mask 2"),
            *("begin at 2", "update_mask 2", "begin at 2", "update_mask 2"),
        ]
        assert optimized.rates == pytest.approx([1e-2, 0.5e-2])
        assert ran.evaluated == [2]

    def test_without_any_step_the_result_is_what_was_there(self, train, make_network):
        loss = Recording()
        ran = train(pruner=Phased(Phase(0, level=0.5), Phase(0)), debiaser=loss)
        assert (ran.final.step, loss.losses, ran.steps, ran.evaluated) == (0, [], [], [])
        for name, value in make_network().model.state_dict().items():
            assert torch.equal(ran.final.weights[name], value), name

    def test_the_loss_is_the_mean_since_the_last_call(self, train):
        loss = Recording()
        ran = train(debiaser=loss, max_steps=7, log_every=3)
        means = [sum(loss.losses[start:end]) / (end - start) for start, end in ((0, 3), (3, 6), (6, 7))]
        assert [step for step, _, _ in ran.steps] == [3, 6, 7]
        assert [mean for _, mean, _ in ran.steps] == pytest.approx(means, rel=1e-6)

    @pytest.mark.parametrize("pruner_name", ["dense", "fixed mask", "imp"])
    def test_training_lowers_the_loss(self, train, make_network, make_examples, pruner_name):
        network = make_network()
        ran = train(PRUNERS[pruner_name](network), network=network, examples=make_examples(3), max_steps=50)
        assert ran.steps[-1][1] < 0.5 * ran.steps[0][1]

    def test_evaluations_come_at_the_interval_and_at_the_end(self, train):
        assert train(max_steps=7, eval_every=3).evaluated == [3, 6, 7]
        assert train(max_steps=6, eval_every=3).evaluated == [3, 6]


class TestBest:
    @pytest.mark.parametrize(
        ("metrics", "options", "expected"),
        [
            ([0.1, 0.5, 0.3, 0.4, 0.2], {}, 2),
            ([0.1, 0.2, 0.3, 0.4, 0.5], {}, 5),
            ([0.5, 0.1, 0.5, 0.5, 0.5], {}, 1),
            ([0.0, 0.0, 0.0, 0.0, 0.0], {}, 1),
            ([0.9, 0.1, 0.1, 0.3, 0.2], {"best_after": 0.6}, 4),
            ([0.9, 0.8, 0.7, 0.3, 0.2], {"best_after": 0.6}, 3),
            ([0.9, 0.8, 0.7, 0.3, 0.2], {"best_after": 0.61}, 4),
            ([0.9, 0.8, 0.7, 0.3, 0.3], {"best_after": 0.7}, 4),
            ([0.9, 0.8, 0.7, 0.3, 0.2], {"best_after": 1.0}, 5),
            ([0.9, 0.8, 0.7, 0.3, 0.2], {"best_after": 0.0}, 1),
            ([0.9, 0.1, 0.1, 0.1, 0.1], {"keep": "last"}, 5),
        ],
    )
    def test_the_result_is_the_first_of_the_best_among_those_that_count(self, train, metrics, options, expected):
        ran = train(metrics=metrics, max_steps=5, eval_every=1, **options)
        assert (ran.final.step, ran.final.point) == (expected, None)
        assert len(ran.checkpoints) == 1

    def test_a_step_exactly_at_the_share_counts(self, train):
        assert 0.28 * 25 > 7
        ran = train(metrics=[0.9, 0.1, 0.1, 0.1], max_steps=25, eval_every=7, best_after=0.28, batch_size=1)
        assert ran.final.step == 7

    def test_a_pruner_that_does_not_keep_the_best_ends_with_the_last(self, train):
        pruner = Phased(Phase(2), Phase(2), keeps_best=False)
        assert train(pruner=pruner, metrics=[0.9, 0.1, 0.1, 0.1], eval_every=1).final.step == 4

    @pytest.mark.parametrize(("complete_from", "expected"), [(1, 1), (3, 4), (5, 5), (6, 5)])
    def test_a_checkpoint_counts_only_once_the_pruner_is_complete(self, train, complete_from, expected):
        pruner = Phased(Phase(5))
        pruner.complete = lambda step: step >= complete_from
        assert train(pruner=pruner, metrics=[0.9, 0.8, 0.2, 0.4, 0.3], eval_every=1).final.step == expected

    def test_a_share_and_completeness_both_gate(self, train):
        pruner = Phased(Phase(5))
        pruner.complete = lambda step: step != 4
        ran = train(pruner=pruner, metrics=[0.9, 0.8, 0.2, 0.4, 0.3], max_steps=5, eval_every=1, best_after=0.6)
        assert ran.final.step == 5

    def test_where_nothing_counts_the_last_is_the_result(self, train):
        assert train(pruner=Phased(Phase(2)), metrics=[0.9], max_steps=10, best_after=0.5).final.step == 2

    @every_pruner
    def test_its_weights_are_those_of_its_step(self, train, make_network, pruner_name):
        network = make_network()
        pruner = PRUNERS[pruner_name](network)
        ran = train(pruner, network=network, metrics=[0.1, 0.9, 0.2], eval_every=2, steps_kept=[4, 6])
        kept = {each.point: each for each in ran.checkpoints}
        assert ran.final.step == (4 if pruner.keeps_best else 6)
        assert_same_bits(ran.final, kept[str(ran.final.step)])
        assert not torch.equal(kept["4"].weights["classifier.weight"], kept["6"].weights["classifier.weight"]) or (
            kept["4"].mask != kept["6"].mask
        )


class TestCheckpoints:
    @every_pruner
    def test_pruned_weights_are_exactly_plus_zero_and_the_model_loads_them(self, train, make_network, pruner_name):
        network = make_network()
        ran = train(PRUNERS[pruner_name](network), network=network, weight_decay=0.1, steps_kept=[2, 3], eval_every=2)
        assert len(ran.checkpoints) >= 3
        for checkpoint in ran.checkpoints:
            for name, matrix in checkpoint.mask.items():
                pruned = checkpoint.weights[f"{name}.weight"][~matrix]
                assert (pruned == 0).all()
                assert not torch.signbit(pruned).any()
            make_network().model.load_state_dict(checkpoint.weights, strict=True)

    @every_pruner
    def test_the_saved_model_predicts_what_the_trained_one_does(self, train, make_network, make_examples, pruner_name):
        network, examples = make_network(), make_examples(8)
        ran = train(PRUNERS[pruner_name](network), network=network, examples=examples, keep="last")
        loaded = make_network()
        loaded.model.load_state_dict(ran.final.weights)
        tokens, accelerator = examples.remove_columns("bias_log_probs"), Accelerator()
        trained, saved = (
            predict(each.model.to(accelerator.device), tokens, each.tokenizer, accelerator, batch_size=3)
            for each in (ran.network, loaded)
        )
        assert (trained == saved).all()

    def test_a_checkpoint_does_not_change_with_the_training(self, train):
        copies = []

        def copy(checkpoint: KeptModel) -> None:
            copies.append({name: value.clone() for name, value in checkpoint.weights.items()})

        ran = train(steps_kept=[1, 2], on_checkpoint=copy)
        for checkpoint, then in zip(ran.checkpoints, copies, strict=True):
            assert all(torch.equal(value, then[name]) for name, value in checkpoint.weights.items())
        assert not torch.equal(copies[0]["classifier.weight"], copies[1]["classifier.weight"])

    @every_pruner
    def test_that_a_step_is_kept_changes_no_bit_of_what_follows(self, train, make_network, pruner_name):
        def run(steps_kept):
            network = make_network(dropout=0.1)
            pruner = PRUNERS[pruner_name](network)
            return train(pruner, network=network, max_steps=12, eval_every=5, keep="last", steps_kept=steps_kept)

        plain, kept = run([]), run([1, 2, 3, 5, 7, 8, 12])
        points = [each.point for each in kept.checkpoints if each.point and "." not in each.point]
        assert points == ["1", "2", "3", "5", "7", "8", "12"]
        assert_same_bits(plain.final, kept.final)
        assert plain.steps == kept.steps

    def test_a_step_kept_between_two_refreshes_is_exactly_as_sparse_as_after_one(self, train):
        pruner = MaskTraining(MaskOptions(sparsity=0.7))
        drifted = []
        pruner.after_step = lambda _: drifted.append(pruner.masks().pruned)
        ran = train(pruner, max_steps=6, eval_every=100, steps_kept=[1, 2, 3, 4, 5])
        for checkpoint in ran.checkpoints:
            for matrix in checkpoint.mask.values():
                assert int((~matrix).sum()) == round(0.7 * matrix.numel())
        assert set(drifted) != {ran.final.mask.pruned}

    @every_pruner
    def test_two_runs_of_a_seed_give_the_same_bits_and_another_seed_gives_others(
        self, train, make_network, pruner_name
    ):
        def run(seed: int):
            network = make_network(dropout=0.1)
            return train(PRUNERS[pruner_name](network), network=network, seed=seed, group_by_length=True)

        one, other = run(1), run(1)
        assert_same_bits(one.final, other.final)
        assert one.steps == other.steps
        assert run(2).steps != one.steps

    def test_how_often_a_model_is_evaluated_does_not_change_its_training(self, train, make_network):
        runs = [train(network=make_network(dropout=0.1), eval_every=every, keep="last") for every in (1, 100)]
        assert_same_bits(runs[0].final, runs[1].final)


class Unclipped(FixedMask):
    """Notes the gradients as they are before they are clipped."""

    def __init__(self, mask: Mask | None = None) -> None:
        super().__init__(mask=mask)
        self.gradients: list[torch.Tensor] = []

    def before_step(self, step: int) -> None:
        super().before_step(step)
        self.gradients = [each.grad.clone().cpu() for each in self.parameters() if each.grad is not None]


def norm(tensors: list[torch.Tensor]) -> float:
    return math.sqrt(sum(each.double().square().sum().item() for each in tensors))


class TestGradients:
    def clipped(self, train, optimized, **options) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        pruner = Unclipped()
        train(pruner, max_steps=1, **options)
        return pruner.gradients, optimized.gradients[0]

    @pytest.mark.parametrize("limit", [0.01, 0.2])
    def test_a_global_clip_scales_all_gradients_alike(self, train, optimized, limit):
        raw, clipped = self.clipped(train, optimized, max_grad_norm=limit)
        assert norm(raw) > limit
        assert norm(clipped) == pytest.approx(limit, rel=1e-4)
        for before, after in zip(raw, clipped, strict=True):
            torch.testing.assert_close(after, before * (limit / norm(raw)), rtol=1e-4, atol=1e-9)

    def test_a_clip_per_tensor_scales_each_by_its_own_norm(self, train, optimized):
        limit = 0.05
        raw, clipped = self.clipped(train, optimized, max_grad_norm=limit, clip="per-tensor")
        norms = [norm([each]) for each in raw]
        assert min(norms) < limit < max(norms)
        for before, after, length in zip(raw, clipped, norms, strict=True):
            torch.testing.assert_close(after, before * min(1.0, limit / (length + 1e-6)), rtol=1e-4, atol=1e-9)

    @pytest.mark.parametrize("clip", ["global", "per-tensor"])
    @pytest.mark.parametrize("limit", [0.0, 1e9])
    def test_a_norm_of_zero_or_a_large_one_does_not_clip(self, train, optimized, clip, limit):
        raw, clipped = self.clipped(train, optimized, max_grad_norm=limit, clip=clip)
        assert all(torch.equal(before, after) for before, after in zip(raw, clipped, strict=True))

    def test_the_optimizer_sees_gradients_of_exactly_zero_for_pruned_entries(self, train, make_network, optimized):
        network = make_network()
        mask = some_mask(network)
        pruner = FixedMask(mask=mask)
        train(pruner, network=network, weight_decay=0.1)
        names = [name for name, _ in network.model.named_parameters()]
        for gradients in optimized.gradients:
            by_name = dict(zip(names, gradients, strict=True))
            assert all((by_name[f"{name}.weight"][~matrix] == 0).all() for name, matrix in mask.items())

    def test_every_step_has_the_gradients_of_its_own_batch(self, train, make_examples, optimized):
        options = {"batch_size": 8, "max_steps": 3, "learning_rate": 1e-12, "max_grad_norm": 0.0}
        train(examples=make_examples(8), **options)
        first, *others = optimized.gradients
        for gradients in others:
            for one, other in zip(first, gradients, strict=True):
                torch.testing.assert_close(other, one, rtol=1e-3, atol=1e-6)

    def test_accumulated_gradients_are_those_of_the_bigger_batch(self, train, optimized):
        whole = train(batch_size=8, max_steps=3, max_grad_norm=0.0, learning_rate=1e-3)
        parts = train(batch_size=2, gradient_accumulation=4, max_steps=3, max_grad_norm=0.0, learning_rate=1e-3)
        assert len(optimized.gradients) == 6
        for big, small in zip(optimized.gradients[0], optimized.gradients[3], strict=True):
            torch.testing.assert_close(small, big, rtol=1e-4, atol=1e-7)
        assert [loss for _, loss, _ in parts.steps] == pytest.approx([loss for _, loss, _ in whole.steps], rel=1e-3)

    def test_the_learning_rate_warms_up_and_falls_to_zero(self, train, optimized):
        train(max_steps=6, warmup_steps=2, learning_rate=1.0)
        assert optimized.rates == pytest.approx([0, 0.5, 1.0, 0.75, 0.5, 0.25])

    def test_the_optimizer_is_adamw_with_the_options_given(self, train, make_network):
        network = make_network()
        before = {name: value.clone() for name, value in network.model.state_dict().items()}
        pruner = Unclipped()
        options = {"learning_rate": 0.1, "weight_decay": 0.2, "adam_epsilon": 0.01, "max_grad_norm": 0.0}
        ran = train(pruner, network=network, max_steps=1, **options)
        names = [name for name, _ in network.model.named_parameters()]
        for name, gradient in zip(names, pruner.gradients, strict=True):
            expected = before[name] * (1 - 0.1 * 0.2) - 0.1 * gradient / (gradient.abs() + 0.01)
            torch.testing.assert_close(ran.final.weights[name], expected, rtol=1e-4, atol=1e-6)


class Scaled(Standard):
    """Cross-entropy, times a number."""

    def __init__(self, factor: float) -> None:
        super().__init__(NoOptions())
        self.factor = factor

    def loss(self, inputs: LossInputs) -> torch.Tensor:
        return super().loss(inputs) * self.factor


class Watched(Phased):
    """Notes the gradients of every step."""

    def __init__(self, *phases: Phase) -> None:
        super().__init__(*phases, keeps_best=False)
        self.gradients: list[list[np.ndarray]] = []

    def before_step(self, step: int) -> None:
        self.gradients.append([each.grad.double().cpu().numpy().copy() for each in self.parameters()])


def adamw(weights: list[np.ndarray], gradients: list[list[np.ndarray]], rates: list[float], epsilon: float) -> None:
    """The authors' AdamW: ε joins the root of the second moment before that is corrected."""
    first, second = ([np.zeros_like(weight) for weight in weights] for _ in range(2))
    for t, (rate, step) in enumerate(zip(rates, gradients, strict=True), 1):
        for w, m, v, g in zip(weights, first, second, step, strict=True):
            m *= 0.9
            m += 0.1 * g
            v *= 0.999
            v += 0.001 * g**2
            w -= rate * math.sqrt(1 - 0.999**t) / (1 - 0.9**t) * m / (np.sqrt(v) + epsilon)


class TestEpsilon:
    """Gradients are about as large as ε, so that where ε is added decides."""

    OPTIONS: ClassVar[dict[str, float]] = {"learning_rate": 0.3, "adam_epsilon": 1e-6, "max_grad_norm": 0.0}

    def run(self, train, make_network, uncorrected: bool):
        network, pruner = make_network(), Watched(Phase(3), Phase(3))
        names = [name for name, _ in network.model.named_parameters()]
        before = [each.detach().double().numpy().copy() for each in network.model.parameters()]
        ran = train(pruner, Scaled(1e-6), network=network, adam_epsilon_uncorrected=uncorrected, **self.OPTIONS)
        return before, pruner.gradients, [ran.final.weights[name].double().numpy() for name in names]

    def test_it_is_added_before_the_correction_and_the_count_restarts_with_each_phase(self, train, make_network):
        weights, gradients, trained = self.run(train, make_network, uncorrected=True)
        start = [weight.copy() for weight in weights]
        rates = [0.3, 0.2, 0.1]
        adamw(weights, gradients[:3], rates, epsilon=1e-6)
        adamw(weights, gradients[3:], rates, epsilon=1e-6)
        assert max(np.abs(weight - old).max() for weight, old in zip(weights, start, strict=True)) > 1e-3
        for weight, got in zip(weights, trained, strict=True):
            np.testing.assert_allclose(got, weight, rtol=1e-6, atol=1e-6)

    def test_without_the_option_it_is_pytorchs(self, train, make_network):
        weights, gradients, trained = self.run(train, make_network, uncorrected=False)
        adamw(weights, gradients[:3], [0.3, 0.2, 0.1], epsilon=1e-6)
        adamw(weights, gradients[3:], [0.3, 0.2, 0.1], epsilon=1e-6)
        assert max(np.abs(got - weight).max() for weight, got in zip(weights, trained, strict=True)) > 1e-2


class Learned(Recording):
    """Cross-entropy, and the square of how far a number of its own is from 3; the weights of ``network`` tell its h."""

    def __init__(self, network=None) -> None:
        super().__init__()
        self.network, self.attached, self.values, self.apart = network, [], [], []

    def attach(self, hidden_size: int) -> None:
        self.attached.append(hidden_size)
        self.own = torch.nn.Parameter(torch.zeros(()))

    def parameters(self) -> list[torch.nn.Parameter]:
        return [self.own]

    def loss(self, inputs: LossInputs) -> torch.Tensor:
        self.values.append(self.own.item())
        if self.network is not None:
            last = [m for m in self.network.model.modules() if isinstance(m, torch.nn.Linear)][-1]
            self.apart.append((last(inputs.hidden) - inputs.logits).abs().max().item())
        return super().loss(inputs) + (self.own - 3).square().to(inputs.logits.device)


class TestWhatTheLossIsGiven:
    def test_progress_is_the_share_of_all_steps_that_are_done(self, train):
        loss = Recording()
        train(pruner=Phased(Phase(2), Phase(0, level=0.5), Phase(3)), debiaser=loss, gradient_accumulation=2)
        assert [inputs.progress for inputs in loss.inputs] == pytest.approx(
            [share for step in range(5) for share in [step / 5] * 2], abs=1e-12
        )

    def test_hidden_is_what_the_last_layer_of_the_classifier_is_given(self, train, make_network):
        network = make_network(dropout=0.3)
        loss = Learned(network)
        train(debiaser=loss, network=network, eval_every=1)
        assert loss.attached == [16]
        assert [inputs.hidden.shape for inputs in loss.inputs] == [(4, 16)] * 6
        assert max(loss.apart) < 1e-6
        assert all(inputs.hidden.requires_grad for inputs in loss.inputs)

    def test_of_a_classifier_of_two_layers_it_is_the_last(self, train, make_network):
        config = RobertaConfig(
            vocab_size=600, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8, num_labels=3
        )
        model = RobertaForSequenceClassification(config)
        prunable = {"classifier.dense": "classifier", "classifier.out_proj": "classifier"}
        network = Network(model, make_network().tokenizer, prunable)
        loss = Learned(network)
        train(debiaser=loss, network=network, max_steps=2)
        assert max(loss.apart) < 1e-6

    def test_hidden_is_single_whatever_the_precision(self, train):
        loss = Recording()
        train(debiaser=loss, precision="bf16", max_steps=1)
        assert loss.inputs[0].hidden.dtype == torch.float32

    def test_of_a_model_without_a_classifier_that_is_known_there_is_none(self, train, make_network):
        network = make_network()
        loss = Learned()
        encoder = {name: part for name, part in network.prunable.items() if part == "encoder"}
        train(debiaser=loss, network=Network(network.model, network.tokenizer, encoder), max_steps=1)
        assert loss.attached == [0]
        assert loss.inputs[0].hidden is None

    def test_a_teachers_log_probabilities_stay_with_their_example(self, train, make_examples):
        loss = Recording()
        taught = make_examples(8).rename_column("bias_log_probs", "teacher_log_probs")
        train(debiaser=loss, examples=taught, max_steps=2)
        for inputs in loss.inputs:
            assert inputs.bias_log_probs is None
            assert inputs.teacher_log_probs.dtype == torch.float32
            assert torch.equal(inputs.labels, inputs.teacher_log_probs[:, 0].long() % 3)

    def test_a_parameter_of_the_loss_is_trained_along_with_the_model(self, train, optimized):
        loss = Learned()
        plain = train(max_steps=6, max_grad_norm=0.0)
        ran = train(debiaser=loss, max_steps=6, max_grad_norm=0.0)
        assert loss.attached == [16]
        assert loss.values[:2] == pytest.approx([0.0, 1e-2], rel=1e-4)  # a first step of Adam is as long as its rate
        assert loss.values == sorted(loss.values)
        assert {len(gradients) for gradients in optimized.gradients[6:]} == {len(optimized.gradients[0]) + 1}
        assert_same_bits(plain.final, ran.final)

    def test_it_begins_anew_with_the_stage_and_goes_on_from_phase_to_phase(self, train):
        loss = Learned()
        train(pruner=Phased(Phase(2), Phase(2)), debiaser=loss, max_grad_norm=0.0)
        train(pruner=Phased(Phase(1)), debiaser=loss, max_grad_norm=0.0)
        assert (loss.values[0], loss.values[4]) == (0.0, 0.0)
        assert loss.values[:4] == sorted(set(loss.values[:4]))

    def test_its_gradient_counts_in_the_norm_that_is_clipped(self, train, optimized):
        train(debiaser=Learned(), max_steps=1, max_grad_norm=0.5)
        (gradients,) = optimized.gradients
        assert norm(gradients) == pytest.approx(0.5, rel=1e-4)
        assert gradients[-1].item() < -0.4


class TestPrecision:
    @every_pruner
    def test_bf16_trains_in_bf16_and_keeps_weights_and_loss_in_fp32(self, train, make_network, pruner_name):
        def run(precision: str):
            network, loss = make_network(), Recording()
            ran = train(PRUNERS[pruner_name](network), network=network, debiaser=loss, precision=precision)
            assert {value.dtype for value in ran.final.weights.values()} == {torch.float32}
            return loss

        full_loss, half_loss = run("fp32"), run("bf16")
        assert {inputs.logits.dtype for inputs in half_loss.inputs} == {torch.float32}
        assert torch.equal(half_loss.inputs[0].logits, half_loss.inputs[0].logits.bfloat16().float())
        assert not torch.equal(full_loss.inputs[0].logits, full_loss.inputs[0].logits.bfloat16().float())
        assert half_loss.losses[0] == pytest.approx(full_loss.losses[0], rel=0.05)
        assert all(math.isfinite(loss) for loss in half_loss.losses)


class Breaking(Standard):
    """Cross-entropy that gives ``value`` at batch ``at``, from 1."""

    def __init__(self, value: float, at: int) -> None:
        super().__init__(NoOptions())
        self.value, self.left = value, at

    def loss(self, inputs: LossInputs) -> torch.Tensor:
        self.left -= 1
        return super().loss(inputs) * (1.0 if self.left else self.value)


class TestFailure:
    @pytest.mark.parametrize(
        ("value", "log_every", "step"), [(math.nan, 1, 2), (math.inf, 1, 2), (math.nan, 3, 3), (math.nan, 100, 6)]
    )
    def test_a_loss_that_is_no_finite_number_is_a_sentence(self, train, value, log_every, step):
        with pytest.raises(SRFrameworkError) as failed:
            train(debiaser=Breaking(value, at=2), log_every=log_every, learning_rate=0.02, max_grad_norm=2.5)
        assert type(failed.value) is SRFrameworkError
        assert str(failed.value) == (
            f"the loss is {value} at step {step}; expected a finite number "
            "(learning_rate is 0.02, max_grad_norm 2.5; a lower learning rate is the usual remedy)"
        )

    def test_a_level_that_ends_in_a_bad_loss_is_not_kept(self, train):
        kept = []
        with pytest.raises(SRFrameworkError, match="at step 4"):
            train(
                pruner=Phased(Phase(2, level=0.1), Phase(2, level=0.2)),
                debiaser=Breaking(math.nan, at=4),
                log_every=100,
                on_checkpoint=lambda checkpoint: kept.append(checkpoint.point),
            )
        assert kept == ["0.1"]

    def test_a_mask_that_does_not_fit_the_model_stops_the_stage(self, train):
        with pytest.raises(ValueError, match="no matrix 'decoder'"):
            train(pruner=FixedMask(mask=Mask({"decoder": torch.ones(2, 2, dtype=torch.bool)})))


class TestWhatIsNotFinite:
    """The true cause is named; a learning rate only where weights and first losses were finite."""

    @pytest.fixture
    def told(self, train):
        def run(**settings) -> str:
            with pytest.raises(SRFrameworkError) as caught:
                train(**settings)
            return str(caught.value)

        return run

    @pytest.mark.parametrize("value", [math.nan, math.inf])
    def test_weights_at_the_start(self, told, make_network, value):
        network = make_network()
        network.model.bert.pooler.dense.weight.data[0, 0] = value
        message = told(network=network)
        assert message.startswith("expected finite weights at the start of the stage, got ")
        assert "in bert.pooler.dense.weight (1 of its 256 entries" in message
        assert "learning" not in message

    @pytest.mark.parametrize("value", [math.nan, -math.inf])
    @pytest.mark.parametrize(("column", "whose"), [("bias_log_probs", "bias model"), ("teacher_log_probs", "teacher")])
    def test_what_a_loss_is_told_of_the_examples(self, told, make_examples, column, whose, value):
        class Told(Standard):
            def loss(self, inputs):
                return super().loss(inputs) + getattr(inputs, column).mean()

        rows = [[0.0, 0.0, value if index == 3 else 0.0] for index in range(24)]
        examples = make_examples(24).remove_columns("bias_log_probs").add_column(column, rows)
        message = told(debiaser=Told(NoOptions()), examples=examples, max_steps=12)
        assert re.match(
            r"the loss is -?(nan|inf) at step (\d+); expected a finite number "
            rf"\(the {whose} gives log-probabilities that "
            r"are not finite for the examples of step \2\)$",
            message,
        )

    @pytest.mark.parametrize("accumulated", [1, 2])
    def test_a_loss_that_is_not_finite_at_once(self, told, accumulated):
        class Broken(Standard):
            def loss(self, inputs):
                return super().loss(inputs) * math.nan

        message = told(debiaser=Broken(NoOptions()), gradient_accumulation=accumulated)
        assert message == (
            "the loss is nan at step 1; expected a finite number "
            "(at step 1 the loss, Broken, makes it of finite logits)"
        )

    def test_a_model_that_is_not_finite_at_once(self, told, make_network):
        network = make_network()
        network.model.bert.encoder.layer[0].output.LayerNorm.weight.data.fill_(3e38)
        assert told(network=network).endswith(
            "(at step 1 the model itself gives logits that are not finite, from finite weights)"
        )

    def test_a_training_that_diverges(self, told):
        message = told(learning_rate=1e30, max_grad_norm=0)
        assert re.match(
            r"the loss is -?(nan|inf) at step [2-6]; expected a finite number \(learning_rate is 1e\+30, ", message
        )

    def test_a_loss_that_is_not_finite_later_is_no_fault_of_the_data(self, told, make_examples):
        class Later(Standard):
            def loss(self, inputs):
                return super().loss(inputs) * (math.nan if inputs.progress > 0.3 else 1.0)

        message = told(debiaser=Later(NoOptions()), examples=make_examples(24))
        assert message.endswith("a lower learning rate is the usual remedy)")

    def test_weights_that_the_last_step_made_so_are_not_kept(self, told):
        class Lopsided(Standard):
            """A finite loss whose gradient is none."""

            def loss(self, inputs):
                return super().loss(inputs) + 0 * inputs.logits.sum().sub(inputs.logits.sum().detach()).sqrt()

        message = told(debiaser=Lopsided(NoOptions()), max_steps=1, max_grad_norm=0)
        assert message.startswith("expected finite weights after step 1, got NaN in ")
