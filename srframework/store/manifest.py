"""An entry of the store: what it is, and the checksums by which damage to it is known.

::

    ENTRY/
      manifest.json   {"key", "kind", "what", "created", "seconds", "identity", "files": {path: {"bytes", "sha256"}},
                       "digest"}
      files/          the content

``digest`` is the SHA-256 of the rest of the manifest, as JSON with sorted keys and no spaces. A manifest with
``"format"`` in it is of another layout than this one, which says none: it is nobody's here, and is left alone.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import math
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import Any, NoReturn

from srframework.errors import NoFile
from srframework.files import parse_json, read_text, sync, write_json
from srframework.hashing import digest, sha256

NAME = "manifest.json"
FILES = "files"
SCRATCH = "checkpoints"
"""What a stage keeps in ``files/`` only while it works: this directory, and whatever begins with a dot."""


class Damaged(Exception):
    """An entry is not as it was written; the message says which file, what was expected, what is there."""


Look = tuple[int, int, int]
"""Size, time of the last change, and number of a file: it need not be read again while these are the same."""

_TICK = 50_000_000
"""Nanoseconds; within these a file may change without its time of the last change telling."""


@dataclass(frozen=True)
class Sum:
    """Size and SHA-256 of a file, as it was written."""

    bytes: int
    sha256: str

    @classmethod
    def of(cls, path: Path) -> Sum:
        """Of what is in a file now.

        Raises:
            OSError: It cannot be read.
        """
        return cls(path.stat().st_size, sha256(path))


@dataclass(frozen=True)
class Entry:
    """A whole result in the store.

    Attributes:
        key: SHA-256 of what determines it, in hexadecimal.
        kind: trained, measured, taught.
        what: What a person calls it.
        created: When it was whole.
        seconds: What it took to compute.
        identity: What the key was made of.
        path: The directory with the manifest.
        bytes: Of the content.
    """

    key: str
    kind: str
    what: str
    created: datetime
    seconds: float
    identity: Mapping[str, Any]
    path: Path
    bytes: int

    @property
    def files(self) -> Path:
        """The content's directory."""
        return self.path / FILES

    def users(self) -> list[Path]:
        """The directories of the runs that use it; see :func:`users`."""
        return users(self.path.parents[2], self.key)


def users_place(root: Path, key: str) -> Path:
    """Where a store keeps a file for each run that uses, or waits for, an entry: with the run's directory in it."""
    return root / "users" / key[:2] / key


def user_record(root: Path, key: str, run: str) -> Path:
    """The file for one run directory."""
    return users_place(root, key) / hashlib.sha256(os.fsencode(run)).hexdigest()[:16]


def users(root: Path, key: str) -> list[Path]:
    """The directories of the runs that use an entry: still there, and run.json says so, or that the run goes on.

    A record that is damaged stands for itself: of which run it is cannot be told, so that one counts as there.
    """
    found = []
    for record in users_place(root, key).glob("[!.]*"):
        try:
            run = read_text(record).removesuffix("\n")
        except FileNotFoundError:
            continue
        except (OSError, ValueError):
            found.append(record)
            continue
        if user_record(root, key, run).name != record.name:
            found.append(record)
        elif _refers(Path(run), key):
            found.append(Path(run))
    return sorted(found)


def _refers(run: Path, key: str) -> bool:
    try:
        text = read_text(run / "run.json")
        return key in text or parse_json(text).get("state") in ("waiting", "running")
    except (FileNotFoundError, NotADirectoryError, NoFile):
        return False
    except OSError:
        return True  # of somebody else: rather keep too much
    except (ValueError, AttributeError, TypeError):
        return False


