"""The stage store: nothing is computed twice, nothing half is taken for whole, whatever happens in between."""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from small_store import KEY, OTHER, TEXT, compute, fail, interrupted, make_run, names, obtain

from srframework.store import entry_users
from srframework.store.gc import collect_garbage


def test_what_is_computed_once_is_there_the_next_time(store, notes):
    assert store.get(KEY) is None
    before = datetime.now(UTC)
    entry, was_there = obtain(store)
    assert not was_there
    assert names(entry.files) == ["model/weights", "result.json"]
    assert sorted(os.listdir(entry.files)) == ["model", "result.json"]
    assert (entry.key, entry.kind, entry.what, entry.identity) == (KEY, "trained", "SRNet", {"seed": 1})
    assert entry.bytes == len(TEXT) + 2
    assert before - timedelta(seconds=1) <= entry.created <= datetime.now(UTC)
    assert obtain(store, compute=fail) == (entry, True)
    assert store.get(KEY) == entry
    assert list(store.entries()) == [entry]
    assert (list(store.drafts()), list(store.damaged()), notes) == ([], [], [])


def test_the_layout_on_the_disk(store):
    entry, _ = obtain(store)
    assert entry.path == store.root / "entries" / "ab" / KEY
    said = json.loads((entry.path / "manifest.json").read_text())
    assert list(said) == ["key", "kind", "what", "created", "seconds", "about", "identity", "files", "digest"]
    # sha256sum of "{}" and of "the weights"
    assert said["files"]["result.json"] == {
        "bytes": 2,
        "sha256": "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
    }
    assert sorted(os.listdir(store.root)) == ["entries", "locks", "work"]
    assert os.listdir(store.root / "locks") == [f"{KEY}.lock"]
    assert os.listdir(store.root / "work") == []


def test_looking_into_a_store_that_is_not_there_makes_nothing(store):
    assert store.get(KEY) is None
    assert [*store.entries(), *store.drafts(), *store.damaged()] == []
    assert not store.root.exists()


@pytest.mark.parametrize("key", ["../../etc", "", "a/b", "AB" * 32, "abc.old"])
def test_what_is_no_key_is_refused(store, key):
    with pytest.raises(ValueError, match="expected a key"):
        store.get(key)


def test_a_link_in_a_draft_is_refused_because_the_content_would_not_be_in_the_store(store, tmp_path):
    with pytest.raises(ValueError, match="expected a file or a directory, got a link"):
        obtain(store, compute=lambda draft: (draft / "link").symlink_to(tmp_path))
    assert store.get(KEY) is None


def test_an_entry_without_files_is_one(store):
    entry, _ = obtain(store, compute=lambda _: None)
    assert (entry.bytes, os.listdir(entry.files)) == (0, [])
    assert store.get(KEY) == entry


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_what_was_begun_is_gone_on_with(store, error):
    def begin(draft: Path) -> None:
        (draft / "checkpoints").mkdir()
        (draft / "checkpoints" / "1").write_text("half")
        time.sleep(0.05)
        raise error

    began = time.monotonic()
    with pytest.raises(error):
        obtain(store, compute=begin)
    [draft] = store.drafts()
    assert (draft.key, draft.kind, draft.what) == (KEY, "trained", "SRNet")
    assert draft.seconds >= 0.05
    assert store.get(KEY) is None

    def go_on(draft: Path) -> None:
        assert (draft / "checkpoints" / "1").read_text() == "half"
        time.sleep(0.05)
        compute(draft)

    entry, was_there = obtain(store, compute=go_on)
    assert not was_there
    assert 0.1 <= entry.seconds <= time.monotonic() - began
    assert list(store.drafts()) == []


def test_seconds_of_a_killed_attempt_last_until_it_last_wrote(store):
    with pytest.raises(KeyboardInterrupt):
        obtain(store, compute=interrupted)
    draft = store.root / "work" / KEY
    (draft / "draft.json").write_text(json.dumps({"kind": "trained", "what": "x", "seconds": 10.0, "since": 1000.0}))
    for path in (draft / "files" / "a", draft / "files"):
        os.utime(path, (1030.0, 1030.0))
    [left] = store.drafts()
    assert left.seconds == pytest.approx(40.0)
    began = time.monotonic()
    seconds = obtain(store)[0].seconds
    assert 40.0 <= seconds + 1e-6 <= 40.0 + time.monotonic() - began + 1e-6


@pytest.mark.parametrize("text", ["", "[]", "{", '{"seconds": "many"}'])
def test_a_damaged_note_in_a_draft_costs_no_more_than_the_note(store, text):
    with pytest.raises(KeyboardInterrupt):
        obtain(store, compute=interrupted)
    (store.root / "work" / KEY / "draft.json").write_text(text)
    assert [draft.seconds for draft in store.drafts()] == [0.0]
    assert not obtain(store)[1]


def test_an_entry_that_does_not_hold_enough_is_computed_again_and_keeps_its_users(store, tmp_path):
    entry, _ = obtain(store)
    store.use(entry.key, make_run(tmp_path / "run"))

    def more(draft: Path) -> None:
        assert os.listdir(draft) == []
        assert store.get(KEY) == entry, "the old one stays until the new one is whole"
        compute(draft)
        (draft / "point").write_text("x")

    def enough(files: Path) -> bool:
        return (files / "point").exists()

    new, was_there = obtain(store, compute=more, enough=enough)
    assert not was_there
    assert names(new.files) == ["model/weights", "point", "result.json"]
    assert new.users() == [tmp_path / "run"]
    assert os.listdir(new.path.parent) == [KEY]
    assert obtain(store, compute=fail, enough=enough) == (new, True)


def test_an_attempt_at_more_that_fails_leaves_the_entry(store):
    entry, _ = obtain(store)
    with pytest.raises(KeyboardInterrupt):
        obtain(store, compute=interrupted, enough=lambda _: False)
    assert store.get(KEY) == entry


def test_users_are_the_runs_that_exist_and_mention_the_key(store, tmp_path):
    entry, _ = obtain(store)
    used = make_run(tmp_path / "b"), make_run(tmp_path / "a", OTHER, state="running")
    elsewhere, gone, broken = make_run(tmp_path / "c", OTHER), tmp_path / "gone", tmp_path / "broken"
    broken.mkdir()
    (broken / "run.json").write_text("{")
    for run in (*used, *used, elsewhere, gone, broken):
        store.use(entry.key, run)
    assert entry.users() == sorted(used)
    assert len(os.listdir(entry_users.users_place(store.root, entry.key))) == 5


def test_a_user_of_what_is_gone_does_not_make_half_an_entry(store, tmp_path):
    entry, _ = obtain(store)
    collect_garbage(store, older_than=0)
    store.use(entry.key, tmp_path)
    assert not entry.path.exists()
    assert entry.users() == []
