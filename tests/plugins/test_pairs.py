"""Bring your own: any files, any labels, any OOD splits."""

from __future__ import annotations

from collections import Counter

import datasets
import numpy as np
import pytest
from pydantic import ValidationError

from srf_datasets.options import PairsOptions
from srf_datasets.pairs import Pairs
from srframework import DataError

LABELS = ["contradiction", "entailment", "neutral"]
NAMES = {label.upper(): label for label in LABELS}
HANS = {
    "labels": ["non-entailment", "entailment"],
    "collapse": {"contradiction": "non-entailment", "neutral": "non-entailment"},
}


@pytest.fixture
def root(tmp_path):
    """train.tsv, dev.csv, test.jsonl and ood.txt, each with one good row or more."""
    (tmp_path / "train.tsv").write_text("sentence1\tsentence2\tlabel\na b\ta\tentailment\nc\td\tneutral\n")
    (tmp_path / "dev.csv").write_text("sentence1,sentence2,label\na,b,contradiction\n")
    (tmp_path / "test.jsonl").write_text('{"sentence1": "a", "sentence2": "b", "label": "neutral"}\n')
    (tmp_path / "ood.txt").write_text("sentence1\tsentence2\tlabel\thow\na\tb\tnon-entailment\toverlap\n")
    return tmp_path


@pytest.fixture
def options(root):
    def make(**changes) -> PairsOptions:
        table = {"root": str(root), "labels": LABELS, "train": {"path": "train.tsv"}, "dev": {"path": "dev.csv"}}
        return PairsOptions.model_validate(table | changes)

    return make


@pytest.fixture
def problem(options):
    def of(**changes) -> str:
        with pytest.raises(ValidationError) as caught:
            options(**changes)
        (error,) = caught.value.errors()
        return ".".join(map(str, error["loc"])) + ": " + error["msg"].removeprefix("Value error, ")

    return of


# -- reading -------------------------------------------------------------------------------------


def test_every_split_is_read_from_its_own_format(options):
    task = Pairs(options(test={"path": "test.jsonl"}, ood={"hard": {"path": "ood.txt", **HANS}})).load(0)
    assert task.labels == ("contradiction", "entailment", "neutral")
    assert task.metric == "accuracy"
    assert task.train.examples.to_dict() == {"text_a": ["a b", "c"], "text_b": ["a", "d"], "label": [1, 2]}
    assert [(split.name, split.examples["label"][:]) for split in task.evaluated] == [
        ("dev", [0]),
        ("test", [2]),
        ("hard", [0]),
    ]
    assert task.notes == ()


def test_labels_of_an_ood_split_are_its_own_and_the_models_are_collapsed_to_them(options):
    (split,) = Pairs(options(ood={"hard": {"path": "ood.txt", "keep": ["how"], **HANS}})).load(0).ood
    assert split.labels == ("non-entailment", "entailment")
    assert split.collapse == (0, 1, 0)
    assert split.examples["how"][:] == ["overlap"]


def test_an_ood_split_with_the_same_labels_has_nothing_to_collapse(options):
    (split,) = Pairs(options(ood={"same": {"path": "dev.csv"}})).load(0).ood
    assert split.collapse is None
    assert split.labels == ("contradiction", "entailment", "neutral")


def test_columns_and_words_of_the_data_set_may_be_overridden_in_a_split(root, options):
    (root / "odd.txt").write_text("premise\tjudgement\ns\tN\ns\tneutral\n")
    split = {
        "path": "odd.txt",
        "text_a": "premise",
        "text_b": "",
        "label": "judgement",
        "label_names": {"N": "neutral"},
    }
    task = Pairs(options(dev=split, label_names={"E": "entailment"})).load(0)
    assert task.dev.examples.to_dict() == {"text_a": ["s", "s"], "label": [2, 2]}


