"""QQP in GLUE's layout, the two PAWS in theirs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from srf_datasets.paraphrase import Paraphrase, text_of_literal
from srf_datasets.task_options import ParaphraseOptions
from srframework import DataError

QQP = "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n"
PAWS = "id\tsentence1\tsentence2\tlabel\n"


@pytest.fixture
def qqp(tmp_path):
    """QQP with both PAWS inside; each file with rows of its own."""
    folder = tmp_path / "QQP"
    for name, rows in {
        "train.tsv": QQP
        + '0\t1\t2\tWhat is "it ?\tWhat is it ?\t1\n1\t3\t4\tHow old ?\tHow tall ?\t0\n2\t5\t6\tA ?\tB ?\t0\n',
        "dev.tsv": QQP + "0\t1\t2\tWho ?\tWhen ?\t0\n",
        "paws_qqp/train.tsv": PAWS + "1\tb'q train'\tb'a'\t1\n2\tb'q train 2'\tb'b'\t0\n",
        "paws_qqp/dev.tsv": PAWS + "1\tb'caf\\xc3\\xa9 dev'\tb\"it's dev\"\t1\n",
        "paws_qqp/test.tsv": PAWS + "1\tb'q test'\tb'a'\t0\n2\tb'q test 2'\tb'a'\t0\n",
        "paws_wiki/train.tsv": PAWS + "1\tw train\ta\t0\n",
        "paws_wiki/dev.tsv": PAWS + "1\tw dev\ta\t0\n2\tw dev 2\ta\t1\n3\tw dev 3\ta\t1\n",
        "paws_wiki/test.tsv": PAWS + "1\tb'w test'\ta\t1\n",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(rows)
    return folder


def made(path, **options) -> ParaphraseOptions:
    return ParaphraseOptions.model_validate({"path": str(path), **options})


def load(path, seed=0, **options):
    return Paraphrase(made(path, **options)).load(seed)


def texts(split):
    return split.examples["text_a"][:]


def test_qqp_and_both_paws_are_read_in_their_layouts(qqp):
    task = load(qqp)
    assert (task.labels, task.metric, task.test, task.also) == (("0", "1"), "f1", None, ())
    assert (task.merged_labels, task.notes) == ((), ())
    assert task.train.examples.to_dict() == {
        "text_a": ['What is "it ?', "How old ?", "A ?"],
        "text_b": ["What is it ?", "How tall ?", "B ?"],
        "label": [1, 0, 0],
        "id": ["0", "1", "2"],
    }
    assert task.dev.examples.to_dict() == {"text_a": ["Who ?"], "text_b": ["When ?"], "label": [0], "id": ["0"]}
    assert [(split.name, split.labels, split.collapse) for split in task.ood] == [
        ("paws-qqp", ("0", "1"), None),
        ("paws-wiki", ("0", "1"), None),
    ]
    assert task.ood[0].examples.to_dict() == {"text_a": ["café dev"], "text_b": ["it's dev"], "label": [1]}
    assert task.ood[1].examples.to_dict() == {"text_a": ["b'w test'"], "text_b": ["a"], "label": [1]}


def test_ood_training_data_is_that_of_both_paws(qqp):
    split = load(qqp).ood_train
    assert (split.name, split.labels) == ("ood_train", ("0", "1"))
    assert split.examples.to_dict() == {
        "text_a": ["q train", "q train 2", "w train"],
        "text_b": ["a", "b", "a"],
        "label": [1, 0, 0],
    }
    assert made(qqp).provided() == ["spurious-features", "backbone-vectors", "ood-train"]


@pytest.mark.parametrize(("present", "absent"), [("paws-qqp", "paws-wiki"), ("paws-wiki", "paws-qqp")])
def test_ood_training_data_is_that_of_one_paws_where_there_is_no_other(qqp, present, absent):
    (qqp / absent.replace("-", "_") / "train.tsv").unlink()
    task = load(qqp)
    assert [text[0] for text in texts(task.ood_train)] == ["q", "q"] if present == "paws-qqp" else ["w"]
    assert task.notes == (f"ood_train: only the training set of {present}; that of {absent} was not found",)
    (qqp / present.replace("-", "_") / "train.tsv").unlink()
    assert load(qqp).ood_train is None
    assert made(qqp).provided() == ["spurious-features", "backbone-vectors"]


def test_the_ood_splits_may_be_others_of_paws(qqp):
    task = load(qqp, paws_qqp_split="test", paws_wiki_split="dev")
    assert [texts(split) for split in task.ood] == [["q test", "q test 2"], ["w dev", "w dev 2", "w dev 3"]]


def test_paws_may_be_in_other_directories(qqp, tmp_path):
    for name in ("paws_qqp", "paws_wiki"):
        (qqp / name).rename(tmp_path / name)
    task = load(qqp, paws_qqp=str(tmp_path / "paws_qqp"), paws_wiki=str(tmp_path / "paws_wiki"))
    assert [len(split.examples) for split in (*task.ood, task.ood_train)] == [1, 1, 3]


def test_rows_of_qqp_that_are_short_or_lack_a_question_are_skipped_counted_and_noted(qqp):
    (qqp / "train.tsv").write_text(QQP + "0\t1\t2\ta\tb\t1\n1\t3\tshort\n2\t1\t2\t\tb\t0\n3\t1\t2\ta\t\t0\n4\tx\n")
    task = load(qqp)
    assert texts(task.train) == ["a"]
    assert task.notes == (
        f"{qqp / 'train.tsv'}: 2 short rows skipped",
        f"{qqp / 'train.tsv'}: 2 empty rows skipped",
    )


def test_max_train_draws_a_subset_by_the_seed(qqp):
    drawn = {tuple(texts(load(qqp, seed=seed, max_train=2).train)) for seed in range(9)}
    assert drawn <= {('What is "it ?', "How old ?"), ('What is "it ?', "A ?"), ("How old ?", "A ?")}
    assert len(drawn) > 1
    assert load(qqp, max_train=2).notes == ("train: 2 of 3 examples, drawn at random (max_train)",)


def test_max_eval_draws_a_subset_of_each_paws_too(qqp):
    task = load(qqp, paws_qqp_split="test", paws_wiki_split="dev", max_eval=1)
    assert [len(split.examples) for split in (task.train, *task.evaluated, task.ood_train)] == [3, 1, 1, 1, 3]
    assert task.notes == (
        "paws-qqp: 1 of 2 examples, drawn at random (max_eval)",
        "paws-wiki: 1 of 3 examples, drawn at random (max_eval)",
    )


def test_spurious_features_are_the_overlap_of_the_questions(qqp):
    task = load(qqp)
    cosines = {"old": [1.0, 0.0], "tall": [0.6, 0.8]}
    features = task.spurious_features(
        task.train, lambda words: np.array([cosines.get(word, [0.0, 0.0]) for word in words])
    )
    expected = [[1, 1, 1, 0, 1, 1, 1], [0, 0, 0.5, 0, 0.8, 0.6, 1], [0, 0, 0, 0, 0, 0, 0]]
    assert features.tolist() == [pytest.approx(row) for row in expected]
    (qqp / "words.vec").write_text("2 2\nold 1 0\ntall 0.6 0.8\n")
    from_file = load(qqp, word_vectors=str(qqp / "words.vec")).spurious_features(task.train, None)
    assert from_file == pytest.approx(features, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "row", "expected"),
    [
        ("train.tsv", QQP + "0\t1\t2\ta\tb\t2\n", "row 2: expected a label (0, 1), got '2'"),
        ("dev.tsv", QQP + "0\t1\t2\ta\tb\t1\tmore\n", "row 2: expected 6 columns, got 7"),
        ("paws_wiki/test.tsv", PAWS + "0\ta\t\t1\n", "row 2: expected a text in column 'sentence2', got an empty one"),
        ("paws_wiki/train.tsv", PAWS + "0\ta\tb\tx\n", "row 2: expected a label (0, 1), got 'x'"),
        (
            "paws_qqp/dev.tsv",
            PAWS + "0\tb'a'\tb'b'\t1\n0\tb'a'\tb'b\t1\n",
            "row 3: column 'sentence2': expected a Python bytes literal, got b'b",
        ),
        (
            "paws_qqp/train.tsv",
            PAWS + "0\tb'caf\\xe9'\tb'b'\t1\n",
            "row 2: column 'sentence1': expected UTF-8 text, got the byte 0xe9 in b'caf\\xe9'",
        ),
        ("paws_qqp/dev.tsv", PAWS + "0\tb''\ta\t1\n", "row 2: expected a text in column 'sentence1', got an empty one"),
    ],
)
def test_any_other_row_is_an_error_with_file_and_row(qqp, name, row, expected):
    (qqp / name).write_text(row)
    with pytest.raises(DataError) as caught:
        load(qqp)
    assert str(caught.value) == f"{qqp / name}: {expected}"


# -- literals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("b'plain'", "plain"),
        ('b"it\'s"', "it's"),
        (r"b'it\'s \"so\"'", 'it\'s "so"'),
        (r"b'caf\xc3\xa9 \xe2\x82\xac'", "café €"),
        (r"b' a\tb\n'", "a\tb"),
        (r"b'back\\slash'", "back\\slash"),
        ("no literal", "no literal"),
        ("b", "b"),
        ("'b'", "'b'"),
        ("bb'", "bb'"),
    ],
)
def test_a_bytes_literal_says_its_text_and_anything_else_itself(cell, text):
    assert text_of_literal(cell) == text


@given(st.text(st.characters(codec="utf-8")))
def test_what_python_writes_is_read(text):
    assert text_of_literal(repr(text.encode())) == text.strip()


@pytest.mark.parametrize(
    "cell",
    ["b'", 'b"', "b'a", "b'a\"", "b'a' + b'b'", "b'a', 1", "b'a'[0]", r"b'\d'", r"b'\x1'", "b'é'", "b'a\0'", "b'a').x"],
)
def test_a_literal_that_is_none_is_an_error_that_shows_it(cell):
    with pytest.raises(ValueError, match=r"^expected a Python bytes literal, got ") as caught:
        text_of_literal(cell)
    assert str(caught.value).endswith(cell)


def test_a_long_literal_is_shown_in_part():
    with pytest.raises(ValueError, match=r"got b'a{57}…$"):
        text_of_literal("b'" + "a" * 1000)


# -- options, sizes ------------------------------------------------------------------------------


def problem(**options) -> str:
    with pytest.raises(ValidationError) as caught:
        ParaphraseOptions.model_validate(options)
    (error,) = caught.value.errors()
    return error["msg"].removeprefix("Value error, ")


def missing(**options) -> list[str]:
    """The files that the check of the recipe does not find."""
    found = [each.message for each in ParaphraseOptions.model_validate(options).check_files()]
    assert all(each.startswith("file not found: ") for each in found), found
    return [each.removeprefix("file not found: ").partition(";")[0] for each in found]


def test_a_directory_without_the_files_names_those_that_are_needed(tmp_path):
    needed = ["train.tsv", "dev.tsv", "paws_qqp/dev.tsv", "paws_wiki/test.tsv"]
    found = missing(path=str(tmp_path))
    assert found[: len(needed) - 1] == [str(tmp_path / name) for name in needed[:-1]]
    assert str(tmp_path / needed[-1]) in found


@pytest.mark.parametrize(
    ("options", "gone"),
    [
        ({"paws_qqp_split": "test"}, "paws_qqp/test.tsv"),
        ({"paws_wiki_split": "dev"}, "paws_wiki/dev.tsv"),
    ],
)
def test_the_files_of_the_chosen_splits_are_needed(qqp, options, gone):
    (qqp / gone).unlink()
    assert missing(path=str(qqp), **options) == [str(qqp / gone)]
    assert load(qqp).train.name == "train"


def test_a_directory_for_paws_needs_its_file_wherever_qqp_is(tmp_path):
    for option, file in {"paws_qqp": "dev.tsv", "paws_wiki": "test.tsv"}.items():
        assert missing(**{option: str(tmp_path)}) == [str(tmp_path / file)]
    (found,) = missing(paws_qqp="no/such")  # the hub has no PAWS-qqp
    assert found.startswith("no/such/dev.tsv (relative to ")


def test_a_split_that_does_not_exist_is_refused(qqp):
    assert problem(path=str(qqp), paws_qqp_split="train") == "Input should be 'dev' or 'test'"


@pytest.mark.parametrize(
    ("options", "sizes"),
    [
        ({}, {"train": 3, "dev": 1, "paws-qqp": 1, "paws-wiki": 1, "ood_train": 3}),
        (
            {"paws_qqp_split": "test", "paws_wiki_split": "dev", "max_train": 2},
            {"train": 2, "dev": 1, "paws-qqp": 2, "paws-wiki": 3, "ood_train": 3},
        ),
        (
            {"paws_wiki": "google-research-datasets/paws"},
            {"train": 3, "dev": 1, "paws-qqp": 1, "paws-wiki": 8_000, "ood_train": 49_403},
        ),
        (
            {"paws_wiki_split": "dev", "max_eval": 2},
            {"train": 3, "dev": 1, "paws-qqp": 1, "paws-wiki": 2, "ood_train": 3},
        ),
        ({"paws_wiki": "my/paws"}, {"train": 3, "dev": 1, "paws-qqp": 1}),
    ],
)
def test_sizes_are_counted_in_the_files_or_published(qqp, options, sizes):
    assert Paraphrase(made(qqp, **options)).sizes() == sizes


def test_sizes_of_what_is_not_here_are_the_published_ones():
    published = {"train": 363_849, "dev": 40_432, "paws-wiki": 8_000, "ood_train": 49_401}
    assert Paraphrase(ParaphraseOptions()).sizes() == published
    assert Paraphrase(ParaphraseOptions(path="my/qqp", max_train=5)).sizes() == {
        "train": 5,
        "dev": 40_432,
        "paws-qqp": 677,
        "paws-wiki": 8_000,
        "ood_train": 11_988 + 49_401,
    }


def test_sizes_leave_out_what_is_gone(qqp):
    data = Paraphrase(made(qqp))
    (qqp / "dev.tsv").unlink()
    assert data.sizes() == {"train": 3, "paws-qqp": 1, "paws-wiki": 1, "ood_train": 3}
