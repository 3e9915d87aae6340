"""What a run left behind, as a value to compare: of each file its SHA-256, without what tells of time and place."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

_OF_THE_TIME = ("created", "seconds", "digest")
"""In a manifest."""

Leavings = Mapping[str, str]
"""Path -> content, and whether it is linked to another."""


def leavings(place: Path) -> dict[str, str]:
    """Of the run directory ``place/run`` and the store ``place/store``."""
    found = {}
    for root in (place / "run", place / "store"):
        for path in sorted(root.rglob("*")):
            name = str(path.relative_to(place))
            if path.is_dir():
                found[f"{name}/"] = ""
            elif "users" in path.parts:  # its name is a hash of where the run directory is
                said = path.read_text(encoding="utf-8").replace(str(place), "PLACE").strip()
                found[f"{path.parent.relative_to(place)}/{'.' * path.name.startswith('.')}{said}"] = ""
            elif not re.fullmatch(r"store/locks/.*|run/(\.lock|run\.log)", name):
                found[name] = _content(path, place) + (", linked" if path.stat().st_nlink > 1 else "")
    return found


def differences(expected: Leavings, got: Leavings) -> list[str]:
    """A sentence for each path that is not the same."""
    return [
        f"{path}: expected {expected.get(path, 'nothing') or 'it'}, got {got.get(path, 'nothing') or 'it'}"
        for path in sorted(expected.keys() | got.keys())
        if expected.get(path) != got.get(path)
    ]


def remains(found: Leavings) -> Iterator[str]:
    """What a finished run has no use for: drafts, damaged entries, temporary files, an entry that was replaced."""
    for path in found:
        parts = path.rstrip("/").split("/")
        of_no_use = parts[:2] in (["store", "work"], ["store", "damaged"]) and len(parts) > 2
        if of_no_use or any(each.startswith(".") or each.endswith((".old", ".gone")) for each in parts):
            yield f"{path}: expected nothing, got it"


def is_set_aside(path: str) -> bool:
    """Whether a path is of what was found to be damaged."""
    return path.startswith("store/damaged/")


def damage(place: Path) -> list[str]:
    """What a reading of the whole store finds; a sentence for each entry that is not as it was written."""
    from srframework.store.store import Store
    from srframework.store.verify import verify

    return [sentence for _, sentence in verify(Store(place / "store")).damaged]


def _content(path: Path, place: Path) -> str:
    content = path.read_bytes()
    if path.name == "run.json":
        content = content.replace(str(place).encode(), b"PLACE")
        # The digest of the inputs is that of the state of files, which is another one in each directory.
        content = re.sub(rb'"inputs": "[0-9a-f]+"', b'"inputs": "DIGEST"', content)
    if path.name == "manifest.json" and "store" in path.parts:
        manifest = json.loads(content)
        content = json.dumps({k: v for k, v in manifest.items() if k not in _OF_THE_TIME}, sort_keys=True).encode()
    return hashlib.sha256(content).hexdigest()
