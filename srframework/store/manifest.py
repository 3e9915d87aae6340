"""Entries of the store: their manifests, with checksums that reveal damage.

::

    ENTRY/
      manifest.json   {"key", "kind", "what", "created", "seconds", "about", "identity",
                       "files": {path: {"bytes", "sha256"}}, "digest"}
      files/          the content

``digest`` is the SHA-256 of the rest of the manifest, as JSON with sorted keys and no spaces. A manifest with
``"format"`` is of another version of srframework, since this version writes no format. Such an entry is ignored.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from srframework.files import parse_json, read_text, sync, write_json
from srframework.hashing import digest
from srframework.store.content import (
    FILES,
    Damaged,
    Look,
    Sum,
    compare,
    content,
    is_base,
    is_damage,
    is_directory,
    is_file,
    look,
)
from srframework.store.entry_users import users

NAME = "manifest.json"


@dataclass(frozen=True)
class Entry:
    """A complete result in the store.

    Attributes:
        key: SHA-256 of ``identity``, in hexadecimal.
        kind: trained, measured, taught, pretrained.
        what: Name for messages.
        created: Time when it was completed.
        seconds: Seconds spent on computing it.
        identity: Everything that determines the result.
        path: The directory with the manifest.
        bytes: Size of the content, without the weights of other entries that it refers to.
        about: The recipe and stage for which it was first computed; for people, not part of the key.
        own: SHA-256 of its files, without these weights.
        base: SHA-256 -> size of the files with these weights. It has hard links to them.
    """

    key: str
    kind: str
    what: str
    created: datetime
    seconds: float
    identity: Mapping[str, Any]
    path: Path
    bytes: int
    about: Mapping[str, str] = field(default_factory=dict)
    own: frozenset[str] = frozenset()
    base: Mapping[str, int] = field(default_factory=dict)

    @property
    def files(self) -> Path:
        """The content's directory."""
        return self.path / FILES

    def users(self) -> list[Path]:
        """Return the directories of the runs that use the entry; see :func:`users`."""
        return users(self.path.parents[2], self.key)


def write(
    place: Path,
    key: str,
    kind: str,
    what: str,
    seconds: float,
    identity: Mapping[str, Any],
    sums: Mapping[str, Sum] | None = None,
    about: Mapping[str, str] | None = None,
) -> None:
    """Flush the content of ``place`` to the disk, then write its manifest, without scratch files.

    Args:
        place: The entry's directory.
        key: See :class:`Entry`, as for the next four.
        kind: trained, measured, taught, pretrained.
        what: Name for messages.
        seconds: Seconds spent on computing it.
        identity: Everything that determines the result.
        sums: Checksum of every file, computed when it was written; None: compute them now.
        about: See :class:`Entry`.

    Raises:
        ValueError: ``sums`` is None, and the content has something that is neither a file nor a directory.
    """
    files = {}
    for path in content(place / FILES):
        if is_file(path) or is_directory(path):
            sync(path)
        elif sums is None:
            raise ValueError(f"{path}: expected a file or a directory, got a link or a device")
        if sums is None and is_file(path):
            files[path.relative_to(place / FILES).as_posix()] = Sum.of(path)
    sync(place / FILES)
    manifest = {
        "key": key,
        "kind": kind,
        "what": what,
        "created": datetime.now(UTC).isoformat(),
        "seconds": seconds,
        "about": dict(about or {}),
        "identity": dict(identity),
        "files": {
            name: {"bytes": each.bytes, "sha256": each.sha256}
            for name, each in sorted((files if sums is None else sums).items())
        },
    }
    write_json(place / NAME, {**manifest, "digest": digest(manifest)})


def read(place: Path) -> Entry | None:
    """Read an entry from its manifest, without a check of its content; None for no manifest or another format.

    Raises:
        Damaged: The manifest was changed after it was written.
    """
    manifest = _manifest(place)
    if manifest is None or is_foreign(manifest):
        return None
    try:
        files = _sums(manifest)
        own = {name: each for name, each in files.items() if not is_base(name)}
        return Entry(
            key=_text(manifest["key"]),
            kind=_text(manifest["kind"]),
            what=_text(manifest["what"]),
            created=_time(manifest["created"]),
            seconds=_seconds(manifest["seconds"]),
            identity=dict(manifest["identity"].items()),
            path=place,
            bytes=sum(each.bytes for each in own.values()),
            about={name: _text(value) for name, value in manifest.get("about", {}).items()},
            own=frozenset(each.sha256 for each in own.values()),
            base={each.sha256: each.bytes for name, each in files.items() if name not in own},
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise Damaged(f"{place / NAME}: expected an entry's manifest, got another JSON object") from error


def is_foreign(manifest: Mapping[str, Any]) -> bool:
    """Whether a manifest is of another version of srframework."""
    return "format" in manifest


def foreign(place: Path) -> bool:
    """Whether a directory has a manifest of another version of srframework."""
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
        if is_damage(error):
            raise Damaged(f"{path}: the manifest cannot be read: {error.strerror}") from error
        raise
    try:
        manifest = parse_json(text)
        stored = manifest.pop("digest")
        found = digest(manifest)
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError) as error:
        raise Damaged(f"{path}: expected a JSON object with a digest, got {len(text)} other characters") from error
    if stored != found:
        raise Damaged(f"{path}: expected content of SHA-256 {str(stored)[:12]}, got {found[:12]}")
    return dict(manifest)


_checked: dict[Path, tuple[object, ...]] = {}
"""Entries that this process found intact, with the state of their files. Unchanged files are not read again."""


def check(place: Path, key: str, again: bool = False, seen: Mapping[str, Look] | None = None) -> Entry | None:
    """Read an entry and check its content; None for no manifest.

    Args:
        place: The entry's directory.
        key: The expected key.
        again: Read all files, even if this process read them before.
        seen: State of files when this process computed their checksums; unchanged ones are not read again.

    Raises:
        Damaged: The manifest or a file was changed, or belongs to another key.
    """
    entry = read(place)
    if entry is None:
        return None
    if entry.key != key:
        raise Damaged(f"{place / NAME}: expected key {key[:12]}, got {entry.key[:12]}")
    try:
        if not is_directory(entry.files):
            raise Damaged(f"{entry.files}: expected a directory, got something else")
        paths = [place / NAME, *(path for path in content(entry.files) if not is_directory(path))]
        looks = tuple(sorted((str(path.relative_to(place)), *look(path)) for path in paths))
        if again or _checked.get(place.absolute()) != looks:
            _checked.pop(place.absolute(), None)
            _compare(entry, seen or {})
            _checked[place.absolute()] = looks
    except FileNotFoundError as error:
        raise Damaged(f"{error.filename}: expected a file, got none") from error
    return entry


def moved(place: Path, target: Path) -> None:
    """Record that an intact entry was renamed."""
    if (looks := _checked.pop(place.absolute(), None)) is not None:
        _checked[target.absolute()] = looks


def _compare(entry: Entry, seen: Mapping[str, Look]) -> None:
    manifest = _manifest(entry.path)
    expected = {} if manifest is None else _sums(manifest)
    found = {path.relative_to(entry.files).as_posix(): path for path in content(entry.files)}
    found = {name: path for name, path in found.items() if not is_directory(path)}
    for name, file in expected.items():
        if name not in found:
            raise Damaged(f"{entry.files / name}: expected a file of {file.bytes} bytes, got none")
        if seen.get(name) != look(found[name]):
            compare(found[name], file)
    if extra := sorted(found.keys() - expected.keys()):
        raise Damaged(f"{found[extra[0]]}: unexpected file")
