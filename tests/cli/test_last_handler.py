"""Whatever is left: one sentence, a traceback in a file that is named, and exit 1."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from srframework import cli
from srframework.cli import listing, streams
from srframework.errors import OutOfMemory
from srframework.faults import at, is_out_of_memory
from srframework.run import crash

SCRIPT = Path(sys.executable).parent / "srframework"


class Own(BaseException):
    pass


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError


ERRORS = [
    TypeError("an int is no str"), KeyError("x"), AssertionError(), RecursionError("deep"), UnicodeDecodeError("utf-8", b"x", 0, 1, "y"),  # noqa: E501
    OSError(errno.EBADF, "Bad file descriptor"), SystemExit(0), SystemExit("bye"), Own("own"), StopIteration(), GeneratorExit(), Mute(),  # noqa: E501
    ExceptionGroup("g", [ValueError("x")]), ValueError("a\n\nb" * 1000), ValueError("\udc80"),
]  # fmt: skip


@pytest.fixture
def failing(monkeypatch, tmp_path):
    """Have ``recipes`` raise."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def fail(error: BaseException) -> None:
        def shipped():
            raise error

        monkeypatch.setattr(listing, "shipped", shipped)

    return fail


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_of_ours_is_a_sentence_and_a_traceback_in_a_file(call, failing, error):
    failing(error)
    done = call("recipes")
    assert done.code == 1
    (line,) = done.err.splitlines()
    assert line.startswith(f"error: internal error: {type(error).__name__}")
    assert "please report it" in line
    assert len(line) < 1000
    file = Path(re.search(r"the traceback is in (\S+)$", line)[1])
    assert "Traceback (most recent call last)" in file.read_text() or isinstance(error, Mute)
    assert "in shipped" in file.read_text()


def test_debug_shows_the_traceback(call, failing):
    failing(TypeError("odd"))
    done = call("--debug", "recipes")
    assert done.code == 1
    assert "Traceback (most recent call last)" in done.err
    assert "error: internal error: TypeError: odd" in done.err


def test_where_no_log_can_be_written_that_is_told(call, failing, monkeypatch):
    failing(TypeError("odd"))
    monkeypatch.setattr(tempfile, "tempdir", "/no/such/directory")
    done = call("recipes")
    assert done.code == 1
    assert "the traceback cannot be written" in done.err
    assert "--debug shows it" in done.err


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (KeyboardInterrupt(), 130, "Interrupted."),
        (MemoryError(), 1, "error: out of memory"),
        (OSError(errno.ENOSPC, "No space left on device", "f"), 1, "No space left on device"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), 1, "error: out of memory"),
    ],
)
def test_what_is_no_error_of_ours_is_not_to_be_reported(call, failing, error, code, told):
    failing(error)
    done = call("recipes")
    assert done.code == code
    assert told in done.err
    assert "report" not in done.err


def test_the_traceback_of_a_run_is_in_its_directory(perform, tmp_path, monkeypatch):
    from srframework.run import stage_results

    def measure(*_args):
        raise TypeError("odd")

    monkeypatch.setattr(stage_results, "measure", measure)
    small = ["training.max_steps=1", "dataset.train_size=8", "dataset.dev_size=4"]
    small += ["dataset.ood_size=4", "training.batch_size=2"]
    settings = [word for each in small for word in ("--set", each)]
    done = perform("run", "quickstart", *settings, "--out", "out", cwd=tmp_path)
    assert done.code == 1
    assert "internal error: TypeError: odd; please report it; the traceback is in out/error.log" in done.err
    assert "in measure" in (tmp_path / "out" / "error.log").read_text()


# -- memory ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "[enforce fail at alloc_cpu.cpp:75] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate "  # noqa: E501
        "4 bytes. Error code 12 (Cannot allocate memory)",
        "CUDA out of memory. Tried to allocate 2.00 GiB",
        "CUDA error: out of memory",
        "std::bad_alloc",
        "not enough memory: you tried to allocate 8 bytes",
    ],
)
def test_what_torch_says_of_memory_is_known(text):
    assert is_out_of_memory(RuntimeError(text))
    assert not is_out_of_memory(ValueError(text))


def test_libraries_errors_of_memory_are_known():
    import numpy as np
    import pyarrow
    import torch

    for error in (
        pyarrow.ArrowMemoryError("x"),
        torch.OutOfMemoryError("x"),
        np._core._exceptions._ArrayMemoryError((1,), "f4"),
    ):
        assert is_out_of_memory(error)
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))


def test_the_sentence_says_what_was_being_done():
    with pytest.raises(OutOfMemory) as caught, at(stage="full", doing="training"):
        raise MemoryError
    assert str(caught.value).startswith(
        "stages.full: out of memory while training (MemoryError); try a smaller training."
    )


# -- streams ---------------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.parametrize(
    ("command", "code", "told"),
    [
        ("list | head -n 1", 0, ""),
        ("list --json | true", None, ""),
        ("list >&-", 0, ""),
        ("list 2>&- >&-", 0, ""),
        ("list < /dev/null >&- 2>&-", 0, ""),
        ("lst 2>&-", 2, ""),
        ("list >/dev/full", 1, "No space left on device"),
        ("list --json >/dev/full", 1, "No space left on device"),
        ("--help >/dev/full", 1, "No space left on device"),
        ("show pruner/nothing 2>/dev/full", 2, ""),
        ("show pruner/nothing 2>&-", 2, ""),
        ("list >/dev/full 2>/dev/full", 1, ""),
    ],
)
def test_streams_that_cannot_be_written(work, command, code, told):
    if "/dev/full" in command and not os.path.exists("/dev/full"):
        pytest.skip("there is no /dev/full")
    done = subprocess.run(
        ["bash", "-c", f"{SCRIPT} {command}"], capture_output=True, encoding="utf-8", timeout=60, check=False, cwd=work
    )
    assert code in (None, done.returncode)
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


def test_a_thread_that_fails_is_one_line(capsys):
    class Args:
        exc_value, exc_type, thread, err_msg = ValueError("odd"), ValueError, None, "Exception ignored in"

    streams._of_thread(Args)
    streams._unraisable(Args)
    assert capsys.readouterr().err == (
        "warning: a thread failed: ValueError: odd\nwarning: Exception ignored in: ValueError: odd\n"
    )


def test_an_error_knows_the_first_directory_that_it_belongs_to(tmp_path):
    error = TypeError("odd")
    for place in ("first", "second"):
        (tmp_path / place).mkdir()
        crash.belongs_to(error, tmp_path / place)
    assert crash.sentence(error).endswith(f"the traceback is in {tmp_path / 'first' / crash.LOG}")


def test_an_interrupt_while_an_error_is_told_is_an_interrupt(call, failing, monkeypatch):
    failing(TypeError("odd"))

    def interrupted(_error):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "sentence", interrupted)
    done = call("recipes")
    assert (done.code, done.err) == (130, "Interrupted.\n")
