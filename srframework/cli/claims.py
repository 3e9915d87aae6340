"""``claims``: run the recipes of claims over several seeds and print the verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from srframework.claims.recipes import (
    FOLDER,
    ClaimRecipe,
    check_claims,
    default_directory,
    load_claims,
    shipped_claims,
)
from srframework.cli import completion
from srframework.cli.context import (
    App,
    Folder,
    json_option,
    output,
    print_json,
    print_table,
    print_text,
    set_option,
    store_option,
)
from srframework.cli.launching import launched, worker_options
from srframework.cli.plan import full_option, print_plan
from srframework.cli.screen import LOADING, resumable, screen, verbosity_options
from srframework.recipe.file_checks import FileChecks
from srframework.recipe.points import check_early
from srframework.units import number, suffix


class _Seeds(click.ParamType[tuple[int, ...]]):
    name = "SEEDS"

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> Any:
        """``1,2,3`` -> (1, 2, 3)."""
        words = str(value).split(",")
        seeds = tuple(int(word) for word in words if word.strip().isdecimal())
        if len(set(seeds)) < len(words):
            self.fail(f"expected different integers, such as 1,2,3; got {value!r}", param, context)
        return seeds


@click.command()
@click.argument("names", metavar="[CLAIM]...", nargs=-1, shell_complete=completion.claims)
@click.option(
    "--seeds", type=_Seeds(), default="1,2,3", show_default=True, help="Seeds; each claim runs once per seed."
)
@set_option
@worker_options
@click.option("--list", "listing", is_flag=True, help="List the claims and their checks; run nothing.")
@click.option(
    "--out",
    type=Folder(),
    help="Directory for the runs: a new or empty directory, or that of the same claims, to resume them. "
    "Default: runs/claims-<hash>.",
)
@store_option
@click.option(
    "--dry-run", is_flag=True, is_eager=True, help="Print the stages that would run, with their steps; run nothing."
)
@full_option
@verbosity_options
@json_option
@click.pass_obj
def claims(
    app: App,
    names: tuple[str, ...],
    seeds: tuple[int, ...],
    overrides: tuple[str, ...],
    jobs: int | None,
    threads: int | None,
    launcher: str | None,
    launcher_options: tuple[str, ...],
    listing: bool,
    out: Path | None,
    store: Path,
    dry_run: bool,
    full: bool,
    quiet: bool,
    verbose: bool,
    as_json: bool,
) -> None:
    """Test the paper's claims over several seeds.

    CLAIM is a shipped claim, such as 03-robust-subnetworks or the start of its name, 03; or the path of a recipe
    with a [claim] table. Default: all shipped claims.

    Each claim has checks. A check compares two sides; its margin is their difference. A check holds if its margin is
    significantly above 0 over the seeds (Student's t-test, one-sided, 5 %). It does not hold if the margin is
    significantly below 0. Otherwise, or with fewer than three seeds, it is undecided. A claim holds if all its checks
    hold. It does not hold if at least one check does not hold; for this, the 5 % are divided by the number of checks.
    """
    registry = app.registry
    place = launched(registry, launcher, launcher_options, jobs, threads)
    files = None if listing or dry_run else FileChecks()
    chosen = load_claims(names or shipped_claims(), seeds, registry, overrides, files)
    if listing:
        _print_list(chosen, as_json)
        return
    if dry_run:
        check_claims(chosen)
        every = [cell for claim in chosen for cell in claim.cells]
        check_early(cell.recipe for cell in every)
        print_plan(every, store, out or default_directory(chosen), full, as_json)
        return
    directory = out or default_directory(chosen)
    with screen(quiet, verbose) as on, resumable(directory):
        on.doing(LOADING)
        from srframework.claims.run import run_claims
        from srframework.cli.claim_display import ClaimDisplay
        from srframework.cli.sweep_display import summary
        from srframework.sweeps.run import Workers

        workers = Workers(place, app.plugins, on.reporter)
        result = run_claims(chosen, registry, store, directory, workers, ClaimDisplay(on, tables=False))
    if as_json:
        print_json(result.rows)
    else:
        print_table(_table(result.rows))
        click.echo(f"{len(seeds)} seed{'s' if len(seeds) > 1 else ''}; runs: {result.path}")
    if result.sweep is not None:
        on.line(summary(result.sweep))
    click.get_current_context().exit(1 if result.failed else 0)


def _table(rows: Sequence[dict[str, Any]]) -> Table:
    table = Table(show_lines=True)
    for heading in ("claim", "measured: mean ± sd", "check", "verdict"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        measured = "\n".join(f"{text} {_spread(each)}" for text, each in row["figures"].items())
        reasons = {text: f" ({reason})" for text, reason in row["reasons"].items()}
        checks = "\n".join(f"{text}: {verdict}{reasons.get(text, '')}" for text, verdict in row["checks"].items())
        claim = "\n".join(filter(None, (f"{row['claim'].removeprefix(FOLDER)}: {row['statement']}", row["note"])))
        table.add_row(claim, measured, checks, row["verdict"])
    return table


def _spread(figure: dict[str, Any]) -> str:
    spread = "" if figure["sd"] is None else f" ± {number(figure['sd'], figure['unit'])}"
    return f"{number(figure['mean'], figure['unit'])}{spread}{suffix(figure['unit'])}"


def _print_list(claims: Sequence[ClaimRecipe], as_json: bool) -> None:
    if as_json:
        print_json([{"claim": each.name, **each.claim.model_dump(mode="json")} for each in claims])
        return
    console = output()
    for each in claims:
        print_text(console, Text(each.name, "bold cyan"))
        print_text(console, each.claim.statement, indent=2)
        for check in each.claim.checks:
            print_text(console, check, indent=4, hanging=8)
