"""``--dry-run``: print the plan of a recipe or a sweep."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from srframework.cli.context import output, print_json, print_text
from srframework.component import BACKBONE_VECTORS, NEEDS_FEATURES
from srframework.recipe.file_checks import FileChecks
from srframework.recipe.model import Recipe, Use
from srframework.recipe.stage_lengths import StageLength, lengths
from srframework.recipe.sweep import Cell
from srframework.units import P_B_OF_BACKBONE

_VARIANT = "variant"
"""The key of a sweep that chooses a variant of the recipe."""


def _with_dry_run(context: click.Context, _option: click.Parameter, full: bool) -> bool:
    if full and not context.params["dry_run"]:
        raise click.UsageError("--full only works with --dry-run.", context)
    return full


full_option = click.option(
    "--full",
    is_flag=True,
    callback=_with_dry_run,
    help="With --dry-run: print the resolved recipe too; for a sweep, the recipe of its first run.",
)


def print_plan(cells: Sequence[Cell], store: Path, out: Path | None, full: bool, as_json: bool) -> None:
    """Print the distinct stages of all cells, then cached stages and missing files.

    Args:
        cells: At least one.
        store: The directory of the store.
        out: The directory of the run or the sweep; None for the default one.
        full: Print the resolved recipe of the first cell before the plan, which then is a comment of it.
        as_json: Print the recipe and the stages of each cell as JSON.
    """
    plans = [lengths(cell.recipe) for cell in cells]
    if as_json:
        print_json(_document(cells, plans))
        return
    is_sweep = bool(cells[0].values)
    if full:
        click.echo(f"# The recipe{' of the first run' if is_sweep else ''}, with every option:")
        click.echo(cells[0].recipe.to_toml())
    for line in _lines(cells, plans, store, out, is_sweep):
        if full:
            click.echo(f"# {line}")
        else:
            print_text(output(), line, hanging=2)


def _lines(
    cells: Sequence[Cell], plans: Sequence[Sequence[StageLength]], store: Path, out: Path | None, is_sweep: bool
) -> Iterator[str]:
    distinct = _distinct(cells, plans, _cached(cells, store, out, is_sweep))
    if is_sweep:
        runs = f"{len(cells)} run{'s' if len(cells) > 1 else ''}"
        every = sum(map(len, plans))
        yield f"{runs}, {len(distinct)} distinct stages{f' instead of {every}' if every > len(distinct) else ''}:"
    else:
        yield "The plan, in order:"
    before = None
    for number, ((row, cached, variant), count) in enumerate(Counter(distinct).items(), 1):
        if variant not in (None, before):
            yield f"{_VARIANT} {variant}:"
        before = variant
        times = f", {count} times" if count > 1 else ""
        yield f"{number}. {row.stage}: {row.formula}, {_extent(row)}{times}{' (cached)' if cached else ''}"
    if not is_sweep and (sizes := cells[0].recipe.dataset.build().sizes()):
        yield f"Examples: {', '.join(f'{split} {size:,}' for split, size in sizes.items())}."
    if any(_features_of_backbone(cell.recipe) for cell in cells):
        yield f"Bias model: {P_B_OF_BACKBONE}."
    yield from _orders(cells)
    yield from _precisions(cells)
    known = [row.steps for row, *_ in distinct if row.steps is not None]
    yield f"Total: {_steps(sum(known) if len(known) == len(distinct) else None)}."
    stored = sum(bool(cached) for _, cached, _ in distinct)
    if any(cached is not None for _, cached, _ in distinct):
        again = "; they are reused unless data, code or library versions have changed" if stored else ""
        yield f"Cached stages, as of the last run: {stored} of {len(distinct)}{again}."
    else:
        yield "Cached stages: not known, because there is no run directory with these settings yet (see --out)."
    checks = FileChecks()
    yield from dict.fromkeys(line for cell in cells for line in _missing(cell.recipe, checks))


def _orders(cells: Sequence[Cell]) -> Iterator[str]:
    """How the batches of the stages are drawn."""
    stages = {(stage.name, stage.training.group_by_length): None for cell in cells for stage in cell.recipe.stages}
    grouped, random = ([name for name, each in stages if each is way] for way in (True, False))
    of = {True: grouped, False: random}
    texts = {True: "examples of similar length together (group_by_length = true)", False: "drawn at random"}
    for way, names in of.items():
        if names:
            which = f" of {', '.join(names)}" if grouped and random else ""
            yield f"Batches{which}: {texts[way]}."


def _precisions(cells: Sequence[Cell]) -> Iterator[str]:
    """The number formats of the forward passes."""
    formats: dict[tuple[str, str], dict[str, None]] = {}
    for stage in (stage for cell in cells for stage in cell.recipe.stages):
        key = stage.training.precision, stage.training.eval_precision
        formats.setdefault(key, {})[stage.name] = None
    for (training, evaluation), names in formats.items():
        which = f" of {', '.join(names)}" if len(formats) > 1 else ""
        yield f"Precision{which}: {training} in training, {evaluation} in evaluations."


def _features_of_backbone(recipe: Recipe) -> bool:
    """Whether the bias model is fitted on features that use the backbone's input embeddings as word vectors."""
    bias, dataset = recipe.bias, recipe.dataset
    fitted = bias is not None and NEEDS_FEATURES in bias.registered.required(bias.options)
    return fitted and BACKBONE_VECTORS in dataset.registered.provided(dataset.options)


