"""A random share of a split, for runs that are to be quick."""

from __future__ import annotations

import random
from dataclasses import replace

import datasets

from srframework import Split


def subset(split: Split, size: int | None, seed: int, notes: list[str]) -> Split:
    """Draw ``size`` examples, without replacement; they stay in the order of the split.

    Args:
        split: Returned as it is where ``size`` is None, or it has no more examples.
        size: At least 1.
        seed: The same one draws the same examples.
        notes: Is told how many were drawn.
    """
    total = len(split.examples)
    if size is None or size >= total:
        return split
    drawn = random.Random(f"{seed}/max_train").sample(range(total), size)  # noqa: S311  (examples, no secrets)
    notes.append(f"{split.name}: {size} of {total} examples, drawn at random, as max_train says")
    return replace(split, examples=datasets.Dataset.from_dict(split.examples[sorted(drawn)]))
