"""Checks the data of a task before any stage begins.

Unusual data give a warning and do not stop the run: a split with one label may be intended.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence

import numpy as np
from transformers import PreTrainedTokenizerBase

from srframework.contracts import Split, TaskData
from srframework.errors import DataError, PluginError
from srframework.recipe.model import Stage
from srframework.text import shorten


def check_task(task: TaskData, owner: str) -> None:
    """Refuse data that cannot be used.

    Args:
        task: The data.
        owner: The data set's component, for messages.

    Raises:
        DataError: A split has no examples.
        PluginError: A split violates the contract.
    """
    for split in _all(task):
        place = f"{owner}: split {split.name!r}"
        columns = split.examples.column_names
        if missing := [column for column in ("text_a", "label") if column not in columns]:
            raise PluginError(f"{place}: expected the columns text_a and label, got no {missing[0]}")
        if len(split.examples) == 0:
            raise DataError(f"{place} has no examples; expected at least 1")
        labels = split.examples["label"][:]
        wrong = next(
            ((row, each) for row, each in enumerate(labels, 1) if not _is_index(each, len(split.labels))), None
        )
        if wrong is not None:
            row, got = wrong
            expected = f"a label between 0 and {len(split.labels) - 1}"
            raise PluginError(f"{place}: example {row}: expected {expected}, got {shorten(got)}")


def suspicious(task: TaskData) -> list[str]:
    """Describe the data, with warnings, in one sentence each; :func:`check_task` must have accepted the data."""
    notes = [_shares(split) for split in _all(task)]
    for split in _all(task):
        notes += _labels(split, task)
        notes += _texts(split)
        if len(split.examples) == 1:
            notes.append(f"warning: {split.name}: there is only 1 example")
    notes += _overlap(task)
    return notes


def too_few_examples(task: TaskData, stages: Sequence[Stage]) -> list[str]:
    """Return a warning if any stages have a batch size larger than the training set."""
    count = len(task.train.examples)
    larger = [stage for stage in stages if stage.training.batch_size > count]
    if not larger:
        return []
    size, names = larger[0].training.batch_size, ", ".join(stage.name for stage in larger[:5])
    shortage = f"{count} example{'s are' if count > 1 else ' is'} fewer than one batch (batch_size = {size})"
    return [f"warning: train: {shortage}; stages: {names}"]


def count_cut(split: Split, tokenizer: PreTrainedTokenizerBase, lengths: Sequence[int], max_length: int) -> int:
    """Count the examples of a split that have more tokens than ``max_length``.

    Args:
        split: N examples.
        tokenizer: Not changed; a copy is used.
        lengths: Number of tokens of each of the N examples, cut to ``max_length``.
        max_length: Tokens.
    """
    at_limit = [row for row, length in enumerate(lengths) if length >= max_length]
    if not at_limit:
        return 0
    own, cut = copy.deepcopy(tokenizer), 0
    columns = [name for name in ("text_a", "text_b") if name in split.examples.column_names]
    for start in range(0, len(at_limit), 1000):
        rows = split.examples[at_limit[start : start + 1000]]
        encoded = own(*(rows[name] for name in columns), truncation=False, padding=False, verbose=False)["input_ids"]
        cut += sum(len(ids) > max_length for ids in encoded)
    return cut


def cut_note(split: str, cut: int, count: int, max_length: int) -> str:
    """Describe how many texts of a split are cut; ``count``: its number of examples."""
    return f"{split}: {cut} of {count} examples ({_percent(cut / count)}) are cut at max_length = {max_length} tokens"


def _all(task: TaskData) -> Iterator[Split]:
    yield task.train
    if task.ood_train is not None:
        yield task.ood_train
    yield from task.evaluated


def _is_index(value: object, count: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < count


def _counts(split: Split) -> list[int]:
    counts = np.bincount(np.asarray(split.examples["label"][:], dtype=np.int64), minlength=len(split.labels))
    return [int(each) for each in counts]


def _shares(split: Split) -> str:
    counts = _counts(split)
    total = sum(counts)
    names = [repr(label) if label.isdecimal() else label for label in split.labels]  # '0' 50.0 %: not two numbers
    shown = [f"{name} {_percent(count / total)}" for name, count in zip(names, counts, strict=True)][:10]
    rest = f", and {len(counts) - 10} more labels" if len(counts) > 10 else ""
    return f"{split.name}: {total:,} example{'s' if total > 1 else ''}: {', '.join(shown)}{rest}"


def _labels(split: Split, task: TaskData) -> Iterator[str]:
    counts = _counts(split)
    there = [label for label, count in zip(split.labels, counts, strict=True) if count]
    missing = [label for label, count in zip(split.labels, counts, strict=True) if not count]
    names = ", ".join(map(repr, missing[:10]))
    if len(there) == 1:
        yield f"warning: {split.name}: every example has the label {there[0]!r}"
    elif missing and (split is task.train or split is task.dev or split is task.test or split is task.ood_train):
        yield f"warning: {split.name}: no example has the label {names}"


def _texts(split: Split) -> Iterator[str]:
    if "text_b" not in split.examples.column_names:
        return
    pairs = zip(split.examples["text_a"][:], split.examples["text_b"][:], strict=True)
    same, count = sum(a == b for a, b in pairs), len(split.examples)
    if same * 2 > count:
        yield f"warning: {split.name}: text_a and text_b are the same text in {same} of {count} examples"


def _overlap(task: TaskData) -> Iterator[str]:
    """Warn about evaluated splits that are a part of the training set."""
    known = set(_rows(task.train))
    for split in task.evaluated:
        if all(texts in known for texts in _rows(split)):
            yield f"warning: {split.name}: every example has the texts of a training example; is it the same file?"


def _rows(split: Split) -> Iterator[int]:
    """Yield the hash of the texts of each example."""
    columns = [split.examples[name][:] for name in ("text_a", "text_b") if name in split.examples.column_names]
    return map(hash, zip(*columns, strict=True))


def _percent(share: float) -> str:
    """Format a share; only exactly 0 gives 0 %, and only exactly 1 gives 100 %."""
    if 0 < share < 0.001:
        return "< 0.1 %"
    if 0.999 < share < 1:
        return "> 99.9 %"
    return f"{100 * share:.1f} %" if share not in (0, 1) else f"{100 * share:.0f} %"
