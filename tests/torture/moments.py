"""The moments of a run, counted as they come; at one of them the process kills itself.

What becomes of a run that dies is decided by what is on disk by then. So nearly every moment is one before an
operation on a file: it is the one after the operation before it. Where a file is written there is one more, at which
half of it is there.
"""

from __future__ import annotations

import functools
import mmap
import os
import signal
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

MOMENTS = ("training", "evaluation", "checkpoint", "prune", "result", "store", "run directory")
"""Optimizer steps; batches of an evaluation; files of a checkpoint; what a pruner does; files of a stage's result
while it is a draft; every other file of the store; files of the run directory."""

_CHANGES: dict[str, tuple[int, int | None]] = {
    "os.rename": (1, 3),
    "os.link": (1, 3),
    "os.remove": (0, 1),
    "os.rmdir": (0, 1),
    "os.mkdir": (0, 2),
    "os.chmod": (0, 2),
    "os.truncate": (0, None),
}
"""Audit events that come before a file system is changed -> which argument is the path, and which the directory
that it is seen from."""

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Shared:
    """What a process leaves for its parent, however it ends."""

    _head = struct.Struct(f"{1 + len(MOMENTS)}q")

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 4096)
        self.clear()

    def clear(self) -> None:
        """Forget the process before."""
        self.steps, self.counts = 0, dict.fromkeys(MOMENTS, 0)
        self.write("")

    def write(self, last: str) -> None:
        """Leave the counts, and what was last done."""
        self._memory.seek(0)
        self._memory.write(self._head.pack(self.steps, *self.counts.values()))
        text = last.encode(errors="replace")[:2000]
        self._memory.write(struct.pack("q", len(text)) + text)

    def read(self) -> str:
        """Take up what the process left; give the moment at which it killed itself, or nothing."""
        self._memory.seek(0)
        self.steps, *counts = self._head.unpack(self._memory.read(self._head.size))
        self.counts = dict(zip(MOMENTS, counts, strict=True))
        (length,) = struct.unpack("q", self._memory.read(8))
        return self._memory.read(length).decode(errors="replace")


