from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
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
    return [component("fine"), component("mine", api=1)]
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
REFERRING_DATA = """
from pydantic import Field
from srframework import StageReference

class Inner(Options):
    stages: tuple[StageReference, ...] | None = Field(None, description="Stages.")

class Refers(Options):
    inner: dict[str, Inner] = Field({}, description="Nested.")

@hookimpl
def srframework_datasets():
    return [component("mine", options=Refers)]
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

HOOKS = ", ".join(
    f"srframework_{kind}s" for kind in ("backbone", "pruner", "debiaser", "bias_model", "dataset", "evaluator")
)
HOOKS += ", srframework_launchers, srframework_register_commands"

FAILURES = {
    "raises at import": (RAISES, "RuntimeError: no luck: none at all"),
    "exits at import": (EXITS, "exits when it is imported (SystemExit: goodbye)"),
    "misspelt hook": (
        MISSPELT,
        "PluginValidationError: unknown hook 'srframework_pruner' in plugin "
        f"<module 'my_plugin' from '{{module}}'>; the hooks are {HOOKS}",
    ),
    "another API": (OTHER_API, "component 'mine' is written for API 1; this is API 2"),
    "raises in a hook": (RAISES_IN_HOOK, "LookupError: no data"),
}

MORE_FAILURES = {
    "no hook": (NO_HOOK, f"implements no hook; the hooks are {HOOKS}, marked with srframework.hookimpl"),
    "no component": (NO_COMPONENT, "srframework_pruners returned an item of type str; expected Component"),
    "no iterable": (NO_ITERABLE, "srframework_pruners returned Component; expected an iterable of Component"),
    "bad name": (
        BAD_NAME,
        "ValueError: component name: expected lower case letters and digits joined by '-', got 'My Pruner'",
    ),
    "bad needs": (BAD_NEEDS, "ValueError: component 'mine': provides: expected a list of names, got None"),
    "reference of a data set": (
        REFERRING_DATA,
        "component 'mine': an option is a StageReference; only a debiaser, a pruner or an evaluator may refer to a "
        "stage, not a dataset, which is used before the first stage",
    ),
    "one name twice": (TWICE, "registers the same name twice: pruner/mine"),
    "error without words": (UNPRINTABLE, "Odd"),
}

BUILT_IN = {
    "backbone": ["bert-base", "bert-large", "encoder", "roberta-base", "tiny"],
    "pruner": ["imp", "imp-rw", "mask", "omp", "random"],
    "debiaser": ["confreg", "focal", "group-dro", "jtt", "learned-mixin", "poe", "reweight", "std"],
    "bias": ["bias-file", "bias-logistic"],
    "dataset": ["fact-verification", "nli", "pairs", "paraphrase", "synthetic"],
    "evaluator": ["accuracy", "bias-groups", "f1", "hans", "sparsity", "worst-group"],
    "launcher": ["local", "ray", "serial"],
}


@pytest.fixture
def install(tmp_path) -> Callable[..., Path]:
    """Install a distribution, as pip would leave it: a module, and a .dist-info folder with an entry point."""
    site = tmp_path / "site"
    site.mkdir()

    def install(code: str, dist: str = "My-Plugin", metadata: str | None = None, **others: str) -> Path:
        name = dist.lower().replace("-", "_")
        modules = {"mine": name, **{entry: f"{name}_{entry}" for entry in others}}
        for entry, module in modules.items():
            (site / f"{module}.py").write_text(HEAD + others.get(entry, code))
        info = site / f"{name}-1.2.dist-info"
        info.mkdir()
        info.joinpath("entry_points.txt").write_text(
            "[srframework]\n" + "".join(f"{entry} = {module}\n" for entry, module in modules.items())
        )
        standard = f"Metadata-Version: 2.1\nName: {dist}\nVersion: 1.2\n"
        info.joinpath("METADATA").write_text(standard if metadata is None else metadata)
        return site / f"{name}.py"

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


def state(srframework, plugin: str = "mine") -> dict[str, object]:
    """What ``plugins --json`` says of one plugin."""
    done = srframework("plugins", "--json")
    assert done.returncode == 0
    (row,) = [row for row in json.loads(done.stdout) if row["plugin"] == plugin]
    return row


def warning(failure: str) -> str:
    return f"warning: plugin 'mine' of My-Plugin 1.2 failed to load: {failure}\n"


@pytest.mark.long
@pytest.mark.parametrize(("code", "failure"), FAILURES.values(), ids=FAILURES)
def test_a_broken_plugin_is_one_line_and_the_rest_works(install, srframework, code, failure):
    failure = failure.replace("{module}", str(install(code)))
    listed = srframework("list", "--json")
    assert (listed.returncode, listed.stderr) == (0, warning(failure))
    assert names(listed.stdout) == BUILT_IN
    checked = srframework("validate", "quickstart")
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "quickstart: valid\n", warning(failure))
    assert state(srframework) == {
        "plugin": "mine",
        "dist": "My-Plugin",
        "version": "1.2",
        "entry point": "my_plugin",
        "state": "failed",
        "components": 0,
        "failure": failure,
    }


@pytest.mark.parametrize(("code", "failure"), MORE_FAILURES.values(), ids=MORE_FAILURES)
def test_a_plugin_that_registers_what_is_none_of_ours_is_one_line(install, srframework, code, failure):
    install(code)
    listed = srframework("list", "--json")
    assert (listed.returncode, listed.stderr) == (0, warning(failure))
    assert names(listed.stdout) == BUILT_IN


@pytest.mark.long
@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["list"], "quiet-one"),
        (["list", "pruners", "--json"], '"name": "mask"'),
        (["show", "pruner/mask"], "pruner/mask: "),
        (["show", "dataset/quiet-one", "--toml"], 'use = "quiet-one"'),
        (["plugins"], "SystemExit: goodbye"),
        (["recipes"], "quickstart"),
        (["validate", "quickstart"], "quickstart: valid"),
        (["run", "quickstart", "--dry-run", "--full"], 'use = "srframework/mask"'),
        (["--help"], "Usage: "),
    ],
    ids=" ".join,
)
def test_with_every_kind_of_broken_plugin_at_once_each_command_works(install, srframework, args, expected):
    broken = [RAISES, EXITS, MISSPELT, OTHER_API, RAISES_IN_HOOK]
    for number, code in enumerate(broken):
        install(code, f"broken{number}")
    install("@hookimpl\ndef srframework_backbones():\n    return [component('bert-base')]\n", "taker")
    install("@hookimpl\ndef srframework_datasets():\n    return [component('quiet-one')]\n", "whole")
    done = srframework(*args)
    assert done.returncode == 0
    assert expected in done.stdout
    lines = [] if args in (["--help"], ["recipes"]) else [*(f"broken{number}" for number in range(5)), "taker"]
    assert len(done.stderr.splitlines()) == len(lines)
    assert all(dist in line for dist, line in zip(lines, done.stderr.splitlines(), strict=True))


TAKES_MASK = """
@hookimpl
def srframework_pruners():
    return [component("mask"), component("mine")]
