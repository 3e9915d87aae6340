"""The training loop."""

from __future__ import annotations

import gc
import weakref
from itertools import chain

import pytest
import torch
from accelerate import Accelerator
from small_training import PRUNERS, Phased, Recording, assert_same_bits, every_pruner

from srf_pruners.mask import MaskTraining
from srf_pruners.mask_options import MaskOptions
from srframework.contracts import Phase
from srframework.fixed_mask import ScoringPruner
from srframework.run.prediction import predict
from srframework.training.chosen import Chosen
from srframework.training.events import KeptModel
from srframework.training.options import TrainingOptions, optimizer_steps


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

    def test_a_schedule_may_decay_over_more_steps_than_its_phase_has(self, train, optimized):
        phases = Phase(3, warmup=False, decay_steps=10), Phase(3, decay_steps=5), Phase(1)
        train(pruner=Phased(*phases), learning_rate=1.0, warmup_steps=1)
        assert optimized.rates == pytest.approx([1.0, 0.9, 0.8, 0.0, 1.0, 0.75, 0.0])

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

    @pytest.mark.parametrize(("metrics", "expected"), [([2.0, 0.5, 0.7, 0.5], 2), ([-1.0, 3.0, -4.0, 0.0], 3)])
    def test_the_lowest_is_the_best_of_a_metric_that_is_better_when_lower(self, train, metrics, expected):
        ran = train(metrics=metrics, max_steps=4, eval_every=1, better="lower")
        assert ran.final.step == expected

    def test_a_step_exactly_at_the_share_counts(self, train):
        assert 0.28 * 25 > 7
        ran = train(metrics=[0.9, 0.1, 0.1, 0.1], max_steps=25, eval_every=7, best_after=0.28, batch_size=1)
        assert ran.final.step == 7

    def test_a_pruner_that_does_not_keep_the_best_ends_with_the_last(self, train):
        pruner = Phased(Phase(2), Phase(2), keeps_best=False)
        assert train(pruner=pruner, metrics=[0.9, 0.1, 0.1, 0.1], eval_every=1).final.step == 4

    @pytest.mark.parametrize(("first", "expected"), [(1, 2), (2, 4), (3, 4), (4, 5)])
    def test_only_a_checkpoint_of_the_last_phase_counts(self, train, first, expected):
        pruner = Phased(Phase(first), Phase(5 - first))
        ran = train(pruner=pruner, metrics=[0.9, 0.8, 0.2, 0.4, 0.3], eval_every=1)
        assert (ran.final.step, ran.chosen.candidates) == (expected, 5 - first)

    @pytest.mark.parametrize(
        ("options", "chosen"),
        [
            ({}, Chosen(2, 5, 5, 5)),
            ({"best_after": 0.5}, Chosen(4, 5, 5, 3)),
            ({"best_after": 0.7}, Chosen(4, 5, 5, 2)),
            ({"eval_every": 2}, Chosen(2, 5, 5, 3)),
            ({"keep": "last"}, Chosen(5, 5, 5, 0)),
        ],
    )
    def test_how_it_was_chosen_is_known(self, train, options, chosen):
        given = {"max_steps": 5, "eval_every": 1} | options
        by_step = [0.1, 0.9, 0.2, 0.7, 0.3]
        metrics = [by_step[min(step, 5) - 1] for step in range(given["eval_every"], 7, given["eval_every"])]
        assert train(metrics=metrics, **given).chosen == chosen

    def test_where_nothing_counts_the_last_is_the_result(self, train):
        assert train(pruner=Phased(Phase(2)), metrics=[0.9], max_steps=10, best_after=0.5).final.step == 2

    @every_pruner
    def test_its_weights_are_those_of_its_step(self, train, make_network, pruner_name):
        network = make_network()
        pruner = PRUNERS[pruner_name](network)
        ran = train(pruner, network=network, metrics=[0.1, 0.9, 0.2], eval_every=2, points_kept=[4, 6])
        kept = {each.point: each for each in ran.checkpoints}
        assert ran.final.step == (4 if pruner.keeps_best else 6)
        assert_same_bits(ran.final, kept[str(ran.final.step)])
        assert not torch.equal(kept["4"].weights["classifier.weight"], kept["6"].weights["classifier.weight"]) or (
            kept["4"].mask != kept["6"].mask
        )


