"""What `srframework run` refuses before anything is written: claims and points that cannot be."""

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
pruner = {{ use = "imp", sparsity = 0.4, step = 0.2, interval = 0.5 }}
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
def refused(perform, tmp_path):
    """Run a recipe that cannot be run; give the sentence. Of the 40 rows of ``train.tsv``, 16 have a label."""

    def refused(check: str = "id(full) > 0", dataset: str = SYNTHETIC, weights: str = "full") -> str:
        rows = [f"a{index}\tb\t{'-' if index < 24 else ('no', 'yes')[index % 2]}" for index in range(40)]
        Path(tmp_path, "train.tsv").write_text("\n".join(["sentence1\tsentence2\tlabel", *rows]) + "\n")
        Path(tmp_path, "dev.tsv").write_text("\n".join(["sentence1\tsentence2\tlabel", *rows[30:]]) + "\n")
        text = RECIPE.format(check=check, dataset=dataset) + STAGES.format(weights=weights)
        Path(tmp_path, "r.toml").write_text(text)
        before = sorted(tmp_path.iterdir())
        done = perform("run", "r.toml", "--out", "out", cwd=tmp_path)
        assert (done.code, done.out) == (2, "")
        assert sorted(tmp_path.iterdir()) == before
        *_, last = done.err.splitlines()  # before it come notes on rows that were skipped
        return last

    return refused


@pytest.mark.parametrize(
    ("check", "dataset", "message"),
    [
        (
            "id(imp@0.3) > 0",
            SYNTHETIC,
            "claim: id(imp@0.3): expected a sparsity level that 'imp' keeps, got 0.3; it keeps 0.2, 0.4",
        ),
        (
            "ood(full) > ood.hans(imp@0.2)",
            SYNTHETIC,
            "claim: ood.hans(imp@0.2): expected an OOD split among reversed; got 'hans'",
        ),
        ("ood.hans(full) > 0", PAIRS, "claim: ood.hans(full): expected an OOD split among none; got 'hans'"),
        ("ood.dev(full) > 0", PAIRS, "claim: ood.dev(full): expected an OOD split among none; got 'dev'"),
        ("ood(full) > 0", PAIRS, "claim: ood(full): expected an OOD split among none; got 'the mean of all'"),
        (
            "sd(id(full)) < sd(ood.dev(full))",
            SYNTHETIC,
            "claim: ood.dev(full): expected an OOD split among reversed; got 'dev'",
        ),
    ],
)
def test_a_claim_that_no_report_could_answer_is_refused_before_any_stage(refused, check, dataset, message):
    assert refused(check, dataset) == f"error: {message}"


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
def test_a_step_that_is_never_reached_is_refused_before_any_stage(refused, dataset, weights, steps):
    message = f"stages.imp.weights: {weights!r}: expected a step of 'full', 1 to {steps}, got {weights[-1]}"
    assert refused(dataset=dataset, weights=weights) == f"error: {message}"


def test_a_claim_of_what_there_is_runs(perform, tmp_path):
    check = "ood(full) + ood.reversed(imp@0.2) >= -1"
    text = RECIPE.format(check=check, dataset=SYNTHETIC) + STAGES.format(weights="full@3")
    Path(tmp_path, "r.toml").write_text(text)
    done = perform("run", "r.toml", "--out", "out", "--json", cwd=tmp_path)
    assert done.code == 0, done.err
    assert [stage["name"] for stage in json.loads(done.out)["stages"]] == ["full", "imp"]
