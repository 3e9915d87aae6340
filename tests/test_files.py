from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from srframework import hashing
from srframework.errors import SYSTEM_ERRORS, StoreError, failed_operation, refused
from srframework.files import (
    atomic_directory,
    atomic_file,
    link_file,
    link_tree,
    read_bytes,
    read_json,
    read_text,
    write_json,
    write_text,
)
from srframework.store import manifest
from srframework.store.store import Store


@pytest.fixture
def umask():
    """The usual umask, whatever this process has."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def test_a_file_is_there_when_the_block_has_ended(tmp_path, umask):
    path = tmp_path / "a.txt"
    with atomic_file(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
        assert temporary.parent == tmp_path
    assert path.read_text() == "whole"
    assert path.stat().st_mode & 0o777 == 0o644
    assert os.listdir(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_block_that_ends_badly_leaves_what_was_there(tmp_path, error):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def write() -> None:
        with atomic_file(path) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(error):
        write()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_directory_is_there_when_the_block_has_ended(tmp_path, umask):
    path = tmp_path / "model"
    with atomic_directory(path) as temporary:
        (temporary / "config.json").write_text("{}")
        assert not path.exists()
    assert os.listdir(path) == ["config.json"]
    assert path.stat().st_mode & 0o777 == 0o755
    assert os.listdir(tmp_path) == ["model"]


def test_a_directory_whose_block_ends_badly_is_not_there(tmp_path):
    def write() -> None:
        with atomic_directory(tmp_path / "model") as temporary:
            (temporary / "half").write_text("x")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    assert os.listdir(tmp_path) == []


def test_a_directory_never_replaces_one_that_has_something_in_it(tmp_path):
    path = tmp_path / "model"
    path.mkdir()
    (path / "old").write_text("old")
    with pytest.raises(OSError, match="not empty"), atomic_directory(path) as temporary:
        (temporary / "new").write_text("new")
    assert os.listdir(path) == ["old"]
    assert os.listdir(tmp_path) == ["model"]


def test_text_is_utf_8_and_replaces_what_was_there(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "first")
    write_text(path, "θ ⊙ m\n")
    assert path.read_bytes() == "θ ⊙ m\n".encode()


def test_json_is_indented_and_keeps_letters(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"θ": [1, 0.5, None]})
    assert path.read_text(encoding="utf-8") == '{\n  "θ": [\n    1,\n    0.5,\n    null\n  ]\n}\n'


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object()])
def test_what_is_no_json_is_refused_and_nothing_is_written(tmp_path, value):
    with pytest.raises((ValueError, TypeError)):
        write_json(tmp_path / "a.json", {"a": value})
    assert os.listdir(tmp_path) == []


# -- power loss ------------------------------------------------------------------------------------


@pytest.fixture
def steps(monkeypatch) -> list[tuple[str, str]]:
    """What is asked of the disk, in order: brought to it, or renamed."""
    done: list[tuple[str, str]] = []
    fsync, replace_, rename = os.fsync, os.replace, os.rename

    def noted_fsync(handle):
        done.append(("fsync", Path(os.readlink(f"/proc/self/fd/{handle}")).name))
        fsync(handle)

    def noted(move):
        def call(source, target):
            done.append(("rename", Path(target).name))
            move(source, target)

        return call

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted(replace_))
    monkeypatch.setattr(os, "rename", noted(rename))
    return done


def test_a_file_is_on_the_disk_before_it_has_its_name_and_the_name_after(tmp_path, steps):
    write_text(tmp_path / "a", "x")
    [(first, temporary), *rest] = steps
    assert (first, temporary.startswith(".srframework-a.")) == ("fsync", True)
    assert rest == [("rename", "a"), ("fsync", tmp_path.name)]


def test_a_directory_is_on_the_disk_with_all_that_is_in_it_before_it_has_its_name(tmp_path, steps):
    with atomic_directory(tmp_path / "model") as temporary:
        (temporary / "sub").mkdir()
        (temporary / "sub" / "file").write_text("x")
        (temporary / "link").symlink_to("nowhere")
    assert sorted(steps[:3]) == [("fsync", steps[0][1]), ("fsync", "file"), ("fsync", "sub")]
    assert steps[3:] == [("rename", "model"), ("fsync", tmp_path.name)]


@pytest.mark.parametrize(("number", "raised"), [(errno.EINVAL, False), (errno.EIO, True), (errno.ENOSPC, True)])
def test_a_disk_that_cannot_is_an_error_and_one_that_knows_no_fsync_of_this_is_none(
    tmp_path, monkeypatch, number, raised
):
    def fsync(_handle):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fsync)
    if raised:
        with pytest.raises(OSError, match=re.escape(os.strerror(number))):
            write_text(tmp_path / "a", "x")
    else:
        write_text(tmp_path / "a", "x")
    assert os.listdir(tmp_path) == ([] if raised else ["a"])


# -- one file at two paths -------------------------------------------------------------------------


@pytest.fixture
def tree(tmp_path) -> Path:
    """A directory with two files, one of them deeper."""
    path = tmp_path / "tree"
    (path / "model").mkdir(parents=True)
    (path / "model" / "weights").write_bytes(bytes(1000))
    (path / "result.json").write_text("{}")
    return path


def _contents(path: Path) -> dict[str, bytes]:
    return {str(each.relative_to(path)): each.read_bytes() for each in sorted(path.rglob("*")) if each.is_file()}


def test_a_tree_is_linked_and_what_else_is_in_the_target_stays(tmp_path, tree):
    target = tmp_path / "deep" / "target"
    (target / "model").mkdir(parents=True)
    (target / "model" / "other").write_text("stays")
    (target / "result.json").write_text("old")
    link_tree(tree, target)
    assert _contents(target) == _contents(tree) | {"model/other": b"stays"}
    assert (target / "model" / "weights").samefile(tree / "model" / "weights")
    assert sorted(os.listdir(target)) == ["model", "result.json"]


def test_what_is_the_same_file_already_is_left_alone(tmp_path, tree, monkeypatch):
    link_tree(tree, tmp_path / "target")

    def refuse(*_):
        raise AssertionError("nothing is to be done")

    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(os, "replace", refuse)
    link_tree(tree, tmp_path / "target")
    assert _contents(tmp_path / "target") == _contents(tree)


@pytest.mark.parametrize("number", [errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP])
def test_where_links_are_impossible_files_are_copied(tmp_path, tree, monkeypatch, number):
    def link(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", link)
    link_tree(tree, tmp_path / "target")
    assert _contents(tmp_path / "target") == _contents(tree)
    assert not (tmp_path / "target" / "result.json").samefile(tree / "result.json")


def test_another_error_of_the_disk_is_no_reason_to_copy_and_leaves_nothing_behind(tmp_path, tree, monkeypatch):
    def link(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "link", link)
    (tmp_path / "target").mkdir()
    with pytest.raises(OSError, match="No space left"):
        link_file(tree / "result.json", tmp_path / "target" / "result.json")
    assert os.listdir(tmp_path / "target") == []


def test_a_symbolic_link_in_the_target_gives_way_to_the_file(tmp_path, tree):
    link = tmp_path / "link"
    link.symlink_to(tree / "result.json")
    link_file(tree / "result.json", link)
    assert not link.is_symlink()
    assert link.samefile(tree / "result.json")


def test_a_symbolic_link_in_the_source_is_copied_as_what_it_points_to(tmp_path, tree):
    (tree / "link").symlink_to("result.json")
    link_tree(tree, tmp_path / "target")
    assert not (tmp_path / "target" / "link").is_symlink()
    assert (tmp_path / "target" / "link").read_text() == "{}"


def test_a_source_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="gone"):
        link_file(tmp_path / "gone", tmp_path / "target")
    assert os.listdir(tmp_path) == []


# -- what others may read, and what is read ---------------------------------------------------------


@pytest.mark.parametrize(
    ("umask", "file", "folder"), [(0o022, 0o644, 0o755), (0o002, 0o664, 0o775), (0o077, 0o600, 0o700)]
)
def test_all_that_is_in_a_directory_has_the_mode_that_the_umask_gives(tmp_path, umask, file, folder):
    before = os.umask(umask)
    try:
        with atomic_directory(tmp_path / "model") as temporary:
            for path in (temporary / "weights", temporary / "inner" / "config"):
                path.parent.mkdir(exist_ok=True)
                path.touch(mode=0o600)  # as safetensors makes its files
            os.chmod(temporary / "inner", 0o700)
    finally:
        os.umask(before)
    for path in (tmp_path / "model", *(tmp_path / "model").rglob("*")):
        assert path.stat().st_mode & 0o777 == (folder if path.is_dir() else file), path


def test_what_a_shared_directory_hands_on_stays(tmp_path):
    os.chmod(tmp_path, 0o2775)
    with atomic_directory(tmp_path / "model") as temporary:
        (temporary / "weights").touch()
    assert (tmp_path / "model").stat().st_mode & 0o2000


@pytest.mark.long
def test_everything_that_a_run_leaves_can_be_read_by_the_group(tmp_path):
    script = """
