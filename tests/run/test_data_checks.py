"""What is told of data before training."""

from __future__ import annotations

from types import SimpleNamespace

import datasets
import pytest

from srframework.contracts import Split, TaskData
from srframework.errors import DataError, PluginError
from srframework.run.data_checks import check_task, count_cut, cut_note, suspicious, too_few_examples
from srframework.testing import network

LABELS = ("no", "yes", "maybe")


def split(name: str, labels: list[int], text_b: list[str] | None = None) -> Split:
    table = {"text_a": [f"{name} {i}" for i in range(len(labels))], "label": labels}
    table["text_b"] = [f"b {i}" for i in range(len(labels))] if text_b is None else text_b
    return Split(name, datasets.Dataset.from_dict(table), LABELS)


GOOD = [0, 1, 2, 0]


def notes(train=None, dev=None, batch_size=1, **more: object) -> list[str]:
    task = TaskData(LABELS, "accuracy", train or split("train", GOOD), dev or split("dev", GOOD), **more)
    check_task(task, "dataset 'x'")
    stage = SimpleNamespace(name="full", training=SimpleNamespace(batch_size=batch_size))
    return [*suspicious(task), *too_few_examples(task, [stage])]


def warnings(**more: object) -> list[str]:
    return [note for note in notes(**more) if note.startswith("warning: ")]


def test_the_share_of_each_label_of_each_split_is_told_in_a_line():
    assert notes(ood=(split("far", [2, 2, 1]),), ood_train=split("ood_train", [0, 1, 2])) == [
        "train: 4 examples: no 50.0 %, yes 25.0 %, maybe 25.0 %",
        "ood_train: 3 examples: no 33.3 %, yes 33.3 %, maybe 33.3 %",
        "dev: 4 examples: no 50.0 %, yes 25.0 %, maybe 25.0 %",
        "far: 3 examples: no 0 %, yes 33.3 %, maybe 66.7 %",
    ]


def test_few_among_many_are_not_rounded_away():
    shares = notes(train=split("train", [0] * 9_999 + [1, 2]))[0]
    assert shares == "train: 10,001 examples: no > 99.9 %, yes < 0.1 %, maybe < 0.1 %"


def test_good_data_is_told_of_without_a_warning():
    assert warnings() == []
    assert warnings(ood=(split("far", [0, 1]),)) == []  # an OOD split often lacks a label


@pytest.mark.parametrize("name", ["train", "dev"])
def test_a_split_of_one_label_is_told(name):
    assert warnings(**{name: split(name, [1, 1])}) == [f"warning: {name}: every example has the label 'yes'"]


@pytest.mark.parametrize("part", ["test", "ood_train", "ood", "also"])
def test_one_label_is_told_of_every_other_split(part):
    other = split("other", [2, 2, 2])
    given = (other,) if part in ("ood", "also") else other
    assert warnings(**{part: given}) == ["warning: other: every example has the label 'maybe'"]


@pytest.mark.parametrize("name", ["train", "dev"])
def test_a_label_without_examples_is_told(name):
    assert warnings(**{name: split(name, [0, 1, 1])}) == [f"warning: {name}: no example has the label 'maybe'"]


def test_a_label_without_examples_is_told_of_the_test_and_ood_training_sets():
    assert len(warnings(test=split("test", [0, 1]), ood_train=split("ood_train", [1, 2]))) == 2


def test_a_single_example_is_told():
    assert "warning: dev: there is only 1 example" in warnings(dev=split("dev", [1]))


def test_fewer_examples_than_a_batch_are_told():
    expected = "warning: train: 4 examples are fewer than one batch (batch_size = 5); stages: full"
    assert warnings(batch_size=5) == [expected]
    assert warnings(batch_size=4) == []


def test_two_columns_that_are_the_same_text_are_told():
    same = split("train", GOOD, text_b=[f"train {i}" for i in range(4)])
    assert warnings(train=same) == ["warning: train: text_a and text_b are the same text in 4 of 4 examples"]
    half = split("train", GOOD, text_b=["train 0", "train 1", "c", "d"])
    assert warnings(train=half) == []


def test_a_split_that_is_a_part_of_the_training_set_is_told():
    train = split("train", GOOD)
    dev = Split("dev", train.examples.select([1, 2, 3]), LABELS)
    assert warnings(dev=dev) == [
        "warning: dev: every example has the texts of a training example; is it the same file?"
    ]


@pytest.mark.parametrize("part", ["train", "dev"])
def test_a_split_without_examples_is_refused(part):
    with pytest.raises(DataError, match=f"split {part!r} has no examples"):
        notes(**{part: split(part, []) if part == "dev" else split("train", [])})


@pytest.mark.parametrize("label", [3, -1, None, 0.5, "yes", True])
def test_a_label_that_is_no_index_is_the_fault_of_the_plugin(label):
    with pytest.raises(PluginError, match="dataset 'x': split 'dev': example 1: expected a label between 0 and 2, got"):
        notes(dev=split("dev", [label]))


def test_a_split_without_texts_is_the_fault_of_the_plugin():
    bad = Split("dev", datasets.Dataset.from_dict({"text": ["a"], "label": [0]}), LABELS)
    with pytest.raises(PluginError, match="got no text_a"):
        notes(dev=bad)


def test_texts_that_are_cut_are_counted_exactly_and_the_tokenizer_stays_as_it_is():
    tokenizer = network().tokenizer
    texts = {"text_a": ["a", "a b", "a b c", "a b c d"], "text_b": ["b"] * 4}  # 5 to 8 tokens, three of them special
    examples = Split("dev", datasets.Dataset.from_dict({**texts, "label": [0] * 4}), LABELS)
    lengths = [len(ids) for ids in tokenizer(*texts.values(), truncation=True, max_length=6)["input_ids"]]
    assert lengths == [5, 6, 6, 6]
    before = tokenizer.backend_tokenizer.to_str()
    assert count_cut(examples, tokenizer, lengths, 6) == 2
    assert count_cut(examples, tokenizer, [5, 6, 7, 8], 8) == 0
    assert tokenizer.backend_tokenizer.to_str() == before
    assert cut_note("dev", 2, 4, 6) == "dev: 2 of 4 examples (50.0 %) are cut at max_length = 6 tokens"
