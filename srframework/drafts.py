"""Drafts: what a stage has written so far, and what it took; and what is left of damaged entries.

::

    DRAFT/
      draft.json      {"kind", "what", "seconds": of the attempts that are over, "since": when the present one began}
      files/          the content
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from stat import S_ISDIR
from typing import Any

from srframework import manifest
from srframework.files import write_json
from srframework.manifest import Damaged

NAME = "draft.json"


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
    (draft / manifest.FILES).mkdir(parents=True, exist_ok=True)
    seconds = _spent(draft)
    write_json(draft / NAME, {"kind": kind, "what": what, "seconds": seconds, "since": time.time()})
    return seconds


def end(draft: Path, kind: str, what: str, seconds: float) -> None:
    """Say what it took so far; the attempt is over."""
    write_json(draft / NAME, {"kind": kind, "what": what, "seconds": seconds})


def _spent(draft: Path) -> float:
    """Seconds of all attempts; one that was killed lasted until it last wrote a file."""
    said = _said(draft)
    seconds = float(said.get("seconds", 0.0))
    if "since" in said:
        seconds += max(0.0, _changed(draft / manifest.FILES) - float(said["since"]))
    return seconds


def _said(draft: Path) -> dict[str, Any]:
    try:
        said = json.loads((draft / NAME).read_text(encoding="utf-8"))
        return {
            name: value
            for name, value in said.items()
            if isinstance(value, str if name in ("kind", "what") else (int, float))
        }
    except (OSError, ValueError, AttributeError):
        return {}


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
        changed=datetime.fromtimestamp(_changed(path), UTC),
        seconds=_spent(path) if "since" in said else float(said.get("seconds", 0.0)),
        path=path,
        bytes=sum(stat.st_size for stat in _stats(path) if not S_ISDIR(stat.st_mode)),
    )