"""


def test_a_name_that_exists_needs_its_distribution_and_everything_else_works(install, srframework):
    install(TAKES_MASK, "otherdist")
    line = "warning: pruner 'mask' is provided by more than one plugin; use one of: otherdist/mask, srframework/mask\n"
    listed = srframework("list", "--json")
    assert (listed.returncode, listed.stderr) == (0, line)
    assert names(listed.stdout) == BUILT_IN | {"pruner": sorted([*BUILT_IN["pruner"], "mask", "mine"])}
    row = state(srframework)
    assert (row["state"], row["components"], row["failure"]) == ("loaded", 2, "")

    bare = srframework("show", "pruner/mask")
    assert (bare.returncode, bare.stdout) == (2, "")
    assert bare.stderr == line + (
        "error: pruner 'mask' is provided by more than one plugin; expected one of: otherdist/mask, srframework/mask\n"
    )
    for dist, says in [("otherdist", "from: otherdist 1.2 (otherdist)"), ("srframework", "(srf_pruners)")]:
        full = srframework("show", f"pruner/{dist}/mask")
        assert (full.returncode, full.stderr) == (0, line)
        assert says in full.stdout
    assert f'use = "{dist}/mask"' in srframework("show", f"pruner/{dist}/mask", "--toml").stdout

    assert srframework("validate", "quickstart").returncode == 2
    chosen = srframework("validate", "quickstart", "--set", "stages.srnet.pruner.use=srframework/mask")
    assert (chosen.returncode, chosen.stdout) == (0, "quickstart: valid\n")


def test_two_plugins_of_one_distribution_cannot_have_one_name(install, srframework):
    install(TAKES_MASK.replace('"mask"', '"first"'), second=TAKES_MASK.replace('"mask"', '"new"'))
    row = state(srframework, "second")
    assert row["state"] == "failed"
    assert (
        row["failure"] == "another plugin of My-Plugin has a component of the same name: pruner/mine of plugin 'mine'"
    )
    assert state(srframework)["state"] == "loaded"
    assert names(srframework("list", "pruner", "--json").stdout) == {
        "pruner": sorted([*BUILT_IN["pruner"], "first", "mine"])
    }


def test_one_broken_plugin_leaves_the_others_of_its_distribution(install, srframework):
    install(RAISES, good="@hookimpl\ndef srframework_pruners():\n    return (component('good') for _ in '1')\n")
    assert state(srframework)["state"] == "failed"
    assert state(srframework, "good")["state"] == "loaded"
    assert srframework("show", "pruner/good").stdout.startswith("pruner/good: Mine.\nsource: here\n")


@pytest.mark.parametrize("metadata", ["", "Metadata-Version: 2.1\n"], ids=["empty", "no name"])
def test_a_distribution_with_damaged_metadata_is_reported_all_the_same(install, srframework, metadata):
    install(RAISES, metadata=metadata)
    done = srframework("list", "--json")
    assert (done.returncode, names(done.stdout)) == (0, BUILT_IN)
    assert done.stderr == ("warning: plugin 'mine' of unknown 0 failed to load: RuntimeError: no luck: none at all\n")


PRINTS = """
print("hello from the import")

