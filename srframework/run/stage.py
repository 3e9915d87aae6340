"""Trains a stage and writes model, mask, points and log into a directory; see :mod:`srframework.run.paths`.

``checkpoints/`` has the training state to resume from, which is not part of the result.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import datasets
import numpy as np
from accelerate import Accelerator
from transformers import PreTrainedModel

from srframework.component import COLUMN, NEEDS_BIAS, NEEDS_PREDICTIONS, references
from srframework.contracts import Network, ReferencedStage, Split
from srframework.files import json_text, read_bytes, remove
from srframework.fixed_mask import FixedMask
from srframework.masks import Mask
from srframework.recipe.model import Stage, Use
from srframework.run.machine import record
from srframework.run.paths import CHOSEN, LOG, point_in
from srframework.run.reporter import Reporter
from srframework.run.resources import Materials
from srframework.run.saved_model import save
from srframework.store.content import Sum
from srframework.store.drafts import Sums
from srframework.training.checkpoints import Checkpoints
from srframework.training.chosen import Chosen
from srframework.training.context import ForComponent, StageInputs
from srframework.training.events import Events, KeptModel
from srframework.training.loop import Training


@dataclass(frozen=True)
class StageTraining:
    """The training of one stage, with its inputs.

    Attributes:
        stage: The stage.
        seed: Seed of the recipe.
        materials: Data and models of the recipe.
        network: Initial θ; training changes it.
        mask: Fixed mask m; None for none.
        referenced: The stages that options of the loss and the pruner refer to, by the text of the option.
        points_kept: Points to keep, besides the levels that the pruner keeps.
        accelerator: Device and processes.
        reporter: Receives the progress.
        base: Returns files of the store with weights to which a saved model may refer; see
            :func:`srframework.run.saved_model.save`.
        logits: Filled by the training: the logits of the result (None) and of points, by split, where the training has
            evaluated the very model that is kept.
    """

    stage: Stage
    seed: int
    materials: Materials
    network: Network
    mask: Mask | None
    referenced: Mapping[str, ReferencedStage]
    points_kept: frozenset[str]
    accelerator: Accelerator
    reporter: Reporter
    base: Callable[[KeptModel], Sequence[Path]] = lambda _: ()
    logits: dict[str | None, Mapping[str, np.ndarray]] = field(default_factory=dict)

    def into(self, directory: Path) -> Sums | None:
        """Train, or resume an earlier attempt in this directory. Each point is saved before the next one begins.

        Returns:
            Checksums of the written files in the first process; None in the others.

        Raises:
            SRFrameworkError: See :meth:`srframework.training.loop.Training.run`.
        """
        note = self.reporter.note
        sums = Sums(directory, note, leave=[LOG]) if self.accelerator.is_main_process else None
        if sums is not None:
            record(directory, sums, str(self.accelerator.device))
        self.accelerator.wait_for_everyone()  # the others must see the directory as Sums leaves it
        # An earlier attempt may be of another recipe, which keeps other points.
        checkpoints = Checkpoints(
            directory / "checkpoints", self.accelerator, note, has=lambda point: point_in(directory, point).is_dir()
        )
        training = self.training(checkpoints)
        for checkpoint in training.run(self._events(directory / LOG, checkpoints)):
            self.logits[checkpoint.point] = checkpoint.logits
            if sums is not None:
                save(checkpoint, self.materials.pretrained, directory, sums, self.base(checkpoint))
            self.accelerator.wait_for_everyone()
        chosen = training.chosen
        for text in self._how_chosen(chosen):
            note(text)
        if sums is not None:
            with sums.file(directory / CHOSEN) as file:
                file.write_text(json_text(asdict(chosen)), encoding="utf-8")
            sums.add(directory / LOG, Sum(len(checkpoints.log), hashlib.sha256(checkpoints.log).hexdigest()))
        return sums

    def _how_chosen(self, chosen: Chosen) -> Iterator[str]:
        """Sentences about the result, if it is not simply the last step."""
        name, dev = self.stage.name, f"ID {self.materials.task.dev.name}"
        if chosen.steps < chosen.planned:
            waited = f"{self.stage.training.patience} evaluations in a row were not better on {dev}"
            yield f"{name}: stopped after step {chosen.steps} of {chosen.planned}, because {waited}"
        if chosen.candidates and chosen.step < chosen.planned:
            count = f"{chosen.candidates} checkpoint{'s' if chosen.candidates > 1 else ''}"
            yield f"{name}: the result is step {chosen.step} of {chosen.planned}, the best of {count} on {dev}"

    def training(self, checkpoints: Checkpoints | None = None) -> Training:
        """Return the training, ready to run; without checkpoints it writes nothing."""
        stage = self.stage
        return Training(
            network=self.network,
            examples=self._examples(),
            inputs=self._inputs(),
            debiaser=stage.loss.build(),
            pruner=stage.pruner.build() if stage.pruner is not None else FixedMask(mask=self.mask),
            options=stage.training,
            seed=self.seed,
            accelerator=self.accelerator,
            points_kept=self.points_kept,
            checkpoints=checkpoints,
            measure_start=stage.pruner is not None,
        )

    def _examples(self) -> datasets.Dataset:
        """Return tokenized training examples, with their weights and the log-probabilities that the loss needs."""
        stage, materials = self.stage, self.materials
        splits = materials.trained_on(stage)
        examples = datasets.concatenate_datasets([materials.tokens(s, stage.training.max_length) for s in splits])
        columns = {}
        if NEEDS_BIAS in stage.loss.registered.required(stage.loss.options):
            columns["bias_log_probs"] = np.concatenate(materials.bias_log_probs(stage))
        if (weights := materials.weights(stage)) is not None:
            columns["weights"] = weights
        if not columns:
            return examples
        return datasets.concatenate_datasets([examples, datasets.Dataset.from_dict(columns)], axis=1)

    def _inputs(self) -> StageInputs:
        """Return what the components require."""
        materials, stage = self.materials, self.stage

        def required(use: Use | None) -> ForComponent:
            if use is None:
                return ForComponent()
            needs = use.registered.required(use.options)
            texts = {text for _, text in references(use.options)}
            known = {text: each for text, each in self.referenced.items() if text in texts}
            if NEEDS_PREDICTIONS not in needs:
                known = {text: replace(each, log_probs=None) for text, each in known.items()}
            names = [need.removeprefix(COLUMN) for need in needs if need.startswith(COLUMN)]
            bias = np.concatenate(materials.bias_log_probs(stage)) if NEEDS_BIAS in needs else None
            columns = {name: materials.column(stage, name) for name in names}
            return ForComponent(use.registered.full_name, columns, bias, known)

        return StageInputs(
            labels=materials.task.labels,
            pretrained=materials.fresh,
            debiaser=required(stage.loss),
            pruner=required(stage.pruner),
            warn=lambda text: self.reporter.note(f"warning: {stage.name}: {text}"),
        )

    def _events(self, log: Path, checkpoints: Checkpoints) -> Events:
        task, materials = self.materials.task, self.materials

        latest: dict[str, dict[str, float]] = {}  # of the last evaluation: split -> figures of all evaluators

        logits: dict[str, np.ndarray] = {}  # of the last evaluation, or of the last candidate

        def metric(model: PreTrainedModel, split: Split) -> float:
            logits[split.name] = materials.logits(model, split, self.stage)
            latest[split.name] = materials.evaluators.figures(materials.predictions_of(split, logits[split.name]))
            return materials.figure(latest[split.name])

        def evaluate(model: PreTrainedModel) -> tuple[float, dict[str, float]]:
            ood = task.ood if self.stage.training.eval_ood else ()
            return metric(model, task.dev), {split.name: metric(model, split) for split in ood}

        def candidate(step: int, model: PreTrainedModel) -> float:
            logits.clear()
            found = metric(model, task.dev)
            write({"step": step, "candidate": {task.metric: {task.dev.name: found}}})
            return found

        def write(record: Mapping[str, Any]) -> None:
            if self.accelerator.is_main_process:
                line = (json.dumps(record) + "\n").encode()
                checkpoints.log += line
                with log.open("ab") as file:
                    file.write(line)

        def on_step(step: int, loss: float, learning_rate: float, scalars: dict[str, float]) -> None:
            write({"step": step, "loss": loss, "learning_rate": learning_rate, **scalars})
            self.reporter.step(step, loss, learning_rate, scalars)

        def on_evaluation(step: int, id_metric: float, ood: dict[str, float]) -> None:
            figures: dict[str, dict[str, float]] = {task.metric: {}}  # the first in the line
            for split, found in latest.items():
                for name, value in found.items():
                    figures.setdefault(name, {})[split] = value
            write({"step": step, **figures})
            self.reporter.evaluated(step, id_metric, ood, figures)

        def on_start(step: int) -> None:
            if self.accelerator.is_main_process:
                if not step:
                    checkpoints.log.clear()
                _write_log(log, bytes(checkpoints.log))
            if step:
                self.reporter.resumed(step)

        return Events(
            evaluate,
            on_step,
            on_evaluation,
            on_start,
            self.reporter.stopped,
            materials.metric.better or "higher",
            candidate,
            lambda: dict(logits),
        )


def _write_log(log: Path, content: bytes) -> None:
    """Set the content of a log in place, since other processes may follow the file."""
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISREG(log.lstat().st_mode):
            remove(log)
    log.touch()
    if read_bytes(log, most=None)[: len(content)] != content:
        os.truncate(log, 0)
        with log.open("ab") as file:
            file.write(content)
    os.truncate(log, len(content))
