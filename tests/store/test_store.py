"""The stage store: nothing is computed twice, nothing half is taken for whole, whatever happens in between."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from srframework.errors import StoreError
from srframework.store import content, manifest, users
from srframework.store.gc import collect_garbage
from srframework.store.manifest import Entry
from srframework.store.store import Store
from srframework.store.verify import verify

KEY, OTHER = "ab" * 32, "cd" * 32
TEXT = "the weights"


def compute(draft: Path) -> None:
    """Write two files, and what is of use only on the way."""
    (draft / "model").mkdir(exist_ok=True)
    (draft / "model" / "weights").write_text(TEXT)
    (draft / "result.json").write_text("{}")
    (draft / ".tmp").write_text("x")
    (draft / "model" / ".cache").mkdir(exist_ok=True)
    (draft / "model" / ".cache" / "x").write_text("x")
    (draft / "checkpoints" / "8").mkdir(parents=True, exist_ok=True)
    (draft / "checkpoints" / "8" / "state").write_text("x")


class Notes(list):
    """Sentences for the user."""

    def __call__(self, text: str) -> None:
        self.append(text)


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
def store(tmp_path, notes) -> Store:
    return Store(tmp_path / "store", notes)


def obtain(store: Store, key: str = KEY, compute=compute, **more) -> tuple[Entry, bool]:
    return store.get_or_compute(key, "trained", "SRNet", {"seed": 1}, compute, **more)


def names(path: Path) -> list[str]:
    return sorted(str(each.relative_to(path)) for each in path.rglob("*") if each.is_file())


def fail(_draft: Path) -> None:
    raise AssertionError("nothing is to be computed")


def make_run(path: Path, key: str = KEY, **facts) -> Path:
    """A run directory whose run.json mentions the key."""
    path.mkdir(parents=True)
    run = {"state": "finished", "stages": {"srnet": {"trained": key}}, **facts}
    (path / "run.json").write_text(json.dumps(run))
    return path


# -- what is kept ----------------------------------------------------------------------------------


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
    assert list(said) == ["key", "kind", "what", "created", "seconds", "identity", "files", "digest"]
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


# -- attempts --------------------------------------------------------------------------------------


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
        obtain(store, compute=_interrupted)
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
        obtain(store, compute=_interrupted)
    (store.root / "work" / KEY / "draft.json").write_text(text)
    assert [draft.seconds for draft in store.drafts()] == [0.0]
    assert not obtain(store)[1]


def _interrupted(draft: Path) -> None:
    (draft / "a").write_text("x")
    raise KeyboardInterrupt


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
        obtain(store, compute=_interrupted, enough=lambda _: False)
    assert store.get(KEY) == entry


# -- damage ----------------------------------------------------------------------------------------


def _truncate(entry: Entry) -> None:
    os.truncate(entry.files / "model" / "weights", 3)


def _flip(entry: Entry) -> None:
    path = entry.files / "model" / "weights"
    data = bytearray(path.read_bytes())
    data[4] ^= 1
    path.write_bytes(data)


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
        (_flip, r"files/model/weights: expected SHA-256 [0-9a-f]{12}, got [0-9a-f]{12}"),
        (_remove, r"files/model/weights: expected a file of 11 bytes, got none"),
        (_add, r"files/extra: expected no such file, got one"),
        (_replace(""), r"manifest.json: expected a JSON object with a digest, got 0 characters without"),
        (_replace("[]"), r"manifest.json: expected a JSON object with a digest, got 2 characters without"),
        (_replace('{"digest": 1}'), r"manifest.json: expected a content of SHA-256 1, got [0-9a-f]{12}"),
        (_rewrite, r"manifest.json: expected a content of SHA-256 [0-9a-f]{12}, got [0-9a-f]{12}"),
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
    assert re.search(rf"{said}; it is set aside as {re.escape(str(aside.path))}, and is computed again", note)
    again, was_there = obtain(store)
    assert not was_there
    assert (again.files / "model" / "weights").read_text() == TEXT


def test_damage_that_obtain_finds_is_mended_at_once(store, notes):
    _flip(obtain(store)[0])
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
    content = bytearray(path.read_bytes())
    content[int(where * len(content))] ^= 1 << bit
    path.write_bytes(content)
    manifest._checked.clear()
    assert store.get(KEY) is None


def test_verify_reads_everything_again(store, notes):
    entry, other = obtain(store)[0], obtain(store, OTHER)[0]
    stat = (entry.files / "result.json").stat()
    (entry.files / "result.json").write_text("[]")
    os.utime(entry.files / "result.json", ns=(stat.st_atime_ns, stat.st_mtime_ns))  # looks as before
    assert store.get(KEY) == entry
    checked = verify(store)
    assert checked.whole == [other]
    [(key, sentence)] = checked.damaged
    assert key == KEY
    assert "result.json: expected SHA-256" in sentence
    assert len(list(store.damaged())) == len(notes) == 1
    assert verify(store).damaged == []


# -- users -----------------------------------------------------------------------------------------


def test_users_are_the_runs_that_exist_and_mention_the_key(store, tmp_path):
    entry, _ = obtain(store)
    used = make_run(tmp_path / "b"), make_run(tmp_path / "a", OTHER, state="running")
    elsewhere, gone, broken = make_run(tmp_path / "c", OTHER), tmp_path / "gone", tmp_path / "broken"
    broken.mkdir()
    (broken / "run.json").write_text("{")
    for run in (*used, *used, elsewhere, gone, broken):
        store.use(entry.key, run)
    assert entry.users() == sorted(used)
    assert len(os.listdir(users.users_place(store.root, entry.key))) == 5


def test_a_user_of_what_is_gone_does_not_make_half_an_entry(store, tmp_path):
    entry, _ = obtain(store)
    collect_garbage(store, older_than=0)
    store.use(entry.key, tmp_path)
    assert not entry.path.exists()
    assert entry.users() == []


# -- several processes -----------------------------------------------------------------------------

SCRIPT = """
import os, sys, time
from pathlib import Path
from srframework.store.store import Store
root, mode = Path(sys.argv[1]), sys.argv[2]

