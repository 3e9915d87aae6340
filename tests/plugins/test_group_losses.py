"""Group DRO and JTT against literals worked out by hand; float64."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from small_context import context, teacher
from small_training import assert_same_bits

from srf_debiasers.groups import GroupDro, JustTrainTwice
from srf_debiasers.options import GroupDroOptions, JttOptions
from srframework import DataError, LossInputs
from srframework.training.checkpoints import Checkpoints
from srframework.training.context import ForComponent, StageInputs

GROUPS = np.array(["a", "a", "a", "a", "b"])


def batch(losses: list[float], index: list[int], weights: list[float] | None = None) -> LossInputs:
    """A batch of label 0 with these cross-entropies, of two labels."""
    logits = torch.tensor([[0.0, math.log(math.expm1(each))] for each in losses], dtype=torch.float64)
    weighted = None if weights is None else torch.tensor(weights, dtype=torch.float64)
    return LossInputs(logits, torch.zeros(len(index), dtype=torch.int64), torch.tensor(index), weighted)


def group_dro(**options: float) -> GroupDro:
    made = GroupDro(GroupDroOptions(**options))
    made.attach(context(columns={"group": GROUPS}))
    return made


class TestGroupDro:
    def test_by_hand(self):
        # ℓ = (1, 3); q = (e, e³)/(e + e³) = (0.1192, 0.8808); loss = 0.1192 + 3 · 0.8808 = 2.7616
        assert group_dro(step_size=1.0).loss(batch([0.5, 1.5, 3.0], [0, 3, 4])).item() == pytest.approx(
            2.76159, abs=1e-5
        )

    def test_q_is_carried_from_batch_to_batch(self):
        # q after two batches is in proportion to (e^2, e^6); loss = 1 · 0.0180 + 3 · 0.9820 = 2.9640
        made = group_dro(step_size=1.0)
        made.loss(batch([1.0, 3.0], [0, 4]))
        assert made.loss(batch([1.0, 3.0], [0, 4])).item() == pytest.approx(2.96403, abs=1e-5)

    def test_a_group_without_examples_has_no_loss(self):
        # ℓ = (2, 0); q = (e², 1)/(e² + 1) = (0.8808, 0.1192)
        assert group_dro(step_size=1.0).loss(batch([2.0], [1])).item() == pytest.approx(2 * 0.880797, abs=1e-5)

    def test_the_adjustment_raises_small_groups(self):
        # 1/√4 and 1/√1 are added: q = (e^1.5, e^2)/(…) = (0.3775, 0.6225), losses 1 and 1
        made = group_dro(step_size=1.0, adjustment=1.0)
        assert made.loss(batch([1.0, 1.0], [0, 4])).item() == pytest.approx(1.0, abs=1e-6)
        assert made.state()["log_q"].exp().tolist() == pytest.approx([0.377541, 0.622459], abs=1e-5)

    def test_weights_of_examples_count_inside_their_group(self):
        # ℓ_a = (1 · 3 + 2 · 1)/4 = 1.25, ℓ_b = 1.25, whatever q is
        given = batch([1.0, 2.0, 1.25], [0, 1, 4], weights=[3.0, 1.0, 7.0])
        assert group_dro(step_size=1.0).loss(given).item() == pytest.approx(1.25, abs=1e-6)

    def test_the_names_are_logged(self):
        logged = []
        made = GroupDro(GroupDroOptions())
        made.attach(context(columns={"group": GROUPS}, log=lambda name, value: logged.append((name, float(value)))))
        made.loss(batch([1.0, 1.0], [0, 4]))
        assert logged == [("q/a", pytest.approx(0.5)), ("q/b", pytest.approx(0.5))]

    def test_a_restored_state_continues(self):
        one, other = group_dro(step_size=1.0), group_dro(step_size=1.0)
        one.loss(batch([1.0, 3.0], [0, 4]))
        other.restore(one.state())
        assert torch.equal(one.loss(batch([1.0], [4])), other.loss(batch([1.0], [4])))

    def test_one_group_is_refused(self):
        with pytest.raises(DataError, match="expected at least 2 groups in the column 'group', got 1"):
            GroupDro(GroupDroOptions()).attach(context(columns={"group": np.array(["a", "a"])}))


class TestJustTrainTwice:
    def test_by_hand(self):
        # The first of four examples is an error: weights (5, 1, 1, 1), mean 2; loss = (5 · 1 + 1 · 3)/2/2 = 2
        log_probs = np.log([[0.4, 0.6], [0.6, 0.4], [0.9, 0.1], [0.2, 0.8]]).astype(np.float32)
        made = JustTrainTwice(JttOptions(identified_by="first@10", upweight=5.0))
        made.attach(context(stages=teacher(log_probs, "first@10"), gold=np.array([0, 0, 0, 1])))
        assert made.loss(batch([1.0, 3.0], [0, 1])).item() == pytest.approx(2.0, abs=1e-6)

    def test_without_errors_it_is_the_cross_entropy(self):
        made = JustTrainTwice(JttOptions(identified_by="first"))
        made.attach(context(stages=teacher(np.log([[0.9, 0.1]] * 2), "first"), gold=np.array([0, 0])))
        assert made.loss(batch([1.0, 3.0], [0, 1])).item() == pytest.approx(2.0, abs=1e-6)


class _Killed(Exception):
    """The end of a run that is killed."""


def test_a_killed_training_resumes_with_the_same_bits(train, tmp_path, make_examples):
    inputs = StageInputs(debiaser=ForComponent("group-dro", {"group": np.array(["a", "b", "c", "c"] * 6)}))

    def run(place=None, stop=None):
        def note(_model) -> float:
            nonlocal count
            count += 1
            if count == stop:
                raise _Killed
            return 0.0

        count = 0
        checkpoints = Checkpoints(place, Accelerator()) if place is not None else None
        return train(
            debiaser=GroupDro(GroupDroOptions(step_size=0.5)),
            inputs=inputs,
            measure=note,
            checkpoints=checkpoints,
            eval_every=1,
            checkpoint_steps=1,
            max_steps=9,
        )

    expected = run()
    with pytest.raises(_Killed):
        run(tmp_path / "checkpoints", stop=5)
    resumed = run(tmp_path / "checkpoints")
    assert resumed.started == [4]
    assert_same_bits(expected.final, resumed.final)
