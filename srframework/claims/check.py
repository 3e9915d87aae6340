"""Check the claim of a recipe: its table, then the levels and the OOD splits that it names."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from pydantic import ValidationError

from srframework.claims.claim import Claim
from srframework.errors import SHOWN, UsageError
from srframework.faults import validated
from srframework.recipe.check import Add
from srframework.recipe.model import Recipe
from srframework.recipe.option_errors import explain
from srframework.recipe.points import check_kept
from srframework.recipe.stage_lengths import Plan
from srframework.report import figure_table
from srframework.text import choices_text, nearest, shorten


def check_table(data: Mapping[str, Any], add: Add) -> None:
    """Report the problems of the ``[claim]`` table of a recipe.

    Args:
        data: All tables of the recipe, with a ``claim``.
        add: Called for each problem.
    """
    table = data["claim"]
    if not isinstance(table, dict):
        return  # the recipe reports it
    try:
        claim = validated(Claim, table, None)
    except ValidationError as error:
        for each in explain(Claim, error, table):
            add(("claim", *each.key), each.message, each.nearest)
    else:
        _check_stages(claim, data.get("stages"), add)


TABLES = {"claim": check_table, "figure": figure_table.check_table}
"""The tables of a recipe that claims and report check, as :func:`srframework.recipe.check.check_recipe` takes them."""


def _check_stages(claim: Claim, tables: Any, add: Add) -> None:
    """Report figures of stages that the recipe does not have."""
    names = [table.get("name") for table in tables if isinstance(table, dict)] if isinstance(tables, list) else []
    stages = {name for name in names if isinstance(name, str)}
    if not stages or len(stages) < len(tables):
        return  # a stage without a name has an error of its own
    unknown = 0
    keys = [(key, index) for key in ("checks", "controls") for index in range(len(getattr(claim, key)))]
    for key, check in zip(keys, claim.parsed, strict=True):
        for name in sorted({figure.stage for figure in check.figures} - stages):
            unknown += 1
            near = nearest(name, stages) if unknown <= SHOWN else None
            offer = choices_text(near, sorted(stages))
            add(("claim", *key), f"no stage is named {shorten(name)}{offer}")


def check_levels(claim: Claim, recipe: Recipe, plan: Plan) -> None:
    """Refuse a figure of a sparsity level that its stage does not keep; skip stages of unknown length.

    Args:
        claim: The claim.
        recipe: Its recipe.
        plan: The phases of the stages.

    Raises:
        UsageError: There is such a figure; lists the levels that the stage keeps.
    """
    stages = {stage.name: stage for stage in recipe.stages}
    for check in claim.parsed:
        for figure in check.figures:
            name = figure.stage
            if figure.level is not None and name in plan:
                where, referred = f"claim: {figure.text}", recipe.points_kept(name)
                check_kept(where, stages[name], figure.level, plan[name], referred)


def check_splits(claim: Claim, splits: Collection[str]) -> None:
    """Refuse a figure of an OOD split that the data do not have.

    Args:
        claim: The claim.
        splits: The names of the OOD splits.

    Raises:
        UsageError: There is such a figure; lists the splits.
    """
    for check in claim.parsed:
        for figure in check.figures:
            known = figure.split in splits if figure.split else bool(splits)
            if figure.kind == "ood" and not known:
                got = figure.split or "the mean of all"
                expected = f"expected an OOD split among {', '.join(splits) or 'none'}; got {got!r}"
                raise UsageError(f"claim: {figure.text}: {expected}")
