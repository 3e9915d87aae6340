"""Draws a random subset of a split, for quick runs."""

from __future__ import annotations

import random
from dataclasses import replace

import datasets

from srframework import Split


def subset(split: Split, size: int | None, seed: int, notes: list[str]) -> Split:
    """Draw ``size`` examples, without replacement; they stay in the order of the split.

    Args:
        split: Returned unchanged if ``size`` is None or not below its number of examples.
        size: Number of examples, at least 1.
        seed: The same seed draws the same examples.
        notes: Receives a sentence with the number of examples.
    """
    total = len(split.examples)
    if size is None or size >= total:
        return split
    drawn = random.Random(f"{seed}/max_train").sample(range(total), size)  # noqa: S311  (examples, no secrets)
    notes.append(f"{split.name}: {size} of {total} examples, drawn at random (max_train)")
    return replace(split, examples=datasets.Dataset.from_dict(split.examples[sorted(drawn)]))
