"""A disk that is full or forbids writing is a sentence."""

from __future__ import annotations

import errno
import os

import click
import pytest

from srframework import cli


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS])
def test_what_the_file_system_refuses_is_a_sentence_and_exit_code_1(monkeypatch, capsys, number):
    @click.command()
    def write() -> None:
        raise OSError(number, os.strerror(number), "runs/x/recipe.toml")

    monkeypatch.setitem(cli.cli.commands, "write", write)
    monkeypatch.setattr("sys.argv", ["srframework", "write"])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 1
    done = "read or written" if number == errno.EACCES else "written"  # of a file that is not there nobody can tell
    assert capsys.readouterr().err == f"error: runs/x/recipe.toml: cannot be {done}: {os.strerror(number)}\n"


def test_other_errors_of_the_system_are_ours_and_are_to_be_reported(monkeypatch, capsys):
    @click.command()
    def lose() -> None:
        raise FileNotFoundError(errno.ENOENT, "gone", "x")

    monkeypatch.setitem(cli.cli.commands, "lose", lose)
    monkeypatch.setattr("sys.argv", ["srframework", "lose"])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 1
    assert capsys.readouterr().err.startswith("error: internal error: FileNotFoundError: ")
