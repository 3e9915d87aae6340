"""What the store and run directories keep of models that are other models under a mask, and `srframework export`."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file
from small_recipe import FULL, small_recipe
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from srframework.masks import Mask
from srframework.run.saved_model import SavedModel
from srframework.store.store import Store


def pruned(name: str, weights: str, pruner: str, more: str = "") -> str:
    return f"""
[[stages]]
name = "{name}"
op = "prune"
weights = "{weights}"
pruner = {{ {pruner} }}
loss = "std"
{more}
"""


UNTRAINED = "learning_rate = 1e-30"
"""Too small a rate to change a bit of a weight: only the mask is new."""

RECIPE = small_recipe(
    "Masked",
    FULL,
    pruned("srnet", "full", 'use = "mask", sparsity = 0.5'),
    pruned("early", "full@1", 'use = "mask", sparsity = 0.5'),
    pruned("on-pretrained", "pretrained", 'use = "mask", sparsity = 0.5'),
    pruned("deeper", "srnet@1", 'use = "mask", sparsity = 0.75'),
    pruned("magnitude", "full", 'use = "omp", sparsity = 0.5', UNTRAINED),
    pruned("random", "full", 'use = "random", sparsity = 0.5', UNTRAINED),
    pruned("trained", "full", 'use = "omp", sparsity = 0.5'),
    pruned("imp", "full", 'use = "imp", sparsity = 0.5, step = 0.25, levels = "all"'),
    training="max_steps = 4, eval_every = 2",
)
PACKED = {"srnet", "early", "on-pretrained", "deeper", "magnitude", "random", "srnet/points/1"}
IN_FULL = {"full", "full/points/1", "trained", "imp", "imp/points/0.25"}


@pytest.fixture(scope="module")
def masked(perform, tmp_path_factory) -> SimpleNamespace:
    """The recipe, swept over one seed and run by itself, each with a store of its own."""
    home = tmp_path_factory.mktemp("masked")
    (home / "recipe.toml").write_text(RECIPE)
    assert perform("sweep", "recipe.toml", "--grid", "seed=0", "--out", "swept", "--store", "a", cwd=home).code == 0
    assert perform("run", "recipe.toml", "--out", "single", "--store", "b", cwd=home).code == 0
    (swept,) = (path.parent for path in (home / "swept").glob("*/run.json"))
    return SimpleNamespace(home=home, swept=swept, single=home / "single")


@pytest.fixture
def copied(masked, tmp_path) -> SimpleNamespace:
    """A copy for a test that changes files."""
    shutil.copytree(masked.home, tmp_path / "home")
    return SimpleNamespace(home=tmp_path / "home", swept=tmp_path / "home" / masked.swept.relative_to(masked.home))


def places(run: Path, part: str) -> set[str]:
    """The stages and points of which a run directory has this file or directory."""
    found = (path.relative_to(run / "stages").as_posix() for path in run.glob(f"stages/**/{part}"))
    return {name.removesuffix(f"/{part}") for name in found}


def trained(home: Path, store: str, stage: str) -> Path:
    (entry,) = (
        each for each in Store(home / store).entries() if (each.kind, each.about["stage"]) == ("trained", stage)
    )
    return entry.files


def test_a_single_run_has_every_model_in_full(masked):
    assert places(masked.single, "model/model.safetensors") >= PACKED | IN_FULL
    assert places(masked.single, "packed") == places(masked.single, "base") == set()


def test_a_run_of_a_sweep_has_packed_models(masked):
    assert places(masked.swept, "packed") == places(masked.swept, "base") == PACKED
    assert places(masked.swept, "model") >= IN_FULL
    assert not places(masked.swept, "model") & PACKED


@pytest.mark.parametrize("store", ["a", "b"])
def test_the_store_keeps_what_differs(masked, store):
    full = trained(masked.home, store, "full") / "model" / "model.safetensors"
    for stage in ("srnet", "magnitude", "random", "deeper"):
        files = trained(masked.home, store, stage)
        assert (files / "base" / "model.safetensors").samefile(full)
        assert load_file(files / "packed" / "changed.safetensors") == {}
        assert not (files / "model").exists()
    early = trained(masked.home, store, "early") / "base" / "model.safetensors"
    assert early.samefile(trained(masked.home, store, "full") / "points" / "1" / "model" / "model.safetensors")


def test_what_differs_from_the_pretrained_model_is_only_its_random_head(masked):
    files = trained(masked.home, "a", "on-pretrained")
    (pretrained,) = (each for each in Store(masked.home / "a").entries() if each.kind == "pretrained")
    assert (files / "base" / "model.safetensors").samefile(pretrained.files / "model.safetensors")
    changed = load_file(files / "packed" / "changed.safetensors")
    assert changed.keys() == {"classifier.weight", "classifier.bias"}


def test_packed_models_have_the_same_bits_as_models_in_full(masked):
    for name in PACKED | IN_FULL:
        full = load_file(masked.single / "stages" / name / "model" / "model.safetensors")
        found = SavedModel(masked.swept / "stages" / name).weights()
        assert found.keys() == full.keys()
        for each, tensor in full.items():
            assert torch.equal(found[each].view(torch.int32), tensor.view(torch.int32)), (name, each)


def test_export_writes_the_models_of_a_sweep(copied, masked, perform):
    done = perform("export", str(copied.home / "swept"), cwd=copied.home)
    assert (done.code, done.err) == (0, "")
    assert {str(Path(line).parent.relative_to(copied.swept / "stages")) for line in done.out.splitlines()} >= PACKED
    for name in PACKED | IN_FULL:
        for file in (masked.single / "stages" / name / "model").iterdir():
            if file.name != "README.md":
                assert (copied.swept / "stages" / name / "model" / file.name).read_bytes() == file.read_bytes()
    place = copied.swept / "stages" / "srnet" / "model"
    model = AutoModelForSequenceClassification.from_pretrained(place)
    AutoTokenizer.from_pretrained(place)
    for name, matrix in Mask.load(place.parent / "mask.safetensors").items():
        assert not model.get_submodule(name).weight[~matrix].any()


def test_export_of_one_point_needs_neither_store_nor_other_run(copied, perform):
    run = copied.home / "elsewhere"
    shutil.copytree(copied.swept, run)
    for path in (copied.home / "a", copied.home / "swept", copied.home / "recipe.toml"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    done = perform("export", "elsewhere@srnet@1", "--json", cwd=copied.home)
    model = "elsewhere/stages/srnet/points/1/model"
    row = {"run": "elsewhere", "stage": "srnet@1", "to": "hf", "path": model}
    assert json.loads(done.out) == [row | {"new": True}]
    assert (copied.home / model / "model.safetensors").is_file()
    assert not (run / "stages" / "srnet" / "model").exists()
    again = perform("export", "elsewhere@srnet@1", "--json", cwd=copied.home)
    assert [row["new"] for row in json.loads(again.out)] == [False]


def test_export_of_a_single_run_prints_its_models(masked, perform):
    done = perform("export", "single@srnet", "single@imp@0.25", cwd=masked.home)
    assert done.out.split() == ["single/stages/srnet/model", "single/stages/imp/points/0.25/model"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["swept@srnt"], "it has no model of 'srnt'; did you mean 'srnet'? Choices: "),
        (["swept@srnet@7"], "it has no model of 'srnet@7'"),
        (["a"], "no run under a"),
        (["missing"], "missing: expected a directory with runs; there is no such directory"),
        ([], "Missing argument"),
    ],
)
def test_what_cannot_be_exported_is_an_error(masked, perform, args, message):
    done = perform("export", *args, cwd=masked.home)
    assert done.code == 2
    assert message in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize("name", ["base/model.safetensors", "packed/packed.json", "packed/changed.safetensors"])
def test_a_missing_file_of_a_packed_model_is_named(copied, perform, name):
    (copied.swept / "stages" / "srnet" / name).unlink()
    done = perform("export", f"{copied.swept}@srnet", cwd=copied.home)
    assert done.code == 1
    assert str((copied.swept / "stages" / "srnet" / name).parent) in done.err
    assert "Traceback" not in done.err
    assert not (copied.swept / "stages" / "srnet" / "model" / "model.safetensors").exists()


def test_a_run_in_the_directory_of_a_sweep_writes_its_models(copied, perform):
    out = copied.swept.relative_to(copied.home)
    done = perform("run", str(out / "recipe.toml"), "--out", str(out), "--store", "a", cwd=copied.home)
    assert done.code == 0, done.err
    assert "reused" in done.err
    assert places(copied.swept, "model/model.safetensors") >= PACKED | IN_FULL


def test_two_runs_share_a_model_in_full(masked, perform):
    again = perform("run", "recipe.toml", "--out", "again", "--store", "b", cwd=masked.home)
    assert again.code == 0
    name = "stages/srnet/model/model.safetensors"
    assert (masked.home / "again" / name).samefile(masked.single / name)
    before = (masked.single / name).stat()
    assert perform("run", "recipe.toml", "--out", "single", "--store", "b", cwd=masked.home).code == 0
    assert os.path.samestat((masked.single / name).stat(), before)


def test_a_store_without_the_base_computes_it_again(copied, perform):
    shutil.rmtree(trained(copied.home, "a", "full").parent)
    shutil.rmtree(copied.swept)
    done = perform("sweep", "recipe.toml", "--grid", "seed=0", "--out", "swept", "--store", "a", cwd=copied.home)
    assert done.code == 0, done.err
    assert "full" in done.err
    assert places(copied.swept, "packed") == PACKED


def test_a_damaged_base_is_computed_again(copied, perform):
    path = trained(copied.home, "a", "srnet") / "base" / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.unlink()
    path.write_bytes(content)
    done = perform("store", "verify", "--store", "a", cwd=copied.home)
    assert done.code == 1
    assert "1 damaged" in done.out
    assert f"{path.relative_to(copied.home)}: expected SHA-256" in done.err
    shutil.rmtree(copied.swept)
    done = perform("sweep", "recipe.toml", "--grid", "seed=0", "--out", "swept", "--store", "a", cwd=copied.home)
    assert done.code == 0, done.err
    assert path.is_file()


def test_store_list_tells_what_an_entry_refers_to(masked, perform):
    rows = json.loads(perform("store", "list", "--store", "a", "--json", cwd=masked.home).out)
    sizes = {row["stage"]: (row["bytes"], row["base_bytes"]) for row in rows if row["kind"] == "trained"}
    size = (masked.single / "stages" / "srnet" / "model" / "model.safetensors").stat().st_size
    assert sizes["full"][1] == sizes["trained"][1] == 0
    assert sizes["srnet"][1] >= size - 64
    done = perform("store", "list", "--store", "a", cwd=masked.home)
    assert "in other entries" in done.out
    files = {path.stat().st_ino: path.stat().st_size for path in (masked.home / "a").glob("entries/*/*/files/**/*")}
    assert sum(row["bytes"] for row in rows) <= sum(files.values())


def test_gc_keeps_the_weights_that_a_kept_entry_refers_to(copied, perform):
    shutil.rmtree(copied.home / "a" / "users")  # no run uses an entry now
    keeper = copied.home / "keeper"
    keeper.mkdir()
    srnet = trained(copied.home, "a", "srnet").parent.name
    (keeper / "run.json").write_text(json.dumps({"state": "finished", "stages": {"srnet": {"trained": srnet}}}))
    Store(copied.home / "a").use(srnet, keeper)
    done = perform("store", "gc", "--older-than", "0s", "--store", "a", cwd=copied.home)
    assert done.code == 0, done.err
    assert "other entries refer to their weights" in done.out
    full = trained(copied.home, "a", "full")
    assert (full / "model" / "model.safetensors").is_file()
    assert {each.about["stage"] for each in Store(copied.home / "a").entries()} == {"full", "srnet"}
    (keeper / "run.json").unlink()
    assert perform("store", "gc", "--older-than", "0s", "--store", "a", cwd=copied.home).code == 0
    assert [*Store(copied.home / "a").entries()] == []


def test_packed_results_are_recomputed_to_the_same_bits(masked, perform):
    done = perform("store", "verify", "--recompute", "30", "--json", "--store", "b", cwd=masked.home)
    assert done.code == 0, done.err
    found = json.loads(done.out)["recomputed"]
    assert {row["result"] for row in found} == {"equal"}
    assert len([row for row in found if row["kind"] == "trained"]) == 9


def test_a_result_that_is_stored_in_full_compares_with_a_packed_one(copied, perform, monkeypatch):
    """An earlier version stored every model in full; its results are still used."""
    shutil.rmtree(copied.home / "b")
    shutil.rmtree(copied.home / "single")
    with monkeypatch.context() as patch:
        patch.setattr("srframework.run.origin.Origin.files", lambda *_: [])
        assert perform("run", "recipe.toml", "--out", "single", "--store", "b", cwd=copied.home).code == 0
    assert not [*(copied.home / "b").rglob("packed")]
    done = perform("store", "verify", "--recompute", "30", "--json", "--store", "b", cwd=copied.home)
    assert {row["result"] for row in json.loads(done.out)["recomputed"]} == {"equal"}, done.out
