"""The inputs of a recipe's stages: task, θ_pt and bias model, each loaded once."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
from accelerate import Accelerator
from transformers import PreTrainedModel

from srframework.component import COLUMN
from srframework.contracts import Backbone, BiasModel, Evaluated, Network, Predictions, ReferencedStage, Split, TaskData
from srframework.errors import BackboneError, DataError, PluginError, SRFrameworkError
from srframework.faults import at, calling_model, where
from srframework.hashing import digest
from srframework.masks import Mask
from srframework.recipe.model import Recipe, Stage
from srframework.run.bias import FittedBias
from srframework.run.columns import column, weights
from srframework.run.data_checks import check_task, suspicious
from srframework.run.evaluators import Evaluators
from srframework.run.fingerprint import (
    arrays_fingerprint,
    network_fingerprint,
    split_fingerprint,
    tokenizer_fingerprint,
)
from srframework.run.model_copies import copied, unmap
from srframework.run.prediction import predict
from srframework.run.saved_model import SavedModel
from srframework.run.tokens import Tokens, tokens_of


def load_task(recipe: Recipe) -> TaskData:
    """Read the data of a recipe.

    Raises:
        SRFrameworkError: The data are invalid.
    """
    task: TaskData = recipe.dataset.build().load(recipe.seed)
    check_task(task, recipe.dataset.registered.owner)
    return task


class Materials:
    """The task, θ_pt and the bias model of a recipe, with cached tokens and fingerprints.

    Attributes:
        task: The data.
        evaluators: The evaluators.
        metric: The declaration of the task's metric.
    """

    def __init__(self, recipe: Recipe, accelerator: Accelerator) -> None:
        self._recipe, self._accelerator = recipe, accelerator
        self._backbone: Backbone = recipe.backbone.build()
        self.evaluators = Evaluators.built(recipe.evaluators)
        self._bias_model: BiasModel | None = None if recipe.bias is None else recipe.bias.build()
        self.task = self._restricted(load_task(recipe))
        self.evaluators.check_columns(self.task.evaluated)
        self.metric = self.evaluators.task_metric(self.task.metric, recipe.dataset.registered.owner)
        self._tokenized: dict[tuple[str, int], Tokens] = {}
        self._fingerprints: dict[str, str] = {}

    def _restricted(self, task: TaskData) -> TaskData:
        """Return the task without the training examples that the bias model cannot predict."""
        if self._bias_model is None or self._recipe.bias is None:
            return task
        restricted = self._bias_model.restrict(task)
        if restricted is not task:
            check_task(restricted, self._recipe.bias.registered.owner)
        return restricted

    @property
    def reported(self) -> Split:
        """The split of the ID figure."""
        return self.task.test or self.task.dev

    @cached_property
    def suspicious(self) -> list[str]:
        """Notes and warnings about the data, for the user."""
        return suspicious(self.task)

    @cached_property
    def pretrained(self) -> Network:
        """θ_pt; never changed."""
        return self._read()

    def fresh(self) -> Network:
        """Return a copy of θ_pt for training, with the weights of :attr:`pretrained` even if its files have changed.

        Raises:
            BackboneError: The model cannot be copied, and loading it again gives a different one.
        """
        model = copied(self.pretrained.model)
        if model is not None:
            return dataclasses.replace(self.pretrained, model=model)
        again = self._read()
        if network_fingerprint(again) != self._of_pretrained:
            owner = self._recipe.backbone.registered.owner
            raise BackboneError(
                f"{owner}: the model is not the one that this run started with: loading it again gave other weights or "
                f"other settings. Its files may have been replaced; run the command again to use the new ones"
            )
        return again

    def load(self, saved: Path) -> Network:
        """Load the saved model of a stage or a point from disk, so that the evaluated model is the one that users will
        load.

        Raises:
            BackboneError: The model is damaged, or lacks a weight.
        """
        like, weights = self.pretrained.model, SavedModel(saved).weights()
        with calling_model("load of a saved model"):
            read: Any = type(like).from_pretrained(
                None,  # a path would make it read further files
                config=like.config,
                state_dict=weights,
                dtype=like.dtype,
                output_loading_info=True,
            )
        model, loaded = read
        if lost := sorted(loaded["missing_keys"]):
            raise BackboneError(f"{saved}: expected every weight of the model, got none for {lost[0]}")
        return dataclasses.replace(self.pretrained, model=model)

    def _read(self) -> Network:
        network = self._backbone.load(self.task.labels, self._recipe.seed)
        unmap(network.model)
        return network

    @cached_property
    def bias(self) -> FittedBias | None:
        """The fitted bias model; None if neither a stage nor an evaluator of the recipe needs one."""
        use = self._recipe.bias
        return None if use is None else FittedBias(use, self.task, self.pretrained, self._bias_model)

    @cached_property
    def bias_report(self) -> dict[str, Any] | None:
        """Report of the bias model; see :meth:`srframework.run.bias.FittedBias.report`."""
        return None if self.bias is None else self.bias.report()

    # -- examples ------------------------------------------------------------------------------

    def trained_on(self, stage: Stage) -> list[Split]:
        """Return the training splits of a stage: that of the task, and ``ood_train`` copies of its OOD training split.

        Raises:
            DataError: The task has no OOD training examples.
        """
        copies, ood_train = stage.training.ood_train, self.task.ood_train
        if copies and ood_train is None:
            owner = self._recipe.dataset.registered.owner
            raise DataError(
                f"stages.{stage.name}.ood_train: expected 0, since {owner} has no OOD training examples here"
            )
        return [self.task.train, *([ood_train] * copies if ood_train is not None else [])]

    def tokens(self, split: Split, max_length: int) -> datasets.Dataset:
        """Return a tokenized split; see :func:`srframework.run.prediction.tokenize`."""
        return self._tokens(split, max_length).examples

    def cut(self, split: Split, max_length: int) -> int:
        """Count the examples of a split that are cut at ``max_length`` tokens."""
        return self._tokens(split, max_length).cut

    def _tokens(self, split: Split, max_length: int) -> Tokens:
        key = split.name, max_length
        if key not in self._tokenized:
            with calling_model("tokenizer"):
                self._tokenized[key] = tokens_of(
                    split, self.fingerprint(split), self.pretrained.tokenizer, self._of_tokenizer, max_length
                )
        return self._tokenized[key]

    @cached_property
    def _of_tokenizer(self) -> str:
        return tokenizer_fingerprint(self.pretrained.tokenizer)

    def bias_log_probs(self, stage: Stage) -> list[np.ndarray]:
        """Return log p_b of the training examples of a stage, ``(N, C)`` for each split."""
        assert self.bias is not None, "a recipe with such a stage has a bias model"
        return [self.bias.log_probs(split) for split in self.trained_on(stage)]

    def check_examples(self, stage: Stage) -> None:
        """Raise DataError if the training examples of a stage lack a column that its components require."""
        self.weights(stage)
        for use in stage.components():
            for need in use.registered.required(use.options):
                if need.startswith(COLUMN):
                    self.column(stage, need.removeprefix(COLUMN))

    def column(self, stage: Stage, name: str) -> np.ndarray:
        """Return a column of the training examples of a stage; see :func:`srframework.run.columns.column`."""
        with at(stage=stage.name):
            return column(self.trained_on(stage), name, self._recipe.dataset.registered.owner)

    def weights(self, stage: Stage) -> np.ndarray | None:
        """Return the weights of the training examples of a stage; see :func:`srframework.run.columns.weights`."""
        with at(stage=stage.name):
            return weights(self.trained_on(stage), self._recipe.dataset.registered.owner)

    # -- figures -------------------------------------------------------------------------------

    def logits(self, model: PreTrainedModel, split: Split, stage: Stage) -> np.ndarray:
        """Return the logits of every example of a split, ``(N, C)``, with the options of a stage."""
        options, tokenizer = stage.training, self.pretrained.tokenizer
        tokens, how = self.tokens(split, options.max_length), (options.eval_batch_size, options.eval_precision)
        with calling_model("forward pass"):
            return predict(model, tokens, tokenizer, self._accelerator, *how)

    def predictions(self, model: PreTrainedModel, split: Split, stage: Stage) -> Predictions:
        """Return a model's predictions for a split, with everything that the evaluators ask for."""
        return self.predictions_of(split, self.logits(model, split, stage))

    def predictions_of(self, split: Split, logits: np.ndarray) -> Predictions:
        """Return the predictions with these logits, ``(N, C)``, with the columns and p_b if evaluators ask for them."""
        known = self.bias.probabilities(split) if self.evaluators.need_bias and self.bias is not None else None
        return Predictions.of_split(split, logits, self.evaluators.columns, known)

    def check_bias_of_evaluators(self) -> None:
        """Raise DataError if evaluators need p_b, which is known for none of the evaluated splits."""
        if self.evaluators.need_bias and self.bias is not None:
            splits = self.task.evaluated
            if all(self.bias.probabilities(split) is None for split in splits):
                names = ", ".join(split.name for split in splits)
                name, owner = self._recipe.bias.registered.name if self._recipe.bias else "", self.evaluators.needing
                raise DataError(f"bias: {name!r} has no predictions for a split that {owner} could evaluate: {names}")

    def measures(
        self,
        network: Network,
        mask: Mask | None,
        predictions: Mapping[str, Predictions],
        figures: Mapping[str, Mapping[str, float]],
        stages: Mapping[str, ReferencedStage],
    ) -> dict[str, float]:
        """Return the figures of a model, or of several splits together.

        Args:
            network: The model.
            mask: Its mask.
            predictions: Its predictions, by split.
            figures: Its figures, by split.
            stages: The stages that options of evaluators refer to, by the text of the option.
        """
        evaluated = Evaluated(
            id=predictions[self.reported.name],
            dev=predictions[self.task.dev.name],
            ood=tuple(predictions[split.name] for split in self.task.ood),
            also=tuple(predictions[split.name] for split in self.task.also),
            figures=figures,
            network=network,
            mask=mask,
            pretrained=self.pretrained,
            stages=stages,
        )
        return self.evaluators.measures(evaluated)

    def figure(self, evaluation: Mapping[str, float]) -> float:
        """Return the task's metric from the figures of a split.

        Raises:
            PluginError: No evaluator gives the metric for this split.
        """
        metric = self.task.metric
        if metric not in evaluation:
            owner, given = self._recipe.dataset.registered.owner, ", ".join(evaluation) or "none"
            raise PluginError(
                f"{where()}{owner}: its metric is {metric!r}, but the evaluators of the recipe compute only: {given}"
            )
        return evaluation[metric]

    # -- fingerprints --------------------------------------------------------------------------

    def fingerprint(self, split: Split) -> str:
        """Return the hash of the rows of a split."""
        if split.name not in self._fingerprints:
            self._fingerprints[split.name] = split_fingerprint(split)
        return self._fingerprints[split.name]

    def bias_fingerprints(self, splits: Sequence[Split]) -> list[str | None]:
        """Return the hash of p_b of each split, None where it is unknown; empty if no evaluator needs it."""
        if not self.evaluators.need_bias or self.bias is None:
            return []
        known = [self.bias.probabilities(split) for split in splits]
        return [None if each is None else arrays_fingerprint([each]) for each in known]

    @cached_property
    def _of_pretrained(self) -> str:
        return network_fingerprint(self.pretrained, self._of_tokenizer)

    def identity(self, stage: Stage) -> dict[str, Any]:
        """Return the identity of a stage's inputs: data, θ_pt and log p_b of the training examples."""
        chooses = [self.fingerprint(self.task.dev), self.task.metric, *self.bias_fingerprints([self.task.dev])]
        found = {
            "pretrained": self._of_pretrained,
            "train": [self.fingerprint(split) for split in self.trained_on(stage)],
            "chooses": chooses if stage.training.keep == "best" else None,
            "bias": arrays_fingerprint(self.bias_log_probs(stage)) if stage.needs_bias else None,
            "processes": self._accelerator.num_processes,
        }
        self._agree(stage, found)
        return found

    def _agree(self, stage: Stage, found: Mapping[str, Any]) -> None:
        """Check that all processes read the same data and the same model.

        Raises:
            SRFrameworkError: They read different data or models.
        """
        if self._accelerator.num_processes == 1:
            return
        mine = torch.tensor([list(bytes.fromhex(digest(found)))], device=self._accelerator.device)
        if len({bytes(each) for each in self._accelerator.gather(mine).tolist()}) > 1:
            raise SRFrameworkError(
                f"stages.{stage.name}: the processes read different models or different data. "
                "A file may have been replaced while they started; run the command again"
            )
