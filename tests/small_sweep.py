"""A small recipe that is swept, and what `srframework sweep` leaves of it."""

from __future__ import annotations

import json
from pathlib import Path

from small_recipe import FULL, small_recipe, srnet

RECIPE = small_recipe("Swept: all", FULL, srnet())

GRID = ("--grid", "seed=1,2", "--grid", "stages.srnet.pruner.sparsity=0.2,0.5")


def reports(out: Path) -> list[dict]:
    return json.loads((out / "sweep.json").read_text())


def figures(found: list[dict]) -> list:
    return [(report["values"], report["stages"]) for report in found]
