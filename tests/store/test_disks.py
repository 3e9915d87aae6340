"""Full disks, disks that can only be read, and other refusals of the file system."""

from __future__ import annotations

import errno
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_store import KEY, OTHER, fail, flip, make_run, obtain

from srframework.errors import StoreError
from srframework.store import manifest
from srframework.store.gc import collect_garbage
from srframework.store.store import Store
from srframework.store.verify import verify


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A disk of 2 MB."""
    path = tmp_path / "disk"
    path.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(path)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    yield path
    subprocess.run(["umount", str(path)], check=True)


def _fill(draft: Path) -> None:
    (draft / "first").write_bytes(bytes(1 << 20))
    (draft / "second").write_bytes(bytes(2 << 20))


FULL = (
    "store {root}: cannot be written: No space left on device; nothing that was computed before is lost; "
    "free some space, or choose another with --store or $SRFRAMEWORK_STORE"
)


def test_a_full_disk_is_a_sentence_and_what_was_written_stays(small_disk):
    store = Store(small_disk / "store")
    kept, _ = obtain(store, OTHER)
    with pytest.raises(StoreError) as caught:
        obtain(store, compute=_fill)
    assert str(caught.value) == FULL.format(root=store.root)
    assert store.get(KEY) is None
    [draft] = store.drafts()
    assert (draft.path / "files" / "first").stat().st_size == 1 << 20
    assert store.get(OTHER) == kept

    (draft.path / "files" / "second").unlink()  # frees some space

    def go_on(draft: Path) -> None:
        assert (draft / "first").stat().st_size == 1 << 20

    assert not obtain(store, compute=go_on)[1]


def test_a_full_disk_where_safetensors_writes_is_the_same_sentence(small_disk):
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    store = Store(small_disk / "store")
    with pytest.raises(StoreError) as caught:
        obtain(store, compute=lambda draft: save_file({"a": torch.zeros(1 << 20)}, draft / "model.safetensors"))
    assert str(caught.value) == FULL.format(root=store.root)


def test_a_disk_that_is_full_before_anything_begins_is_a_sentence(small_disk):
    store = Store(small_disk / "store")
    obtain(store, OTHER)
    with pytest.raises(OSError, match="No space"):
        (small_disk / "filler").write_bytes(bytes(3 << 20))
    with pytest.raises(StoreError, match="No space left on device"):
        obtain(store)
    assert store.get(OTHER) is not None


def test_a_store_that_can_only_be_read_serves_what_it_has(small_disk, notes, tmp_path):
    store = Store(small_disk / "store", notes)
    kept, other = obtain(store)[0], obtain(store, OTHER)[0]
    flip(other)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    manifest._checked.clear()
    assert store.get(KEY) == kept
    assert obtain(store, compute=fail) == (kept, True)
    store.use(kept.key, make_run(tmp_path / "run"))
    assert kept.users() == []
    assert notes == []
    assert store.get(OTHER) is None
    assert "it is not used, but stays because the store cannot be written" in notes[0]
    with pytest.raises(StoreError) as caught:
        obtain(store, OTHER)
    assert str(caught.value) == (
        f"store {store.root}: cannot be written: Read-only file system; nothing that was computed before is lost; "
        "choose another with --store or $SRFRAMEWORK_STORE"
    )
    assert [key for key, _ in verify(store).damaged] == [OTHER]
    with pytest.raises(StoreError, match="Read-only file system"):
        collect_garbage(store, older_than=0)


def test_a_file_in_the_place_of_the_store_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("kept")
    with pytest.raises(StoreError, match="file: cannot be written: Not a directory"):
        obtain(Store(tmp_path / "file"))
    assert (tmp_path / "file").read_text() == "kept"


def test_a_place_where_no_directory_can_be_made_is_a_sentence():
    with pytest.raises(StoreError, match="store /proc/store: cannot be written: No such file or directory"):
        obtain(Store(Path("/proc/store")))


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EDQUOT, errno.EIO])
def test_what_the_disk_refuses_at_the_end_is_a_sentence_and_the_draft_stays(store, monkeypatch, number):
    def rename(*_):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", rename)
        with pytest.raises(StoreError, match=re.escape(os.strerror(number))):
            obtain(store)
    assert store.get(KEY) is None
    assert obtain(store, compute=fail)[1], "it had been computed"


@pytest.mark.parametrize(
    "error", [PermissionError(errno.EACCES, "Permission denied", "/data/x"), FileNotFoundError(errno.ENOENT, "x", "y")]
)
def test_an_error_that_is_not_of_the_store_goes_on_as_it_is(store, error):
    def compute(_draft: Path) -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        obtain(store, compute=compute)
    assert caught.value is error
