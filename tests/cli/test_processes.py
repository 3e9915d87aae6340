"""`accelerate launch -m srframework run`: two processes do together what one does, and leave one result."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
from log_lines import without_times
from safetensors.numpy import load_file

from srframework import Mask

pytestmark = pytest.mark.long

RECIPE = """
name = "Together"
schema = 1
seed = 3
backbone = { use = "tiny", layers = 1, width = 32, heads = 2, intermediate = 48 }
training = { batch_size = 16, learning_rate = 5e-3, max_steps = 30, eval_every = 15, log_every = 1 }

[dataset]
use = "synthetic"
train_size = 240
dev_size = 60
ood_size = 47
facts = 1
visible = 1.0
strength = 0.9
group_by = ["label", "cue"]

[[stages]]
name = "full"
op = "train"
loss = "std"

[[stages]]
name = "srnet"
op = "prune"
weights = "full"
pruner = { use = "mask", sparsity = 0.1, schedule = "cubic", initial_sparsity = 0.05, refresh_every = 4 }
loss = "poe"
learning_rate = 1e-3
checkpoint_steps = 3
max_steps = 16
eval_every = 8

[[stages]]
name = "imp"
op = "prune"
weights = "full"
pruner = { use = "imp", sparsity = 0.4, step = 0.2, interval = 0.5, levels = "all" }
loss = "std"
max_steps = 8

[[stages]]
name = "ticket"
op = "train"
mask = "imp@0.2"
loss = "std"

[[stages]]
name = "guided"
op = "train"
weights = "full"
loss = { use = "confreg", teacher = "full" }
max_steps = 8

[[stages]]
name = "mixin"                  # the loss draws parameters of its own
op = "train"
weights = "full"
loss = "learned-mixin"
max_steps = 4

[[stages]]
name = "groups"                 # the processes share the weights of the groups
op = "train"
weights = "full"
loss = { use = "group-dro", step_size = 0.5, adjustment = 1.0 }
max_steps = 8

[[stages]]
name = "twice"
op = "train"
loss = { use = "jtt", identified_by = "full" }
max_steps = 4

[[stages]]
name = "drawn"                  # the mask is drawn
op = "prune"
weights = "full"
pruner = { use = "random", sparsity = 0.3 }
loss = "std"
max_steps = 4
"""
SRFRAMEWORK = [str(Path(sys.executable).parent / "srframework")]
STAGES = ("full", "srnet", "imp", "ticket", "guided", "mixin", "groups", "twice", "drawn")
MASKS = ("srnet", "imp", "imp/points/0.2", "imp/points/0.4", "ticket", "drawn")
ONE_RECIPE_OF_TWO = ["run", "recipe.toml", "--set", "training.batch_size=8"]
"""As many examples in a step of two processes as in one of a single process."""

DISAGREEING = """
import os

from srf_pruners.mask import MaskTraining
from srframework import Mask
from srframework.cli import main

masks = MaskTraining.masks


def of_its_own(self):
    mask = masks(self)
    return Mask({name: ~kept for name, kept in mask.items()}) if os.environ["RANK"] == "1" else mask


MaskTraining.masks = of_its_own
main()
"""


def environment() -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("SRFRAMEWORK_")}
    return {**kept, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true", "PYTHONDONTWRITEBYTECODE": "1"}


def launch(*arguments: str) -> list[str]:
    """The command that starts two processes, on a port that is free."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    machines = ["--num_processes", "2", "--num_machines", "1", "--main_process_port", str(port)]
    plain = ["--multi_gpu", "--mixed_precision", "no", "--dynamo_backend", "no"]
    return [str(Path(sys.executable).parent / "accelerate"), "launch", *plain, *machines, *arguments]


def start(command: list[str], cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=cwd,
        env=environment() | variables,
        capture_output=True,
        text=True,
        check=False,
    )


