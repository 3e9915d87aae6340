"""Random subsets of the training examples and of the splits that are evaluated."""

from __future__ import annotations

from collections import Counter

import datasets
import pytest
from hypothesis import given
from hypothesis import strategies as st

from srf_datasets.subset import subset, subsets
from srframework import Split, TaskData


def split_of(size: int, name: str = "train") -> Split:
    columns = {"text_a": [f"t{i}" for i in range(size)], "label": [0] * size, "id": list(range(size))}
    return Split(name, datasets.Dataset.from_dict(columns), ("no", "yes"), (1, 0))


def task_of(size: int, test: bool = True) -> TaskData:
    return TaskData(
        labels=("no", "yes"),
        metric="accuracy",
        train=split_of(size),
        dev=split_of(size, "dev"),
        test=split_of(size, "test") if test else None,
        ood=(split_of(size, "far"), split_of(size, "farther")),
        also=(split_of(size, "mismatched"),),
        ood_train=split_of(size, "ood_train"),
        notes=("read",),
    )


def ids(split: Split) -> list[int]:
    return split.examples["id"][:]


def drawn_of(task: TaskData) -> dict[str, list[int]]:
    return {split.name: ids(split) for split in (task.train, task.ood_train, *task.evaluated)}


@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 2**32))
def test_it_has_as_many_examples_as_asked_for_each_once_in_their_order(total, size, seed):
    notes: list[str] = []
    drawn = subset(split_of(total), size, f"{seed}", "max_train", notes)
    assert len(ids(drawn)) == min(size, total)
    assert ids(drawn) == sorted(set(ids(drawn)))
    assert drawn.examples["text_a"][:] == [f"t{i}" for i in ids(drawn)]
    assert (drawn.name, drawn.labels, drawn.collapse) == ("train", ("no", "yes"), (1, 0))
    expected = f"train: {size} of {total} examples, drawn at random (max_train)"
    assert notes == ([expected] if size < total else [])


@pytest.mark.parametrize("size", [None, 5, 6])
def test_a_split_that_is_small_enough_is_left_as_it_is(size):
    split = split_of(5)
    assert subset(split, size, "1", "max_train", []) is split


def test_every_example_is_as_likely_as_any_other():
    draws = [drawn_of(subsets(task_of(8), 4, 4, seed)) for seed in range(400)]
    for name in ("train", "far"):
        counts = Counter(i for drawn in draws for i in drawn[name])
        assert set(counts) == set(range(8))
        assert all(150 < count < 250 for count in counts.values())  # of 400, expected 200, deviation 10


def test_max_eval_is_for_each_evaluated_split_and_for_no_training_examples():
    task = subsets(task_of(9), None, 4, 1)
    sizes = {name: len(drawn) for name, drawn in drawn_of(task).items()}
    assert sizes == {"train": 9, "ood_train": 9, "dev": 4, "test": 4, "mismatched": 4, "far": 4, "farther": 4}
    names = ("dev", "test", "far", "farther", "mismatched")
    assert task.notes == ("read", *(f"{name}: 4 of 9 examples, drawn at random (max_eval)" for name in names))
    assert subsets(task_of(9, test=False), None, 4, 1).test is None


def test_the_seed_decides_which_are_drawn():
    one, again, other = (drawn_of(subsets(task_of(100), 10, 10, seed)) for seed in (1, 1, 2))
    assert one == again
    assert all(one[name] != other[name] for name in one if name != "ood_train")


def test_no_draw_depends_on_another():
    both, train, evaluated = (drawn_of(subsets(task_of(100), *most, 1)) for most in ((10, 10), (10, None), (None, 10)))
    assert both["train"] == train["train"]
    assert all(both[name] == evaluated[name] for name in both if name != "train")
    assert len({tuple(drawn) for drawn in both.values()}) == len(both)  # the splits are alike, their draws are not
