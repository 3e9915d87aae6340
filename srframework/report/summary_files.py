"""Read the summary.json of every run under some directories; several processes read a large number of runs."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from typing import Any, Generic, TypeVar

import msgspec

from srframework.errors import NoFile
from srframework.files import MAX_BYTES
from srframework.run.results import StageAndLevels, StageFigures

FORMAT = 1
"""Format number of summary.json; files of this format do not name it."""

DEV = "dev"
"""The split that chose the checkpoints of a run whose files do not name it."""

RUNS_OF_ONE_PROCESS = 2000
"""Runs that one process reads before others help: starting those takes about as long."""

_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)
"""Do not block on a pipe."""

_ROOM = 1 << 18
"""Bytes of the first buffer for a summary.json; it grows for a longer file."""

AnyStage = TypeVar("AnyStage", bound=StageFigures)


class _Results(msgspec.Struct, Generic[AnyStage]):
    """A summary.json."""

    recipe: str
    seed: int
    stages: list[AnyStage]
    settings: msgspec.Raw
    baselines: list[StageFigures] = []
    id_split: str = ""
    dev_split: str = DEV
    format: int = FORMAT


class Read(msgspec.Struct, Generic[AnyStage], array_like=True, gc=False):
    """One run; ``text`` is the index of its settings in :attr:`Part.texts`."""

    path: str
    seed: int
    text: int
    id_split: str
    dev_split: str
    stages: list[AnyStage]
    baselines: list[StageFigures]


class Part(msgspec.Struct, Generic[AnyStage], array_like=True):
    """The runs that one process read.

    Attributes:
        runs: Finished runs.
        texts: Distinct settings as JSON, without the seed.
        unfinished: Directories of the other runs.
        damaged: A sentence for each damaged summary.json and each directory that cannot be read.
    """

    runs: list[Read[AnyStage]] = []
    texts: list[bytes] = []
    unfinished: list[str] = []
    damaged: list[str] = []


def read(directories: list[str], levels: bool) -> list[Part[Any]]:
    """Read all runs at any depth under the directories; skip hidden directories and links.

    Args:
        directories: Directories that are not inside each other.
        levels: Whether to read the sparsity levels inside the stages too.
    """
    waiting = [name.rstrip("/") or "/" for name in reversed(directories)]
    first = _read(waiting, levels, RUNS_OF_ONE_PROCESS)
    processes = min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, 8)
    if processes == 1 or len(waiting) < processes:
        return [first, _read(waiting, levels)]
    from concurrent.futures import ProcessPoolExecutor

    with ProcessPoolExecutor(processes - 1) as pool:
        others = [pool.submit(_encoded, waiting[place::processes], levels) for place in range(1, processes)]
        own = _read(waiting[::processes], levels)
        decoder = msgspec.msgpack.Decoder(Part[_kind(levels)])  # type: ignore[misc]
        return [first, own, *(decoder.decode(other.result()) for other in others)]


def _encoded(waiting: list[str], levels: bool) -> bytes:
    """Read in another process; the result as bytes."""
    return msgspec.msgpack.encode(_read(waiting, levels))


def _kind(levels: bool) -> type[StageFigures]:
    return StageAndLevels if levels else StageFigures


def _read(waiting: list[str], levels: bool, most: int | None = None) -> Part[Any]:
    """Read at most ``most`` runs; removes the directories that it has searched from ``waiting``."""
    decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(_Results[_kind(levels)])  # type: ignore[misc]
    part: Part[Any] = Part()
    places: dict[bytes, int] = {}
    for path, content in _walk(waiting):
        if content is None:
            part.unfinished.append(path)
            continue
        if isinstance(content, str):
            part.damaged.append(content)
            continue
        try:
            results = decoder.decode(content)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            part.damaged.append(f"{path}/summary.json: expected the results of a run; {error}")
            continue
        if results.format != FORMAT:
            got = f"one that a newer srframework wrote (format {results.format})"
            part.damaged.append(f"{path}/summary.json: expected results of format {FORMAT}, got {got}")
            continue
        text = _without_seed(bytes(results.settings), results.seed)
        place = places.setdefault(text, len(places))
        splits = (results.id_split, results.dev_split)
        part.runs.append(Read(path, results.seed, place, *splits, results.stages, results.baselines))
        if len(part.runs) == most:
            break
    part.texts = list(places)
    return part


def _without_seed(text: bytes, seed: int) -> bytes:
    """The settings without the line of the seed; unchanged if the layout is not that of srframework.

    srframework indents by two, so that a line with four spaces is a key of the recipe itself.
    """
    return text.replace(b'\n    "seed": %d,' % seed, b"", 1) if text.startswith(b'{\n    "') else text


def _walk(waiting: list[str]) -> Iterator[tuple[str, memoryview | str | None]]:
    """Yield each run: its directory and the content of summary.json, valid until the next; None if it is not finished.

    A sentence stands for the content of an unreadable file. Runs that disappear meanwhile are skipped.
    """
    buffer = memoryview(bytearray(_ROOM))
    while waiting:
        path = waiting.pop()
        try:
            buffer, size = _content(f"{path}/summary.json", buffer)
        except (FileNotFoundError, NotADirectoryError):
            pass
        except OSError as error:
            yield path, f"{path}/summary.json: expected the results of a run; it cannot be read: {error.strerror}"
            continue
        else:
            yield path, buffer[:size]
            continue
        try:
            with os.scandir(path) as entries:
                here = list(entries)
            inner = [e.name for e in here if not e.name.startswith(".") and e.is_dir(follow_symlinks=False)]
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            yield path, f"{path}: the directory cannot be read: {error.strerror}"
            continue
        if any(entry.name == "run.json" for entry in here):
            yield path, None
            continue
        waiting += [f"{path.rstrip('/')}/{name}" for name in sorted(inner, reverse=True)]


def _content(path: str, buffer: memoryview) -> tuple[memoryview, int]:
    """Read a file into the buffer, or into a longer one; return the buffer and the size."""
    file = os.open(path, _READ)  # cheaper than a check for existence
    try:
        found = os.fstat(file)
        if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):  # reading reports a directory
            raise NoFile("it is no regular file", path)
        if found.st_size > MAX_BYTES:
            raise NoFile(f"it is larger than {MAX_BYTES} bytes", path)
        size = os.readv(file, [buffer])
        while size == len(buffer):
            buffer = memoryview(bytearray(2 * size))
            size = os.preadv(file, [buffer], 0)
    finally:
        os.close(file)
    return buffer, size
