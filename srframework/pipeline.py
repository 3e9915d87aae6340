"""The stages of one recipe, one after the other, each starting from what an earlier one left."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
from accelerate import Accelerator
from transformers import PreTrainedModel

from srframework import masks
from srframework.bias import FittedBias
from srframework.contracts import Backbone, Network, Predictions, Pruner, Split, TaskData
from srframework.errors import DataError, PluginError, UsageError
from srframework.points import Plan, check_points, plan
from srframework.prediction import figures, measures, predict, tokenize
from srframework.pruning import FixedMask
from srframework.recipe import PRETRAINED, Recipe, Reference, Stage
from srframework.report.reporter import Reporter
from srframework.runs import Figures, RunDirectory, StageResult
from srframework.training import Checkpoint, Events, Training

COUNTED_PARTS = ("encoder", "classifier")
"""The parts whose prunable matrices are the denominator of a model's sparsity (section 3.1)."""


class Pipeline:
    """Runs a recipe.

    Args:
        recipe: Checked.
        directory: Where everything goes that is to last.
        reporter: Who is told of the progress.

    Attributes:
        bias_report: How good the bias model is by itself; None where no stage needs one.
    """

    def __init__(self, recipe: Recipe, directory: RunDirectory, reporter: Reporter | None = None) -> None:
        self._recipe = recipe
        self._directory = directory
        self._reporter = reporter or Reporter()
        self._accelerator = Accelerator()
        self.bias_report: dict[str, Any] | None = None
        self._tokenized: dict[tuple[str, int], datasets.Dataset] = {}
        self._taught: dict[tuple[Reference, str, int], np.ndarray] = {}

    def run(self) -> list[StageResult]:
        """Run every stage; each result is on disk before the next stage begins.

        Raises:
            SRFrameworkError: The data, the model, a plugin or a reference is not as it should be.
        """
        recipe = self._recipe
        self._backbone: Backbone = recipe.backbone.build()
        self._evaluators = [use.build() for use in recipe.evaluators]
        self._debiasers = {stage.name: stage.loss.build() for stage in recipe.stages}
        self._pruners: dict[str, Pruner] = {s.name: s.pruner.build() for s in recipe.stages if s.pruner is not None}
        self._task: TaskData = recipe.dataset.build().load(recipe.seed)
        for note in self._task.notes:
            self._reporter.note(note)
        self._plan = self._planned()
        check_points(recipe, self._plan)
        self._check_claim()
        self._directory.begin(recipe, self._facts())
        try:
            self._pretrained: Network = self._backbone.load(self._task.labels, recipe.seed)
            self._bias = self._fit_bias()
            results = [self._stage(stage, number) for number, stage in enumerate(recipe.stages, 1)]
        except KeyboardInterrupt:
            self._directory.mark("interrupted")
            raise
        except BaseException as error:
            self._directory.mark("failed", f"{type(error).__name__}: {error}")
            raise
        self._directory.mark("finished")
        return results

    # -- before the first stage ----------------------------------------------------------------

    def _facts(self) -> dict[str, Any]:
        ood_train = [self._task.ood_train] if self._task.ood_train is not None else []
        splits = [self._task.train, *ood_train, *self._task.evaluated]
        data = {s.name: {"examples": len(s.examples), "sha256": _fingerprint(s)} for s in splits}
        machine = {
            "device": str(self._accelerator.device),
            "processes": self._accelerator.num_processes,
            "threads": torch.get_num_threads(),
            "cpus": os.cpu_count(),
        }
        return {"data": data, "notes": list(self._task.notes), "machine": machine}

    def _planned(self) -> Plan:
        """The length of every stage, by the examples that it trains on, which are there."""
        for stage in self._recipe.stages:
            self._trained_on(stage)
        task = self._task
        sizes = {"train": len(task.train.examples), "ood_train": len(task.ood_train.examples) if task.ood_train else 0}
        return plan(self._recipe, sizes, self._accelerator.num_processes)

    def _check_claim(self) -> None:
        """Refuse a check of an OOD split that there is not."""
        splits = [split.name for split in self._task.ood]
        for check in self._recipe.claim.parsed if self._recipe.claim is not None else ():
            for figure in check.figures:
                known = figure.split in splits if figure.split else bool(splits)
                if figure.kind == "ood" and not known:
                    got = figure.split or "the mean of all"
                    expected = f"expected an OOD split among {', '.join(splits) or 'none'}; got {got!r}"
                    raise UsageError(f"claim: {figure.text}: {expected}")

    def _fit_bias(self) -> FittedBias | None:
        """The bias model, fitted; None where no stage needs it."""
        if self._recipe.bias is None:
            return None
        bias = FittedBias(self._recipe.bias, self._task, self._pretrained)
        self.bias_report = bias.report()
        self._directory.write_bias(self.bias_report)
        for stage in self._recipe.stages:
            if stage.needs_bias:
                for split in self._trained_on(stage):
                    bias.log_probs(split)  # what it does not know is told before any stage, not after hours
        return bias

    # -- one stage -----------------------------------------------------------------------------

    def _stage(self, stage: Stage, number: int) -> StageResult:
        steps = sum(phase.steps for phase in self._plan[stage.name])
        self._reporter.stage_started(stage.name, stage.formula(), number, len(self._recipe.stages), steps)
        levels: dict[str, Figures] = {}
        final = None
        for checkpoint in self._checkpoints(stage):
            reference = Reference(stage.name, checkpoint.point)
            saved = self._directory.save(stage.name, checkpoint, self._pretrained.model, self._pretrained.tokenizer)
            measured = self._measure(self._load(saved), stage)
            if checkpoint.point is None:
                final = measured
            else:
                self._directory.write_figures(reference, measured)
                if reference.level is not None:
                    levels[checkpoint.point] = measured
        assert final is not None, "the last checkpoint is the end of the stage"
        result = StageResult(stage.name, stage.op, self._task.metric, final, levels)
        self._directory.write_result(result)
        self._reporter.stage_finished(stage.name)
        return result

    def _checkpoints(self, stage: Stage) -> Iterator[Checkpoint]:
        network = self._start(stage.weights)
        mask = self._directory.load_mask(stage.mask) if stage.mask is not None else None
        training = Training(
            network=network,
            examples=self._examples(stage),
            debiaser=self._debiasers[stage.name],
            pruner=self._pruners.get(stage.name) or FixedMask(mask=mask),
            options=stage.training,
            seed=self._recipe.seed,
            accelerator=self._accelerator,
            steps_kept=self._recipe.steps_kept(stage.name),
        )
        return training.run(self._events(stage))

    def _trained_on(self, stage: Stage) -> list[Split]:
        """The training set of a stage: the task's, and as many copies of its OOD training examples as are wanted."""
        copies, ood_train = stage.training.ood_train, self._task.ood_train
        if copies and ood_train is None:
            owner = self._recipe.dataset.registered.owner
            raise DataError(
                f"stages.{stage.name}.ood_train: expected 0, since {owner} has no OOD training examples here"
            )
        return [self._task.train, *([ood_train] * copies if ood_train is not None else [])]

    def _examples(self, stage: Stage) -> datasets.Dataset:
        """Tokenised training examples, with what the loss is told of each."""
        splits = self._trained_on(stage)
        examples = datasets.concatenate_datasets([self._tokens(split, stage.training.max_length) for split in splits])
        told = {}
        if stage.needs_bias:
            assert self._bias is not None, "the recipe has a bias model"
            told["bias_log_probs"] = np.concatenate([self._bias.log_probs(split) for split in splits])
        if stage.teacher is not None:
            told["teacher_log_probs"] = np.concatenate([self._teach(stage, split) for split in splits])
        return datasets.concatenate_datasets([examples, datasets.Dataset.from_dict(told)], axis=1) if told else examples

    def _teach(self, stage: Stage, split: Split) -> np.ndarray:
        """Log p_t of the teacher of a stage, ``(N, C)``; computed once, and kept beside the teacher."""
        teacher, max_length = stage.teacher, stage.training.max_length
        assert teacher is not None, "asked for a stage that has one"
        key = teacher, split.name, max_length
        if key not in self._taught:
            model = self._start(teacher).model.to(self._accelerator.device)
            logits = torch.from_numpy(self._logits(model, split, stage))
            log_probs = logits.log_softmax(dim=-1)
            self._directory.write_log_probs(teacher, f"{split.name}-{max_length}", log_probs)
            self._taught[key] = log_probs.numpy()
        return self._taught[key]

    def _events(self, stage: Stage) -> Events:
        def evaluate(model: PreTrainedModel) -> tuple[float, dict[str, float]]:
            ood = self._task.ood if stage.training.eval_ood else ()
            return (
                self._metric(self._evaluate(model, self._task.dev, stage)),
                {split.name: self._metric(self._evaluate(model, split, stage)) for split in ood},
            )

        def on_step(step: int, loss: float, learning_rate: float) -> None:
            self._directory.log(stage.name, {"step": step, "loss": loss, "learning_rate": learning_rate})
            self._reporter.step(step, loss, learning_rate)

        def on_evaluation(step: int, id_metric: float, ood: dict[str, float]) -> None:
            self._directory.log(stage.name, {"step": step, self._task.metric: {self._task.dev.name: id_metric, **ood}})
            self._reporter.evaluated(step, id_metric, ood)

        return Events(evaluate, on_step, on_evaluation)

    # -- models and figures --------------------------------------------------------------------

    def _start(self, weights: Reference) -> Network:
        if weights.stage == PRETRAINED:
            return self._backbone.load(self._task.labels, self._recipe.seed)
        return self._load(self._directory.at(weights) / "model")

    def _load(self, saved: Path) -> Network:
        """A saved model, from disk: what is measured is what a user will load."""
        model: PreTrainedModel = type(self._pretrained.model).from_pretrained(saved)
        return dataclasses.replace(self._pretrained, model=model)

    def _tokens(self, split: Split, max_length: int) -> datasets.Dataset:
        key = split.name, max_length
        if key not in self._tokenized:
            self._tokenized[key] = tokenize(split, self._pretrained.tokenizer, max_length)
        return self._tokenized[key]

    def _logits(self, model: PreTrainedModel, split: Split, stage: Stage) -> np.ndarray:
        tokens = self._tokens(split, stage.training.max_length)
        batch_size = stage.training.eval_batch_size
        return predict(model, tokens, self._pretrained.tokenizer, self._accelerator, batch_size)

    def _evaluate(self, model: PreTrainedModel, split: Split, stage: Stage) -> dict[str, float]:
        return figures(self._evaluators, Predictions(split, self._logits(model, split, stage)))

    def _metric(self, evaluation: Mapping[str, float]) -> float:
        metric = self._task.metric
        if metric not in evaluation:
            owner, given = self._recipe.dataset.registered.owner, ", ".join(evaluation) or "none"
            raise PluginError(f"{owner}: its metric is {metric!r}, which no evaluator of the recipe gives: {given}")
        return evaluation[metric]

    def _measure(self, network: Network, stage: Stage) -> Figures:
        """Every figure of a saved model."""
        model = network.model.to(self._accelerator.device)
        evaluations = {split.name: self._evaluate(model, split, stage) for split in self._task.evaluated}
        if measured := measures(self._evaluators, network.matrices()):
            evaluations["model"] = measured
        reported = self._task.test or self._task.dev
        return Figures(
            sparsity=masks.sparsity(network.matrices(COUNTED_PARTS)),
            id=self._metric(evaluations[reported.name]),
            ood={split.name: self._metric(evaluations[split.name]) for split in self._task.ood},
            also={split.name: self._metric(evaluations[split.name]) for split in self._task.also},
            evaluations=evaluations,
        )


def _fingerprint(split: Split) -> str:
    """SHA-256 of the columns and rows of a split, in hexadecimal."""
    sha = hashlib.sha256(",".join(split.examples.column_names).encode())
    for batch in split.examples.with_format("arrow").iter(10_000):
        for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            sha.update(repr(row).encode())
    return sha.hexdigest()
