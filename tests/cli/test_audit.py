"""`srframework audit`: what is in the files of a model, what it gives up, and whether claims are true."""

from __future__ import annotations

import json
import math
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from small_classifier import saved_classifier
from small_recipe import FULL, small_recipe, srnet

from srframework.contracts import Predictions
from srframework.models.counts import Matrix, Share, Sizes, Units, sizes_of, units_of
from srframework.models.figures import Flips, flips_of

QUERY = "bert.encoder.layer.0.attention.self.query"


@pytest.fixture(scope="module")
def home(tmp_path_factory, perform):
    home = tmp_path_factory.mktemp("audit")
    saved_classifier(home / "dense")
    shutil.copytree(home / "dense", home / "sparse")
    change(home / "sparse", lambda name, weight: weight.flatten()[::2].zero_() if name == QUERY else None)
    (home / "recipe.toml").write_text(small_recipe("small", FULL, srnet()))
    assert perform("run", "recipe.toml", "--out", "run", cwd=home).code == 0
    return home


def change(path, edit) -> None:
    weights = load_file(path / "model.safetensors")
    for name, weight in weights.items():
        edit(name.removesuffix(".weight"), weight)
    save_file(weights, path / "new", metadata={"format": "pt"})
    (path / "new").rename(path / "model.safetensors")


@pytest.fixture
def found(perform, home):
    def found(*args, code=0):
        done = perform("audit", *args, "--json", cwd=home)
        assert done.code == code, done.err
        return json.loads(done.out)

    return found


def test_zeros_of_each_denominator_are_counted_in_the_file(found, home):
    document = found("sparse")
    weights = load_file(home / "sparse" / "model.safetensors")
    zeros = {name: int((weight == 0).sum()) for name, weight in weights.items()}
    shares = document["sparsity"]
    assert shares["model"]["zeros"] == sum(zeros.values())
    assert shares["model"]["entries"] == sum(weight.numel() for weight in weights.values())
    assert shares["encoder"]["zeros"] == zeros[f"{QUERY}.weight"] == 128  # half of 16 × 16
    assert shares["encoder"]["entries"] == 4 * 16 * 16 + 2 * 16 * 24
    assert shares["prunable"]["entries"] == shares["encoder"]["entries"] + 3 * 16
    [query] = [each for each in document["matrices"] if each["name"] == QUERY]
    assert query["patterns"]["2:4"] == {"units": 64, "conforming": 64, "zero": 0}
    assert query["patterns"]["1x4"] == {"units": 64, "conforming": 0, "zero": 0}
    assert query["patterns"]["row"] == {"units": 16, "conforming": 0, "zero": 0}


def test_units_of_patterns_by_hand():
    matrix = torch.tensor([[1.0, 0, 0, 2, 1, 2, 3, 4], [0, 0, 0, 0, 0, 0, 0, 0], [1, 1, 1, 1, 0, 0, -0.0, 0]])
    assert units_of(matrix, "2:4") == Units(6, 4, 3)
    assert units_of(matrix, "1x4") == Units(6, 5, 3)
    assert units_of(matrix, "row") == Units(3, 1, 1)
    assert units_of(matrix[:, :6], "2:4") is None


def test_bytes_by_hand():
    half = Matrix("half", "encoder", (8, 8), 32, {}, 4)
    quarter = Matrix("quarter", "encoder", (8, 8), 16, {}, 4)
    dense = Matrix("dense", "encoder", (8, 8), 1, {}, 4)
    assert sizes_of(1000, [half]) == Sizes(1000, 1000 - 256 + 128 + 8, 1000 - 256 + 128 + 8)  # H(1/2) = 1 bit
    entropy = -(0.25 * math.log2(0.25) + 0.75 * math.log2(0.75))
    assert sizes_of(1000, [quarter]) == Sizes(1000, 1000 - 64 + 8, 1000 - 64 + math.ceil(64 * entropy / 8))
    assert sizes_of(1000, [dense]).packed == 1000  # 4 bytes fewer, 8 more


def test_a_share_is_rounded_by_one_entry_for_each_matrix():
    assert Share(699, 1000, 1).reaches(0.7)
    assert not Share(698, 1000, 1).reaches(0.7)
    assert Share(698, 1000, 2).reaches(0.7)


