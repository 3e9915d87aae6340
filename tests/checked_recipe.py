"""A small recipe, and how messages name its components."""

from __future__ import annotations

from srframework.component import Options
from srframework.training.options import TrainingOptions

RECIPE = """\
name = "small"
schema = 1

[backbone]
use = "tiny"

[dataset]
use = "synthetic"

[[stages]]
name = "full"
op = "train"
loss.use = "std"

[[stages]]
name = "srnet"
op = "prune"
weights = "full"
pruner = { use = "mask", sparsity = 0.5 }
loss.use = "poe"
"""

PAIRS = """\
[dataset]
use = "pairs"
labels = ["no", "yes"]
features = "none"
train.path = "d.tsv"
dev.path = "d.tsv"
"""


def keys(options: type[Options]) -> str:
    return ", ".join(options.model_fields)


TRAINING_KEYS = keys(TrainingOptions)


TINY, SYNTHETIC, MASK, STD, CONFREG = (
    f" (option of {kind} {name!r} of srframework 0.1.0)"
    for kind, name in [
        ("backbone", "tiny"),
        ("dataset", "synthetic"),
        ("pruner", "mask"),
        ("debiaser", "std"),
        ("debiaser", "confreg"),
    ]
)
