from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

HEAD = """\
from srframework import Component, Options, hookimpl

def component(name, **fields):
    about = {"options": Options, "factory": "nowhere_at_all:Mine", "summary": "Mine.", "source": "here"}
    return Component(name=name, **(about | fields))
"""

RAISES = """
raise RuntimeError("no luck:\\n  none at all")
"""
EXITS = """
import sys
sys.exit("goodbye")
"""
MISSPELT = """
@hookimpl
def srframework_pruner():
    return [component("mine")]
"""
OTHER_API = """
@hookimpl
def srframework_pruners():
    return [component("fine"), component("mine", api=2)]
"""
RAISES_IN_HOOK = """
@hookimpl
def srframework_pruners():
    return [component("mine")]

@hookimpl
def srframework_datasets():
    yield component("data")
    raise LookupError("no data")
"""
NO_HOOK = """
def srframework_pruners():
    return [component("mine")]
"""
NO_COMPONENT = """
@hookimpl
def srframework_pruners():
    return ["mine"]
"""
NO_ITERABLE = """
@hookimpl
def srframework_pruners():
    return component("mine")
"""
BAD_NAME = """
@hookimpl
def srframework_pruners():
    return [component("My Pruner")]
"""
BAD_NEEDS = """
@hookimpl
def srframework_debiasers():
    return [component("mine", provides=None)]
"""
TWICE = """
@hookimpl
def srframework_pruners():
    return [component("mine"), component("other"), component("mine")]
"""
UNPRINTABLE = """
class Odd(Exception):
    def __str__(self):
        raise RuntimeError

raise Odd
"""

HOOKS = ", ".join(f"srframework_{kind}s" for kind in ("backbone", "pruner", "debiaser", "dataset", "evaluator"))

FAILURES = {
    "raises at import": (RAISES, "RuntimeError: no luck: none at all"),
    "exits at import": (EXITS, "exits when it is imported (SystemExit: goodbye)"),
    "misspelt hook": (
        MISSPELT,
        "PluginValidationError: unknown hook 'srframework_pruner' in plugin "
        f"<module 'my_plugin' from '{{module}}'>; the hooks are {HOOKS}",
    ),
    "another API": (OTHER_API, "component 'mine' is written for API 2; this is API 1"),
    "raises in a hook": (RAISES_IN_HOOK, "LookupError: no data"),
    "no hook": (NO_HOOK, f"implements no hook; the hooks are {HOOKS}, marked with srframework.hookimpl"),
    "no component": (NO_COMPONENT, "srframework_pruners returned an item of type str; expected Component"),
    "no iterable": (NO_ITERABLE, "srframework_pruners returned Component; expected an iterable of Component"),
    "bad name": (
        BAD_NAME,
        "ValueError: component name: expected lower case letters and digits joined by '-', got 'My Pruner'",
    ),
    "bad needs": (BAD_NEEDS, "ValueError: component 'mine': provides: expected a list of names, got None"),
    "one name twice": (TWICE, "registers the same name twice: pruner/mine"),
    "error without words": (UNPRINTABLE, "Odd"),
}

BUILT_IN = {
    "backbone": ["bert-base", "bert-large", "encoder", "roberta-base", "tiny"],
    "pruner": ["imp", "mask"],
    "debiaser": ["bias-file", "bias-logistic", "poe", "std"],
    "dataset": ["nli", "pairs", "synthetic"],
    "evaluator": ["accuracy", "f1", "hans", "sparsity"],
}


@pytest.fixture
def install(tmp_path) -> Callable[..., Path]:
    """Install a distribution, as pip would leave it: a module, and a .dist-info folder with an entry point."""
    site = tmp_path / "site"
    site.mkdir()

    def install(code: str, dist: str = "My-Plugin", entry: str = "mine", metadata: str | None = None) -> Path:
        name = dist.lower().replace("-", "_")
        module = site / f"{name}.py"
        module.write_text(HEAD + textwrap.dedent(code))
        info = site / f"{name}-1.2.dist-info"
        info.mkdir(exist_ok=True)
        said = metadata if metadata is not None else f"Metadata-Version: 2.1\nName: {dist}\nVersion: 1.2\n"
        (info / "METADATA").write_text(said)
        with (info / "entry_points.txt").open("a") as file:
            file.write(f"[srframework]\n{entry} = {name}\n" if file.tell() == 0 else f"{entry} = {name}_{entry}\n")
        if entry != "mine":
            module.rename(site / f"{name}_{entry}.py") if (site / f"{name}.py.kept").exists() else None
        return module

    return install


@pytest.fixture
def srframework(tmp_path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command in a process of its own, which sees what is installed; it must write nothing."""
    work = tmp_path / "work"
    work.mkdir()

    def run(*args: str, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("SRFRAMEWORK_")}
        environment |= {"PYTHONPATH": str(tmp_path / "site"), "PYTHONDONTWRITEBYTECODE": "1", **variables}
        done = subprocess.run(
            [Path(sys.executable).parent / "srframework", *args],
            cwd=work,
            env=environment,
            capture_output=True,
            encoding="utf-8",
            timeout=60,
            check=False,
        )
        assert "Traceback" not in done.stderr
        assert list(work.iterdir()) == []
        return done

    return run


def names(listed: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for row in json.loads(listed):
        found.setdefault(row["kind"], []).append(row["name"])
    return found
