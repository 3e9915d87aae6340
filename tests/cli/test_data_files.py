"""Data files at the command line: what is wrong with them is told before any work, and by `validate`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from log_lines import without_times

RECIPE = """\
name = "small"
schema = 1
backbone = { use = "tiny", layers = 1, width = 16, heads = 2, intermediate = 16 }

[training]
max_steps = 2
max_length = 8

[dataset]
use = "pairs"
labels = ["yes", "no"]
text_a = "premise"
train.path = "train.tsv"
dev = { path = "dev.tsv" }

[[stages]]
name = "full"
op = "train"
loss = "std"
"""
GOOD = "premise\tsentence2\tlabel\n" + "".join(
    f"p{i} and more words\th{i}\t{'yes' if i % 2 else 'no'}\n" for i in range(8)
)


@pytest.fixture
def files(work):
    """The recipe and its two files."""
    (work / "r.toml").write_text(RECIPE)
    (work / "train.tsv").write_text(GOOD)
    (work / "dev.tsv").write_text(GOOD.replace("p", "q").replace("qremise", "premise"))
    return work


OPTION = " (option of dataset 'pairs' of srframework 0.1.0)"


@pytest.mark.parametrize("command", [["validate"], ["run"], ["sweep", "--grid", "seed=1,2"]])
@pytest.mark.parametrize(
    ("changed", "content", "sets", "expected"),
    [
        (
            "train.tsv",
            GOOD,
            ["dataset.text_b=sentence3"],
            "--set dataset.text_b=sentence3: dataset.text_b: train.tsv: row 1: expected a column 'sentence3', got "
            f"premise, sentence2, label{OPTION}; did you mean 'sentence2'?",
        ),
        (
            "train.tsv",
            GOOD.replace("premise", "premis"),
            [],
            "r.toml:12: dataset.text_a: train.tsv: row 1: expected a column 'premise', got premis, sentence2, label"
            f"{OPTION}; did you mean 'premis'?",
        ),
        (
            "dev.tsv",
            GOOD.replace("yes", "Yes"),
            [],
            "r.toml:14: dataset.dev.path: dev.tsv: row 3: expected a label (yes, no), got 'Yes'",
        ),
        (
            "dev.tsv",
            GOOD.replace("\t", ","),
            [],
            "r.toml:14: dataset.dev.path: dev.tsv: row 1: expected columns separated by tabs, got commas; "
            f'set format = "csv"{OPTION}',
        ),
        (
            "train.tsv",
            GOOD.replace("words", "wörds").encode("latin-1"),
            [],
            "r.toml:13: dataset.train.path: train.tsv: row 2: expected UTF-8 text, got the byte 0xf6; if the file is "
            f'in another encoding, name it, for example encoding = "latin-1"{OPTION}',
        ),
        (
            "train.tsv",
            "premise\tsentence2\tlabel\n",
            [],
            "r.toml:13: dataset.train.path: train.tsv: expected rows with premise, sentence2, label; the file has a "
            f"header but no rows{OPTION}",
        ),
    ],
    ids=["column", "header", "label", "commas", "encoding", "no rows"],
)
def test_what_is_wrong_in_the_first_rows_is_told_before_any_work(
    files, call, command, changed, content, sets, expected
):
    (files / changed).write_bytes(content if isinstance(content, bytes) else content.encode())
    arguments = [word for each in sets for word in ("--set", each)]
    done = call(*command, "r.toml", *arguments)
    assert done.code == 2
    assert expected in done.err


@pytest.mark.parametrize(
    "path", ["data/MNLI", "./MNLI", "/no/such/dir", "no/such/dir", "../MNLI", "~/MNLI", "MNLI.tsv"]
)
@pytest.mark.parametrize("use", ["nli", "paraphrase", "fact-verification"])
def test_a_path_that_is_not_there_is_told_by_validate(files, call, path, use):
    done = call("validate", "r.toml", "--set", f'dataset={{ use = "{use}", path = "{path}" }}')
    assert done.code == 2
    assert f"dataset.path: Data set not found: '{path}' is not a local directory" in done.err


def test_a_run_says_the_same_of_a_path_that_is_not_there(files, call):
    done = call("run", "r.toml", "--set", 'dataset={ use = "nli", path = "data/MNLI" }')
    assert done.code == 2
    assert "dataset.path: Data set not found: 'data/MNLI' is not a local directory" in done.err


@pytest.mark.parametrize("path", ["glue/mnli", "nyu-mll/glue", "my-org/my.data_set-2"])
def test_a_name_on_the_hub_is_valid_without_a_network(files, call, path):
    done = call("validate", "r.toml", "--set", f'dataset={{ use = "nli", path = "{path}" }}')
    assert (done.code, done.err) == (0, "")


def test_the_cost_of_a_paper_recipe_is_told_before_its_data_are_here(work, call):
    done = call("run", "paper/section-4.4", "--dry-run", "--set", "sweep={}")
    assert done.code == 0
    assert call("validate", "paper/section-4.4").code == 2


def test_validate_of_data_files_imports_nothing_heavy(files):
    (files / "bias.npy").write_bytes(b"rubbish")
    script = (
        "import sys; from srframework.cli import cli; "
        "cli.main(['validate', 'r.toml', '--set', 'bias={ use=\"bias-file\", path=\"bias.npy\" }'], "
        "standalone_mode=False);"
        "print(sorted({'torch', 'transformers', 'numpy', 'datasets', 'pyarrow', 'huggingface_hub'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=files)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "it is not a .npy file" in done.stderr


def test_a_fifo_in_place_of_a_file_is_never_waited_for(files, call):
    (files / "train.tsv").unlink()
    os.mkfifo(files / "train.tsv")
    assert call("validate", "r.toml").code == 2
    assert call("run", "r.toml").code == 2


def test_suspicious_data_is_told_before_training_and_in_run_json(files, perform):
    (files / "dev.tsv").write_text("premise\tsentence2\tlabel\tx\tx\np\th\tyes\t1\t2\n")
    done = perform("run", "r.toml", "--out", "out", cwd=files)
    assert done.code == 0
    expected = [
        "dev.tsv: row 1: duplicate columns, not used: x",
        "train: 8 examples: yes 50.0 %, no 50.0 %",
        "dev: 1 example: yes 100 %, no 0 %",
        "warning: dev: every example has the label 'yes'",
        "warning: dev: there is only 1 example",
        "warning: train: 8 examples are fewer than one batch (batch_size = 32); stages: full",
        "train: 8 of 8 examples (100 %) are cut at max_length = 8 tokens",
    ]
    lines = without_times(done.err)
    places = [lines.index(line) for line in expected]
    assert places == sorted(places)
    assert places[-1] < next(place for place, line in enumerate(lines) if "step 2/2" in line)
    assert json.loads((files / "out" / "run.json").read_text())["notes"] == expected
    again = perform("run", "r.toml", "--out", "out", cwd=files)
    assert [line for line in without_times(again.err) if line in expected] == expected[:1]  # nothing is trained
    assert json.loads((files / "out" / "run.json").read_text())["notes"] == expected


def test_an_encoding_is_read_by_a_run(files, perform):
    for name in ("train.tsv", "dev.tsv"):
        path = Path(files, name)
        path.write_bytes(path.read_text().replace("words", "wörds").encode("utf-16"))
    assert perform("validate", "r.toml", cwd=files).code == 2
    assert perform("run", "r.toml", "--set", "dataset.encoding=utf-16", "--out", "out", cwd=files).code == 0
