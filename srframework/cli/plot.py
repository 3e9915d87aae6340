"""``plot``: draw figures from runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from srframework.cli import completion
from srframework.cli.context import Folder, json_option, print_json
from srframework.cli.streams import echo_error
from srframework.errors import UsageError

if TYPE_CHECKING:
    from srframework.report.figure_data import FigureData
    from srframework.report.runs import Run

_KINDS = ("metric", "curves", "bias-groups")

width_option = click.option(
    "--width",
    type=click.FloatRange(1, 50),
    default=5.5,
    show_default=True,
    metavar="INCHES",
    help="Width of the figure: 5.5 is the text width of a NeurIPS paper, 3.25 a column of a paper with two.",
)

where_option = click.option(
    "--where",
    multiple=True,
    metavar="KEY=VALUE",
    help="Only runs with this setting, recipe, seed or stage; see `results --where`. Repeatable.",
)


@click.command()
@click.argument("directories", metavar="[DIR]...", nargs=-1, shell_complete=completion.paths)
@click.option(
    "--kind",
    type=click.Choice(_KINDS),
    default="metric",
    show_default=True,
    help="metric: the metric over the sparsity. curves: loss and metric by step. bias-groups: accuracy where the bias "
    "model is right and where it is wrong.",
)
@click.option(
    "--x",
    default="sparsity",
    show_default=True,
    metavar="NAME",
    help="x of the kind metric: sparsity, step (of the training), or a setting with numbers, such as epochs.",
)
@click.option(
    "--out",
    type=Folder(),
    default=Path("plot.png"),
    show_default=True,
    metavar="FILE",
    help="The file; its extension chooses the format: .png, .svg or .pdf.",
)
@width_option
@click.option("--split", "splits", multiple=True, metavar="NAME", help="Only this ID or OOD set. Repeatable.")
@click.option(
    "--line",
    "texts",
    multiple=True,
    metavar="LABEL=STAGE",
    help="A line of the figure; LABEL=STAGE,STAGE joins stages of several sparsities. Repeatable. Default: the "
    "table [figure.plot] of the recipes; if there is none, every stage is a line.",
)
@click.option(
    "--metric",
    metavar="NAME",
    help="Draw this number of an evaluator, such as worst-group, instead of the task's metric.",
)
@where_option
@json_option
def plot(
    directories: tuple[str, ...],
    kind: str,
    x: str,
    out: Path,
    width: float,
    splits: tuple[str, ...],
    texts: tuple[str, ...],
    metric: str | None,
    where: tuple[str, ...],
    as_json: bool,
) -> None:
    """Draw a figure from the runs under each DIR.

    Default DIR: runs. The figure has one panel for each ID and OOD set, and one line for each stage and combination of
    settings: the mean over the seeds, with the standard deviation shaded. Full models (trained and not sparse) are
    dashed horizontal lines. A line or panel without results is marked "not run".

    Drawing needs matplotlib: pip install 'srframework[plot]'. --json prints the numbers instead, without drawing. The
    same runs give the same file.
    """
    from srframework.report import bias_bars, curves, lines
    from srframework.report.any_figure import with_metric
    from srframework.report.drawing import check_target
    from srframework.report.named_lines import of_texts

    by_step = x == "step"
    if kind != "metric" and x != "sparsity":
        raise UsageError(f"--x {x}: only the kind 'metric' has a choice of x (got --kind {kind})")
    if metric is not None and kind == "bias-groups":
        raise UsageError("--metric: the kind 'bias-groups' has figures of its own")
    if not as_json:
        check_target(out)
    runs = selected_runs(directories, where)
    named = of_texts(texts, runs)
    if metric is not None:
        runs = with_metric(runs, metric)
    if kind == "bias-groups":
        data = bias_bars.figure(runs, splits, named)
    elif kind == "curves" or by_step:
        data = curves.figure(runs, splits, not by_step, named)
    else:
        data = lines.figure(runs, x, splits, named)
    show(data, out, width, as_json)


def selected_runs(directories: tuple[str, ...], where: tuple[str, ...]) -> list[Run]:
    """The finished runs under the directories that meet the conditions; problems and unfinished runs go to stderr."""
    from srframework.report.runs import find_runs
    from srframework.report.selection import conditions, select_runs, select_stages

    places = directories or ("runs",)
    found = find_runs(places, levels=True)
    for sentence in found.damaged:
        echo_error(f"warning: {sentence}")
    if found.unfinished:
        count = len(found.unfinished)
        echo_error(f"{count} unfinished run{'s are' if count > 1 else ' is'} left out")
    if not found.runs:
        raise UsageError(f"no finished run under {', '.join(places)}")
    chosen = conditions(where, found.runs)
    return select_stages(select_runs(found.runs, chosen), chosen)


def warn(data: FigureData) -> None:
    """Print the notes of a figure on stderr."""
    for note in data.notes:
        echo_error(f"note: {note}")
    if data.conflicts:
        first, other = data.conflicts[0]
        echo_error(
            f"warning: the same settings and seed gave other figures, such as in {first} and {other}; the first counts"
        )


def show(data: FigureData, out: Path, width: float, as_json: bool, more: Mapping[str, Any] | None = None) -> None:
    """Draw a figure and name its file, or print its numbers, with ``more``; notes go to stderr."""
    from srframework.report.drawing import draw

    warn(data)
    if as_json:
        print_json({**data.to_json(), **(more or {})})
        return
    try:
        draw(data, out, width)
    except OSError as error:
        raise UsageError(f"--out {out}: the file cannot be written: {error.strerror or error}") from error
    empty = f"; not run: {', '.join(data.empty_panels)}" if data.empty_panels else ""
    click.echo(f"{out}: {len(data.panels)} panel{'s' if len(data.panels) > 1 else ''}{empty}")
