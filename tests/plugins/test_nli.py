"""MNLI in GLUE's layout, HANS in its own."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from pydantic import ValidationError

from srf_datasets.nli import Nli
from srf_datasets.options import NliOptions
from srframework import DataError, Predictions

GLUE_COLUMNS = (
    "index promptID pairID genre sentence1_binary_parse sentence2_binary_parse sentence1_parse sentence2_parse "
    "sentence1 sentence2 label1 gold_label"
).split()
HANS_COLUMNS = (
    "gold_label sentence1_binary_parse sentence2_binary_parse sentence1_parse sentence2_parse "
    "sentence1 sentence2 pairID heuristic subcase template"
).split()
GLUE_ROWS = [
    ("The doctor paid the actor .", "The doctor paid .", "entailment"),
    ('He said "no .', "He agreed .", "contradiction"),
    ("A man eats .", "A man eats lunch .", "neutral"),
]
HANS_ROWS = [
    ("The actor slept .", "The doctor slept .", "non-entailment", "lexical_overlap"),
    ("The actor and the doctor slept .", "The doctor slept .", "entailment", "subsequence"),
]


def glue(rows) -> str:
    cells = [
        [str(i), "p", "q", "fiction", "(", "(", "(R", "(R", a, b, label, label] for i, (a, b, label) in enumerate(rows)
    ]
    return "".join("\t".join(row) + "\n" for row in [GLUE_COLUMNS, *cells])


def hans(rows) -> str:
    cells = [
        [label, "(", "(", "(R", "(R", a, b, f"ex{i}", how, f"{how}_1", "t1"]
        for i, (a, b, label, how) in enumerate(rows)
    ]
    return "".join("\t".join(row) + "\n" for row in [HANS_COLUMNS, *cells])


@pytest.fixture
def mnli(tmp_path):
    folder = tmp_path / "MNLI"
    (folder / "hans").mkdir(parents=True)
    (folder / "train.tsv").write_text(glue(GLUE_ROWS))
    (folder / "dev_matched.tsv").write_text(glue(GLUE_ROWS[:2]))
    (folder / "hans" / "heuristics_evaluation_set.txt").write_text(hans(HANS_ROWS))
    return folder


def load(path, **options):
    return Nli(NliOptions.model_validate({"path": str(path), **options})).load(0)


def problem(**options) -> str:
    with pytest.raises(ValidationError) as caught:
        NliOptions.model_validate({key: str(value) for key, value in options.items()})
    (error,) = caught.value.errors()
    return error["msg"]


def test_mnli_and_hans_are_read_in_their_layouts(mnli):
    task = load(mnli)
    assert task.labels == ("contradiction", "entailment", "neutral")
    assert task.metric == "accuracy"
    assert task.test is None
    assert task.notes == ()
    assert task.train.examples.to_dict() == {
        "text_a": ["The doctor paid the actor .", 'He said "no .', "A man eats ."],
        "text_b": ["The doctor paid .", "He agreed .", "A man eats lunch ."],
        "label": [1, 0, 2],
    }
    assert (task.dev.name, task.dev.examples["label"][:]) == ("dev", [1, 0])
    (ood,) = task.ood
    assert (ood.name, ood.labels, ood.collapse) == ("hans", ("non-entailment", "entailment"), (0, 1, 0))
    assert ood.examples.to_dict() == {
        "text_a": ["The actor slept .", "The actor and the doctor slept ."],
        "text_b": ["The doctor slept .", "The doctor slept ."],
        "label": [0, 1],
        "heuristic": ["lexical_overlap", "subsequence"],
        "subcase": ["lexical_overlap_1", "subsequence_1"],
        "template": ["t1", "t1"],
    }


def test_contradiction_and_neutral_count_as_non_entailment_on_hans(mnli):
    (split,) = load(mnli).ood
    logits = np.array([[3.0, 2.0, 1.0], [1.0, 3.0, 2.0], [1.0, 2.0, 3.0]], dtype=np.float32)
    assert Predictions(split, logits).predicted.tolist() == [0, 1, 0]


def test_spurious_features_are_the_overlap_of_the_training_pairs(mnli):
    task = load(mnli)
    assert task.spurious_features is not None
    assert task.spurious_features().tolist() == [
        [1, 1, 1, pytest.approx(np.log(2))],
        [0, 0, 0.5, 0],
        [0, 0, 0.75, 0],
    ]


def test_short_and_unlabelled_rows_of_mnli_are_skipped_counted_and_noted(mnli):
    rows = [*GLUE_ROWS, ("A .", "B .", "-"), ("", "", "-")]
    (mnli / "train.tsv").write_text(glue(rows) + "5\tshort\trow\n")
    task = load(mnli)
    assert len(task.train.examples) == 3
    assert task.notes == (
        f"{mnli / 'train.tsv'}: 1 short row skipped",
        f"{mnli / 'train.tsv'}: 2 unlabelled rows skipped",
    )


def test_the_dev_set_may_have_more_label_columns_than_the_training_set(mnli):
    text = (
        glue(GLUE_ROWS[:1])
        .replace("\tlabel1\t", "\tlabel1\tlabel2\t")
        .replace("\tentailment\t", "\tneutral\tneutral\t")
    )
    (mnli / "dev_matched.tsv").write_text(text)
    assert load(mnli).dev.examples["label"][:] == [1]


def test_crlf_and_a_byte_order_mark_change_nothing(mnli):
    before = load(mnli).train.examples.to_dict()
    (mnli / "train.tsv").write_bytes(b"\xef\xbb\xbf" + glue(GLUE_ROWS).replace("\n", "\r\n").encode())
    assert load(mnli).train.examples.to_dict() == before


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        (
            "train.tsv",
            glue([*GLUE_ROWS, ("A .", "B .", "entailed")]),
            "row 5: expected a label (contradiction, entailment, neutral), got 'entailed'; did you mean 'entailment'?",
        ),
        ("train.tsv", glue([("A .", "", "neutral")]), "row 2: expected a text in column 'sentence2', got an empty one"),
        (
            "dev_matched.tsv",
            glue(GLUE_ROWS).replace("gold_label", "gold-label", 1),
            f"row 1: expected a column 'gold_label', got {', '.join(GLUE_COLUMNS[:-1])}, gold-label; "
            "did you mean 'gold-label'?",
        ),
        ("dev_matched.tsv", "", "expected rows of sentence1, sentence2, gold_label, got an empty file"),
        (
            "hans/heuristics_evaluation_set.txt",
            hans([("A .", "B .", "neutral", "subsequence")]),
            "row 2: expected a label (non-entailment, entailment), got 'neutral'",
        ),
        (
            "hans/heuristics_evaluation_set.txt",
            hans(HANS_ROWS).replace("\tt1\n", "\tt1\tmore\n", 1),
            "row 2: expected 11 columns, got 12",
        ),
    ],
)
def test_any_other_row_is_an_error_with_file_and_row(mnli, name, content, expected):
    (mnli / name).write_text(content)
    with pytest.raises(DataError) as caught:
        load(mnli)
    assert str(caught.value) == f"{mnli / name}: {expected}"


def test_hans_may_be_in_another_directory(mnli, tmp_path):
    (mnli / "hans").rename(tmp_path / "elsewhere")
    assert load(mnli, hans=str(tmp_path / "elsewhere")).ood[0].examples["label"][:] == [0, 1]


# -- options -------------------------------------------------------------------------------------


def test_a_directory_without_the_files_names_all_that_are_missing(tmp_path):
    missing = ["train.tsv", "dev_matched.tsv", "hans/heuristics_evaluation_set.txt"]
    named = ", ".join(str(tmp_path / name) for name in missing)
    assert problem(path=tmp_path).endswith(f"the files of MNLI and HANS, of which there is no {named}")


def test_a_directory_without_hans_names_its_file(mnli):
    file = mnli / "hans" / "heuristics_evaluation_set.txt"
    file.unlink()
    assert problem(path=mnli).endswith(f"of which there is no {file}")


def test_a_directory_for_hans_without_its_file_names_it(mnli, tmp_path):
    (tmp_path / "empty").mkdir()
    file = tmp_path / "empty" / "heuristics_evaluation_set.txt"
    assert problem(path=mnli, hans=tmp_path / "empty").endswith(f"of which there is no {file}")
    assert problem(path="glue/mnli", hans=tmp_path / "empty").endswith(f"of which there is no {file}")


@pytest.mark.parametrize(
    ("options", "expected"),
    [({}, "jhu-cogsci/hans"), ({"path": "other/mnli"}, "jhu-cogsci/hans"), ({"hans": "my/hans"}, "my/hans")],
)
def test_hans_comes_from_the_hub_where_mnli_does(options, expected):
    assert NliOptions.model_validate(options).hans_source() == expected


# -- real data -----------------------------------------------------------------------------------


@pytest.mark.data
def test_the_evaluation_set_of_hans_is_read_whole(mnli, data_dir):
    (split,) = load(mnli, hans=str(data_dir / "MNLI" / "hans")).ood
    examples = split.examples
    assert len(examples) == 6000
    assert Counter(Counter(examples["subcase"][:]).values()) == {200: 30}
    assert set(Counter(zip(examples["heuristic"][:], examples["label"][:], strict=True)).values()) == {1000}
    assert set(examples["heuristic"][:]) == {"lexical_overlap", "subsequence", "constituent"}
