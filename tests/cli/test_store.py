"""`srframework store`: what is kept, whether it is whole, what may go."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from srframework.cli.quantities import size_text, time_text
from srframework.store.store import Store

KEY, OTHER = "ab" * 32, "cd" * 32


@pytest.fixture
def home(tmp_path) -> Path:
    """A directory with a store in its usual place: 4000 bytes that a run uses, 1500 that none does."""
    store = Store(tmp_path / "runs" / ".store")
    of = ((KEY, "trained", 4000, {"seed": 7}), (OTHER, "measured", 1500, {"trained": KEY}))
    for key, kind, size, identity in of:
        store.get_or_compute(key, kind, "SRNet", identity, lambda draft, size=size: _write(draft, size))
    run = tmp_path / "runs" / "a"
    run.mkdir()
    (run / "run.json").write_text(json.dumps({"state": "finished", "stages": {"srnet": {"trained": KEY}}}))
    store.use(KEY, run)
    return tmp_path


def _write(draft: Path, size: int) -> None:
    (draft / "a").write_bytes(bytes(size))


def _damage(home: Path, key: str = OTHER) -> Path:
    path = home / "runs" / ".store" / "entries" / key[:2] / key / "files" / "a"
    path.write_bytes(b"short")
    return path


def test_list_says_what_there_is_who_uses_it_and_how_much_it_is(perform, home):
    done = perform("store", "list", cwd=home)
    assert (done.code, done.err) == (0, "")
    assert re.fullmatch(
        r"""abababababab  trained  SRNet  seed 7
    4\.0 KB, [\d.]+ s old, computed in [\d.]+ s
    runs/a
cdcdcdcdcdcd  measured  SRNet  seed 7
    1\.5 KB, [\d.]+ s old, computed in [\d.]+ s
