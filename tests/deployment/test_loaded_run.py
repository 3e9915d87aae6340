"""`srframework.run` and `load_run`: results, curves, models, masks and predictions as values."""

from __future__ import annotations

import json
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import srframework
from srframework.deployment.from_python import toml
from srframework.errors import RecipeError, UsageError
from srframework.masks import Mask
from srframework.subnetwork.lock import locked_mask


def test_importing_srframework_loads_nothing_heavy_and_run_can_be_called():
    code = (
        "import sys, srframework\n"
        "assert callable(srframework.run)\n"
        "heavy = {'torch', 'transformers', 'numpy', 'pandas', 'datasets'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "import srframework.run.options\n"
        "from srframework.run import options\n"
        "assert callable(srframework.run) and srframework.run.options is options\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_run_returns_the_finished_run(runs, home):
    assert runs.s1.recipe["seed"] == 1
    assert runs.s1.recipe["stages"][0]["learning_rate"] == 1e-3
    assert json.loads((home / "s1/run.json").read_text())["state"] == "finished"
    assert runs.s1.names == ["early", "full", "imp", "imp@0.25", "imp@0.5", "srnet"]


def test_the_results_are_a_table(runs, home):
    table = runs.s1.results
    assert list(table.columns[:5]) == ["stage", "op", "level", "sparsity", "ID"]
    imp = table[table["stage"] == "imp"]
    assert imp["level"].fillna(0).tolist() == [0.25, 0.5, 0]
    assert imp["sparsity"].tolist() == pytest.approx([0.25, 0.5, 0.5], abs=1e-3)
    report = {stage["name"]: stage for stage in runs.s1.report["stages"]}
    assert table[table["stage"] == "srnet"]["ID"].tolist() == [report["srnet"]["id"]]
    for split, value in report["srnet"]["ood"].items():
        assert table[table["stage"] == "srnet"][f"OOD/{split}"].tolist() == [value]
    assert {"majority class", "bias model"} & set(table["stage"])


def test_the_learning_curves_are_a_table(runs, home):
    curves = runs.s1.curves()
    assert set(curves["stage"]) == {"full", "srnet", "imp", "early"}
    assert "step" in curves.columns
    lines = (home / "s1/stages/srnet/metrics.jsonl").read_text().splitlines()
    assert len(runs.s1["srnet"].curve()) == len(lines)


def test_a_stage_has_its_model_mask_and_predictions(runs, home):
    stage = runs.s1["srnet"]
    saved = load_file(home / "s1/stages/srnet/model/model.safetensors")
    assert all(torch.equal(saved[name], each) for name, each in stage.model().state_dict().items())
    assert stage.mask() == Mask.load(home / "s1/stages/srnet/mask.safetensors")
    assert locked_mask(stage.model()) == Mask({})
    assert locked_mask(stage.model(locked=True)) == stage.mask()
    assert runs.s1["full"].mask() == Mask({})
    tokens = stage.tokenizer()("a word")
    assert tokens["input_ids"]
    found = stage.predictions()
    report = next(each for each in runs.s1.report["stages"] if each["name"] == "srnet")
    for split in report["ood"]:
        accuracy = np.mean(np.asarray(found[split].predicted) == np.asarray(found[split].gold))
        assert accuracy == pytest.approx(report["ood"][split])


def test_masks_of_stages_are_compared(runs, home):
    masks = {name: runs.s1[name].mask() for name in ("imp@0.25", "imp@0.5", "srnet")}
    assert masks["imp@0.25"] | masks["imp@0.5"] == masks["imp@0.25"]
    assert masks["imp@0.5"].overlap(masks["imp@0.25"]) == 1.0
    assert (masks["imp@0.5"] - masks["imp@0.25"]).sparsity == 1.0


def test_an_upload_has_the_model_and_its_card(runs, home, monkeypatch):
    calls = []

    class Api:
        def __init__(self, token=None):
            calls.append(("token", token))

        def create_repo(self, repository, **more):
            calls.append((repository, more))

        def upload_folder(self, repo_id, folder_path):
            calls.append((repo_id, {path.name for path in folder_path.iterdir()}))
            calls.append((folder_path / "README.md").read_text())
            return "the address"

    monkeypatch.setattr("huggingface_hub.HfApi", Api)
    assert runs.s1["srnet"].push_to_hub("me/sparse", token="secret") == "the address"
    assert calls[:2] == [("token", "secret"), ("me/sparse", {"private": True, "exist_ok": True})]
    assert {"config.json", "model.safetensors", "README.md", "tokenizer_config.json"} <= calls[2][1]
    assert 'from_pretrained("me/sparse")' in calls[3]
    assert "secret" not in calls[3]


@pytest.mark.parametrize(
    ("directory", "message"),
    [("nothing", "got no such directory"), (".", "got a directory without run.json")],
)
def test_what_is_no_run_is_an_error(home, directory, message):
    with pytest.raises(UsageError, match=f"expected the directory of a run, {message}"):
        srframework.load_run(directory)


def test_an_unfinished_run_is_an_error(tmp_path):
    (tmp_path / "run.json").write_text('{"state": "failed"}')
    with pytest.raises(UsageError, match="expected a finished run, got one in the state 'failed'"):
        srframework.load_run(tmp_path)


def test_a_stage_that_is_not_there_is_an_error(runs, home):
    with pytest.raises(UsageError, match="it has no model of 'srnt'; did you mean 'srnet'"):
        runs.s1["srnt"]


def test_without_pandas_there_is_a_sentence(runs, home, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UsageError, match="expected pandas, which is not installed"):
        _ = runs.s1.results
    assert runs.s1.report["stages"]


def test_a_wrong_override_is_an_error(home):
    with pytest.raises(RecipeError, match=r"training\.epoch"):
        srframework.run("small.toml", training={"epoch": 1})
    with pytest.raises(UsageError, match="expected a recipe without a sweep"):
        srframework.run("small.toml", sweep={"seed": [1, 2]})
    with pytest.raises(UsageError, match="expected a value that TOML has, got SimpleNamespace"):
        srframework.run("small.toml", seed=SimpleNamespace())


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1, "1"),
        (0.5, "0.5"),
        (True, "true"),
        ('a "b"\\', '"a \\"b\\"\\\\"'),
        ([1, ["a"]], '[1, ["a"]]'),
        ({"use": "mask", "sparsity": 0.5}, '{ use = "mask", sparsity = 0.5 }'),
        ({"a b": {}}, '{ "a b" = {} }'),
    ],
)
def test_values_become_toml(value, text):
    assert toml(value) == text
