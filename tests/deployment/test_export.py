"""`srframework.deployment.export`: models of runs in other forms."""

from __future__ import annotations

import importlib.util
import json
import shutil

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import srframework
from srframework.deployment.export import ExportOptions, export
from srframework.deployment.saved_stage import find_stages
from srframework.deployment.semi_structured import project
from srframework.errors import SRFrameworkError, UsageError

IDS = torch.arange(5, 25).reshape(2, 10)


def logits(model) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(input_ids=IDS).logits


@pytest.fixture
def copied(runs, tmp_path, monkeypatch):
    """A copy of the runs for exports into them, as the current directory."""
    shutil.copytree(runs.home, tmp_path / "home")
    monkeypatch.chdir(tmp_path / "home")
    return tmp_path / "home"


@pytest.mark.parametrize("name", ["srnet", "imp", "imp@0.25", "early"])
def test_an_artifact_gives_the_predictions_of_the_stage_to_the_bit(runs, home, name, tmp_path):
    (each,) = export([f"s1@{name}"], ExportOptions("artifact", tmp_path / "artifact"))
    assert each.path == tmp_path / "artifact"
    files = [tmp_path / "artifact" / name for name in ("manifest.json", "subnetwork.safetensors")]
    assert each.facts["bytes"] == sum(file.stat().st_size for file in files)
    base = None
    if name == "early":  # on weights that are in no directory
        recipe = runs.s1["early"].files.recipe()
        base = recipe.backbone.build().load(tuple(each.stage.config()["id2label"].values()), 1).model
    loaded = srframework.load_subnetwork(tmp_path / "artifact", base)
    assert torch.equal(logits(loaded).view(torch.int32), logits(runs.s1[name].model()).view(torch.int32))
    assert srframework.Subnetwork(tmp_path / "artifact").mask() == runs.s1[name].mask()


def test_an_artifact_of_a_mask_refers_to_the_stage_that_it_is_on(runs, home, tmp_path):
    (each,) = export(["s1@srnet"], ExportOptions("artifact", tmp_path / "artifact"))
    assert each.facts["base"]["name"] == "full of the recipe 'Small'"
    shutil.copytree(home / "s2/stages/full/model", tmp_path / "other")
    with pytest.raises(SRFrameworkError, match="got a model with other weights"):
        srframework.load_subnetwork(tmp_path / "artifact", base=tmp_path / "other")
    manifest = json.loads((tmp_path / "artifact/manifest.json").read_text())
    assert manifest["about"]["stage"] == "srnet"
    assert manifest["about"]["settings"]["pruner"]["sparsity"] == 0.5


def test_an_artifact_of_trained_weights_has_its_tokenizer(runs, home, tmp_path):
    (each,) = export(["s1@imp"], ExportOptions("artifact", tmp_path / "artifact"))
    assert each.facts["base"] is None
    assert AutoTokenizer.from_pretrained(tmp_path / "artifact")("a word")["input_ids"]


def test_levels_are_in_one_artifact(runs, home, tmp_path):
    list(export(["s1@imp"], ExportOptions("artifact", tmp_path / "artifact", levels=True)))
    found = srframework.Subnetwork(tmp_path / "artifact")
    assert found.mask(0.25) == runs.s1["imp@0.25"].mask()
    assert found.mask(0.5) == found.mask() == runs.s1["imp"].mask()


def test_exports_without_out_are_in_the_directories_of_the_stages(copied):
    found = [str(each.path) for each in export(["s1"], ExportOptions("artifact"))]
    stages = ["early", "imp", "imp/points/0.25", "imp/points/0.5", "srnet"]
    assert found == [f"s1/stages/{stage}/artifact" for stage in stages]
    first = (copied / found[0] / "subnetwork.safetensors").read_bytes()
    assert [str(each.path) for each in export(["s1"], ExportOptions("artifact"))] == found
    assert (copied / found[0] / "subnetwork.safetensors").read_bytes() == first


def test_a_dense_directory_loads_with_plain_transformers(runs, home, tmp_path):
    each, other = export(["s1@srnet", "s2@srnet"], ExportOptions("hf", tmp_path / "out"))
    assert [each.path, other.path] == [tmp_path / "out/s1/srnet", tmp_path / "out/s2/srnet"]
    model = AutoModelForSequenceClassification.from_pretrained(each.path)
    assert torch.equal(logits(model), logits(runs.s1["srnet"].model()))
    assert list(model.config.id2label.values()) == list(each.stage.config()["id2label"].values())
    assert "LABEL_0" not in model.config.id2label.values()
    assert AutoTokenizer.from_pretrained(each.path)("a word")["input_ids"]
    for file in each.path.iterdir():
        assert file.stat().st_nlink == 1


def test_the_card_has_figures_over_the_seeds_sparsities_data_recipe_and_limits(runs, home, tmp_path):
    each, _ = export(["s1@srnet", "s2@srnet"], ExportOptions("hf", tmp_path / "out"))
    card = (each.path / "README.md").read_text()
    values = [next(s for s in run.report["stages"] if s["name"] == "srnet")["id"] for run in (runs.s1, runs.s2)]
    mean, spread = 100 * sum(values) / 2, 100 * abs(values[0] - values[1]) / 2**0.5
    assert f"| ID | {100 * values[0]:.1f} | {mean:.1f} ± {spread:.1f} |" in card
    assert "2 seeds (1, 2), mean ± standard deviation" in card
    mask = runs.s1["srnet"].mask()
    counts = f"{mask.pruned:,} | {mask.entries:,} | {100 * mask.sparsity:.2f} %"
    assert f"| entries of the matrices that have a mask | {counts} |" in card
    model = runs.s1["srnet"].model()
    entries = sum(weight.numel() for weight in model.parameters())
    assert f"| {entries:,} |" in card
    assert "| train | 24 |" in card
    assert 'name = "srnet"' in card
    assert "the model is not faster than a dense one" in card


