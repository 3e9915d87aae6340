"""What one run has computed, another takes from the store; and what differs, it does not."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from srframework.training.loop import Training

TEMPLATE = """
name = "Shared"
schema = 1
seed = 5
backbone = {{ use = "tiny", layers = 1, width = 16, heads = 2, intermediate = 16 }}
training = {{ max_steps = 8, batch_size = 4, checkpoint_steps = 2 }}
{dataset}
[[stages]]
name = "full"
op = "train"
loss = "std"
{more}
"""
PAIRS = """
[dataset]
use = "pairs"
root = "{root}"
labels = ["no", "yes"]
text_a = "a"
text_b = "b"
train.path = "train.tsv"
dev.path = "dev.tsv"
"""
DATA = PAIRS.format(root="data")
MORE = '[[stages]]\nname = "{name}"\nop = "train"\nweights = "full{at}"\nloss = "std"\nmax_steps = 2\n'


def rows(count):
    return "a\tb\tlabel\n" + "".join(f"w{n} x\ty w{n % 3}\t{('no', 'yes')[n % 2]}\n" for n in range(count))


@pytest.fixture(scope="module")
def home(perform, tmp_path_factory):
    """Data, and one finished run of one stage."""
    home = tmp_path_factory.mktemp("shared")
    for folder in ("data", "moved"):
        (home / folder).mkdir()
        (home / folder / "train.tsv").write_text(rows(24))
        (home / folder / "dev.tsv").write_text(rows(8))
    (home / "data" / "ood.tsv").write_text(rows(5))
    return home


@pytest.fixture
def run(perform, home):
    """Run a recipe; give its report, and for each stage whether it was cached."""

    def run(out, dataset=DATA, more="", *arguments):
        (home / "recipe.toml").write_text(TEMPLATE.format(dataset=dataset, more=more))
        done = perform("run", "recipe.toml", "--out", out, "--json", *arguments, cwd=home)
        assert done.code == 0, done.err
        report = json.loads(done.out)
        taken = {stage["name"]: f" {stage['name']}: reused cached result" in done.err for stage in report["stages"]}
        return SimpleNamespace(report=report, taken=taken, err=done.err, out=home / out)

    return run


def test_another_recipe_shares_the_stage_and_its_files(run):
    first = run("first")
    second = run("second", more=MORE.format(name="more", at=""))
    assert second.taken == {"full": True, "more": False}
    assert second.report["stages"][0] == first.report["stages"][0]
    model = "stages/full/model/model.safetensors"
    assert (first.out / model).samefile(second.out / model)
    keys = [json.loads((each.out / "run.json").read_text())["stages"]["full"] for each in (first, second)]
    assert keys[0] == keys[1]


def test_data_that_moved_are_the_same_and_data_that_changed_are_not(run, home):
    run("here")
    assert run("there", PAIRS.format(root="moved")).taken == {"full": True}
    (home / "moved" / "train.tsv").write_text(rows(24).replace("w7 x", "w7 z"))
    assert run("changed", PAIRS.format(root="moved")).taken == {"full": False}


def test_another_split_is_measured_and_nothing_is_trained(run):
    before = run("narrow")
    after = run("wide", DATA + 'ood.far.path = "ood.tsv"\n')
    assert after.taken == {"full": True}
    assert (before.report["stages"][0]["ood"], list(after.report["stages"][0]["ood"])) == ({}, ["far"])
    assert after.report["stages"][0]["id"] == before.report["stages"][0]["id"]
    assert (after.out / "stages/full/predictions/far.safetensors").exists()
    assert not (before.out / "stages/full/predictions/far.safetensors").exists()


def test_a_step_that_nobody_kept_is_computed_once_and_those_that_somebody_kept_stay(run):
    whole = run("whole", DATA, "", "--store", "steps")
    third = run("third", DATA, MORE.format(name="more", at="@3"), "--store", "steps")
    assert third.taken == {"full": False, "more": False}
    fifth = run("fifth", DATA, MORE.format(name="more", at="@5"), "--store", "steps")
    assert fifth.taken["full"] is False
    again = run("again", DATA, MORE.format(name="more", at="@3"), "--store", "steps")
    assert again.taken == {"full": True, "more": True}
    for each, steps in ((whole, []), (third, ["3"]), (fifth, ["5"]), (again, ["3"])):
        assert sorted(path.name for path in each.out.glob("stages/full/points/*")) == steps
        assert each.report["stages"][0] == whole.report["stages"][0]


def test_a_killed_run_is_taken_up_by_a_recipe_that_wants_an_earlier_step(run, perform, home):
    class Killed(Exception):
        pass

    def killed(self, at, *rest):
        save(self, at, *rest)
        if at.step == 6:
            raise Killed

    save, store = Training._save, ("--store", "killed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Training, "_save", killed)
        with pytest.raises(AssertionError, match="internal error: Killed"):
            run("dies", DATA, "", *store)
    third = run("goes-on", DATA, MORE.format(name="more", at="@5"), *store)
    assert "full: resumes from the checkpoint at step 4" in third.err
    afresh = run("afresh", DATA, MORE.format(name="more", at="@5"), "--store", "afresh")
    assert third.report["stages"] == afresh.report["stages"]
    model = "stages/full/model/model.safetensors"
    assert (third.out / model).read_bytes() == (afresh.out / model).read_bytes()
