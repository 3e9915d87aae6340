"""Plain language: no shipped text uses a word for which a standard one exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

TEXTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    ROOT / "docs",
    ROOT / "plugins",
    ROOT / "recipes",
    ROOT / "srframework",
]
"""Files, and directories in which every text counts."""

ENDINGS = {".md", ".py", ".toml"}

AVOIDED = {
    r"said": "says, states, specified",
    r"told": "reports, given",
    r"taken": "used, read, reused",
    r"whole": "complete, all",
    r"held": "kept, stored",
    r"likewise": "also",
    r"to be had": "available, found",
    r"for want of": "because there is no",
    r"(?:go|goes|going|went) on": "continue, resume",
    r"seen from": "relative to",
    r"what it is of": "name it",
    r"of which": "whose, from which",
}
"""Word to avoid, as a regular expression -> standard words."""


def files() -> list[Path]:
    found: list[Path] = []
    for text in TEXTS:
        found += sorted(each for each in text.rglob("*") if each.suffix in ENDINGS) if text.is_dir() else [text]
    return found


@pytest.mark.parametrize("file", files(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_text_uses_standard_words(file):
    text = file.read_text(encoding="utf-8")
    found = [
        f"{file.relative_to(ROOT)}:{text.count(chr(10), 0, match.start()) + 1}: {match[0]!r}; write: {better}"
        for word, better in AVOIDED.items()
        for match in re.finditer(rf"\b{word}\b".replace(" ", r"\s+"), text, re.IGNORECASE)
    ]
    assert not found, "\n".join(found)
