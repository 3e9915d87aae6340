"""Entries that refer to weights of other entries."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from small_store import KEY, OTHER, make_run, obtain

from srframework.store.content import is_base
from srframework.store.gc import collect_garbage
from srframework.store.manifest import Entry
from srframework.store.sharing import Sharing
from srframework.store.verify import verify

THIRD = "ef" * 32
DAY = 86400.0


def weights(draft: Path) -> None:
    (draft / "model").mkdir(exist_ok=True)
    (draft / "model" / "weights").write_bytes(bytes(1000))


@pytest.fixture
def two(store):
    """An entry of 1000 bytes, and one of 10 bytes that refers to it."""
    base, _ = obtain(store, KEY, weights)

    def refer(draft: Path) -> None:
        (draft / "mask").write_bytes(bytes(10))
        (draft / "points" / "0.5" / "base").mkdir(parents=True, exist_ok=True)
        os.link(base.files / "model" / "weights", draft / "points" / "0.5" / "base" / "weights")

    obtain(store, OTHER, refer)
    return store


def left(store) -> list[str]:
    return [entry.key for entry in store.entries()]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("base/model.safetensors", True),
        ("points/0.5/base/model.safetensors", True),
        ("points/base/model.safetensors", False),
        ("model/base/weights", False),
        ("base", True),
        ("points", False),
    ],
)
def test_which_files_are_of_other_entries(name, expected):
    assert is_base(name) == expected


def test_shared_weights_count_once(two):
    base, other = two.entries()
    assert (base.bytes, other.bytes) == (1000, 10)
    assert (dict(base.base), [*other.base.values()]) == ({}, [1000])
    sharing = Sharing([base, other])
    assert sharing.bytes == 1010
    assert sharing.dependents(base) == [OTHER]
    assert sharing.dependents(other) == []
    sharing.remove(other)
    assert (sharing.bytes, sharing.dependents(base)) == (1000, [])


def test_weights_whose_own_entry_is_gone_count_once():
    def entry(key: str, **more) -> Entry:
        return Entry(key, "trained", "x", datetime.now(UTC), 1.0, {}, Path(key), **more)

    first, second = (entry(key, bytes=1, own=frozenset(key), base={"w": 100}) for key in "ab")
    sharing = Sharing([first, second])
    assert sharing.bytes == 102
    sharing.remove(first)
    assert sharing.bytes == 101
    sharing.remove(second)
    assert sharing.bytes == 0


def test_an_entry_stays_while_another_one_that_stays_refers_to_it(two, tmp_path):
    run = make_run(tmp_path / "run", OTHER)
    two.use(OTHER, run)
    for dry_run in (True, False):
        done = collect_garbage(two, 0, 0, dry_run)
        assert done.removed == []
        assert [(item.key, item.entries, item.runs) for item in done.kept] == [(KEY, (OTHER,), ()), (OTHER, (), (run,))]
        assert done.kept[0].why == f"its weights are part of {OTHER}"
        assert (done.bytes, left(two)) == (1010, [KEY, OTHER])


def test_both_go_together(two):
    would = collect_garbage(two, 0, dry_run=True)
    done = collect_garbage(two, 0)
    assert [item.key for item in done.removed] == [KEY, OTHER]
    assert (would.removed, would.kept, would.bytes) == (done.removed, done.kept, done.bytes) == (done.removed, [], 0)


def test_the_size_falls_only_by_what_is_freed(two):
    done = collect_garbage(two, max_bytes=1005)
    assert [item.key for item in done.removed] == [OTHER]
    assert (done.kept, done.bytes, left(two)) == ([], 1000, [KEY])


def test_an_entry_is_intact_without_the_one_that_it_refers_to(two):
    shutil.rmtree(two.place(KEY))
    assert [entry.key for entry in verify(two).intact] == [OTHER]
    assert (two.get(OTHER).files / "points" / "0.5" / "base" / "weights").read_bytes() == bytes(1000)
    assert Sharing(two.entries()).bytes == 1010


@pytest.mark.parametrize("damage", ["missing", "changed"])
def test_a_damaged_base_is_named_and_the_entry_is_set_aside(two, notes, damage):
    path = two.place(OTHER) / "files" / "points" / "0.5" / "base" / "weights"
    path.unlink()
    if damage == "changed":
        path.write_bytes(bytes(999) + b"x")
    assert two.get(OTHER) is None
    assert f"{path}: expected" in notes[0]
    assert "it is set aside as" in notes[0]
    assert two.get(KEY) is not None


def test_damage_to_the_weights_is_found_in_every_entry_that_has_them(two, notes):
    with (two.place(KEY) / "files" / "model" / "weights").open("r+b") as file:
        file.write(b"x")
    assert {key for key, _ in verify(two).damaged} == {KEY, OTHER}