class Watch:
    """Counts the moments of this process, and ends it at one; for good, so in a process of its own.

    Args:
        store, out: Where the run writes.
        shared: What the parent reads.
        kill: Of :data:`MOMENTS`, and its number from 1; None for none.
    """

    def __init__(self, store: Path, out: Path, shared: Shared, kill: tuple[str, int] | None) -> None:
        self._places = {"store": f"{store.absolute()}/", "out": f"{out.absolute()}/"}
        self._shared, self._kill, self._busy, self._trying = shared, kill, False, False

    def begin(self) -> None:
        """Watch from here on."""
        import safetensors.numpy
        import safetensors.torch
        import torch
        from transformers import BertForSequenceClassification

        from srf_pruners.imp import IterativeMagnitudePruning as Imp
        from srf_pruners.mask import MaskTraining
        from srframework.run import pipeline

        pipeline.preflight = self._tried(pipeline.preflight)
        self._around(torch.optim.AdamW, "step", "training", self._stepped, lambda _: not self._trying)
        self._around(BertForSequenceClassification, "forward", "evaluation", when=lambda model: not model.training)
        for pruner, name in ((MaskTraining, "update_mask"), (MaskTraining, "after_step"), (Imp, "begin")):
            self._around(pruner, name, "prune")
        for module in (safetensors.numpy, safetensors.torch):
            module.serialize_file = self._writing(module.serialize_file)
        os.fsync = self._sync
        sys.addaudithook(self._audited)

    def _reached(self, moment: str | None, said: str, harm: Callable[[], object] | None = None) -> None:
        if moment is None:
            return
        shared = self._shared
        shared.counts[moment] += 1
        shared.write("")
        if self._kill == (moment, shared.counts[moment]):
            if harm is not None:
                harm()
            shared.write(said)
            os.kill(os.getpid(), signal.SIGKILL)

    # -- in memory -----------------------------------------------------------------------------

    def _stepped(self) -> None:
        self._shared.steps += not self._trying

    def _tried(self, preflight: Callable[..., None]) -> Callable[..., None]:
        """Do not count the steps of the preflight, which each attempt does again."""

        def tried(*args: Any) -> None:
            self._trying = True
            preflight(*args)
            self._trying = False

        return tried

    def _around(
        self,
        owner: type,
        name: str,
        moment: str,
        after: Callable[[], None] = lambda: None,
        when: Callable[[Any], bool] = lambda _: True,
    ) -> None:
        """Count a method's calls twice: as they begin, and as they end."""
        method = getattr(owner, name)

        @functools.wraps(method)
        def counted(this: Any, *args: Any, **more: Any) -> Any:
            counts = when(this)
            if counts:
                self._reached(moment, f"before {owner.__name__}.{name}")
            done = method(this, *args, **more)
            after()
            if counts:
                self._reached(moment, f"after {owner.__name__}.{name}")
            return done

        setattr(owner, name, counted)

    # -- on disk -------------------------------------------------------------------------------

    def _moment(self, path: str) -> str | None:
        """What a path is part of."""
        path = os.path.abspath(path) + "/"
        if path.startswith(self._places["out"]):
            return "run directory"
        if not path.startswith(self._places["store"]):
            return None
        parts = path[len(self._places["store"]) :].split("/")
        if parts[0] != "work" or "files" not in parts[:3]:
            return "store"
        return "checkpoint" if "checkpoints" in parts else "result"

    def _audited(self, event: str, args: tuple[Any, ...]) -> None:
        if self._busy or (event != "open" and event not in _CHANGES):
            return
        self._busy = True
        try:
            if event == "open":
                path, mode, flags = args
                if flags & _WRITES and isinstance(path, str | bytes | os.PathLike):
                    self._opened(os.fsdecode(path), mode or "")
                return
            of_path, of_handle = _CHANGES[event]
            path = _seen_from(-1 if of_handle is None else args[of_handle], os.fsdecode(args[of_path]))
            self._reached(self._moment(path), f"before {event} {path}")
        finally:
            self._busy = False

    def _opened(self, path: str, mode: str) -> None:
        moment = self._moment(path)
        self._reached(moment, f"before opening {path}")
        if set(mode) & set("wax"):  # a bare os.open has no mode, and only makes the file
            self._reached(moment, f"in the middle of writing {path}", functools.partial(_half, path, mode))

    def _sync(self, file: int | IO[Any]) -> None:
        """Instead of os.fsync: what a process wrote outlives it, if not the machine."""
        path = _seen_from(file if isinstance(file, int) else file.fileno(), "")
        self._reached(self._moment(path), f"before os.fsync {path}")

    def _writing(self, serialize: Callable[..., None]) -> Callable[..., None]:
        """Of safetensors, whose writing Python does not see."""

        def writing(tensors: Any, path: Any, *args: Any, **more: Any) -> None:
            moment = self._moment(os.fspath(path))
            self._reached(moment, f"before writing {path}")
            serialize(tensors, path, *args, **more)
            half = functools.partial(os.truncate, path, os.path.getsize(path) * 2 // 3)
            self._reached(moment, f"in the middle of writing {path}", half)

        return writing


def _half(path: str, mode: str) -> None:
    """Leave of a file what is there in the middle of its being written."""
    with open(path, "a" if "a" in mode else "w", encoding="utf-8") as file:
        file.write('{"ste' if path.endswith(".jsonl") else "{")


def _seen_from(handle: int, path: str) -> str:
    """A path, seen from the directory of a file descriptor, if there is one."""
    if handle < 0 or os.path.isabs(path):
        return path
    with suppress(OSError):
        return os.path.join(os.readlink(f"/proc/self/fd/{handle}"), path).rstrip("/")
    return path