def test_one_seed_says_that_the_spread_is_not_known(runs, home, tmp_path):
    list(export(["s1@full"], ExportOptions("hf", tmp_path / "out")))
    card = (tmp_path / "out/README.md").read_text()
    assert "One seed: the spread over seeds is not known." in card
    assert "No weight is pruned." in card


def test_semi_structured_reports_what_it_costs(runs, home, tmp_path):
    (each,) = export(["s1@srnet"], ExportOptions("semi-structured", tmp_path / "out"))
    report = next(stage for stage in runs.s1.report["stages"] if stage["name"] == "srnet")
    before = {name: split["before"] for name, split in each.facts["splits"].items()}
    assert before == {each.facts["id"]: report["id"], **report["ood"]}
    model = AutoModelForSequenceClassification.from_pretrained(each.path)
    mask, original = runs.s1["srnet"].mask(), runs.s1["srnet"].model()
    for name in mask:
        weight = model.get_submodule(name).weight
        groups = (weight != 0).reshape(len(weight), -1, 4).sum(2)
        assert groups.max() <= 2
        kept = weight != 0
        assert torch.equal(weight[kept], original.get_submodule(name).weight[kept])
        assert not kept[~mask[name]].any()
    assert each.facts["kept"] + each.facts["removed"] == mask.entries - mask.pruned
    assert each.facts["removed"] > 0


def test_the_projection_keeps_the_largest_two_of_four():
    weight = torch.tensor([[0.0, -3.0, 1.0, 2.0, 5.0, 5.0, 5.0, 0.0]])
    assert project(weight).tolist() == [[False, True, False, True, True, True, False, False]]


@pytest.mark.skipif(importlib.util.find_spec("onnxruntime") is None, reason="the extra onnx is not installed")
def test_onnx_gives_the_same_logits(runs, home, tmp_path):
    import onnxruntime

    (each,) = export(["s1@srnet"], ExportOptions("onnx", tmp_path / "out"))
    assert each.facts["difference"] <= 1e-4
    assert {"model.onnx", "config.json", "tokenizer_config.json"} <= {path.name for path in each.path.iterdir()}
    session = onnxruntime.InferenceSession(each.path / "model.onnx", providers=["CPUExecutionProvider"])
    inputs = AutoTokenizer.from_pretrained(each.path)(
        ["a word", "another word here"], padding=True, return_tensors="np"
    )
    (found,) = session.run(["logits"], {one.name: inputs[one.name] for one in session.get_inputs()})
    with torch.no_grad():
        model = runs.s1["srnet"].model().eval()
        expected = model(**{name: torch.from_numpy(value) for name, value in inputs.items()}).logits
    torch.testing.assert_close(torch.from_numpy(found), expected, atol=1e-4, rtol=0)


def test_without_the_extra_onnx_there_is_a_sentence(runs, home, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(UsageError, match=r"onnx, onnxruntime, onnxscript not installed; run `pip install"):
        list(export(["s1@srnet"], ExportOptions("onnx", tmp_path / "out")))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (["s1@full"], {"form": "artifact"}, "--to artifact: expected a model with a mask, got s1@full, which is dense"),
        (["s1@imp"], {"half": True}, "--half and --levels: expected --to artifact, got --to hf"),
        (["s1@srnet"], {"form": "artifact", "levels": True}, "expected a stage that keeps sparsity levels"),
        (["s1@imp@0.25"], {"form": "artifact", "levels": True}, "expected a stage, got the point imp@0.25"),
        (["s1@srnt"], {}, "s1: it has no model of 'srnt'; did you mean 'srnet'"),
        (["s3"], {}, "s3: expected a directory with runs; there is no such directory"),
    ],
)
def test_what_cannot_be_exported_is_an_error(home, tmp_path, arguments, options, message):
    with pytest.raises(UsageError, match=message.replace("'", ".")):
        list(export(arguments, ExportOptions(out=tmp_path / "out", **options)))


def test_a_directory_that_is_not_empty_is_not_overwritten(home, tmp_path):
    (tmp_path / "mine").touch()
    with pytest.raises(UsageError, match="expected a new or an empty directory, got another one"):
        list(export(["s1@srnet"], ExportOptions("artifact", tmp_path)))
    assert (tmp_path / "mine").exists()


def test_runs_of_one_name_do_not_overwrite_each_other(copied, tmp_path):
    shutil.copytree(copied / "s1", copied / "more/s1")
    with pytest.raises(UsageError, match="expected runs whose directories have different names, got more/s1, s1"):
        list(export(["s1@srnet", "more/s1@srnet"], ExportOptions("hf", tmp_path / "out")))


def test_a_directory_may_have_an_at_in_its_name(copied):
    shutil.move(copied / "s1", copied / "a@b")
    assert [str(each) for each in find_stages(["a@b@srnet"])] == ["a@b@srnet"]
    assert len(find_stages(["a@b"])) == 6