def test_a_format_may_be_told_where_the_name_does_not_tell_it(root, options):
    (root / "rows.data").write_text("sentence1,sentence2,label\na,b,neutral\n")
    task = Pairs(options(dev={"path": "rows.data", "format": "csv"})).load(0)
    assert task.dev.examples["label"][:] == [2]


def test_an_absolute_path_is_not_seen_from_root(root, options):
    task = Pairs(
        options(root="elsewhere", train={"path": str(root / "train.tsv")}, dev={"path": str(root / "dev.csv")})
    )
    assert len(task.load(0).train.examples) == 2


def test_notes_of_all_splits_are_gathered_in_their_order(root, options):
    (root / "train.tsv").write_text("sentence1\tsentence2\tlabel\na\tb\tneutral\nshort\n")
    (root / "ood.txt").write_text("sentence1\tsentence2\tlabel\na\tb\tentailment\na\tb\t-\na\tb\t\n")
    task = Pairs(options(ood={"hard": {"path": "ood.txt"}})).load(0)
    assert task.notes == (
        f"{root / 'train.tsv'}: 1 short row skipped",
        f"{root / 'ood.txt'}: 2 unlabelled rows skipped",
    )


def test_a_label_that_only_the_model_has_is_an_error_in_an_ood_split(root, options):
    (root / "ood.txt").write_text("sentence1\tsentence2\tlabel\na\tb\tneutral\n")
    with pytest.raises(DataError) as caught:
        Pairs(options(ood={"hard": {"path": "ood.txt", **HANS}})).load(0)
    assert str(caught.value) == (
        f"{root / 'ood.txt'}: row 2: expected a label (non-entailment, entailment), got 'neutral'"
    )


def test_a_local_copy_of_a_hub_data_set_is_a_source(tmp_path, options, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "copy").mkdir()
    rows = {"premise": ["a", "b"], "hypothesis": ["c", "d"], "label": [2, 0]}
    features = datasets.Features(
        premise=datasets.Value("string"),
        hypothesis=datasets.Value("string"),
        label=datasets.ClassLabel(names=["entailment", "neutral", "contradiction"]),
    )
    for name in ("train", "validation"):
        datasets.Dataset.from_dict(rows, features).to_parquet(tmp_path / "copy" / f"{name}.parquet")
    source = {"hub": str(tmp_path / "copy"), "text_a": "premise", "text_b": "hypothesis"}
    task = Pairs(options(train=source, dev={**source, "split": "validation"}, ood_train=source)).load(0)
    assert task.ood_train.examples.to_dict() == task.train.examples.to_dict()
    assert task.train.examples.to_dict() == {"text_a": ["a", "b"], "text_b": ["c", "d"], "label": [0, 1]}
    assert len(task.dev.examples) == 2


VECTORS = {"a": [1.0, -1.0], "b": [-2.0, 3.0], "c": [0.0, 2.0], "d": [4.0, 4.0]}
OVERLAP = [[1, 1, 1, 0, 1, 1, 1], [0, 0, 0, 0, 0.5**0.5, 0.5**0.5, 0.5**0.5]]


@pytest.mark.parametrize(
    ("changes", "features"),
    [
        ({}, OVERLAP),
        ({"features": "claim-only"}, [[1, 3], [0, 2]]),
        ({"features": "claim-only", "text_b": ""}, [[1, 3], [0, 2]]),
        ({"features": "none"}, None),
        ({"text_b": ""}, None),
        ({"train": {"path": "train.tsv", "text_b": ""}}, None),
    ],
)
def test_spurious_features_are_those_that_are_chosen_if_there_are_such_texts(options, changes, features):
    chosen = options(**changes)
    task = Pairs(chosen).load(0)
    given = task.spurious_features
    rows = given(task.train, lambda words: np.array([VECTORS[word] for word in words])) if given else None
    assert (rows.tolist() if given else None) == (features and [pytest.approx(row) for row in features])
    assert chosen.provided() == (["spurious-features", "backbone-vectors"] if features else [])


