"""The stages of one recipe, one after the other, each taken from the store or computed into it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator, InitProcessGroupKwargs
from accelerate.utils import DistributedType, GradientAccumulationPlugin, broadcast
from safetensors.numpy import load_file, save_file

from srframework.contracts import Network, Split
from srframework.errors import SRFrameworkError, UsageError
from srframework.faults import at, describe
from srframework.hashing import digest
from srframework.masks import Mask
from srframework.recipe.model import PRETRAINED, Recipe, Reference, Stage
from srframework.recipe.plan import Plan, check_points, plan
from srframework.run import versions
from srframework.run.crash import belongs_to
from srframework.run.data_checks import cut_note, few
from srframework.run.directory import RunDirectory
from srframework.run.evaluation import measure
from srframework.run.identity import Components, stage_identity, uses
from srframework.run.layout import LOG, MASK, MODEL, log_probs_file, point_in, point_of, steps_kept
from srframework.run.machine import MACHINE, record
from srframework.run.model_checks import check_model
from srframework.run.reporter import Reporter
from srframework.run.resources import Materials, held_materials
from srframework.run.results import FIGURES, Measured, StageAndLevels
from srframework.run.stage import StageTraining
from srframework.run.state import State
from srframework.store.drafts import Sums, emptied
from srframework.store.manifest import Entry
from srframework.store.store import Store
from srframework.training.signals import shielded

PATIENCE = timedelta(days=30)
"""How long processes wait for the first of them, which may itself wait for another run's stage."""

_DISTRIBUTED = (
    *(DistributedType.NO, DistributedType.MULTI_CPU, DistributedType.MULTI_GPU),
    *(DistributedType.MULTI_XPU, DistributedType.MULTI_NPU, DistributedType.MULTI_HPU),
)
"""How processes may work together: each has the whole model, as masks over whole matrices need."""

_TAUGHT = "log_probs.safetensors"


class NotStored(SRFrameworkError):
    """The store does not have what was to be taken from it."""