def write(
    place: Path,
    key: str,
    kind: str,
    what: str,
    seconds: float,
    identity: Mapping[str, Any],
    sums: Mapping[str, Sum] | None = None,
) -> None:
    """Bring the content of ``place`` to the disk, then write its manifest; scratch is left out.

    Args:
        place: The entry's directory.
        key: Of the entry, as the next four.
        kind: See :class:`Entry`.
        what: What a person calls it.
        seconds: What it took.
        identity: What the key was made of.
        sums: Of every file of it, as it was written; None where that was not kept: of what is there now.

    Raises:
        ValueError: There is something that is neither a file nor a directory, and nobody says what was written.
    """
    files = {}
    for path in content(place / FILES):
        if _is_file(path) or _is_directory(path):
            sync(path)
        elif sums is None:
            raise ValueError(f"{path}: expected a file or a directory, got a link or a device")
        if sums is None and _is_file(path):
            files[path.relative_to(place / FILES).as_posix()] = Sum.of(path)
    sync(place / FILES)
    manifest = {
        "key": key,
        "kind": kind,
        "what": what,
        "created": datetime.now(UTC).isoformat(),
        "seconds": seconds,
        "identity": dict(identity),
        "files": {
            name: {"bytes": each.bytes, "sha256": each.sha256}
            for name, each in sorted((files if sums is None else sums).items())
        },
    }
    write_json(place / NAME, {**manifest, "digest": digest(manifest)})


