"""Damaged distributions on the path: one line each, and every command works."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

METADATA = b"Metadata-Version: 2.1\nName: Odd-Dist\nVersion: 3.1\n"
OTHER = b"[console_scripts]\nodd = odd:main\n"
OURS = b"[srframework]\nodd = odd_plugin\n"
PLUGIN = """\
from srframework import Component, Options, hookimpl

@hookimpl
def srframework_pruners():
    return [Component(name="odd", options=Options, factory="odd:Odd", summary="x", source="y")]
"""

DAMAGED = {
    "entry points that are no UTF-8": ({"METADATA": METADATA, "entry_points.txt": b"[x]\nodd = \xff\xfe\n"}, "entry_"),
    "entry points in UTF-16": ({"METADATA": METADATA, "entry_points.txt": OURS.decode().encode("utf-16")}, "entry_"),
    "entry points without a value": ({"METADATA": METADATA, "entry_points.txt": b"[x]\nbroken line\n"}, "'='"),
    "ours without a value": ({"METADATA": METADATA, "entry_points.txt": OURS + b"broken\n"}, "line 3"),
    "metadata that are no UTF-8": ({"METADATA": METADATA + b"Author: \xe9\n", "entry_points.txt": OTHER}, "METADATA"),
    "metadata of ours that are no UTF-8": ({"METADATA": b"Name: \xff\n", "entry_points.txt": OURS}, "METADATA"),
    "a value that is no module": ({"METADATA": METADATA, "entry_points.txt": b"[srframework]\nodd = a b:c:d\n"}, "a b"),
    "a value that is empty": ({"METADATA": METADATA, "entry_points.txt": b"[srframework]\nodd =\n"}, "names ''"),
    "a module that is not there": ({"METADATA": METADATA, "entry_points.txt": b"[srframework]\nodd = x.y\n"}, "'x'"),
    "an attribute that is not there": (
        {"METADATA": METADATA, "entry_points.txt": b"[srframework]\nodd = json:nope\n"},
        "nope",
    ),
    "a name of several lines": ({"METADATA": b"Name: Odd\n Dist\nVersion: 3\n", "entry_points.txt": b"[srframework]\nodd=x\n"}, "x"),  # noqa: E501
}  # fmt: skip
HARMLESS = {
    "nothing at all": {},
    "no metadata": {"entry_points.txt": OTHER},
    "no entry points": {"METADATA": METADATA},
    "another case": {"METADATA": METADATA, "entry_points.txt": b"[SRFramework]\nodd = odd_plugin\n"},
    "a line before any group": {"METADATA": METADATA, "entry_points.txt": b"broken\n[x]\na = b\n"},
    "an unreadable record": {"METADATA": METADATA, "RECORD": b"\xff\xfe,,\n", "top_level.txt": b"\xff\n"},
    "extras": {"METADATA": METADATA, "entry_points.txt": b"[srframework]\nodd = odd_plugin [extra1,extra2]\n"},
    "no metadata of ours": {"entry_points.txt": OURS},
}


@pytest.fixture
def site(tmp_path) -> Path:
    place = tmp_path / "site"
    place.mkdir()
    (place / "odd_plugin.py").write_text(PLUGIN)
    return place


@pytest.fixture
def srframework(site, tmp_path) -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(*args: str, code: str | None = None) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", code] if code else [Path(sys.executable).parent / "srframework", *args]
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            encoding="utf-8",
            timeout=120,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done

    return run


def install(site: Path, files: dict[str, bytes], folder: str = "odd_dist-3.1.dist-info") -> None:
    (site / folder).mkdir()
    for name, content in files.items():
        (site / folder / name).write_bytes(content)


@pytest.mark.long
@pytest.mark.parametrize(("files", "told"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_distribution_is_one_line(site, srframework, files, told):
    install(site, files)
    done = srframework("plugins", "--json")
    assert done.returncode == 0
    (line,) = done.stderr.splitlines()
    assert line.startswith("warning: plugin ")
    assert "failed to load: " in line
    assert told in line
    (row,) = [row for row in json.loads(done.stdout) if row["state"] == "failed"]
    assert row["failure"] in line


@pytest.mark.parametrize("files", HARMLESS.values(), ids=HARMLESS)
def test_what_is_merely_odd_is_not_told(site, srframework, files):
    install(site, files)
    done = srframework("list", "pruner")
    assert (done.returncode, done.stderr) == (0, "")
    works = b"[srframework]" in files.get("entry_points.txt", b"")
    assert ("odd" in done.stdout.split()) == works


def test_damage_of_other_forms_is_passed_over(site, srframework):
    (site / "a_file-1.dist-info").write_bytes(b"\xff")
    (site / ".dist-info").mkdir()
    (site / "nothing.egg-info").write_bytes(b"\xff")
    install(site, {"METADATA": METADATA, "entry_points.txt": OTHER})
    install(site, {"METADATA": METADATA, "entry_points.txt": OTHER}, "odd_dist-2.0.dist-info")
    (site / "dangling-1.dist-info").symlink_to(site / "nowhere")
    assert (srframework("list").returncode, srframework("list").stderr) == (0, "")


def test_a_fifo_is_not_waited_for(site, srframework):
    (site / "pipe-1.dist-info").mkdir()
    os.mkfifo(site / "pipe-1.dist-info" / "entry_points.txt")
    os.mkfifo(site / "pipe-1.dist-info" / "METADATA")
    done = srframework("list")
    assert done.returncode == 0
    assert [("FIFO" in line or "not a regular file" in line) for line in done.stderr.splitlines()] == [True, True]


def test_the_first_of_two_distributions_of_one_name_counts(site, srframework, tmp_path):
    install(site, {"METADATA": METADATA, "entry_points.txt": OURS})
    install(site, {"METADATA": METADATA, "entry_points.txt": OURS}, "odd_dist-2.0.dist-info")
    rows = json.loads(srframework("plugins", "--json").stdout)
    assert len([row for row in rows if row["plugin"] == "odd"]) == 1


@pytest.mark.long
def test_libraries_that_read_every_distribution_can_be_imported(site, srframework):
    for number, (files, _) in enumerate(DAMAGED.values()):
        install(site, files, f"odd{number}-1.dist-info")
    (site / ".dist-info").mkdir()
    code = "import srframework, torch, fsspec, pydantic, transformers, datasets, accelerate; print('fine')"
    done = srframework(code=code)
    assert (done.returncode, done.stdout) == (0, "fine\n"), done.stderr


BAD_MANNERS = {
    "directory": "import os\nos.chdir('/')",
    "warnings": "import warnings\nwarnings.simplefilter('error')",
    "stdout": "import sys\nsys.stdout = None",
    "exit": "import atexit\natexit.register(print, 'bye')",
    "failing exit": "import atexit\natexit.register(len, 3)",
    "thread": "import threading\nthreading.Thread(target=print, args=('from a thread',)).start()",
    "failing thread": "import threading\nthreading.Thread(target=len).start()",
    "endless thread": "import threading, time\nthreading.Thread(target=time.sleep, args=(10**6,), name='mine').start()",
    "logging": "import logging\nlogging.basicConfig(level='DEBUG')",
    "random": "import random\nrandom.seed(1)",
    "path": "import sys\nsys.path.insert(0, '/nowhere')",
}


@pytest.mark.long
@pytest.mark.parametrize("code", BAD_MANNERS.values(), ids=BAD_MANNERS)
def test_a_plugin_with_bad_manners_spoils_no_other(site, srframework, code):
    install(site, {"METADATA": METADATA, "entry_points.txt": OURS})
    (site / "odd_plugin.py").write_text(f"{code}\n{PLUGIN}")
    (site.parent / "here.toml").write_text("x = 1")
    done = srframework("list", "pruner", "--json")
    assert done.returncode == 0
    assert "odd" in [row["name"] for row in json.loads(done.stdout)]
    assert "here.toml:1: " in srframework("validate", "here.toml").stderr


HOOKS = {
    "none": ("return None", "srframework_pruners returned None"),
    "no end": ("return iter(lambda: component('odd'), 0)", "returned more than 10,000 components"),
    "in the middle": ("yield component('odd')\n    raise SystemExit(3)", "SystemExit: 3"),
    "a mapping": ("return {'odd': component('odd')}", "an item of type str"),
    "a long text": ("raise ValueError('x' * 10**6)", "ValueError: xxx"),
}


@pytest.mark.parametrize(("code", "told"), HOOKS.values(), ids=HOOKS)
def test_a_hook_that_gives_something_else_disables_its_plugin(site, srframework, code, told):
    install(site, {"METADATA": METADATA, "entry_points.txt": OURS})
    made = (
        "def component(name):\n    return Component(name=name, options=Options, factory='a:B', summary='', source='')\n"
    )
    text = PLUGIN.replace("@hookimpl", made + "\n@hookimpl").partition("    return [")[0] + f"    {code}\n"
    (site / "odd_plugin.py").write_text(text)
    done = srframework("list")
    assert done.returncode == 0
    (line,) = done.stderr.splitlines()
    assert told in line
    assert len(line) < 1000
