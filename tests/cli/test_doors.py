"""Launchers and commands that plugins bring, installed as distributions."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from small_recipe import FULL, small_recipe

DOORS = Path(__file__).with_name("doors")
RECIPE = small_recipe("Doors", FULL, "[sweep]\nseed = [1, 2]\n")


@pytest.fixture
def install(tmp_path, monkeypatch) -> Iterator[Callable[..., None]]:
    """Install a distribution that consists of one module."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("PYTHONPATH", str(site))
    monkeypatch.setattr("sys.dont_write_bytecode", True)

    def install(module: str, code: str) -> None:
        (site / f"{module}.py").write_text(code)
        info = site / f"{module}-1.2.dist-info"
        info.mkdir()
        info.joinpath("METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.2\n")
        info.joinpath("entry_points.txt").write_text(f"[srframework]\nmine = {module}\n")

    yield install
    for path in site.glob("*.py"):
        sys.modules.pop(path.stem, None)


@pytest.fixture
def command(perform, tmp_path) -> Callable:
    """Call the command in an empty directory."""
    work = tmp_path / "work"
    work.mkdir()
    return lambda *args: perform(*args, cwd=work)


def shipped(install, name: str) -> None:
    text = (DOORS / f"{name}.py").read_text()
    assert len(text.splitlines()) < 70
    assert sum(1 for line in text.splitlines() if line.strip()) < 60
    install(name, text)


@pytest.mark.long
def test_a_sweep_runs_by_the_launcher_of_a_plugin_and_comes_to_the_same_figures(
    install, command, tmp_path, monkeypatch
):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    shipped(install, "shell_launcher")
    shipped(install, "best_command")
    (tmp_path / "work/recipe.toml").write_text(RECIPE)
    rows = json.loads(command("list", "launchers", "--json").out)
    assert [row["name"] for row in rows] == ["local", "ray", "serial", "shell"]
    shown = command("show", "launcher/shell", "--json")
    assert [row["option"] for row in json.loads(shown.out)["options"]] == ["command"]

    sweep = ("sweep", "recipe.toml", "--launcher", "shell")
    for given, message in (
        ("comand=env", "comand: unknown key; did you mean 'command'? Choices: command"),
        ("command=3", "command: must be a string (got 3)"),
    ):
        done = command(*sweep, "--launcher-option", given)
        owner = "launcher 'shell' of shell_launcher 1.2"
        assert (done.code, done.out) == (2, "")
        assert done.err == f"error: --launcher-option {given}: {message} (option of {owner})\n"

    option = ("--launcher-option", "command=env LC_ALL=C", "--jobs", "2")
    done = command(*sweep, *option, "--out", "shell", "--store", "a", "--json")
    assert done.code == 0, done.err
    alone = command("sweep", "recipe.toml", "--out", "alone", "--store", "b", "--json")
    found, expected = json.loads(done.out), json.loads(alone.out)
    assert [each["stages"] for each in found] == [each["stages"] for each in expected]
    assert [each["run"] for each in found] == ["shell/seed=1", "shell/seed=2"]

    best = command("best", "shell", "--split", "random")
    assert (best.code, best.err) == (0, "")
    run, _, figure = best.out.strip().partition(": ")
    figures = {each["run"]: each["stages"][-1]["ood"]["random"] for each in found}
    assert figure == f"{figures[run]:.3f}"
    assert figures[run] == max(figures.values())


def test_an_unknown_launcher_is_refused_with_the_nearest(command, tmp_path):
    (tmp_path / "work/recipe.toml").write_text(RECIPE)
    done = command("sweep", "recipe.toml", "--launcher", "loca")
    assert (done.code, done.out) == (2, "")
    assert done.err == ("error: no launcher is named 'loca'; did you mean 'local'? Choices: local, ray, serial\n")


@pytest.mark.parametrize("given", ["address", "=x"])
def test_an_option_of_a_launcher_is_a_key_and_a_value(command, tmp_path, given):
    (tmp_path / "work/recipe.toml").write_text(RECIPE)
    done = command("sweep", "recipe.toml", "--launcher", "ray", "--launcher-option", given)
    assert (done.code, done.out) == (2, "")
    assert done.err == f"error: --launcher-option {given}: expected KEY=VALUE, such as address=auto\n"


def test_a_launcher_is_no_table_of_a_recipe(command):
    done = command("show", "launcher/local", "--toml")
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        "error: --toml: no recipe has a table for a launcher; use `srframework sweep --launcher local`\n"
    )