def test_spurious_features_use_the_vectors_of_a_file_if_there_is_one(root, options):
    (root / "words.vec").write_text("4 2\n" + "".join(f"{word} {x} {y}\n" for word, (x, y) in VECTORS.items()))
    task = Pairs(options(word_vectors=str(root / "words.vec"))).load(0)
    rows = task.spurious_features(task.train, None)
    assert rows == pytest.approx(np.array(OVERLAP), abs=1e-6)


def test_max_train_draws_a_subset_of_the_training_examples_by_the_seed(root, options):
    rows = [f"p{i}\th{i}\tneutral\n" for i in range(50)]
    (root / "train.tsv").write_text("sentence1\tsentence2\tlabel\n" + "".join(rows))
    data = Pairs(options(max_train=10))
    drawn = [data.load(seed).train.examples["text_a"][:] for seed in (1, 1, 2)]
    assert len(drawn[0]) == 10
    assert drawn[0] == drawn[1] != drawn[2]
    task = data.load(1)
    assert task.notes == ("train: 10 of 50 examples, drawn at random (max_train)",)
    assert len(task.spurious_features(task.train, lambda words: np.zeros((len(words), 2)))) == 10
    assert len(task.dev.examples) == 1


def test_max_eval_draws_subsets_of_dev_test_and_the_ood_splits(root, options):
    rows = [f"p{i}\th{i}\tneutral\tred\n" for i in range(50)]
    (root / "many.tsv").write_text("sentence1\tsentence2\tlabel\tcolour\n" + "".join(rows))
    many = {"path": "many.tsv"}
    chosen = options(
        max_eval=10, train=many, dev=many, test=many, ood={"far": many}, ood_train=many, group_by=["colour"]
    )
    task = Pairs(chosen).load(1)
    splits = (task.train, task.ood_train, *task.evaluated)
    sizes = {"train": 50, "ood_train": 50, "dev": 10, "test": 10, "far": 10}
    assert {split.name: len(split.examples) for split in splits} == Pairs(chosen).sizes() == sizes
    assert task.dev.examples["group"][:] == ["colour=red"] * 10
    assert len({tuple(split.examples["text_a"][:]) for split in task.evaluated}) == 3


def test_ood_training_examples_have_the_labels_of_the_data_set(root, options):
    (root / "more.csv").write_text("premise,sentence2,label\na,b,E\nc,d,neutral\n")
    source = {"path": "more.csv", "text_a": "premise", "label_names": {"E": "entailment"}}
    chosen = options(ood_train=source)
    split = Pairs(chosen).load(0).ood_train
    assert (split.name, split.labels, split.collapse) == ("ood_train", tuple(LABELS), None)
    assert split.examples.to_dict() == {"text_a": ["a", "c"], "text_b": ["b", "d"], "label": [1, 2]}
    assert chosen.provided() == ["spurious-features", "backbone-vectors", "ood-train"]


def test_without_ood_training_examples_there_are_none(options):
    assert Pairs(options()).load(0).ood_train is None


def test_sizes_are_counted_where_the_rows_are_files(root, options):
    chosen = options(
        train={"path": "train.tsv", "where": {"label": "neutral"}},
        test={"hub": "some/thing"},
        ood={"hard": {"path": "ood.txt", **HANS}, "far": {"hub": "some/thing"}},
        ood_train={"path": "test.jsonl"},
    )
    assert Pairs(chosen).sizes() == {"train": 1, "dev": 1, "hard": 1, "ood_train": 1}
    assert Pairs(options(max_train=1)).sizes() == {"train": 1, "dev": 1}
    (root / "dev.csv").unlink()
    assert Pairs(PairsOptions.model_construct(**dict(chosen))).sizes() == {"train": 1, "hard": 1, "ood_train": 1}


# -- options -------------------------------------------------------------------------------------


