"""MNLI in GLUE's layout, HANS in its own."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from srf_datasets.nli import Nli
from srf_datasets.task_options import HEURISTICS, NliOptions
from srf_evaluators.hans import Hans
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
        [str(i), "p", f"{i}n", "fiction", "(", "(", "(R", "(R", a, b, label, label]
        for i, (a, b, label) in enumerate(rows)
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


def load(path, seed=0, **options):
    return Nli(NliOptions.model_validate({"path": str(path), **options})).load(seed)


def problem(**options) -> str:
    with pytest.raises(ValidationError) as caught:
        NliOptions.model_validate(
            {key: str(value) if isinstance(value, Path) else value for key, value in options.items()}
        )
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
        "id": ["0n", "1n", "2n"],
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
        "id": ["ex0", "ex1"],
    }


def test_contradiction_and_neutral_count_as_non_entailment_on_hans(mnli):
    (split,) = load(mnli).ood
    logits = np.array([[3.0, 2.0, 1.0], [1.0, 3.0, 2.0], [1.0, 2.0, 3.0]], dtype=np.float32)
    assert Predictions.of_split(split, logits).predicted.tolist() == [0, 1, 0]


def test_spurious_features_are_the_overlap_of_any_split(mnli):
    task = load(mnli)
    cosines = {"eats": [1.0, 0.0], "lunch": [0.6, 0.8]}  # and no other word has a vector

    def vectors(words):
        return np.array([cosines.get(word, [0.0, 0.0]) for word in words])

    assert task.spurious_features(task.train, vectors).tolist() == [
        pytest.approx(row)
        for row in [
            [1, 1, 1, np.log(2), 1, 1, 1],
            [0, 0, 0.5, 0, 0.5, 0, 1],
            [0, 0, 0.75, 0, 0.9, 0.6, 1],
        ]
    ]
    (hans_split,) = task.ood
    assert task.spurious_features(hans_split, vectors)[:, :2].tolist() == [[0, 0], [1, 1]]


def test_contradiction_and_neutral_are_one_to_the_overlap(mnli):
    assert load(mnli).merged_labels == ("contradiction", "neutral")


def test_word_vectors_may_come_from_a_file(mnli):
    (mnli / "words.vec").write_text("2 2\neats 2 0\nlunch 3 4\n")
    task = load(mnli, word_vectors=str(mnli / "words.vec"))
    assert task.spurious_features(task.train, None)[2, 4:].tolist() == pytest.approx([0.9, 0.6, 1], abs=1e-6)


def test_the_mismatched_dev_set_is_reported_if_it_is_wanted(mnli):
    assert load(mnli).also == ()
    (mnli / "dev_mismatched.tsv").write_text(glue(GLUE_ROWS[1:]))
    (split,) = load(mnli, mismatched=True).also
    assert (split.name, split.labels, split.collapse) == (
        "mismatched",
        ("contradiction", "entailment", "neutral"),
        None,
    )
    assert split.examples["label"][:] == [0, 2]


def test_max_train_draws_a_subset_of_mnlis_training_set(mnli):
    task = load(mnli, max_train=2)
    assert len(task.train.examples) == 2
    assert len(task.dev.examples) == 2
    assert task.notes == ("train: 2 of 3 examples, drawn at random (max_train)",)


def test_max_eval_draws_subsets_of_all_splits_but_the_training_sets(hans_train):
    (hans_train / "hans" / "heuristics_evaluation_set.txt").write_text(hans(HANS_ROWS * 20))
    (hans_train / "dev_mismatched.tsv").write_text(glue(GLUE_ROWS[:1]))
    task = load(hans_train, max_eval=10, max_train=2, mismatched=True)
    sizes = {split.name: len(split.examples) for split in (task.train, task.ood_train, *task.evaluated)}
    assert sizes == {"train": 2, "ood_train": 40, "dev": 2, "mismatched": 1, "hans": 10}
    assert task.notes == (
        "train: 2 of 3 examples, drawn at random (max_train)",
        "hans: 10 of 40 examples, drawn at random (max_eval)",
    )


def test_the_figures_of_hans_are_those_of_the_examples_drawn(mnli):
    rows = [HANS_ROWS[i % 2] for i in range(40)]
    (mnli / "hans" / "heuristics_evaluation_set.txt").write_text(hans(rows))
    (split,) = load(mnli, max_eval=10).ood
    columns = split.examples[:]
    assert {name: set(map(len, columns.values())) for name in columns} == {name: {10} for name in columns}
    assert [rows[int(each.removeprefix("ex"))][3] for each in columns["id"]] == columns["heuristic"]
    named = {name: np.array(columns[name]) for name in HEURISTICS}
    gold = np.array(columns["label"])
    logits = np.zeros((10, 3))
    predictions = Predictions("hans", split.labels, logits, np.ones(10, dtype=int), gold, named)
    found = Hans(None).evaluate(predictions)
    assert found == {  # the prediction is always entailment, the label of every subsequence
        "hans/lexical_overlap": 0.0,
        "hans/lexical_overlap/non-entailment": 0.0,
        "hans/subsequence": 1.0,
        "hans/subsequence/entailment": 1.0,
    }


# -- OOD training data ---------------------------------------------------------------------------


@pytest.fixture
def hans_train(mnli):
    rows = [(f"P{i} .", f"H{i} .", "entailment" if i % 2 else "non-entailment", "constituent") for i in range(40)]
    (mnli / "hans" / "heuristics_train_set.txt").write_text(hans(rows))
    return mnli


def test_the_training_set_of_hans_is_ood_training_data_in_the_models_labels(hans_train):
    task = load(hans_train, hans_non_entailment="neutral")
    split = task.ood_train
    assert (split.name, split.labels, split.collapse) == ("ood_train", task.labels, None)
    assert split.examples.column_names == task.train.examples.column_names
    assert split.examples[:3] == {
        "text_a": ["P0 .", "P1 .", "P2 ."],
        "text_b": ["H0 .", "H1 .", "H2 ."],
        "label": [2, 1, 2],
        "id": ["ex0", "ex1", "ex2"],
    }
    assert len(split.examples) == 40


@pytest.mark.parametrize(("option", "non_entailment"), [("contradiction", {0}), ("neutral", {2}), ("either", {0, 2})])
def test_non_entailment_counts_for_the_label_of_the_option(hans_train, option, non_entailment):
    labels = load(hans_train, hans_non_entailment=option).ood_train.examples["label"][:]
    assert set(labels[1::2]) == {1}
    assert set(labels[::2]) == non_entailment


def test_it_is_contradiction_unless_the_option_is_set_as_in_the_authors_code(hans_train):
    assert NliOptions().hans_non_entailment == "contradiction"
    assert set(load(hans_train).ood_train.examples["label"][::2]) == {0}


def test_which_of_the_two_it_is_is_drawn_by_the_seed(hans_train):
    draws = [
        load(hans_train, seed=seed, hans_non_entailment="either").ood_train.examples["label"][:] for seed in (1, 1, 2)
    ]
    assert draws[0] == draws[1] != draws[2]


def test_the_training_set_of_hans_is_read_only_where_it_is_wanted_and_there(hans_train):
    made = NliOptions(path=str(hans_train))
    assert made.provided() == ["spurious-features", "backbone-vectors", "ood-train"]
    assert load(hans_train, hans_train=False).ood_train is None
    assert NliOptions(path=str(hans_train), hans_train=False).provided() == ["spurious-features", "backbone-vectors"]
    (hans_train / "hans" / "heuristics_train_set.txt").unlink()
    assert load(hans_train).ood_train is None
    assert made.provided() == ["spurious-features", "backbone-vectors"]
    assert NliOptions().provided() == ["spurious-features", "backbone-vectors", "ood-train"]


def test_a_wrong_row_of_the_training_set_of_hans_is_an_error_with_file_and_row(hans_train):
    file = hans_train / "hans" / "heuristics_train_set.txt"
    file.write_text(hans([("A .", "B .", "neutral", "subsequence")]))
    with pytest.raises(DataError) as caught:
        load(hans_train)
    assert str(caught.value) == f"{file}: row 2: expected a label (non-entailment, entailment), got 'neutral'"


# -- sizes ---------------------------------------------------------------------------------------


def test_sizes_are_counted_in_the_files(hans_train):
    (hans_train / "dev_mismatched.tsv").write_text(glue(GLUE_ROWS[:1]))
    made = {"path": str(hans_train), "mismatched": True}
    sizes = {"train": 3, "dev": 2, "mismatched": 1, "hans": 2, "ood_train": 40}
    assert Nli(NliOptions(**made)).sizes() == sizes
    assert Nli(NliOptions(**made, max_train=2)).sizes() == sizes | {"train": 2}
    assert Nli(NliOptions(**made, max_eval=1)).sizes() == sizes | {"dev": 1, "hans": 1}


def test_sizes_of_what_is_not_here_are_the_published_ones():
    published = {"train": 392_702, "dev": 9_815, "hans": 30_000, "ood_train": 30_000}
    assert Nli(NliOptions()).sizes() == published
    assert Nli(NliOptions(mismatched=True, max_train=1_000, hans="my/hans")).sizes() == {
        "train": 1_000,
        "dev": 9_815,
        "mismatched": 9_832,
    }
    assert Nli(NliOptions(path="my/mnli", hans_train=False)).sizes() == {
        "train": 392_702,
        "dev": 9_815,
        "hans": 30_000,
    }


def test_sizes_leave_out_what_is_gone(mnli):
    data = Nli(NliOptions(path=str(mnli)))
    (mnli / "train.tsv").unlink()
    assert data.sizes() == {"dev": 2, "hans": 2}


# -- files ---------------------------------------------------------------------------------------


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
        ("dev_matched.tsv", "", "expected rows with sentence1, sentence2, gold_label, got an empty file"),
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


def missing(**options) -> list[str]:
    """The files that the check of the recipe does not find."""
    found = [each.message for each in NliOptions.model_validate(options).check_files()]
    assert all(each.startswith("file not found: ") for each in found), found
    return [each.removeprefix("file not found: ").partition(";")[0] for each in found]


def test_a_directory_without_the_files_names_all_that_are_missing(tmp_path):
    names = ["train.tsv", "dev_matched.tsv", "hans/heuristics_evaluation_set.txt"]
    assert missing(path=str(tmp_path)) == [str(tmp_path / name) for name in names]


def test_the_mismatched_dev_set_is_needed_only_where_it_is_wanted(mnli):
    assert missing(path=str(mnli), mismatched=True) == [str(mnli / "dev_mismatched.tsv")]
    assert missing(path=str(mnli)) == []


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"hans_non_entailment": "netural"}, "Input should be 'either', 'contradiction' or 'neutral'"),
        ({"max_train": 0}, "Input should be greater than or equal to 1"),
        ({"max_eval": 0}, "Input should be greater than or equal to 1"),
        ({"hans_train": "no"}, "Input should be a valid boolean"),
    ],
)
def test_other_values_are_refused(options, expected):
    assert problem(**options) == expected


def test_a_directory_without_hans_names_its_file(mnli):
    file = mnli / "hans" / "heuristics_evaluation_set.txt"
    file.unlink()
    assert missing(path=str(mnli)) == [str(file)]


def test_a_directory_for_hans_without_its_file_names_it(mnli, tmp_path):
    (tmp_path / "empty").mkdir()
    file = tmp_path / "empty" / "heuristics_evaluation_set.txt"
    assert missing(path=str(mnli), hans=str(tmp_path / "empty")) == [str(file)]
    assert missing(path="glue/mnli", hans=str(tmp_path / "empty")) == [str(file)]


@pytest.mark.parametrize(
    ("options", "expected"),
    [({}, "jhu-cogsci/hans"), ({"path": "other/mnli"}, "jhu-cogsci/hans"), ({"hans": "my/hans"}, "my/hans")],
)
def test_hans_comes_from_the_hub_where_mnli_does(options, expected):
    assert NliOptions.model_validate(options).hans_source() == expected


# -- real data -----------------------------------------------------------------------------------


@pytest.mark.data
def test_the_evaluation_set_of_hans_is_read_whole(mnli, data_dir):
    task = load(mnli, hans=str(data_dir / "MNLI" / "hans"))
    examples = task.ood[0].examples
    assert len(examples) == 6000
    assert Counter(Counter(examples["subcase"][:]).values()) == {200: 30}
    assert set(Counter(zip(examples["heuristic"][:], examples["label"][:], strict=True)).values()) == {1000}
    assert set(examples["heuristic"][:]) == {"lexical_overlap", "subsequence", "constituent"}
    train = Counter(task.ood_train.examples["label"][:])
    assert train == {0: 3000, 1: 3000}  # non-entailment is trained as contradiction
