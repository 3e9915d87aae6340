"""``claims``: the recipes that confirm or refute a claim, over several seeds, and what came out."""

from __future__ import annotations

import re
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from srframework.claims.claim import Judgement, judge
from srframework.cli.context import App, Folder, json_option, print_json, print_table, store_option
from srframework.cli.run import one_process_only, run_recipe, set_option
from srframework.errors import SRFrameworkError, UsageError, did_you_mean, nearest
from srframework.recipe.file_checks import FileChecks
from srframework.recipe.model import Recipe, shipped
from srframework.recipe.sweep import load_cells
from srframework.registry.registry import Registry

FOLDER = "claims/"


class _Seeds(click.ParamType[tuple[int, ...]]):
    name = "SEEDS"

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> Any:
        """``1,2,3`` -> (1, 2, 3)."""
        words = str(value).split(",")
        seeds = tuple(int(word) for word in words if word.strip().isdecimal())
        if len(set(seeds)) < len(words):
            self.fail(f"expected whole numbers that differ, such as 1,2,3; got {value!r}", param, context)
        return seeds


@click.command()
@click.argument("names", metavar="[CLAIM]...", nargs=-1)
@click.option("--seeds", type=_Seeds(), default="1,2,3", show_default=True, help="Seeds, one run of a claim for each.")
@set_option
@click.option("--list", "listing", is_flag=True, help="List the claims and their checks; run nothing.")
@click.option(
    "--out",
    type=Folder(),
    help="Directory for the runs: new, empty, or of the same claims, which go on. Default: runs/claims-<hash>.",
)
@store_option
@json_option
@click.pass_obj
def claims(
    app: App,
    names: tuple[str, ...],
    seeds: tuple[int, ...],
    overrides: tuple[str, ...],
    listing: bool,
    out: Path | None,
    store: Path,
    as_json: bool,
) -> None:
    """Run the recipes of the paper's claims over several seeds, and say which claims hold here.

    CLAIM: a recipe with a [claim] table, a path or one of `srframework recipes`; without any, all that come
    with srframework. A check holds where its margin is clear of 0 over the seeds (Student's t, 5 % a
    side), does not hold where it is clear of it the other way, and is undecided in between, and with
    fewer than three seeds. A claim holds where all its checks do, and does not where one does not (5 % in all).
    """
    chosen = [_resolve(name) for name in names] or [name for name in shipped() if name.startswith(FOLDER)]
    files = None if listing else FileChecks()
    recipes = {name: [_load(name, app.registry, overrides, seed, files) for seed in seeds] for name in chosen}
    for name, [first, *_] in recipes.items():
        if first.claim is None:
            raise UsageError(f"{name}: expected a recipe with a [claim] table")
    if listing:
        _print_list({name: runs[0] for name, runs in recipes.items()}, as_json)
        return
    from srframework.files import write_json
    from srframework.hashing import digest
    from srframework.recipe.plan import check_early
    from srframework.run.folder import locked, sentences

    one_process_only("claims")
    tables = [recipe.table() for runs in recipes.values() for recipe in runs]
    place = out or Path("runs") / f"claims-{digest(tables)[:8]}"
    places = {_place(place, name, recipe): recipe for name, runs in recipes.items() for recipe in runs}
    _check(place, places)  # refuses the directory of another run, before any work
    for recipe in places.values():
        check_early(recipe)
    with locked(place, lambda: _check(place, places), lambda text: click.echo(text, err=True), leave=False):
        with sentences(place):
            write_json(place / "claims.json", [])
        rows, failed = _run(recipes, place, store)
    if as_json:
        print_json(rows)
    else:
        print_table(_table(rows))
        click.echo(f"{len(seeds)} seed{'s' if len(seeds) > 1 else ''}; runs: {place}")
    click.get_current_context().exit(1 if failed else 0)


def _check(place: Path, places: Mapping[Path, Recipe]) -> None:
    """Refuse a directory that holds anything but some of these runs."""
    from srframework.run.directory import check_vacant

    check_vacant(place, "claims.json")
    others = sorted(run.parent for run in place.glob("*/*/recipe.toml") if run.parent not in places)
    if others:
        more = f", and {len(others) - 1} more" if len(others) > 1 else ""
        raise UsageError(
            f"--out {place}: expected a new or an empty directory, or one of the same claims, got one of others, with "
            f"the run {others[0].relative_to(place)}{more}, which these have not"
        )
    for run, recipe in places.items():
        check_vacant(run, "recipe.toml", recipe.to_toml())


