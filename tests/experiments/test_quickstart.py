"""What the quickstart shows, for more than one seed; takes minutes: `make test-slow`."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from srframework import Mask

pytestmark = pytest.mark.slow

SEEDS = (1, 2, 3)


def quickstart(out: Path, seed: int) -> dict:
    command = [str(Path(sys.executable).parent / "srframework"), "run", "quickstart", "--json"]
    command += ["--out", str(out), "--store", str(out.with_suffix(".store")), "--set", f"seed={seed}"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "2"})
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Directory and report of one run for each seed."""
    home = tmp_path_factory.mktemp("quickstart")
    return {seed: (home / str(seed), quickstart(home / str(seed), seed)) for seed in SEEDS}


@pytest.mark.parametrize("seed", SEEDS)
def test_the_biased_model_contains_a_sparse_and_robust_subnetwork(runs, seed):
    stages = {stage["name"]: stage for stage in runs[seed][1]["stages"]}
    full, srnet = stages["full"], stages["srnet"]
    full_ood, srnet_ood = full["ood"]["reversed"], srnet["ood"]["reversed"]
    assert full["id"] - full_ood >= 0.25
    assert srnet_ood - full_ood >= 0.20
    assert full["id"] - srnet["id"] <= 0.05
    assert srnet["sparsity"] == pytest.approx(0.7, abs=1e-4)  # rounded in each matrix


def test_the_peak_of_memory_is_under_two_gibibytes(runs):
    assert runs  # every child of this process is one of them, or smaller
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < 2 * 1024**2  # in KiB


def test_the_same_seed_gives_the_same_masks_and_figures(runs, tmp_path):
    first, report = runs[1]
    again = quickstart(tmp_path / "again", 1)
    assert again["stages"] == report["stages"]
    masks = sorted(path.relative_to(first) for path in first.rglob("mask.safetensors"))
    assert len(masks) == 1 + 1 + 7  # srnet; imp, and its levels
    for mask in masks:
        assert Mask.load(first / mask) == Mask.load(tmp_path / "again" / mask)
        assert (first / mask).read_bytes() == (tmp_path / "again" / mask).read_bytes()
