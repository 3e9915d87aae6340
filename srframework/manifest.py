"""An entry of the store: what it is, and the checksums by which damage to it is known.

::

    ENTRY/
      manifest.json   {"key", "kind", "what", "created", "seconds", "identity", "files": {path: {"bytes", "sha256"}},
                       "digest"}
      files/          the content

``digest`` is the SHA-256 of the rest of the manifest, as JSON with sorted keys and no spaces.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from srframework.files import sync, write_json

NAME = "manifest.json"
FILES = "files"
SCRATCH = "checkpoints"
"""What a stage keeps in ``files/`` only while it works: this directory, and whatever begins with a dot."""


class Damaged(Exception):
    """An entry is not as it was written; the message says which file, what was expected, what is there."""


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


def users(root: Path, key: str) -> list[Path]:
    """The directories of the runs that use an entry: still there, and run.json says so, or that the run goes on."""
    found = []
    for record in users_place(root, key).glob("[!.]*"):
        with contextlib.suppress(OSError, ValueError):
            found.append(Path(record.read_text(encoding="utf-8").strip()))
    return sorted(run for run in found if _refers(run, key))


def _refers(run: Path, key: str) -> bool:
    try:
        text = (run / "run.json").read_text(encoding="utf-8")
        return key in text or json.loads(text).get("state") in ("waiting", "running")
    except PermissionError:
        return True  # of somebody else: rather keep too much
    except (OSError, ValueError, AttributeError):
        return False


def write(place: Path, key: str, kind: str, what: str, seconds: float, identity: Mapping[str, Any]) -> None:
    """Bring the content of ``place`` to the disk, then write its manifest; scratch is left out.

    Raises:
        ValueError: There is something that is neither a file nor a directory.
    """
    files = {}
    for path in _content(place / FILES):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise ValueError(f"{path}: expected a file or a directory, got a link or a device")
        sync(path)
        if path.is_file():
            name = path.relative_to(place / FILES).as_posix()
            files[name] = {"bytes": path.stat().st_size, "sha256": _sha256(path)}
    sync(place / FILES)
    manifest = {
        "key": key,
        "kind": kind,
        "what": what,
        "created": datetime.now(UTC).isoformat(),
        "seconds": seconds,
        "identity": dict(identity),
        "files": files,
    }
    write_json(place / NAME, {**manifest, "digest": _digest(manifest)})


def read(place: Path) -> Entry | None:
    """The entry by its manifest, its content unseen; None where there is no manifest.

    Raises:
        Damaged: The manifest is not what was written.
    """
    manifest = _manifest(place)
    if manifest is None:
        return None
    return Entry(
        key=manifest["key"],
        kind=manifest["kind"],
        what=manifest["what"],
        created=datetime.fromisoformat(manifest["created"]),
        seconds=manifest["seconds"],
        identity=manifest["identity"],
        path=place,
        bytes=sum(file["bytes"] for file in manifest["files"].values()),
    )


def _manifest(place: Path) -> dict[str, Any] | None:
    path = place / NAME
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except UnicodeDecodeError as error:
        raise Damaged(f"{path}: expected UTF-8, got {error.reason}") from error
    try:
        manifest = json.loads(text)
        said = manifest.pop("digest")
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError) as error:
        raise Damaged(f"{path}: expected a JSON object with a digest, got {len(text)} characters without") from error
    if said != (found := _digest(manifest)):
        raise Damaged(f"{path}: expected a content of SHA-256 {str(said)[:12]}, got {found[:12]}")
    return dict(manifest)


_checked: dict[Path, tuple[object, ...]] = {}
"""What this process found whole, and how the files looked; it need not read them again while they look so."""


def check(place: Path, key: str, again: bool = False) -> Entry | None:
    """The entry, its content seen to be as it was written; None where there is no manifest.

    Args:
        place: The entry's directory.
        key: Whose entry it is to be.
        again: Read the files even if this process did so before.

    Raises:
        Damaged: It is not.
    """
    entry = read(place)
    if entry is None:
        return None
    if entry.key != key:
        raise Damaged(f"{place / NAME}: expected key {key[:12]}, got {entry.key[:12]}")
    try:
        looks = tuple(sorted(_look(path) for path in (place / NAME, *_content(entry.files)) if not path.is_dir()))
        if again or _checked.get(place.absolute()) != looks:
            _checked.pop(place.absolute(), None)
            _compare(entry)
            _checked[place.absolute()] = looks
    except FileNotFoundError as error:
        raise Damaged(f"{error.filename}: expected a file, got none") from error
    return entry


def _compare(entry: Entry) -> None:
    manifest = _manifest(entry.path)
    expected = {} if manifest is None else manifest["files"]
    found = {path.relative_to(entry.files).as_posix(): path for path in _content(entry.files) if not path.is_dir()}
    for name, file in expected.items():
        path = entry.files / name
        if name not in found:
            raise Damaged(f"{path}: expected a file of {file['bytes']} bytes, got none")
        if (size := path.stat().st_size) != file["bytes"]:
            raise Damaged(f"{path}: expected {file['bytes']} bytes, got {size}")
        try:
            if (sha256 := _sha256(path)) != file["sha256"]:
                raise Damaged(f"{path}: expected SHA-256 {file['sha256'][:12]}, got {sha256[:12]}")
        except PermissionError:
            raise
        except OSError as error:
            raise Damaged(f"{path}: expected {file['bytes']} bytes, got: {error.strerror}") from error
    if extra := sorted(found.keys() - expected.keys()):
        raise Damaged(f"{found[extra[0]]}: expected no such file, got one")


def _content(files: Path) -> Iterator[Path]:
    """Every file and directory under ``files`` that is no scratch, in a fixed order."""
    for folder, folders, names in os.walk(files):
        folders[:] = sorted(each for each in folders if not is_scratch(Path(folder, each), files))
        paths = (Path(folder, each) for each in sorted([*folders, *names]))
        yield from (path for path in paths if not is_scratch(path, files))


def is_scratch(path: Path, files: Path) -> bool:
    """Whether ``path``, below ``files``, is of no use once the stage is done."""
    return path.name.startswith(".") or path == files / SCRATCH


def _look(path: Path) -> tuple[str, int, int, int]:
    stat = path.stat()
    return str(path), stat.st_size, stat.st_mtime_ns, stat.st_ino


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest(manifest: Mapping[str, Any]) -> str:
    # On its own, so that nothing but the layout of the store decides whether an old manifest is good.
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
