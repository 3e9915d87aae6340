"""The command line: in this process where that is enough, and as users start it where it is not."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from srframework.cli import main


@dataclass(frozen=True)
class Done:
    """What a command left."""

    code: int
    out: str
    err: str


@pytest.fixture
def work(tmp_path, monkeypatch) -> Path:
    """An empty working directory."""
    path = tmp_path / "work"
    path.mkdir()
    monkeypatch.chdir(path)
    return path


@pytest.fixture
def call(work, monkeypatch, capsys) -> Callable[..., Done]:
    """Call the entry point in this process, with arguments; it must write nothing."""

    def call(*args: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["srframework", *args])
        before = sorted(work.iterdir())
        with pytest.raises(SystemExit) as caught:
            main()
        captured = capsys.readouterr()
        assert sorted(work.iterdir()) == before
        return Done(int(caught.value.code or 0), captured.out, captured.err)

    return call


@pytest.fixture
def start(work) -> Callable[..., Done]:
    """Start the command in a process of its own: the script, or, with ``module=True``, ``python -m srframework``.

    It must write nothing, and never show a traceback.
    """

    def start(*args: str, module: bool = False, **variables: str) -> Done:
        script = [str(Path(sys.executable).parent / "srframework")]
        environment = {key: value for key, value in os.environ.items() if not key.startswith("SRFRAMEWORK_")}
        before = sorted(work.iterdir())
        done = subprocess.run(
            [*([sys.executable, "-m", "srframework"] if module else script), *args],
            cwd=work,
            env=environment | {"PYTHONDONTWRITEBYTECODE": "1", **variables},
            capture_output=True,
            encoding="utf-8",
            timeout=60,
            check=False,
        )
        assert "Traceback" not in done.stderr
        assert sorted(work.iterdir()) == before
        return Done(done.returncode, done.stdout, done.stderr)

    return start


@pytest.fixture(scope="session")
def perform() -> Callable[..., Done]:
    """Call the entry point in this process, with arguments, in the directory ``cwd``; it may write there."""

    def perform(*args: str, cwd: Path) -> Done:
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(cwd)
            patch.setattr(sys, "argv", ["srframework", *args])
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as caught:
                main()
        return Done(int(caught.value.code or 0), out.getvalue(), err.getvalue())

    return perform
