"""What is refused before any stage is computed: steps that `run`, and claims that `claims` cannot answer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

STAGES = """
[[stages]]
name = "full"
op = "train"
loss = "std"

[[stages]]
name = "imp"
op = "prune"
weights = "{weights}"
pruner = {{ use = "imp", sparsity = 0.4, step = 0.2, interval = 0.5, levels = "all" }}
loss = "std"
"""

RECIPE = """
name = "small"
schema = 1
backbone = {{ use = "tiny", layers = 1, width = 16, heads = 2, intermediate = 16 }}
training = {{ batch_size = 8, epochs = 1, eval_every = 100 }}
claim = {{ statement = "s", checks = ["{check}"] }}
{dataset}
"""

SYNTHETIC = 'dataset = { use = "synthetic", train_size = 24, dev_size = 12, ood_size = 9 }'

PAIRS = """
[dataset]
use = "pairs"
labels = ["no", "yes"]
features = "none"
train.path = "train.tsv"
dev.path = "dev.tsv"
"""


@pytest.fixture
def write(tmp_path):
    """Write a recipe and its data. Of the 40 rows of ``train.tsv``, 16 have a label."""

    def write(check: str = "id(full) > 0", dataset: str = SYNTHETIC, weights: str = "full") -> None:
        rows = [f"a{index}\tb\t{'-' if index < 24 else ('no', 'yes')[index % 2]}" for index in range(40)]
        Path(tmp_path, "train.tsv").write_text("\n".join(["sentence1\tsentence2\tlabel", *rows]) + "\n")
        Path(tmp_path, "dev.tsv").write_text("\n".join(["sentence1\tsentence2\tlabel", *rows[30:]]) + "\n")
        text = RECIPE.format(check=check, dataset=dataset) + STAGES.format(weights=weights)
        Path(tmp_path, "r.toml").write_text(text)

    return write


def test_a_claim_of_a_level_that_is_never_reached_is_refused_before_anything_is_written(perform, tmp_path, write):
    write("id(imp@0.3) > 0")
    done = perform("claims", "r.toml", "--out", "out", cwd=tmp_path)
    message = "claim: id(imp@0.3): expected a sparsity level that 'imp' reaches, got 0.3; it reaches 0.2, 0.4"
    assert (done.code, done.out, done.err) == (2, "", f"error: {message}\n")
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []


@pytest.mark.parametrize(
    ("check", "dataset", "splits"),
    [("ood(full) > ood.hans(imp@0.2)", SYNTHETIC, "random"), ("ood.hans(full) > 0", PAIRS, "none")],
)
def test_a_claim_of_a_split_that_there_is_not_fails_before_any_stage(perform, tmp_path, write, check, dataset, splits):
    write(check, dataset)
    done = perform("claims", "r.toml", "--out", "out", "--json", cwd=tmp_path)
    (row,) = json.loads(done.out)
    assert done.code == 1
    assert row["error"].endswith(f": expected an OOD split among {splits}; got 'hans'")
    assert not (tmp_path / "runs" / ".store").exists()


@pytest.mark.parametrize(
    ("dataset", "weights", "steps"),
    [
        (SYNTHETIC, "full@4", 3),
        # of 40 rows 5 batches could be made; of the 16 with a label, 2
        (PAIRS, "full@5", 2),
        (PAIRS, "full@6", 2),
    ],
    ids=["generated", "read", "more than the file has rows for"],
)
def test_a_step_that_is_never_reached_is_refused_before_any_stage(perform, tmp_path, write, dataset, weights, steps):
    write(dataset=dataset, weights=weights)
    before = sorted(tmp_path.iterdir())
    done = perform("run", "r.toml", "--out", "out", cwd=tmp_path)
    message = f"stages.imp.weights: {weights!r}: expected a step of 'full', 1 to {steps}, got {weights[-1]}"
    *_, last = done.err.splitlines()  # before it come notes on rows that were skipped
    assert (done.code, done.out, last) == (2, "", f"error: {message}")
    assert sorted(tmp_path.iterdir()) == before


def test_a_claim_of_what_there_is_runs(perform, tmp_path):
    check = "ood(full) + ood.random(imp@0.2) >= -1"
    text = RECIPE.format(check=check, dataset=SYNTHETIC) + STAGES.format(weights="full@3")
    Path(tmp_path, "r.toml").write_text(text)
    done = perform("run", "r.toml", "--out", "out", "--json", cwd=tmp_path)
    assert done.code == 0, done.err
    assert [stage["name"] for stage in json.loads(done.out)["stages"]] == ["full", "imp"]