runs/\.store: 2 entries, 5\.5 KB, computed in [\d.]+ s
""",
        done.out,
    )


def test_list_has_recipe_and_stage_and_the_settings_that_tell_entries_apart(perform, tmp_path):
    store = Store(tmp_path / "runs" / ".store")
    about = {"recipe": "quickstart", "stage": "srnet"}
    for number, (sparsity, rate) in enumerate([(0.5, 1e-3), (0.7, 1e-3), (0.7, 2e-3)]):
        pruner = {"use": "srframework/mask", "options": {"sparsity": sparsity, "phi": 0.01}}
        identity = {"seed": 1, "pruner": pruner, "training": {"learning_rate": rate}, "code": f"{number}" * 64}
        store.get_or_compute(
            f"{number}" * 64, "trained", "SRNet", identity, lambda draft: _write(draft, 1), about=about
        )
    out = perform("store", "list", cwd=tmp_path).out
    assert out.count("  trained  quickstart: srnet  SRNet  seed 1\n") == 3
    facts = re.findall(r"^    (.*), 1 B, ", out, re.MULTILINE)
    assert facts == [
        "sparsity 0.5, learning_rate 0.001",
        "sparsity 0.7, learning_rate 0.001",
        "sparsity 0.7, learning_rate 0.002",
    ]
    row = json.loads(perform("store", "list", "--json", cwd=tmp_path).out)[0]
    assert (row["recipe"], row["stage"]) == ("quickstart", "srnet")
    assert row["settings"] == {"sparsity": "0.5", "learning_rate": "0.001"}


def test_entries_that_differ_in_hashes_alone_show_them(perform, tmp_path):
    store = Store(tmp_path / "runs" / ".store")
    for letter in "ab":
        identity = {"seed": 1, "works_on": {"train": [letter * 64]}}
        store.get_or_compute(letter * 64, "trained", "SRNet", identity, lambda draft: _write(draft, 1))
    out = perform("store", "list", cwd=tmp_path).out
    assert "train ['aaaaaaaaaaaa']" in out
    assert "train ['bbbbbbbbbbbb']" in out


def test_list_json_has_everything(perform, home):
    _damage(home)
    assert perform("store", "verify", cwd=home).code == 1
    rows = json.loads(perform("store", "list", "--json", cwd=home).out)
    assert [(row["state"], row["key"], row["kind"], row["what"], row["seed"], row["runs"]) for row in rows] == [
        ("entry", KEY, "trained", "SRNet", 7, [str(home / "runs" / "a")]),
        ("damaged", OTHER, "measured", "SRNet", None, []),
    ]
    assert rows[0]["bytes"] == 4000


def test_a_run_elsewhere_has_its_whole_path_and_a_key_of_no_seed_has_none(perform, home, tmp_path_factory):
    store = Store(home / "runs" / ".store")
    taught = {"ef" * 32: {"teacher": [KEY, "10"]}, "01" * 32: {"teacher": [None, None]}, "23" * 32: {"teacher": ["x"]}}
    for key, identity in taught.items():
        store.get_or_compute(key, "taught", "log p_t", identity, lambda draft: _write(draft, 1))
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    done = perform("store", "list", "--store", str(store.root), cwd=elsewhere)
    assert f"    {home / 'runs' / 'a'}\n" in done.out
    rows = json.loads(perform("store", "list", "--json", cwd=home).out)
    assert {row["key"][:2]: row["seed"] for row in rows} == {"ab": 7, "cd": 7, "ef": 7, "01": None, "23": None}


@pytest.mark.parametrize("arguments", [["--store", "elsewhere"], []])
def test_an_empty_store_is_said_to_be(perform, tmp_path, monkeypatch, arguments):
    monkeypatch.setenv("SRFRAMEWORK_STORE", "elsewhere")
    (tmp_path / "elsewhere").mkdir()
    assert perform("store", "list", *arguments, cwd=tmp_path).out == "elsewhere: empty\n"
    assert perform("store", "list", "--json", *arguments, cwd=tmp_path).out == "[]\n"


def test_verify_says_that_all_is_whole(perform, home):
    done = perform("store", "verify", cwd=home)
    assert (done.code, done.out, done.err) == (0, "runs/.store: 2 entries are intact, 0 damaged\n", "")


def test_verify_sets_damaged_ones_aside_and_fails(perform, home):
    path = _damage(home)
    done = perform("store", "verify", cwd=home)
    assert (done.code, done.out) == (1, "runs/.store: 1 entry is intact, 1 damaged\n")
    said = f"warning: store runs/.store: {path.relative_to(home)}: expected 1500 bytes, got 5; it is set aside as "
    assert done.err.startswith(said)
    assert not path.exists()
    assert perform("store", "verify", cwd=home).code == 0


def test_verify_json(perform, home):
    _damage(home)
    done = perform("store", "verify", "--json", cwd=home)
    assert done.code == 1
    said = json.loads(done.out)
    assert said["intact"] == [KEY]
    [damaged] = said["damaged"]
    assert damaged["key"] == OTHER
    assert damaged["error"].endswith("files/a: expected 1500 bytes, got 5")


def test_gc_removes_what_no_run_uses_and_says_what_it_kept_because_of_whom(perform, home):
    would = perform("store", "gc", "--max-size", "0KB", "--dry-run", cwd=home)
    assert would.out.splitlines() == [
        "would remove cdcdcdcdcdcd measured SRNet (1.5 KB), for its size",
        "kept 1 entry (4.0 KB): in use by 1 run; --json lists them",
        "runs/.store: 1 entry would be removed (1.5 KB); 4.0 KB left in the store",
    ]
    assert would.err == "4.0 KB is more than 0KB: the rest is in use\n"
    done = perform("store", "gc", "--max-size", "0KB", cwd=home)
    assert done.code == 0
    assert done.out.startswith("removed cdcdcdcdcdcd measured SRNet (1.5 KB), for its size\n")
    store = Store(home / "runs" / ".store")
    assert [entry.key for entry in store.entries()] == [KEY]
    shutil.rmtree(home / "runs" / "a")
    said = json.loads(perform("store", "gc", "--older-than", "0s", "--json", cwd=home).out)
    assert [(item["key"], item["state"], item["why"], item["bytes"]) for item in said["removed"]] == [
        (KEY, "entry", "age", 4000)
    ]
    assert (said["kept"], said["bytes"], said["dry_run"]) == ([], 0, False)
    assert list(store.entries()) == []


def test_what_gc_kept_is_summed_up_and_each_is_in_the_json(perform, home):
    store, runs = Store(home / "runs" / ".store"), [home / "runs" / name for name in "ab"]
    runs[1].mkdir()
    (runs[1] / "run.json").write_text(json.dumps({"state": "finished", "stages": {"srnet": [KEY, OTHER]}}))
    for key in (KEY, OTHER):
        store.use(key, runs[1])
    draft = "ef" * 32
    (store.root / "work" / draft / "files").mkdir(parents=True)
    with store.lock(draft):
        done = perform("store", "gc", "--older-than", "0s", cwd=home)
        said = json.loads(perform("store", "gc", "--older-than", "0s", "--json", cwd=home).out)
    assert done.out.splitlines() == [
        "kept 2 entries (5.5 KB): in use by 2 runs; --json lists them",
        "kept 1 entry (0 B): in use by another process; --json lists them",
        "runs/.store: 0 entries removed (0 B); 5.5 KB left in the store",
    ]
    assert {item["key"]: (item["runs"], item["why"]) for item in said["kept"]} == {
        KEY: ([str(run) for run in runs], f"used by {runs[0]}, {runs[1]}"),
        OTHER: ([str(runs[1])], f"used by {runs[1]}"),
        draft: ([], "another process is computing it"),
    }


@pytest.mark.parametrize(
    ("option", "value", "left"),
    [
        ("--older-than", "30d", 2),
        ("--older-than", "12 h", 2),
        ("--older-than", "0.5min", 2),
        ("--older-than", "0w", 1),
        ("--max-size", "5500B", 2),
        ("--max-size", "5.5kb", 2),
        ("--max-size", "20GB", 2),
        ("--max-size", "5KiB", 1),
        ("--max-size", "0.001 MB", 1),
    ],
)
def test_ages_and_sizes_have_units(perform, home, option, value, left):
    assert perform("store", "gc", option, value, cwd=home).code == 0
    assert len(list(Store(home / "runs" / ".store").entries())) == left


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "expected --older-than AGE, --max-size SIZE or both, got neither"),
        (["--older-than", "30"], "--older-than: expected a number and one of s, min, h, d, w, y, like 30d, got '30'"),
        (["--older-than", "mins"], "like 30d, got 'mins'"),
        (["--older-than", "5mins"], "like 30d, got '5mins'; did you mean '5min'?"),
        (["--older-than", "-1d"], "like 30d, got '-1d'"),
        (["--max-size", "20"], "TiB, like 20GB, got '20'"),
        (["--max-size", "20GiBs"], "got '20GiBs'; did you mean '20GiB'?"),
        (["--max-size", "nanGB"], "got 'nanGB'"),
        (["--older-than", "9" * 400 + "d"], "--older-than: expected a number"),
    ],
)
def test_what_gc_cannot_take_is_said_and_nothing_is_removed(perform, home, arguments, said):
    done = perform("store", "gc", *arguments, cwd=home)
    assert done.code == 2
    assert done.out == ""
    assert said in done.err
    assert len(list(Store(home / "runs" / ".store").entries())) == 2


def test_in_a_store_that_is_not_there_nothing_is_kept_yet(call):
    done = call("store", "list", "--store", "gone")
    assert (done.code, done.out, done.err) == (0, "gone: this store does not exist yet\n", "")
    assert call("store", "list", "--json", "--store", "gone").out == "[]\n"


@pytest.mark.parametrize("command", [["list"], ["verify"], ["gc", "--older-than", "0s"]])
def test_a_directory_that_is_no_store_is_bad_usage_and_nothing_in_it_is_touched(call, work, command):
    place = work / "project" / "work" / ("ab" * 32)
    place.mkdir(parents=True)
    (place / "thesis.tex").write_text("x")
    done = call("store", *command, "--store", "project")
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        "error: store project: expected a store, with entries/ and locks/, got a directory without; "
        "name another with --store or $SRFRAMEWORK_STORE\n"
    )
    assert (place / "thesis.tex").exists()


@pytest.mark.parametrize("command", [["verify"], ["gc", "--older-than", "1d"]])
def test_a_store_that_is_not_there_is_bad_usage_and_is_not_made(call, command):
    done = call("store", *command, "--store", "gone")
    assert (done.code, done.out) == (2, "")
    assert done.err == "error: store gone: no such directory; choose another store with --store or $SRFRAMEWORK_STORE\n"


def test_a_file_in_the_place_of_a_store_is_bad_usage(call, work):
    (work / "file").touch()
    done = call("store", "list", "--store", "file")
    assert done.code == 2
    assert "file" in done.err


def test_the_group_says_what_it_can_do(start):
    done = start("store", "--help")
    assert done.code == 0
    assert {"list", "verify", "gc"} <= set(re.findall(r"^  (\w+) ", done.out, re.MULTILINE))


def test_listing_imports_nothing_that_takes_long(home):
    code = (
        "import sys\nfrom srframework.cli import cli\n"
        "cli.main(['store', 'list'], standalone_mode=False)\n"
        "print(sorted({'torch', 'numpy', 'datasets', 'transformers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=home, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 KB"), (1_500_000, "1.5 MB"), (2 * 10**10, "20.0 GB"), (10**12, "1.0 TB")],
)
def test_a_size_as_a_person_says_it(count, text):
    assert size_text(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "0.0 s"), (0.25, "0.2 s"), (59.9, "59.9 s"), (60, "1.0 min"), (5400, "1.5 h"), (86400 * 40, "40.0 d")],
)
def test_a_time_as_a_person_says_it(seconds, text):
    assert time_text(seconds) == text