def together(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return start(launch("-m", "srframework", *arguments), cwd)


def kill(process: subprocess.Popen[str]) -> None:
    """Kill a launcher and all that it started: these have sessions of their own, and outlive it."""
    family = [process, *psutil.Process(process.pid).children(recursive=True)]
    for each in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            each.kill()
    process.communicate()
    psutil.wait_procs(family[1:])


def log(run: Path, stage: str) -> list[dict]:
    return [json.loads(line) for line in (run / "stages" / stage / "metrics.jsonl").read_text().splitlines()]


def content(run: Path) -> dict[str, bytes]:
    """Everything that a run computed, by its path; nothing in it tells of the time that it took."""
    stages = run / "stages"
    return {str(path.relative_to(stages)): path.read_bytes() for path in stages.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    path = tmp_path_factory.mktemp("together")
    (path / "recipe.toml").write_text(RECIPE)
    return path


@pytest.fixture(scope="module")
def alone(home):
    """The run of one process."""
    done = start([*SRFRAMEWORK, "run", "recipe.toml", "--out", "alone", "--store", "store-alone", "--json"], home)
    assert done.returncode == 0, done.stderr
    return SimpleNamespace(out=home / "alone", report=json.loads(done.stdout))


@pytest.fixture(scope="module")
def both(home):
    """The run of two processes, with the same examples in every step."""
    done = together(*ONE_RECIPE_OF_TWO, "--out", "both", "--store", "store", "--json", cwd=home)
    assert done.returncode == 0, done.stderr
    return SimpleNamespace(out=home / "both", report=json.loads(done.stdout), err=done.stderr)


def test_two_processes_print_one_report_and_tell_of_their_progress_once(both):
    assert [stage["name"] for stage in both.report["stages"]] == list(STAGES)
    for number, stage in enumerate(STAGES, 1):
        assert (
            both.err.count(f"[{number}/{len(STAGES)}] {stage}: {'P' if stage in ('srnet', 'imp', 'drawn') else 'A'}_")
            == 1
        )
    facts = json.loads((both.out / "run.json").read_text())
    assert (facts["state"], facts["machine"]["processes"]) == ("finished", 2)


def test_nothing_is_written_twice(both):
    for stage, steps in {"full": 30, "srnet": 16, "ticket": 30, "guided": 8}.items():
        assert [record["step"] for record in log(both.out, stage) if "loss" in record] == [*range(1, steps + 1)]
        evaluated = [record["step"] for record in log(both.out, stage) if "accuracy" in record]
        assert evaluated == sorted({*evaluated, steps})
    store = both.out.parent / "store"
    assert len(list(store.glob("entries/*/*/manifest.json"))) == 2 * len(STAGES) + 1  # what the teacher said
    assert [path.name for path in (store / "work").iterdir()] == []
    assert [path.name for path in both.out.rglob(".*")] == [".lock"]


@pytest.mark.parametrize("place", MASKS)
def test_two_processes_find_the_mask_that_one_finds(alone, both, place):
    ours, theirs = (Mask.load(run.out / "stages" / place / "mask.safetensors") for run in (alone, both))
    assert ours.digest() == theirs.digest()
    assert ours.sparsity > 0.09


@pytest.mark.parametrize("stage", STAGES)
def test_two_processes_measure_what_one_measures(alone, both, stage):
    ours, theirs = (next(s for s in run.report["stages"] if s["name"] == stage) for run in (alone, both))
    assert set(ours) == set(theirs)
    levels = zip(ours.get("levels", ()), theirs.get("levels", ()), strict=True)
    for one, two in [(ours, theirs), *levels]:
        assert two["id"] == pytest.approx(one["id"], abs=1e-5)
        assert two["ood"] == pytest.approx(one["ood"], abs=1e-5)
        assert two["sparsity"] == one["sparsity"]
        assert two["evaluations"].keys() == one["evaluations"].keys()
        for split, figures in one["evaluations"].items():
            assert two["evaluations"][split] == pytest.approx(figures, abs=1e-5), split


@pytest.mark.parametrize("stage", STAGES)
def test_two_processes_log_the_losses_of_one(alone, both, stage):
    ours, theirs = ([record["loss"] for record in log(run.out, stage) if "loss" in record] for run in (alone, both))
    assert len(ours) >= 4
    assert theirs == pytest.approx(ours, abs=1e-5)


@pytest.mark.parametrize("split", ["dev", "random"])
def test_two_processes_predict_every_example_once_and_in_its_place(alone, both, split):
    for stage in STAGES:
        place = Path("stages", stage, "predictions", f"{split}.safetensors")
        ours, theirs = (load_file(run.out / place) for run in (alone, both))
        assert np.array_equal(ours["label"], theirs["label"])  # 47 of them, which two do not share evenly
        np.testing.assert_allclose(theirs["logits"], ours["logits"], rtol=0, atol=1e-4)
        assert np.array_equal(ours["predicted"], theirs["predicted"])
        if split == "random" and stage not in (
            "mixin",
            "drawn",
            "twice",
        ):  # a model that learnt nothing would tell nothing
            assert len(np.unique(ours["predicted"])) > 1, stage


def test_a_second_launch_takes_every_stage_from_the_store(both, home):
    done = together(*ONE_RECIPE_OF_TWO, "--out", "second", "--store", "store", "--json", cwd=home)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert {**report, "run": "both"} == both.report
    lines = [line for line in without_times(done.stderr) if line.startswith("[")]
    assert [line.count(": reused cached result") for line in lines] == [1] * len(STAGES)
    assert ", 0 steps, " in done.stderr
    assert "step 1" not in done.stderr
    assert content(home / "second") == content(both.out)


def test_killed_in_the_middle_of_a_stage_they_go_on_from_the_checkpoint_to_the_same_bits(both, home, pause, wait_until):
    command = [*ONE_RECIPE_OF_TWO, "--out", "killed", "--store", "store-killed", "--json"]
    process = subprocess.Popen(
        launch("-m", "srframework", *command),
        cwd=home,
        env=environment() | pause.variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_until(lambda: list(home.glob("store-killed/work/*/files/checkpoints/[1-9]*")), process)
    finally:
        kill(process)
    assert json.loads((home / "killed" / "run.json").read_text())["state"] == "running"
    done = together(*command, cwd=home)
    assert done.returncode == 0, done.stderr
    assert "[1/9] full: reused cached result" in done.stderr
    assert "[2/9] srnet: resumes from the checkpoint at step " in done.stderr
    assert {**json.loads(done.stdout), "run": "both"} == both.report
    assert content(home / "killed") == content(both.out)


def test_processes_that_disagree_on_a_mask_stop_with_a_sentence(home, tmp_path):
    (tmp_path / "disagreeing.py").write_text(DISAGREEING)
    overrides = ["--set", "stages.full.max_steps=1", "--set", "stages.srnet.max_steps=4"]
    done = start(
        launch(str(tmp_path / "disagreeing.py"), "run", str(home / "recipe.toml"), *overrides, "--out", "out"),
        tmp_path,
    )
    assert done.returncode != 0
    assert done.stdout == ""
    assert "error: the processes disagree on the mask after step 0: expected equal hashes, got 0: " in done.stderr
    facts = json.loads((tmp_path / "out" / "run.json").read_text())
    assert facts["state"] == "failed"
    assert facts["error"].startswith("the processes disagree on the mask after step 0")
    assert not (tmp_path / "out" / "stages" / "srnet" / "mask.safetensors").exists()


def test_a_sweep_is_not_for_processes_that_share_one_run(tmp_path):
    (tmp_path / "recipe.toml").write_text(RECIPE + "\n[sweep]\nseed = [1, 2]\n")
    # One process, told what the launcher tells each of two: it must not come as far as to look for the other.
    told = {"WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}
    done = start([*SRFRAMEWORK, "run", "recipe.toml", "--out", "out"], tmp_path, **told)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == ("error: sweep: expected one process, got 2; `accelerate launch` is for one run at a time\n")
    assert [path.name for path in tmp_path.iterdir()] == ["recipe.toml"]
