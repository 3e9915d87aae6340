"""FEVER and Fever-Symmetric, whose columns differ from file to file."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest
from pydantic import ValidationError

from srf_datasets.fact_verification import FactVerification
from srf_datasets.task_options import FactVerificationOptions
from srframework import DataError

LABELS = ("SUPPORTS", "REFUTES", "NOT ENOUGH INFO")
FILES = {
    "fever.train.jsonl": ("evidence", "gold_label", ["SUPPORTS", "REFUTES", "NOT ENOUGH INFO"]),
    "fever.dev.jsonl": ("evidence", "label", ["NOT ENOUGH INFO"]),
    "sym1/test.jsonl": ("evidence_sentence", "label", ["REFUTES", "SUPPORTS"]),
    "sym2/test.jsonl": ("evidence", "gold_label", ["SUPPORTS"]),
    "sym2/dev.jsonl": ("evidence_sentence", "gold_label", ["REFUTES", "REFUTES"]),
}


def lines(name, evidence, label, words) -> str:
    rows = [{"id": i, "claim": f"{name} c{i}", evidence: f"e{i}", label: word} for i, word in enumerate(words)]
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.fixture
def fever(tmp_path):
    """All five files, in one directory."""
    folder = tmp_path / "fever"
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(lines(name.partition("/")[0], *content))
    return folder


def made(path, **options) -> FactVerificationOptions:
    return FactVerificationOptions.model_validate({"path": str(path), **options})


def load(path, seed=0, **options):
    return FactVerification(made(path, **options)).load(seed)


def test_fever_and_both_symmetric_sets_are_read_in_their_layouts(fever):
    task = load(fever)
    assert (task.labels, task.metric, task.test, task.also) == (LABELS, "accuracy", None, ())
    assert (task.merged_labels, task.notes) == ((), ())
    assert task.train.examples.to_dict() == {
        "text_a": [f"fever.train.jsonl c{i}" for i in range(3)],
        "text_b": ["e0", "e1", "e2"],
        "label": [0, 1, 2],
        "id": ["0", "1", "2"],
    }
    assert task.dev.examples["label"][:] == [2]
    assert [(split.name, split.labels, split.collapse) for split in task.ood] == [
        ("symmetric-v1", LABELS, None),
        ("symmetric-v2", LABELS, None),
    ]
    assert [split.examples[:] for split in task.ood] == [
        {"text_a": ["sym1 c0", "sym1 c1"], "text_b": ["e0", "e1"], "label": [1, 0], "id": ["0", "1"]},
        {"text_a": ["sym2 c0"], "text_b": ["e0"], "label": [0], "id": ["0"]},
    ]


def test_ood_training_data_is_the_dev_set_of_the_second(fever):
    split = load(fever).ood_train
    assert (split.name, split.labels, split.examples["label"][:]) == ("ood_train", LABELS, [1, 1])
    assert made(fever).provided() == ["spurious-features", "backbone-vectors", "ood-train"]


def test_without_the_dev_set_of_the_second_there_is_no_ood_training_data(fever):
    (fever / "sym2/dev.jsonl").unlink()
    assert load(fever).ood_train is None
    assert made(fever).provided() == ["spurious-features", "backbone-vectors"]


def test_the_symmetric_sets_may_be_in_another_directory(fever, tmp_path):
    (tmp_path / "symmetric").mkdir()
    for name in ("sym1", "sym2"):
        (fever / name).rename(tmp_path / "symmetric" / name)
    task = load(fever, symmetric=str(tmp_path / "symmetric"))
    assert [len(split.examples) for split in (*task.ood, task.ood_train)] == [2, 1, 2]


def test_of_two_columns_that_would_do_the_first_counts_and_ids_stay_only_where_they_are(fever):
    row = {"claim": "c", "evidence": "e", "evidence_sentence": "other", "gold_label": "REFUTES", "label": "SUPPORTS"}
    (fever / "fever.dev.jsonl").write_text(json.dumps(row) + "\n")
    assert load(fever).dev.examples.to_dict() == {"text_a": ["c"], "text_b": ["e"], "label": [1]}


def test_rows_of_fever_that_lack_a_text_or_label_are_skipped_counted_and_noted(fever):
    file = fever / "fever.train.jsonl"
    rows = [("c", "e", "SUPPORTS"), ("c", "", "REFUTES"), ("", "e", "REFUTES"), ("c", "e", "-")]
    file.write_text("".join(json.dumps({"claim": c, "evidence": e, "label": w}) + "\n" for c, e, w in rows) + "\n")
    task = load(fever)
    assert task.train.examples["label"][:] == [0]
    assert task.notes == tuple(
        f"{file}: {n} row{s} skipped" for n, s in [("1 short", ""), ("1 unlabelled", ""), ("2 empty", "s")]
    )


def test_spurious_features_are_of_the_claim_alone(fever):
    task = load(fever)
    vectors = {"fever": [1.0, -1.0], "c1": [-2.0, 3.0], "e0": [9.0, 9.0], "e1": [9.0, 9.0]}
    features = task.spurious_features(
        task.train, lambda words: np.array([vectors.get(word, [0.0, 0.0]) for word in words])
    )
    assert features.tolist() == [[1, -1], [1, 3], [1, -1]]
    (fever / "words.vec").write_text("2 2\nfever 1 -1\nc1 -2 3\n")
    from_file = load(fever, word_vectors=str(fever / "words.vec"))
    assert from_file.spurious_features(task.train, None).tolist() == features.tolist()


def test_max_train_draws_a_subset_by_the_seed(fever):
    drawn = {tuple(load(fever, seed=seed, max_train=1).train.examples["id"][:]) for seed in range(9)}
    assert drawn <= {("0",), ("1",), ("2",)}
    assert len(drawn) > 1
    assert load(fever, max_train=1).notes == ("train: 1 of 3 examples, drawn at random (max_train)",)


def test_max_eval_draws_a_subset_of_the_symmetric_sets_too(fever):
    task = load(fever, max_eval=1)
    assert [len(split.examples) for split in (task.train, *task.evaluated, task.ood_train)] == [3, 1, 1, 1, 2]
    assert task.notes == ("symmetric-v1: 1 of 2 examples, drawn at random (max_eval)",)


@pytest.mark.parametrize("name", ["fever.train.jsonl", "sym1/test.jsonl"])
@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "row 1: expected a column 'evidence' or 'evidence_sentence', got none"),
        (
            '{"claim": "c", "evidences": "e", "label": "REFUTES"}',
            "row 1: expected a column 'evidence' or 'evidence_sentence', got claim, evidences, label; "
            "did you mean 'evidences'?",
        ),
        (
            '{"claim": "c", "evidence": "e", "verdict": "REFUTES"}',
            "row 1: expected a column 'gold_label' or 'label', got claim, evidence, verdict",
        ),
        (
            '{"clam": "c", "evidence": "e", "label": "REFUTES"}',
            "row 1: expected a column 'claim', got clam, evidence, label; did you mean 'clam'?",
        ),
        (
            '{"claim": "c", "evidence": [["e"]], "label": "REFUTES"}',
            "row 1: expected a text or a number in 'evidence', got list",
        ),
        (
            '{"claim": "c", "evidence": "e", "label": "REFUTED"}',
            "row 1: expected a label (SUPPORTS, REFUTES, NOT ENOUGH INFO), got 'REFUTED'; did you mean 'REFUTES'?",
        ),
        ('["c"]', "row 1: expected a JSON object, got list"),
    ],
)
def test_any_other_row_is_an_error_with_file_and_row(fever, name, content, expected):
    (fever / name).write_text(content + "\n" if content else "")
    with pytest.raises(DataError) as caught:
        load(fever)
    assert str(caught.value) == f"{fever / name}: {expected}"


def test_an_empty_text_of_a_symmetric_set_is_an_error(fever):
    (fever / "sym1/test.jsonl").write_text('{"claim": "c", "evidence": "", "label": "REFUTES"}\n')
    with pytest.raises(
        DataError, match=r"sym1/test\.jsonl: row 1: expected a text in column 'evidence', got an empty one$"
    ):
        load(fever)


# -- options, sizes ------------------------------------------------------------------------------


def problem(**options) -> str:
    with pytest.raises(ValidationError) as caught:
        FactVerificationOptions.model_validate(options)
    (error,) = caught.value.errors()
    return error["msg"].removeprefix("Value error, ")


def missing(**options) -> list[str]:
    """The files that the check of the recipe does not find."""
    found = [each.message for each in FactVerificationOptions.model_validate(options).check_files()]
    assert all(each.startswith("file not found: ") for each in found), found
    return [each.removeprefix("file not found: ").partition(";")[0] for each in found]


def test_a_path_is_needed():
    assert problem() == "Field required"


def test_a_directory_without_the_files_names_those_that_are_needed(tmp_path):
    assert missing(path=str(tmp_path)) == [str(tmp_path / name) for name in FILES if name != "sym2/dev.jsonl"]


def test_a_directory_for_the_symmetric_sets_needs_their_files_wherever_fever_is(fever, tmp_path):
    (fever / "sym1/test.jsonl").unlink()
    assert missing(path="my/fever", symmetric=str(fever)) == [str(fever / "sym1/test.jsonl")]
    assert missing(path=str(fever)) == [str(fever / "sym1/test.jsonl")]


def test_the_hub_has_no_symmetric_sets():
    found = [each.partition(" ")[0] for each in missing(path="my/fever", symmetric="my/symmetric")]
    assert found == ["my/symmetric/sym1/test.jsonl", "my/symmetric/sym2/test.jsonl"]


def test_a_directory_that_is_not_there_is_one_problem(tmp_path):
    options = FactVerificationOptions(path="my/fever", symmetric=str(tmp_path / "no"))
    assert [each.key for each in options.check_files()] == [("symmetric",)]


def test_sizes_are_counted_in_the_files(fever):
    sizes = {"train": 3, "dev": 1, "symmetric-v1": 2, "symmetric-v2": 1, "ood_train": 2}
    assert FactVerification(made(fever)).sizes() == sizes
    assert FactVerification(made(fever, max_train=2)).sizes() == sizes | {"train": 2}
    assert FactVerification(made(fever, max_eval=1)).sizes() == sizes | {"symmetric-v1": 1}
    data = FactVerification(made(fever))
    (fever / "fever.train.jsonl").unlink()
    del sizes["train"]
    assert data.sizes() == sizes


def test_sizes_of_what_is_not_here_are_the_papers(fever):
    published = {"train": 242_911, "dev": 16_664}
    assert FactVerification(made("my/fever")).sizes() == published | {"ood_train": 708}
    known = published | {"symmetric-v1": 2, "symmetric-v2": 1, "ood_train": 2}
    assert FactVerification(made("my/fever", symmetric=str(fever))).sizes() == known


# -- real data -----------------------------------------------------------------------------------


@pytest.mark.data
def test_fever_symmetric_is_read_whole(fever, data_dir):
    symmetric = str(data_dir / "fever")
    task = load(fever, symmetric=symmetric)
    counts = {split.name: Counter(split.examples["label"][:]) for split in (*task.ood, task.ood_train)}
    assert counts == {
        "symmetric-v1": {0: 379, 1: 338},
        "symmetric-v2": {0: 356, 1: 356},
        "ood_train": {0: 354, 1: 354},
    }
    first = task.ood[0].examples[0]
    assert first["text_a"] == "Telemundo is a English-language television network ."
    assert first["text_b"].startswith("Telemundo -LRB- -LSB- teleˈmundo -RSB- -RRB- is an American")
    assert (first["label"], first["id"]) == (0, "1118970000002")
    assert task.ood_train.examples[0]["text_a"] == "Daggering is associated with the genre of death metal ."
    assert task.ood_train.examples[0]["text_b"].startswith("It is of recent origin , associated with the 2006 wave")
    assert task.notes == ()
    sizes = FactVerification(made(fever, symmetric=symmetric)).sizes()
    assert {name: sizes[name] for name in counts} == {"symmetric-v1": 717, "symmetric-v2": 712, "ood_train": 708}
