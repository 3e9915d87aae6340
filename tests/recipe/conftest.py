"""A text as a recipe file: what is read from it, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest
from checked_recipe import RECIPE
from document_text import RECIPE as DOCUMENT

from srframework.errors import RecipeError
from srframework.recipe.check import load_recipe
from srframework.recipe.document import Document
from srframework.registry.discovery import discover
from srframework.registry.registry import Registry


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry(discover())


@pytest.fixture
def read(tmp_path, monkeypatch, registry):
    """Load a text as ``r.toml``, in a directory that has nothing else but a data file."""
    monkeypatch.chdir(tmp_path)

    def read(text: str = RECIPE, *overrides: str, registry: Registry = registry):
        Path("d.tsv").write_text("sentence1\tsentence2\tlabel\na\tb\tyes\n")
        Path("r.toml").write_text(text, encoding="utf-8")
        return load_recipe("r.toml", registry, overrides)

    return read


@pytest.fixture
def problems(read):
    """What is wrong with the text, a line for each problem."""

    def problems(text: str = RECIPE, *overrides: str, registry: Registry | None = None) -> list[str]:
        with pytest.raises(RecipeError) as caught:
            read(text, *overrides, **({"registry": registry} if registry else {}))
        assert str(caught.value) == "\n".join(map(str, caught.value.problems))
        return [str(problem) for problem in caught.value.problems]

    return problems


@pytest.fixture
def document(tmp_path, monkeypatch):
    """Write a file, and read it as a document whose path is plain ``r.toml``."""
    monkeypatch.chdir(tmp_path)

    def read(content: str | bytes = DOCUMENT, *overrides: str) -> Document:
        Path("r.toml").write_bytes(content if isinstance(content, bytes) else content.encode())
        return Document(Path("r.toml"), overrides)

    return read


@pytest.fixture
def refused(document):
    """What is said of a document that cannot be read, a line for each problem."""

    def read(content: str | bytes = DOCUMENT, *overrides: str) -> list[str]:
        with pytest.raises(RecipeError) as caught:
            document(content, *overrides)
        return str(caught.value).split("\n")

    return read
