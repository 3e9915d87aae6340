"""A training that was killed goes on from its last checkpoint, to the same bits."""

from __future__ import annotations

import functools
import os
import random
import signal

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from srf_debiasers.learned_mixin import LearnedMixin
from srf_debiasers.options import LearnedMixinOptions
from srf_pruners.imp import IterativeMagnitudePruning
from srf_pruners.imp_rw import RewindingMagnitudePruning
from srf_pruners.mask import MaskTraining
from srf_pruners.mask_options import MaskOptions
from srf_pruners.one_shot import OneShotMagnitudePruning, RandomPruning
from srf_pruners.options import ImpOptions, ImpRewindOptions, OneShotOptions
from srframework import Mask
from srframework.fixed_mask import FixedMask
from srframework.training.checkpoints import Checkpoints, TrainingState

IMP = {"sparsity": 0.6, "step": 0.2, "interval": 0.34}
PRUNERS = {
    "none": FixedMask,
    "fixed mask": lambda: FixedMask(mask=Mask({"bert.encoder.layer.0.intermediate.dense": torch.eye(16) == 1})),
    "imp": lambda: IterativeMagnitudePruning(ImpOptions(**IMP)),
    "imp-rw": lambda: RewindingMagnitudePruning(ImpRewindOptions(**IMP)),
    "omp": lambda: OneShotMagnitudePruning(OneShotOptions(sparsity=0.5)),
    "random": lambda: RandomPruning(OneShotOptions(sparsity=0.5)),
    "mask": lambda: MaskTraining(MaskOptions(sparsity=0.7, refresh_every=None)),
    "mask, soft": lambda: MaskTraining(MaskOptions(sparsity=0.7, init="soft", refresh_every=3)),
    "mask, cubic": lambda: MaskTraining(
        MaskOptions(sparsity=0.7, schedule="cubic", initial_sparsity=0.2, refresh_every=2)
    ),
}
OPTIONS = {"max_steps": 12, "eval_every": 5, "log_every": 2, "gradient_accumulation": 2, "warmup_steps": 3}


class Killed(Exception):
    """Stands for whatever stops a process."""


def killed_at(pruner, step):
    """The pruner, which brings the training down in the middle of a step."""
    before_step = pruner.before_step

    def before(done):
        before_step(done)
        if done == step:
            raise Killed

    pruner.before_step = before
    return pruner


def checkpoints(path, note=lambda _: None):
    return Checkpoints(path, Accelerator(), note)


def measure(model):
    """A metric that has its best somewhere in the middle."""
    return float(model.classifier.weight.detach().double().sum().mul(50).sin())


def assert_same(a, b):
    assert (a.step, a.point, list(a.weights)) == (b.step, b.point, list(b.weights))
    assert a.mask == b.mask
    for name, value in a.weights.items():
        assert torch.equal(value, b.weights[name]), name


@pytest.fixture
def run(train, make_network):
    """Train with dropout, from the same network each time, whatever the random streams are by then."""

    def run(pruner, **more):
        random.seed()
        np.random.seed()
        torch.seed()
        given = {"network": make_network(dropout=0.1), "measure": measure, "points_kept": [5], **OPTIONS}
        return train(pruner=pruner, **(given | more))

    return run


