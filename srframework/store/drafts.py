"""Drafts: what a stage has written so far, and what it took; and what is left of damaged entries.

::

    DRAFT/
      draft.json      {"kind", "what", "seconds": of the attempts that are over, "since": when the present one began}
      sums.json       {"files": {path: {"bytes", "sha256"}}, "digest"}, of the content as it was written
      files/          the content
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import Any

from srframework.errors import NoFile
from srframework.files import atomic_directory, atomic_file, read_json, remove, write_json
from srframework.hashing import digest
from srframework.store import content, manifest
from srframework.store.content import Damaged, Look, Sum

NAME = "draft.json"
SUMS = "sums.json"
POINTS = "points"
"""A directory in a draft whose directories are good or bad each by itself."""


class Sums:
    """Of all that is written into a draft, size and SHA-256: taken as it is written, kept beside the files.

    What a process that was killed left there counts only as far as it still is what that process wrote: a
    damaged file goes, with all that it belongs to, and so does whatever is unknown.

    Args:
        files: The directory of the content.
        note: Told of what is damaged.
        leave: Names of files that are written bit by bit, which :meth:`add` tells of at the end.
    """

    def __init__(self, files: Path, note: Callable[[str], None] = lambda _: None, leave: Collection[str] = ()) -> None:
        self._files, self._leave = files, leave
        self._sums = self._read(note)
        self._seen: dict[str, Look] = {}
        kept = dict(self._sums)
        for name, expected in self._sums.items():
            try:
                self._see(name, files / name)
                content.compare(files / name, expected)
            except (FileNotFoundError, NotADirectoryError):  # the process died before it had its name
                kept.pop(name, None)
            except Damaged as damage:
                note(f"draft {damage}; it is removed, and computed again")
                kept.pop(name, None)
        whole = {_unit(name) for name in self._sums} - {_unit(name) for name in self._sums.keys() - kept.keys()}
        self._sums = {name: each for name, each in kept.items() if _unit(name) in whole}
        self._clear()
        self._write()

    def __iter__(self) -> Iterator[str]:
        return iter(self._sums)

    def all(self) -> dict[str, Sum]:
        """Path below the content's directory -> what was written there."""
        return dict(self._sums)

    @property
    def seen(self) -> dict[str, Look]:
        """How the files looked when their checksums were computed, by their path below the content's directory."""
        return dict(self._seen)

    def file(self, path: Path) -> AbstractContextManager[Path]:
        """As :func:`srframework.files.atomic_file`; the file is known from then on."""
        path.parent.mkdir(parents=True, exist_ok=True)
        return atomic_file(path, lambda temporary: self._know({path: temporary}))

    def directory(self, path: Path) -> AbstractContextManager[Path]:
        """As :func:`srframework.files.atomic_directory`, in the place of an older one; its files are known from then
        on."""
        path.parent.mkdir(parents=True, exist_ok=True)
        remove(path)

        def written(temporary: Path) -> None:
            every = [Path(folder, name) for folder, _, names in os.walk(temporary) for name in names]
            self._know({path / each.relative_to(temporary): each for each in every})

        return atomic_directory(path, written)

    def add(self, path: Path, content: Sum) -> None:
        """Know a file that was written in another way."""
        self._sums[self._name(path)] = content
        self._write()

    def _know(self, files: dict[Path, Path]) -> None:
        for path, temporary in files.items():
            self._see(self._name(path), temporary)
            self._sums[self._name(path)] = Sum.of(temporary)
        self._write()

    def _see(self, name: str, path: Path) -> None:
        self._seen.pop(name, None)
        if content.is_settled(found := content.look(path)):
            self._seen[name] = found

    def _name(self, path: Path) -> str:
        return path.relative_to(self._files).as_posix()

    def _read(self, note: Callable[[str], None]) -> dict[str, Sum]:
        path = self._files.parent / SUMS
        try:
            said = read_json(path)
            if said["digest"] != digest(said["files"]):
                raise ValueError("its digest is another")
            return {name: Sum(**each) for name, each in said["files"].items()}
        except FileNotFoundError:
            return {}
        except (NoFile, ValueError, TypeError, KeyError, AttributeError) as error:
            note(f"draft {path}: expected the checksums that were written, got {error}; all is computed again")
            return {}

    def _write(self) -> None:
        path = self._files.parent / SUMS
        if path.is_dir():
            remove(path)
        files = {name: asdict(each) for name, each in sorted(self._sums.items())}
        write_json(path, {"files": files, "digest": digest(files)})

    def _clear(self) -> None:
        """Remove every file that has no checksum."""
        for path in [*content.content(self._files)]:
            name = self._name(path)
            if not S_ISDIR(path.lstat().st_mode) and name not in self._sums and name not in self._leave:
                path.unlink()
        for folder, _, _ in os.walk(self._files, topdown=False):
            if Path(folder) != self._files and not content.is_scratch(Path(folder), self._files):
                with contextlib.suppress(OSError):  # there is something in it
                    os.rmdir(folder)


