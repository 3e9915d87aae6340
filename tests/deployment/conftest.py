"""Finished runs of two seeds, by `srframework.run`, with masks on frozen weights and with trained levels."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest
from small_recipe import FULL, small_recipe, srnet

import srframework

IMP = """
[[stages]]
name = "imp"
op = "prune"
weights = "full"
pruner = { use = "imp", sparsity = 0.5, step = 0.25, levels = "all" }
loss = "std"
"""
ON_PRETRAINED = srnet().replace('"srnet"', '"early"').replace('weights = "full"', 'weights = "pretrained"')


@pytest.fixture(scope="session")
def runs(tmp_path_factory) -> SimpleNamespace:
    """Two runs in ``home``, which differ in the seed; nothing may change them."""
    home = tmp_path_factory.mktemp("deployed")
    (home / "small.toml").write_text(small_recipe("Small", FULL, srnet(), IMP, ON_PRETRAINED))
    found = SimpleNamespace(home=home)
    before = os.getcwd()
    os.chdir(home)
    try:
        for seed in (1, 2):
            run = srframework.run("small.toml", out=f"s{seed}", seed=seed, training={"learning_rate": 1e-3})
            setattr(found, f"s{seed}", run)
    finally:
        os.chdir(before)
    return found


@pytest.fixture
def home(runs, monkeypatch):
    """The directory of the runs, as the current one."""
    monkeypatch.chdir(runs.home)
    return runs.home