GRADUAL = {"sparsity": 0.75, "schedule": "cubic", "init": "soft", "initial_sparsity": 0.25}


class Sparser(ScoringPruner):
    """Magnitude pruning whose sparsity rises by 0.1 with each step; what it prunes, it sets to 0 for good."""

    def scores(self, weights):
        return {name: weight.abs() for name, weight in weights.items()}

    def update_mask(self, step):
        self.hold(self.pruned_to(0.1 * step))


class TestProjection:
    """A candidate of a schedule that rises has the mask of the final sparsity."""

    def test_the_metric_of_the_projected_model_decides(self, train):
        # Step by step: the metric of the model, and that of its projection; at the end they are one.
        metrics = [0.9, 0.1, 0.9, 0.5, 0.9, 0.3, 0.9, 0.4, 0.2]
        ran = train(MaskTraining(MaskOptions(**GRADUAL)), metrics=metrics, max_steps=5, eval_every=1)
        assert ran.chosen == Chosen(step=2, steps=5, planned=5, candidates=5)
        for name, matrix in ran.final.mask.items():
            assert int((~matrix).sum()) == round(0.75 * matrix.numel()), name

    def test_it_keeps_the_highest_scores_of_its_step(self, train):
        pruner, scores = MaskTraining(MaskOptions(**GRADUAL)), {}

        def note(model):
            step = len(ran_at)
            scores[step] = {name: masked.scores.detach().clone() for name, masked in pruner._masked.items()}
            return 0.9 if step == 2 else 0.1

        ran_at = []
        after_step = pruner.after_step
        pruner.after_step = lambda step: (ran_at.append(step), after_step(step))
        ran = train(pruner, measure=note, max_steps=4, eval_every=1)
        assert ran.final.step == 2
        for name, matrix in ran.final.mask.items():
            kept = matrix.numel() - round(0.75 * matrix.numel())
            highest = scores[2][name].flatten().topk(kept).indices
            assert set(matrix.flatten().nonzero().flatten().tolist()) == set(highest.tolist())

    @pytest.mark.parametrize("share", [0.0, 0.7])
    def test_a_rising_schedule_has_as_many_candidates_as_a_fixed_one(self, train, share):
        counts = [
            train(MaskTraining(MaskOptions(**options)), max_steps=10, eval_every=2, best_after=share).chosen.candidates
            for options in ({"sparsity": 0.75}, GRADUAL)
        ]
        assert counts == ([5, 5] if share == 0 else [2, 2])  # 8 and 10

    def test_before_the_share_nothing_is_projected(self, train):
        measured = []
        pruner = MaskTraining(MaskOptions(**GRADUAL))

        def measure(_model):
            measured.append(pruner.masks().sparsity)
            return 0.0

        train(pruner, measure=measure, max_steps=4, eval_every=1, best_after=0.75)
        expected = [0.75 - 0.5 * (1 - step / 4) ** 3 for step in (1, 2, 3)]
        assert measured == pytest.approx([*expected, 0.75, 0.75], abs=0.01)

    @pytest.mark.parametrize("make", [lambda: MaskTraining(MaskOptions(**GRADUAL)), lambda: Sparser(None)])
    def test_the_training_continues_from_the_model_that_is_not_projected(self, train, make_network, make):
        def run(keep):
            pruner = make()
            pruner.phases = lambda _: [Phase(6, level=0.5)]  # prunes at the updates only
            pruner.begin = lambda _phase, _step: None
            return train(pruner, network=make_network(dropout=0.1), eval_every=2, keep=keep, points_kept=[1, 3, 5, 6])

        best, last = run("best"), run("last")
        assert best.chosen.candidates == 3
        assert best.steps == last.steps
        for one, other in zip(best.checkpoints[:-1], last.checkpoints[:-1], strict=True):
            assert_same_bits(one, other)


