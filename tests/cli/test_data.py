"""``data check`` and ``data convert-bias``, and what a run says about the word vectors of its bias model."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys

import pytest

RECIPE = """\
name = "small"
schema = 1
backbone = { use = "tiny", layers = 1, width = 16, heads = 2, intermediate = 16 }
training = { max_steps = 2, batch_size = 4, max_length = 16 }

[dataset]
use = "pairs"
labels = ["no", "yes"]
train = { path = "train.jsonl", keep = ["id"] }
dev.path = "dev.jsonl"

[bias]
use = "bias-file"
path = "bias.json"
missing = "drop"

[[stages]]
name = "full"
op = "train"
loss = "poe"
"""


def rows(name: str, count: int = 8) -> str:
    table = [
        {"id": i, "sentence1": f"{name} {i} a", "sentence2": f"b {i}", "label": ["no", "yes"][i % 2]}
        for i in range(count)
    ]
    return "".join(f"{json.dumps(row)}\n" for row in table)


@pytest.fixture
def small(work):
    """The recipe and its files; without the bias model's."""
    (work / "r.toml").write_text(RECIPE)
    (work / "train.jsonl").write_text(rows("p"))
    (work / "dev.jsonl").write_text(rows("q"))
    return work


LOGISTIC = ["--set", 'bias={ use = "bias-logistic" }']
OF_BACKBONE = (
    "p_b is made of the backbone's input embeddings, because no word vectors are given; it differs from the paper's, "
    "which is made of fastText vectors"
)


# -- data check ------------------------------------------------------------------------------------------


def test_right_data_are_checked_with_exit_code_0(small, call):
    done = call("data", "check", "r.toml", *LOGISTIC)
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        "dataset pairs: 2 ok, 2 unknown",
        "  ok      train: rows: 8 examples",
        "  unknown train: shares: no 50.0 %, yes 50.0 %; there are no published figures to compare with",
        "  ok      dev: rows: 8 examples",
        "  unknown dev: shares: no 50.0 %, yes 50.0 %; there are no published figures to compare with",
    ]


def test_a_problem_is_exit_code_1(small, call):
    (small / "train.jsonl").write_text(rows("p")[:-9])
    done = call("data", "check", "r.toml", *LOGISTIC)
    assert done.code == 1
    head, found, *_ = done.out.splitlines()
    assert head == "dataset pairs: 1 ok, 1 problem, 1 unknown"
    assert found.startswith("  PROBLEM train: rows: train.jsonl: row 8: expected a JSON object: ")


def test_missing_files_and_missing_word_vectors_are_problems(small, call):
    (small / "dev.jsonl").unlink()
    done = call("data", "check", "r.toml", *LOGISTIC, "--set", "dataset.word_vectors=none.vec")
    assert done.code == 1
    assert f"  PROBLEM dev: file: file not found: dev.jsonl (relative to {small})" in done.out
    assert "  PROBLEM word_vectors: file: file not found: none.vec (relative to" in done.out


@pytest.mark.parametrize(("strict", "code"), [([], 0), (["--strict"], 1)])
def test_warnings_fail_where_they_are_to(small, call, strict, code):
    header, body = "sentence1\tsentence2\tlabel\n", "a\tb\tyes\na\tb\tno\nshort\na\tb\tyes\n"
    (small / "dev.tsv").write_text(header + body)
    done = call("data", "check", "r.toml", *LOGISTIC, "--set", 'dataset.dev.path="dev.tsv"', *strict)
    assert done.code == code
    assert "  warning dev: rows: 3 examples; skipped: 1 short" in done.out


def test_json_has_every_finding(small, call):
    (small / "train.jsonl").unlink()
    done = call("data", "check", "r.toml", *LOGISTIC, "--json")
    assert done.code == 1
    (checked,) = json.loads(done.out)
    assert checked["name"] == "dataset pairs"
    assert checked["options"]["dev"] == {"path": "dev.jsonl"}
    assert checked["findings"][0] == {
        "state": "problem",
        "split": "train",
        "check": "file",
        "message": f"file not found: train.jsonl (relative to {small})",
        "path": "train.jsonl",
    }


