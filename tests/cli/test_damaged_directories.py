"""Run directories and stores that something else has been at: a sentence, never a traceback, never a hang."""

from __future__ import annotations

import json
import os
import shutil
import socket
from pathlib import Path

import pytest
from small_recipe import FULL, small_recipe

RECIPE = small_recipe("damaged", FULL)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        handle = os.open(path.parent, os.O_RDONLY)  # a path that is long is none for a socket
        made.bind(f"/proc/self/fd/{handle}/{path.name}")
        os.close(handle)


def _sparse(path: Path) -> None:
    path.touch()
    os.truncate(path, 8 << 30)


MAKES = {
    "pipe": os.mkfifo,
    "socket": _socket,
    "directory": lambda path: (path.mkdir(), (path / "x").touch()),
    "dangling": lambda path: path.symlink_to("nowhere"),
    "loop": lambda path: path.symlink_to(path.name),
    "endless": lambda path: path.symlink_to("/dev/zero"),
    "huge": _sparse,
    "empty": Path.touch,
    "not text": lambda path: path.write_bytes(b"\xff\xfe\x00"),
    "a list": lambda path: path.write_text("[]"),
    "null": lambda path: path.write_text("null"),
    "NaN": lambda path: path.write_text("NaN"),
    "digits": lambda path: path.write_text("9" * 5000),
    "deep": lambda path: path.write_text("[" * 100_000 + "]" * 100_000),
    "deep tables": lambda path: path.write_text('{"a":' * 900 + "1" + "}" * 900),
    "header": lambda path: path.write_bytes((1 << 40).to_bytes(8, "little") + b"{}"),
}


FEW = ["pipe", "directory", "deep"]
"""Where each is a run."""


@pytest.fixture(scope="module")
def home(perform, tmp_path_factory) -> Path:
    """A directory with a finished run in ``run``, one of another seed in ``other``, and their ``store``."""
    home = tmp_path_factory.mktemp("damaged")
    (home / "recipe.toml").write_text(RECIPE)
    for name, seed in (("run", 0), ("other", 1)):
        args = ("--set", f"seed={seed}", "--out", name, "--store", "store")
        assert perform("run", "recipe.toml", *args, cwd=home).code == 0
    return home


@pytest.fixture
def here(home, tmp_path) -> Path:
    """A copy of it, to damage."""
    return shutil.copytree(home, tmp_path / "here", symlinks=True)


@pytest.fixture
def told(perform, here, monkeypatch):
    """The exit code and what was printed; an exception that gets out of the program is one of the test."""
    monkeypatch.chdir(here)

    def told(*args: str) -> tuple[int, str]:
        done = perform(*args, cwd=here)
        assert "Traceback" not in done.out + done.err
        return done.code, done.out + done.err

    return told


def replace(path: Path, kind: str) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    MAKES[kind](path)


@pytest.mark.long
@pytest.mark.parametrize("kind", MAKES)
@pytest.mark.parametrize(
    "file",
    ["summary.json", "run.json", "results.json", "recipe.toml", ".lock", "stages/full/predictions/dev.safetensors"],
)
def test_reports_of_a_damaged_run_are_a_sentence(here, told, kind, file):
    replace(here / "run" / file, kind)
    code, said = told("results", ".")
    assert code == 0
    assert ("run/summary.json: expected the results of a run" in said) == (
        file == "summary.json" and kind != "dangling"
    )
    code, said = told("compare", "run", "other", "--resamples", "100")
    assert code in ((1, 2) if file == "summary.json" else (0,)), said
    if file.endswith("safetensors"):
        assert "no interval: " in said


@pytest.mark.long
@pytest.mark.parametrize("kind", [*FEW, "loop"])
@pytest.mark.parametrize(
    "file", ["run.json", "recipe.toml", ".lock", "summary.json", "stages", "stages/full/metrics.jsonl"]
)
def test_a_run_into_a_damaged_run_is_done_or_a_sentence(here, told, kind, file):
    replace(here / "run" / file, kind)
    code, said = told("run", "recipe.toml", "--out", "run", "--store", "store")
    if file == "recipe.toml":
        assert code == 2, said
        assert "--out run: " in said
    elif kind == "directory" or (file == ".lock" and kind in ("loop", "dangling", "socket", "endless")):
        assert code in (0, 1), said
        assert code == 0 or "error: run directory run: cannot be written: " in said
    elif file == "stages":
        assert code == 1
        assert "error: run directory run: cannot be written: " in said
    else:
        assert code == 0, said


@pytest.mark.parametrize("stages", [[], None, {"full": []}, {"full": {"trained": 1}}])
def test_a_run_json_with_stages_of_another_type_is_written_anew(here, told, stages):
    path = here / "run" / "run.json"
    good = json.loads(path.read_text())
    path.write_text(json.dumps({**good, "stages": stages}))
    assert told("run", "recipe.toml", "--out", "run", "--store", "store")[0] == 0
    assert json.loads(path.read_text())["stages"] == good["stages"]


