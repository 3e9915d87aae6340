"""Find a model on disk: a transformers directory, the directory of a stage, or ``RUN@STAGE``."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from srframework.errors import UsageError
from srframework.run.directory import stage_place
from srframework.run.named_models import models, require_model, split
from srframework.run.paths import MASK, MODEL, PACKED
from srframework.run.saved_model import SavedModel
from srframework.text import did_you_mean, nearest, shorten

CONFIG = "config.json"

_FORMS = "a directory with config.json and model.safetensors, RUN/stages/STAGE, or RUN@STAGE"


@dataclass(frozen=True)
class OnDisk:
    """A model on disk.

    Attributes:
        name: As the user wrote it.
        directory: The directory of the model in full, in the format of transformers.
        mask: The mask file of its stage; None if there is none.
    """

    name: str
    directory: Path
    mask: Path | None = None


@contextmanager
def on_disk(name: str) -> Iterator[OnDisk]:
    """Yield a model in full. A packed model of a run is written in full into a temporary directory for the block.

    Raises:
        UsageError: There is no such model; lists the choices.
        BackboneError: A packed model is damaged.
    """
    place = _place(name)
    mask = place / MASK if (place / MASK).is_file() else None
    if (place / CONFIG).exists():
        beside = place.parent / MASK
        yield OnDisk(name, place, beside if place.name == MODEL and beside.is_file() else None)
    elif (place / MODEL).is_dir():
        yield OnDisk(name, place / MODEL, mask)
    elif (place / PACKED).is_dir():
        with tempfile.TemporaryDirectory(prefix="srframework-") as folder:
            SavedModel(place).unpack(Path(folder))
            yield OnDisk(name, Path(folder), mask)
    else:
        raise UsageError(f"{name}: expected {_FORMS}; got a directory without a model")


def _place(name: str) -> Path:
    path = Path(name)
    if not path.is_dir():
        return _in_run(name)
    if not (path / "stages").is_dir() or (path / CONFIG).exists():
        return path
    choices = [f"{name}@{each}" for each in models(path)]
    if len(choices) != 1:
        more = f"; choices: {', '.join(choices)}" if choices else ", and it has none"
        raise UsageError(f"{name}: this run directory has {len(choices)} models; expected the name of one{more}")
    return _in_run(choices[0])


def _in_run(name: str) -> Path:
    """Return the place of ``RUN@STAGE``."""
    run, stage = split(name)
    if stage is not None and (Path(run) / "stages").is_dir():
        return stage_place(Path(run), require_model(Path(run), stage))
    path = Path(name)
    if path.exists():
        raise UsageError(f"{name}: expected {_FORMS}; got a file")
    beside = [each.name for each in path.parent.iterdir()] if path.parent.is_dir() else []
    near = nearest(path.name, beside)
    hint = did_you_mean(str(path.parent / near) if near else None)
    raise UsageError(f"Model not found: {shorten(name, 200)} does not exist; expected {_FORMS}{hint}")
