"""A byte of a draft that is not what was written any more, as a disk has it once in a while."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

KINDS = ("checkpoint", "point", "log", "sums", "result", "note")
"""What a flip may hit: a file of a checkpoint; of a point inside the stage; the log; the checksums; another file of the
result; what the draft says of itself."""


def flip(place: Path, chance: random.Random, kind: str | None = None) -> tuple[str, str] | None:
    """Flip one bit of one file of the drafts in ``place/store``.

    Args:
        place: Of the run.
        chance: Chooses the kind among those that are there, the file, the byte and the bit.
        kind: What to hit; None for any.

    Returns:
        What was hit, of :data:`KINDS`, and a sentence; None where there is no such thing.
    """
    found = [(each, path) for each, path in _files(place) if kind in (None, each)]
    if not found:
        return None
    hit = chance.choice(sorted({each for each, _ in found}))
    path = chance.choice([path for each, path in found if each == hit])
    content = bytearray(path.read_bytes())
    where, bit = chance.randrange(len(content)), chance.randrange(8)
    content[where] ^= 1 << bit
    with path.open("r+b") as file:  # in place, as a disk does it: whatever is linked to it has it too
        file.write(content)
    return hit, f"bit {bit} of byte {where} of {path.relative_to(place)}"


def _files(place: Path) -> Iterator[tuple[str, Path]]:
    work = place / "store" / "work"
    for path in sorted(work.rglob("*")):
        if path.is_file() and path.stat().st_size:
            inside = path.relative_to(work).parts[1:]
            yield _kind(inside), path


def _kind(inside: tuple[str, ...]) -> str:
    if inside[0] != "files":
        return "sums" if inside[0] == "sums.json" else "note"
    if inside[1] in ("checkpoints", "points"):
        return inside[1].removesuffix("s")
    return "log" if inside[1] == "metrics.jsonl" else "result"
