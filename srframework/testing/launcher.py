"""Checks of launchers."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

from srframework.contracts import INSTALLED, Job, JobResult, Launcher
from srframework.testing.check import Subject, checks_in, require


def runs_jobs(subject: Subject) -> None:
    """Two jobs, one after the other, each end with a result that has the job's error."""
    launcher: Launcher = subject.build()
    with tempfile.TemporaryDirectory() as place, contextlib.chdir(place):
        job = Job({}, None, "missing", "store", INSTALLED, place, str(Path(place, "job.log")))
        try:
            launcher.start(1, None)
            slots = launcher.slots
            require(slots is None or slots >= 1, f"slots: expected at least 1, or None, got {slots}")
            for name in ("first", "second"):
                launcher.submit(name, job)
                ended = launcher.wait()
                names = [each for each, _ in ended]
                require(names == [name], f"expected the end of {name!r}, got {names}")
                result = ended[0][1]
                require(isinstance(result, JobResult), f"expected a JobResult, got {result!r}")
                assert isinstance(result, JobResult)
                found = result.error or ""
                require(found.startswith("missing/recipe.toml"), f"expected the error of the job, got {found!r}")
        finally:
            launcher.close()


def closes_without_start(subject: Subject) -> None:
    """close() works before start() and a second time."""
    launcher: Launcher = subject.build()
    launcher.close()
    launcher.close()


CHECKS = checks_in("launcher", [runs_jobs, closes_without_start])