import os, sys
os.umask(0o027)
from srframework.cli import main
main()
"""
    (tmp_path / "r.toml").write_text("""
name = "modes"
schema = 1
backbone = { use = "tiny", layers = 1, width = 16, heads = 2, intermediate = 16 }
dataset = { use = "synthetic", train_size = 24, dev_size = 12, ood_size = 9 }
training = { batch_size = 8, max_steps = 3, checkpoint_steps = 1 }
stages = [
    { name = "full", op = "train", loss = "std" },
    { name = "p", op = "prune", weights = "full@2", loss = "poe", pruner = { use = "mask", sparsity = 0.5 } },
]
""")
    args = [sys.executable, "-c", script, "run", "r.toml", "--out", "run", "--store", "store"]
    subprocess.run(args, cwd=tmp_path, check=True, capture_output=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    modes = {}
    for root in ("run", "store"):
        for path in (tmp_path / root).rglob("*"):
            modes[path.relative_to(tmp_path).as_posix()] = (path.is_dir(), path.stat().st_mode & 0o777)
    assert {each for _, each in modes.values() if each not in (0o750, 0o640)} == set(), modes
    assert all(mode == (0o750 if is_dir else 0o640) for is_dir, mode in modes.values())


@pytest.mark.parametrize(("make", "what"), [(os.mkfifo, "a named pipe"), (os.mkdir, "a directory")])
def test_what_is_no_file_is_refused_and_never_waited_for(tmp_path, make, what):
    make(tmp_path / "x")
    for read in (read_bytes, read_text, read_json):
        with pytest.raises(OSError, match=f"it is {what}, not a file") as caught:
            read(tmp_path / "x")
        assert refused(caught.value) == f"{tmp_path / 'x'}: cannot be read: it is {what}, not a file"


def test_what_is_too_large_is_refused_before_it_is_read(tmp_path):
    (tmp_path / "x").touch()
    os.truncate(tmp_path / "x", 1 << 40)
    with pytest.raises(OSError, match="it is larger than 67108864 bytes"):
        read_text(tmp_path / "x")


@pytest.mark.parametrize("text", ["[" * 100_000, "NaN", "[1e999, Infinity]", "", "{", "9" * 5000])
def test_what_is_no_json_of_ours_is_a_value_error(tmp_path, text):
    (tmp_path / "x").write_text(text)
    with pytest.raises(ValueError, match=r"\S"):
        read_json(tmp_path / "x")


@pytest.mark.parametrize(
    ("number", "done"),
    [
        *[(each, "written") for each in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)],
        *[
            (each, "read or written")
            for each in (errno.EMFILE, errno.ENAMETOOLONG, errno.ELOOP, errno.EIO, errno.ESTALE)
        ],
    ],
)
def test_reading_and_writing_are_told_apart_where_the_error_does(number, done):
    assert number in SYSTEM_ERRORS
    error = OSError(number, os.strerror(number), "/x/y")
    assert refused(error) == f"/x/y: cannot be {done}: {os.strerror(number)}"
    assert failed_operation(error, "read") == ("written" if done == "written" else "read")


@pytest.mark.parametrize(
    ("access", "done"), [(0, "read"), (os.R_OK, "written"), (os.R_OK | os.W_OK, "read or written")]
)
def test_what_may_not_be_read_is_told_from_what_may_not_be_written(tmp_path, monkeypatch, access, done):
    (tmp_path / "x").touch()
    monkeypatch.setattr(os, "access", lambda _, needed: needed & access == needed)
    error = PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "x"))
    assert refused(error) == f"{tmp_path / 'x'}: cannot be {done}: Permission denied"


def test_an_entry_that_may_not_be_read_is_not_said_to_be_written(tmp_path, monkeypatch):
    store = Store(tmp_path / "store")
    store.get_or_compute("ab" * 32, "trained", "SRNet", {}, lambda draft: (draft / "a").write_text("x"))
    manifest._checked.clear()

    def closed(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(hashing, "open_file", closed)
    with pytest.raises(StoreError, match=r"cannot be read: Permission denied"):
        store.get_or_compute("ab" * 32, "trained", "SRNet", {}, lambda _: None)
