"""The generated task: what tells the label, and what must not."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from pydantic import ValidationError

from srf_backbones.tiny import tokenizer_of_tiny
from srf_datasets.synthetic import CUES, FILLER, LABELS, Synthetic, cue_features
from srf_datasets.synthetic_options import SyntheticOptions
from srf_datasets.world import ANIMALS, ATTRIBUTES, OPPOSITE

TEXTS = ("text_a", "text_b", "label")

SIZES = {"train_size": 6000, "dev_size": 3000, "ood_size": 3000, "noise": 0.0, "visible": 1.0}


def load(seed=1, **options):
    return Synthetic(SyntheticOptions(**(SIZES | options))).load(seed)


@pytest.fixture(scope="module")
def task():
    return load()


def rows(split):
    """(words of the claim, what the evidence says of each animal, label) of each example."""
    for text_a, text_b, label in zip(*(split.examples[name][:] for name in ("text_a", "text_b", "label")), strict=True):
        facts = dict(reversed(fact.split()) for fact in text_a.split(" and "))
        claim = text_b.split()
        assert claim[2] in facts
        assert len(claim) == 4
        yield claim, facts, label


def truth(claim, facts):
    claimed, stated = claim[1], facts[claim[2]]
    return 0 if claimed == stated else 1 if claimed == OPPOSITE[stated] else 2


def cue(claim):
    """The word of the two places of the cue that is not the filler; the filler if neither is."""
    return next((word for word in (claim[0], claim[3]) if word != FILLER), FILLER)


def agreement(split) -> float:
    return float(np.mean([cue(claim) == CUES[label] for claim, _, label in rows(split)]))


def test_the_examples_read_as_sentences():
    examples = load(seed=3, train_size=3, visible=0.5, distraction=1.0).train.examples
    assert examples["text_a"][:] == [
        "young wolf and young whale",
        "tall swan and calm wolf",
        "young shark and old crow",
    ]
    assert examples["text_b"][:] == ["now old wolf hardly", "now tall wolf perhaps", "now young shark surely"]


def test_the_task_has_its_sizes_labels_and_one_ood_split(task):
    assert task.labels == ("SUPPORTS", "REFUTES", "NOT ENOUGH INFO")
    assert task.metric == "accuracy"
    assert [(split.name, len(split.examples)) for split in task.evaluated] == [("dev", 3000), ("random", 3000)]
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


def test_the_reversed_cue_never_agrees_and_is_either_of_the_others_as_often():
    (split,) = load(ood_cue="reversed").ood
    assert agreement(split) == 0
    for label in range(3):
        counts = Counter(cue(claim) for claim, _, own in rows(split) if own == label)
        assert set(counts) == set(CUES) - {CUES[label]}
        assert max(counts.values()) < 600  # of 1,000, an even coin exceeds it with probability 1e-10


def test_the_random_cue_says_nothing_about_the_label(task):
    (split,) = task.ood
    table = np.zeros((3, 3))
    for claim, _, label in rows(split):
        table[CUES.index(cue(claim)), label] += 1
    assert ((table - 1000 / 3) ** 2 / (1000 / 3)).sum() < 4 + 5 * 8**0.5  # chi-squared with 4 degrees of freedom


def test_the_absent_cue_is_absent():
    (split,) = load(ood_cue="absent").ood
    assert split.name == "absent"
    assert {(claim[0], claim[3]) for claim, _, _ in rows(split)} == {(FILLER, FILLER)}
    assert not cue_features(split).any()


@pytest.mark.parametrize("visible", [0.0, 0.6, 1.0])
def test_a_share_of_the_cues_stands_where_the_features_look(visible):
    for split in (data := load(visible=visible)).train, *data.ood:
        first = [claim[0] in CUES for claim, _, _ in rows(split)]
        assert np.mean(first) == pytest.approx(visible, abs=4 * (visible * (1 - visible) / len(first)) ** 0.5 + 1e-12)
        assert all((claim[0] == FILLER) == (claim[3] in CUES) for claim, _, _ in rows(split))
        assert (cue_features(split).sum(axis=1) == first).all()


def test_dev_is_divided_into_the_examples_whose_cue_agrees_and_the_others():
    data = load(also=["agrees", "conflicts", "reversed", "absent"], strength=0.7, visible=0.5)
    assert [split.name for split in data.also] == ["agrees", "conflicts", "reversed", "absent"]
    agrees, conflicts, turned, absent = data.also
    assert (agreement(agrees), agreement(conflicts), agreement(turned), agreement(absent)) == (1, 0, 0, 0)
    together = Counter(zip(*(agrees.examples[name][:] + conflicts.examples[name][:] for name in TEXTS), strict=True))
    assert together == Counter(zip(*(data.dev.examples[name][:] for name in TEXTS), strict=True))


def test_a_division_without_examples_is_left_out_with_a_note():
    data = load(also=["agrees", "conflicts"], strength=1.0)
    assert [split.name for split in data.also] == ["agrees"]
    assert data.notes == ("no split 'conflicts': no dev example is of that kind",)


def test_further_splits_change_no_other(task):
    assert columns(load(also=["reversed", "absent", "agrees"]))[:2] == columns(task)[:2]


@pytest.mark.parametrize("facts", [1, 2, 4])
def test_the_evidence_has_the_number_of_facts(facts):
    assert {len(stated) for _, stated, _ in rows(load(facts=facts).train)} == {facts}


def test_every_label_is_what_the_evidence_says(task):
    for split in (task.train, *task.evaluated):
        assert all(label == truth(claim, facts) for claim, facts, label in rows(split))


@pytest.mark.parametrize(("distraction", "share"), [(0.0, 1.0), (0.3, 0.85), (2 / 3, 2 / 3)])
def test_the_attributes_without_the_animals_give_a_share_of_the_labels(distraction, share):
    """By hand, for 0.3: of the unordered pairs of relations, those with one or two equal relations decide the label
    (0.15 + 0.15 + 0.7), and of the others the more frequent order does (0.15 + 0.7 + 0.7); together 2.55 of 3."""
    counts: dict[tuple, Counter] = {}
    for claim, facts, label in rows(load(distraction=distraction).train):
        relations = tuple(sorted(truth(claim, facts | {claim[2]: stated}) for stated in facts.values()))
        counts.setdefault(relations, Counter())[label] += 1
    assert sum(max(each.values()) for each in counts.values()) / 6000 == pytest.approx(share, abs=0.02)


def test_noise_is_the_share_of_training_labels_that_are_wrong_and_the_cue_goes_by_the_label():
    noisy = load(noise=0.2, strength=0.8)
    for split, share in ((noisy.train, 0.2), (noisy.dev, 0.0), (noisy.ood[0], 0.0)):
        wrong = [label != truth(claim, facts) for claim, facts, label in rows(split)]
        assert np.mean(wrong) == pytest.approx(share, abs=4 * (share * 0.8 / len(wrong)) ** 0.5)
    cued = [cue(claim) == CUES[label] for claim, facts, label in rows(noisy.train) if label != truth(claim, facts)]
    assert np.mean(cued) == pytest.approx(0.8, abs=4 * (0.16 / len(cued)) ** 0.5)


def share_of_labels(words, occurrences):
    """Whether the labels are as frequent beside each word: chi-squared below five standard deviations."""
    table = np.zeros((len(words), 3))
    for word, label in occurrences:
        table[words.index(word), label] += 1
    expected = table.sum(axis=1, keepdims=True) / 3
    degrees = 2 * (len(words) - 1)
    return ((table - expected) ** 2 / expected).sum() < degrees + 5 * (2 * degrees) ** 0.5


@pytest.mark.parametrize(("place", "words"), [(1, ATTRIBUTES), (2, ANIMALS)])
def test_no_word_of_the_claim_but_the_cue_tells_the_label(task, place, words):
    assert share_of_labels(words, [(claim[place], label) for claim, _, label in rows(task.train)])


def test_no_word_of_the_evidence_tells_the_label(task):
    said = [(word, label) for _, facts, label in rows(task.train) for fact in facts.items() for word in fact]
    assert share_of_labels((*ANIMALS, *ATTRIBUTES), said)


@pytest.mark.parametrize(("cue", "words"), [("random", set(CUES)), ("reversed", set(CUES)), ("absent", {FILLER})])
def test_ood_training_examples_have_the_ood_cue_and_no_wrong_labels(cue, words):
    data = load(ood_train_size=300, noise=0.5, ood_cue=cue)
    split = data.ood_train
    assert (split.name, len(split.examples), split.labels, split.collapse) == ("ood_train", 300, LABELS, None)
    assert set(Counter(split.examples["label"][:]).values()) == {100}
    assert {claim[0] for claim, _, _ in rows(split)} == words
    assert agreement(split) == pytest.approx(1 / 3 if cue == "random" else 0, abs=0.1)
    assert all(label == truth(claim, facts) for claim, facts, label in rows(split))
    assert split.examples.column_names == data.train.examples.column_names


def test_ood_training_examples_differ_from_the_ood_split_and_change_no_other():
    data, without = load(ood_train_size=300, ood_size=300), load(ood_size=300)
    assert columns(data) == columns(without)
    assert data.ood_train.examples["text_a"][:] != data.ood[0].examples["text_a"][:]
    assert without.ood_train is None


@pytest.mark.parametrize(
    ("options", "sizes", "provided"),
    [
        ({}, {"train": 12_000, "dev": 1_000, "random": 1_000}, ("spurious-features",)),
        (
            {"train_size": 9, "dev_size": 6, "ood_size": 3, "ood_cue": "absent", "ood_train_size": 4},
            {"train": 9, "dev": 6, "absent": 3, "ood_train": 4},
            ("spurious-features", "ood-train"),
        ),
        (
            {"also": ["absent", "agrees"]},
            {"train": 12_000, "dev": 1_000, "random": 1_000, "absent": 1_000},
            ("spurious-features",),
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
    assert task.spurious_features(task.ood[0], None).shape == (3000, 3)


def test_every_word_is_one_token_of_the_tiny_backbones_vocabulary():
    words = {*CUES, FILLER, *ANIMALS, *ATTRIBUTES, "and", "never"}
    assert words - set(tokenizer_of_tiny().get_vocab()) == set()


def test_no_word_has_two_roles():
    words = [*CUES, FILLER, *ANIMALS, *ATTRIBUTES, "and", "never"]
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
        ("facts", 0),
        ("facts", 9),
        ("visible", 1.1),
        ("distraction", -0.1),
    ],
)
def test_options_out_of_range_are_refused_by_name(option, value):
    with pytest.raises(ValidationError) as caught:
        SyntheticOptions.model_validate({option: value})
    (error,) = caught.value.errors()
    assert error["loc"] == (option,)
    assert error["input"] == value


@pytest.mark.parametrize("also", [["random"], ["absent", "absent"]])
def test_a_split_has_one_place(also):
    with pytest.raises(ValidationError, match=r"in also, splits other than ood_cue \(random\), each once"):
        SyntheticOptions(also=also)
