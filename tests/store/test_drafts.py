"""Drafts: what is written has a checksum from that moment on; what is damaged is computed again, and never an entry."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from filelock import FileLock

from srframework.errors import StoreError
from srframework.store import content, entry_users, manifest
from srframework.store.content import Sum
from srframework.store.drafts import Sums
from srframework.store.gc import collect_garbage
from srframework.store.store import Store
from srframework.store.verify import verify

KEY = "ab" * 32


def write(sums: Sums, files: Path) -> None:
    """A model, a point, a file by itself."""
    for place in (files, files / "points" / "5"):
        with sums.directory(place / "model") as temporary:
            (temporary / "weights").write_text(f"the weights of {place.name}")
            (temporary / "config").write_text("{}")
        with sums.file(place / "mask") as file:
            file.write_text("1010")


@pytest.fixture
def files(tmp_path) -> Path:
    """Of a draft that a killed process left."""
    path = tmp_path / "draft" / "files"
    path.mkdir(parents=True)
    write(Sums(path), path)
    return path


def there(files: Path) -> list[str]:
    return sorted(path.relative_to(files).as_posix() for path in files.rglob("*") if not path.is_dir())


ALL = ["mask", "model/config", "model/weights", "points/5/mask", "points/5/model/config", "points/5/model/weights"]
OF_THE_POINT = ALL[3:]


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 16
    path.write_bytes(content)


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


HARMS = [flip, pipe, link, directory, lambda path: os.truncate(path, 1), lambda path: path.write_text("")]


def test_what_is_as_it_was_written_stays(files):
    notes = []
    assert sorted(Sums(files, notes.append)) == there(files) == ALL
    assert notes == []


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize(
    ("file", "gone"),
    [
        ("points/5/model/weights", OF_THE_POINT),
        ("points/5/mask", OF_THE_POINT),
        ("model/config", ["model/config", "model/weights"]),
        ("mask", ["mask"]),
    ],
)
def test_what_is_damaged_goes_with_all_that_it_belongs_to(files, file, gone, harm):
    notes = []
    harm(files / file)
    sums = Sums(files, notes.append)
    assert sorted(sums) == there(files) == [name for name in ALL if name not in gone]
    assert len(notes) == 1
    assert notes[0].startswith(f"draft {files / file}: expected ")


def test_what_was_removed_takes_its_point_with_it_and_is_no_damage(files):
    """A process may have died between writing the checksum and giving the file its name."""
    notes = []
    (files / "points/5/mask").unlink()
    assert sorted(Sums(files, notes.append)) == there(files) == ALL[:3]
    assert not (files / "points").exists()
    assert notes == []


def test_what_nobody_knows_goes_and_what_is_written_bit_by_bit_stays(files):
    for name in ("points/5/extra", "points/9/model/weights", "log", "checkpoints/4/state"):
        (files / name).parent.mkdir(parents=True, exist_ok=True)
        (files / name).write_text("x")
    assert sorted(Sums(files, leave=["log"])) == ALL
    assert there(files) == sorted([*ALL, "checkpoints/4/state", "log"])


@pytest.mark.parametrize("harm", [*HARMS, lambda path: path.write_text("[]"), lambda path: path.unlink()])
def test_without_good_checksums_nothing_counts(files, harm):
    harm(files.parent / "sums.json")
    if harm is link:
        assert sorted(Sums(files)) == ALL, "the same content under another name"
        return
    assert list(Sums(files)) == there(files) == []


def test_any_flipped_bit_of_the_checksums_is_found(files):
    path = files.parent / "sums.json"
    content = path.read_bytes()
    kept = shutil.copytree(files.parent, files.parents[1] / "kept")
    for where in range(0, len(content), 7):
        shutil.rmtree(files.parent)
        shutil.copytree(kept, files.parent)
        path.write_bytes(content[:where] + bytes([content[where] ^ 1 << where % 8]) + content[where + 1 :])
        for name in Sums(files):  # either all of it counts, or nothing, and then nothing is there
            assert content.compare(files / name, Sum.of(kept / "files" / name)) is None
        assert sorted(Sums(files)) == there(files)


# -- in a store ------------------------------------------------------------------------------------


@pytest.fixture
def notes() -> list[str]:
    return []


@pytest.fixture
def store(tmp_path, notes) -> Store:
    return Store(tmp_path / "store", notes.append)


def sealed(store: Store) -> list[Path]:
    return [path for path in (store.root / "entries").rglob("*") if path.is_file()]


@pytest.mark.parametrize("file", ALL)
@pytest.mark.parametrize("harm", [*HARMS, lambda path: path.unlink()])
def test_what_changes_while_the_process_lives_is_computed_again(store, notes, file, harm):
    attempts = []

    def compute(draft: Path) -> Sums:
        sums = Sums(draft, notes.append)
        attempts.append(sorted(sums))
        write(sums, draft)
        if len(attempts) == 1:
            harm(draft / file)
        return sums

    entry, was_there = store.get_or_compute(KEY, "trained", "SRNet", {}, compute)
    assert (len(attempts), was_there) == (2, False)
    assert there(entry.files) == ALL
    assert (entry.files / "model/weights").read_text() == "the weights of files"
    assert (verify(store).damaged, list(store.damaged()), list(store.drafts())) == ([], [], [])
    assert "the result is computed again" in notes[0]


def test_a_file_that_nobody_wrote_is_no_part_of_an_entry(store, notes):
    attempts = []

    def compute(draft: Path) -> Sums:
        sums = Sums(draft)
        write(sums, draft)
        if not attempts:
            (draft / "model" / "added").write_text("x")
        attempts.append(1)
        return sums

    entry, _ = store.get_or_compute(KEY, "trained", "SRNet", {}, compute)
    assert there(entry.files) == ALL
    assert "unexpected file" in notes[0]


def test_a_disk_that_never_keeps_what_is_written_is_a_sentence_and_no_entry(store):
    def compute(draft: Path) -> Sums:
        sums = Sums(draft)
        write(sums, draft)
        flip(draft / "model" / "weights")
        return sums

    with pytest.raises(StoreError, match=r"computed 3 times.* the disk or the memory may be faulty"):
        store.get_or_compute(KEY, "trained", "SRNet", {}, compute)
    assert sealed(store) == []
    assert store.get(KEY) is None


@pytest.mark.parametrize("place", ["", "files", "draft.json", "sums.json", "files/checkpoints", "files/model"])
@pytest.mark.parametrize("kind", ["file", "pipe", "dangling", "loop"])
def test_a_draft_that_is_no_draft_is_put_right(store, place, kind):
    path = store.root / "work" / KEY / place
    path.parent.mkdir(parents=True, exist_ok=True)
    makes = {
        "file": lambda: path.write_text("x"),
        "pipe": lambda: os.mkfifo(path),
        "dangling": lambda: path.symlink_to("nowhere"),
        "loop": lambda: path.symlink_to(path.name),
    }
    makes[kind]()

    def compute(draft: Path) -> Sums:
        sums = Sums(draft)
        (draft / "checkpoints").mkdir(exist_ok=True)
        write(sums, draft)
        return sums

    assert there(store.get_or_compute(KEY, "trained", "SRNet", {}, compute)[0].files) == ALL


# -- other formats ---------------------------------------------------------------------------------


def keep(store: Store, change) -> Path:
    """An entry whose manifest, digest included, another srframework wrote."""
    entry, _ = store.get_or_compute(KEY, "trained", "SRNet", {"seed": 1}, lambda draft: (draft / "a").write_text("x"))
    said = json.loads((entry.path / "manifest.json").read_text())
    del said["digest"]
    change(said)
    said["digest"] = manifest.digest(said)
    (entry.path / "manifest.json").write_text(json.dumps(said))
    manifest._checked.clear()
    return entry.path


@pytest.mark.parametrize("format_", [2, "3.0", None, [1]])
def test_an_entry_of_another_format_is_left_alone(store, notes, format_):
    def change(said):
        said.clear()
        said |= {"format": format_, "key": 7, "content": ["a"]}

    path = keep(store, change)
    before = {each: each.read_bytes() for each in path.rglob("*") if each.is_file()}
    assert store.get(KEY) is None
    assert list(store.entries()) == []
    assert verify(store).damaged == []
    assert [each.key for each in store.foreign()] == [KEY]
    with pytest.raises(StoreError, match="of another version of srframework and stays unchanged"):
        store.get_or_compute(KEY, "trained", "SRNet", {}, lambda _: None)
    assert {each: each.read_bytes() for each in path.rglob("*") if each.is_file()} == before
    assert notes == []
    [gone] = collect_garbage(store, older_than=-1).removed
    assert (gone.state, gone.key) == ("foreign", KEY)
    assert not path.exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("files", each) for each in ([], None, 1, {"a": 1}, {"a": {"bytes": "1", "sha256": ""}}, {"a": {}})],
        *[("files", {"a": {"bytes": each, "sha256": "x"}}) for each in (-1, 1e9, True, 10**400)],
        *[("created", each) for each in (None, 1, "", "yesterday", "9999-99-99")],
        *[("seconds", each) for each in (None, "1", True, [1])],
        *[("identity", each) for each in (None, [], 1)],
        *[(name, each) for name in ("key", "kind", "what") for each in (None, 1, {})],
    ],
)
def test_a_manifest_of_other_types_is_damaged_and_no_traceback(store, notes, name, value):
    keep(store, lambda said: said.update({name: value}))
    assert list(store.entries()) == []
    assert len(verify(store).damaged) == 1
    assert len(list(store.damaged())) == 1
    assert store.get(KEY) is None
    assert "expected" in notes[0]


@pytest.mark.parametrize(
    "text",
    [
        "null",
        "1",
        '"x"',
        "[" * 100_000,
        '{"a":' * 100_000,
        '{"digest": NaN}',
        '{"a": NaN, "digest": ""}',
        "9" * 5000,
        '{"a": 1e999, "digest": ""}',
        '{"a": "\\ud800", "digest": ""}',
        "{}{}",
    ],
)
def test_a_manifest_that_is_none_is_damaged_and_no_traceback(store, text):
    entry, _ = store.get_or_compute(KEY, "trained", "SRNet", {}, lambda _: None)
    (entry.path / "manifest.json").write_text(text)
    assert store.get(KEY) is None
    assert len(list(store.damaged())) == 1
    assert not store.get_or_compute(KEY, "trained", "SRNet", {}, lambda _: None)[1]


@pytest.mark.parametrize("name", ["manifest.json", "files/a", "files/b"])
@pytest.mark.parametrize("harm", [pipe, directory, link, lambda path: os.truncate(path, 8 << 30)])
def test_what_is_no_file_is_never_waited_for(store, name, harm):
    def compute(draft: Path) -> None:
        (draft / "a").write_text("x")
        (draft / "b").write_text("")

    entry, _ = store.get_or_compute(KEY, "trained", "SRNet", {}, compute)
    harm(entry.path / name)
    again, was_there = store.get_or_compute(KEY, "trained", "SRNet", {}, compute)
    assert was_there is (harm is link and name == "manifest.json")
    assert there(again.files) == ["a", "b"]


def test_what_has_no_name_of_an_entry_is_left_alone(store):
    entry, _ = store.get_or_compute(KEY, "trained", "SRNet", {}, lambda _: None)
    shutil.copytree(entry.path, entry.path.with_name("UPPER"))
    assert [each.key for each in verify(store).intact] == [KEY]
    assert [each.key for each in store.entries()] == [KEY]


def test_a_damaged_record_of_a_run_keeps_the_entry(store, tmp_path):
    entry, _ = store.get_or_compute(KEY, "trained", "SRNet", {}, lambda _: None)
    run = tmp_path / "run"
    run.mkdir()
    (run / "run.json").write_text(json.dumps({"state": "finished", "stages": {"a": {"trained": KEY}}}))
    store.use(KEY, run)
    assert entry.users() == [run]
    [record] = entry_users.users_place(store.root, KEY).iterdir()
    flip(record)
    assert entry.users() == [record]
    assert collect_garbage(store, older_than=-1).removed == []
    store.use(KEY, run)
    assert entry.users() == [run]


# -- once --------------------------------------------------------------------------------------------


def test_a_written_file_is_hashed_once_until_its_entry_is_there(tmp_path, monkeypatch):
    hashed = []
    sha256 = content.sha256
    monkeypatch.setattr(content, "sha256", lambda path: hashed.append(path.name) or sha256(path))

    def compute(draft: Path) -> Sums:
        sums = Sums(draft)
        with sums.file(draft / "mask") as file:
            file.write_text("1010")
            os.utime(file, (1, 1))  # long ago: a later change would show
        return sums

    store = Store(tmp_path / "store")
    entry, _ = store.get_or_compute(KEY, "trained", "SRNet", {}, compute)
    assert (entry.files / "mask").read_text() == "1010"
    assert len(hashed) == 1


def test_a_file_that_changed_since_it_was_hashed_is_read_again_and_computed_again(tmp_path):
    attempts = []

    def compute(draft: Path) -> Sums:
        sums = Sums(draft)
        with sums.file(draft / "mask") as file:
            file.write_text("1010")
            os.utime(file, (1, 1))
        attempts.append(draft)
        if len(attempts) == 1:
            (draft / "mask").write_text("1011")
        return sums

    entry, _ = Store(tmp_path / "store").get_or_compute(KEY, "trained", "SRNet", {}, compute)
    assert (entry.files / "mask").read_text() == "1010"
    assert len(attempts) == 2


def test_a_result_that_is_there_takes_one_lock(tmp_path, monkeypatch):
    store = Store(tmp_path / "store")
    store.get_or_compute(KEY, "trained", "SRNet", {}, lambda draft: (draft / "a").write_text("1"))
    locks = []
    acquire = FileLock.acquire
    monkeypatch.setattr(FileLock, "acquire", lambda lock, *a, **more: locks.append(lock) or acquire(lock, *a, **more))
    assert store.get_or_compute(KEY, "trained", "SRNet", {}, lambda _: None)[1]
    assert len(locks) == 1
