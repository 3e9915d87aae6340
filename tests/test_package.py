"""What is installed when it is installed for good, and not from a checkout."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_a_wheel_has_the_recipes_the_vocabulary_and_the_plugins_and_nothing_of_the_tests(tmp_path):
    for name in ("srframework", "plugins", "recipes"):
        leave = shutil.ignore_patterns("__pycache__", "*.egg-info")
        shutil.copytree(ROOT / name, tmp_path / name, symlinks=True, ignore=leave)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    build = "from setuptools.build_meta import build_wheel; print(build_wheel('.'))"
    done = subprocess.run([sys.executable, "-c", build], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(tmp_path / done.stdout.splitlines()[-1]) as wheel:
        files = set(wheel.namelist())
    recipes = {path.relative_to(ROOT).as_posix() for path in (ROOT / "recipes").rglob("*.toml")}
    assert recipes
    assert {f"srframework/{recipe}" for recipe in recipes} <= files
    assert {"srf_backbones/vocabulary.txt", "srf_pruners/mask.py", "srframework/py.typed"} <= files
    tops = {file.partition("/")[0] for file in files if ".dist-info/" not in file}
    assert tops == {"srframework", *(path.name for path in (ROOT / "plugins").glob("srf_*") if path.is_dir())}