def test_a_missing_file_is_named_where_the_recipe_names_it(root, options):
    ood = {"a": {"path": "ood.txt", **HANS}, "b": {"path": "none.csv"}}
    chosen = options(dev={"path": "dev.tsv"}, ood_train={"path": "more.tsv"}, ood=ood)
    found = {each.key: each.message for each in chosen.check_files()}
    assert found == {
        ("dev", "path"): f"file not found: {root / 'dev.tsv'}",
        ("ood_train", "path"): f"file not found: {root / 'more.tsv'}",
        ("ood", "b", "path"): f"file not found: {root / 'none.csv'}",
    }


@pytest.mark.parametrize("source", [{}, {"path": "train.tsv", "hub": "some/thing"}])
def test_a_split_needs_exactly_one_source(problem, source):
    assert problem(train=source) == "train: either a path or a hub data set"


def test_a_path_whose_ending_tells_no_format_needs_one(root, problem):
    (root / "rows.data").write_text("")
    assert (
        problem(dev={"path": "rows.data"})
        == "dev: a path that ends in .tsv, .txt, .csv, .jsonl or .json, or the option format"
    )


@pytest.mark.parametrize("name", ["train", "dev", "test", "ood_train", "model"])
def test_an_ood_split_may_not_have_a_reserved_name(problem, name):
    expected = "ood: names of OOD splits other than train, dev, test, ood_train, model"
    assert problem(ood={name: {"path": "ood.txt"}}) == expected


@pytest.mark.parametrize(
    ("split", "expected"),
    [
        (
            {"labels": ["non-entailment", "entailment"], "collapse": {"neutral": "non-entailment"}},
            "an entry for 'contradiction' in ood.hard.collapse, because the split has no such label",
        ),
        (
            {**HANS, "collapse": {**HANS["collapse"], "zork": "entailment"}},
            "ood.hard.collapse to map labels of the data set (contradiction, entailment, neutral) "
            "to labels of the split (non-entailment, entailment)",
        ),
        (
            {"collapse": {"neutral": "non-entailment"}},
            "ood.hard.collapse to map labels of the data set (contradiction, entailment, neutral) "
            "to labels of the split (contradiction, entailment, neutral)",
        ),
    ],
)
def test_a_collapse_must_send_every_label_of_the_model_to_one_of_the_split(problem, split, expected):
    assert problem(ood={"hard": {"path": "ood.txt", **split}}) == f": {expected}"


@pytest.mark.parametrize(
    ("changes", "where", "labels", "word"),
    [
        ({"label_names": {"E": "entailmnt"}}, "label_names", "contradiction, entailment, neutral", "entailmnt"),
        (
            {"dev": {"path": "dev.csv", "label_names": {"E": "entail"}}},
            "dev.label_names",
            "contradiction, entailment, neutral",
            "entail",
        ),
        (
            {"ood_train": {"path": "dev.csv", "label_names": {"E": "entail"}}},
            "ood_train.label_names",
            "contradiction, entailment, neutral",
            "entail",
        ),
        (
            {"ood": {"hard": {"path": "ood.txt", **HANS, "label_names": {"n": "non_entailment"}}}},
            "ood.hard.label_names",
            "non-entailment, entailment",
            "non_entailment",
        ),
    ],
)
def test_a_word_must_mean_a_label(problem, changes, where, labels, word):
    near = "non-entailment" if word.startswith("non") else "entailment"
    expected = f": {where} to map words to labels ({labels}) or to '-', which skips the row, not {word!r}"
    expected += f"; did you mean {near!r}?"
    assert problem(**changes) == expected


def test_a_word_may_mean_that_a_row_is_unlabelled(root, options):
    (root / "dev.csv").write_text("sentence1,sentence2,label\na,b,unsure\na,b,neutral\n")
    task = Pairs(options(label_names={"unsure": "-"})).load(0)
    assert task.dev.examples["label"][:] == [2]
    assert task.notes == (f"{root / 'dev.csv'}: 1 unlabelled row skipped",)


def test_a_file_of_word_vectors_that_is_not_there_is_a_problem(options, root):
    (found,) = options(word_vectors=str(root / "words.vec")).check_files()
    assert found.key == ("word_vectors",)
    assert found.message.startswith(f"file not found: {root / 'words.vec'}; get it from https://fasttext.cc/")
    assert found.message.endswith('; or set word_vectors = "backbone", which gives another p_b')


