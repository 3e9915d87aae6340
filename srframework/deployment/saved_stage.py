"""A stage of a run directory, or a point in it, as it is on the disk."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import tomli
from torch import Tensor
from transformers import PreTrainedModel

from srframework.errors import RunDirectoryError, UsageError
from srframework.files import read_text
from srframework.masks import Mask
from srframework.recipe.check import load_recipe
from srframework.recipe.model import PRETRAINED, Recipe, Reference
from srframework.registry.discovery import discover
from srframework.registry.registry import Registry
from srframework.report.runs import find_runs
from srframework.run.directory import stage_place
from srframework.run.model_directory import ModelDirectory
from srframework.run.named_models import models, require_model, split
from srframework.run.paths import MASK, MODEL, PACKED
from srframework.run.saved_model import SavedModel
from srframework.subnetwork.base import BaseModel, build_model, configuration
from srframework.subnetwork.writing import tokenizer_files
from srframework.text import shorten


@dataclass(frozen=True)
class SavedStage:
    """A stage with a saved model, or a point in it.

    Attributes:
        run: The run directory.
        reference: The stage or the point.
    """

    run: Path
    reference: Reference

    def __str__(self) -> str:
        return f"{self.run}@{self.reference}"

    @property
    def place(self) -> Path:
        """Its directory."""
        return stage_place(self.run, self.reference)

    @property
    def saved(self) -> SavedModel:
        """Its model on the disk."""
        return SavedModel(self.place)

    @cached_property
    def recipe_table(self) -> dict[str, Any]:
        """The resolved recipe of the run.

        Raises:
            RunDirectoryError: recipe.toml cannot be read.
        """
        path = self.run / "recipe.toml"
        try:
            return tomli.loads(read_text(path))
        except (OSError, ValueError) as error:
            raise RunDirectoryError(f"{path}: expected the resolved recipe of a run: {error}") from error

    @property
    def stage_table(self) -> dict[str, Any]:
        """The table of the stage in the recipe."""
        found = (each for each in self.recipe_table["stages"] if each["name"] == self.reference.stage)
        return dict(next(found, {}))

    def recipe(self) -> Recipe:
        """Check the recipe; needs its plugins.

        Raises:
            RecipeError: A plugin is missing, or the recipe does not fit it.
        """
        return load_recipe(self.run / "recipe.toml", Registry(discover()))

    def config(self) -> dict[str, Any]:
        """Return the configuration of the model, as in config.json.

        Raises:
            BackboneError: The file is missing or damaged.
        """
        directory = ModelDirectory(self._folder)
        return directory.json("config.json") or {}

    def tokenizer_files(self) -> list[Path]:
        """Return the files of the tokenizer."""
        skipped = ("packed.json", "changed.safetensors")
        return [each for each in tokenizer_files(sorted(self._folder.iterdir())) if each.name not in skipped]

    def mask(self) -> Mask:
        """Return its mask; without matrices if it is dense.

        Raises:
            DataError: The file is damaged.
        """
        path = self.place / MASK
        return Mask.load(path) if path.exists() else Mask({})

    def levels(self) -> dict[float, Mask]:
        """Return the masks of the sparsity levels that the stage keeps, by level, ascending."""
        found = {}
        for name in models(self.run):
            reference = Reference.parse(name)
            if reference.stage == self.reference.stage and reference.level is not None:
                found[reference.level] = SavedStage(self.run, reference).mask()
        return dict(sorted(found.items()))

    def model(self) -> PreTrainedModel:
        """Build the model in memory.

        Raises:
            BackboneError: A file is missing or damaged.
        """
        return build_model(configuration(self.config(), str(self.place)), self.saved.weights(), str(self.place))

    def origin(self) -> BaseModel:
        """Return the weights that the stage started from; needs the plugin of the backbone if they are θ_pt.

        Raises:
            SRFrameworkError: They cannot be loaded.
        """
        origin = Reference.parse(str(self.stage_table["weights"]))
        if origin.stage != PRETRAINED:
            other = SavedStage(self.run, origin)
            path = other.place / MODEL
            name = f"{origin} of the recipe {shorten(self.recipe_table['name'])}"
            return BaseModel(name, os.fspath(path) if path.is_dir() else None, other.saved.weights())
        labels = self.config().get("id2label", {})
        recipe = self.recipe()
        network = recipe.backbone.build().load([labels[key] for key in sorted(labels, key=int)], recipe.seed)
        weights: Mapping[str, Tensor] = {name: each.detach() for name, each in network.model.state_dict().items()}
        return BaseModel(recipe.backbone.registered.name, network.model.name_or_path or None, weights)

    @property
    def _folder(self) -> Path:
        return self.place / (PACKED if self.saved.is_packed and not (self.place / MODEL).is_dir() else MODEL)


def saved_stage(run: Path, name: str) -> SavedStage:
    """Return the stage or point of a run with this name.

    Raises:
        UsageError: The run has no such model.
    """
    return SavedStage(run, require_model(run, name))


def find_stages(arguments: Sequence[str]) -> list[SavedStage]:
    """Return the models that ``DIR`` or ``DIR@STAGE`` name: of each run under DIR, all models or that of the stage.

    Raises:
        UsageError: There is no such directory or no run under it, or a run has no such model.
    """
    found: dict[SavedStage, None] = {}
    for argument in arguments:
        directory, name = split(argument)
        runs = find_runs([directory])
        paths = sorted([*(run.path for run in runs.runs), *runs.unfinished])
        if not paths:
            raise UsageError(f"no run under {directory}")
        for path in map(Path, paths):
            names: Iterable[str] = models(path) if name is None else [name]
            found |= dict.fromkeys(saved_stage(path, each) for each in names)
    return list(found)
