"""Checkpoints: everything that is needed to resume a training with the same result.

::

    DIRECTORY/
      <step>/
        state.safetensors       weights, state of pruner, loss and optimizer, best model; counters in the metadata
        rng-<rank>.safetensors  states of the random generators of one process
        log                     the stage's log up to this step
        sums.json               SHA-256 of the other files, to detect damage
"""

from __future__ import annotations

import contextlib
import json
import random
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from srframework.contracts import Debiaser
from srframework.files import atomic_directory, read_bytes, read_json, remove, write_json
from srframework.hashing import sha256
from srframework.training.optimization import own_parameters

KEPT = 2
"""Number of checkpoints that are kept: if the newest is damaged, the one before it is used."""

_SUMS = "sums.json"
_STATE = "state.safetensors"
_LOG = "log"
_STREAMS = "rng-"


@dataclass(frozen=True)
class TrainingState:
    """The content of a checkpoint, without the states of the random generators.

    Attributes:
        tensors: Name -> tensor, on any device.
        facts: Everything else, as JSON values.
    """

    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any]

    def part(self, prefix: str) -> dict[str, Tensor]:
        """Return the tensors whose names begin with ``prefix``, by the names without it."""
        return {name[len(prefix) :]: value for name, value in self.tensors.items() if name.startswith(prefix)}


def optimizer_state(optimizer: Any, schedule: Any) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the state of an optimizer and its schedule: tensors, and other values as JSON."""
    state = optimizer.state_dict()
    tensors = {f"moments.{i}.{key}": value for i, each in state["state"].items() for key, value in each.items()}
    groups = [{key: group[key] for key in ("lr", "initial_lr", "eps")} for group in state["param_groups"]]
    return tensors, {
        "groups": groups,
        "schedule": {k: v for k, v in schedule.state_dict().items() if k != "lr_lambdas"},
    }


def restore_optimizer(snapshot: TrainingState, optimizer: Any, schedule: Any) -> None:
    """Restore the state of an optimizer of the same parameters, and of its schedule."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in snapshot.part("moments.").items():
        index, _, key = name.partition(".")
        state.setdefault(int(index), {})[key] = value
    groups = optimizer.state_dict()["param_groups"]
    for group, saved in zip(groups, snapshot.facts["groups"], strict=True):
        group.update(saved)
    optimizer.load_state_dict({"state": state, "param_groups": groups})
    schedule.load_state_dict({**schedule.state_dict(), **snapshot.facts["schedule"]})


def loss_state(debiaser: Debiaser) -> dict[str, Tensor]:
    """Return the parameters and the state of a loss."""
    tensors = {f"loss.{index}": value for index, value in enumerate(own_parameters(debiaser))}
    return tensors | {f"loss-state.{name}": value for name, value in debiaser.state().items()}


def restore_loss(snapshot: TrainingState, debiaser: Debiaser, device: torch.device) -> None:
    """Restore the parameters and the state of a loss, which is attached."""
    with torch.no_grad():
        for index, own in enumerate(own_parameters(debiaser)):
            own.copy_(snapshot.tensors[f"loss.{index}"])
    debiaser.restore({name: value.to(device) for name, value in snapshot.part("loss-state.").items()})