def test_flips_by_hand():
    def said(*predicted):
        logits, gold = torch.zeros(4, 3).numpy(), torch.tensor([0, 1, 2, 2]).numpy()
        return Predictions("dev", ("a", "b", "c"), logits, torch.tensor(predicted).numpy(), gold)

    assert flips_of(said(0, 0, 0, 1), said(1, 1, 1, 1)) == Flips("dev", 4, 1, 1, 1)


def test_claims_that_hold_and_claims_that_do_not(found):
    assert found("run@srnet", "--expect-sparsity", "0.5")["holds"]
    document = found("run@srnet", "--expect-sparsity", "0.7", code=1)
    assert [check["holds"] for check in document["checks"]] == [False, True]
    assert not found("run@srnet", "--expect-sparsity", "0.5", "--of", "model", code=1)["holds"]
    assert not found("run@srnet", "--expect-pattern", "2:4", code=1)["holds"]


def test_a_pruned_weight_that_is_not_zero_is_found(perform, home):
    shutil.copytree(home / "run", home / "touched")
    place = home / "touched" / "stages" / "srnet" / "model"
    (place / "model.safetensors").unlink()
    shutil.copy(home / "run" / "stages" / "full" / "model" / "model.safetensors", place)
    done = perform("audit", "touched@srnet", cwd=home)
    assert done.code == 1
    assert "FAIL every pruned weight is exactly 0: " in done.out


def test_a_model_beside_its_dense_twin_on_the_data_of_a_recipe(found, perform, home):
    args = ("run@srnet", "--against", "run@full", "--recipe", "recipe.toml")
    document = found(*args)
    figures = {(row["split"], row["figure"]): row for row in document["figures"]}
    reported = {row["name"]: row for row in json.loads((home / "run" / "results.json").read_text())["stages"]}
    for split, kind in (("dev", "id"), ("random", "ood")):
        row = figures[split, "accuracy"]
        for side, stage in (("model", "srnet"), ("against", "full")):
            expected = reported[stage]["id"] if kind == "id" else reported[stage]["ood"][split]
            assert row[side]["value"] == pytest.approx(expected)
        low, high = row["difference"]
        assert low <= row["model"]["value"] - row["against"]["value"] <= high
        assert (split, "worst-group") in figures
        assert (split, "bias-groups/conflicting") in figures
    for flips in document["flips"]:
        gain = figures[flips["split"], "accuracy"]
        net = flips["wrong_to_right"] - flips["right_to_wrong"]
        assert net / flips["examples"] == pytest.approx(gain["model"]["value"] - gain["against"]["value"])
    assert {*document["seconds"]} == {"1", "32"}
    assert document["machine"]["threads"] >= 1
    done = perform("audit", *args, "--matrices", cwd=home)
    assert done.code == 0
    for text in ("right → wrong", "wrong → right", "threads", "95 %", QUERY, "bound: entropy of the mask"):
        assert text in done.out


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["missing"], "Model not found: 'missing'"),
        (["dense", "--against", "missing"], "Model not found: 'missing'"),
        (["dense", "--recipe", "recipe.toml"], "dense: expected the labels of the recipe (SUPPORTS, REFUTES"),
        (["dense", "--recipe", "missing.toml"], "missing.toml"),
        (["dense", "--expect-sparsity", "1.5"], "1.5 is not in the range"),
        (["dense", "--expect-pattern", "3:4"], "'3:4' is not one of"),
    ],
)
def test_what_cannot_be_audited_is_a_sentence(perform, home, args, message):
    done = perform("audit", *args, cwd=home)
    assert (done.code, done.out) == (2, "")
    assert message in " ".join(done.err.split())


def test_a_truncated_file_and_a_foreign_mask_are_sentences(perform, home):
    shutil.copytree(home / "dense", home / "cut")
    content = (home / "cut" / "model.safetensors").read_bytes()
    (home / "cut" / "model.safetensors").write_bytes(content[:-8])
    done = perform("audit", "cut", cwd=home)
    assert done.code == 1
    assert "expected a complete safetensors file" in done.err
    (home / "stage").mkdir()
    shutil.copytree(home / "dense", home / "stage" / "model")
    shutil.copy(home / "run" / "stages" / "srnet" / "mask.safetensors", home / "stage")
    done = perform("audit", "stage", cwd=home)
    assert done.code == 1
    assert "as in its mask" in done.err
