"""Checks of a data set's splits: their columns, their labels, and how they differ."""

from __future__ import annotations

import itertools
from collections.abc import Hashable
from typing import Any

from srframework.component import COLUMN, Options
from srframework.contracts import Split
from srframework.errors import SRFrameworkError
from srframework.testing.check import NotApplicable, Subject, require
from srframework.testing.loaded import loaded
from srframework.testing.loads import splits_of
from srframework.testing.randomness import untouched_settings


def splits_differ(subject: Subject) -> None:
    """No two evaluated splits have the same texts."""
    for one, two in itertools.combinations(loaded(subject).evaluated, 2):
        require(_texts(one) != _texts(two), f"{one.name} and {two.name} have the same texts")


def _texts(split: Split) -> list[tuple[Any, ...]]:
    names = [name for name in ("text_a", "text_b") if name in split.examples.column_names]
    return sorted(zip(*(map(str, split.examples[name][:]) for name in names), strict=True))


def collapse_fits_names(subject: Subject) -> None:
    """A collapse maps a label to the label of the same name, and examples of every label of such a split exist."""
    data, found = loaded(subject), False
    for split in splits_of(data):
        if split.collapse is None:
            continue
        found = True
        named = {label.casefold(): index for index, label in enumerate(split.labels)}
        for label, index in zip(data.labels, split.collapse, strict=False):
            expected = named.get(label.casefold(), index)
            got = split.labels[index]
            require(index == expected, f"{split.name}: collapse: {label} becomes {got}, although there is {label}")
        absent = sorted(set(range(len(split.labels))) - set(split.examples["label"][:]))
        names = ", ".join(split.labels[each] for each in absent)
        require(not absent, f"{split.name}: no example has the label {names}, to which collapse maps")
    if not found:
        raise NotApplicable("no split has other labels")


def training_labels(subject: Subject) -> None:
    """All training examples have the labels of the task, and merged labels are two or more."""
    data = loaded(subject)
    for split in (data.train, data.ood_train):
        if split is not None:
            same = split.collapse is None and tuple(split.labels) == tuple(data.labels)
            require(same, f"{split.name}: training examples must have the labels of the task")
    require(len(data.merged_labels) != 1, "merged_labels: expected none, or two labels or more, got one")


def sound_columns(subject: Subject) -> None:
    """The columns that the component provides exist in the training set; a group is a text or a number, never None."""
    data = loaded(subject)
    provided = [each.removeprefix(COLUMN) for each in subject.component.provided(subject.options()) if COLUMN in each]
    there = data.train.examples.column_names
    for name in provided:
        require(name in there, f'provides "column:{name}", but train has only the columns {", ".join(there)}')
    names = [name for name in dict.fromkeys([*provided, "group", "heuristic"]) if name in there]
    if not names:
        raise NotApplicable("no column of groups")
    for split in splits_of(data):
        for name in names:
            if name in split.examples.column_names:
                for row, value in enumerate(split.examples[name][:]):
                    fits = isinstance(value, str | int | float) and isinstance(value, Hashable)
                    require(fits, f"{split.name}: row {row}: {name}: expected a text or a number, got {value!r}")


def required_evaluators_apply(subject: Subject) -> None:
    """Some evaluated split has the columns of each evaluator that the data set requires."""
    data = loaded(subject)
    for need in subject.component.required(subject.options()):
        kind, _, name = need.partition("/")
        if kind == "evaluator":
            registered = subject.registry.get("evaluator", name)
            wanted = set(registered.build(registered.component.options.model_validate({})).columns())
            fits = any(wanted <= set(split.examples.column_names) for split in data.evaluated)
            require(fits, f"requires {need}, but no evaluated split has the column {', '.join(sorted(wanted))}")


def sizes_are_exact(subject: Subject) -> None:
    """An option that counts examples is not off by one, in any split."""
    found = False
    for option, pairs in subject.variations():
        of_split: dict[str, list[tuple[int, int]]] = {}
        values: dict[object, Options] = {}
        for options in itertools.chain(*pairs[:6]):
            values.setdefault(getattr(options, option), options)  # the first pairs differ in nothing else
        for value, options in values.items():
            if type(value) is not int or value < 2:
                continue
            try:
                data = subject.built(options).load(1)
            except SRFrameworkError:
                continue
            found = True
            for split in splits_of(data):
                of_split.setdefault(split.name, []).append((value, len(split.examples)))
        for name, points in of_split.items():
            for wrong in (-1, 1):
                off = {value for value, size in points if size == value + wrong}
                fits = len(off) < 2 or any(size == value for value, size in points)
                require(
                    fits,
                    f"{name}: with {option} = {max(off, default=0)}, it has {max(off, default=0) + wrong} examples",
                )
    if not found:
        raise NotApplicable("no option is an integer")


def settings_untouched(subject: Subject) -> None:
    """Loading leaves the settings of torch, numpy and the process as they were."""
    with untouched_settings("load()"):
        subject.build().load(1)


CHECKS = [
    splits_differ,
    collapse_fits_names,
    training_labels,
    sound_columns,
    required_evaluators_apply,
    sizes_are_exact,
    settings_untouched,
]
