"""A report of runs as one HTML page that needs no network: tables, figures, recipes, environment and claims."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from srframework.contracts import SPARSITY
from srframework.errors import UsageError
from srframework.files import read_text, write_text
from srframework.report import formats, page_parts, seeds_needed
from srframework.report.claim_files import ClaimRow, find_claims
from srframework.report.columns import Column, columns
from srframework.report.page_figures import PageFigure, page_figures
from srframework.report.page_parts import Cell
from srframework.report.result_rows import Row, summarise, varying_within_recipes, without_repeated_ends
from srframework.report.run_settings import Settings
from srframework.report.runs import Run, find_runs, state_of_unfinished, unfinished_runs
from srframework.report.tables import COLLAPSED_MARK, COLLAPSED_NOTE


@dataclass(frozen=True)
class Page:
    """What a page contains.

    Attributes:
        text: The HTML.
        runs: All runs with a finished stage.
        warnings: Sentences about files that cannot be read, unfinished runs, and figures that cannot be drawn.
    """

    text: str
    runs: Sequence[Run]
    rows: Sequence[Row]
    claims: Sequence[ClaimRow]
    figures: Sequence[PageFigure]
    warnings: Sequence[str]

    def write(self, out: Path) -> None:
        """Write the page, atomically.

        Raises:
            UsageError: The file cannot be written.
        """
        try:
            write_text(out, self.text)
        except OSError as error:
            raise UsageError(f"--out {out}: the file cannot be written: {error.strerror or error}") from error


def make_page(directories: Sequence[str]) -> Page:
    """Make the page of the runs and claims at any depth under some directories; the same runs give the same page.

    Raises:
        UsageError: A directory does not exist, or there is neither a run with a finished stage nor a claim.
    """
    found = find_runs(directories, levels=True)
    claims, damaged = find_claims(directories)
    unfinished = [f"{path}: unfinished ({state_of_unfinished(path)})" for path in found.unfinished]
    runs = [*found.runs, *unfinished_runs(found.unfinished)]
    warnings = [*found.damaged, *damaged, *unfinished]
    if not runs and not claims:
        raise UsageError(f"no finished stage and no claim under {', '.join(directories)}")
    keys, every = summarise(runs, levels=True)
    rows = without_repeated_ends(every)
    figures, missing = page_figures(found.runs) if found.runs else ([], [])
    warnings += missing
    sections = {
        "Claims": "".join(map(page_parts.claim, claims)),
        "Results": _results(_columns(keys, rows, runs), rows) if rows else "",
        "Figures": "".join(page_parts.figure(each, each.kind != "curves") for each in figures),
        "Runs": _runs(runs) if runs else "",
        "Environment": _environment(runs) if runs else "",
        "Recipes": _recipes(runs),
        "Warnings": page_parts.paragraphs(warnings),
    }
    text = _page(directories, {name: part for name, part in sections.items() if part}, runs, claims)
    return Page(text, runs, rows, claims, figures, warnings)


def _page(
    directories: Sequence[str], sections: Mapping[str, str], runs: Sequence[Run], claims: Sequence[ClaimRow]
) -> str:
    template = Template(files("srframework.report").joinpath("page.html").read_text(encoding="utf-8"))
    recipes = dict.fromkeys(run.settings.recipe for run in runs)
    counted = {"run": runs, "recipe": recipes, "claim": claims}
    counts = [f"{len(each)} {name}{'s' if len(each) > 1 else ''}" for name, each in counted.items() if each]
    return template.substitute(
        title=page_parts.escape(f"Results of {', '.join(directories)}"),
        summary=page_parts.paragraphs([f"{', '.join(counts)}."]),
        links="".join(f'<a href="#{name.lower()}">{name}</a>' for name in sections),
        sections="".join(
            f'<section id="{name.lower()}">\n<h2>{name}</h2>\n{part}</section>\n' for name, part in sections.items()
        ),
        version=page_parts.escape(version("srframework")),
    )


def _columns(keys: Sequence[str], rows: Sequence[Row], runs: Sequence[Run]) -> list[Column]:
    """The columns without the settings that differ only between recipes; ``results`` has the same."""
    wanted = varying_within_recipes(runs)
    return [column for column in columns(keys, rows) if column.kind != "setting" or column.key in wanted]


def _results(table: Sequence[Column], rows: Sequence[Row]) -> str:
    """The table, with the notes that ``results`` prints."""
    notes = [f"Mean ± standard deviation over n seeds; sparsity: {SPARSITY}. imp@0.5: a level inside the stage imp."]
    if any(COLLAPSED_MARK in column.text(row) for row in rows for column in table):
        notes.append(f"{COLLAPSED_MARK} collapsed in at least one seed: {COLLAPSED_NOTE}.")
    ends = [row for row in rows if row.level is None]
    needed = seeds_needed.seeds_needed(ends)
    notes += filter(None, [formats.choice(rows), seeds_needed.sentence(ends, needed, seeds_needed.POINT)])
    return page_parts.results(rows, table) + page_parts.paragraphs(notes)


def _runs(runs: Sequence[Run]) -> str:
    heads = [("run directory", False), ("recipe", False), ("seed", True), ("state", False)]
    cells = [
        [Cell(run.path), Cell(run.settings.recipe), Cell(str(run.seed), run.seed), Cell(_state(run))] for run in runs
    ]
    return page_parts.table("Run directories", heads, cells)


def _state(run: Run) -> str:
    return "finished" if run.is_finished else f"unfinished ({state_of_unfinished(run.path)})"


def _environment(runs: Sequence[Run]) -> str:
    """Versions and machines; a name with several values has a row for each."""
    found: dict[tuple[str, str], int] = {}
    for run in runs:
        for kind in ("versions", "machine"):
            for name, value in _table(run.fact(kind)).items():
                place = (name, str(value))
                found[place] = found.get(place, 0) + 1
    heads = [("name", False), ("value", False), ("runs", True)]
    return page_parts.table(
        "Versions and machines",
        heads,
        [[Cell(name), Cell(value), Cell(str(n), n)] for (name, value), n in found.items()],
    )


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _recipes(runs: Sequence[Run]) -> str:
    """The resolved recipe of the first run with each combination of settings."""
    firsts: dict[Settings, Run] = {}
    for run in runs:
        firsts.setdefault(run.settings, run)
    parts = []
    for run in firsts.values():
        try:
            text = read_text(Path(run.path) / "recipe.toml")
        except (OSError, ValueError) as error:
            text = f"{run.path}/recipe.toml: cannot be read: {error}"
        parts.append(page_parts.recipe(f"{run.settings.recipe} ({run.path}/recipe.toml)", text))
    return "".join(parts)