class TestPatience:
    @pytest.mark.parametrize(
        ("metrics", "options", "chosen"),
        [
            ([0.1, 0.5, 0.4, 0.5, 0.9, 0.9], {"patience": 2}, Chosen(2, 4, 6, 4)),
            ([0.1, 0.5, 0.4, 0.5, 0.9, 0.9], {"patience": 3}, Chosen(5, 6, 6, 6)),
            ([0.1, 0.5, 0.4, 0.6, 0.5, 0.9], {"patience": 1}, Chosen(2, 3, 6, 3)),
            ([0.5, 0.4, 0.3, 0.2, 0.1, 0.0], {"patience": 6}, Chosen(1, 6, 6, 6)),
            ([0.9, 0.1, 0.2, 0.1, 0.1, 0.1], {"patience": 2, "best_after": 0.5}, Chosen(3, 5, 6, 3)),
            ([0.1, 0.5, 0.4, 0.4, 0.9, 0.9], {"patience": 2, "keep": "last"}, Chosen(4, 4, 6, 0)),
            ([0.9, 0.5, 0.6, 0.5, 0.1, 0.1], {"patience": 2, "better": "lower"}, Chosen(2, 4, 6, 4)),
        ],
    )
    def test_it_stops_after_that_many_evaluations_that_are_not_better(self, train, metrics, options, chosen):
        ran = train(metrics=metrics, eval_every=1, **options)
        assert ran.chosen == chosen
        assert ran.final.step == chosen.step
        assert ran.evaluated == list(range(1, chosen.steps + 1))

    def test_until_then_the_bits_are_those_of_a_training_without_it(self, train, make_network):
        def run(**options):
            network = make_network(dropout=0.1)
            return train(network=network, metrics=[0.1, 0.9], eval_every=2, max_steps=12, points_kept=[6], **options)

        stopped, whole = run(patience=2), run()
        assert (stopped.chosen.steps, whole.chosen.steps) == (8, 12)
        assert stopped.steps == whole.steps[:8]
        assert_same_bits(stopped.checkpoints[0], whole.checkpoints[0])
        assert_same_bits(stopped.final, whole.final)


class TestCheckpoints:
    @every_pruner
    def test_pruned_weights_are_exactly_plus_zero_and_the_model_loads_them(self, train, make_network, pruner_name):
        network = make_network()
        ran = train(PRUNERS[pruner_name](network), network=network, weight_decay=0.1, points_kept=[2, 3], eval_every=2)
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

        ran = train(points_kept=[1, 2], on_checkpoint=copy)
        for checkpoint, then in zip(ran.checkpoints, copies, strict=True):
            assert all(torch.equal(value, then[name]) for name, value in checkpoint.weights.items())
        assert not torch.equal(copies[0]["classifier.weight"], copies[1]["classifier.weight"])

    @every_pruner
    def test_that_a_step_is_kept_changes_no_bit_of_what_follows(self, train, make_network, pruner_name):
        def run(points_kept):
            network = make_network(dropout=0.1)
            pruner = PRUNERS[pruner_name](network)
            return train(pruner, network=network, max_steps=12, eval_every=5, keep="last", points_kept=points_kept)

        plain, kept = run([]), run([1, 2, 3, 5, 7, 8, 12])
        points = [each.point for each in kept.checkpoints if each.point and "." not in each.point]
        assert points == ["1", "2", "3", "5", "7", "8", "12"]
        assert_same_bits(plain.final, kept.final)
        assert plain.steps == kept.steps

    def test_a_step_kept_between_two_refreshes_is_exactly_as_sparse_as_after_one(self, train):
        pruner = MaskTraining(MaskOptions(sparsity=0.7))
        drifted = []
        pruner.after_step = lambda _: drifted.append(pruner.masks().pruned)
        ran = train(pruner, max_steps=6, eval_every=100, points_kept=[1, 2, 3, 4, 5])
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
