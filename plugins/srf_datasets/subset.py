"""Draws random subsets of the splits of a task, for quick runs."""

from __future__ import annotations

import random
from dataclasses import replace

import datasets

from srframework import Split, TaskData


def subsets(task: TaskData, max_train: int | None, max_eval: int | None, seed: int) -> TaskData:
    """Draw the training examples, and those of every split that is evaluated; a note counts each split.

    The draws are independent: neither option changes what the other draws. OOD training examples stay as they are.

    Args:
        task: All examples.
        max_train: Number of training examples, at least 1; None for all.
        max_eval: Number of examples of each evaluated split, at least 1; None for all.
        seed: The same seed draws the same examples.
    """
    notes = [*task.notes]

    def evaluated(split: Split) -> Split:
        return subset(split, max_eval, f"{seed}/max_eval/{split.name}", "max_eval", notes)

    return replace(
        task,
        train=subset(task.train, max_train, f"{seed}/max_train", "max_train", notes),
        dev=evaluated(task.dev),
        test=None if task.test is None else evaluated(task.test),
        ood=tuple(map(evaluated, task.ood)),
        also=tuple(map(evaluated, task.also)),
        notes=tuple(notes),
    )


def subset(split: Split, size: int | None, stream: str, option: str, notes: list[str]) -> Split:
    """Draw ``size`` examples, without replacement; they stay in the order of the split.

    Args:
        split: Returned unchanged if ``size`` is None or not below its number of examples.
        size: Number of examples, at least 1.
        stream: Names the random stream: the same text draws the same examples.
        option: The option that gives the size, for the note.
        notes: Receives a sentence with the number of examples.
    """
    total = len(split.examples)
    if size is None or size >= total:
        return split
    drawn = random.Random(stream).sample(range(total), size)  # noqa: S311  (examples, no secrets)
    notes.append(f"{split.name}: {size} of {total} examples, drawn at random ({option})")
    return replace(split, examples=datasets.Dataset.from_dict(split.examples[sorted(drawn)]))
