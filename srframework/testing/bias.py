"""Checks of bias models, on the small task."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import datasets
import numpy as np

from srframework.component import Options
from srframework.contracts import BiasModel, Split, TaskData
from srframework.testing.check import NotApplicable, Subject, checks_in, require, require_options_matter
from srframework.testing.hash_seeds import in_another_process
from srframework.testing.randomness import global_states, untouched_states
from srframework.testing.small_task import LABELS, task, word_vectors


def _fitted(
    subject: Subject, data: TaskData | None = None, built: BiasModel | None = None
) -> tuple[BiasModel, TaskData]:
    data = data or task()
    model: BiasModel = built or subject.build()
    spurious = data.spurious_features
    assert spurious is not None, "the small task has spurious features"
    needs = "spurious-features" in subject.component.required(subject.options())
    model.fit(data, (lambda split: spurious(split, word_vectors)) if needs else None)
    return model, data


def _of_train(subject: Subject, data: TaskData | None = None) -> np.ndarray:
    model, data = _fitted(subject, data)
    found = model.log_probs(data.train)
    require(found is not None, "log_probs() of the training set is None")
    assert found is not None
    return found


def _known(subject: Subject) -> list[tuple[Split, np.ndarray]]:
    model, data = _fitted(subject)
    splits = [data.train, *data.evaluated]
    return [(split, found) for split in splits if (found := model.log_probs(split)) is not None]


def _taken(split: Split, rows: list[int], **changed: Any) -> Split:
    return dataclasses.replace(split, examples=split.examples.select(rows), **changed)


def knows_the_training_set(subject: Subject) -> None:
    """There are log-probabilities of each training example."""
    _of_train(subject)


def shape(subject: Subject) -> None:
    """The log-probabilities have one row for each example and one column for each label."""
    _of_train(subject)
    for split, found in _known(subject):
        expected = len(split.examples), len(LABELS)
        require(found.shape == expected, f"{split.name}: expected the shape {expected}, got {found.shape}")


def normalised(subject: Subject) -> None:
    """The probabilities of each example sum to 1."""
    for split, found in _known(subject):
        sums = np.exp(found.astype(np.float64)).sum(axis=1)
        require(np.allclose(sums, 1, atol=1e-4), f"{split.name}: probabilities sum to {sums.min()}..{sums.max()}")


def finite(subject: Subject) -> None:
    """The log-probabilities are finite, and at most 0."""
    for split, found in _known(subject):
        require(np.isfinite(found).all(), f"{split.name}: expected finite log-probabilities")
        require(found.max() <= 1e-6, f"{split.name}: a log-probability is {found.max()}")


def bound_to_its_split(subject: Subject) -> None:
    """The rows belong to the examples of the split that is asked for, not to another split."""
    model, data = _fitted(subject)
    for split in data.evaluated:
        # Some selections are as long as others, as the training set, or as the split itself.
        as_long = [5, 4, 3, 2, 1, 0, 1, 3, 5, 0, 2, 4]
        for rows in ([4, 1, 0], [3, 0, 1, 5], [2], [2, 5, 3], [5, 4, 3, 2, 1, 0], as_long):
            found, of_all = model.log_probs(_taken(split, rows)), model.log_probs(split)
            if found is not None and of_all is not None:
                count = len(rows)
                require(len(found) == count, f"{split.name}: a split of {count} examples gets {len(found)} rows")
                same = np.allclose(found, of_all[rows], atol=1e-5)
                require(same, f"{split.name}: the rows do not follow the examples")


def does_not_read_labels(subject: Subject) -> None:
    """The labels of an evaluated split do not matter."""
    model, data = _fitted(subject, _blind())
    for split in data.evaluated:
        columns = split.examples.to_dict() | {"label": [(each + 1) % 3 for each in split.examples["label"]]}
        other = dataclasses.replace(split, examples=type(split.examples).from_dict(columns))
        one, two = model.log_probs(split), model.log_probs(other)
        same = one is two if one is None or two is None else np.allclose(one, two)
        require(same, f"{split.name}: other labels give other log-probabilities")


def _blind() -> TaskData:
    """The small task, with a feature that follows from the text alone."""
    letters = "adgjbehkcfil"

    def features(split: Split, _: Any) -> np.ndarray:
        return np.array([[float(letters.find(text[0]) % 4), float(text < "d")] for text in split.examples["text_a"]])

    return dataclasses.replace(task(), spurious_features=features)


def features_matter(subject: Subject) -> None:
    """A bias model that requires spurious features uses them: rows with other features get other predictions."""
    if "spurious-features" not in subject.component.required(subject.options()):
        raise NotApplicable('the bias model does not require "spurious-features"')
    found = np.exp(_of_train(subject))
    gold = np.array(task().train.examples["label"])
    of_zero, of_others = found[gold == 0, 0].mean(), found[gold != 0, 0].mean()
    sentence = "the feature of the small task marks label 0, which gets the probability"
    require(of_zero > of_others, f"{sentence} {of_zero:.2f} with the mark and {of_others:.2f} without")


def fits_on_the_training_set(subject: Subject) -> None:
    """Other evaluated splits do not change the log-probabilities of the training set."""
    data = _unbalanced()
    other = _taken(data.dev, [2, 2, 5, 2])
    changed = dataclasses.replace(data, dev=other, ood=(dataclasses.replace(other, name="ood"),))
    same = np.array_equal(_of_train(subject, data), _of_train(subject, changed))
    require(same, "the bias model is fitted on an evaluated split: other examples in dev and ood change it")


def columns_follow_the_labels(subject: Subject) -> None:
    """The columns are in the order of the task's labels: in another order, they predict the training set no better."""
    if subject.reads_files:
        raise NotApplicable("an option names a file, with rows for the training set of the checks")
    gold = [2, 0, 1] * 4  # not in the order of the labels, whose names are not in alphabetical order
    texts = {
        "text_a": [f"{'abc'[label]} d" for label in gold],
        "text_b": ["e"] * len(gold),
        "label": gold,
    }
    examples = datasets.Dataset.from_dict(texts)

    def features(split: Split, _: Any) -> np.ndarray:
        return np.array([[float(text[0] == letter) for letter in "abc"] for text in split.examples["text_a"]])

    train = Split("train", examples, LABELS)
    dev = Split("dev", examples.select(range(6)), LABELS)
    data = TaskData(LABELS, "accuracy", train, dev, spurious_features=features)
    found = _of_train(subject, data)
    require(found.shape == (len(gold), len(LABELS)), f"expected the shape (12, 3), got {found.shape}")
    rows = np.arange(len(gold))
    as_given = found[rows, gold].mean()
    for order in itertools.permutations(range(len(LABELS))):
        other = found[:, order][rows, gold].mean()
        names = ", ".join(LABELS[index] for index in np.argsort(order))
        sentence = f"the columns fit the order {names} better than that of the task, {', '.join(LABELS)}"
        require(other <= as_given + 1e-6, sentence)


