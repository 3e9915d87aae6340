"""``run --log-with``: an experiment tracker of Accelerate."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from small_recipe import FULL, small_recipe, srnet
from tensorboardX.proto.event_pb2 import Event


def scalars(directory: Path) -> dict[str, dict[int, float]]:
    """Tag -> step -> value, from the event files of TensorBoard under a directory."""
    found: dict[str, dict[int, float]] = {}
    for file in directory.rglob("events.out.tfevents.*"):
        content, at = file.read_bytes(), 0
        while at < len(content):
            (size,) = struct.unpack_from("<Q", content, at)
            event = Event.FromString(content[at + 12 : at + 12 + size])
            for each in event.summary.value:
                if each.HasField("simple_value"):
                    found.setdefault(each.tag, {})[event.step] = each.simple_value
            at += 16 + size  # size, its checksum, the event, its checksum
    return found


@pytest.fixture
def work(tmp_path) -> Path:
    (tmp_path / "recipe.toml").write_text(
        'evaluators = ["f1"]\n'
        + small_recipe(
            "tracked", FULL, srnet(), training="max_steps = 2, log_every = 1, eval_every = 1, eval_ood = true"
        )
    )
    return tmp_path


def test_losses_and_figures_are_logged_by_stage_and_step(work, perform):
    done = perform("run", "recipe.toml", "--out", "out", "--log-with", "tensorboard", cwd=work)
    assert done.code == 0, done.err
    found = scalars(work / "out" / "tracker")
    for stage in ("full", "srnet"):
        for name in ("loss", "learning_rate", "ID", "OOD/random", "accuracy/dev", "f1/random"):
            from_start = stage == "srnet" and name not in ("loss", "learning_rate")
            assert sorted(found[f"{stage}/{name}"]) == [*([0] if from_start else []), 1, 2], (stage, name)
    assert (work / "out" / "results.json").exists()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--log-with", "tensorbord"], "--log-with tensorbord: no tracker has this name; did you mean 'tensorboard'?"),
        (["--log-with", "aim"], "--log-with aim: the package of this tracker is not installed; installed: "),
        (
            ["--log-with", "tensorboard", "--set", "sweep.seed=[1,2]"],
            "--log-with: expected a single run, got the combinations of a sweep",
        ),
    ],
)
def test_a_tracker_that_cannot_be_used_is_refused_before_anything_runs(work, perform, args, message):
    done = perform("run", "recipe.toml", "--out", "out", *args, cwd=work)
    assert (done.code, done.out) == (2, "")
    assert message in " ".join(done.err.split())
    assert not (work / "out").exists()