def _load(name: str, registry: Registry, overrides: Sequence[str], seed: int, files: FileChecks | None) -> Recipe:
    cells = load_cells(name, registry, [*overrides, f"seed={seed}"], files=files)
    if cells[0].values:
        swept = ", ".join(cells[0].values)
        raise UsageError(f"{name}: expected nothing but the seed to vary, got a sweep over {swept}; --set 'sweep={{}}'")
    return cells[0].recipe


def _resolve(name: str) -> str:
    known = shipped()
    if name in known or Path(name).exists():
        return name
    if FOLDER + name in known:
        return FOLDER + name
    choices = [each for each in known if each.startswith(FOLDER)]
    near = nearest(FOLDER + name.removeprefix(FOLDER), choices)
    raise UsageError(f"expected a file, or one of: {', '.join(choices)}; got {name!r}{did_you_mean(near)}")


def _place(place: Path, name: str, recipe: Recipe) -> Path:
    """Where a recipe of a claim runs."""
    folder = re.sub(r"[^A-Za-z0-9._-]+", "-", name.removeprefix(FOLDER)).strip("-.")
    return place / folder / f"seed={recipe.seed}"


def _run(recipes: dict[str, list[Recipe]], place: Path, store: Path) -> tuple[list[dict[str, Any]], bool]:
    """A row for each claim; one that fails does not stop the rest, and what is done is on disk."""
    from srframework.files import write_json
    from srframework.run.folder import sentences

    rows: list[dict[str, Any]] = []
    failed = False
    for name, runs in recipes.items():
        claim = runs[0].claim
        assert claim is not None, "checked before"
        row: dict[str, Any] = {"claim": name, "statement": claim.statement, "source": claim.source, "note": claim.note}
        try:
            reports = []
            for recipe in runs:
                click.echo(f"{name}, seed {recipe.seed}: {claim.statement}", err=True)
                report = run_recipe(recipe, _place(place, name, recipe), store)
                assert report is not None, "there is one process"
                reports.append(report["stages"])
            row |= _judged(judge(claim, reports))
        except SRFrameworkError as error:
            failed = True
            click.echo(f"error: {name}: {error}", err=True)
            row |= {"verdict": "failed", "error": str(error), "figures": {}, "checks": {}}
        rows.append(row)
        with sentences(place):
            write_json(place / "claims.json", rows)
    return rows, failed


def _judged(judgement: Judgement) -> dict[str, Any]:
    figures = {
        text: {
            "values": values,
            "mean": statistics.fmean(values),
            "sd": statistics.stdev(values) if len(values) > 1 else None,
        }
        for text, values in judgement.figures.items()
    }
    return {"verdict": judgement.verdict, "figures": figures, "checks": judgement.checks}


def _table(rows: Sequence[dict[str, Any]]) -> Table:
    table = Table("claim", "measured, in percent: mean ± sd", "check", "verdict", show_lines=True)
    for row in rows:
        measured = "\n".join(f"{text} {_spread(each)}" for text, each in row["figures"].items())
        checks = "\n".join(f"{text}: {verdict}" for text, verdict in row["checks"].items())
        said = "\n".join(filter(None, (f"{row['claim'].removeprefix(FOLDER)}: {row['statement']}", row["note"])))
        table.add_row(said, measured, checks, row["verdict"])
    return table


def _spread(figure: dict[str, Any]) -> str:
    spread = "" if figure["sd"] is None else f" ± {100 * figure['sd']:.1f}"
    return f"{100 * figure['mean']:.1f}{spread}"


def _print_list(recipes: dict[str, Recipe], as_json: bool) -> None:
    listed = {
        name: recipe.claim.model_dump(mode="json") for name, recipe in recipes.items() if recipe.claim is not None
    }
    if as_json:
        print_json([{"claim": name, **claim} for name, claim in listed.items()])
        return
    table = Table("claim", "statement", "checks", box=None, header_style="bold", pad_edge=False)
    for name, claim in listed.items():
        table.add_row(name, claim["statement"], "\n".join(claim["checks"]))
    print_table(table)
