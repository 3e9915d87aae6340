"""The paper's recipes, on small data."""

from __future__ import annotations

import pytest
from small_data import fever, mnli, qqp


@pytest.fixture(scope="session")
def tasks(tmp_path_factory) -> dict[str, str]:
    """Variant of a paper recipe -> the override that names its small data set."""
    folder = tmp_path_factory.mktemp("tasks")
    names = {"nli": mnli, "paraphrase": qqp, "fact-verification": fever}
    for name, write in names.items():
        write(folder / name)
    return {name: f'dataset={{ use = "{name}", path = "{folder / name}" }}' for name in names}