@pytest.mark.parametrize("written", [2, "2", None, 10**30])
@pytest.mark.parametrize("command", ["run", "sweep"])
def test_a_run_directory_of_another_format_is_refused_and_left(here, told, written, command):
    path = here / ("run" if command == "run" else "sweep/seed=1") / "run.json"
    if command == "sweep":
        shutil.copytree(here / "run", path.parent)
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": written}))
    before = {each: each.read_bytes() for each in path.parent.rglob("*") if each.is_file()}
    args = ("--out", "run") if command == "run" else ("--grid", "seed=1,2", "--out", "sweep")
    code, said = told(command, "recipe.toml", *args, "--store", "store")
    assert code == 2, said
    newer = isinstance(written, int) and written > 1
    assert ("was written by a newer srframework" in said) == newer
    assert "expected a run directory of format 1" in said
    assert {each: each.read_bytes() for each in path.parent.rglob("*") if each.is_file()} == before


def test_a_recipe_of_a_later_schema_is_said_to_be_one(here, told):
    path = here / "run" / "recipe.toml"
    path.write_text(path.read_text().replace("schema = 1", "schema = 2"))
    code, said = told("run", "recipe.toml", "--out", "run", "--store", "store")
    assert (code, "it was written by a newer srframework (schema 2)" in said) == (2, True)


@pytest.mark.parametrize("change", [{"format": 2}, {"settings": {"schema": 2}}])
def test_results_of_a_later_format_are_left_out_with_a_sentence(here, told, change):
    path = here / "run" / "summary.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    code, said = told("results", ".")
    assert code == 0
    assert "run/summary.json: expected " in said
    assert "a newer srframework" in said


ODD = [None, True, -1, 1 << 70, 1e308, "", "x\0", [], {}, [[]], {"a": 1}, 10**400]


@pytest.mark.long
@pytest.mark.parametrize("file", ["summary.json", "run.json"])
def test_values_of_any_type_at_any_depth_are_no_traceback(here, told, file):
    path = here / "run" / file
    good = json.loads(path.read_text())

    def places(value, at=()):
        yield at
        if isinstance(value, dict | list):
            for key in value if isinstance(value, dict) else range(len(value)):
                yield from places(value[key], (*at, key))

    path.unlink()  # linked or not, it is this test's own
    every = [each for each in places(good) if each]
    for number, at in enumerate(every):
        odd = ODD[number % len(ODD)]
        damaged = json.loads(json.dumps(good))
        inner = damaged
        for key in at[:-1]:
            inner = inner[key]
        inner[at[-1]] = odd
        path.write_text(json.dumps(damaged))
        assert told("results", ".")[0] == 0, (at, odd)
        assert told("compare", "run", "other", "--resamples", "100")[0] in (0, 1, 2), (at, odd)


# -- stores ----------------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.parametrize("kind", FEW)
@pytest.mark.parametrize("place", ["manifest.json", "files", "files/model/model.safetensors", "files/metrics.jsonl"])
def test_a_damaged_entry_is_a_sentence_and_is_computed_again(here, told, kind, place):
    [trained] = [
        path.parent
        for path in (here / "store" / "entries").glob("*/*/manifest.json")
        if json.loads(path.read_text())["kind"] == "trained" and json.loads(path.read_text())["identity"]["seed"] == 0
    ]
    weights = (trained / "files/model/model.safetensors").read_bytes()
    replace(trained / place, kind)
    assert told("store", "list", "--store", "store")[0] == 0
    assert told("store", "gc", "--older-than", "1w", "--store", "store")[0] == 0
    code, said = told("run", "recipe.toml", "--out", "again", "--store", "store")
    assert code == 0, said
    assert (trained / "files/model/model.safetensors").read_bytes() == weights
    assert told("store", "verify", "--store", "store")[0] == 0


@pytest.mark.long
@pytest.mark.parametrize("kind", FEW)
@pytest.mark.parametrize(
    "place", ["entries", "entries/00", "locks", "work", "work/x", "damaged", "damaged/x-1", "users"]
)
def test_a_damaged_store_is_a_sentence(here, told, kind, place):
    (here / "store" / place).parent.mkdir(exist_ok=True)
    replace(here / "store" / place, kind)
    for command in (["list"], ["verify"], ["gc", "--older-than", "1w"]):
        code, said = told("store", *command, "--store", "store")
        assert code in (0, 1, 2)
        assert code == 0 or "store store: " in said, said
    code, said = told("run", "recipe.toml", "--set", "seed=3", "--out", "again", "--store", "store")
    assert code == 0 or "error: store store: cannot be " in said, said


def test_an_older_store_is_left_alone(here, told):
    """One whose keys nobody asks for any more."""
    store = here / "store"
    before = {path: path.read_bytes() for path in (store / "entries").rglob("*") if path.is_file()}
    (store / "work" / ("ab" * 32) / "files").mkdir(parents=True)
    (store / "work" / ("ab" * 32) / "files" / "a").write_text("x")
    assert told("run", "recipe.toml", "--set", "seed=9", "--out", "new", "--store", "store")[0] == 0
    assert told("store", "verify", "--store", "store")[0] == 0
    assert {path: path.read_bytes() for path in before} == before
    assert (store / "work" / ("ab" * 32) / "files" / "a").read_text() == "x"
    assert not (store / "damaged").exists()