BROKEN = """
from srframework import *

class Broken(Launcher):
    def start(self, jobs, threads):
        {start}
    def submit(self, name, job):
        pass
    def wait(self):
        return {waited}

@hookimpl
def srframework_launchers():
    return [Component("broken", Options, Broken, "Broken.", "here")]
"""


@pytest.mark.parametrize(
    ("start", "waited", "message"),
    [
        ("raise OSError('no cluster')", "[]", "start() fails: OSError: no cluster"),
        (
            "pass",
            "[]",
            "wait() must return a list of (name, JobResult or WorkerDied), at least one (got an empty list)",
        ),
        ("self.slots = 0", "[]", "slots must return a number of jobs, 1 or more, or None (got 0)"),
    ],
)
def test_a_broken_launcher_is_its_plugins_fault(install, command, tmp_path, start, waited, message):
    (tmp_path / "work/recipe.toml").write_text(RECIPE)
    install("broken_launcher", BROKEN.format(start=start, waited=waited))
    done = command("sweep", "recipe.toml", "--launcher", "broken")
    assert (done.code, done.out) == (3, "")
    assert f"error: launcher 'broken' of broken_launcher 1.2: its {message}" in done.err


# -- commands ----------------------------------------------------------------------------------------

COMMANDS = """
import click
from srframework import UsageError, hookimpl

@hookimpl
def srframework_register_commands(cli):
    {before}

    @cli.command(name="{name}")
    def own():
        "Do something of its own."
        {body}
"""


def code(body: str = "click.echo('done')", name: str = "own", before: str = "pass") -> str:
    return COMMANDS.format(body=body, name=name, before=before)


def test_a_command_of_a_plugin_is_in_the_help_and_can_change_no_other(install, command):
    install("some_commands", code(before="cli.commands.clear()"))
    done = command("own")
    assert (done.code, done.out, done.err) == (0, "done\n", "")
    listed = command("--help")
    assert "  own       Do something of its own.\n" in listed.out
    assert "  sweep  " in listed.out
    blocked = command("--disable", "some_commands", "own")
    assert (blocked.code, blocked.err.splitlines()[-1]) == (2, "Error: No such command 'own'.")
    assert "own" not in command("--disable", "some_commands", "--help").out


@pytest.mark.parametrize(
    ("body", "exit_code", "message"),
    [
        (
            "raise ValueError('not today')",
            3,
            "error: command 'own' of some_commands 1.2 fails: ValueError: not today; ",
        ),
        ("raise UsageError('expected more')", 2, "error: expected more\n"),
        ("raise click.ClickException('no')", 1, "Error: no\n"),
        ("raise SystemExit(4)", 4, ""),
    ],
)
def test_what_goes_wrong_in_a_command_of_a_plugin_is_a_sentence(install, command, body, exit_code, message):
    install("some_commands", code(body))
    done = command("own")
    assert (done.code, done.out) == (exit_code, "")
    assert done.err.startswith(message)
    assert len(done.err.splitlines()) == (1 if message else 0)


@pytest.mark.parametrize(
    ("text", "failure"),
    [
        (code(before="raise RuntimeError('no luck')"), "RuntimeError: no luck"),
        (code(name="run"), "registers the command 'run', which is a built-in command; expected another name"),
        (
            code(before="cli.commands['x'] = 3"),
            "registers as the command 'x' a value of type int",
        ),
    ],
    ids=["raises", "built-in name", "no command"],
)
def test_commands_that_cannot_be_registered_disable_their_plugin_alone(install, command, text, failure):
    install("some_commands", text)
    line = f"warning: plugin 'mine' of some_commands 1.2 failed to load: {failure}\n"
    done = command("plugins", "--json")
    assert (done.code, done.err) == (0, line)
    (row,) = [row for row in json.loads(done.out) if row["dist"] == "some_commands"]
    assert (row["state"], row["failure"]) == ("failed", failure)
    assert (command("recipes").code, command("recipes").err) == (0, "")
    listed = command("--help")
    assert (listed.code, listed.err) == (0, "")
    assert "Do something of its own" not in listed.out
    unknown = command("own")
    assert (unknown.code, unknown.err.splitlines(keepends=True)[0]) == (2, line)


def test_a_command_that_two_plugins_have_is_refused_with_their_names(install, command):
    install("some_commands", code())
    install("other_commands", code())
    done = command("own")
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        "error: plugin 'mine' of other_commands 1.2 and plugin 'mine' of some_commands 1.2 add the command 'own'; "
        "disable one of them with --disable NAME\n"
    )
    assert command("--disable", "other_commands", "own").out == "done\n"
    assert command("--help").code == 0
