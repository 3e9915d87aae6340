"""Damage in the store: found, set aside, computed again."""

from __future__ import annotations

import contextlib
import json
import os
import re

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from small_store import KEY, OTHER, TEXT, flip, names, obtain

from srframework.store import content, manifest
from srframework.store.manifest import Entry
from srframework.store.store import Store
from srframework.store.verify import verify


def _truncate(entry: Entry) -> None:
    os.truncate(entry.files / "model" / "weights", 3)


def _remove(entry: Entry) -> None:
    (entry.files / "model" / "weights").unlink()


def _add(entry: Entry) -> None:
    (entry.files / "extra").write_text("x")


def _replace(text: str):
    def damage(entry: Entry) -> None:
        (entry.path / "manifest.json").write_text(text)

    return damage


def _rewrite(entry: Entry) -> None:
    path = entry.path / "manifest.json"
    path.write_text(path.read_text().replace("SRNet", "SRNut"))


def _not_text(entry: Entry) -> None:
    (entry.path / "manifest.json").write_bytes(b"\xff\xfe")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (_truncate, r"files/model/weights: expected 11 bytes, got 3"),
        (flip, r"files/model/weights: expected SHA-256 [0-9a-f]{12}, got [0-9a-f]{12}"),
        (_remove, r"files/model/weights: expected a file of 11 bytes, got none"),
        (_add, r"files/extra: unexpected file"),
        (_replace(""), r"manifest.json: expected a JSON object with a digest, got 0 other characters"),
        (_replace("[]"), r"manifest.json: expected a JSON object with a digest, got 2 other characters"),
        (_replace('{"digest": 1}'), r"manifest.json: expected content of SHA-256 1, got [0-9a-f]{12}"),
        (_rewrite, r"manifest.json: expected content of SHA-256 [0-9a-f]{12}, got [0-9a-f]{12}"),
        (_not_text, r"manifest.json: expected UTF-8, got invalid start byte"),
    ],
)
@pytest.mark.parametrize("checked", [True, False], ids=["by a process that saw it whole", "by another"])
def test_damage_is_found_set_aside_and_computed_again(store, notes, damage, said, checked, monkeypatch):
    entry, _ = obtain(store)
    damage(entry)
    if not checked:
        monkeypatch.setattr(manifest, "_checked", {})
    assert store.get(KEY) is None
    assert store.get(KEY) is None, "it is said once"
    [aside] = store.damaged()
    assert aside.key == KEY
    [note] = notes
    assert re.search(rf"{said}; it is set aside as {re.escape(str(aside.path))} and is computed again", note)
    again, was_there = obtain(store)
    assert not was_there
    assert (again.files / "model" / "weights").read_text() == TEXT


def test_damage_that_obtain_finds_is_mended_at_once(store, notes):
    flip(obtain(store)[0])
    assert not obtain(store)[1]
    assert len(notes) == len(list(store.damaged())) == 1


def test_a_directory_without_a_manifest_is_no_entry(store, notes):
    entry, _ = obtain(store)
    (entry.path / "manifest.json").unlink()
    assert store.get(KEY) is None
    assert list(store.entries()) == []
    assert not obtain(store)[1]
    assert names(entry.files) == ["model/weights", "result.json"]
    assert notes == []


def test_an_entry_under_another_key_is_not_taken(store, notes):
    entry, _ = obtain(store)
    place = store.place(OTHER)
    place.parent.mkdir()
    os.rename(entry.path, place)
    assert store.get(OTHER) is None
    assert "expected key cdcdcdcdcdcd, got abababababab" in notes[0]


def test_files_are_read_once_while_they_look_the_same(store, monkeypatch):
    entry, _ = obtain(store)
    read = []
    sha256 = content.sha256
    monkeypatch.setattr(content, "sha256", lambda path: read.append(path.name) or sha256(path))
    store.get(KEY)
    Store(store.root).get(KEY)
    assert read == []
    os.utime(entry.files / "result.json")
    assert store.get(KEY) is not None
    assert sorted(read) == ["result.json", "weights"]


@settings(max_examples=40)
@given(
    name=st.sampled_from(["manifest.json", "files/model/weights", "files/result.json"]),
    where=st.floats(0, 1, exclude_max=True),
    bit=st.integers(0, 7),
)
def test_any_flipped_bit_of_any_file_is_found(tmp_path_factory, name, where, bit):
    store = Store(tmp_path_factory.mktemp("store"))
    path = obtain(store)[0].path / name
    before = path.read_bytes()
    content = bytearray(before)
    content[int(where * len(content))] ^= 1 << bit
    path.write_bytes(content)
    with contextlib.suppress(ValueError):  # the 17th digit of a number may change nothing
        assume(name != "manifest.json" or json.loads(content) != json.loads(before))
    manifest._checked.clear()
    assert store.get(KEY) is None


def test_verify_reads_everything_again(store, notes):
    entry, other = obtain(store)[0], obtain(store, OTHER)[0]
    stat = (entry.files / "result.json").stat()
    (entry.files / "result.json").write_text("[]")
    os.utime(entry.files / "result.json", ns=(stat.st_atime_ns, stat.st_mtime_ns))  # looks as before
    assert store.get(KEY) == entry
    checked = verify(store)
    assert checked.intact == [other]
    [(key, sentence)] = checked.damaged
    assert key == KEY
    assert "result.json: expected SHA-256" in sentence
    assert len(list(store.damaged())) == len(notes) == 1
    assert verify(store).damaged == []
