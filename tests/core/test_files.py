from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest

from srframework.errors import UsageError
from srframework.files import atomic_directory, atomic_file, write_json, write_text
from srframework.loading import load
from srframework.plugins import discover
from srframework.recipe import Recipe
from srframework.registry import Registry
from srframework.runs import RunDirectory


@pytest.fixture
def umask():
    """The usual umask, whatever this process has."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def test_a_file_is_there_when_the_block_has_ended(tmp_path, umask):
    path = tmp_path / "a.txt"
    with atomic_file(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
        assert temporary.parent == tmp_path
    assert path.read_text() == "whole"
    assert path.stat().st_mode & 0o777 == 0o644
    assert os.listdir(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_block_that_ends_badly_leaves_what_was_there(tmp_path, error):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def write() -> None:
        with atomic_file(path) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(error):
        write()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_directory_is_there_when_the_block_has_ended(tmp_path, umask):
    path = tmp_path / "model"
    with atomic_directory(path) as temporary:
        (temporary / "config.json").write_text("{}")
        assert not path.exists()
    assert os.listdir(path) == ["config.json"]
    assert path.stat().st_mode & 0o777 == 0o755
    assert os.listdir(tmp_path) == ["model"]


def test_a_directory_whose_block_ends_badly_is_not_there(tmp_path):
    def write() -> None:
        with atomic_directory(tmp_path / "model") as temporary:
            (temporary / "half").write_text("x")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    assert os.listdir(tmp_path) == []


def test_a_directory_never_replaces_one_that_has_something_in_it(tmp_path):
    path = tmp_path / "model"
    path.mkdir()
    (path / "old").write_text("old")
    with pytest.raises(OSError, match="not empty"), atomic_directory(path) as temporary:
        (temporary / "new").write_text("new")
    assert os.listdir(path) == ["old"]
    assert os.listdir(tmp_path) == ["model"]


def test_text_is_utf_8_and_replaces_what_was_there(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "first")
    write_text(path, "θ ⊙ m\n")
    assert path.read_bytes() == "θ ⊙ m\n".encode()


def test_json_is_indented_and_keeps_letters(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"θ": [1, 0.5, None]})
    assert path.read_text(encoding="utf-8") == '{\n  "θ": [\n    1,\n    0.5,\n    null\n  ]\n}\n'


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object()])
def test_what_is_no_json_is_refused_and_nothing_is_written(tmp_path, value):
    with pytest.raises((ValueError, TypeError)):
        write_json(tmp_path / "a.json", {"a": value})
    assert os.listdir(tmp_path) == []


# -- the run directory -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return load("quickstart", Registry(discover()))


def test_a_run_directory_is_made_when_the_run_begins_and_not_before(tmp_path, recipe):
    path = tmp_path / "a" / "b"
    directory = RunDirectory(path)
    assert os.listdir(tmp_path) == []
    directory.begin(recipe, {"data": {}})
    assert sorted(os.listdir(path)) == ["recipe.toml", "run.json"]
    assert (path / "recipe.toml").read_text(encoding="utf-8") == recipe.to_toml()
    begun = json.loads((path / "run.json").read_text())
    assert (begun["state"], begun["recipe"], begun["seed"], begun["data"]) == ("running", "quickstart", 1, {})
    assert {"python", "srframework", "torch", "transformers"} <= set(begun["versions"])


def test_an_empty_directory_may_be_a_run_directory(tmp_path):
    assert RunDirectory(tmp_path).path == tmp_path


def test_a_directory_that_has_anything_in_it_is_refused(tmp_path):
    (tmp_path / ".hidden").touch()
    with pytest.raises(UsageError) as caught:
        RunDirectory(tmp_path)
    assert str(caught.value) == (f"--out {tmp_path}: expected a new or an empty directory, got one that is not empty")


def test_a_file_is_refused_as_a_run_directory_and_kept(tmp_path):
    path = tmp_path / "file"
    path.write_text("kept")
    with pytest.raises(UsageError, match=r"file: expected a new or an empty directory, got a file$"):
        RunDirectory(path)
    assert path.read_text() == "kept"


@pytest.mark.parametrize(
    ("name", "reason"), [("file/inside", "Not a directory"), ("x" * 300, "File name too long"), ("link", "File exists")]
)
def test_a_directory_that_cannot_be_made_is_refused_with_the_reason(tmp_path, recipe, name, reason):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "gone")

    def begin() -> None:
        RunDirectory(tmp_path / name).begin(recipe, {})

    with pytest.raises(UsageError, match=f"--out .*: the directory cannot be (made|read): {reason}"):
        begin()


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("quickstart", "quickstart"),
        ("SRNet inside a fine-tuned BERT", "srnet-inside-a-fine-tuned-bert"),
        ("../../etc/x", "etc-x"),
        ("子网络", "recipe"),
        ("a" * 300, "a" * 48),
    ],
)
def test_the_default_run_directory_is_named_for_recipe_seed_and_time(recipe, name, slug):
    path = RunDirectory.default_path(replace(recipe, name=name, seed=7))
    assert path.parent == Path("runs")
    assert re.fullmatch(rf"{slug}-7-\d{{8}}-\d{{6}}", path.name)