def read(place: Path) -> Entry | None:
    """The entry by its manifest, its content unseen; None where there is no manifest, or one of another format.

    Raises:
        Damaged: The manifest is not what was written.
    """
    manifest = _manifest(place)
    if manifest is None or is_foreign(manifest):
        return None
    try:
        return Entry(
            key=_text(manifest["key"]),
            kind=_text(manifest["kind"]),
            what=_text(manifest["what"]),
            created=_time(manifest["created"]),
            seconds=_seconds(manifest["seconds"]),
            identity=dict(manifest["identity"].items()),
            path=place,
            bytes=sum(each.bytes for each in _sums(manifest).values()),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise Damaged(f"{place / NAME}: expected the manifest of an entry, got another JSON object") from error


def is_foreign(manifest: Mapping[str, Any]) -> bool:
    """Whether a manifest is of another format than this one."""
    return "format" in manifest


def foreign(place: Path) -> bool:
    """Whether a directory has a manifest of another format."""
    with contextlib.suppress(Damaged):
        return (manifest := _manifest(place)) is not None and is_foreign(manifest)
    return False


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _time(value: Any) -> datetime:
    time = datetime.fromisoformat(_text(value))
    return time.astimezone(UTC) if time.tzinfo is not None else time.replace(tzinfo=UTC)


def _seconds(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError
    return float(value)


def _sums(manifest: Mapping[str, Any]) -> dict[str, Sum]:
    found = {}
    for name, file in manifest["files"].items():
        if type(file["bytes"]) is not int or not 0 <= file["bytes"] < 1 << 63:
            raise TypeError
        found[_text(name)] = Sum(file["bytes"], _text(file["sha256"]))
    return found


def _manifest(place: Path) -> dict[str, Any] | None:
    path = place / NAME
    try:
        text = read_text(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except UnicodeDecodeError as error:
        raise Damaged(f"{path}: expected UTF-8, got {error.reason}") from error
    except OSError as error:
        if _is_damage(error):
            raise Damaged(f"{path}: expected a manifest, which cannot be read: {error.strerror}") from error
        raise
    try:
        manifest = parse_json(text)
        said = manifest.pop("digest")
        found = digest(manifest)
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError) as error:
        raise Damaged(f"{path}: expected a JSON object with a digest, got {len(text)} characters without") from error
    if said != found:
        raise Damaged(f"{path}: expected a content of SHA-256 {str(said)[:12]}, got {found[:12]}")
    return dict(manifest)


_checked: dict[Path, tuple[object, ...]] = {}
"""What this process found whole, and how the files looked; it need not read them again while they look so."""


def check(place: Path, key: str, again: bool = False, seen: Mapping[str, Look] | None = None) -> Entry | None:
    """The entry, its content seen to be as it was written; None where there is no manifest.

    Args:
        place: The entry's directory.
        key: Whose entry it is to be.
        again: Read the files even if this process did so before.
        seen: How files looked when this process computed their checksums; those that still look so are not read.

    Raises:
        Damaged: It is not.
    """
    entry = read(place)
    if entry is None:
        return None
    if entry.key != key:
        raise Damaged(f"{place / NAME}: expected key {key[:12]}, got {entry.key[:12]}")
    try:
        if not _is_directory(entry.files):
            raise Damaged(f"{entry.files}: expected a directory, got something else")
        paths = [place / NAME, *(path for path in content(entry.files) if not _is_directory(path))]
        looks = tuple(sorted((str(path.relative_to(place)), *look(path)) for path in paths))
        if again or _checked.get(place.absolute()) != looks:
            _checked.pop(place.absolute(), None)
            _compare(entry, seen or {})
            _checked[place.absolute()] = looks
    except FileNotFoundError as error:
        raise Damaged(f"{error.filename}: expected a file, got none") from error
    return entry


def moved(place: Path, target: Path) -> None:
    """What this process found whole has another name now."""
    if (looks := _checked.pop(place.absolute(), None)) is not None:
        _checked[target.absolute()] = looks


def _compare(entry: Entry, seen: Mapping[str, Look]) -> None:
    manifest = _manifest(entry.path)
    expected = {} if manifest is None else _sums(manifest)
    found = {path.relative_to(entry.files).as_posix(): path for path in content(entry.files)}
    found = {name: path for name, path in found.items() if not _is_directory(path)}
    for name, file in expected.items():
        if name not in found:
            raise Damaged(f"{entry.files / name}: expected a file of {file.bytes} bytes, got none")
        if seen.get(name) != look(found[name]):
            compare(found[name], file)
    if extra := sorted(found.keys() - expected.keys()):
        raise Damaged(f"{found[extra[0]]}: expected no such file, got one")


def compare(path: Path, expected: Sum) -> None:
    """See that a file is as it was written.

    Raises:
        Damaged: It is not.
        OSError: It cannot be read, which is no damage to it.
    """
    if not _is_file(path):
        raise Damaged(f"{path}: expected a file of {expected.bytes} bytes, got something else")
    if (size := path.stat().st_size) != expected.bytes:
        raise Damaged(f"{path}: expected {expected.bytes} bytes, got {size}")
    try:
        found = sha256(path)
    except OSError as error:
        if _is_damage(error):
            raise Damaged(f"{path}: expected {expected.bytes} bytes, got: {error.strerror}") from error
        raise
    if found != expected.sha256:
        raise Damaged(f"{path}: expected SHA-256 {expected.sha256[:12]}, got {found[:12]}")


def _is_damage(error: OSError) -> bool:
    """Whether what cannot be read is lost; not where this process may not, or has not the means to."""
    return isinstance(error, NoFile) or error.errno in (errno.EIO, errno.ELOOP, errno.ENXIO, errno.EISDIR)


def _is_file(path: Path) -> bool:
    return S_ISREG(path.lstat().st_mode)


def _is_directory(path: Path) -> bool:
    return S_ISDIR(path.lstat().st_mode)


def content(files: Path) -> Iterator[Path]:
    """Every file and directory under ``files`` that is no scratch, in a fixed order."""
    for folder, folders, names in os.walk(files, onerror=_raise):
        folders[:] = sorted(each for each in folders if not is_scratch(Path(folder, each), files))
        paths = (Path(folder, each) for each in sorted([*folders, *names]))
        yield from (path for path in paths if not is_scratch(path, files))


def _raise(error: OSError) -> NoReturn:
    raise error


def is_scratch(path: Path, files: Path) -> bool:
    """Whether ``path``, below ``files``, is of no use once the stage is done."""
    return path.name.startswith(".") or path == files / SCRATCH


def look(path: Path) -> Look:
    """How a file looks now."""
    stat = path.lstat()
    return stat.st_size, stat.st_mtime_ns, stat.st_ino


def is_settled(found: Look) -> bool:
    """Whether a later change of a file would show in how it looks: not where it was changed just now."""
    return time.time_ns() - found[1] > _TICK
