"""Checkpoints: all that a training needs to go on as if it had never stopped.

::

    DIRECTORY/
      <step>/
        state.safetensors     weights, what pruner, loss and optimizer hold, the best so far; counters in the metadata
        rng-<rank>.safetensors  the random streams of one process
        log                   what the stage's log said by then
        sums.json             SHA-256 of the files, by which a damaged checkpoint is known
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

from srframework.files import atomic_directory, read_bytes, read_json, remove, write_json
from srframework.hashing import sha256

KEPT = 2
"""How many stay: should the newest be damaged, there is the one before it."""

_SUMS = "sums.json"
_STATE = "state.safetensors"
_LOG = "log"
_STREAMS = "rng-"


@dataclass(frozen=True)
class TrainingState:
    """What a checkpoint holds, the random streams apart.

    Attributes:
        tensors: By name, of any device.
        facts: Whatever else, as JSON.
    """

    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any]

    def part(self, prefix: str) -> dict[str, Tensor]:
        """The tensors whose names begin with ``prefix``, by the rest of their names."""
        return {name[len(prefix) :]: value for name, value in self.tensors.items() if name.startswith(prefix)}


def optimizer_state(optimizer: Any, schedule: Any) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What an optimizer and its schedule hold: tensors, and whatever else, as a snapshot has them."""
    state = optimizer.state_dict()
    tensors = {f"moments.{i}.{key}": value for i, each in state["state"].items() for key, value in each.items()}
    groups = [{key: group[key] for key in ("lr", "initial_lr", "eps")} for group in state["param_groups"]]
    return tensors, {
        "groups": groups,
        "schedule": {k: v for k, v in schedule.state_dict().items() if k != "lr_lambdas"},
    }


def restore_optimizer(snapshot: TrainingState, optimizer: Any, schedule: Any) -> None:
    """Set an optimizer of the same parameters, and its schedule, to what they were."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in snapshot.part("moments.").items():
        index, _, key = name.partition(".")
        state.setdefault(int(index), {})[key] = value
    groups = optimizer.state_dict()["param_groups"]
    for group, saved in zip(groups, snapshot.facts["groups"], strict=True):
        group.update(saved)
    optimizer.load_state_dict({"state": state, "param_groups": groups})
    schedule.load_state_dict({**schedule.state_dict(), **snapshot.facts["schedule"]})


class Checkpoints:
    """The checkpoints of one stage.

    Args:
        directory: Where they are; made when there is something to write. All processes see it.
        accelerator: The processes; the first of them writes what they share, each its own random streams.
        note: Told of a checkpoint that is damaged.
        has: Whether a point that is to be kept is there, by its name; see :meth:`require`.

    Attributes:
        log: What the stage's log says so far; saved with each checkpoint, and set by :meth:`latest`.
    """

    def __init__(
        self,
        directory: Path,
        accelerator: Accelerator,
        note: Callable[[str], None] = lambda _: None,
        has: Callable[[str], bool] = lambda _: True,
    ) -> None:
        self._directory, self._accelerator, self.note, self._has = directory, accelerator, note, has
        self._before: int | None = None
        self.log = bytearray()

    def require(self, points: Mapping[str, int]) -> None:
        """Say which points a training is to keep: what comes after one that is not there is of no use.

        Args:
            points: Name -> the first step after which a checkpoint does not lead to it any more.
        """
        self._before = min((step for name, step in points.items() if not self._has(name)), default=None)

    def save(self, step: int, snapshot: Callable[[], TrainingState]) -> None:
        """Write a checkpoint, then remove the oldest. ``snapshot`` is called in the first process alone."""
        accelerator = self._accelerator
        streams = self._directory / f".rng-{step}"
        if accelerator.num_processes > 1:  # the others leave theirs where the first one finds them
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
            remove(place)  # left by an attempt that went on from an older one
        with atomic_directory(place) as temporary:
            # Copies: of tensors that share memory safetensors takes none.
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
        """The newest that is whole, of use, and made by as many processes; None where there is none.

        Those that are newer are removed. The random streams are kept back until :meth:`restore_streams`.
        """
        accelerator = self._accelerator
        if accelerator.is_main_process and self._directory.is_dir():
            for unfinished in self._directory.glob(".*"):
                remove(unfinished)
        accelerator.wait_for_everyone()
        steps = self._steps()
        chosen = next((step for step in reversed(steps) if self._is_of_use(step)), None)
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

    def _is_of_use(self, step: int) -> bool:
        if self._before is not None and step >= self._before:
            return False
        place = self._directory / str(step)
        problem = self._problem(place)
        if problem is not None:
            self.note(f"checkpoint {place}: {problem}; left out")
        return problem is None

    def restore_streams(self) -> None:
        """Set the random streams of this process to those of the checkpoint that :meth:`latest` gave."""
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
            return f"expected a whole checkpoint, got one that cannot be read: {error}"
        if wrong:
            return f"expected the {min(wrong)} that was written, got a damaged one"
        made, here = sum(name.startswith(_STREAMS) for name in sums), self._accelerator.num_processes
        return None if made == here else f"expected one of {here} process(es), got one of {made}"


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
            with contextlib.suppress(SafetensorError):  # the stage began without a GPU
                torch.cuda.set_rng_state(file.get_tensor("cuda"))
    np.random.set_state(("MT19937", keys, *facts["numpy"]))
    version, internal, gauss = facts["python"]
    random.setstate((version, tuple(internal), gauss))
