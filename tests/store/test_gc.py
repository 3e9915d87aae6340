"""Garbage collection in the store."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from small_store import KEY, OTHER, flip, interrupted, make_run, obtain

from srframework.store import manifest
from srframework.store.gc import collect_garbage
from srframework.store.store import Store


@pytest.fixture
def aged(store) -> Store:
    """Entries of 1000, 2000 and 3000 bytes, made 3, 2 and 1 days ago."""
    for number in (1, 2, 3):
        draft = store.root / "work" / (f"{number}" * 64)
        (draft / "files").mkdir(parents=True)
        (draft / "files" / "a").write_bytes(bytes(1000 * number))
        manifest.write(draft, f"{number}" * 64, "trained", f"stage {number}", 1.0, {})
        said = json.loads((draft / "manifest.json").read_text())
        del said["digest"]
        said["created"] = (datetime.now(UTC) - timedelta(days=4 - number)).isoformat()
        said["digest"] = manifest.digest(said)
        (draft / "manifest.json").write_text(json.dumps(said))
        store.recover(f"{number}" * 64)
    return store


DAY = 86400.0


@pytest.mark.parametrize(
    ("older_than", "max_bytes", "left"),
    [
        (2.5 * DAY, None, "23"),
        (1.5 * DAY, None, "3"),
        (0, None, ""),
        (10 * DAY, None, "123"),
        (None, 6000, "123"),
        (None, 5999, "23"),
        (None, 4999, "3"),
        (None, 0, ""),
        (2.5 * DAY, 3000, "3"),
    ],
)
def test_the_oldest_goes_first(aged, older_than, max_bytes, left):
    would = collect_garbage(aged, older_than, max_bytes, dry_run=True)
    assert len(list(aged.entries())) == 3
    done = collect_garbage(aged, older_than, max_bytes)
    assert "".join(entry.key[0] for entry in aged.entries()) == left
    assert "".join(item.key[0] for item in done.removed) == "123".removesuffix(left)
    assert done.bytes == sum(1000 * int(number) for number in left)
    assert (would.removed, would.kept, would.bytes) == (done.removed, done.kept, done.bytes)


def test_what_a_run_refers_to_stays_until_the_run_is_removed(aged, tmp_path):
    run = make_run(tmp_path / "run", "1" * 64)
    aged.use(next(aged.entries()).key, run)
    done = collect_garbage(aged, max_bytes=3000)
    assert [item.key[0] for item in done.removed] == ["2", "3"]
    assert [(item.key[0], item.why) for item in done.kept] == [("1", f"used by {run}")]
    (run / "run.json").unlink()
    assert [item.key[0] for item in collect_garbage(aged, max_bytes=0).removed] == ["1"]


@pytest.mark.parametrize("dry_run", [True, False])
def test_what_a_process_works_on_stays(aged, start, dry_run):
    process = start(aged, "hang")
    assert process.stdout.readline() == "computing\n"
    done = collect_garbage(aged, 0, None, dry_run)
    assert [(item.state, item.key, item.why) for item in done.kept] == [
        ("draft", KEY, "another process is computing it")
    ]
    assert len(done.removed) == 3
    assert [draft.key for draft in aged.drafts()] == [KEY]


def test_drafts_and_damaged_ones_go_when_they_are_old(store):
    flip(obtain(store)[0])
    assert store.get(KEY) is None
    with pytest.raises(KeyboardInterrupt):
        obtain(store, OTHER, interrupted)
    assert collect_garbage(store, older_than=3600).removed == []
    assert [item.state for item in collect_garbage(store, older_than=0).removed] == ["damaged", "draft"]
    assert [*store.drafts(), *store.damaged()] == []


def test_what_a_dead_gc_left_is_swept(aged):
    gone = next(aged.entries()).path
    os.rename(gone, gone.with_name(f"{gone.name}.gone"))
    assert [entry.key[0] for entry in aged.entries()] == ["2", "3"]
    collect_garbage(aged, older_than=10 * DAY)
    assert list(gone.parent.iterdir()) == []


@pytest.mark.parametrize("replaced", [True, False])
def test_what_a_process_left_that_died_between_two_renames_is_put_right(aged, replaced):
    place = next(aged.entries()).path
    os.rename(place, old := place.with_name(f"{place.name}.old"))
    if replaced:
        shutil.copytree(old, place)
    collect_garbage(aged, older_than=10 * DAY)
    assert [entry.key[0] for entry in aged.entries()] == ["1", "2", "3"]
    assert [path.name for path in place.parent.iterdir()] == ["1" * 64]


def test_the_store_needs_nothing_that_takes_long_to_import():
    slow = {"torch", "numpy", "datasets", "transformers", "filelock"}
    code = f"import sys, srframework.store.gc, srframework.store.verify; print(sorted({slow} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