def test_features_of_word_vectors_in_a_file_are_not_those_of_the_backbone(options, root):
    assert options(word_vectors=str(root / "words.vec")).provided() == ["spurious-features"]
    assert options(word_vectors="backbone").provided() == ["spurious-features", "backbone-vectors"]


@pytest.mark.parametrize("keep", [["how", "how"], ["label"], ["text_a"], ["text_b"]])
def test_a_kept_column_has_a_name_of_its_own(problem, keep):
    expected = "ood.hard.keep: columns other than text_a, text_b, label, each once"
    assert problem(ood={"hard": {"path": "ood.txt", "keep": keep}}) == expected


@pytest.mark.parametrize(
    ("labels", "expected"),
    [(["a"], "at least 2 items"), ([], "at least 2 items"), (["a", "b", "a"], "every label once")],
)
def test_labels_are_two_or_more_and_differ(problem, labels, expected):
    assert expected in problem(labels=labels)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"max_train": 0}, "max_train: Input should be greater than or equal to 1"),
        ({"max_eval": 0}, "max_eval: Input should be greater than or equal to 1"),
        ({"ood_train": {"path": "dev.csv", "labels": LABELS}}, "ood_train.labels: Extra inputs are not permitted"),
        ({"features": "claim"}, "features: Input should be 'overlap', 'claim-only' or 'none'"),
        ({"metric": ""}, "metric: String should have at least 1 character"),
        ({"train": {"path": "train.tsv", "sep": ","}}, "train.sep: Extra inputs are not permitted"),
        ({"train": {"path": 3}}, "train.path: Input should be a valid string"),
        ({"dev": {"path": "dev.csv", "labels": LABELS}}, "dev.labels: Extra inputs are not permitted"),
    ],
)
def test_other_options_are_refused_by_key(problem, changes, expected):
    assert problem(**changes) == expected


# -- real data -----------------------------------------------------------------------------------


@pytest.mark.data
def test_sick_and_hans_are_read_whole(data_dir):
    source = {"path": "sick/SICK.txt"}
    hans = {
        "path": "MNLI/hans/heuristics_evaluation_set.txt",
        "text_a": "sentence1",
        "text_b": "sentence2",
        "label": "gold_label",
        "label_names": {},
        "keep": ["heuristic", "subcase"],
        **HANS,
    }
    table = {
        "root": str(data_dir),
        "labels": LABELS,
        "label_names": NAMES,
        "text_a": "sentence_A",
        "text_b": "sentence_B",
        "label": "entailment_label",
        "train": {**source, "where": {"SemEval_set": "TRAIN"}},
        "dev": {**source, "where": {"SemEval_set": "TRIAL"}},
        "test": {**source, "where": {"SemEval_set": "TEST"}},
        "ood": {"all": source, "hans": hans},
    }
    task = Pairs(PairsOptions.model_validate(table)).load(0)
    sizes = {split.name: len(split.examples) for split in (task.train, *task.evaluated)}
    assert sizes == {"train": 4439, "dev": 495, "test": 4906, "all": 9840, "hans": 6000}
    assert Counter(task.ood[0].examples["label"][:]) == {0: 1424, 1: 2821, 2: 5595}
    assert Counter(task.ood[1].examples["label"][:]) == {0: 3000, 1: 3000}
    assert task.ood[1].collapse == (0, 1, 0)
    assert task.notes == ()
    assert task.spurious_features is not None
    vectors = {word: np.full(5, 1.0) for word in ("man", "person")}
    features = task.spurious_features(
        task.train, lambda words: np.array([vectors.get(word, np.zeros(5)) for word in words])
    )
    assert features.shape == (4439, 7)
    assert np.isfinite(features).all()
    assert Pairs(PairsOptions.model_validate(table)).sizes() == sizes