def compute(draft):
    with (root.parent / "calls").open("a") as calls:
        calls.write("x")
    (draft / "a").write_text("half")
    print("computing", flush=True)
    while mode == "hang" or not (root.parent / "go").exists():
        time.sleep(0.01)
    (draft / "a").write_text("whole")

store = Store(root, lambda text: print("note:", text, flush=True))
entry, was_there = store.get_or_compute("ab" * 32, "trained", "SRNet", {}, compute)
print(was_there, (entry.files / "a").read_text(), flush=True)
"""


@pytest.fixture
def start() -> Iterator:
    """Start a process that obtains the key; ended with the test."""
    started = []

    def start(store: Store, mode: str = "work") -> subprocess.Popen[str]:
        command = [sys.executable, "-c", SCRIPT, str(store.root), mode]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for process in started:
        with process:
            process.kill()


def test_of_several_processes_one_computes_and_the_others_wait_for_it(store, start, tmp_path):
    processes = [start(store) for _ in range(4)]
    first = [process.stdout.readline() for process in processes]
    waiting = "note: waiting for another process that computes SRNet\n"
    assert sorted(first) == ["computing\n", waiting, waiting, waiting]
    (tmp_path / "go").touch()
    last = [process.communicate()[0] for process in processes]
    assert (tmp_path / "calls").read_text() == "x"
    assert last == ["False whole\n" if line == "computing\n" else "True whole\n" for line in first]


def test_the_lock_of_a_killed_process_is_free_and_its_draft_is_gone_on_with(store, start, notes):
    process = start(store, "hang")
    assert process.stdout.readline() == "computing\n"
    with store.lock(KEY) as free:
        assert not free
    process.send_signal(signal.SIGKILL)
    process.wait()
    with store.lock(KEY) as free:
        assert free

    def go_on(draft: Path) -> None:
        assert (draft / "a").read_text() == "half"

    assert not obtain(store, compute=go_on)[1]
    assert notes == []


# -- crashes ---------------------------------------------------------------------------------------

CRASHES = """
import json, os, shutil, sys, tempfile
from pathlib import Path
from srframework.store import content, manifest, users
from srframework.store.store import Store
from srframework.store.gc import collect_garbage
from srframework.store.verify import verify
again = sys.argv[2] == "again"
fast = "/dev/shm" if os.access("/dev/shm", os.W_OK) else sys.argv[1]  # a disk in memory, so that fsync takes no time
here = tempfile.TemporaryDirectory(dir=fast)
root = Path(here.name)
steps = ["fsync", "rename", "replace", "unlink", "rmdir", "mkdir"]

def compute(draft):
    (draft / "checkpoints").mkdir(exist_ok=True)
    (draft / "checkpoints" / "1").write_text("x")
    (draft / "new").write_text("whole")
    (draft / ".scratch").write_text("x")

