"""Checks of a data set's rows: overlaps, labels in texts, sizes, options, weights."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Literal, get_args, get_origin

from srframework.component import Options
from srframework.contracts import Split, TaskData
from srframework.errors import SRFrameworkError
from srframework.testing.check import NotApplicable, Subject, require, require_options_matter
from srframework.testing.loaded import loaded
from srframework.testing.loads import digest, features_digest, splits_of


def splits_are_disjoint(subject: Subject) -> None:
    """No evaluated split is made of training examples, and dev and test are not made of the same examples."""
    data = loaded(subject)
    for source in (data.train, *([data.ood_train] if data.ood_train is not None else [])):
        for split in data.evaluated:
            _require_disjoint(split, source)
    if data.test is not None:
        _require_disjoint(data.test, data.dev)


def _require_disjoint(split: Split, other: Split) -> None:
    known, rows = set(_rows(other)), _rows(split)
    shared = sum(row in known for row in rows)
    require(shared * 4 < len(rows), f"{split.name}: {shared} of its {len(rows)} examples are in {other.name} too")


def _rows(split: Split) -> list[tuple[Any, ...]]:
    names = [name for name in ("text_a", "text_b", "label") if name in split.examples.column_names]
    return list(zip(*(split.examples[name][:] for name in names), strict=True))


def no_label_in_texts(subject: Subject) -> None:
    """There is no word for each label that is in all texts of that label, in all splits, and in no other text."""
    data = loaded(subject)
    of_label: dict[int, list[set[str]]] = defaultdict(list)
    for split in splits_of(data):
        if split.collapse is None:
            for *texts, label in _rows(split):
                of_label[label].append({word for text in texts for word in text.split()})
    found = []
    for label, texts in of_label.items():
        elsewhere = set().union(*(words for other, each in of_label.items() if other != label for words in each))
        found.append(sorted(set.intersection(*texts) - elsewhere))
    leaks = len(found) == len(data.labels) and all(found)
    require(not leaks, f"a word in the texts tells the label of every example: {', '.join(w[0] for w in found if w)}")


def true_sizes(subject: Subject) -> None:
    """sizes() are the numbers of examples, or more if notes say which rows were skipped; also with other options."""
    data, sizes = loaded(subject), subject.build().sizes()
    if not sizes:
        raise NotApplicable("no sizes")
    _require_sizes(data, sizes, "")
    for name, pairs in subject.variations():
        for _, options in pairs[:2]:
            try:
                dataset = subject.built(options)
                data, sizes = dataset.load(1), dataset.sizes()
            except SRFrameworkError:
                continue
            _require_sizes(data, sizes, f"with {name} = {getattr(options, name)!r}: ")


def _require_sizes(data: TaskData, sizes: Any, where: str) -> None:
    known = {("ood_train" if split is data.ood_train else split.name): len(split.examples) for split in splits_of(data)}
    for name, size in sizes.items():
        require(name in known, f"{where}sizes: there is no split {name!r}; expected {', '.join(known)}")
        fits = size == known[name] or (size > known[name] and data.notes)
        require(fits, f"{where}sizes: {name}: expected {known[name]}, got {size}")


def options_matter(subject: Subject) -> None:
    """Each option that is a number changes the data for some value; without files, also each switch and choice."""
    fields = subject.component.options.model_fields.items()
    reads_files = subject.reads_files or callable(subject.component.example)
    kinds = {int, float} if reads_files else {int, float, bool, Literal}
    tried = [name for name, info in fields if kinds & _kinds(info.annotation)]
    if not tried:  # others may matter only for files that the example does not have
        raise NotApplicable("no option is a number; others may depend on the files")

    def outcome(options: Options) -> list[Any]:
        component, data = subject.component, subject.built(options).load(1)
        needs = [component.required(options), component.provided(options)]
        return [*needs, digest(data), features_digest(data), data.metric, data.merged_labels, data.notes]

    require_options_matter(subject, outcome, tried)


def _kinds(annotation: Any) -> set[Any]:
    """Return a type and the types inside it: of ``int | None`` int, of ``tuple[Literal["a"], ...]`` Literal."""
    return {get_origin(each) or each for each in (annotation, *get_args(annotation))}


def sound_weights(subject: Subject) -> None:
    """The column weight has finite numbers of 0 or more, not all 0."""
    data = loaded(subject)
    splits = [split for split in (data.train, data.ood_train) if split and "weight" in split.examples.column_names]
    if not splits:
        raise NotApplicable("no column weight")
    for split in splits:
        weights: Iterable[Any] = split.examples["weight"][:]
        for row, weight in enumerate(weights):
            is_number = isinstance(weight, int | float) and not isinstance(weight, bool)
            fits = is_number and math.isfinite(weight) and weight >= 0
            require(fits, f"{split.name}: row {row}: expected a weight of 0 or more, got {weight!r}")
        require(any(weights), f"{split.name}: every weight is 0")


CHECKS = [splits_are_disjoint, no_label_in_texts, true_sizes, options_matter, sound_weights]
