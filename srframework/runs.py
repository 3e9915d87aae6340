"""The run directory: what a run leaves behind, each file whole or not there.

::

    RUN/
      recipe.toml               the resolved recipe: every option said; runs again as it is
      run.json                  versions, plugins, data fingerprints, machine, state
      results.json              what `run --json` prints
      bias.json                 how good the bias model is by itself; only where a loss has one
      stages/NAME/
        model/                  plain transformers: config, tokenizer, safetensors
        mask.safetensors        one bit an entry; only where something is pruned
        metrics.jsonl           loss and figures by step
        result.json             the stage's figures
        log_probs/              of the training examples; only where another stage learns from them
        points/POINT/           the same, for a step or a sparsity level inside the stage
"""

from __future__ import annotations

import json
import platform
import re
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from srframework.errors import UsageError
from srframework.files import atomic_directory, atomic_file, write_json, write_text
from srframework.masks import Mask
from srframework.recipe import Recipe, Reference
from srframework.training import Checkpoint


@dataclass(frozen=True)
class Figures:
    """What was measured of one saved model.

    Attributes:
        sparsity: Zeros among the entries of the encoder's and the classifier's prunable matrices,
            as a share in [0, 1].
        id: The task's metric on the ID test split, or, where there is none, on the dev split.
        ood: The same on each OOD split.
        also: The same on each further split.
        evaluations: Everything that the evaluators say, by split; of the weights, under ``"model"``.
    """

    sparsity: float
    id: float
    ood: dict[str, float]
    also: dict[str, float]
    evaluations: dict[str, dict[str, float]]


@dataclass(frozen=True)
class StageResult:
    """The figures of a stage, and of the points inside it.

    Attributes:
        name, op: Of the stage.
        metric: Name of the figure that ``id`` and ``ood`` give.
        figures: At its end.
        levels: By sparsity level, for a pruner that passes through several.
    """

    name: str
    op: str
    metric: str
    figures: Figures
    levels: dict[str, Figures] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As ``run --json`` prints it."""
        head = {"name": self.name, "op": self.op, "metric": self.metric, **asdict(self.figures)}
        if self.levels:
            head["levels"] = [{"level": float(level), **asdict(each)} for level, each in self.levels.items()]
        return head


class RunDirectory:
    """A new run's directory; nothing is written before :meth:`begin`.

    Args:
        path: Must not exist, or be empty.

    Raises:
        UsageError: It is neither.
    """

    def __init__(self, path: Path) -> None:
        try:
            if path.exists() and (not path.is_dir() or any(path.iterdir())):
                got = "one that is not empty" if path.is_dir() else "a file"
                raise UsageError(f"--out {path}: expected a new or an empty directory, got {got}")
        except OSError as error:
            raise UsageError(f"--out {path}: the directory cannot be read: {error.strerror}") from error
        self.path = path

    @classmethod
    def default_path(cls, recipe: Recipe, seed: bool = True) -> Path:
        """``runs/<recipe>-<seed>-<time>``, under the current directory; ``seed``: whether to name it."""
        slug = re.sub(r"[^a-z0-9]+", "-", recipe.name.lower()).strip("-")[:48] or "recipe"
        parts = [slug, *([str(recipe.seed)] if seed else []), time.strftime("%Y%m%d-%H%M%S")]
        return Path("runs") / "-".join(parts)

    def make(self) -> None:
        """Make the directory; raises as :meth:`begin` does."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"--out {self.path}: the directory cannot be made: {error.strerror}") from error

    def begin(self, recipe: Recipe, facts: Mapping[str, Any]) -> None:
        """Make the directory; write the resolved recipe, and what the run depends on.

        Raises:
            UsageError: The directory cannot be made.
        """
        self.make()
        write_text(self.path / "recipe.toml", recipe.to_toml())
        self._facts = {"recipe": recipe.name, "seed": recipe.seed, **facts, "versions": _versions(recipe)}
        self.mark("running")

    def mark(self, state: str, error: str = "") -> None:
        """Say in run.json whether the run is running, finished, failed or interrupted."""
        write_json(self.path / "run.json", {"state": state, **({"error": error} if error else {}), **self._facts})

    def at(self, reference: Reference) -> Path:
        """Where the stage, or the point in it, is kept."""
        stage = self.path / "stages" / reference.stage
        return stage if reference.point is None else stage / "points" / reference.point

    def save(self, stage: str, checkpoint: Checkpoint, model: Any, tokenizer: Any) -> Path:
        """Write a checkpoint as a directory that plain transformers loads; gives that directory."""
        place = self.at(Reference(stage, checkpoint.point))
        place.mkdir(parents=True, exist_ok=True)
        with atomic_directory(place / "model") as temporary:
            model.save_pretrained(temporary, state_dict=checkpoint.weights)
            tokenizer.save_pretrained(temporary)
        if len(checkpoint.mask):
            checkpoint.mask.save(place / "mask.safetensors")
        return place / "model"

    def load_mask(self, reference: Reference) -> Mask:
        """The mask of a finished stage, or of a point in it."""
        return Mask.load(self.at(reference) / "mask.safetensors")

    def log(self, stage: str, record: Mapping[str, Any]) -> None:
        """Add a line to the stage's metrics.jsonl."""
        place = self.at(Reference(stage))
        place.mkdir(parents=True, exist_ok=True)
        with (place / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

    def write_figures(self, reference: Reference, figures: Figures) -> None:
        """Write the figures of a point in a stage."""
        write_json(self.at(reference) / "result.json", asdict(figures))

    def write_bias(self, report: Mapping[str, Any]) -> None:
        """Write how good the bias model is by itself."""
        write_json(self.path / "bias.json", report)

    def write_log_probs(self, reference: Reference, name: str, log_probs: Tensor) -> None:
        """Write what a stage says of its training examples, ``(N, C)``."""
        place = self.at(reference) / "log_probs"
        place.mkdir(exist_ok=True)
        with atomic_file(place / f"{name}.safetensors") as temporary:
            save_file({"log_probs": log_probs}, temporary)

    def write_result(self, result: StageResult) -> None:
        """Write the figures of a finished stage."""
        write_json(self.at(Reference(result.name)) / "result.json", result.to_json())


def _versions(recipe: Recipe) -> dict[str, str]:
    uses = [recipe.backbone, recipe.dataset, *recipe.evaluators]
    uses += [use for stage in recipe.stages for use in (stage.loss, stage.pruner) if use is not None]
    uses += [recipe.bias] if recipe.bias is not None else []
    plugins = {use.registered.plugin.dist: use.registered.plugin.version for use in uses}
    libraries = ("accelerate", "datasets", "numpy", "safetensors", "scikit-learn", "torch", "transformers")
    return {"python": platform.python_version(), **plugins, **{name: version(name) for name in libraries}}
