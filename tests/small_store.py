"""A store with one small result, and what tests of it compute."""

from __future__ import annotations

import json
from pathlib import Path

from srframework.store.manifest import Entry
from srframework.store.store import Store

KEY, OTHER = "ab" * 32, "cd" * 32
TEXT = "the weights"


def compute(draft: Path) -> None:
    """Write two files, and what is of use only on the way."""
    (draft / "model").mkdir(exist_ok=True)
    (draft / "model" / "weights").write_text(TEXT)
    (draft / "result.json").write_text("{}")
    (draft / ".tmp").write_text("x")
    (draft / "model" / ".cache").mkdir(exist_ok=True)
    (draft / "model" / ".cache" / "x").write_text("x")
    (draft / "checkpoints" / "8").mkdir(parents=True, exist_ok=True)
    (draft / "checkpoints" / "8" / "state").write_text("x")


class Notes(list):
    """Sentences for the user."""

    def __call__(self, text: str) -> None:
        self.append(text)


def obtain(store: Store, key: str = KEY, compute=compute, **more) -> tuple[Entry, bool]:
    return store.get_or_compute(key, "trained", "SRNet", {"seed": 1}, compute, **more)


def names(path: Path) -> list[str]:
    return sorted(str(each.relative_to(path)) for each in path.rglob("*") if each.is_file())


def fail(_draft: Path) -> None:
    raise AssertionError("nothing is to be computed")


def make_run(path: Path, key: str = KEY, **facts) -> Path:
    """A run directory whose run.json mentions the key."""
    path.mkdir(parents=True)
    run = {"state": "finished", "stages": {"srnet": {"trained": key}}, **facts}
    (path / "run.json").write_text(json.dumps(run))
    return path


def flip(entry: Entry) -> None:
    path = entry.files / "model" / "weights"
    data = bytearray(path.read_bytes())
    data[4] ^= 1
    path.write_bytes(data)


def interrupted(draft: Path) -> None:
    (draft / "a").write_text("x")
    raise KeyboardInterrupt
