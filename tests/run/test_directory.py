"""A run directory: what may become one, its default name, what is reported when it cannot be read."""

from __future__ import annotations

import errno
import json
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest

from srframework.errors import RunDirectoryError, UsageError
from srframework.recipe.check import load_recipe
from srframework.recipe.model import Recipe
from srframework.registry.discovery import discover
from srframework.registry.registry import Registry
from srframework.run.directory import RunDirectory, sentences


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return load_recipe("quickstart", Registry(discover()))


def test_a_run_directory_is_made_when_the_run_begins_and_not_before(tmp_path, recipe):
    path = tmp_path / "a" / "b"
    directory = RunDirectory(path, recipe)
    assert os.listdir(tmp_path) == []
    directory.begin({"data": {}})
    assert sorted(os.listdir(path)) == ["recipe.toml", "run.json"]
    assert (path / "recipe.toml").read_text(encoding="utf-8") == recipe.to_toml()
    begun = json.loads((path / "run.json").read_text())
    assert (begun["state"], begun["recipe"], begun["seed"], begun["data"]) == ("running", "quickstart", 1, {})
    assert {"python", "srframework", "torch", "transformers"} <= set(begun["versions"])


def test_an_empty_directory_may_be_a_run_directory(tmp_path, recipe):
    assert RunDirectory(tmp_path, recipe).path == tmp_path


def test_a_run_of_the_same_recipe_goes_on_in_its_directory_and_one_of_another_is_refused(tmp_path, recipe):
    RunDirectory(tmp_path, recipe).begin({"data": {}})
    assert RunDirectory(tmp_path, recipe).path == tmp_path
    with pytest.raises(UsageError, match=r"this directory has a run of another recipe .*seed"):
        RunDirectory(tmp_path, replace(recipe, seed=7))


def test_a_directory_that_has_anything_in_it_is_refused(tmp_path, recipe):
    (tmp_path / ".hidden").touch()
    with pytest.raises(UsageError) as caught:
        RunDirectory(tmp_path, recipe)
    assert str(caught.value) == (f"--out {tmp_path}: expected a new or an empty directory, got one that is not empty")


def test_a_file_is_refused_as_a_run_directory_and_kept(tmp_path, recipe):
    path = tmp_path / "file"
    path.write_text("kept")
    with pytest.raises(UsageError, match=r"file: expected a new or an empty directory, got a file$"):
        RunDirectory(path, recipe)
    assert path.read_text() == "kept"


@pytest.mark.parametrize(
    ("name", "reason"), [("file/inside", "Not a directory"), ("x" * 300, "File name too long"), ("link", "File exists")]
)
def test_a_directory_that_cannot_be_made_is_refused_with_the_reason(tmp_path, recipe, name, reason):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "gone")

    def begin() -> None:
        RunDirectory(tmp_path / name, recipe).begin({})

    with pytest.raises(UsageError, match=f"--out .*: the directory cannot be (created|read): {reason}"):
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
def test_the_default_run_directory_is_named_for_recipe_seed_and_settings(recipe, name, slug):
    recipe = replace(recipe, name=name, seed=7)
    path = RunDirectory.default_path(recipe)
    assert path.parent == Path("runs")
    assert re.fullmatch(rf"{slug}-7-[0-9a-f]{{8}}", path.name)
    assert RunDirectory.default_path(recipe) == path
    assert RunDirectory.default_path(replace(recipe, stages=recipe.stages[:1])).name[-8:] != path.name[-8:]


def test_a_file_of_the_store_that_may_not_be_read_is_no_trouble_of_the_run_directory(tmp_path, recipe):
    directory = RunDirectory(tmp_path / "run", recipe)
    with directory.locked():
        directory.begin({})
        with (
            pytest.raises(RunDirectoryError, match=r"store/x: cannot be read: No such device"),
            sentences(directory.path),
        ):
            raise OSError(errno.ENODEV, "No such device", str(tmp_path / "store" / "x"))
