"""Full disks, damaged stores, runs that meet in one store: `srframework run` loses nothing, and does nothing twice."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

RECIPE = """
name = "Faults"
schema = 1
seed = 3
backbone = { use = "tiny", layers = 1, width = 32, heads = 2, intermediate = 48 }
dataset = { use = "synthetic", train_size = 96, dev_size = 30, ood_size = 24 }
training = { batch_size = 8, learning_rate = 1e-2, max_steps = 8, eval_every = 4, log_every = 1, checkpoint_steps = 2 }

[[stages]]
name = "full"
op = "train"
loss = "std"

[[stages]]
name = "srnet"
op = "prune"
weights = "full@6"
pruner = { use = "mask", sparsity = 0.5 }
loss = "std"

[[stages]]
name = "imp"
op = "prune"
weights = "full"
pruner = { use = "imp", sparsity = 0.4, step = 0.1, interval = 0.25, levels = "all" }
loss = "std"
"""
STAGES = ("full", "srnet", "imp")
SRFRAMEWORK = [str(Path(sys.executable).parent / "srframework")]
TAKEN = "reused cached result"


def environment() -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("SRFRAMEWORK_")}
    return {**kept, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}


def run(*arguments: str) -> list[str]:
    """A command that gets its recipe from the current directory."""
    return [*SRFRAMEWORK, "run", "recipe.toml", "--json", *arguments]


def started(command: list[str], cwd: Path, **variables: str) -> subprocess.Popen[str]:
    """The command, in a process of its own, which goes on by itself; what it says goes to pipes."""
    return subprocess.Popen(
        command, cwd=cwd, env=environment() | variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def content(out: Path) -> dict[str, bytes]:
    """Everything that a run computed, by its path; nothing in it tells of the time that it took."""
    stages = out / "stages"
    return {str(path.relative_to(stages)): path.read_bytes() for path in stages.rglob("*") if path.is_file()}


def taken(err: str) -> list[str]:
    """The stages that a run says it took from the store."""
    return re.findall(rf"\[\d/3\] (\w+): {TAKEN}", err)


@pytest.fixture(scope="module")
def good(perform, tmp_path_factory):
    """The run that meets no trouble, its store, and what both of them take on the disk, in bytes."""
    home = tmp_path_factory.mktemp("good")
    (home / "recipe.toml").write_text(RECIPE)
    done = perform("run", "recipe.toml", "--out", "out", "--store", "store", "--json", cwd=home)
    assert done.code == 0, done.err
    report = json.loads(done.out)["stages"]
    return SimpleNamespace(
        home=home, out=home / "out", store=home / "store", stages=report, content=content(home / "out")
    )


@pytest.fixture
def here(tmp_path) -> Path:
    """An empty working directory with the recipe."""
    (tmp_path / "recipe.toml").write_text(RECIPE)
    return tmp_path


@pytest.fixture
def go(perform, here, good) -> Callable[..., SimpleNamespace]:
    """Run the recipe in this process; a run that succeeds must give what the one without trouble gave."""

    def go(out: str = "out", store: str = "store", *more: str) -> SimpleNamespace:
        from srframework.store import manifest

        manifest._checked.clear()  # as in a process of its own, which has read nothing yet
        done = perform("run", "recipe.toml", "--out", out, "--store", store, "--json", *more, cwd=here)
        assert "Traceback" not in done.err
        if done.code == 0:
            assert json.loads(done.out)["stages"] == good.stages
            assert content(here / out) == good.content
        else:
            assert (done.code, done.out) == (1, "")
        return SimpleNamespace(code=done.code, err=done.err, taken=taken(done.err))

    return go


@pytest.fixture
def disk(tmp_path) -> Iterator[Callable[[str], Path]]:
    """Mount a disk of its own, with these options, in the working directory; called again, give it others."""
    path = tmp_path / "disk"

    def mount(options: str) -> Path:
        again = "remount," if path.is_dir() else ""
        path.mkdir(exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", f"{again}{options}", "tmpfs", str(path)]
        mounted = subprocess.run(command, capture_output=True, text=True, check=False)
        if mounted.returncode:
            if again:
                raise AssertionError(mounted.stderr)
            pytest.skip(f"a disk cannot be mounted here: {mounted.stderr.strip()}")
        return path

    try:
        yield mount
    finally:
        if path.is_mount():
            # Lazily: this process may still have weights mapped that it read from there.
            subprocess.run(["umount", "--lazy", str(path)], check=True)


# -- disks that fill up ----------------------------------------------------------------------------


def bytes_of(store: Path) -> int:
    """The disk space of the files; files with several links count once."""
    return sum(
        {each.st_ino: each.st_size for path in store.rglob("*") if path.is_file() for each in [path.stat()]}.values()
    )


@pytest.mark.long
@pytest.mark.parametrize(
    ("share", "has_checkpoint"),
    [(0.0, False), (0.25, False), (0.43, True), (0.94, True), (1.04, True), (1.26, True), (1.59, True), (1.8, True)],
)
def test_a_store_on_a_disk_that_fills_up_goes_on_when_there_is_space(go, good, disk, here, share, has_checkpoint):
    """The space is a share of what all stages take in the end; of each, checkpoints take more while it is computed.

    It fills up at the first lines; at the first checkpoint; at the second; at a point's model; at its
    tokenizer; at the third; at the end of the first stage; in the last.
    """
    disk(f"size={max(1, int(share * bytes_of(good.store)) // 4096) * 4}k")
    first = go("out", "disk/store")
    assert first.code == 1
    said = "cannot be written: No space left on device; nothing that was computed before is lost; free some space, or"
    assert f"error: store disk/store: {said} choose another with --store or $SRFRAMEWORK_STORE" in first.err
    state = json.loads((here / "out" / "run.json").read_text())
    assert state["state"] == "failed"
    assert "No space left on device" in state["error"]
    assert not (here / "out" / "results.json").exists()
    whole = {path.parent.name for path in (here / "disk" / "store" / "entries").glob("*/*/manifest.json")}
    assert whole < {path.parent.name for path in (good.store / "entries").glob("*/*/manifest.json")}
    assert has_checkpoint == bool(list((here / "disk" / "store").glob("work/*/files/checkpoints/[1-9]*/sums.json")))
    disk("size=64m")
    second = go("out", "disk/store")
    assert second.code == 0, second.err
    assert has_checkpoint == bool(re.search(r": resumes from the checkpoint at step [2468]\n", second.err))
    assert "damaged" not in second.err
    assert len(second.taken) == len(whole & trained(good.store))
    assert json.loads((here / "out" / "run.json").read_text())["state"] == "finished"
    assert not list((here / "disk" / "store" / "work").iterdir())
    assert go("out", "disk/store").taken == list(STAGES)


def trained(store: Path) -> set[str]:
    """The keys of the entries that are a stage's training."""
    manifests = (json.loads(path.read_text()) for path in (store / "entries").glob("*/*/manifest.json"))
    return {manifest["key"] for manifest in manifests if manifest["kind"] == "trained"}