def emptied(files: Path) -> Sums:
    """For what is computed from its beginning: whatever an earlier attempt left is removed."""
    for left in files.iterdir():
        remove(left)
    return Sums(files)


def _unit(name: str) -> tuple[str, ...]:
    """The files that are useless without this one: those of its point, or of the model."""
    parts = tuple(name.split("/"))
    return parts[:2] if parts[0] == POINTS else parts[:1]


_LAST = 253402300799.0
"""The end of the year 9999, in seconds since 1970."""

_EVER = 1e11
"""Seconds that nothing lasts, and that no clock shows."""


@dataclass(frozen=True)
class Remains:
    """A draft, or what was set aside because it is damaged.

    Attributes:
        key: Of what it is, or was to be.
        kind, what: As of an entry; empty where that cannot be told.
        changed: When anything in it was last written.
        seconds: What it took to compute so far.
        path: Its directory.
        bytes: Of its files.
    """

    key: str
    kind: str
    what: str
    changed: datetime
    seconds: float
    path: Path
    bytes: int


def begin(draft: Path, kind: str, what: str) -> float:
    """Make the draft, or take it up; what it took so far, in seconds."""
    _put_right(draft)
    (draft / content.FILES).mkdir(parents=True, exist_ok=True)
    seconds = _spent(draft)
    write_json(draft / NAME, {"kind": kind, "what": what, "seconds": seconds, "since": time.time()})
    return seconds


def _put_right(draft: Path) -> None:
    """Remove what no process of ours puts into a draft: files in the place of directories, links, pipes, devices."""
    for path, kind in ((draft, S_ISDIR), (draft / content.FILES, S_ISDIR), (draft / NAME, S_ISREG)):
        with contextlib.suppress(FileNotFoundError):
            if not kind(path.lstat().st_mode):
                remove(path)
    scratch = draft / content.FILES / content.SCRATCH
    for folder, folders, names in os.walk(draft):
        for name in (*folders, *names):
            path = Path(folder, name)
            mode = path.lstat().st_mode
            if not (S_ISDIR(mode) or (S_ISREG(mode) and path != scratch)):
                remove(path)


def end(draft: Path, kind: str, what: str, seconds: float) -> None:
    """Say what it took so far; the attempt is over."""
    write_json(draft / NAME, {"kind": kind, "what": what, "seconds": seconds})


def _spent(draft: Path) -> float:
    """Seconds of all attempts; one that was killed lasted until it last wrote a file."""
    said = _said(draft)
    seconds = float(said.get("seconds", 0.0))
    if "since" in said:
        seconds += max(0.0, _changed(draft / content.FILES) - float(said["since"]))
    return seconds


def _said(draft: Path) -> dict[str, Any]:
    try:
        said = read_json(draft / NAME)
        texts = {name: said[name] for name in ("kind", "what") if isinstance(said.get(name), str)}
        numbers = {name: float(said[name]) for name in ("seconds", "since") if _is_number(said.get(name))}
        return {**texts, **numbers}
    except (OSError, ValueError, AttributeError):
        return {}


def _is_number(value: Any) -> bool:
    """Whether it may be a number of seconds."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _EVER


def _changed(path: Path) -> float:
    """When anything in a directory was last written, in seconds since 1970."""
    return max((stat.st_mtime for stat in _stats(path)), default=0.0)


def _stats(path: Path) -> Iterator[os.stat_result]:
    for folder, _, names in os.walk(path):
        for each in (folder, *(os.path.join(folder, name) for name in names)):
            with contextlib.suppress(OSError):  # a process may be working there
                yield os.lstat(each)


def remains(path: Path, key: str) -> Remains:
    """What a directory is of which nothing need be whole."""
    said = _said(path)
    with contextlib.suppress(Damaged):
        entry = manifest.read(path)
        said = {"kind": entry.kind, "what": entry.what, "seconds": entry.seconds} if entry is not None else said
    return Remains(
        key=key,
        kind=said.get("kind", ""),
        what=said.get("what", ""),
        changed=datetime.fromtimestamp(max(0.0, min(_changed(path), _LAST)), UTC),
        seconds=_spent(path) if "since" in said else float(said.get("seconds", 0.0)),
        path=path,
        bytes=sum(stat.st_size for stat in _stats(path) if not S_ISDIR(stat.st_mode)),
    )