def any_number_of_labels(subject: Subject) -> None:
    """With 2 labels, or with 4 labels and few examples of one, the rows have as many columns and are normalised."""
    if subject.reads_files:
        raise NotApplicable("an option names a file, with rows for three labels")
    for names, gold in ((LABELS[:2], [0, 1] * 6), ((*LABELS, "never"), [0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 3])):
        found = _of_train(subject, _relabelled(gold, names))
        expected = len(gold), len(names)
        require(found.shape == expected, f"with {len(names)} labels: expected the shape {expected}, got {found.shape}")
        sums = np.exp(found.astype(np.float64)).sum(axis=1)
        require(np.allclose(sums, 1, atol=1e-4), f"with {len(names)} labels: probabilities sum to {sums.min()}")


def options_matter(subject: Subject) -> None:
    """Each option changes the log-probabilities for some value, or is refused."""
    data = dataclasses.replace(_unbalanced(), merged_labels=LABELS[1:])

    def outcome(options: Options) -> list[Any]:
        model = subject.built(options)
        _, task = _fitted(subject, model.restrict(data), model)
        return [None if found is None else found.tolist() for found in map(model.log_probs, (task.train, task.dev))]

    require_options_matter(subject, outcome)


def repeats(subject: Subject) -> None:
    """Two fits to the same data give the same log-probabilities, and so does a second call."""
    with global_states(3):
        one = _of_train(subject)
    with global_states(4):
        require(np.array_equal(one, _of_train(subject)), "two fits to the same data give other log-probabilities")
    with in_another_process(subject.component):
        same = np.array_equal(one, _of_train(subject))
    require(same, "another process has other log-probabilities: hash() of a text differs in each process")
    model, data = _fitted(subject)
    model.log_probs(data.dev)
    again = model.log_probs(data.train)
    assert again is not None
    require(np.array_equal(one, again), "a second call of log_probs() gives other numbers")
    if again.flags.writeable:
        again[:] = 0
    require(np.array_equal(one, model.log_probs(data.train)), "log_probs() returns an array that the model still uses")  # type: ignore[arg-type]


