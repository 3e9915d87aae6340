"""What several tests of the built-in plugins start from."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def hostile(tmp_path):
    def write(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write