def _distinct(
    cells: Sequence[Cell], plans: Sequence[Sequence[StageLength]], cached: Sequence[dict[str, bool] | None]
) -> list[tuple[StageLength, bool | None, Any]]:
    """Each distinct stage in order, whether it is cached, and the first variant of the recipe that has it."""
    if len(cells) == 1:
        return [(row, _of(cached[0], row.stage), None) for row in plans[0]]
    from srframework.run.identity import signatures

    found: dict[str, tuple[StageLength, bool | None, Any]] = {}
    for cell, plan, known in zip(cells, plans, cached, strict=True):
        signs = signatures(cell.recipe)
        for row in plan:
            first, is_cached, variant = found.get(signs[row.stage], (row, None, cell.values.get(_VARIANT)))
            if not is_cached:
                found[signs[row.stage]] = (first, _of(known, row.stage), variant)
    return [*found.values()]


def _of(cached: dict[str, bool] | None, stage: str) -> bool | None:
    return None if cached is None else cached.get(stage, False)


def _cached(cells: Sequence[Cell], store: Path, out: Path | None, is_sweep: bool) -> list[dict[str, bool] | None]:
    """For each cell, whether the store has the results of its stages; None if it was never run.

    The keys are those that its run directory names: they depend on the data, which are not read here.
    """
    from srframework.run.directory import RunDirectory
    from srframework.run.state import read, stages_of
    from srframework.store.store import Store
    from srframework.sweeps.directory import SweepDirectory

    entries = Store(store)
    if is_sweep:
        out = out or SweepDirectory.default_path(cells)
    places = [out / cell.slug if is_sweep and out else out or RunDirectory.default_path(cell.recipe) for cell in cells]
    found: list[dict[str, bool] | None] = []
    for place in places:
        stages = stages_of(read(place))
        try:
            here = {name: all(entries.place(key).is_dir() for key in keys.values()) for name, keys in stages.items()}
        except ValueError:  # a run.json that was changed
            here = {}
        found.append(here or None)
    return found


def _missing(recipe: Recipe, checks: FileChecks) -> Iterator[str]:
    """A line for each file or directory of the recipe that cannot be used."""
    uses: list[tuple[str, Use | None]] = [("backbone", recipe.backbone), ("dataset", recipe.dataset)]
    uses += [("bias", recipe.bias), *(("evaluators", use) for use in recipe.evaluators)]
    for stage in recipe.stages:
        uses += [(f"stages.{stage.name}.loss", stage.loss), (f"stages.{stage.name}.pruner", stage.pruner)]
    for place, use in uses:
        for problem in checks.of(use) if use is not None else ():
            yield f"Not ready: {'.'.join([place, *map(str, problem.key)])}: {problem.message}"


def _document(cells: Sequence[Cell], plans: Sequence[Sequence[StageLength]]) -> dict[str, Any]:
    rows = [[asdict(row) for row in plan] for plan in plans]
    if len(cells) == 1 and not cells[0].values:
        return {"recipe": cells[0].recipe.table(), "plan": rows[0]}
    pairs = zip(cells, rows, strict=True)
    return {"runs": [{"values": c.values, "recipe": c.recipe.table(), "plan": plan} for c, plan in pairs]}


def _extent(row: StageLength) -> str:
    steps = _steps(row.steps)
    if row.length == steps.replace(",", ""):
        return steps
    count = row.length.partition(" step")[0]
    if count.isdecimal() and row.steps is not None:  # a pruner may use fewer steps, or need more
        if row.steps > int(count):
            return f"{steps}, because the pruner needs more than {count}"
        return f"{row.steps:,} of {_steps(int(count))}"
    return f"{row.length}: {steps}"


def _steps(count: int | None) -> str:
    return "an unknown number of steps" if count is None else f"{count:,} step{'s' if count != 1 else ''}"
