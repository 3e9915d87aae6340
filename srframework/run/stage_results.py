"""The results of a stage (trained, taught, measured): reused from the store, or computed and stored."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from accelerate import Accelerator

from srframework.component import NEEDS_PREDICTIONS, references
from srframework.contracts import Network, ReferencedStage, Split
from srframework.errors import SRFrameworkError
from srframework.hashing import digest
from srframework.masks import Mask
from srframework.recipe.model import PRETRAINED, Recipe, Reference, Stage, Use, is_step
from srframework.recipe.stage_lengths import Plan, steps_of
from srframework.run import predictions_file, versions
from srframework.run.directory import RunDirectory
from srframework.run.evaluation import measure
from srframework.run.identity import MEASURED, Components, stage_identity, with_bias
from srframework.run.origin import Origin
from srframework.run.paths import MASK, log_probs_file, point_in, points_kept
from srframework.run.paths import predictions_file as path_of
from srframework.run.processes import Processes
from srframework.run.reporter import Reporter
from srframework.run.resources import Materials
from srframework.run.results import FIGURES, Measured
from srframework.run.stage import StageTraining
from srframework.run.teaching import LOG_PROBS, read_log_probs, write_log_probs
from srframework.store.content import FILES
from srframework.store.drafts import Sums
from srframework.store.manifest import Entry
from srframework.store.store import Store


class NotStored(SRFrameworkError):
    """A result is not in the store, and must not be computed."""


@dataclass
class StageResults:
    """The results of the stages of one recipe.

    Attributes:
        recipe: The recipe, already checked.
        store: The store for the results.
        processes: The processes that compute them together.
        materials: The recipe's data and models.
        components: Identities of the recipe's components at the start of the run.
        plan: The length of the stages.
        reporter: Receives the progress.
        directory: The run directory; None without one, and in all processes but the first.
        stored_only: Compute nothing.
        keep: Stage -> additional points to keep, because other recipes keep them or start there.
        users: The run directories that use the results, so that garbage collection keeps them.
        on_training: Called before training, with the stage, its number, its steps and the files of the draft.
    """

    recipe: Recipe
    store: Store
    processes: Processes
    materials: Materials
    components: Components
    plan: Plan
    reporter: Reporter
    directory: RunDirectory | None
    stored_only: bool
    keep: Mapping[str, Iterable[str]]
    users: Sequence[Path]
    on_training: Callable[[Stage, int, int, Path], None]
    _trained: dict[str, Entry] = field(default_factory=dict, init=False)
    _measured: dict[str, Entry] = field(default_factory=dict, init=False)
    _logits: dict[str, dict[str | None, Mapping[str, np.ndarray]]] = field(default_factory=dict, init=False)

    @property
    def accelerator(self) -> Accelerator:
        """Device and processes."""
        return self.processes.accelerator

    def points(self, stage: Stage, wanted: Iterable[str]) -> list[str]:
        """Return the points to keep inside a stage, in the order in which it reaches them: the wanted ones that it
        reaches, and the levels that its pruner keeps."""
        phases, steps = self.plan[stage.name], 0
        wanted, total = frozenset(wanted), steps_of(phases)
        found = {point: float(point) for point in wanted if is_step(point) and 1 <= int(point) <= total}
        for phase in phases:
            steps += phase.steps
            if phase.point is not None and (phase.kept or phase.point in wanted):
                found[phase.point] = steps + 0.5
        return sorted(found, key=lambda point: found[point])

    def _wanted(self, stage: Stage) -> frozenset[str]:
        """Return the points that this recipe and others of the sweep want, besides the levels that the pruner keeps."""
        return self.recipe.points_kept(stage.name) | frozenset(self.keep.get(stage.name, ()))

    def _with_those_in(self, wanted: frozenset[str], key: str) -> frozenset[str]:
        """Return these points and those of an entry of the store, which must not be lost if it is computed again; in
        all processes those that the first process finds."""
        entry = self.store.get(key)
        return self.processes.agree(wanted | points_kept(entry.files) if entry is not None else wanted)

    def pending(self) -> dict[str, int]:
        """Return stage -> optimizer steps for the stages that are not in the store, or lack a point there; all
        processes call it together."""
        keys: dict[str, str] = {}
        for stage in self.recipe.stages:
            keys[stage.name] = digest(self._identity(stage, keys))
        missing = [stage.name for stage in self.recipe.stages if not self._is_stored(stage, keys[stage.name])]
        return {name: steps_of(self.plan[name]) for name in missing}

    def _is_stored(self, stage: Stage, key: str) -> bool:
        place = self.store.place(key)
        points = self.points(stage, self._wanted(stage))
        return place.is_dir() and all(point_in(place / FILES, each).is_dir() for each in points)

    def _identity(self, stage: Stage, keys: Mapping[str, str]) -> dict[str, Any]:
        task = self.materials.task
        chosen_on = [task.dev.name, task.dev.labels, task.dev.collapse] if stage.training.keep == "best" else None
        of_data = {"labels": task.labels, "chosen_on": chosen_on}
        works_on = {**self.materials.identity(stage), **of_data, "versions": versions.computing_versions()}
        return stage_identity(self.recipe, stage, keys, works_on, self.components)

    def train(self, stage: Stage, number: int) -> tuple[Entry, bool]:
        """What comes of training a stage, number ``number`` of the recipe's, and whether it was there."""
        identity = self._identity(stage, {name: entry.key for name, entry in self._trained.items()})
        points = self.points(stage, self._wanted(stage))

        def compute(draft: Path) -> Sums | None:
            kept = self._with_those_in(self._wanted(stage), digest(identity))
            steps = steps_of(self.plan[stage.name])
            self.on_training(stage, number, steps, draft)
            training = StageTraining(
                stage=stage,
                seed=self.recipe.seed,
                materials=self.materials,
                network=self._start(stage.weights),
                mask=Mask.load(self._at(stage.mask) / MASK) if stage.mask is not None else None,
                referenced={text: replace(each, mask=self._mask(text)) for text, each in referenced.items()},
                points_kept=kept,
                accelerator=self.accelerator,
                reporter=self.reporter,
                base=self._origin(stage).files,
                logits=self._logits.setdefault(stage.name, {}),
            )
            training.logits.clear()  # of an attempt whose files were damaged
            return training.into(draft)

        referenced = self._referenced(stage)
        trained, was_cached = self.get_or_compute(
            stage, "trained", identity, compute, lambda files: all(point_in(files, each).is_dir() for each in points)
        )
        self._trained[stage.name] = trained
        return trained, was_cached

    def measure(self, stage: Stage, trained: Entry) -> tuple[Entry, bool]:
        """Return the measurements of a trained stage, and whether they were cached."""
        task, before = self.materials.task, self._before(stage)
        splits = task.evaluated
        identity = {
            "format": MEASURED,
            "trained": trained.key,
            "splits": [[s.name, self.materials.fingerprint(s), s.labels, s.collapse] for s in splits],
            **({"bias": of_bias} if (of_bias := self.materials.bias_fingerprints(splits)) else {}),
            "roles": {"ood": [s.name for s in task.ood], "also": [s.name for s in task.also]},
            "backbone": self.components(self.recipe.backbone),
            "evaluators": [self._of_evaluator(use, before) for use in self.recipe.evaluators],
            "metric": task.metric,
            "reported": self.materials.reported.name,
        }
        points = self.points(stage, self._wanted(stage))

        def compute(draft: Path) -> Sums | None:
            self.reporter.doing(f"evaluating {stage.name}")
            kept = self._with_those_in(self._wanted(stage), digest(identity))
            there = self.processes.agree(points_kept(trained.files))  # the trained entry may have lost some
            every = self.points(stage, kept & there)
            known = {text: self._evaluated(text, reference) for text, reference in before.items()}
            # The last evaluation of the training is not done twice.
            logits = self._logits.pop(stage.name, {})
            return measure(stage, trained.files, every, self.materials, self.accelerator, draft, known, logits)

        self._measured[stage.name], was_cached = self.get_or_compute(
            stage,
            "measured",
            identity,
            compute,
            lambda files: (files / FIGURES).is_file() and set(points) <= set(Measured.read(files).points),
        )
        return self._measured[stage.name], was_cached

    def _before(self, stage: Stage) -> dict[str, Reference]:
        """Return the points that evaluators refer to of stages before this one, by the text of the option."""
        earlier = list(itertools.takewhile(lambda each: each is not stage, self.recipe.stages))
        names = {each.name for each in earlier}
        parsed = {text: Reference.parse(text) for use in self.recipe.evaluators for _, text in references(use.options)}
        return {str(text): each for text, each in parsed.items() if each.stage in names}

    def _of_evaluator(self, use: Use, before: Mapping[str, Reference]) -> dict[str, Any]:
        """Return the identity of an evaluator, with the results that it reads in place of the names of stages."""
        found = with_bias(self.components(use), use, self.recipe, self.components)
        points = {key: before.get(text) for key, text in references(use.options)}
        keys = {
            key: None if each is None else [self._measured_of(each.stage).key, each.point]
            for key, each in points.items()
        }
        return {**found, "options": found["options"] | keys} if keys else {**found}

    def _measured_of(self, stage: str) -> Entry:
        if stage not in self._measured:
            of = next(each for each in self.recipe.stages if each.name == stage)
            self.measure(of, self._trained[stage])
        return self._measured[stage]

    def _evaluated(self, text: str, reference: Reference) -> ReferencedStage:
        """Return a measured stage at a point, with its predictions."""
        place = point_in(self._measured_of(reference.stage).files, reference.point)
        names = [split.name for split in self.materials.task.evaluated]
        predictions = {name: predictions_file.read(path_of(place, name), name) for name in names}
        return ReferencedStage(text, partial(self._start, reference), self._mask(text), predictions=predictions)

    def _referenced(self, stage: Stage) -> dict[str, ReferencedStage]:
        """Return the stages that options of a stage's components refer to, by the text of the option; with their
        predictions if a component requires them."""
        found: dict[str, ReferencedStage] = {}
        for use in stage.components():
            asks = NEEDS_PREDICTIONS in use.registered.required(use.options)
            for _, text in references(use.options):
                reference = Reference.parse(text)
                log_probs = found[text].log_probs if text in found else None
                if asks and log_probs is None:
                    splits = self.materials.trained_on(stage)
                    log_probs = np.concatenate([self._taught_on(stage, reference, split) for split in splits])
                found[text] = ReferencedStage(str(text), partial(self._start, reference), None, log_probs)
        return found

    def _mask(self, reference: str) -> Mask | None:
        """Return the mask of a stage at a point, if it has one."""
        file = self._at(Reference.parse(reference)) / MASK
        return Mask.load(file) if file.exists() else None

    def _taught_on(self, stage: Stage, teacher: Reference, split: Split) -> np.ndarray:
        max_length = stage.training.max_length
        identity = {
            "teacher": [self._trained[teacher.stage].key if teacher.stage in self._trained else None, teacher.point],
            "pretrained": self.materials.identity(stage)["pretrained"],
            "backbone": self.components(self.recipe.backbone),
            "processes": self.processes.count,
            "split": self.materials.fingerprint(split),
            "max_length": max_length,
            "eval_batch_size": stage.training.eval_batch_size,
            **({"eval_precision": precision} if (precision := stage.training.eval_precision) != "fp32" else {}),
            "versions": versions.computing_versions(),
        }

        def compute(draft: Path) -> Sums | None:
            return write_log_probs(self._start(teacher), split, stage, self.materials, self.accelerator, draft)

        entry, _ = self.get_or_compute(stage, "taught", identity, compute, record_as=f"taught {split.name}")
        if self.directory is not None:
            place = log_probs_file(self.directory.at(teacher), split.name, max_length)
            self.directory.link(entry.files / LOG_PROBS, place)
        return read_log_probs(entry.files)

    def _at(self, reference: Reference) -> Path:
        return point_in(self._trained[reference.stage].files, reference.point)

    def _origin(self, stage: Stage) -> Origin:
        place = None if stage.weights.stage == PRETRAINED else self._at(stage.weights)
        return Origin(place, self.store, self.materials, {"recipe": self.recipe.name, "stage": stage.name})

    def _start(self, weights: Reference) -> Network:
        if weights.stage == PRETRAINED:
            return self.materials.fresh()
        return self.materials.load(self._at(weights))

    # -- the store -----------------------------------------------------------------------------

    def get_or_compute(
        self,
        stage: Stage,
        kind: str,
        identity: Mapping[str, Any],
        compute: Callable[[Path], Sums | None],
        enough: Callable[[Path], bool] = lambda _files: True,
        record_as: str = "",
    ) -> tuple[Entry, bool]:
        """Return an entry of the store, and whether it was cached.

        With several processes, all of them compute, and only the first reads and writes the store.
        ``record_as``: name of the entry in run.json, if a stage has several of its kind.
        """
        key = digest(identity)
        if not self.processes.is_first:
            while self.processes.must_compute():
                compute(self.store.draft(key))
                self.accelerator.wait_for_everyone()
            found = self.store.get(key)
            assert found is not None, "the first process has just finished it"
            return found, False
        if self.directory is not None:
            self.directory.refer(stage.name, record_as or kind, key)
        if self.stored_only:
            found = self.store.get(key)
            if found is None or not enough(found.files):
                raise NotStored(f"stages.{stage.name}: not found in the store {self.store.root}")
            was_cached = True
        else:

            def with_the_others(draft: Path) -> Sums | None:
                self.processes.announce(True)
                sums = compute(draft)
                self.components.check()
                self.accelerator.wait_for_everyone()
                return sums

            about = {"recipe": self.recipe.name, "stage": stage.name}
            found, was_cached = self.store.get_or_compute(
                key, kind, stage.formula(), identity, with_the_others, enough, self.users, about
            )
            self.processes.announce(False)
        return found, was_cached
