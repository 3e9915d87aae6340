"""A recipe that runs in a second: synthetic data, the tiny backbone, a few steps of training."""

from __future__ import annotations

FULL = """
[[stages]]
name = "full"
op = "train"
loss = "std"
"""


def srnet(loss: str = "std") -> str:
    """The stage that prunes ``full``."""
    return f"""
[[stages]]
name = "srnet"
op = "prune"
weights = "full"
pruner = {{ use = "mask", sparsity = 0.5 }}
loss = "{loss}"
"""


def small_recipe(name: str, *tables: str, training: str = "max_steps = 2") -> str:
    """The text of the recipe: its head, and the tables after it, such as stages and a sweep."""
    head = f"""
name = "{name}"
schema = 1
backbone = {{ use = "tiny", layers = 1, width = 16, heads = 2, intermediate = 16 }}
dataset = {{ use = "synthetic", train_size = 24, dev_size = 12, ood_size = 9 }}
training = {{ batch_size = 8, {training} }}
"""
    return "".join((head, *tables))
