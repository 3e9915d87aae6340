"""The recipes of claims, one for each seed."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from srframework.claims.check import TABLES, check_levels
from srframework.claims.claim import Claim
from srframework.errors import UsageError
from srframework.hashing import digest
from srframework.recipe.document import Source
from srframework.recipe.file_checks import FileChecks
from srframework.recipe.model import Recipe, shipped
from srframework.recipe.stage_lengths import plan
from srframework.recipe.sweep import Cell, load_cells
from srframework.registry.registry import Registry
from srframework.text import did_you_mean, nearest, shorten

FOLDER = "claims/"
"""Folder of the shipped recipes that test the paper's claims."""

RESERVED = ("claims.json", "sweep.json", "logs")
"""Names in a claims directory that are not the folder of a claim."""


@dataclass(frozen=True)
class ClaimRecipe:
    """A claim, and the runs that it needs.

    Attributes:
        name: As the user names it; for a shipped claim, the name of its recipe.
        claim: The claim.
        cells: The recipe with each seed.
    """

    name: str
    claim: Claim
    cells: tuple[Cell, ...]


def shipped_claims() -> list[str]:
    """The names of the recipes of claims that come with srframework."""
    return [name for name in shipped() if name.startswith(FOLDER)]


def default_directory(claims: Sequence[ClaimRecipe]) -> Path:
    """``runs/claims-<hash of all recipes>``, under the current directory: the same for the same claims and seeds."""
    return Path("runs") / f"claims-{digest([cell.recipe.table() for each in claims for cell in each.cells])[:8]}"


def load_claims(
    names: Sequence[str],
    seeds: Sequence[int],
    registry: Registry,
    overrides: Sequence[str] = (),
    files: FileChecks | None = None,
) -> list[ClaimRecipe]:
    """Read and check the recipes of some claims.

    Args:
        names: Paths, or names of shipped recipes, with or without ``claims/``, or the start of such a name; repeated
            names count once.
        seeds: Seeds of the runs of each claim.
        registry: The components.
        overrides: ``key=value`` for every recipe; an override of the seed has no effect.
        files: Also checks the files that the recipes name.

    Raises:
        RecipeError: A recipe or its claim is wrong; has all problems of the recipe.
        UsageError: There is no such recipe, it has no claim, or it varies more than its seed.
    """
    found: list[ClaimRecipe] = []
    folders: set[str] = {*RESERVED}
    for name in dict.fromkeys(_resolved(name) for name in names):
        source, folder = Source(name), _folder(name, folders)
        recipes = [_load(name, source, registry, [*overrides, f"seed={seed}"], files) for seed in seeds]
        if recipes[0].claim is None:
            raise UsageError(f"{name}: expected a recipe with a [claim] table")
        cells = tuple(_cell(name, folder, recipe) for recipe in recipes)
        found.append(ClaimRecipe(name, Claim.model_validate(recipes[0].claim), cells))
    return found


def check_claims(claims: Sequence[ClaimRecipe]) -> None:
    """Refuse figures of sparsity levels that a stage does not keep, if the levels are known without the data.

    Raises:
        UsageError: A claim has such a figure.
    """
    for each in claims:
        if any(figure.level is not None for check in each.claim.parsed for figure in check.figures):
            recipe = each.cells[0].recipe
            check_levels(each.claim, recipe, plan(recipe, recipe.dataset.build().sizes()))


def _resolved(name: str) -> str:
    known = shipped()
    if name in known or os.path.exists(name):
        return name
    if FOLDER + name in known:
        return FOLDER + name
    choices = shipped_claims()
    starting = [each for each in choices if name and each.removeprefix(FOLDER).startswith(name.removeprefix(FOLDER))]
    if len(starting) == 1:
        return starting[0]
    if starting:
        raise UsageError(f"several claims start with {name!r}: {', '.join(starting)}")
    near = nearest(FOLDER + name.removeprefix(FOLDER), choices)
    hint = did_you_mean(near)
    raise UsageError(f"no file and no claim is named {shorten(name)} (see `srframework claims --list`){hint}")


def _folder(name: str, used: set[str]) -> str:
    """A folder name for a claim that differs from those in ``used``, ignoring case; adds it there."""
    folder = re.sub(r"[^A-Za-z0-9._-]+", "-", name.removeprefix(FOLDER)).strip("-.") or "claim"
    while folder.casefold() in used:
        folder += "+"
    used.add(folder.casefold())
    return folder


def _cell(name: str, folder: str, recipe: Recipe) -> Cell:
    seed = recipe.seed
    return Cell({"claim": name, "seed": seed}, f"{name}, seed {seed}", f"{folder}/seed={seed}", recipe)


def _load(name: str, source: Source, registry: Registry, overrides: Sequence[str], files: FileChecks | None) -> Recipe:
    cells = load_cells(source, registry, overrides, files=files, tables=TABLES)
    if cells[0].values:
        swept = ", ".join(cells[0].values)
        raise UsageError(f"{name}: a claim can sweep only the seed (got {swept}); --set 'sweep={{}}' ignores the sweep")
    return cells[0].recipe
