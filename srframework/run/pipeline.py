"""Run the stages of a recipe one after another; each result is read from the store or computed into it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec
import torch

from srframework.errors import SRFrameworkError
from srframework.faults import at, describe
from srframework.files import read_json
from srframework.recipe.model import Recipe, Stage
from srframework.recipe.points import check_points
from srframework.recipe.stage_lengths import Plan, plan
from srframework.run.baselines import baselines
from srframework.run.crash import belongs_to
from srframework.run.data_checks import cut_note, too_few_examples
from srframework.run.directory import RunDirectory
from srframework.run.identity import Components, uses
from srframework.run.model_checks import check_model
from srframework.run.options import RunOptions
from srframework.run.paths import CHOSEN, LOG
from srframework.run.placing import place_stage
from srframework.run.preflight import preflight
from srframework.run.processes import Processes
from srframework.run.reporter import Reporter, RunStart
from srframework.run.resources import Materials
from srframework.run.results import Measured, StageAndLevels, of_baseline
from srframework.run.shared_materials import shared_materials
from srframework.run.stage_results import StageResults
from srframework.run.state import State
from srframework.run.unchanged import inputs_digest
from srframework.store.store import Store
from srframework.training.chosen import Chosen
from srframework.training.signals import shielded
from srframework.units import P_B_OF_BACKBONE


class Pipeline:
    """Runs a recipe.

    Args:
        recipe: Checked.
        store: The stage store.
        options: How it runs.
        reporter: Receives the progress.

    Attributes:
        computed: Seconds that each stage took that was computed here.
        is_first: Whether this is the first of the processes that work together, or the only one.

    Raises:
        UsageError: The run directory holds something else.
    """

    def __init__(
        self,
        recipe: Recipe,
        store: Store,
        options: RunOptions | None = None,
        reporter: Reporter | None = None,
    ) -> None:
        self._recipe, self._store, self._options = recipe, store, options or RunOptions()
        out = self._options.out
        self._users = [*self._options.users, *([out] if out is not None else [])]
        self._processes = Processes()
        self._accelerator, self.is_first = self._processes.accelerator, self._processes.is_first
        self._reporter = (reporter if self.is_first else None) or Reporter()
        self._directory = RunDirectory(out, recipe, self._reporter.note) if out is not None and self.is_first else None
        self._bias_report: dict[str, Any] | None = None
        self._notes: list[str] = []
        self._notes_to_show: list[str] = []
        self.computed: dict[str, float] = {}

    def run(self) -> dict[str, Any]:
        """Run every stage; each result is stored before the next stage begins. Return the report, as ``run --json``
        prints it.

        Raises:
            NotStored: A result must come from the store but is not there.
            SRFrameworkError: The data, the model, a plugin or a reference is not as it should be.
        """
        with at():
            return self._run()

    def _run(self) -> dict[str, Any]:
        recipe = self._recipe
        self._prepare()
        with self._begun():
            self._fit_bias()
            pending = self._results.pending()
            self._preflight(pending)
            beside = self._baselines()
            self._report_start(pending)
            results = [self._stage(stage, number) for number, stage in enumerate(recipe.stages, 1)]
            report = {"run": str(self._options.out), "recipe": recipe.name, "seed": recipe.seed}
            report |= self._names()
            report |= {"stages": [result.to_json() for result in results], "baselines": beside}
            if self._bias_report is not None:
                report["bias"] = self._bias_report
            if self._directory is not None:
                self._directory.finish(report)
            return report

    def recompute(self, kind: str) -> None:
        """Get or compute only one kind of result of the last stage, and the results that it is computed from.

        Args:
            kind: trained, taught or measured.

        Raises:
            SRFrameworkError: As :meth:`run`.
        """
        self._prepare()
        for number, stage in enumerate(self._recipe.stages, 1):
            trained, _ = self._results.train(stage, number)
        if kind == "measured":
            self._results.measure(stage, trained)

    def _prepare(self) -> None:
        recipe = self._recipe
        # Before anything reads a file that an option names, so that the hash is of what was there then.
        self._inputs = inputs_digest(recipe) if self._processes.count == 1 else None
        components = Components(uses(recipe))
        for stage in recipe.stages:  # an error here is reported before any stage, not after hours
            with at(stage=stage.name):
                stage.loss.build()
        doing = "reading the data and the model"
        self._reporter.doing(doing)
        with at(doing=doing):
            self._materials = (shared_materials if self._options.shared else Materials)(recipe, self._accelerator)
        task = self._materials.task
        for note in task.notes:
            self._reporter.note(note)
        self._notes_to_show = [*self._materials.suspicious, *too_few_examples(task, recipe.stages)]
        self._notes = [*task.notes, *self._notes_to_show]
        planned = self._planned()
        check_points(recipe, planned)
        check_model(recipe, self._materials)
        self._results = StageResults(
            recipe=recipe,
            store=self._store,
            processes=self._processes,
            materials=self._materials,
            components=components,
            plan=planned,
            reporter=self._reporter,
            directory=self._directory,
            stored_only=self._options.stored_only,
            keep=self._options.keep,
            users=self._users,
            on_training=self._on_training,
        )

    @contextlib.contextmanager
    def _begun(self) -> Iterator[None]:
        """Write into the run directory, if there is one; at the end run.json says how the run ended."""
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
                message = str(error) if isinstance(error, SRFrameworkError) else describe(error)
                # Of a full disk the error itself tells.
                with shielded(), contextlib.suppress(OSError, SRFrameworkError):
                    directory.mark(state, message if state == "failed" else "")
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
        declared = [asdict(each) for each in (self._materials.metric, *self._materials.evaluators.declared())]
        store = str(self._store.root.absolute())
        facts = {"notes": list(self._notes), "machine": machine, "store": store}
        return {"inputs": self._inputs, "data": data, "figures": declared, **self._names(), **facts}

    def _names(self) -> dict[str, str]:
        """The split of the ID figures, and the split that chooses checkpoints."""
        return {"id_split": self._materials.reported.name, "dev_split": self._materials.task.dev.name}

    def _planned(self) -> Plan:
        """The length of every stage, from its training examples, which are loaded now."""
        for stage in self._recipe.stages:
            self._materials.check_examples(stage)
        task = self._materials.task
        sizes = {"train": len(task.train.examples), "ood_train": len(task.ood_train.examples) if task.ood_train else 0}
        return plan(self._recipe, sizes, self._accelerator.num_processes)

    def _preflight(self, pending: Mapping[str, int]) -> None:
        """Try the components of the stages that are not in the store."""
        chosen = self._processes.agree(pending)
        if chosen and not self._options.stored_only:
            self._reporter.doing("trying the components on two examples")
            stages = [stage for stage in self._recipe.stages if stage.name in chosen]
            preflight(self._recipe, stages, self._materials, self._accelerator)

    def _report_start(self, pending: Mapping[str, int]) -> None:
        start = RunStart(
            recipe=self._recipe.name,
            seed=self._recipe.seed,
            device=str(self._accelerator.device),
            processes=self._accelerator.num_processes,
            threads=torch.get_num_threads(),
            examples=len(self._materials.task.train.examples),
            stages=len(self._recipe.stages),
            pending=pending,
            directory=self._options.out,
            unit=self._materials.metric.unit,
        )
        self._reporter.run_started(start)

    def _fit_bias(self) -> None:
        """Fit the bias model if a stage or an evaluator needs it, and compute its predictions for their examples."""
        needing = [stage for stage in self._recipe.stages if stage.needs_bias]
        if self._recipe.bias is None:
            return
        self._reporter.doing("fitting the bias model")
        for stage in needing:  # an error here is reported before any stage, not after hours
            with at(stage=stage.name, doing="fitting the bias model", model=self._model_owner):
                self._materials.bias_log_probs(stage)
        with at(doing="fitting the bias model", model=self._model_owner):
            self._materials.check_bias_of_evaluators()
            self._bias_report = self._materials.bias_report
            if self._materials.bias is not None and self._materials.bias.uses_embeddings:
                self._reporter.note(P_B_OF_BACKBONE)
                self._notes.append(P_B_OF_BACKBONE)
                if self._directory is not None:
                    self._directory.write_notes(self._notes)
        if self._directory is not None and self._bias_report is not None:
            self._directory.write_bias(self._bias_report)

    def _baselines(self) -> list[dict[str, Any]]:
        """Measure the majority class and the bias model."""
        with at(doing="evaluating the majority class and the bias model", model=self._model_owner):
            found = baselines(self._materials)
        if self._directory is not None:
            self._directory.write_baselines(found)
        metric = self._materials.metric
        return [msgspec.to_builtins(of_baseline(name, each, metric)) for name, each in found.items()]

    # -- one stage -----------------------------------------------------------------------------

    def _stage(self, stage: Stage, number: int) -> StageAndLevels:
        count = len(self._recipe.stages)
        with at(stage=stage.name, doing="training", model=self._model_owner):
            trained, was_trained = self._results.train(stage, number)
        with at(stage=stage.name, doing="evaluating", model=self._model_owner):
            measured, was_measured = self._results.measure(stage, trained)
        if not (was_trained and was_measured):
            seconds = (0.0 if was_trained else trained.seconds) + (0.0 if was_measured else measured.seconds)
            self.computed[stage.name] = seconds
        if was_trained:
            self._reporter.stage_reused(stage.name, stage.formula(), number, count, trained.seconds)
        self._reporter.stage_finished(stage.name)
        mine = Measured.read(measured.files).only(self._results.points(stage, self._recipe.points_kept(stage.name)))
        if self._directory is not None:
            place_stage(self._directory, stage.name, [*mine.points], trained, measured, self._options.full_models)
            self._directory.write_figures(stage.name, mine)
        chosen = Chosen(**read_json(trained.files / CHOSEN))
        return mine.of_stage(stage.name, stage.op, self._materials.metric, chosen)

    def _on_training(self, stage: Stage, number: int, steps: int, draft: Path) -> None:
        while self._notes_to_show:  # only where something is trained
            note = self._notes_to_show.pop(0)
            (self._reporter.note if note.startswith("warning: ") else self._reporter.info)(note)
        self._reporter.stage_started(stage.name, stage.formula(), number, len(self._recipe.stages), steps)
        if self._directory is not None:
            self._directory.follow(stage.name, draft / LOG)
        self._report_cut(stage)

    def _report_cut(self, stage: Stage) -> None:
        """Report how many examples are longer than the ``max_length`` of the stage."""
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

    @property
    def _model_owner(self) -> str:
        return self._recipe.backbone.registered.owner