def test_without_a_recipe_every_data_set_of_the_paper_is_checked(work, call):
    done = call("data", "check")
    assert done.code == 1
    heads = [line.partition(":")[0] for line in done.out.splitlines() if line.startswith("dataset")]
    assert heads == ["dataset nli", "dataset paraphrase", "dataset fact-verification"]
    assert "get it from https://fasttext.cc/" in done.out
    assert "Get it from https://github.com/TalSchuster/FeverSymmetric" in done.out


def test_equal_data_of_several_runs_are_checked_once(small, call):
    done = call("data", "check", "r.toml", *LOGISTIC, "--set", "sweep.seed=[1,2,3]")
    assert done.out.count("dataset pairs:") == 1


def test_data_that_are_generated_are_not_known(work, call):
    done = call("data", "check", "quickstart")
    assert (done.code, done.out.splitlines()[0]) == (0, "dataset synthetic: 1 unknown")


def test_a_bias_file_that_is_damaged_is_a_problem(small, call):
    (small / "bias.npy").write_bytes(b"\x93NUMPY\x01")
    done = call("data", "check", "r.toml", "--set", 'bias.path="bias.npy"')
    assert done.code == 1
    assert "bias bias-file: 1 problem" in done.out


@pytest.mark.parametrize(
    ("args", "code", "expected"),
    [
        (["none.toml"], 2, "none.toml: no such file, and no shipped recipe has this name"),
        (["r.toml", "--set", "dataset.labels=[]"], 2, "dataset.labels"),
        (["r.toml"], 2, "bias.path: expected a file that exists"),
    ],
)
def test_a_recipe_that_is_not_valid_is_refused(small, call, args, code, expected):
    done = call("data", "check", *args)
    assert done.code == code
    assert expected in done.err


def test_a_plugin_whose_check_fails_is_named(small, call, monkeypatch):
    from srf_datasets.options import PairsOptions

    monkeypatch.setattr(PairsOptions, "check_data", lambda _: [1])
    done = call("data", "check", "r.toml", *LOGISTIC)
    assert done.code == 3
    assert "dataset 'pairs' of srframework" in done.err
    assert "check_data failed: TypeError: expected Finding objects, got int" in done.err


def test_heavy_libraries_are_not_imported(small):
    code = (
        "import sys; sys.argv[1:] = ['data', 'check', 'r.toml', '--set', 'bias={ use = \"bias-logistic\" }']\n"
        "from srframework.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: assert end.code == 0\n"
        "heavy = {'torch', 'transformers', 'numpy', 'datasets', 'sklearn'} & sys.modules.keys()\n"
        "sys.stderr.write(f'heavy: {sorted(heavy)}')"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=small, check=True)
    assert run.stderr == "heavy: []"


# -- data convert-bias -----------------------------------------------------------------------------------


def test_a_converted_table_is_read_by_a_run_that_drops_the_other_examples(small, perform):
    (small / "bias.pkl").write_bytes(pickle.dumps({i: [0.25, 0.75] for i in range(6)}, protocol=2))
    done = perform("data", "convert-bias", "bias.pkl", "bias.json", cwd=small)
    assert (done.code, done.err) == (0, "")
    assert done.out == "bias.json: 6 rows of 2 probabilities; set bias.log = false\n"
    done = perform("run", "r.toml", "--out", "out", cwd=small)
    assert done.code == 0, done.err
    note = 'train: 2 of 8 examples dropped, because bias.json has no row for them (missing = "drop")'
    assert note in done.err
    facts = json.loads((small / "out/run.json").read_text())
    assert note in facts["notes"]
    assert facts["data"]["train"]["examples"] == 6
    report = json.loads((small / "out/bias.json").read_text())
    assert report["word_vectors"] is None
    assert report["splits"]["train"]["accuracy"] == 0.5
    assert OF_BACKBONE not in done.err + done.out


def test_logarithms_need_the_option_log(small, perform):
    (small / "bias.pkl").write_bytes(pickle.dumps({1: [-0.6931472, -0.6931472]}))
    done = perform("data", "convert-bias", "bias.pkl", "b.json", cwd=small)
    assert done.out == "b.json: 1 row of 2 log-probabilities; set bias.log = true\n"


def test_a_hostile_pickle_is_a_sentence(small, call):
    class Hostile:
        def __reduce__(self):
            return os.mkdir, ("made",)

    (small / "bias.pkl").write_bytes(pickle.dumps({"a": Hostile()}))
    done = call("data", "convert-bias", "bias.pkl", "bias.json")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("error: bias.pkl: byte ")
    assert done.err.rstrip().endswith("which a pickle would import; nothing in the file was executed")
    assert not (small / "made").exists()
    assert not (small / "bias.json").exists()


