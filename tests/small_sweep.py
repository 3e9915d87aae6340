"""A small recipe that is swept, and what `srframework sweep` leaves of it."""

from __future__ import annotations

import json
from pathlib import Path

RECIPE = """
name = "Swept: all"
schema = 1
backbone = { use = "tiny", layers = 1, width = 16, heads = 2, intermediate = 16 }
dataset = { use = "synthetic", train_size = 24, dev_size = 12, ood_size = 9 }
training = { batch_size = 8, max_steps = 2 }

[[stages]]
name = "full"
op = "train"
loss = "std"

[[stages]]
name = "srnet"
op = "prune"
weights = "full"
pruner = { use = "mask", sparsity = 0.5 }
loss = "std"
"""

GRID = ("--grid", "seed=1,2", "--grid", "stages.srnet.pruner.sparsity=0.2,0.5")


def reports(out: Path) -> list[dict]:
    return json.loads((out / "sweep.json").read_text())


def figures(found: list[dict]) -> list:
    return [(report["values"], report["stages"]) for report in found]
