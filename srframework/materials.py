"""What the stages of a recipe work on: the task, θ_pt, the bias model; loaded once, whatever is made of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import datasets
import numpy as np
from accelerate import Accelerator
from transformers import PreTrainedModel

from srframework.bias import FittedBias
from srframework.contracts import Backbone, Evaluator, Network, Predictions, Split, TaskData
from srframework.errors import DataError, PluginError
from srframework.faults import calling_model
from srframework.fingerprint import arrays_fingerprint, network_fingerprint, split_fingerprint
from srframework.identity import component, digest
from srframework.prediction import figures, measures, predict, tokenize
from srframework.recipe import Recipe, Stage

_HELD: dict[str, Materials] = {}
_MOST_HELD = 2
"""A process that does many pieces of a sweep meets those of one seed again and again."""


def held_materials(recipe: Recipe, accelerator: Accelerator) -> Materials:
    """Those of a recipe; the same object for recipes that differ in their stages alone, until :func:`let_go`.

    Raises:
        SRFrameworkError: The data or the model are not as they should be.
    """
    bias = None if recipe.bias is None else component(recipe.bias)
    uses = [component(use) for use in (recipe.backbone, recipe.dataset, *recipe.evaluators)]
    key = digest([uses, bias, recipe.seed, str(Path.cwd())])
    if key not in _HELD:
        while len(_HELD) >= _MOST_HELD:
            del _HELD[next(iter(_HELD))]
        _HELD[key] = Materials(recipe, accelerator)
    return _HELD[key]


def let_go() -> None:
    """Read anew whatever is asked for from now on."""
    _HELD.clear()


class Materials:
    """The task, θ_pt and the bias model of a recipe, and what is told of them again and again.

    Attributes:
        task: The data.
    """

    def __init__(self, recipe: Recipe, accelerator: Accelerator) -> None:
        self._recipe, self._accelerator = recipe, accelerator
        self._backbone: Backbone = recipe.backbone.build()
        self._evaluators: list[Evaluator] = [use.build() for use in recipe.evaluators]
        self.task: TaskData = recipe.dataset.build().load(recipe.seed)
        self._tokenized: dict[tuple[str, int], datasets.Dataset] = {}
        self._fingerprints: dict[str, str] = {}

    @property
    def reported(self) -> Split:
        """The split of the ID figure."""
        return self.task.test or self.task.dev

    @cached_property
    def pretrained(self) -> Network:
        """θ_pt, which stays as it was loaded."""
        return self.fresh()

    def fresh(self) -> Network:
        """θ_pt, to be trained."""
        return self._backbone.load(self.task.labels, self._recipe.seed)

    def load(self, saved: Path) -> Network:
        """A saved model, from disk: what is measured is what a user will load."""
        with calling_model("load of a saved model"):
            model: PreTrainedModel = type(self.pretrained.model).from_pretrained(saved)
        return dataclasses.replace(self.pretrained, model=model)

    @cached_property
    def bias(self) -> FittedBias | None:
        """The bias model, fitted; None where no stage of the recipe needs one."""
        use = self._recipe.bias
        return None if use is None else FittedBias(use, self.task, self.pretrained)

    @cached_property
    def bias_report(self) -> dict[str, Any] | None:
        """How good the bias model is by itself."""
        return None if self.bias is None else self.bias.report()

    # -- examples ------------------------------------------------------------------------------

    def trained_on(self, stage: Stage) -> list[Split]:
        """The training set of a stage: the task's, and as many copies of its OOD training examples as are wanted.

        Raises:
            DataError: There are no OOD training examples.
        """
        copies, ood_train = stage.training.ood_train, self.task.ood_train
        if copies and ood_train is None:
            owner = self._recipe.dataset.registered.owner
            raise DataError(
                f"stages.{stage.name}.ood_train: expected 0, since {owner} has no OOD training examples here"
            )
        return [self.task.train, *([ood_train] * copies if ood_train is not None else [])]

    def tokens(self, split: Split, max_length: int) -> datasets.Dataset:
        """A split as the model takes it; see :func:`srframework.prediction.tokenize`."""
        key = split.name, max_length
        if key not in self._tokenized:
            with calling_model("tokenizer"):
                self._tokenized[key] = tokenize(split, self.pretrained.tokenizer, max_length)
        return self._tokenized[key]

    def bias_log_probs(self, stage: Stage) -> list[np.ndarray]:
        """Log p_b of the training examples of a stage, ``(N, C)`` for each split."""
        assert self.bias is not None, "a recipe with such a stage has one"
        return [self.bias.log_probs(split) for split in self.trained_on(stage)]

    # -- figures -------------------------------------------------------------------------------

    def logits(self, model: PreTrainedModel, split: Split, stage: Stage) -> np.ndarray:
        """Of every example of a split, ``(N, C)``, as the stage's options say."""
        tokens = self.tokens(split, stage.training.max_length)
        with calling_model("forward pass"):
            return predict(model, tokens, self.pretrained.tokenizer, self._accelerator, stage.training.eval_batch_size)

    def figures(self, predictions: Predictions) -> dict[str, float]:
        """What the recipe's evaluators say of one split."""
        return figures(self._evaluators, predictions)

    def measures(self, network: Network) -> dict[str, float]:
        """What the recipe's evaluators say of the weights."""
        return measures(self._evaluators, network.matrices())

    def metric(self, evaluation: Mapping[str, float]) -> float:
        """The task's metric among the figures of a split.

        Raises:
            PluginError: It is not there.
        """
        metric = self.task.metric
        if metric not in evaluation:
            owner, given = self._recipe.dataset.registered.owner, ", ".join(evaluation) or "none"
            raise PluginError(f"{owner}: its metric is {metric!r}, which no evaluator of the recipe gives: {given}")
        return evaluation[metric]

    # -- fingerprints --------------------------------------------------------------------------

    def fingerprint(self, split: Split) -> str:
        """Of the rows of a split."""
        if split.name not in self._fingerprints:
            self._fingerprints[split.name] = split_fingerprint(split)
        return self._fingerprints[split.name]

    @cached_property
    def _of_pretrained(self) -> str:
        return network_fingerprint(self.pretrained)

    def identity(self, stage: Stage) -> dict[str, Any]:
        """What a stage works on: what counts of the data, θ_pt, and what the bias model says of its examples."""
        chooses = [self.fingerprint(self.task.dev), self.task.metric]
        return {
            "pretrained": self._of_pretrained,
            "train": [self.fingerprint(split) for split in self.trained_on(stage)],
            "chooses": chooses if stage.training.keep == "best" else None,
            "bias": arrays_fingerprint(self.bias_log_probs(stage)) if stage.needs_bias else None,
            "processes": self._accelerator.num_processes,
        }
