"""How the result of a stage was chosen: what a run shows and writes, early stopping, gradual mask training."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

RECIPE = """
name = "small"
schema = 1
seed = 1
backbone = { use = "tiny", layers = 1, width = 16, heads = 2, intermediate = 16 }
dataset = { use = "synthetic", train_size = 32, dev_size = 24, ood_size = 24 }
training = { max_steps = 10, batch_size = 4, eval_every = 1, learning_rate = 1e-12 }
[[stages]]
name = "full"
op = "train"
loss.use = "std"
patience = 2
[[stages]]
name = "srnet"
op = "prune"
weights = "full"
loss.use = "std"
pruner = { use = "mask", sparsity = 0.75, init = "soft", schedule = "cubic", initial_sparsity = 0.25 }
"""


@pytest.fixture
def ran(work, perform):
    Path("r.toml").write_text(RECIPE, encoding="utf-8")
    return perform("run", "r.toml", "--out", "out", cwd=work)


def test_a_stage_stops_early_and_says_so(ran):
    # Nothing is learnt at this rate: the second and third evaluations are not better than the first.
    assert ran.code == 0, ran.err
    assert "full: stopped after step 3 of 10, because 2 evaluations in a row were not better on ID dev" in ran.err
    assert "full: the result is step 1 of 10, the best of 3 checkpoints on ID dev" in ran.err


def test_the_number_of_candidates_is_in_the_results_and_below_the_table(ran, work, perform):
    stages = json.loads(Path("out/results.json").read_text())["stages"]
    chosen = [{key: stage[key] for key in ("step", "steps", "candidates")} for stage in stages]
    # 0.7 of 10 steps: those after 7, 8, 9 and 10 steps, all of them projected to 75 %.
    assert chosen[0] == {"step": 1, "steps": 3, "candidates": 3}
    assert (chosen[1]["steps"], chosen[1]["candidates"]) == (10, 4)
    assert stages[1]["sparsity"] == pytest.approx(0.75, abs=0.01)
    assert "full 3, srnet 4" in " ".join(ran.out.split())
    assert json.loads(Path("out/stages/full/chosen.json").read_text()) == chosen[0] | {"planned": 10}
    again = json.loads(perform("run", "r.toml", "--out", "out", "--json", cwd=work).out)["stages"]  # from the store
    assert [{key: stage[key] for key in chosen[0]} for stage in again] == chosen


def test_the_log_has_the_metric_of_each_projected_candidate(ran):
    lines = [json.loads(line) for line in Path("out/stages/srnet/metrics.jsonl").read_text().splitlines()]
    candidates = [line["step"] for line in lines if "candidate" in line]
    # After 9 steps 0.75 - 0.5 / 1000 of 256 entries is 191.9, which rounds to the 192 of the end: the same mask.
    assert candidates == [7, 8]
    assert all(list(line["candidate"]) == ["accuracy"] for line in lines if "candidate" in line)
