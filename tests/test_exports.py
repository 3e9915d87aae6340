from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import srframework
from srframework import testing

ROOT = Path(srframework.__file__).parents[1]
PLUGINS = sorted(path.name for path in (ROOT / "plugins").glob("srf_*"))
CORE = {
    "accelerate",
    "click",
    "datasets",
    "filelock",
    "huggingface_hub",
    "matplotlib",
    "msgspec",
    "numpy",
    "onnxruntime",
    "packaging",
    "pandas",
    "pluggy",
    "pydantic",
    "pydantic_core",
    "rich",
    "safetensors",
    "scipy",
    "srframework",
    "tomli",
    "tomli_w",
    "torch",
    "transformers",
}


def files(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def imports(path: Path) -> Iterator[tuple[str, str]]:
    """Each import of a file, wherever it stands: module, and the name taken from it or ``""``."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            yield from ((node.module or "", alias.name) for alias in node.names)


def packages(path: Path) -> set[str]:
    return {module.partition(".")[0] for module, _ in imports(path)}


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_all_is_sorted_and_says_each_name_once():
    assert srframework.__all__ == sorted(set(srframework.__all__))


def test_everything_in_all_is_there():
    for name in srframework.__all__:
        assert getattr(srframework, name) is not None


def test_everything_public_is_in_all():
    own = [
        name
        for name, value in vars(srframework).items()
        if not name.startswith("_") and getattr(value, "__module__", "").startswith("srframework.")
    ]
    assert set(own) <= set(srframework.__all__)


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'srframework' has no attribute 'Nothing'"):
        srframework.Nothing  # noqa: B018


def test_there_are_six_built_in_plugins():
    assert PLUGINS == ["srf_backbones", "srf_datasets", "srf_debiasers", "srf_evaluators", "srf_pruners", "srf_ray"]


@pytest.mark.parametrize("path", files("srframework"), ids=relative)
def test_the_core_imports_no_plugin_and_only_what_it_is_known_to_need(path):
    foreign = packages(path) - set(sys.stdlib_module_names)
    assert not {name for name in foreign if name.startswith("srf_")}
    assert foreign <= CORE | ({"pytest"} if path.parent.name == "testing" else set())


@pytest.mark.parametrize("path", files("plugins", "examples"), ids=relative)
def test_a_plugin_takes_from_the_core_only_what_is_exported(path):
    public = {"srframework": srframework.__all__}
    if path.parent.name == "tests":
        public["srframework.testing"] = testing.__all__
    for module, name in imports(path):
        if module.partition(".")[0] == "srframework":
            assert name in public[module], f"{module}.{name}"


@pytest.mark.parametrize("path", files("plugins"), ids=relative)
def test_a_plugin_takes_nothing_from_another_plugin(path):
    own = path.relative_to(ROOT / "plugins").parts[0]
    others = {"srf_datasets"} if path.name == "pretrain_tiny.py" else set()  # a script: it needs the texts of the task
    assert packages(path) & set(PLUGINS) <= {own} | others