def obtain(store, compute):
    enough = lambda files: not again or (files / "new").exists()  # noqa: E731 -- too long where it is used
    return store.get_or_compute("ab" * 32, "trained", "SRNet", {}, compute, enough)

def dies(root, crash_at):  # the process dies just before its step of that number
    child = os.fork()
    if child == 0:
        left = [crash_at]
        def dying(real):
            def step(*args, **more):
                if left[0] == 0:
                    os._exit(77)
                left[0] -= 1
                return real(*args, **more)
            return step
        for name in steps:
            setattr(os, name, dying(getattr(os, name)))
        obtain(Store(root), compute)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 77

seen = []
for crash_at in range(1000):
    place = root / str(crash_at)
    store = Store(place)
    if again:
        before = lambda draft: (draft / "old").write_text("old") and None  # noqa: E731 -- too long where it is used
        store.get_or_compute("ab" * 32, "trained", "SRNet", {}, before)
        store.use("ab" * 32, root / "run")
    if not dies(place, crash_at):
        break
    dies(place, crash_at // 2)  # and a second time, in what then goes on
    manifest._checked.clear()
    found = store.get("ab" * 32)
    calls = []
    def go_on(draft):
        calls.append(sorted(os.listdir(draft)))
        compute(draft)
    entry, was_there = obtain(store, go_on)
    collect_garbage(store, older_than=1e9)  # removes nothing but what the dead left in between
    seen.append({
        "found": found and sorted(path.name for path in found.files.iterdir()),
        "before": calls,
        "there": was_there,
        "files": sorted(path.name for path in entry.files.iterdir()),
        "users": len(list((users.users_place(store.root, entry.key)).glob("[!.]*"))) if again else 1,
        "damaged": len(list(store.damaged())),
        "left": sorted(os.listdir(place / "work")) + sorted(os.listdir(entry.path.parent)),
        "whole": verify(store).damaged == [],
    })
    shutil.rmtree(place)
print(json.dumps(seen))
"""


@pytest.mark.parametrize("mode", ["new", "again"])
def test_a_crash_before_any_step_loses_nothing_and_takes_nothing_half_for_whole(tmp_path, mode):
    command = [sys.executable, "-c", CRASHES, str(tmp_path), mode]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert len(seen) > 20
    for number, after in enumerate(seen):
        said = (number, after)
        assert after["found"] in ([None, ["new"]] if mode == "new" else [None, ["old"], ["new"]]), said
        assert after["files"] == ["new"], said
        assert after["users"] == 1, said
        assert after["whole"], said
        assert after["damaged"] == 0, said
        assert after["left"] == [KEY], said
        # Computed once more at most, and then with all that had been written, or with nothing: before it was.
        assert after["before"] in ([], [[]], [[".scratch", "checkpoints", "new"]]), said
        assert after["there"] is (after["before"] == []), said
    assert {str(after["before"]) for after in seen} >= {"[]", "[[]]", "[['.scratch', 'checkpoints', 'new']]"}


def test_what_a_dead_process_had_finished_and_is_damaged_since_is_set_aside(store, notes):
    draft = store.root / "work" / KEY
    (draft / "files").mkdir(parents=True)
    compute(draft / "files")
    manifest.write(draft, KEY, "trained", "SRNet", 1.0, {})
    (draft / "files" / "result.json").write_text("[]")
    entry, was_there = obtain(store)
    assert not was_there
    assert (entry.files / "result.json").read_text() == "{}"
    assert "result.json: expected SHA-256" in notes[0]


# -- disks -----------------------------------------------------------------------------------------


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
    _flip(other)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    manifest._checked.clear()
    assert store.get(KEY) == kept
    assert obtain(store, compute=fail) == (kept, True)
    store.use(kept.key, make_run(tmp_path / "run"))
    assert kept.users() == []
    assert notes == []
    assert store.get(OTHER) is None
    assert "it is not used, and stays because the store cannot be written" in notes[0]
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


# -- pruning ---------------------------------------------------------------------------------------


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
    assert [(item.state, item.key, item.why) for item in done.kept] == [("draft", KEY, "another process works on it")]
    assert len(done.removed) == 3
    assert [draft.key for draft in aged.drafts()] == [KEY]


def test_drafts_and_damaged_ones_go_when_they_are_old(store):
    _flip(obtain(store)[0])
    assert store.get(KEY) is None
    with pytest.raises(KeyboardInterrupt):
        obtain(store, OTHER, _interrupted)
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
