"""Masks that other programs wrote become artifacts, through `srframework import`."""

from __future__ import annotations

import json
import os
import sys

import pytest
import torch
from torch.nn.utils import prune

import srframework
from srframework.cli import main
from srframework.subnetwork.lock import locked_mask


@pytest.fixture
def command(capsys, monkeypatch, tmp_path):
    """Call `import` with a table of tensors; returns exit code, stdout and stderr."""

    def call(content, model, *more):
        file = tmp_path / "mask.pt"
        if content is not None:
            torch.save(content, file)
        arguments = ["srframework", "import", str(file), "--model", str(model), "--out", str(tmp_path / "out"), *more]
        monkeypatch.setattr(sys, "argv", arguments)
        capsys.readouterr()  # transformers shows its progress
        with pytest.raises(SystemExit) as caught:
            main()
        captured = capsys.readouterr()
        return int(caught.value.code or 0), captured.out, captured.err

    return call


def logits(model) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(input_ids=torch.arange(24).reshape(3, 8)).logits


def test_a_checkpoint_of_torch_prune_becomes_an_artifact(command, base, make_model, tmp_path):
    model = make_model()
    for layer in model.bert.encoder.layer:
        prune.l1_unstructured(layer.output.dense, "weight", amount=0.5)
    code, out, err = command(model.state_dict(), base)
    assert (code, err) == (0, "")
    assert out == f"{tmp_path}/out: 2 matrices, 384 of 768 entries pruned (50.00 %)\n"
    loaded = srframework.load_subnetwork(tmp_path / "out")
    assert torch.equal(logits(loaded), logits(model))
    mask = locked_mask(loaded)["bert.encoder.layer.0.output.dense"]
    assert torch.equal(mask, model.bert.encoder.layer[0].output.dense.weight_mask.bool())


@pytest.mark.parametrize("kind", [torch.bool, torch.float32, torch.uint8])
@pytest.mark.parametrize("suffix", [".weight", ".weight_mask"])
@pytest.mark.parametrize("prefix", ["bert.", "", "module.bert."])
def test_a_file_of_masks_becomes_an_artifact(command, base, mask, tmp_path, kind, suffix, prefix):
    table = {prefix + name.removeprefix("bert.") + suffix: kept.to(kind) for name, kept in mask.items()}
    code, out, err = command(table, base, "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["matrices"] == len(mask)
    assert found["sparsity"] == mask.sparsity
    assert srframework.Subnetwork(tmp_path / "out").mask() == mask


def test_weights_of_the_checkpoint_that_the_model_does_not_have_are_a_warning(command, base, make_model):
    model = make_model(seed=5)
    prune.random_unstructured(model.bert.encoder.layer[0].output.dense, "weight", amount=0.5)
    code, _, err = command(model.state_dict(), base)
    assert code == 0
    assert "the weights of 1 matrices, such as bert.encoder.layer.0.output.dense, are not those of" in err


NAME = "bert.encoder.layer.0.output.dense.weight"
KEPT = torch.ones(16, 24, dtype=torch.bool)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            {"bert.encoder.layer.9.output.dense.weight": KEPT},
            "the model has no matrix 'bert.encoder.layer.9.output.dense'; did you mean",
        ),
        ({NAME: KEPT.T}, f"{NAME}: expected the shape (16, 24) of the model, got (24, 16)"),
        ({NAME: KEPT * 0.5}, f"{NAME}: expected only 0 and 1, got 0.5 and 383 more"),
        ({NAME: KEPT * float("nan")}, "expected only 0 and 1, got nan"),
        (
            {NAME: KEPT, NAME.removeprefix("bert."): KEPT},
            "expected one mask of bert.encoder.layer.0.output.dense, got two",
        ),
        ({"a": KEPT}, "expected tensors NAME.weight_mask or NAME.weight, got a"),
        ({}, "expected tensors NAME.weight_mask or NAME.weight, got none"),
        ({NAME: [1, 0]}, "expected a table from names to tensors, got"),
        ([KEPT], "expected a table from names to tensors, got"),
    ],
)
def test_what_is_no_mask_of_the_model_is_an_error(command, base, tmp_path, table, message):
    code, out, err = command(table, base)
    assert (code, out) == (1, "")
    assert message in err
    assert "Traceback" not in err
    assert not (tmp_path / "out").exists()


class Harmful:
    def __reduce__(self):
        return os.mkdir, ("harm",)


def test_no_code_of_a_file_is_run(command, base, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = command({NAME: Harmful()}, base)
    assert code == 1
    assert "expected a file of torch.save that has only tensors" in err
    assert "Traceback" not in err
    assert not (tmp_path / "harm").exists()


def test_files_that_are_not_there_or_damaged_are_errors(command, base, tmp_path):
    assert "mask.pt: the file cannot be read: No such file" in command(None, base)[2]
    (tmp_path / "mask.pt").write_bytes(b"nothing")
    assert "expected a file of torch.save that has only tensors" in command(None, base)[2]
    assert (
        "expected the directory of a model, got a directory without config.json" in command({NAME: KEPT}, tmp_path)[2]
    )
    (tmp_path / "out").mkdir()
    assert command({NAME: KEPT}, base)[0] == 2
