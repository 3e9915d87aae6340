"""A training of the small model that is killed and resumed."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from accelerate import Accelerator

from srframework.contracts import LossInputs, Pruner
from srframework.testing.check import require
from srframework.testing.small_task import LABELS, CrossEntropy, examples, network
from srframework.training.checkpoints import Checkpoints
from srframework.training.context import StageInputs
from srframework.training.events import Events, KeptModel
from srframework.training.loop import Training
from srframework.training.options import TrainingOptions


class _Stopped(Exception):
    """Simulates the end of a killed run."""


class _Large(CrossEntropy):
    """A loss with large gradients: what a pruner remembers of them differs clearly from what it starts with."""

    def loss(self, inputs: LossInputs) -> torch.Tensor:
        return 1e4 * super().loss(inputs)


def resumed_as_uninterrupted(make: Callable[[], Pruner], uninterrupted: KeptModel, steps: int, stopped_at: int) -> None:
    """Stop a training after a step, resume it with another instance, and compare its result."""
    with tempfile.TemporaryDirectory() as place:
        with contextlib.suppress(_Stopped):
            train(make(), steps, Path(place), stopped_at)
        resumed = train(make(), steps, Path(place))
    where = f"a training that is stopped at step {stopped_at} and resumed"
    require(resumed.mask == uninterrupted.mask, f"{where} has another mask: state() must return all of the state")
    for name, value in uninterrupted.weights.items():
        require(torch.equal(value, resumed.weights[name]), f"{where} has other weights in {name}")


def train(pruner: Pruner, steps: int, place: Path | None = None, stopped_at: int = 0) -> KeptModel:
    """Train the small network, with a checkpoint after each step in ``place``; return the result."""
    net, accelerator = network(), Accelerator()

    def on_step(step: int, *_: object) -> None:
        if step == stopped_at:
            raise _Stopped

    training = Training(
        network=net,
        examples=examples(),
        debiaser=_Large(None),
        pruner=pruner,
        options=TrainingOptions.model_validate(
            {"max_steps": steps, "batch_size": 2, "learning_rate": 0.01}
            | {"log_every": 1, "eval_every": 3, "checkpoint_steps": 1}
        ),
        seed=1,
        accelerator=accelerator,
        inputs=StageInputs(labels=LABELS, pretrained=network),
        checkpoints=Checkpoints(place, accelerator) if place is not None else None,
    )
    with torch.random.fork_rng():
        *_, last = training.run(Events(lambda _model: (0.0, {}), on_step, lambda *_: None))
    return last