class Checkpoints:
    """The checkpoints of one stage.

    Args:
        directory: Their directory, shared by all processes; created at the first write.
        accelerator: The processes; the first one writes the shared state, each one the states of its generators.
        note: Called with a sentence for each damaged checkpoint.
        has: Whether a point of the stage has been saved, by its name; see :meth:`require`.

    Attributes:
        log: The stage's log so far; saved with each checkpoint, and restored by :meth:`latest`.
    """

    def __init__(
        self,
        directory: Path,
        accelerator: Accelerator,
        note: Callable[[str], None] = lambda _: None,
        has: Callable[[str], bool] = lambda _: True,
    ) -> None:
        self._directory, self._accelerator, self.note, self._has = directory, accelerator, note, has
        self._first_unusable: int | None = None
        self.log = bytearray()

    def require(self, points: Mapping[str, int]) -> None:
        """Set the points that the training must save. A checkpoint after a missing point is not usable.

        Args:
            points: Name -> first step whose checkpoint is too late to reach the point.
        """
        self._first_unusable = min((step for name, step in points.items() if not self._has(name)), default=None)

    def save(self, step: int, snapshot: Callable[[], TrainingState]) -> None:
        """Write a checkpoint, then remove the oldest. ``snapshot`` is called only in the first process."""
        accelerator = self._accelerator
        streams = self._directory / f".rng-{step}"
        if accelerator.num_processes > 1:  # the first process collects these files
            streams.mkdir(parents=True, exist_ok=True)
            _save_streams(streams / _streams_name(accelerator.process_index))
            accelerator.wait_for_everyone()
        if accelerator.is_main_process:
            self._write(step, snapshot(), streams)
        accelerator.wait_for_everyone()

    def _write(self, step: int, snapshot: TrainingState, streams: Path) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        place = self._directory / str(step)
        if place.exists():
            remove(place)  # from an attempt that was then resumed at an older checkpoint
        with atomic_directory(place) as temporary:
            # Copies, because safetensors refuses tensors that share memory.
            tensors = {
                name: value.detach().to("cpu", copy=True).contiguous() for name, value in snapshot.tensors.items()
            }
            metadata = {"facts": json.dumps(snapshot.facts, allow_nan=False)}
            save_file(tensors, temporary / _STATE, metadata=metadata)
            (temporary / _LOG).write_bytes(self.log)
            if streams.exists():
                for file in sorted(streams.iterdir()):
                    file.replace(temporary / file.name)
                shutil.rmtree(streams)
            else:
                _save_streams(temporary / _streams_name(0))
            write_json(temporary / _SUMS, {file.name: sha256(file) for file in sorted(temporary.iterdir())})
        for old in self._steps()[:-KEPT]:
            remove(self._directory / str(old))

    def latest(self) -> TrainingState | None:
        """Return the newest checkpoint that is complete, usable, and from as many processes; None if none is.

        Newer checkpoints are removed. :meth:`restore_streams` restores the random generators later.
        """
        accelerator = self._accelerator
        if accelerator.is_main_process and self._directory.is_dir():
            for unfinished in self._directory.glob(".*"):
                remove(unfinished)
        accelerator.wait_for_everyone()
        steps = self._steps()
        chosen = next((step for step in reversed(steps) if self._is_usable(step)), None)
        accelerator.wait_for_everyone()
        if accelerator.is_main_process:
            for step in steps:
                if chosen is None or step > chosen:
                    remove(self._directory / str(step))
        if chosen is None:
            return None
        self._found = self._directory / str(chosen)
        self.log = bytearray(read_bytes(self._found / _LOG, most=None))
        with safe_open(self._found / _STATE, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 -- no mapping
            return TrainingState(tensors, json.loads(file.metadata()["facts"]))

    def _is_usable(self, step: int) -> bool:
        if self._first_unusable is not None and step >= self._first_unusable:
            return False
        place = self._directory / str(step)
        problem = self._problem(place)
        if problem is not None:
            self.note(f"checkpoint {place}: {problem}; ignored")
        return problem is None

    def restore_streams(self) -> None:
        """Restore the random generators of this process from the checkpoint that :meth:`latest` returned."""
        _load_streams(self._found / _streams_name(self._accelerator.process_index))

    def _steps(self) -> list[int]:
        if not self._directory.is_dir():
            return []
        names = (path.name for path in self._directory.iterdir())
        return sorted(int(name) for name in names if re.fullmatch("[0-9]{1,18}", name) and str(int(name)) == name)

    def _problem(self, place: Path) -> str | None:
        try:
            sums = read_json(place / _SUMS)
            wrong = [name for name in {_STATE, _LOG, *sums} if sha256(place / name) != sums.get(name)]
        except (OSError, ValueError, AttributeError, TypeError) as error:
            return f"expected a complete checkpoint, got one that cannot be read: {error}"
        if wrong:
            return f"expected the {min(wrong)} of its sums.json, got a damaged one"
        saved, here = sum(name.startswith(_STREAMS) for name in sums), self._accelerator.num_processes
        return None if saved == here else f"expected a checkpoint of {here} process(es), got one of {saved}"


def _streams_name(rank: int) -> str:
    return f"{_STREAMS}{rank}.safetensors"


def _save_streams(path: Path) -> None:
    version, internal, gauss = random.getstate()
    _, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    tensors = {"torch": torch.get_rng_state(), "numpy": torch.from_numpy(np.asarray(keys).astype(np.int64))}
    if torch.cuda.is_available():
        tensors["cuda"] = torch.cuda.get_rng_state()
    facts = {"python": [version, list(internal), gauss], "numpy": [int(position), int(has_gauss), float(cached)]}
    save_file(tensors, path, metadata={"facts": json.dumps(facts)})


def _load_streams(path: Path) -> None:
    with safe_open(path, framework="pt") as file:
        facts = json.loads(file.metadata()["facts"])
        torch.set_rng_state(file.get_tensor("torch"))
        keys = file.get_tensor("numpy").numpy().astype(np.uint32)
        if torch.cuda.is_available():
            with contextlib.suppress(SafetensorError):  # absent if the stage began without a GPU
                torch.cuda.set_rng_state(file.get_tensor("cuda"))
    np.random.set_state(("MT19937", keys, *facts["numpy"]))
    version, internal, gauss = facts["python"]
    random.setstate((version, tuple(internal), gauss))
