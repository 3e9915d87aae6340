"""Checks of data sets."""

from __future__ import annotations

import inspect
import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch

from srframework.contracts import Split
from srframework.testing.check import NotApplicable, Subject, checks_in, require
from srframework.testing.dataset_features import features_are_finite, features_follow_rows, no_label_in_features
from srframework.testing.inputs import predictions
from srframework.testing.loaded import digest, loaded, splits_of


def columns(subject: Subject) -> None:
    """Each split has examples with the columns text_a and label."""
    for split in splits_of(loaded(subject)):
        given = split.examples.column_names
        require({"text_a", "label"} <= set(given), f"{split.name}: expected the columns text_a and label, got {given}")
        require(len(split.examples) > 0, f"{split.name} has no examples")


def labels_in_range(subject: Subject) -> None:
    """Labels are integers that index the labels of their split."""
    for split in splits_of(loaded(subject)):
        for row, label in enumerate(split.examples["label"]):
            is_index = isinstance(label, int) and not isinstance(label, bool) and 0 <= label < len(split.labels)
            require(is_index, f"{split.name}: row {row}: expected a label in 0..{len(split.labels) - 1}, got {label!r}")


def labels_present(subject: Subject) -> None:
    """The training set has examples of each label."""
    data = loaded(subject)
    missing = set(range(len(data.labels))) - set(data.train.examples["label"])
    require(not missing, f"train: no example has the label {', '.join(data.labels[each] for each in sorted(missing))}")


def label_names(subject: Subject) -> None:
    """Labels have different names; a split with other labels has a valid collapse; merged labels exist."""
    data = loaded(subject)
    require(len(data.labels) >= 2, f"expected at least two labels, got {len(data.labels)}")
    for split in splits_of(data):
        where, labels = split.name, split.labels
        require(all(isinstance(each, str) and each for each in labels), f"{where}: expected names, got {labels}")
        require(len(set(labels)) == len(labels), f"{where}: two labels have the same name: {labels}")
        if split.collapse is None:
            require(labels == data.labels, f"{where}: expected the task's labels, or a collapse; got {labels}")
            continue
        require(len(split.collapse) == len(data.labels), f"{where}: collapse: expected one index for each label")
        outside = set(split.collapse) - set(range(len(labels)))
        require(not outside, f"{where}: collapse: {outside} are no labels of the split")
    require(set(data.merged_labels) <= set(data.labels), f"merged_labels: {data.merged_labels} are not all labels")
    require(data.train.collapse is None, "train: the training set must have the labels of the task")


def texts_are_strings(subject: Subject) -> None:
    """Texts are strings, and not all are empty or equal."""
    for split in splits_of(loaded(subject)):
        for name in {"text_a", "text_b"} & set(split.examples.column_names):
            texts = split.examples[name][:]
            wrong = next((each for each in texts if not isinstance(each, str)), "")
            require(isinstance(wrong, str), f"{split.name}: {name}: expected strings, got {wrong!r}")
            require(any(each.strip() for each in texts), f"{split.name}: every {name} is empty")
            require(len(set(texts)) > 1 or len(texts) < 4, f"{split.name}: every {name} is the same text")


def splits_are_disjoint(subject: Subject) -> None:
    """No evaluated split is made of training examples."""
    data = loaded(subject)

    def rows(split: Split) -> list[tuple[Any, ...]]:
        names = [name for name in ("text_a", "text_b", "label") if name in split.examples.column_names]
        return list(zip(*(split.examples[name][:] for name in names), strict=True))

    known = set(rows(data.train))
    for split in data.evaluated:
        shared = sum(each in known for each in rows(split))
        require(shared * 2 <= len(split.examples), f"{split.name}: {shared} of its examples are training examples")


def split_names(subject: Subject) -> None:
    """Splits have different names, none of them "model"."""
    names = [split.name for split in splits_of(loaded(subject))]
    require(all(isinstance(each, str) and each for each in names), f"expected names of splits, got {names}")
    require(len(set(names)) == len(names), f"two splits have the same name: {', '.join(names)}")
    require("model" not in names, 'the split name "model" is reserved for the figures of weights')


def unique_ids(subject: Subject) -> None:
    """The ids of a split are unique."""
    found = False
    for split in splits_of(loaded(subject)):
        if "id" in split.examples.column_names:
            found, ids = True, split.examples["id"][:]
            require(len(set(ids)) == len(ids), f"{split.name}: {len(ids) - len(set(ids))} ids occur twice")
    if not found:
        raise NotApplicable("no column id")


def known_metric(subject: Subject) -> None:
    """The metric is a figure of an evaluator that the data set requires."""
    data, found = loaded(subject), set[str]()
    names = [each.partition("/")[2] for each in subject.component.required(subject.options())]
    require(any(names), f'requires: expected the evaluator of the metric {data.metric!r}, as "evaluator/NAME"')
    for name in filter(None, names):
        registered = subject.registry.get("evaluator", name)
        evaluator = registered.build(registered.component.options.model_validate({}))
        logits = np.random.default_rng(1).normal(size=(len(data.dev.examples), len(data.labels))).astype(np.float32)
        given = predictions(data.dev, logits)
        if set(evaluator.columns()) <= set(given.columns):
            found |= evaluator.evaluate(given).keys()
    require(data.metric in found, f"metric: expected one of {', '.join(sorted(found))}, got {data.metric!r}")