class Pipeline:
    """Runs a recipe.

    Args:
        recipe: Checked.
        store: Where stages are taken from, and kept.
        out: The run directory; None where the store is to have the stages, and nothing else is wanted.
        reporter: Who is told of the progress.
        stored_only: Compute nothing.
        keep: Stage -> further steps to be kept, at which stages of other recipes start.
        held: Whether data and models that another recipe of this process has read will do.
        users: Further run directories for which what is computed is to stay in the store.

    Attributes:
        computed: Seconds that each stage took that was computed here.
        is_first: Whether this is the first of the processes that work together, or the only one.

    Raises:
        UsageError: ``out`` holds something else.
    """

    def __init__(
        self,
        recipe: Recipe,
        store: Store,
        out: Path | None = None,
        reporter: Reporter | None = None,
        stored_only: bool = False,
        keep: Mapping[str, Iterable[int]] | None = None,
        held: bool = False,
        users: Sequence[Path] = (),
    ) -> None:
        self._recipe, self._store, self._stored_only, self._keep = recipe, store, stored_only, keep or {}
        self._out, self._held, self._users = out, held, [*users, *([out] if out is not None else [])]
        self._accelerator = Accelerator(
            # Said, since else the environment says it: what is in no recipe must not change what comes out.
            mixed_precision="no",
            dynamo_backend="no",
            gradient_accumulation_plugin=GradientAccumulationPlugin(num_steps=1),
            kwargs_handlers=[InitProcessGroupKwargs(timeout=PATIENCE)],
        )
        if self._accelerator.distributed_type not in _DISTRIBUTED:
            got = self._accelerator.distributed_type.value
            raise UsageError(f"accelerate: expected processes with a whole model each (DDP), got {got}")
        self.is_first = self._accelerator.is_main_process
        self._reporter = (reporter if self.is_first else None) or Reporter()
        self._directory = RunDirectory(out, recipe, self._reporter.note) if out is not None and self.is_first else None
        self._bias_report: dict[str, Any] | None = None
        self._notes: list[str] = []
        self._untold: list[str] = []
        self.computed: dict[str, float] = {}
        self._trained: dict[str, Entry] = {}

    def run(self) -> dict[str, Any]:
        """Run every stage, each result in the store before the next stage begins; give the report, as ``run --json``
        prints it.

        Raises:
            NotStored: A stage is to be taken from the store, and is not there.
            SRFrameworkError: The data, the model, a plugin or a reference is not as it should be.
        """
        with at():
            return self._run()

    def _run(self) -> dict[str, Any]:
        recipe = self._recipe
        self._prepare()
        self._check_claim()
        with self._begun():
            self._fit_bias()
            results = [self._stage(stage, number) for number, stage in enumerate(recipe.stages, 1)]
            report = {"run": str(self._out), "recipe": recipe.name, "seed": recipe.seed}
            report |= {"stages": [result.to_json() for result in results]}
            if self._bias_report is not None:
                report["bias"] = self._bias_report
            if self._directory is not None:
                self._directory.finish(report, self._materials.reported.name)
            return report

    def recompute(self, kind: str) -> None:
        """Ask the store for the last stage's result of one kind, and for what it is computed from; for nothing else.

        Args:
            kind: trained, taught or measured.

        Raises:
            SRFrameworkError: As :meth:`run`.
        """
        self._prepare()
        for number, stage in enumerate(self._recipe.stages, 1):
            trained, _ = self._train(stage, number)
        if kind == "measured":
            self._measure(stage, trained)

    def _prepare(self) -> None:
        recipe = self._recipe
        # Before anything reads a file that an option names, so that the hash is of what was there then.
        self._components = Components(uses(recipe))
        for stage in recipe.stages:  # an error here is reported before any stage, not after hours
            with at(stage=stage.name):
                stage.loss.build()
        with at(doing="reading the data and the model"):
            self._materials = (held_materials if self._held else Materials)(recipe, self._accelerator)
        task = self._materials.task
        for note in task.notes:
            self._reporter.note(note)
        self._untold = [*self._materials.suspicious, *few(task, recipe.stages)]
        self._notes = [*task.notes, *self._untold]
        self._plan = self._planned()
        check_points(recipe, self._plan)
        check_model(recipe, self._materials)

    @contextlib.contextmanager
    def _begun(self) -> Iterator[None]:
        """Write into the run directory, if there is one, and see to it that run.json says how it ended."""
        directory = self._directory
        if directory is None:
            yield
            return
        with directory.locked():
            try:
                directory.begin(self._facts())
                yield
            except BaseException as error:
                belongs_to(error, directory.path)
                state: State = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
                said = str(error) if isinstance(error, SRFrameworkError) else describe(error)
                # Of a full disk the error itself tells.
                with shielded(), contextlib.suppress(OSError, SRFrameworkError):
                    directory.mark(state, said if state == "failed" else "")
                raise

    # -- before the first stage ----------------------------------------------------------------

    def _facts(self) -> dict[str, Any]:
        task = self._materials.task
        ood_train = [task.ood_train] if task.ood_train is not None else []
        splits = [task.train, *ood_train, *task.evaluated]
        data = {s.name: {"examples": len(s.examples), "sha256": self._materials.fingerprint(s)} for s in splits}
        machine = {
            "device": str(self._accelerator.device),
            "processes": self._accelerator.num_processes,
            "threads": torch.get_num_threads(),
            "cpus": os.cpu_count(),
        }
        return {"data": data, "notes": list(self._notes), "machine": machine, "store": str(self._store.root.absolute())}

    def _planned(self) -> Plan:
        """The length of every stage, by the examples that it trains on, which are there."""
        for stage in self._recipe.stages:
            self._materials.trained_on(stage)
        task = self._materials.task
        sizes = {"train": len(task.train.examples), "ood_train": len(task.ood_train.examples) if task.ood_train else 0}
        return plan(self._recipe, sizes, self._accelerator.num_processes)

    def _check_claim(self) -> None:
        """Refuse a check of an OOD split that there is not."""
        splits = [split.name for split in self._materials.task.ood]
        for check in self._recipe.claim.parsed if self._recipe.claim is not None else ():
            for figure in check.figures:
                known = figure.split in splits if figure.split else bool(splits)
                if figure.kind == "ood" and not known:
                    got = figure.split or "the mean of all"
                    expected = f"expected an OOD split among {', '.join(splits) or 'none'}; got {got!r}"
                    raise UsageError(f"claim: {figure.text}: {expected}")

    def _fit_bias(self) -> None:
        """Fit the bias model, where a stage needs it, and ask it of all that they train on."""
        needing = [stage for stage in self._recipe.stages if stage.needs_bias]
        for stage in needing:  # an error here is reported before any stage, not after hours
            with at(stage=stage.name, doing="fitting the bias model", model=self._model_owner):
                self._materials.bias_log_probs(stage)
        if needing:
            self._bias_report = self._materials.bias_report
            if self._directory is not None and self._bias_report is not None:
                self._directory.write_bias(self._bias_report)

    # -- one stage -----------------------------------------------------------------------------

    def _stage(self, stage: Stage, number: int) -> StageAndLevels:
        count = len(self._recipe.stages)
        with at(stage=stage.name, doing="training", model=self._model_owner):
            trained, was_trained = self._train(stage, number)
        with at(stage=stage.name, doing="evaluating", model=self._model_owner):
            measured, was_measured = self._measure(stage, trained)
        if not (was_trained and was_measured):
            seconds = (0.0 if was_trained else trained.seconds) + (0.0 if was_measured else measured.seconds)
            self.computed[stage.name] = seconds
        if was_trained:
            self._reporter.stage_taken(stage.name, stage.formula(), number, count, trained.seconds)
        self._reporter.stage_finished(stage.name)
        mine = Measured.read(measured.files).only(self._points(stage, self._recipe.steps_kept(stage.name)))
        if self._directory is not None:
            self._place(stage, [*mine.points], trained, measured)
            self._directory.write_figures(stage.name, mine)
        return mine.of_stage(stage.name, stage.op, self._materials.task.metric)

    def _points(self, stage: Stage, kept: Iterable[int]) -> list[str]:
        """The points inside a stage, in the order in which it reaches them: these steps, and every level."""
        steps, found = 0, {str(step): float(step) for step in kept}
        for phase in self._plan[stage.name]:
            steps += phase.steps
            if phase.level is not None:
                found[f"{phase.level:g}"] = steps + 0.5
        return sorted(found, key=lambda point: found[point])

    def _steps_kept(self, stage: Stage) -> frozenset[int]:
        """Of this recipe and of others of the sweep, as far as the stage reaches them."""
        total = sum(phase.steps for phase in self._plan[stage.name])
        wanted = self._recipe.steps_kept(stage.name) | set(self._keep.get(stage.name, ()))
        return frozenset(step for step in wanted if step <= total)

    def _and_those_in(self, kept: frozenset[int], entry: Entry | None) -> frozenset[int]:
        """The steps, and those that an entry has; what the first process finds counts for all."""
        steps = sorted(kept | steps_kept(entry.files)) if entry is not None else sorted(kept)
        if self._accelerator.num_processes > 1:
            count = broadcast(torch.tensor([len(steps)], device=self._accelerator.device)).item()
            padded = [*steps, *[0] * int(count)][: int(count)]
            steps = broadcast(torch.tensor([padded], dtype=torch.int64, device=self._accelerator.device))[0].tolist()
        return frozenset(steps)

    def _train(self, stage: Stage, number: int) -> tuple[Entry, bool]:
        task = self._materials.task
        chosen_on = [task.dev.name, task.dev.labels, task.dev.collapse] if stage.training.keep == "best" else None
        of_data = {"labels": task.labels, "chosen_on": chosen_on}
        works_on = {**self._materials.identity(stage), **of_data, "versions": versions.of_computing()}
        keys = {name: entry.key for name, entry in self._trained.items()}
        identity = stage_identity(self._recipe, stage, keys, works_on, self._components)
        points = self._points(stage, self._steps_kept(stage))

        def compute(draft: Path) -> Sums | None:
            # What it is computed anew for, since it has not all that is wanted, is not to lose what it has.
            kept = self._and_those_in(self._steps_kept(stage), self._store.get(digest(identity)))
            steps = sum(phase.steps for phase in self._plan[stage.name])
            while self._untold:  # only where something is trained
                self._reporter.note(self._untold.pop(0))
            self._reporter.stage_started(stage.name, stage.formula(), number, len(self._recipe.stages), steps)
            if self._directory is not None:
                self._directory.follow(stage.name, draft / LOG)
            self._tell_of_cut(stage)
            training = StageTraining(
                stage=stage,
                seed=self._recipe.seed,
                materials=self._materials,
                network=self._start(stage.weights),
                mask=Mask.load(self._at(stage.mask) / MASK) if stage.mask is not None else None,
                teacher_log_probs=taught,
                steps_kept=kept,
                accelerator=self._accelerator,
                reporter=self._reporter,
            )
            return training.into(draft)

        taught = None if stage.teacher is None else self._taught(stage, stage.teacher)
        trained, was_there = self._obtain(
            stage, "trained", identity, compute, lambda files: all(point_in(files, each).is_dir() for each in points)
        )
        self._trained[stage.name] = trained
        return trained, was_there

    def _tell_of_cut(self, stage: Stage) -> None:
        """Note how many examples are longer than the stage takes; the tokens are those that it will use."""
        if not self.is_first:
            return
        max_length = stage.training.max_length
        for split in [*self._materials.trained_on(stage), *self._materials.task.evaluated]:
            cut = self._materials.cut(split, max_length)
            note = cut_note(split.name, cut, len(split.examples), max_length)
            if cut and note not in self._notes:
                self._notes.append(note)
                self._reporter.note(note)
        if self._directory is not None:
            self._directory.write_notes(self._notes)

    def _measure(self, stage: Stage, trained: Entry) -> tuple[Entry, bool]:
        task = self._materials.task
        splits = task.evaluated
        identity = {
            "trained": trained.key,
            "splits": [[s.name, self._materials.fingerprint(s), s.labels, s.collapse] for s in splits],
            "roles": {"ood": [s.name for s in task.ood], "also": [s.name for s in task.also]},
            "backbone": self._components(self._recipe.backbone),
            "evaluators": [self._components(use) for use in self._recipe.evaluators],
            "metric": task.metric,
            "reported": self._materials.reported.name,
        }
        points = self._points(stage, self._and_those_in(self._steps_kept(stage), trained))
        return self._obtain(
            stage,
            "measured",
            identity,
            lambda draft: measure(stage, trained.files, points, self._materials, self._accelerator, draft),
            lambda files: (files / FIGURES).is_file() and set(points) <= set(Measured.read(files).points),
        )

    def _taught(self, stage: Stage, teacher: Reference) -> list[np.ndarray]:
        """Log p_t of the teacher of a stage on each split that it trains on, ``(N, C)``."""
        return [self._taught_on(stage, teacher, split) for split in self._materials.trained_on(stage)]

    def _taught_on(self, stage: Stage, teacher: Reference, split: Split) -> np.ndarray:
        max_length = stage.training.max_length
        identity = {
            "teacher": [self._trained[teacher.stage].key if teacher.stage in self._trained else None, teacher.point],
            "pretrained": self._materials.identity(stage)["pretrained"],
            "backbone": self._components(self._recipe.backbone),
            "processes": self._accelerator.num_processes,
            "split": self._materials.fingerprint(split),
            "max_length": max_length,
            "eval_batch_size": stage.training.eval_batch_size,
            "versions": versions.of_computing(),
        }

        def compute(draft: Path) -> Sums | None:
            sums = emptied(draft) if self.is_first else None
            if sums is not None:
                record(draft, sums, str(self._accelerator.device))
            model = self._start(teacher).model.to(self._accelerator.device)
            logits = torch.from_numpy(self._materials.logits(model, split, stage))
            if sums is not None:
                with sums.file(draft / _TAUGHT) as temporary:
                    save_file({"log_probs": logits.log_softmax(dim=-1).numpy()}, temporary)
            return sums

        entry, _ = self._obtain(stage, "taught", identity, compute, said=f"taught {split.name}")
        if self._directory is not None:
            place = log_probs_file(self._directory.at(teacher), split.name, max_length)
            self._directory.link(entry.files / _TAUGHT, place)
        log_probs: np.ndarray = load_file(entry.files / _TAUGHT)["log_probs"]
        return log_probs

    def _place(self, stage: Stage, points: Sequence[str], trained: Entry, measured: Entry) -> None:
        """Put into the run directory what the stage left, of the points inside it these."""
        assert self._directory is not None, "asked for where there is one"
        for files in (trained.files, measured.files):
            for file in sorted(each for each in files.rglob("*") if each.is_file()):
                inside = file.relative_to(files)
                if point_of(inside) in (None, *points) and inside.name not in (FIGURES, MACHINE):
                    self._directory.link(file, self._directory.at(Reference(stage.name)) / inside)

    # -- the store -----------------------------------------------------------------------------

    def _obtain(
        self,
        stage: Stage,
        kind: str,
        identity: Mapping[str, Any],
        compute: Callable[[Path], Sums | None],
        enough: Callable[[Path], bool] = lambda _files: True,
        said: str = "",
    ) -> tuple[Entry, bool]:
        """An entry of the store, and whether it was there.

        Where several processes work together, the first of them asks and writes, and all of them compute.
        ``said``: what run.json calls the entry, where a stage has several of its kind.
        """
        key = digest(identity)
        if not self.is_first:
            while (draft := self._told(key)) is not None:
                compute(draft)
                self._accelerator.wait_for_everyone()
            found = self._store.get(key)
            assert found is not None, "the first process has just finished it"
            return found, False
        if self._directory is not None:
            self._directory.refer(stage.name, said or kind, key)
        if self._stored_only:
            found = self._store.get(key)
            if found is None or not enough(found.files):
                raise NotStored(f"stages.{stage.name}: expected it in the store {self._store.root}, got no such entry")
            was_there = True
        else:

            def with_the_others(draft: Path) -> Sums | None:
                self._tell(True)
                sums = compute(draft)
                self._components.check()
                self._accelerator.wait_for_everyone()
                return sums

            found, was_there = self._store.obtain(
                key, kind, stage.formula(), identity, with_the_others, enough, self._users
            )
            self._tell(False)
        return found, was_there

    def _tell(self, computing: bool) -> None:
        if self._accelerator.num_processes > 1:
            broadcast(torch.tensor([computing], dtype=torch.int32, device=self._accelerator.device))

    def _told(self, key: str) -> Path | None:
        """In the others: where the first process wants something computed; None where it has it."""
        said = broadcast(torch.tensor([0], dtype=torch.int32, device=self._accelerator.device))
        return self._store.draft(key) if said.item() else None

    # -- models --------------------------------------------------------------------------------

    @property
    def _model_owner(self) -> str:
        return self._recipe.backbone.registered.owner

    def _at(self, reference: Reference) -> Path:
        return point_in(self._trained[reference.stage].files, reference.point)

    def _start(self, weights: Reference) -> Network:
        if weights.stage == PRETRAINED:
            return self._materials.fresh()
        return self._materials.load(self._at(weights) / MODEL)