@pytest.mark.parametrize(
    ("args", "code", "expected"),
    [
        (["bias.pkl", "out.txt"], 2, "expected a name that ends in .json, got out.txt"),
        (["train.jsonl", "r.json"], 1, "expected a readable pickle (byte 0"),
        (["none.pkl", "out.json"], 1, "none.pkl: cannot be read: No such file or directory"),
        ([".", "out.json"], 1, "cannot be read: Is a directory"),
        (["bias.pkl"], 2, "Missing argument 'OUT.json'"),
    ],
)
def test_other_arguments_are_refused(small, call, args, code, expected):
    done = call("data", "convert-bias", *args)
    assert done.code == code
    assert expected in done.err
    assert not (small / "out.json").exists()


def test_a_file_is_not_overwritten(small, call):
    (small / "bias.pkl").write_bytes(pickle.dumps({1: [0.5, 0.5]}))
    (small / "mine.json").write_text("mine")
    done = call("data", "convert-bias", "bias.pkl", "mine.json")
    assert (done.code, (small / "mine.json").read_text()) == (2, "mine")


# -- word vectors ----------------------------------------------------------------------------------------


def test_a_run_without_word_vectors_says_so_everywhere(small, perform):
    plan = perform("run", "r.toml", *LOGISTIC, "--dry-run", cwd=small)
    assert f"Bias model: {OF_BACKBONE}.\n" in plan.out
    done = perform("run", "r.toml", *LOGISTIC, "--out", "out", cwd=small)
    assert done.code == 0, done.err
    assert OF_BACKBONE in done.err
    assert OF_BACKBONE in " ".join(done.out.split())
    assert json.loads((small / "out/run.json").read_text())["notes"].count(OF_BACKBONE) == 1
    assert json.loads((small / "out/bias.json").read_text())["word_vectors"] == "backbone"
    again = perform("run", "r.toml", *LOGISTIC, "--out", "again", cwd=small)  # everything from the store
    assert OF_BACKBONE in again.err
    assert OF_BACKBONE in json.loads((small / "again/run.json").read_text())["notes"]


def test_a_run_with_word_vectors_does_not(small, perform):
    (small / "w.vec").write_text("2 2\na 1 2\nb 3 4\n")
    vectors = ["--set", "dataset.word_vectors=w.vec"]
    assert OF_BACKBONE not in perform("run", "r.toml", *LOGISTIC, *vectors, "--dry-run", cwd=small).out
    done = perform("run", "r.toml", *LOGISTIC, *vectors, "--out", "out", cwd=small)
    assert done.code == 0, done.err
    assert OF_BACKBONE not in done.err + " ".join(done.out.split())
    assert json.loads((small / "out/bias.json").read_text())["word_vectors"] is None


def test_a_loss_without_a_bias_model_says_nothing_of_word_vectors(small, call):
    plan = call("run", "r.toml", *LOGISTIC, "--set", "stages.full.loss=std", "--dry-run")
    assert (plan.code, "Bias model" in plan.out) == (0, False)


def test_the_synthetic_task_needs_no_word_vectors(work, call):
    assert OF_BACKBONE not in call("run", "quickstart", "--dry-run").out


def test_a_paper_recipe_is_planned_but_not_valid_without_its_data(work, call):
    plan = call("run", "paper/full-models", "--set", "seed=1", "--set", "variant=nli", "--dry-run")
    assert plan.code == 0
    assert "Not ready: dataset.word_vectors: file not found: data/wiki-news-300d-1M.vec" in plan.out
    assert "Bias model" not in plan.out  # the vectors are named
    done = call("validate", "paper/full-models")
    assert done.code == 2
    assert "dataset.word_vectors: file not found: data/wiki-news-300d-1M.vec" in done.err
    of_backbone = ["--set", "dataset.word_vectors=backbone", "--set", "variant=nli"]
    assert "word_vectors" not in call("validate", "paper/full-models", *of_backbone).err
    plan = call("run", "paper/full-models", *of_backbone, "--set", "seed=1", "--dry-run")
    assert f"Bias model: {OF_BACKBONE}." in plan.out
