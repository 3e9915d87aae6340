"""``report``: runs and claims as one HTML page."""

from __future__ import annotations

from pathlib import Path

import click

from srframework.cli import completion
from srframework.cli.context import Folder
from srframework.cli.streams import echo_error
from srframework.errors import UsageError


@click.command()
@click.argument("directories", metavar="[DIR]...", nargs=-1, shell_complete=completion.paths)
@click.option(
    "--out",
    type=Folder(),
    default=Path("report.html"),
    show_default=True,
    metavar="FILE",
    help="The file; an existing one is replaced.",
)
def report(directories: tuple[str, ...], out: Path) -> None:
    """Write the results under each DIR as one HTML page.

    Default DIR: runs. DIR is a run directory, a sweep, a claims directory, or a directory of these. The page contains
    the results table, which can be sorted and filtered; the figures of `plot`; the verdict of each claim with its
    figures, checks and controls; the resolved recipes; and the versions of all plugins. It is one file and needs no
    network. The figures need matplotlib: pip install 'srframework[plot]'. The same runs give the same file.
    """
    from srframework.report.page import make_page

    if out.is_dir() or not out.parent.is_dir():
        problem = "it is a directory" if out.is_dir() else f"the directory {out.parent} does not exist"
        raise UsageError(f"--out {out}: {problem}")
    page = make_page(directories or ("runs",))
    for sentence in page.warnings:
        echo_error(f"warning: {sentence}")
    page.write(out)
    counts = {"run": page.runs, "row": page.rows, "figure": page.figures, "claim": page.claims}
    shown = [f"{len(each)} {name}{'s' if len(each) > 1 else ''}" for name, each in counts.items() if each]
    click.echo(f"{out}: {', '.join(shown)}")
