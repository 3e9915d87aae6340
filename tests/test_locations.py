"""Names of directories and of the hub: which are paths, and what is said of one that is not there."""

from __future__ import annotations

import os

import pytest

from srframework.locations import directory_problem, is_path_like


@pytest.mark.parametrize(
    "name",
    [
        *("/abs/dir", "./x", "../x", ".", "..", ".hidden", "~/x", "~", "a/b/c", "a/b/", "a/", "/", "a\\b", "C:\\x"),
        *("data/MNLI", "Data/MNLI", "datasets/x", "models/minilm", "here/x", "SICK.txt", "a/train.tsv", "x.parquet"),
        *("", " ", "a b", "a\nb", "ä/b", "-x", "x-", "x--y", "x..y", "a//b", "a/" + "x" * 100, "file:///x", "x\0"),
    ],
)
def test_what_the_hub_cannot_have_or_a_local_folder_begins_is_a_path(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    assert is_path_like(name)


@pytest.mark.parametrize(
    "name",
    [
        *("glue/mnli", "glue", "nyu-mll/glue", "jhu-cogsci/hans", "google-research-datasets/paws", "bert-base-uncased"),
        *("roberta-base", "my/fever", "a/b", "facebook/bart-large-mnli", "org_1/Qwen2.5-0.5B", "0/0"),
    ],
)
def test_what_may_be_on_the_hub_is_no_path(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert not is_path_like(name)
    assert directory_problem(name, "Data set") is None


def test_a_path_that_is_not_there_is_said_with_the_nearest_that_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data" / "mnli").mkdir(parents=True)
    problem = directory_problem("data/MNLI", "Data set", ("path",))
    assert problem.key == ("path",)
    assert problem.nearest == "data/mnli"
    assert problem.message == (
        f"Data set not found: 'data/MNLI' is not a local directory (relative to {tmp_path}), "
        "and a path is not looked up on the hub."
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("file", "is not a directory"),
        ("fifo", "is not a directory"),
        ("gone", "is a broken link"),
        ("", "is empty"),
        ("~/x", "'~' has no special meaning"),
        ("x" * 5000, "…"),
        ("x\0y", "not a local directory"),
        ("\ud800", "\\ud800"),
    ],
)
def test_what_is_no_directory_is_said(tmp_path, monkeypatch, name, expected):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "gone").symlink_to("nowhere")
    message = directory_problem(name, "Model").message
    assert message.startswith("Model not found: ")
    assert expected in message
    assert len(message) < 1000


def test_a_directory_is_no_problem_whatever_it_is_called(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("data", "a b", "glue/mnli", "x.tsv"):
        (tmp_path / name).mkdir(parents=True)
        assert directory_problem(name, "Data set") is None