def random_state_untouched(subject: Subject) -> None:
    """The global random states of Python, numpy and torch stay as they were."""
    with untouched_states("fit() or log_probs()"):
        model, data = _fitted(subject)
        model.log_probs(data.train)
        model.log_probs(data.dev)


def merged_labels_are_equal(subject: Subject) -> None:
    """Labels that the task merges have equal probabilities."""
    if "spurious-features" not in subject.component.required(subject.options()):
        raise NotApplicable('the bias model does not require "spurious-features"')
    found = _of_train(subject, dataclasses.replace(_unbalanced(), merged_labels=LABELS[1:]))
    require(np.allclose(found[:, 1], found[:, 2], atol=1e-5), "merged labels have different probabilities")
    sums = np.exp(found.astype(np.float64)).sum(axis=1)
    require(np.allclose(sums, 1, atol=1e-4), f"with merged labels, probabilities sum to {sums.min()}..{sums.max()}")


def _unbalanced() -> TaskData:
    """The small task, with different numbers of examples of each label."""
    return _relabelled([0, 1, 1, 1, 0, 1, 2, 0, 1, 0, 1, 2], LABELS)


def _relabelled(gold: list[int], names: tuple[str, ...]) -> TaskData:
    """The small task, with other labels in all splits."""

    def changed(split: Split) -> Split:
        columns = split.examples.to_dict() | {"label": gold[: len(split.examples)]}
        return dataclasses.replace(split, examples=type(split.examples).from_dict(columns), labels=names)

    data = task()
    ood = tuple(changed(split) for split in data.ood)
    return dataclasses.replace(data, labels=names, train=changed(data.train), dev=changed(data.dev), ood=ood)


def inputs_unchanged(subject: Subject) -> None:
    """The bias model changes neither the task nor the features."""
    data, features = task(), np.ones((12, 1))
    features[::3] = 0
    before = features.copy()
    given = dataclasses.replace(data, spurious_features=lambda split, _: features[: len(split.examples)])
    fields = dict(vars(given))
    model, _ = _fitted(subject, given)
    require(np.array_equal(features, before), "fit() changes the features in place")
    model.log_probs(given.train)
    require(np.array_equal(features, before), "log_probs() changes the features in place")
    changed = [name for name, value in fields.items() if vars(given)[name] is not value]
    require(not changed, f"fit() changes the fields {', '.join(changed)} of the task")


def restricts_the_training_set(subject: Subject) -> None:
    """restrict() drops training examples only: the others stay in order, and nothing else of the task changes."""
    given = task()
    left = subject.build().restrict(given)
    rows = iter(given.train.examples.to_list())
    in_order = all(row in rows for row in left.train.examples.to_list())
    require(in_order, "restrict() changes training examples or their order")
    require(left.train.name == given.train.name, "restrict() renames the training set")
    for name in ("labels", "metric", "dev", "test", "ood", "also", "ood_train"):
        require(getattr(left, name) == getattr(given, name), f"restrict() changes the field {name} of the task")
    dropped = len(given.train.examples) - len(left.train.examples)
    require(not dropped or left.notes != given.notes, "restrict() drops examples without a note")


CHECKS = checks_in(
    "bias",
    [
        restricts_the_training_set,
        knows_the_training_set,
        shape,
        normalised,
        finite,
        bound_to_its_split,
        does_not_read_labels,
        features_matter,
        fits_on_the_training_set,
        columns_follow_the_labels,
        any_number_of_labels,
        options_matter,
        repeats,
        random_state_untouched,
        merged_labels_are_equal,
        inputs_unchanged,
    ],
)
