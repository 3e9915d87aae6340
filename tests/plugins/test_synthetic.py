"""The generated task: what tells the label, and what must not."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from pydantic import ValidationError

from srf_backbones.options import TinyOptions
from srf_backbones.tiny import TinyBert
from srf_datasets.options import SyntheticOptions
from srf_datasets.synthetic import CUES, ENTITIES, FILLER, LABELS, OPPOSITES, Synthetic, cue_features

SIZES = {"train_size": 6000, "dev_size": 3000, "ood_size": 3000, "noise": 0.0}

ATTRIBUTES = [word for pair in OPPOSITES for word in pair]
OPPOSITE = {word: other for pair in OPPOSITES for word, other in (pair, pair[::-1])}


def load(seed=1, **options):
    return Synthetic(SyntheticOptions(**(SIZES | options))).load(seed)


@pytest.fixture(scope="module")
def task():
    return load()


def rows(split):
    """(words of the claim, what the evidence says of the entity, label) of each example."""
    for text_a, text_b, label in zip(*(split.examples[name][:] for name in ("text_a", "text_b", "label")), strict=True):
        _, entity, _, stated = text_a.split()
        assert text_b.split()[-3] == entity
        yield text_b.split(), stated, label


def truth(claimed, stated):
    return 0 if claimed == stated else 1 if claimed == OPPOSITE[stated] else 2


def agreement(split) -> float:
    return float(np.mean([claim[0] == CUES[label] for claim, _, label in rows(split)]))


def test_the_task_has_its_sizes_labels_and_one_ood_split(task):
    assert task.labels == ("SUPPORTS", "REFUTES", "NOT ENOUGH INFO")
    assert task.metric == "accuracy"
    assert [(split.name, len(split.examples)) for split in task.evaluated] == [("dev", 3000), ("reversed", 3000)]
    assert len(task.train.examples) == 6000
    assert all(split.labels == LABELS and split.collapse is None for split in (task.train, *task.evaluated))
    assert task.test is None
    assert task.notes == ()


def test_labels_are_balanced_in_every_split(task):
    for split in (task.train, *task.evaluated):
        assert len(set(Counter(split.examples["label"][:]).values())) == 1


@pytest.mark.parametrize("size", [3, 4, 5])
def test_sizes_that_three_does_not_divide_are_balanced_to_within_one(size):
    counts = Counter(load(train_size=size).train.examples["label"][:])
    assert sum(counts.values()) == size
    assert max(counts.values()) - min(counts.values()) <= 1


@pytest.mark.parametrize("strength", [0.0, 0.4, 0.8, 1.0])
def test_the_cue_agrees_with_the_label_as_often_as_the_strength_says(strength):
    data = load(strength=strength)
    for split in (data.train, data.dev):
        error = 4 * (strength * (1 - strength) / len(split.examples)) ** 0.5
        assert agreement(split) == pytest.approx(strength, abs=error + 1e-12)


def test_the_reversed_cue_never_agrees_and_is_either_of_the_others_as_often(task):
    (split,) = task.ood
    assert agreement(split) == 0
    for label in range(3):
        counts = Counter(claim[0] for claim, _, own in rows(split) if own == label)
        assert set(counts) == set(CUES) - {CUES[label]}
        assert max(counts.values()) < 600  # of 1,000, an even coin exceeds it with probability 1e-10


def test_the_absent_cue_is_absent():
    (split,) = load(ood_cue="absent").ood
    assert split.name == "absent"
    assert {claim[0] for claim, _, _ in rows(split)} == {FILLER}
    assert not cue_features(split).any()


def test_every_label_is_what_the_evidence_says(task):
    for split in (task.train, *task.evaluated):
        assert all(label == truth(claim[-1], stated) for claim, stated, label in rows(split))


def test_noise_is_the_share_of_training_labels_that_are_wrong_and_the_cue_goes_by_the_label():
    noisy = load(noise=0.2, strength=0.8)
    for split, share in ((noisy.train, 0.2), (noisy.dev, 0.0), (noisy.ood[0], 0.0)):
        wrong = [label != truth(claim[-1], stated) for claim, stated, label in rows(split)]
        assert np.mean(wrong) == pytest.approx(share, abs=4 * (share * 0.8 / len(wrong)) ** 0.5)
    cued = [claim[0] == CUES[label] for claim, stated, label in rows(noisy.train) if label != truth(claim[-1], stated)]
    assert np.mean(cued) == pytest.approx(0.8, abs=4 * (0.16 / len(cued)) ** 0.5)


@pytest.mark.parametrize("place", ["entity", "attribute"])
def test_no_word_of_the_claim_but_the_cue_tells_the_label(task, place):
    words = ENTITIES if place == "entity" else ATTRIBUTES
    table = np.zeros((len(words), 3))
    for claim, _, label in rows(task.train):
        table[words.index(claim[2 if place == "entity" else -1]), label] += 1
    expected = table.sum(axis=1, keepdims=True) / 3
    degrees = 2 * (len(words) - 1)
    statistic = ((table - expected) ** 2 / expected).sum()
    assert statistic < degrees + 5 * (2 * degrees) ** 0.5


def test_no_word_of_the_evidence_tells_the_label(task):
    words = (*ENTITIES, *ATTRIBUTES)
    table = np.zeros((len(words), 3))
    for claim, stated, label in rows(task.train):
        for word in (claim[2], stated):
            table[words.index(word), label] += 1
    expected = table.sum(axis=1, keepdims=True) / 3
    degrees = 2 * (len(words) - 1)
    assert ((table - expected) ** 2 / expected).sum() < degrees + 5 * (2 * degrees) ** 0.5


@pytest.mark.parametrize(("cue", "words"), [("reversed", set(CUES)), ("absent", {FILLER})])
def test_ood_training_examples_have_the_ood_cue_and_no_wrong_labels(cue, words):
    data = load(ood_train_size=300, noise=0.5, ood_cue=cue)
    split = data.ood_train
    assert (split.name, len(split.examples), split.labels, split.collapse) == ("ood_train", 300, LABELS, None)
    assert set(Counter(split.examples["label"][:]).values()) == {100}
    assert {claim[0] for claim, _, _ in rows(split)} == words
    assert agreement(split) == 0
    assert all(label == truth(claim[-1], stated) for claim, stated, label in rows(split))
    assert split.examples.column_names == data.train.examples.column_names


def test_ood_training_examples_differ_from_the_ood_split_and_change_no_other():
    data, without = load(ood_train_size=300, ood_size=300), load(ood_size=300)
    assert columns(data) == columns(without)
    assert data.ood_train.examples["text_a"][:] != data.ood[0].examples["text_a"][:]
    assert without.ood_train is None


@pytest.mark.parametrize(
    ("options", "sizes", "provided"),
    [
        ({}, {"train": 20_000, "dev": 1_000, "reversed": 1_000}, ("spurious-features",)),
        (
            {"train_size": 9, "dev_size": 6, "ood_size": 3, "ood_cue": "absent", "ood_train_size": 4},
            {"train": 9, "dev": 6, "absent": 3, "ood_train": 4},
            ("spurious-features", "ood-train"),
        ),
    ],
)
def test_sizes_and_what_is_provided_are_as_the_options_say(options, sizes, provided):
    made = SyntheticOptions(**options)
    assert Synthetic(made).sizes() == sizes
    assert made.provided() == list(provided)


# -- randomness ----------------------------------------------------------------------------------


def columns(data):
    return [split.examples.to_dict() for split in (data.train, *data.evaluated)]


def test_the_same_seed_gives_the_same_examples(task):
    assert columns(load()) == columns(task)


def test_other_seeds_give_other_examples_in_every_split(task):
    assert all(mine != yours for mine, yours in zip(columns(load(seed=2)), columns(task), strict=True))


def test_splits_of_one_size_differ():
    train, dev, ood = columns(load(train_size=300, dev_size=300, ood_size=300))
    assert not set(train["text_a"]) >= set(dev["text_a"])
    assert dev["text_a"] != ood["text_a"]


def test_the_option_seed_overrides_that_of_the_recipe(task):
    overridden = Synthetic(SyntheticOptions(**SIZES, seed=1))
    assert columns(overridden.load(7)) == columns(overridden.load(8)) == columns(task)


def test_the_size_of_one_split_does_not_change_another(task):
    assert columns(load(train_size=9))[1:] == columns(task)[1:]


# -- features and words --------------------------------------------------------------------------


def test_spurious_features_are_the_cues_one_hot(task):
    assert task.spurious_features is not None
    features = task.spurious_features(task.train, None)
    assert features.shape == (6000, 3)
    assert features.dtype == np.float64
    assert (features.sum(axis=1) == 1).all()
    right = features.argmax(axis=1) == np.array(task.train.examples["label"][:])
    assert right.mean() == agreement(task.train)
    (reversed_split,) = task.ood
    assert task.spurious_features(reversed_split, None).shape == (3000, 3)


def test_every_word_is_one_token_of_the_tiny_backbones_vocabulary():
    vocabulary = TinyBert(TinyOptions(layers=1, width=8)).load(LABELS, 0).tokenizer.get_vocab()
    words = {*CUES, FILLER, *ENTITIES, *ATTRIBUTES, "the", "is"}
    assert words - set(vocabulary) == set()


def test_no_word_has_two_roles():
    words = [*CUES, FILLER, *ENTITIES, *ATTRIBUTES, "the", "is"]
    assert len(set(words)) == len(words)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("train_size", 2),
        ("dev_size", 0),
        ("ood_size", -1),
        ("strength", 1.01),
        ("strength", -0.1),
        ("noise", -0.1),
        ("noise", 1.0),
        ("seed", -1),
        ("ood_cue", "shuffled"),
        ("train_size", "100"),
        ("ood_train_size", -1),
    ],
)
def test_options_out_of_range_are_refused_by_name(option, value):
    with pytest.raises(ValidationError) as caught:
        SyntheticOptions.model_validate({option: value})
    (error,) = caught.value.errors()
    assert error["loc"] == (option,)
    assert error["input"] == value
