"""Run claims from Python: their recipes over several seeds as one sweep, then the verdicts."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from srframework.claims.check import check_splits
from srframework.claims.judgement import Judgement, judge
from srframework.claims.recipes import ClaimRecipe, check_claims, default_directory
from srframework.errors import SRFrameworkError
from srframework.faults import at
from srframework.files import write_json
from srframework.hashing import digest
from srframework.registry.registry import Registry
from srframework.report.claim_files import NAME as ROWS
from srframework.run.api import one_process_only
from srframework.run.directory_lock import make_directory, sentences
from srframework.run.resources import load_task
from srframework.sweeps.directory import SweepDirectory
from srframework.sweeps.run import SweepEvents, SweepResult, Workers, run_sweep


class ClaimEvents(SweepEvents):
    """The events of a sweep of claims."""

    def refused(self, name: str, why: str) -> None:
        """The data of a claim cannot be read or lack an OOD split; none of its runs starts."""


@dataclass(frozen=True)
class ClaimsResult:
    """The result of running claims.

    Attributes:
        path: The directory.
        rows: For each claim the object that ``claims --json`` prints: ``claim``, ``statement``, ``source``, ``note``,
            ``verdict``, ``figures``, ``checks``, ``controls``; a failed claim also has ``error``.
        sweep: The sweep of the runs; None if nothing ran.
    """

    path: Path
    rows: list[dict[str, Any]]
    sweep: SweepResult | None

    @property
    def failed(self) -> list[dict[str, Any]]:
        """The rows of the claims that could not be judged."""
        return [row for row in self.rows if "error" in row]


def run_claims(
    claims: Sequence[ClaimRecipe],
    registry: Registry,
    store: Path,
    out: Path | None = None,
    workers: Workers | None = None,
    events: ClaimEvents | None = None,
) -> ClaimsResult:
    """Run the recipes of claims as one sweep and judge each claim; a failing claim does not stop the others.

    Args:
        claims: At least one: see :func:`srframework.claims.recipes.load_claims`.
        registry: The components.
        store: Where the results of stages are kept.
        out: A new or empty directory, or one of the same claims; None for the default, which follows from the recipes.
        workers: The launcher and its workers; None for this process.
        events: Receives every event.

    Raises:
        UsageError: A claim names a sparsity level that its stage does not keep; also the errors of
            :func:`srframework.sweeps.run.run_sweep`.
        RunDirectoryError: The directory cannot be written.
    """
    one_process_only("claims")
    events = events or ClaimEvents()
    every = [cell for claim in claims for cell in claim.cells]
    path = out or default_directory(claims)
    SweepDirectory(path, every, beside=[ROWS])  # refuses the directory of another sweep before any data are read
    check_claims(claims)
    refused = _refused(claims)
    for name, why in refused.items():
        events.refused(name, why)
    cells = [cell for claim in claims if claim.name not in refused for cell in claim.cells]
    sweep = run_sweep(cells, registry, store, path, workers, events, beside=[ROWS]) if cells else None
    reports = iter(sweep.reports if sweep is not None else ())
    rows = []
    for claim in claims:
        if claim.name in refused:
            rows.append(_row(claim, refused[claim.name]))
        else:
            rows.append(_row(claim, _judged(claim, [next(reports) for _ in claim.cells], len(claims))))
    make_directory(path)
    with sentences(path):
        write_json(path / ROWS, rows)
    return ClaimsResult(path, rows, sweep)


def _refused(claims: Sequence[ClaimRecipe]) -> dict[str, str]:
    """The claims whose data cannot be read or lack an OOD split that they name -> the reason; reads equal data once."""
    read: dict[str, list[str]] = {}
    found: dict[str, str] = {}
    for each in claims:
        if not any(figure.kind == "ood" for check in each.claim.parsed for figure in check.figures):
            continue
        recipe = each.cells[0].recipe
        key = digest([recipe.dataset.table(), recipe.seed])
        try:
            if key not in read:
                with at(doing="reading the data"):
                    read[key] = [split.name for split in load_task(recipe).ood]
            check_splits(each.claim, read[key])
        except SRFrameworkError as error:
            found[each.name] = str(error)
    return found


def _judged(claim: ClaimRecipe, reports: Sequence[Mapping[str, Any]], claims: int) -> Judgement | str:
    """The judgement of a claim, one of ``claims``, by its runs; or an error message."""
    error = next((report["error"] for report in reports if "error" in report), None)
    if error is not None:
        return str(error)
    try:
        return judge(claim.claim, [report["stages"] for report in reports], claims)
    except SRFrameworkError as error:
        return str(error)


def _row(claim: ClaimRecipe, judged: Judgement | str) -> dict[str, Any]:
    row: dict[str, Any] = {"claim": claim.name, **claim.claim.model_dump(include={"statement", "source", "note"})}
    if isinstance(judged, str):
        return row | {"verdict": "failed", "error": judged, "figures": {}, "checks": {}, "controls": {}}
    figures = {
        text: {
            "unit": judged.units[text],
            "values": values,
            "mean": statistics.fmean(values),
            "sd": statistics.stdev(values) if len(values) > 1 else None,
        }
        for text, values in judged.figures.items()
    }
    decided = {
        name: {text: asdict(each) for text, each in decisions.items()}
        for name, decisions in (("checks", judged.checks), ("controls", judged.controls))
    }
    return row | {"verdict": judged.verdict, "figures": figures, **decided}
