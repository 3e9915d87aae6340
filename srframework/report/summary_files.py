"""The summary.json of every run under some directories; where there are very many, in several processes."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from typing import Any, Generic, TypeVar

import msgspec

from srframework.errors import NoFile
from srframework.files import MOST
from srframework.run.results import StageAndLevels, StageFigures

FORMAT = 1
"""Of summary.json, which says ``"format"`` where it is another."""

RUNS_OF_ONE_PROCESS = 2000
"""Runs that one process reads before others help: to start those takes as long."""

_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)
"""A pipe is not waited for."""

_ROOM = 1 << 18
"""Bytes of a summary.json that are read at once; a longer one is given more room."""

AnyStage = TypeVar("AnyStage", bound=StageFigures)


class _Results(msgspec.Struct, Generic[AnyStage]):
    """A summary.json."""

    recipe: str
    seed: int
    stages: list[AnyStage]
    settings: msgspec.Raw
    id_split: str = ""
    format: int = FORMAT


class Read(msgspec.Struct, Generic[AnyStage], array_like=True, gc=False):
    """One run; ``text``: the place of its settings among :attr:`Part.texts`."""

    path: str
    seed: int
    text: int
    id_split: str
    stages: list[AnyStage]


class Part(msgspec.Struct, Generic[AnyStage], array_like=True):
    """What one process read.

    Attributes:
        runs: The finished ones.
        texts: Their settings as JSON, less the seed, each once.
        unfinished: Directories of the others.
        damaged: A sentence for each summary.json that cannot be used, and each directory that cannot be read.
    """

    runs: list[Read[AnyStage]] = []
    texts: list[bytes] = []
    unfinished: list[str] = []
    damaged: list[str] = []


def read(directories: list[str], levels: bool) -> list[Part[Any]]:
    """Read all runs at any depth under the directories, hidden ones and links left out.

    Args:
        directories: None of which is inside another.
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
    """What another process reads, as it hands it over."""
    return msgspec.msgpack.encode(_read(waiting, levels))


def _kind(levels: bool) -> type[StageFigures]:
    return StageAndLevels if levels else StageFigures


def _read(waiting: list[str], levels: bool, most: int | None = None) -> Part[Any]:
    """Read ``most`` runs, or all; takes from ``waiting`` the directories that it has looked into."""
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
        part.runs.append(Read(path, results.seed, place, results.id_split, results.stages))
        if len(part.runs) == most:
            break
    part.texts = list(places)
    return part


def _without_seed(text: bytes, seed: int) -> bytes:
    """The settings less the line of the seed; as they are where they are not laid out as srframework writes them,
    indented by two: there, a line with four spaces is a key of the recipe itself."""
    return text.replace(b'\n    "seed": %d,' % seed, b"", 1) if text.startswith(b'{\n    "') else text


def _walk(waiting: list[str]) -> Iterator[tuple[str, memoryview | str | None]]:
    """Each run: its directory, and, until the next, what is in summary.json; None for one that is not finished.

    What cannot be read is there too, with a sentence; what vanishes meanwhile is left out.
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
    """What is in a file, at the start of the buffer or of a longer one, and how long it is."""
    file = os.open(path, _READ)  # cheaper than to look first whether it is there
    try:
        found = os.fstat(file)
        if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):  # of a directory reading says it
            raise NoFile("it is no regular file", path)
        if found.st_size > MOST:
            raise NoFile(f"it is larger than {MOST} bytes", path)
        size = os.readv(file, [buffer])
        while size == len(buffer):
            buffer = memoryview(bytearray(2 * size))
            size = os.preadv(file, [buffer], 0)
    finally:
        os.close(file)
    return buffer, size
