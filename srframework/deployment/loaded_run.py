"""A finished run as a value: its results as tables, and its stages with models, masks and predictions."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from srframework.contracts import Predictions
from srframework.deployment.card import model_card, rows_of
from srframework.deployment.saved_stage import SavedStage, saved_stage
from srframework.errors import RunDirectoryError, UsageError
from srframework.files import read_json, read_text
from srframework.masks import Mask
from srframework.recipe.model import Reference
from srframework.run import predictions_file, state
from srframework.run.directory import stage_place
from srframework.run.paths import LOG, MODEL, PACKED
from srframework.subnetwork.lock import lock

if TYPE_CHECKING:
    import pandas as pd
from srframework.run.named_models import models


def load_run(directory: str | os.PathLike[str]) -> LoadedRun:
    """Read a run directory.

    Args:
        directory: That of a run, not of a sweep; the run must be finished.

    Raises:
        UsageError: It is no run directory, or the run is not finished.
    """
    path = Path(directory)
    if not (path / state.NAME).is_file():
        got = "a directory without run.json" if path.is_dir() else "no such directory"
        raise UsageError(f"{path}: expected the directory of a run, got {got}")
    state.check_format(path)
    if (found := state.read_state(path)) != "finished":
        raise UsageError(f"{path}: expected a finished run, got one in the state {found!r}; run its recipe again")
    return LoadedRun(path)


@dataclass(frozen=True)
class LoadedRun:
    """A finished run: ``run["srnet"]`` is a stage, ``run["imp@0.5"]`` a point in it.

    Attributes:
        path: The run directory.
    """

    path: Path

    def __getitem__(self, name: str) -> LoadedStage:
        """Return a stage or a point.

        Raises:
            UsageError: The run has no such model; names the nearest.
        """
        return LoadedStage(saved_stage(self.path, name))

    @property
    def names(self) -> list[str]:
        """The names of its stages and points: full, imp, imp@0.5."""
        return models(self.path)

    @property
    def recipe(self) -> dict[str, Any]:
        """The resolved recipe, as TOML tables."""
        return SavedStage(self.path, Reference("")).recipe_table

    @property
    def report(self) -> dict[str, Any]:
        """The results, as ``run --json`` prints them.

        Raises:
            RunDirectoryError: results.json cannot be read.
        """
        path = self.path / "results.json"
        try:
            found: dict[str, Any] = read_json(path)
        except (OSError, ValueError) as error:
            raise RunDirectoryError(f"{path}: expected the results of a run: {error}") from error
        return found

    @property
    def results(self) -> pd.DataFrame:
        """One row for each stage, level and baseline: ``stage``, ``level``, ``sparsity``, ``ID``, ``OOD/SPLIT`` and
        ``also/SPLIT``; all figures are fractions, or in the unit of the metric.

        Raises:
            UsageError: pandas is not installed.
        """
        rows = []
        report = self.report
        for stage in [*report["stages"], *report["baselines"]]:
            for each in [*stage.get("levels", []), stage]:
                row = {"stage": stage["name"], "op": stage["op"], "level": each.get("level")}
                row |= {"sparsity": each["sparsity"], "ID": each["id"]}
                row |= {f"OOD/{name}": value for name, value in each["ood"].items()}
                rows.append(row | {f"also/{name}": value for name, value in each["also"].items()})
        return _pandas().DataFrame(rows)

    def curves(self) -> pd.DataFrame:
        """Learning curves of all stages: one row for each line of ``metrics.jsonl``, with the column ``stage``.

        Raises:
            UsageError: pandas is not installed.
            RunDirectoryError: A file cannot be read.
        """
        stages = [name for name in self.names if "@" not in name]
        return _pandas().DataFrame([{"stage": name, **row} for name in stages for row in _log(self.path, name)])


@dataclass(frozen=True)
class LoadedStage:
    """A stage of a finished run, or a point in it.

    Attributes:
        files: Where it is.
    """

    files: SavedStage

    def model(self, locked: bool = False) -> PreTrainedModel:
        """Load the model; pruned weights are zeros in ordinary tensors.

        Args:
            locked: Whether pruned entries stay 0 in further training; see :func:`srframework.lock`.

        Raises:
            BackboneError: A file is missing or damaged.
        """
        model = self.files.model()
        return lock(model, self.mask()) if locked else model

    def tokenizer(self) -> PreTrainedTokenizerBase:
        """Load the tokenizer."""
        from transformers import AutoTokenizer

        place = self.files.place
        folder = place / (MODEL if (place / MODEL).is_dir() else PACKED)
        found: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder)
        return found

    def mask(self) -> Mask:
        """Return the mask; without matrices if the model is dense.

        Raises:
            DataError: The file is damaged.
        """
        return self.files.mask()

    def predictions(self) -> dict[str, Predictions]:
        """Return logits, predicted and true labels of each evaluated split, by its name.

        Raises:
            DataError: A file is damaged.
        """
        found = sorted((self.files.place / "predictions").glob("*.safetensors"))
        return {(name := _name(path)): predictions_file.read(path, name) for path in found}

    def curve(self) -> pd.DataFrame:
        """The learning curve of the stage: one row for each line of ``metrics.jsonl``.

        Raises:
            UsageError: pandas is not installed.
            RunDirectoryError: The file cannot be read.
        """
        return _pandas().DataFrame(_log(self.files.run, self.files.reference.stage))

    def push_to_hub(self, repository: str, private: bool = True, token: str | None = None) -> str:
        """Upload the model in full, with tokenizer and model card, to the Hugging Face hub.

        Args:
            repository: ``user/name``; created if it does not exist.
            private: Whether a new repository is private.
            token: An access token; None: the one that is logged in.

        Returns:
            The address of the upload.

        Raises:
            BackboneError: A file of the model is missing or damaged.
        """
        from huggingface_hub import HfApi

        with tempfile.TemporaryDirectory() as scratch:
            place = Path(scratch, "model")
            self.files.saved.copy(place)
            card = model_card(self.files, rows_of([self.files]).get(self.files))
            (place / "README.md").write_text(card.replace("PATH", repository), encoding="utf-8")
            api = HfApi(token=token)
            api.create_repo(repository, private=private, exist_ok=True)
            return str(api.upload_folder(repo_id=repository, folder_path=place))


def _name(path: Path) -> str:
    from urllib.parse import unquote

    return unquote(path.stem)


def _log(run: Path, stage: str) -> list[Mapping[str, Any]]:
    path = stage_place(run, Reference(stage)) / LOG
    try:
        return [json.loads(line) for line in read_text(path).splitlines()]
    except (OSError, ValueError) as error:
        raise RunDirectoryError(f"{path}: expected the log of a stage: {error}") from error


def _pandas() -> Any:
    try:
        import pandas
    except ImportError as error:
        raise UsageError("expected pandas, which is not installed; `report` has the results without it") from error
    return pandas
