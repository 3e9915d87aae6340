"""Metadata of installed distributions. In this process, every library sees a damaged file as absent.

pydantic, torch and fsspec read the entry points of *every* installed distribution when they are imported, and fail if
one cannot be read. Without :func:`tolerate`, which runs when this module is imported, one damaged distribution would
break every command.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from importlib.metadata import Distribution, EntryPoint, EntryPoints, PathDistribution, distributions
from typing import Any

ENTRY_POINTS, METADATA = "entry_points.txt", "METADATA"

_FILES = (ENTRY_POINTS, METADATA, "PKG-INFO", "RECORD", "top_level.txt")
"""The files that libraries read from every distribution."""

DAMAGED: dict[tuple[str, str], str] = {}
"""(Directory of the metadata, file) -> the damage, as the end of a sentence; only for files that were read."""


def tolerate() -> None:
    """Make :mod:`importlib.metadata` skip damaged files, and record them in :data:`DAMAGED`."""
    if PathDistribution.read_text is not _read_text:
        PathDistribution.read_text = _read_text  # type: ignore[method-assign, assignment]  # replaced on purpose
        setattr(PathDistribution, "_normalized_name", property(_normalized_name))  # noqa: B010 -- it is private


_strict = PathDistribution.read_text
_strict_name: Any = getattr(PathDistribution, "_normalized_name")  # noqa: B009 -- it is private


def _normalized_name(self: PathDistribution) -> str:
    try:
        return str(_strict_name.fget(self))
    except TypeError:  # a folder without a name, and no metadata in it
        return os.path.basename(str(_path(self)))


def _read_text(self: PathDistribution, filename: str) -> str | None:
    if filename not in _FILES:
        return _strict(self, filename)
    place = str(_path(self))
    try:
        mode = os.stat(os.path.join(place, filename)).st_mode
        if not stat.S_ISREG(mode) and not (filename in ("PKG-INFO", METADATA) and stat.S_ISDIR(mode)):
            DAMAGED[place, filename] = "is not a regular file"  # reading a FIFO would block
            return None
    except (OSError, ValueError):
        pass  # absent, or inside an archive: the call below handles both
    try:
        text = _strict(self, filename)
        if filename == ENTRY_POINTS and text is not None:
            _check_lines(text)
    except UnicodeDecodeError as error:
        DAMAGED[place, filename] = f"is not UTF-8 text (byte 0x{error.object[error.start]:02x} at {error.start})"
    except _Malformed as error:
        DAMAGED[place, filename] = str(error)
    except OSError as error:
        DAMAGED[place, filename] = f"cannot be read: {error.strerror or error}"
    else:
        return text
    return None


class _Malformed(Exception):
    """Entry points that the standard library cannot parse."""


def _check_lines(text: str) -> None:
    inside = False
    for number, line in enumerate(map(str.strip, text.splitlines()), 1):
        if line.startswith("[") and line.endswith("]"):
            inside = True
        elif line and not line.startswith("#") and inside and "=" not in line:
            raise _Malformed(f"has no '=' in line {number}: {line[:60]!r}")


def _path(dist: Distribution) -> Any:
    return getattr(dist, "_path", "")


def described(dist: Distribution) -> tuple[str, str]:
    """Return name and version of a distribution, from its METADATA; otherwise ``unknown`` and ``0``."""
    metadata: Any = dist.metadata
    return _line(metadata.get("Name")) or "unknown", _line(metadata.get("Version")) or "0"


def named_by_folder(place: str) -> tuple[str, str]:
    """Return name and version from the name of the folder, ``foo-1.0.dist-info``; for damaged metadata."""
    name, _, version = os.path.splitext(os.path.basename(place))[0].partition("-")
    return _line(name) or "unknown", _line(version) or "0"


def _line(value: object) -> str:
    return " ".join(str(value or "").split())[:100]


def entry_points_of(group: str) -> Iterator[EntryPoint]:
    """Yield the entry points of a group in all installed distributions; a name counts once, as first on the path.

    Also reads every METADATA, so that :data:`DAMAGED` is complete afterwards.
    """
    seen = set()
    for dist in distributions():
        name = getattr(dist, "_normalized_name", None) or described(dist)[0]
        if name in seen:
            continue
        seen.add(name)
        place = str(_path(dist))
        text = dist.read_text(ENTRY_POINTS) or ""
        dist.read_text(METADATA)
        if group in text and (place, METADATA) not in DAMAGED:
            points: EntryPoints = dist.entry_points
            yield from points.select(group=group)


tolerate()
