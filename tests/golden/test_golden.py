"""What users have built on does not change unnoticed: the keys of their stores, and the names that they write."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

spec = importlib.util.spec_from_file_location("snapshots", Path(__file__).with_name("snapshots.py"))
snapshots = importlib.util.module_from_spec(spec)
spec.loader.exec_module(snapshots)


@pytest.mark.parametrize("name", snapshots.SNAPSHOTS)
def test_a_snapshot_is_what_it_was(name):
    """If it is meant to differ, `python tests/golden/snapshots.py` writes it anew."""
    expected = json.loads(snapshots.path(name).read_text(encoding="utf-8"))
    assert snapshots.SNAPSHOTS[name]() == expected