@hookimpl
def srframework_pruners():
    print("hello from the hook")
    return [component("mine")]
"""


def test_what_a_plugin_prints_goes_to_stderr(install, srframework):
    install(PRINTS)
    done = srframework("list", "--json")
    assert names(done.stdout) == BUILT_IN | {"pruner": sorted([*BUILT_IN["pruner"], "mine"])}
    assert done.stderr == "hello from the import\nhello from the hook\n"


@pytest.mark.parametrize("name", ["mine", "My-Plugin"])
@pytest.mark.parametrize("how", ["option", "variable"])
def test_a_blocked_plugin_is_not_even_imported(install, srframework, name, how):
    install("print('imported')" + RAISES)
    args, variables = (
        (["--disable", name], {}) if how == "option" else ([], {"SRFRAMEWORK_DISABLE_PLUGINS": f"nothing {name}"})
    )
    done = srframework(*args, "plugins", "--json", **variables)
    unknown = "warning: --disable nothing: no plugin or distribution has that name\n"
    assert (done.returncode, done.stderr) == (0, unknown if how == "variable" else "")
    rows = {row["plugin"]: row for row in json.loads(done.stdout)}
    assert (rows["mine"]["state"], rows["mine"]["failure"], rows["mine"]["components"]) == ("disabled", "", 0)
    assert {row["state"] for plugin, row in rows.items() if plugin != "mine"} == {"loaded"}


def test_several_plugins_are_blocked_by_repeating_the_option(install, srframework):
    install(RAISES)
    done = srframework("--disable", "mine", "--disable", "srframework", "list", "--json")
    assert (done.returncode, done.stdout, done.stderr) == (0, "[]\n", "")


def test_a_blocked_plugins_components_are_unknown(srframework):
    done = srframework("--disable", "pruners", "validate", "quickstart")
    assert done.returncode == 2
    assert "stages.srnet.pruner.use: no pruner is named 'mask'" in done.stderr


def test_the_built_in_plugins_come_in_by_the_same_door(srframework):
    rows = json.loads(srframework("plugins", "--json").stdout)
    kinds = ("backbone", "core", "dataset", "debiaser", "evaluator", "pruner", "ray")
    places = {"core": "srframework", "ray": "srf_ray"}
    assert [row["entry point"] for row in rows] == [places.get(kind, f"srf_{kind}s") for kind in kinds]
    assert {(row["dist"], row["version"], row["state"]) for row in rows} == {
        ("srframework", version("srframework"), "loaded")
    }


@pytest.mark.long
def test_a_factory_that_is_not_where_it_should_be_ends_a_run_with_3(install, srframework, tmp_path):
    install("@hookimpl\ndef srframework_backbones():\n    return [component('ghost')]\n")
    done = srframework("run", "quickstart", "--set", "backbone={ use = 'ghost' }", "--out", str(tmp_path / "out"))
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == (
        "error: backbone 'ghost' of My-Plugin 1.2: nowhere_at_all:Mine cannot be imported: "
        "No module named 'nowhere_at_all'\n"
    )
    assert not (tmp_path / "out").exists()
