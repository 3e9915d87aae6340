"""``check_data`` of the built-in data sets: right files, and each way in which a file can be wrong."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

from srf_datasets import complete_check
from srf_datasets.options import PairsOptions
from srf_datasets.published import Published
from srf_datasets.task_options import FactVerificationOptions, NliOptions, ParaphraseOptions
from srframework import Finding, Options

MNLI_HEADER = "index promptID pairID genre sentence1 sentence2 label1 gold_label".split()
HANS_HEADER = "gold_label p1 p2 p3 p4 sentence1 sentence2 pairID heuristic subcase template".split()
LETTERS = {"n": "neutral", "e": "entailment", "c": "contradiction"}


def write_tsv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ["\t".join(header), *("\t".join(map(str, row)) for row in rows)]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def write_jsonl(path: Path, rows: Iterable[dict[str, object]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


def mnli_rows(count: int, agree: float = 1.0) -> list[list[object]]:
    draw = random.Random(0)
    rows = []
    for number in range(count):
        letter = "nec"[number % 3]
        label = LETTERS[letter] if draw.random() < agree else draw.choice([*LETTERS.values()])
        rows.append([number, number, f"{number}{letter}", "fiction", "a man runs", "he runs", label, label])
    return rows


def hans_rows(count: int) -> list[list[object]]:
    texts = ("a b", "b a")
    kinds = (("non-entailment", "ln_x"), ("entailment", "le_x"))
    names = ((*kinds[i % 2], f"ex{i}") for i in range(count))
    return [[label, *"abcd", *texts, pair, "lexical_overlap", subcase, "t"] for label, subcase, pair in names]


@pytest.fixture
def mnli(tmp_path) -> Path:
    write_tsv(tmp_path / "train.tsv", MNLI_HEADER, mnli_rows(300))
    write_tsv(tmp_path / "dev_matched.tsv", MNLI_HEADER, mnli_rows(150, agree=0.9))
    write_tsv(tmp_path / "hans/heuristics_evaluation_set.txt", HANS_HEADER, hans_rows(40))
    return tmp_path


@pytest.fixture
def known(monkeypatch):
    """Publish other numbers."""

    def publish(**splits: Published) -> None:
        table = {name.replace("__", "/").replace("_", "-"): each for name, each in splits.items()}
        monkeypatch.setattr(complete_check, "published_split", table.get)

    publish()
    return publish


def check(options: Options, *states: str) -> list[tuple[str, str, str]]:
    """Split, check and message of the findings in these states; without any, of all but the right ones."""
    found = [*options.check_data()]
    assert all(isinstance(each, Finding) for each in found)
    wanted = states or ("problem", "warning")
    return [(each.split, each.check, each.message) for each in found if each.state in wanted]


# -- right files -------------------------------------------------------------------------------------------


def test_right_files_have_no_problem(mnli, known):
    known(
        mnli__train=Published(300, "us", dict.fromkeys(LETTERS.values(), 1 / 3), "us"),
        mnli__dev=Published(150, "us"),
        hans__evaluation=Published(40, "us", {"non-entailment": 0.5, "entailment": 0.5}, "them"),
    )
    options = NliOptions(path=str(mnli))
    assert check(options) == []
    assert check(options, "ok")[:5] == [
        ("train", "rows", "300 examples"),
        ("train", "size", "300 rows, as published (us)"),
        (
            "train",
            "shares",
            "contradiction 33.3 %, entailment 33.3 %, neutral 33.3 %; published: 33.3 / 33.3 / 33.3 % (us)",
        ),
        ("train", "labels", "the last letter of pairID agrees with the label in 300 of 300 rows"),
        ("dev", "rows", "150 examples"),
    ]
    assert ("hans", "labels", "the subcase agrees with the label in 40 of 40 rows") in check(options, "ok")
    (unknown,) = check(options, "unknown")
    assert unknown[:2] == ("dev", "shares")


def test_data_on_the_hub_are_not_checked_here():
    assert check(NliOptions(), "ok", "unknown", "problem", "warning") == []


# -- files -------------------------------------------------------------------------------------------------


def test_missing_files_are_named_with_their_source(mnli):
    (mnli / "train.tsv").unlink()
    (mnli / "hans/heuristics_evaluation_set.txt").unlink()
    hans, glue = "https://github.com/tommccoy1/hans", "https://gluebenchmark.com/tasks (MultiNLI Matched)"
    assert [each for each in check(NliOptions(path=str(mnli))) if each[1] == "file"] == [
        ("train", "file", f"file not found: {mnli / 'train.tsv'}; get it from {glue}"),
        ("hans", "file", f"file not found: {mnli / 'hans/heuristics_evaluation_set.txt'}; get it from {hans}"),
    ]


@pytest.mark.parametrize(
    ("options", "split"),
    [
        (NliOptions(path="data/none"), "path"),
        (ParaphraseOptions(path="data/none"), "path"),
        (FactVerificationOptions(path="data/none"), "path"),
        (NliOptions(hans="data/none"), "hans"),
    ],
    ids=["nli", "paraphrase", "fact-verification", "hans"],
)
def test_a_directory_that_is_not_there_is_named_with_its_source(options, split):
    ((found, kind, message),) = check(options)
    assert (found, kind) == (split, "file")
    assert "a path is not looked up on the hub. Get it from https://" in message


def test_missing_word_vectors_are_named(mnli, known):
    ((split, kind, message),) = check(NliOptions(path=str(mnli), word_vectors=str(mnli / "w.vec")))
    assert (split, kind) == ("word_vectors", "file")
    assert message.startswith(f"file not found: {mnli / 'w.vec'}; get it from https://fasttext.cc/")


# -- rows --------------------------------------------------------------------------------------------------


def test_all_rows_are_read_not_only_the_first(mnli, known):
    rows = mnli_rows(300)
    rows[280][-1] = "entailed"
    write_tsv(mnli / "train.tsv", MNLI_HEADER, rows)
    options = NliOptions(path=str(mnli))
    assert [*options.check_files()] == []  # what validate reads
    ((split, kind, message),) = check(options)
    assert (split, kind) == ("train", "rows")
    assert message.startswith(f"{mnli / 'train.tsv'}: row 282: expected a label (contradiction, ")


@pytest.mark.parametrize(("cut", "cells"), [(3, None), (20, 7), (40, 5)])
def test_a_tsv_that_ends_in_the_middle_of_a_row_is_cut_off(mnli, known, cut, cells):
    path = mnli / "train.tsv"
    path.write_bytes(path.read_bytes()[:-cut])
    (found,) = check(NliOptions(path=str(mnli)))
    if cells is None:  # the last cell is cut
        assert found[2].startswith(f"{path}: row 301: expected a label")
    else:
        expected = f"the last row is cut off: expected 8 cells, got {cells} and no line end; the file is not complete"
        assert found == ("train", "rows", expected)


def test_a_file_without_a_line_end_may_be_complete(mnli, known):
    path = mnli / "train.tsv"
    path.write_bytes(path.read_bytes()[:-1])
    assert check(NliOptions(path=str(mnli))) == []


def test_a_file_of_json_that_is_cut_off_names_the_row(tmp_path, known):
    for name in ("fever.train", "fever.dev", "sym1/test", "sym2/test"):
        rows = [{"claim": "a", "evidence": "b", "label": "SUPPORTS"}] * 9
        path = write_jsonl(tmp_path / f"{name}.jsonl", rows)
    path.write_bytes(path.read_bytes()[:-20])
    ((split, kind, message),) = check(FactVerificationOptions(path=str(tmp_path)), "problem")
    assert (split, kind) == ("symmetric-v2", "rows")
    assert message.startswith(f"{path}: row 9: expected a JSON object: ")


def test_short_rows_are_usual_in_qqp_and_a_warning_elsewhere(tmp_path, mnli, known):
    header = "id qid1 qid2 question1 question2 is_duplicate".split()
    rows = [[i, i, i, "what is a", "what is b", i % 2] for i in range(20)]
    rows[7] = rows[7][:4]
    for name in ("train", "dev"):
        write_tsv(tmp_path / f"qqp/{name}.tsv", header, rows)
    pair = [[i, "a b", "b a", i % 2] for i in range(20)]
    for name in ("paws_qqp/dev", "paws_wiki/test"):
        write_tsv(tmp_path / f"qqp/{name}.tsv", "id sentence1 sentence2 label".split(), pair)
    options = ParaphraseOptions(path=str(tmp_path / "qqp"))
    assert check(options) == []
    assert ("train", "rows", "19 examples; skipped: 1 short") in check(options, "ok")
    with (mnli / "dev_matched.tsv").open("a") as file:
        file.write("only\ttwo\n")
    assert check(NliOptions(path=str(mnli))) == [("dev", "rows", "150 examples; skipped: 1 short")]


# -- sizes and shares --------------------------------------------------------------------------------------


def test_a_size_that_is_not_the_published_one_is_a_problem(mnli, known):
    known(mnli__train=Published(301, "them"))
    assert check(NliOptions(path=str(mnli))) == [("train", "size", "expected 301 rows (them), got 300")]


def test_rows_without_a_label_count_and_short_ones_do_not(mnli, known):
    known(mnli__train=Published(301, "them"))
    with (mnli / "train.tsv").open("a") as file:
        file.write("\t".join(["1"] * 7 + ["-"]) + "\nshort\n")
    found = check(NliOptions(path=str(mnli)))
    assert found == [("train", "rows", "300 examples; skipped: 1 short, 1 unlabelled")]


def fever(tmp_path: Path, labels: Sequence[str], overlap: float = 0.5) -> FactVerificationOptions:
    """FEVER with these labels of its training set; SUPPORTS and REFUTES have the usual overlap."""
    draw = random.Random(1)

    def row(label: str) -> dict[str, object]:
        same = draw.random() < {"SUPPORTS": 0.8, "REFUTES": 0.5, "NOT ENOUGH INFO": overlap}[label]
        return {"claim": "red cat", "evidence": "red cat" if same else "x y", "label": label}

    write_jsonl(tmp_path / "fever.train.jsonl", map(row, labels))
    for name in ("fever.dev", "sym1/test", "sym2/test"):
        write_jsonl(tmp_path / f"{name}.jsonl", map(row, ["SUPPORTS", "REFUTES"] * 200))
    return FactVerificationOptions(path=str(tmp_path))


SHARES = {"SUPPORTS": 414, "REFUTES": 172, "NOT ENOUGH INFO": 414}
IN_TRAIN = Published(1000, "us", {label: count / 1000 for label, count in SHARES.items()}, "us")


def labels_of(renamed: dict[str, str] | None = None) -> list[str]:
    return [(renamed or {}).get(label, label) for label, count in SHARES.items() for _ in range(count)]


def test_shares_that_are_published_are_right(tmp_path, known):
    known(fever__train=IN_TRAIN)
    assert check(fever(tmp_path, labels_of())) == []


def test_labels_with_other_shares_that_are_exchanged_are_named(tmp_path, known):
    known(fever__train=IN_TRAIN)
    found = check(fever(tmp_path, labels_of({"SUPPORTS": "REFUTES", "REFUTES": "SUPPORTS"})))
    expected = (
        "expected the shares 41.4 / 17.2 / 41.4 % (us), got SUPPORTS 17.2 %, REFUTES 41.4 %, NOT ENOUGH INFO 41.4 %"
    )
    assert found[0] == ("train", "shares", f"{expected}; they fit if SUPPORTS and REFUTES are exchanged")


def test_other_shares_are_a_problem(tmp_path, known):
    known(fever__train=IN_TRAIN)
    ((_, kind, message),) = check(fever(tmp_path, ["SUPPORTS"] * 800 + ["REFUTES"] * 100 + ["NOT ENOUGH INFO"] * 100))
    assert kind == "shares"
    assert "exchanged" not in message


def test_labels_with_equal_shares_that_are_exchanged_are_seen_in_the_texts(tmp_path, known):
    """SUPPORTS and NOT ENOUGH INFO: the shares are right, but the claims of SUPPORTS repeat less of the evidence."""
    known(fever__train=IN_TRAIN)
    draw = fever(tmp_path, labels_of(), overlap=0.2)
    path = tmp_path / "fever.train.jsonl"
    text = path.read_text().replace('"SUPPORTS"', '"X"').replace('"NOT ENOUGH INFO"', '"SUPPORTS"')
    path.write_text(text.replace('"X"', '"NOT ENOUGH INFO"'))
    found = {(kind, state) for state in ("problem", "warning") for _, kind, _ in check(draw, state)}
    assert found == {("labels", "problem"), ("labels", "warning")}  # SUPPORTS against REFUTES, and against the third
    assert ("train", "shares") in [each[:2] for each in check(draw, "ok")]


@pytest.mark.parametrize(("total", "is_right"), [(1000, False), (900, True)])
def test_a_part_of_the_data_may_differ_by_chance(tmp_path, known, total, is_right):
    known(fever__train=Published(1000, "us", IN_TRAIN.shares, "us"))
    labels = ["SUPPORTS"] * round(0.43 * total) + ["REFUTES"] * round(0.17 * total)
    labels += ["NOT ENOUGH INFO"] * (total - len(labels))
    shares = [each for each in check(fever(tmp_path, labels)) if each[1] == "shares"]
    assert (shares == []) == is_right


# -- labels ------------------------------------------------------------------------------------------------


def test_exchanged_labels_of_mnli_are_seen_in_the_pair_ids(mnli, known):
    rows = mnli_rows(300)
    for row in rows:
        row[-1] = {"neutral": "entailment", "entailment": "neutral"}.get(str(row[-1]), row[-1])
    write_tsv(mnli / "train.tsv", MNLI_HEADER, rows)
    expected = (
        "entailment and neutral are exchanged: the last letter of pairID agrees with the label in 100 of 300 rows"
    )
    assert check(NliOptions(path=str(mnli))) == [("train", "labels", expected)]


def test_exchanged_labels_of_hans_are_seen_in_the_subcases(mnli, known):
    rows = hans_rows(40)
    for row in rows:
        row[0] = "entailment" if row[0] == "non-entailment" else "non-entailment"
    write_tsv(mnli / "hans/heuristics_evaluation_set.txt", HANS_HEADER, rows)
    expected = "non-entailment and entailment are exchanged: the subcase agrees with the label in 0 of 40 rows"
    assert check(NliOptions(path=str(mnli))) == [("hans", "labels", expected)]


def test_one_wrong_label_of_hans_is_seen(mnli, known):
    rows = hans_rows(40)
    rows[3][0] = "non-entailment"
    write_tsv(mnli / "hans/heuristics_evaluation_set.txt", HANS_HEADER, rows)
    expected = "the subcase says another label in 1 of 40 rows"
    assert check(NliOptions(path=str(mnli))) == [("hans", "labels", expected)]


PAIRS = {
    "entailment": ("a man plays a guitar", "a man plays"),
    "neutral": ("a man plays a guitar", "some people sing well"),
    "contradiction": ("a man plays a guitar", "no man plays"),
}


def pairs(tmp_path: Path, renamed: dict[str, str] | None = None, count: int = 90) -> PairsOptions:
    rows = [
        (*PAIRS[label], (renamed or {}).get(label, label), "TRAIN" if i // 3 % 3 else "TEST")
        for i, label in enumerate(each for _ in range(count // 3) for each in PAIRS)
    ]
    write_tsv(tmp_path / "all.tsv", "sentence1 sentence2 label part".split(), rows)
    return PairsOptions.model_validate(
        {
            "root": str(tmp_path),
            "labels": ["contradiction", "entailment", "neutral"],
            "train": {"path": "all.tsv", "where": {"part": "TRAIN"}},
            "dev": {"path": "all.tsv", "where": {"part": "TEST"}},
        }
    )


def swap(a: str, b: str) -> dict[str, str]:
    return {a: b, b: a}


def test_the_texts_of_nli_data_show_the_order_of_the_labels(tmp_path):
    assert check(pairs(tmp_path, count=300)) == []


@pytest.mark.parametrize(
    "renamed",
    [swap("entailment", "neutral"), swap("entailment", "contradiction"), swap("neutral", "contradiction")],
    ids=["e n", "e c", "n c"],
)
def test_exchanged_labels_of_other_nli_data_are_a_warning(tmp_path, renamed):
    options = pairs(tmp_path, renamed, count=300)
    assert check(options, "problem") == []
    found = check(options, "warning")
    assert found
    assert all(kind == "labels" and message.endswith("are these labels exchanged?") for _, kind, message in found)


def test_few_rows_are_too_few_to_tell(tmp_path):
    options = pairs(tmp_path, swap("entailment", "contradiction"), count=6)
    assert check(options) == []
    assert any("too close to tell" in message for _, _, message in check(options, "unknown"))


def test_labels_of_another_task_are_not_tested(tmp_path):
    options = pairs(tmp_path).model_copy(update={"labels": ("contradiction", "yes", "no")})
    assert not any(kind == "labels" for _, kind, _ in check(options, "ok", "warning", "unknown"))


def test_rows_that_belong_to_no_split_are_named(tmp_path):
    options = pairs(tmp_path, count=300)
    with (tmp_path / "all.tsv").open("a") as file:
        file.write("a\tb\tneutral\tTES\na\tb\tneutral\tTRIAL\na\tb\tneutral\tTRIAL\n")
    expected = "rows that belong to no split: 1 with {'part': 'TES'}, 2 with {'part': 'TRIAL'}"
    assert check(options) == [("train", "rows", expected)]


# -- checksums, word vectors -------------------------------------------------------------------------------


def test_a_file_that_is_not_the_published_one_is_a_warning(mnli, known):
    digest = complete_check._sha256(str(mnli / "train.tsv"))
    known(mnli__train=Published(300, "us", sha256=digest), mnli__dev=Published(150, "us", sha256="0" * 64))
    options = NliOptions(path=str(mnli))
    assert check(options) == [("dev", "checksum", "not byte for byte the published file (sha256 000000000000…)")]
    assert ("train", "checksum", f"the published file (sha256 {digest[:12]}…)") in check(options, "ok")


@pytest.mark.parametrize(
    ("content", "state", "message"),
    [
        ("2 2\na 1 2\nb 3 4\n", "ok", "2 words of 2 dimensions"),
        ("2 2\na 1 2\n\nb 3 4", "ok", "2 words of 2 dimensions"),
        ("2 2\na 1 2\nb 3\n", "problem", "{path}: row 3: expected 2 numbers after the word, got 1"),
        ("3 2\na 1 2\nb 3 4\n", "problem", "{path}: expected 3 words, as in its first row, got 2"),
        ("a 1 2\n", "problem", "{path}: row 1: expected the number of words and the number of dimensions, got 'a 1 2'"),
    ],
)
def test_every_row_of_the_word_vectors_is_counted(tmp_path, content, state, message):
    path = tmp_path / "w.vec"
    path.write_text(content)
    (found,) = complete_check.vector_findings(str(path))
    assert (found.state, found.message) == (state, message.format(path=path))


# -- the real files ----------------------------------------------------------------------------------------


@pytest.mark.data
def test_the_published_files_are_right(data_dir, tmp_path):
    (tmp_path / "fever").mkdir()
    options = FactVerificationOptions(path="my/fever", symmetric=str(data_dir / "fever"))
    assert check(options) == []
    assert [each[:2] for each in check(options, "ok")][:5] == [
        ("symmetric-v1", kind) for kind in ("rows", "size", "shares", "labels", "checksum")
    ]
