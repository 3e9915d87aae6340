"""A sweep on Ray: a cluster of this machine alone."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from log_lines import without_times
from small_recipe import FULL, small_recipe

pytestmark = pytest.mark.long

MORE = """
[[stages]]
name = "more"
op = "train"
weights = "full"
loss = "std"
"""
RECIPE = small_recipe("On Ray", FULL, MORE, training="max_steps = 60, eval_every = 30, checkpoint_steps = 5")

GRID = ("--grid", "seed=1", "--grid", "stages.more.learning_rate=1e-3,1e-2", "--json")


@pytest.fixture
def home(tmp_path) -> Path:
    (tmp_path / "recipe.toml").write_text(RECIPE)
    return tmp_path


def ray_worker() -> int | None:
    """A process that is at a task of ours."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().startswith(b"ray::srframework full-"):
                return int(path.parent.name)
        except OSError:
            continue  # it has ended meanwhile
    return None


@pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="Ray is not installed: pip install 'srframework[ray]'"
)
def test_a_sweep_on_ray_comes_to_the_same_bits_though_a_worker_is_killed(perform, home, monkeypatch, pause, wait_until):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    command = [sys.executable, "-m", "srframework", "sweep", "recipe.toml", *GRID, "--launcher", "ray", "--out", "ray"]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
    environment |= pause.variables
    with subprocess.Popen(
        command, cwd=home, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        wait_until(lambda: list(home.glob("runs/.store/work/*/**/[0-9]*/sums.json")), process)
        victim = ray_worker()
        assert victim is not None
        os.kill(victim, signal.SIGKILL)
        pause.end()
        out, err = process.communicate()
    assert process.returncode == 0, err
    told = ("started ", "done ", "2 runs, ", "2 runs: ", "Next: ", "warning: full-")
    assert "the worker process died (out of memory?); it is started again" in err
    assert err.splitlines()[-2].startswith("2 runs: ")
    others = [line for line in without_times(err) if not line.startswith(told)]
    assert all("raylet" in line or "worker" in line for line in others), err  # what Ray says of the one that was killed
    manifests = [json.loads(path.read_text()) for path in home.glob("runs/.store/entries/*/*/manifest.json")]
    assert sum(manifest["kind"] == "trained" for manifest in manifests) == 3  # full once, more twice
    (log,) = (home / "ray/logs").glob("full-*.log")
    assert "step 60/60" in log.read_text()
    here = perform("sweep", "recipe.toml", *GRID, "--out", "here", "--store", "another", cwd=home)
    found, expected = json.loads(out), json.loads(here.out)
    assert [report["stages"] for report in found] == [report["stages"] for report in expected]
    assert [report["run"] for report in found] == [f"ray/seed=1,learning_rate={rate}" for rate in (0.001, 0.01)]


def test_without_ray_it_is_said_how_to_get_it(perform, home, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    done = perform("sweep", "recipe.toml", *GRID, "--launcher", "ray", "--out", "ray", cwd=home)
    assert (done.code, done.out) == (2, "")
    assert done.err == "error: --launcher ray: Ray is not installed; pip install 'srframework[ray]'\n"
    assert not (home / "ray").exists()
