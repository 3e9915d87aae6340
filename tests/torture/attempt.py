"""One process of a run: started by a fork, so that nothing is imported again, and killed."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from moments import MOMENTS, Shared, Watch

RECIPE = Path(__file__).with_name("recipe.toml")

KINDS = (*MOMENTS, "time")
"""A kill is at one of the moments, or some time after the start, whatever is going on."""

PATIENCE = 600.0
"""Seconds after which a run is taken to hang."""

Kill = tuple[str, float]
"""One of the kinds; the number of the moment, from 1, or seconds."""


class Wrong(Exception):
    """A run that is not as it should be; says what, and where it is."""


@dataclass(frozen=True)
class Attempt:
    """What became of one process.

    Attributes:
        killed: At which moment; empty where it came to its end.
        said: Its output.
        steps: Optimizer steps that it took.
        counts: How often it passed each moment.
        seconds: That it lasted.
    """

    killed: str
    said: str
    steps: int
    counts: dict[str, int]
    seconds: float

    @property
    def goes_on(self) -> bool:
        """Whether a training went on from a checkpoint."""
        return "resumes from the checkpoint" in self.said

    @property
    def tells_of_damage(self) -> bool:
        """Whether something was found that is not what was written."""
        return any(each in self.said for each in ("computed again", "ignored"))


def attempt(place: Path, arguments: Sequence[str], shared: Shared, kill: Kill | None, broken: str | None) -> Attempt:
    """Start a run in ``place``, or resume it, in a process of its own; kill it.

    Raises:
        Wrong: It fails, or hangs.
    """
    shared.clear()
    log, started = place / "log", time.monotonic()
    sys.stdout.flush()
    moment = (kill[0], int(kill[1])) if kill is not None and kill[0] != "time" else None
    pid = os.fork()
    if not pid:
        _be_the_run(place, log, arguments, Watch(place / "store", place / "run", shared, moment), broken)
    limit = kill[1] if kill is not None and kill[0] == "time" else PATIENCE
    while not (ended := os.waitpid(pid, os.WNOHANG))[0]:
        if time.monotonic() - started > limit:
            os.kill(pid, signal.SIGKILL)
            ended = os.waitpid(pid, 0)
            break
        time.sleep(0.003)
    seconds = time.monotonic() - started
    killed = shared.read()
    said = log.read_text(encoding="utf-8", errors="replace")
    if os.WIFSIGNALED(ended[1]) and os.WTERMSIG(ended[1]) == signal.SIGKILL:
        if limit == PATIENCE and not killed:
            raise Wrong(f"{place}: expected an end within {PATIENCE} s, got none: {said[-2000:]}")
        killed = killed or f"after {limit:.2f} s"
    elif ended[1]:
        raise Wrong(f"{place}: expected exit code 0, got {os.waitstatus_to_exitcode(ended[1])}: {said[-3000:]}")
    return Attempt(killed, said, shared.steps, dict(shared.counts), seconds)


def _be_the_run(place: Path, log: Path, arguments: Sequence[str], watch: Watch, broken: str | None) -> None:
    """In the new process; does not come back."""
    code: object = 70
    try:
        handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        os.chdir(place)
        (place / "tmp").mkdir(exist_ok=True)
        tempfile.tempdir = str(place / "tmp")
        from srframework.cli import main

        if broken is not None:
            BROKEN[broken]()
        sys.argv = ["srframework", "run", str(RECIPE), "--out", "run", "--store", "store", "--json", *arguments]
        watch.begin()
        try:
            main()
        except SystemExit as end:
            code = end.code
        if not (modules := place / "modules").exists():
            modules.write_text("\n".join(sys.modules), encoding="utf-8")
    finally:
        if sys.exc_info()[0] is not None:
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 0)


def _nothing(*_args: object) -> None:
    """Instead of what is broken."""


def _break_checkpoints() -> None:
    from srframework.training.checkpoints import Checkpoints

    Checkpoints.latest = _nothing  # type: ignore[method-assign,assignment]


def _break_optimizer() -> None:
    from srframework.training import loop as training

    training.restore_optimizer = _nothing  # type: ignore[assignment]


def _break_streams() -> None:
    from srframework.training.checkpoints import Checkpoints

    Checkpoints.restore_streams = _nothing  # type: ignore[method-assign]


def _break_sums() -> None:
    from srframework.store import content, manifest

    content.compare = manifest.compare = _nothing  # type: ignore[assignment,attr-defined]


BROKEN: dict[str, Callable[[], None]] = {
    "checkpoints": _break_checkpoints,
    "optimizer": _break_optimizer,
    "streams": _break_streams,
    "sums": _break_sums,
}
"""Resumes that do not work, which the harness is to notice."""
