from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

GOOD = 'name = "s"\nschema = 1\nbackbone = "tiny"\ndataset = "synthetic"\n[[stages]]\nname = "full"\nop = "train"\n'


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["validate", "quickstart", "--set", "name=\udcff"],
            'error: expected arguments in UTF-8, got "name=\\udcff"\n',
        ),
        (["validate", "\udc80"], 'error: expected arguments in UTF-8, got "\\udc80"\n'),
        (["run", "quickstart", "--out", "\udc80"], 'error: expected arguments in UTF-8, got "\\udc80"\n'),
        (["run", "quickstart", "--store", "a\udc80"], "error: expected arguments in UTF-8"),
        (["sweep", "quickstart", "--grid", "name=\udc80,b"], "error: expected arguments in UTF-8"),
        (["results", "\udc80"], "error: expected arguments in UTF-8"),
        (["run", "quickstart", "--out", "a\0b"], 'expected a path without the character NUL, got "a\\u0000b"'),
        (["run", "quickstart", "--store", "a\0b"], "Invalid value for '--store': expected a path without"),
        (["sweep", "quickstart", "--out", f"a/{'x' * 300}"], "expected names of at most 255 bytes, got 'xxx"),
        (["run", "quickstart", "--out", "é" * 128], "expected names of at most 255 bytes, got 'é"),
        (["run", "quickstart", "--out", "a/" * 3000], "expected a path of at most 3584 bytes, got 'a/a/"),
        (["run", "x" * 5000], "no such file, and no shipped recipe has this name"),
        (["run", "a\0b"], "error: a\\u0000b: no such file, and no shipped recipe has this name"),
        (["run", "\x1b[31m"], "error: \\u001b[31m: no such file, and no shipped recipe has this name"),
    ],
)
def test_an_argument_that_no_file_system_takes_is_refused(call, arguments, message):
    done = call(*arguments)
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert all(len(line) < 1500 and line.isprintable() for line in done.err.splitlines())


LONG = "x" * 6000


@pytest.mark.parametrize(
    "arguments",
    [
        ["results", LONG],
        ["compare", LONG, LONG],
        ["claims", LONG],
        ["show", f"pruner/{LONG}"],
        ["list", LONG],
        [LONG],
        ["store", "verify", "--recompute", "9" * 6000],
        ["sweep", "quickstart", "--jobs", "9" * 30],
        ["sweep", "quickstart", "--threads", "9" * 6000],
        ["run", "quickstart", "--set", f"dataset={{ use = 'nli', path = '{LONG}' }}"],
        ["run", "quickstart", "--set", f"dataset={{ use = 'nli', path = '{'x' * 300}' }}"],
        ["run", "quickstart", "--set", f"dataset={{ use = 'paraphrase', path = '{LONG}' }}"],
        ["run", "quickstart", "--set", f"backbone={{ use = 'encoder', path = '{LONG}' }}"],
    ],
    ids=lambda arguments: " ".join(arguments)[:40],
)
def test_a_very_long_value_is_refused_and_cut_in_the_message(call, arguments):
    done = call(*arguments)
    assert done.code == 2, done.err
    assert done.err
    assert all(len(line) < 1500 for line in done.err.splitlines())


def test_a_store_of_the_environment_is_refused_likewise(call, monkeypatch):
    monkeypatch.setenv("SRFRAMEWORK_STORE", "a\udc80")
    done = call("run", "quickstart")
    assert done.code == 2
    assert "Invalid value for '--store': expected a path in UTF-8, got \"a\\udc80\"" in done.err


def test_validate_prints_the_first_problems_and_counts_the_rest(call, work):
    keys = "".join(f"k{number} = 1\n" for number in range(500))
    Path("r.toml").write_text(keys + GOOD)
    done = call("validate", "r.toml")
    assert (done.code, done.out) == (2, "r.toml: 500 problems\n")
    lines = done.err.splitlines()
    assert (len(lines), lines[-1]) == (21, "and 480 more problems")
    assert len(json.loads(call("validate", "r.toml", "--json").out)[0]["problems"]) == 500
    assert call("run", "r.toml").err.splitlines() == ["errors:", *lines]


@pytest.mark.skipif(not os.path.exists("/dev/stdin"), reason="a name for standard input")
@pytest.mark.parametrize("command", [["validate", "/dev/stdin"], ["run", "/dev/stdin", "--dry-run"]])
def test_a_recipe_is_read_from_standard_input(work, command):
    done = subprocess.run(
        [sys.executable, "-m", "srframework", *command],
        input=(GOOD + "[variants.a]\nseed = 1\n").encode(),
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"/dev/stdin: valid" in done.stdout or b"full: A_std" in done.stdout


def test_a_stage_of_very_many_evaluations_is_estimated_by_arithmetic(call, work):
    Path("r.toml").write_text(GOOD + f"max_steps = {10**17}\neval_every = 1\n")
    done = call("run", "r.toml", "--dry-run")
    assert (done.code, done.err) == (0, "")
    assert "100,000,000,000,000,000 steps" in done.out