def true_sizes(subject: Subject) -> None:
    """sizes() are the numbers of examples, or more if notes say which rows were skipped."""
    data, sizes = loaded(subject), subject.build().sizes()
    if not sizes:
        raise NotApplicable("no sizes")
    known = {("ood_train" if split is data.ood_train else split.name): len(split.examples) for split in splits_of(data)}
    for name, size in sizes.items():
        require(name in known, f"sizes: there is no split {name!r}; expected {', '.join(known)}")
        fits = size == known[name] or (size > known[name] and data.notes)
        require(fits, f"sizes: {name}: expected {known[name]}, got {size}")


def provides_what_it_has(subject: Subject) -> None:
    """The component provides "spurious-features" and "ood-train" exactly if the data have them."""
    data, given = loaded(subject), subject.component.provided(subject.options())
    for name, is_there in (("ood-train", data.ood_train), ("spurious-features", data.spurious_features)):
        there = is_there is not None
        require((name in given) == there, f"provides: {name} is {'missing' if there else 'named, but not in the data'}")


def same_rows_again(subject: Subject) -> None:
    """Two loads with one seed give the same rows."""
    one, dataset = digest(loaded(subject)), subject.build()
    dataset.load(2)
    require(digest(dataset.load(1)) == one, "two loads with seed 1 give different rows")


def seed_decides(subject: Subject) -> None:
    """The rows do not depend on the global random states, and loading leaves those as they were."""
    digests = []
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        for seed in (3, 4):
            random.seed(seed)
            np.random.seed(seed)
            torch.manual_seed(seed)
            before = random.getstate(), str(np.random.get_state()), torch.get_rng_state().tolist()
            digests.append(digest(subject.build().load(1)))
            after = random.getstate(), str(np.random.get_state()), torch.get_rng_state().tolist()
            require(before == after, "load() changes a global random state; draw from a generator of its own")
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])
    require(digests[0] == digests[1], "the rows depend on a global random state; use the seed")


def seed_matters(subject: Subject) -> None:
    """If anything is drawn, another seed gives other rows."""
    factory = subject.component.factory
    own = factory.partition(":")[0] if isinstance(factory, str) else factory.__module__
    drawn: list[str] = []

    def watched(module: Any, name: str) -> Any:
        original = getattr(module, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            caller = sys._getframe(1).f_globals.get("__name__", "")
            if caller.partition(".")[0] == own.partition(".")[0]:
                drawn.append(name)
            return original(*args, **kwargs)

        return mock.patch.object(module, name, call)

    with watched(random, "Random"), watched(np.random, "default_rng"), watched(np.random, "RandomState"):
        one = digest(subject.build().load(1))
    if not drawn:
        raise NotApplicable("nothing is drawn")
    require(any(digest(subject.build().load(seed)) != one for seed in (2, 3)), "seeds 1, 2 and 3 give the same rows")


def same_rows_in_another_process(subject: Subject) -> None:
    """Another process with another hash seed loads the same rows."""
    factory: Any = subject.component.factory
    if isinstance(factory, str):
        module, _, name = factory.partition(":")
        file = None
    else:
        module, name, file = factory.__module__, factory.__qualname__, inspect.getsourcefile(factory)
    options = subject.component.options
    if "<" in name + options.__qualname__:
        raise NotApplicable("the class is local to a function")
    of_options = options.__module__, options.__qualname__, inspect.getsourcefile(options)
    job = {
        "path": [str(Path(each).absolute()) for each in sys.path],
        "factory": [module, name, file],
        "options": [*of_options],
        "table": json.loads(json.dumps(subject.example, default=str)),
    }
    environment = os.environ | {"PYTHONHASHSEED": "12345"}
    done = subprocess.run(
        [sys.executable, "-m", "srframework.testing.load_dataset"],
        input=json.dumps(job),
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    require(done.returncode == 0, f"load() fails in another process: {done.stderr.strip()[-300:]}")
    same = done.stdout.strip().splitlines()[-1] == digest(loaded(subject))
    require(same, "another process with another hash seed loads other rows")


def accepts_its_files(subject: Subject) -> None:
    """check_files() finds no fault in the files of the example."""
    problems = list(subject.options().check_files())
    require(not problems, f"check_files() reports: {problems[:1]}")


CHECKS = checks_in(
    "dataset",
    [
        columns,
        labels_in_range,
        labels_present,
        label_names,
        texts_are_strings,
        splits_are_disjoint,
        split_names,
        unique_ids,
        known_metric,
        true_sizes,
        provides_what_it_has,
        same_rows_again,
        seed_decides,
        seed_matters,
        same_rows_in_another_process,
        features_are_finite,
        no_label_in_features,
        features_follow_rows,
        accepts_its_files,
    ],
)
