"""The commands that list something, in a terminal of 80 columns: nothing is cut, and nothing is wider."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest
from click.testing import CliRunner
from terminal import screen

from srframework.cli import cli
from srframework.registry.discovery import discover
from srframework.registry.registry import Registry

STORE = list(cli.commands["store"].commands)
COMPONENTS = list(Registry(discover()))


def _words(lines: list[str]) -> list[str]:
    return " ".join(lines).split()


@pytest.mark.parametrize(
    "args",
    [
        ("show", "mask"),
        ("show", "pairs"),
        ("show", "training"),
        ("list",),
        ("list", "--verbose"),
        ("plugins",),
        ("recipes",),
        ("claims", "--list"),
    ],
    ids=" ".join,
)
def test_every_word_that_a_pipe_gets_is_on_a_screen_of_80_columns(args, start):
    lines, _ = screen(*args)
    assert max(map(len, lines)) <= 80
    assert _words(lines) == start(*args).out.split()


def test_what_show_prints_for_a_recipe_fits_too():
    assert max(map(len, screen("show", "mask", "--toml")[0])) <= 80


def test_the_options_of_training_have_a_heading_and_bounds_are_as_people_write_them(call):
    assert call("show", "training").out.splitlines()[1:3] == [
        "source: the paper (arXiv 2210.05211), App. B.3",
        "",
    ]
    assert "phi  number in [1e-6, 1e6]  default: 0.01" in call("show", "mask").out


def test_there_is_colour_in_a_terminal_and_none_where_it_is_not_wanted():
    assert screen("list", "pruner")[1]
    assert not screen("list", "pruner", NO_COLOR="1")[1]
    assert not screen("list", "pruner", TERM="dumb")[1]


@pytest.mark.parametrize("command", [(), *((name,) for name in cli.commands), *(("store", name) for name in STORE)])
def test_the_help_of_a_command_fits_and_no_summary_is_cut(command):
    shown = CliRunner().invoke(cli, [*command, "--help"], terminal_width=80).output.splitlines()
    assert max(map(len, shown)) <= 80
    assert not any(line.endswith("...") and not line.startswith("Usage: ") for line in shown)


def test_results_of_many_settings_fit(make_run, work):
    for number, rate in enumerate((1e-3, 2e-3)):
        more = {f"srnet__option_of_the_stage_{each}": number for each in range(8)}
        make_run(f"runs/{rate}", srnet__learning_rate=rate, **more)
    lines, _ = screen("results", cwd=work)
    assert max(map(len, lines)) <= 80
    assert any(re.search(r"\d more settings differ", line) for line in lines)
    assert not any("…" in line for line in lines)
    lines, _ = screen("results", "--settings", cwd=work)
    assert max(map(len, lines)) <= 80
    for each in range(8):
        assert f"option_of_the_stage_{each}" in " ".join(lines)


def test_rows_differ_in_the_settings_that_are_shown(make_run, work):
    for run in range(4):
        of_full = {f"full__option_{each}": run % 2 for each in range(4)}
        make_run(f"runs/{run}", **of_full, srnet__last=run // 2)
    lines, _ = screen("results", cwd=work)
    heads = next(line for line in lines if "stage" in line)
    assert {"option_0", "last"} <= set(heads.split()), "what tells the rows of srnet apart"
    rows = [line.split("│")[1:-1] for line in lines if "│" in line]
    assert len(rows) == 2 + 4
    assert len({tuple(row[: heads.count("┃") - 5]) for row in rows}) == len(rows)


def test_no_word_of_a_heading_is_broken(make_run, work):
    for number in range(2):
        make_run(f"runs/{number}", full__max_steps_of_a_long_name=number, srnet__max_steps_of_a_long_name=number)
    for width in (80, 100, 120):
        heads = [line for line in screen("results", columns=width, cwd=work)[0] if "┃" in line]
        words = {word for line in heads for word in line.replace("┃", " ").split()}
        assert not heads or "sparsity" in words
        assert all(word == "full.max_steps_of_a_long_name" for word in words if word.startswith("full.max"))


def test_settings_in_which_only_recipes_differ_are_shown_where_they_are_asked_for(make_run, call):
    make_run("runs/a", name="first", srnet__learning_rate=0.1)
    make_run("runs/b", name="second", srnet__learning_rate=0.2)
    assert "learning_rate" not in call("results").out
    assert "1 more setting differs; --settings shows them." in call("results").out
    for args in (["--settings"], ["--where", "learning_rate=0.1,0.2"], ["--sort", "learning_rate"]):
        assert "learning_rate" in call("results", *args).out
    assert [row["settings"]["recipe"] for row in json.loads(call("results", "--json").out)] == ["first", "second"] * 2


def test_a_run_directory_is_never_broken(make_run, work):
    path = f"runs/{'long' * 20}"
    make_run(path)
    assert f"    {path}" in screen("results", "--runs", cwd=work)[0]


def test_commands_that_list_import_nothing_heavy(work):
    code = """
import sys
from srframework.cli import cli
from click.testing import CliRunner
for args in (["list", "-v"], ["show", "mask"], ["plugins"], ["recipes"], ["claims", "--list"], ["--help"]):
    done = CliRunner().invoke(cli, args)
    assert done.exit_code == 0, done.output
found = {"torch", "transformers", "numpy", "datasets"} & set(sys.modules)
assert not found, found
"""
    subprocess.run([sys.executable, "-c", code], check=True, env=dict(os.environ))