@pytest.mark.long
@pytest.mark.parametrize("step", [1, 4, 6, 7])
@pytest.mark.parametrize("name", PRUNERS)
def test_the_bits_are_those_of_a_training_that_was_never_stopped(run, tmp_path, name, step):
    whole = run(PRUNERS[name]())
    place = checkpoints(tmp_path / "checkpoints")
    with pytest.raises(Killed):
        run(killed_at(PRUNERS[name](), step), checkpoints=place, checkpoint_steps=2)
    went_on = run(PRUNERS[name](), checkpoints=place, checkpoint_steps=2)
    assert went_on.started == [step // 2 * 2]
    points = {each.point: each for each in whole.checkpoints}
    for each in went_on.checkpoints:
        assert_same(each, points[each.point])
    assert went_on.steps == [each for each in whole.steps if each[0] > went_on.started[0]]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_waits_for_a_checkpoint_after_the_step(run, tmp_path, monkeypatch, number):
    def stop(done, before_step):
        before_step(done)
        if done == 7:
            os.kill(os.getpid(), number)

    def stopped(*_):
        raise KeyboardInterrupt

    whole, told, pruner = run(PRUNERS["imp"]()), [], PRUNERS["imp"]()
    pruner.before_step = functools.partial(stop, before_step=pruner.before_step)
    before = signal.signal(number, stopped)
    try:
        with pytest.raises(KeyboardInterrupt):
            run(pruner, checkpoints=checkpoints(tmp_path, told.append))
        assert signal.getsignal(number) is stopped
    finally:
        signal.signal(number, before)
    assert told == ["Stopping after this step and saving a checkpoint. Press Ctrl-C again to stop now."]
    went_on = run(PRUNERS["imp"](), checkpoints=checkpoints(tmp_path))
    assert went_on.started == [8]
    assert_same(went_on.final, whole.final)


def test_a_second_signal_does_not_wait(run, tmp_path):
    def stop(done):
        if done == 7:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    pruner = PRUNERS["none"]()
    pruner.before_step = stop
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            run(pruner, checkpoints=checkpoints(tmp_path))
    finally:
        signal.signal(signal.SIGINT, before)
    assert checkpoints(tmp_path).latest() is None


@pytest.mark.parametrize("seconds", [0, 1e-9, 3600])
def test_checkpoints_by_time_and_by_steps(run, tmp_path, seconds):
    run(FixedMask(), checkpoints=checkpoints(tmp_path / "at"), checkpoint_seconds=seconds)
    written = sorted(int(path.name) for path in tmp_path.glob("at/*"))
    assert written == ([11, 12] if seconds == 1e-9 else [])


def test_writing_checkpoints_changes_nothing(run, tmp_path):
    pruner = PRUNERS["mask, cubic"]
    assert_same(run(pruner(), checkpoints=checkpoints(tmp_path), checkpoint_steps=1).final, run(pruner()).final)


def test_killed_again_and_again_it_ends_the_same(run, tmp_path):
    whole, place = run(PRUNERS["imp"]()), checkpoints(tmp_path / "checkpoints")
    for step in range(1, 12):
        with pytest.raises(Killed):
            run(killed_at(PRUNERS["imp"](), step), checkpoints=place, checkpoint_steps=1)
    last = run(PRUNERS["imp"](), checkpoints=place, checkpoint_steps=1)
    assert last.started == [11]
    assert_same(last.final, whole.final)


def test_the_parameters_of_a_loss_come_back(run, tmp_path):
    def debiaser():
        return LearnedMixin(LearnedMixinOptions())

    examples = {"keep": "last", "seed": 3}
    whole, place = run(FixedMask(), debiaser=debiaser(), **examples), checkpoints(tmp_path)
    with pytest.raises(Killed):
        run(killed_at(FixedMask(), 7), debiaser=debiaser(), checkpoints=place, checkpoint_steps=3, **examples)
    went_on = run(FixedMask(), debiaser=debiaser(), checkpoints=place, **examples)
    assert went_on.started == [6]
    assert_same(went_on.final, whole.final)


def test_examples_of_like_length_come_in_the_same_order(run, tmp_path):
    whole, place = run(FixedMask(), group_by_length=True), checkpoints(tmp_path)
    with pytest.raises(Killed):
        run(killed_at(FixedMask(), 8), group_by_length=True, checkpoints=place, checkpoint_steps=7)
    assert_same(run(FixedMask(), group_by_length=True, checkpoints=place).final, whole.final)


@pytest.mark.parametrize("stopped_at", [1, 3, 5])
def test_patience_is_resumed(run, tmp_path, stopped_at):
    by_step = dict(enumerate([0.5, 0.4, 0.9, 0.8, 0.9, 0.7, 1.0, 1.0], 1))  # 3 is the best, 6 the third that is not

    def told(pruner):
        at, after_step = [0], pruner.after_step
        pruner.after_step = lambda step: (at.append(step), after_step(step))
        return {"pruner": pruner, "measure": lambda _model: by_step[at[-1]]}

    options = {"patience": 3, "eval_every": 1, "points_kept": []}
    whole, place = run(**told(FixedMask()), **options), checkpoints(tmp_path)
    assert (whole.chosen.step, whole.chosen.steps, whole.chosen.candidates) == (3, 6, 6)
    with pytest.raises(Killed):
        run(**told(killed_at(FixedMask(), stopped_at)), checkpoints=place, checkpoint_steps=1, **options)
    resumed = run(**told(FixedMask()), checkpoints=place, checkpoint_steps=1, **options)
    assert resumed.started == [stopped_at]
    assert resumed.chosen == whole.chosen
    assert_same(resumed.final, whole.final)
    # The last checkpoint is that of the step at which it stopped: nothing is left to do.
    again = run(**told(FixedMask()), checkpoints=place, checkpoint_steps=1, **options)
    assert (again.started, again.steps) == ([6], [])
    assert again.chosen == whole.chosen
    assert_same(again.final, whole.final)


# -- the files ---------------------------------------------------------------------------------


def snapshot(value=1.0):
    return TrainingState({"model.w": torch.full((3,), value)}, {"at": {"step": 1}})


def test_the_two_newest_stay(tmp_path):
    saved = checkpoints(tmp_path / "c")
    for step in (3, 20, 100):
        saved.save(step, lambda step=step: snapshot(step))
    assert sorted(path.name for path in (tmp_path / "c").iterdir()) == ["100", "20"]
    found = saved.latest()
    assert found.part("model.")["w"].tolist() == [100.0] * 3
    assert found.facts == {"at": {"step": 1}}


def test_there_is_none_where_nothing_was_written(tmp_path):
    assert checkpoints(tmp_path / "nowhere").latest() is None
    assert not (tmp_path / "nowhere").exists()


def truncate(path):
    path.write_bytes(path.read_bytes()[:-5])


def flip(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("harm", [truncate, flip, lambda path: path.unlink()])
@pytest.mark.parametrize("file", ["state.safetensors", "rng-0.safetensors", "sums.json"])
def test_a_damaged_one_is_left_out_with_a_sentence_and_the_one_before_it_serves(tmp_path, file, harm):
    told = []
    saved = checkpoints(tmp_path / "c", told.append)
    for step in (1, 2):
        saved.save(step, lambda step=step: snapshot(step))
    harm(tmp_path / "c" / "2" / file)
    if file == "sums.json" and harm is flip:
        (tmp_path / "c" / "2" / file).write_bytes(b"[]")
    assert saved.latest().part("model.")["w"].tolist() == [1.0] * 3
    (said,) = told
    assert said.startswith(f"checkpoint {tmp_path / 'c' / '2'}: expected ")
    assert said.endswith("; ignored")


def test_one_that_was_half_written_is_not_taken_for_one(tmp_path):
    saved = checkpoints(tmp_path / "c")
    saved.save(1, snapshot)
    (tmp_path / "c" / ".2.abc").mkdir()
    (tmp_path / "c" / ".2.abc" / "state.safetensors").write_bytes(b"half")
    assert saved.latest().part("model.")["w"].tolist() == [1.0] * 3
    assert [path.name for path in (tmp_path / "c").iterdir()] == ["1"]


def test_the_random_streams_go_on(tmp_path):
    saved = checkpoints(tmp_path)
    random.seed(5), np.random.seed(6), torch.manual_seed(7)
    random.gauss(0, 1), np.random.standard_normal()  # both keep a second number in hand
    saved.save(1, snapshot)
    drawn = random.gauss(0, 1), np.random.standard_normal(), torch.rand(2).tolist(), random.random(), np.random.rand()
    random.seed(), np.random.seed(), torch.seed()
    assert saved.latest() is not None
    saved.restore_streams()
    again = random.gauss(0, 1), np.random.standard_normal(), torch.rand(2).tolist(), random.random(), np.random.rand()
    assert again == drawn
