"""``claims``: run the recipes of claims over several seeds and print the verdicts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
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

_NOTATION = "id(X) and ood(X): the metric of stage X on the ID and the OOD set, in checks as a fraction."


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
    "--seeds", type=_Seeds(), default="1,2,3,4,5", show_default=True, help="Seeds; each claim runs once per seed."
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
    significantly above 0 over the seeds (Student's t-test, one-sided, 5 % divided by the number of claims). It does not
    hold if the margin is significantly below 0. Otherwise, or with fewer than three seeds, it is undecided. A claim
    holds if all its checks hold and all its negative controls do not hold. It does not hold if at least one check does
    not hold (for this side the level is also divided by the number of checks).
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
        result = run_claims(chosen, registry, store, directory, workers, ClaimDisplay(on, directory, tables=False))
    if as_json:
        print_json(result.rows)
    else:
        _print_rows(result.rows)
        click.echo(f"run directory: {result.path}")
    if result.sweep is not None:
        on.line(summary(result.sweep))
    click.get_current_context().exit(1 if result.failed else 0)


def _print_rows(rows: Sequence[dict[str, Any]]) -> None:
    """Print a paragraph for each claim: its verdict, the measured figures, and its checks."""
    console = output()
    for row in rows:
        name = Text(row["claim"].removeprefix(FOLDER), "bold cyan")
        print_text(console, Text.assemble(name, ": ", (row["verdict"], "bold")), hanging=2)
        print_text(console, row["statement"], indent=2)
        if row["note"]:
            print_text(console, f"Note: {row['note']}", indent=2)
        for text, each in row["figures"].items():
            print_text(console, f"{text}: {_spread(each)}", indent=4, hanging=8)
        for line in (*_decided(row["checks"]), *_decided(row["controls"], "control: ")):
            print_text(console, line, indent=4, hanging=8)
    seeds = max((len(each["values"]) for row in rows for each in row["figures"].values()), default=0)
    if seeds:
        spread = ": mean ± standard deviation" if seeds > 1 else ""
        print_text(console, f"Figures of {seeds} seed{'s' if seeds > 1 else ''}{spread}. {_NOTATION}")
    counts = Counter(row["verdict"] for row in rows)
    click.echo(f"Verdicts: {', '.join(f'{count} {verdict}' for verdict, count in counts.items())}")


def _decided(decisions: dict[str, dict[str, Any]], prefix: str = "") -> Iterator[str]:
    """``ood(a) > ood(b): undecided (about 12 seeds would decide)`` for each check."""
    for text, each in decisions.items():
        more = each["reason"] or (f"about {each['seeds']} seeds would decide" if each["seeds"] else "")
        yield f"{prefix}{text}: {each['verdict']}{f' ({more})' if more else ''}"


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
        for check in (*each.claim.checks, *(f"control: {control}" for control in each.claim.controls)):
            print_text(console, check, indent=4, hanging=8)
    print_text(console, f"{_NOTATION} sd: standard deviation over the seeds.")
