"""`srframework probe`: the table and what it says; never how fast this machine is."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from small_classifier import saved_classifier
from torch import nn

from srframework.models.kernels import CsrLinear, Kernel, Missing
from srframework.models.probe import BreakEven, Measured, Probe, lowest_faster, measure


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("probe")
    saved_classifier(home / "dense")
    shutil.copytree(home / "dense", home / "sparse")
    weights = load_file(home / "dense" / "model.safetensors")
    for name, weight in weights.items():
        if name.startswith("bert.encoder") and weight.dim() == 2:
            weight.flatten()[::2].zero_()
    save_file(weights, home / "sparse" / "new", metadata={"format": "pt"})
    (home / "sparse" / "new").rename(home / "sparse" / "model.safetensors")
    return home


@pytest.fixture(scope="module")
def document(perform, home):
    done = perform("probe", "sparse", "--rounds", "1", "--json", cwd=home)
    assert done.code == 0, done.err
    assert done.err == ""  # PyTorch's warnings are not for users
    return json.loads(done.out)


def test_every_kernel_is_measured_or_missing_with_a_reason(document):
    names = {each["name"] for each in (*document["measured"], *document["missing"])}
    assert names == {
        "dense fp32",
        "dense int8 (dynamic)",
        "dense bf16",
        "sparse fp32 (CSR)",
        "dense fp16 on the GPU",
        "2:4 fp16 on the GPU",
    }
    assert all(each["reason"] for each in document["missing"])
    assert document["measured"][0]["name"] == "dense fp32"
    assert document["machine"]["threads"] >= 1
    assert document["machine"]["cpu"]
    assert {*document["measured"][0]["seconds"]} == {"1", "32"}


def test_the_outputs_are_those_of_the_dense_model(document):
    kernels = {each["name"]: each for each in document["measured"]}
    assert all(each["is_right"] for each in kernels.values())
    assert kernels["dense fp32"]["difference"] == 0
    if "sparse fp32 (CSR)" in kernels:
        assert kernels["sparse fp32 (CSR)"]["difference"] < 1e-5
        assert kernels["sparse fp32 (CSR)"]["changed"] == 0


def test_a_model_without_zeros_has_no_sparse_kernel(perform, home):
    done = perform("probe", "dense", "--rounds", "1", cwd=home)
    assert done.code == 0, done.err
    assert "sparse fp32 (CSR) is not available here: no matrix of the model has a zero." in done.out
    assert "no kernel that uses zeros beats dense fp32" in done.out
    assert "turns of 64 tokens on this machine: " in done.out


def test_a_layer_in_compressed_rows_computes_the_same():
    dense = nn.Linear(3, 2)
    with torch.no_grad():
        dense.weight.copy_(torch.tensor([[0.0, 2.0, 0.0], [1.0, 0.0, 0.0]]))
        dense.bias.copy_(torch.tensor([0.5, 0.0]))
    layer = CsrLinear(dense)
    assert layer(torch.tensor([[[1.0, 10.0, 100.0]]])).tolist() == [[[20.5, 1.0]]]
    assert layer.bytes == 4 * (3 + 2 + 2)  # where rows start, columns, values


def kernel(name, logits, **more) -> Kernel:
    return Kernel(name, lambda _: torch.tensor(logits), 100, **({"is_exact": True, "uses_zeros": True} | more))


def test_a_wrong_kernel_is_noticed():
    right, wrong = [[0.0, 1.0], [3.0, 1.0]], [[0.0, 1.0], [3.0, 4.0]]
    batches = {1: {}, 2: {}}
    dense, same, other = measure(
        [kernel(name, each) for name, each in (("a", right), ("b", right), ("c", wrong))], batches, 1
    )
    assert (dense.difference, dense.changed, dense.is_right) == (0.0, 0, True)
    assert (same.difference, same.changed, same.is_right) == (0.0, 0, True)
    assert (other.difference, other.changed, other.is_right) == (3.0, 1, False)
    assert measure([kernel("a", right), kernel("d", [[0.0, 1.9], [3.0, 1.0]], is_exact=False)], batches, 1)[1].is_right


def measured(name, one, many, uses_zeros, is_right=True) -> Measured:
    return Measured(name, 100, True, uses_zeros, {1: one, 32: many}, 0.0, 0, is_right)


def said(*others, break_even=None) -> list[str]:
    rows = [measured("dense fp32", 0.1, 1.0, uses_zeros=False), *others]
    missing = [Missing("2:4", "no GPU")]
    return Probe("m", 0.7, rows, missing, BreakEven((64, 32), 2048, break_even), 1, {}).sentences()


def test_a_sparse_kernel_that_is_slower_is_called_no_faster():
    sentences = said(measured("CSR", 0.2, 4.0, uses_zeros=True))
    assert sentences == [
        "CSR: 2.00 times as slow at batch 1, 4.00 times as slow at batch 32.",
        "No faster here: with 70.0 % zeros, no kernel that uses zeros beats dense fp32.",
        "CSR for a layer of 64 × 32 and 2,048 tokens: not faster at any measured sparsity, up to 99 %.",
    ]


def test_a_dense_kernel_that_is_faster_owes_nothing_to_the_zeros():
    sentences = said(measured("int8", 0.05, 0.98, uses_zeros=False), break_even=0.95)
    assert sentences == [
        "int8: 2.00 times as fast as dense fp32 at batch 1, as fast at batch 32; it would be so without zeros too.",
        "No faster here: with 70.0 % zeros, no kernel that uses zeros beats dense fp32.",
        "CSR for a layer of 64 × 32 and 2,048 tokens: faster from 95 % zeros at random places.",
    ]


def test_a_wrong_kernel_is_never_called_faster():
    sentences = said(measured("CSR", 0.01, 0.1, uses_zeros=True, is_right=False))
    assert sentences[0] == "Wrong output: CSR; do not use this here."
    assert "No faster here" in sentences[1]


def test_a_sparse_kernel_that_is_faster_is_named():
    sentences = said(measured("CSR", 0.2, 0.5, uses_zeros=True), break_even=0.5)
    assert sentences[0] == "CSR: 2.00 times as slow at batch 1, 2.00 times as fast as dense fp32 at batch 32."
    assert not any("No faster" in each for each in sentences)


def test_the_break_even_holds_for_all_higher_sparsities():
    assert lowest_faster({0.5: 1.0, 0.9: 3.0, 0.95: 1.5, 0.99: 1.0}, 2.0) == 0.95
    assert lowest_faster({0.5: 1.0, 0.9: 1.0}, 2.0) == 0.5
    assert lowest_faster({0.5: 1.0, 0.9: 2.0}, 2.0) is None


def test_a_model_that_cannot_be_loaded_is_a_sentence(perform, home):
    done = perform("probe", "missing", cwd=home)
    assert done.code == 2
    assert "Model not found: 'missing'" in done.err
    (home / "empty").mkdir()
    done = perform("probe", "empty", cwd=home)
    assert done.code == 2
    assert "got a directory without a model" in done.err
