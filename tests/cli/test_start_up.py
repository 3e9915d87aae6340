"""What a run loads before its first step, and that a rerun which computes nothing loads neither model nor data."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from small_recipe import FULL, small_recipe, srnet

from srf_backbones.options import TinyOptions
from srf_backbones.tiny import TinyBert
from srframework.recipe.model import Use

HEAVY = ["accelerate", "datasets", "sklearn", "torch", "transformers"]

NEEDLESS = [
    *("IPython", "aiohttp", "matplotlib", "ray", "tensorboard", "torchvision"),
    *("transformers.pipelines", "transformers.trainer"),
]
"""Not needed before the first step of the quickstart, and slow to import, or optional."""

RERUN = f"""
import sys
sys.argv[0] = "srframework"
from srframework.cli import main
try:
    main()
finally:
    print("heavy:", [name for name in {HEAVY} if name in sys.modules], file=sys.stderr)
"""

FIRST_STEP = f"""
import sys
sys.argv[0] = "srframework"
from srframework.cli import main
from srframework.training.loop import Training
step = Training._step
def first(training, *given):
    rate = step(training, *given)
    if training.checkpoints is not None:
        print("needless:", [name for name in {NEEDLESS} if name in sys.modules])
        raise KeyboardInterrupt
    return rate
Training._step = first
main()
"""

LOCAL = small_recipe("Local", FULL, srnet("poe"), '\n[bias]\nuse = "bias-logistic"\n').replace(
    'backbone = { use = "tiny", layers = 1, width = 16, heads = 2, intermediate = 16 }',
    'backbone = { use = "encoder", path = "model" }',
)


def python(code: str, *args: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *args]
    return subprocess.run(command, cwd=cwd, capture_output=True, encoding="utf-8", check=False)


@pytest.fixture
def home(tmp_path) -> Path:
    network = TinyBert(TinyOptions(layers=1, width=16, heads=2, intermediate=16)).load(("a", "b", "c"), seed=1)
    network.model.save_pretrained(tmp_path / "model")
    network.tokenizer.save_pretrained(tmp_path / "model")
    (tmp_path / "recipe.toml").write_text(LOCAL)
    return tmp_path


@pytest.fixture
def ran(perform, home, monkeypatch) -> Callable[[], tuple[bool, str]]:
    """Run the recipe; return whether its data set was built, and what was printed."""

    def run() -> tuple[bool, str]:
        built: list[str] = []
        build = Use.build
        with monkeypatch.context() as patch:
            patch.setattr(Use, "build", lambda use: built.append(use.registered.kind) or build(use))
            done = perform("run", "recipe.toml", "--out", "out", cwd=home)
        assert done.code == 0, done.err
        return "dataset" in built, done.out

    return run


def test_before_the_first_step_nothing_needless_is_imported(tmp_path):
    sizes = ("train_size=64", "dev_size=32", "ood_size=32")
    overrides = [part for size in sizes for part in ("--set", f"dataset.{size}")]
    done = python(FIRST_STEP, "run", "quickstart", "--out", "out", *overrides, cwd=tmp_path)
    assert done.stdout.splitlines() == ["needless: []"], done.stderr


def test_a_rerun_of_a_finished_run_imports_no_torch_and_prints_the_same(ran, home):
    built, printed = ran()
    assert built
    before = json.loads((home / "out" / "results.json").read_text())
    done = python(RERUN, "run", "recipe.toml", "--out", "out", cwd=home)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == "heavy: []"
    assert done.stdout == printed
    assert "srnet: reused cached result" in done.stderr
    assert json.loads((home / "out" / "results.json").read_text()) == before
    as_json = python(RERUN, "run", "recipe.toml", "--out", "out", "--json", cwd=home)
    assert json.loads(as_json.stdout) == before


def change_model(home: Path) -> None:
    os.utime(home / "model" / "model.safetensors")


def add_a_file(home: Path) -> None:
    (home / "model" / "new.txt").write_text("new")


def remove_a_model(home: Path) -> None:
    shutil.rmtree(home / "out" / "stages" / "srnet" / "model")


def change_a_figure(home: Path) -> None:
    file = home / "out" / "stages" / "full" / "figures.json"
    file.write_text(file.read_text().replace('"id": ', '"id": 1'))


def change_the_results(home: Path) -> None:
    file = home / "out" / "results.json"
    file.write_text(file.read_text().replace('"stages"', '"steps"'))


def remove_the_results(home: Path) -> None:
    (home / "out" / "summary.json").unlink()


def remove_the_mask(home: Path) -> None:
    (home / "out" / "stages" / "srnet" / "mask.safetensors").unlink()


def remove_the_store(home: Path) -> None:
    shutil.rmtree(home / "runs" / ".store")


def damage_the_store(home: Path) -> None:
    for file in (home / "runs" / ".store" / "entries").rglob("chosen.json"):
        content = file.read_text()
        file.unlink()
        file.write_text(content.replace("1", "2"))


def another_library(home: Path) -> None:
    file = home / "out" / "run.json"
    record = json.loads(file.read_text())
    record["inputs"] = "of another version"
    file.write_text(json.dumps(record))


@pytest.mark.parametrize(
    "change",
    [
        *(change_model, add_a_file, remove_a_model, change_a_figure, change_the_results, remove_the_results),
        *(remove_the_mask, remove_the_store, damage_the_store, another_library),
    ],
)
def test_a_rerun_after_a_change_loads_everything_and_repairs_the_run(ran, home, change):
    _, printed = ran()
    change(home)
    assert ran() == (True, printed)
    assert ran() == (False, printed)
    assert (home / "out" / "stages" / "srnet" / "model" / "config.json").exists()
    assert (home / "out" / "stages" / "srnet" / "mask.safetensors").exists()
