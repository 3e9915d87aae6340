"""Several processes on one store, and processes that die."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from small_store import KEY, compute, obtain

from srframework.store import manifest


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


CRASHES = """
import json, os, shutil, sys, tempfile
from pathlib import Path
from srframework.store import content, manifest, entry_users
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
        "users": len(list((entry_users.users_place(store.root, entry.key)).glob("[!.]*"))) if again else 1,
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