@pytest.mark.long
@pytest.mark.parametrize("pages", [1, 6, 24, 120])
def test_a_run_directory_on_a_full_disk_is_a_sentence_and_elsewhere_the_stages_are_taken(go, disk, here, pages):
    disk(f"size={4 * pages}k")
    first = go("disk/out", "store")
    assert first.code == 1
    said = re.findall(r"^error: .*", first.err, flags=re.MULTILINE)
    assert len(said) == 1, first.err
    assert "No space left on device" in said[0]
    assert "disk/out" in said[0], said
    whole = {path.parent.name for path in (here / "store" / "entries").glob("*/*/manifest.json")}
    second = go("elsewhere", "store")
    assert second.code == 0, second.err
    assert len(second.taken) == len(whole & trained(here / "store"))


# -- damage ----------------------------------------------------------------------------------------


def cut(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


@pytest.mark.long
@pytest.mark.parametrize("name", ["full", "imp"])
@pytest.mark.parametrize(
    ("file", "harm", "said"),
    [
        ("files/model/model.safetensors", cut, r"model\.safetensors: expected \d+ bytes, got \d+"),
        ("files/model/model.safetensors", flip, r"model\.safetensors: expected SHA-256 \w+, got \w+"),
        ("files/metrics.jsonl", Path.unlink, r"metrics\.jsonl: expected a file of \d+ bytes, got none"),
        ("files/model/config.json", flip, r"config\.json: expected SHA-256 \w+, got \w+"),
        ("manifest.json", cut, r"manifest\.json: expected a JSON object with a digest, got \d+ other characters"),
        ("manifest.json", flip, r"manifest\.json: expected "),
        ("manifest.json", Path.unlink, ""),
    ],
)
def test_what_is_damaged_is_set_aside_and_computed_again_to_the_same_bits(go, good, here, name, file, harm, said):
    shutil.copytree(good.store, here / "store")
    key = json.loads((good.out / "run.json").read_text())["stages"][name]["trained"]
    harm(here / "store" / "entries" / key[:2] / key / file)
    done = go()
    assert done.code == 0, done.err
    assert name not in done.taken
    assert set(done.taken) == {*STAGES} - {name}  # the same bits again: who starts from them need not
    aside = [path.name for path in (here / "store").glob("damaged/*")]
    if said:
        assert re.search(said + r".*; it is set aside as .*damaged/" + key, done.err), done.err
        assert [each.split("-")[0] for each in aside] == [key]
    again = go("again")
    assert (again.code, again.taken) == (0, list(STAGES))
    assert "set aside" not in again.err


def test_a_damaged_measurement_is_measured_again_and_nothing_is_trained(go, good, here):
    shutil.copytree(good.store, here / "store")
    key = json.loads((good.out / "run.json").read_text())["stages"]["srnet"]["measured"]
    place = here / "store" / "entries" / key[:2] / key
    flip(place / "files" / "predictions" / "dev.safetensors")
    done = go()
    assert (done.code, done.taken) == (0, list(STAGES))
    assert "predictions/dev.safetensors: expected SHA-256" in done.err
    assert list((here / "store" / "damaged").glob(f"{key}-*"))


# -- a store that can only be read -----------------------------------------------------------------


def test_a_store_that_can_only_be_read_serves_what_it_has_and_says_what_it_cannot_take(go, good, disk, here):
    shutil.copytree(good.store, disk("size=64m") / "store")
    disk("ro")
    try:
        done = go("out", "disk/store")
        assert (done.code, done.taken) == (0, list(STAGES))
        assert "error" not in done.err
        other = go("other", "disk/store", "--set", "stages.imp.max_steps=7")
    finally:
        disk("rw")
    assert other.code == 1
    assert other.taken == ["full", "srnet"]
    assert re.search(r"^error: store disk/store: cannot be written: Read-only file system; ", other.err, re.MULTILINE)
    assert "choose another with --store or $SRFRAMEWORK_STORE" in other.err
    assert json.loads((here / "other" / "run.json").read_text())["state"] == "failed"


# -- two runs in one store -------------------------------------------------------------------------


@pytest.mark.long
def test_of_two_runs_at_the_same_time_each_stage_is_computed_by_one(here, good):
    processes = [started(run("--out", out, "--store", "store"), here) for out in ("a", "b")]
    try:
        said = [process.communicate() for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], said
    errs = [err for _, err in said]
    assert not any("Traceback" in err for err in errs)
    computed = [{*STAGES} - {*taken(err)} for err in errs]
    assert computed[0] | computed[1] == {*STAGES}
    assert not computed[0] & computed[1]
    for stage in STAGES:
        assert sum(len(re.findall(rf"\] {stage}: step 8/8,", err)) for err in errs) <= 1
    for out, (printed, _) in zip(("a", "b"), said, strict=True):
        assert json.loads(printed)["stages"] == good.stages
        assert content(here / out) == good.content
    for stage in {*STAGES} - {"srnet"}:  # one file at three places; that of srnet, which is packed, may be two
        files = [here / out / "stages" / stage / "model" / "model.safetensors" for out in ("a", "b")]
        assert len({file.stat().st_ino for file in files}) == 1
    assert not list((here / "store" / "work").iterdir())


LONG = ["--set", "stages.full.max_steps=60", "--set", "training.checkpoint_steps=5"]


@pytest.mark.long
def test_a_run_waits_for_another_one_s_stage_and_goes_on_with_it_when_that_is_killed(here, perform, pause, wait_until):
    first = started(run("--out", "a", "--store", "store", *LONG), here, **pause.variables)
    try:
        wait_until(lambda: list(here.glob("store/work/*/files/checkpoints/[1-9]*/sums.json")), first)
        second = started(run("--out", "b", "--store", "store", *LONG), here)
        try:
            assert second.stderr is not None
            lines = [second.stderr.readline()]
            while "waiting" not in lines[-1]:
                assert lines[-1], "".join(lines)
                lines.append(second.stderr.readline())
            assert lines[-1].endswith(" waiting for another process that computes A_std(f(θ_pt))\n")
            first.kill()
            printed, err = second.communicate()
        finally:
            second.kill()
    finally:
        first.kill()
        first.communicate()
    assert second.returncode == 0, err
    went_on = re.search(r"full: resumes from the checkpoint at step (\d+)", err)
    assert went_on, err
    assert 5 <= int(went_on[1]) < 60
    assert taken(err) == []
    third = perform("run", "recipe.toml", "--json", "--out", "c", "--store", "another", *LONG, cwd=here)
    assert third.code == 0, third.err
    assert content(here / "b") == content(here / "c")
    assert json.loads(printed)["stages"] == json.loads(third.out)["stages"]
    facts = json.loads((here / "a" / "run.json").read_text())
    assert facts["state"] == "running"  # it had no time to say otherwise
    assert not (here / "store" / "damaged").exists()
