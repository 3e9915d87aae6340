"""The sparsity of a model has one denominator, wherever it is told."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file

from srframework import testing
from srframework.contracts import COUNTED_PARTS, SPARSITY
from srframework.masks import sparsity

RECIPE = """
name = "denominators"
schema = 1
evaluators = ["accuracy", "sparsity"]
training = {{ max_steps = 1, batch_size = 4, eval_batch_size = 64 }}

[backbone]
use = "tiny"
layers = 1
width = 16
heads = 2
intermediate = 16

[dataset]
use = "synthetic"
train_size = 12
dev_size = 6
ood_size = 6

[[stages]]
name = "pruned"
op = "prune"
pruner = {pruner}
loss = {{ use = "std" }}
"""


def test_the_pooler_is_not_counted_and_the_classifier_is():
    network = testing.network()
    assert COUNTED_PARTS == ("encoder", "classifier")
    assert network.counted().keys() == {name for name, part in network.prunable.items() if part != "pooler"}
    for part in ("encoder", "classifier", "pooler"):
        before = sparsity(network.counted())
        with torch.no_grad():
            for matrix in network.matrices([part]).values():
                matrix.zero_()
        assert (sparsity(network.counted()) > before) == (part != "pooler")


@pytest.mark.parametrize("more", ["", ", pooler = true", ", classifier = false", ', scope = "global", pooler = true'])
def test_every_place_tells_the_same_figure_counted_from_the_tensors(work, perform, more):
    (work / "r.toml").write_text(RECIPE.format(pruner=f'{{ use = "omp", sparsity = 0.7{more} }}'))
    done = perform("run", "r.toml", "--out", "out", "--json", cwd=work)
    assert done.code == 0, done.err
    saved = load_file(work / "out/stages/pruned/model/model.safetensors")
    counted = [v for n, v in saved.items() if n.endswith("weight") and v.dim() == 2 and _counts(n)]
    assert len(counted) == 7
    expected = sum(int((v == 0).sum()) for v in counted) / sum(v.numel() for v in counted)
    for report in (json.loads(done.out), json.loads((work / "out/results.json").read_text())):
        (stage,) = report["stages"]
        figures = stage["evaluations"]["model"]
        assert stage["sparsity"] == figures["sparsity"] == pytest.approx(expected)
        assert figures["entries"] == sum(v.numel() for v in counted)
        assert not any("pooler" in name for name in figures)
    said = json.loads((work / "out/summary.json").read_text())["stages"][0]["sparsity"]
    assert said == pytest.approx(expected)
    for command in (("run", "r.toml", "--out", "out"), ("results", "out")):
        text = " ".join(perform(*command, cwd=work).out.split())
        assert SPARSITY in text
        assert f"{100 * expected:.2f}" in text or f"{100 * expected:.1f}" in text


def _counts(name: str) -> bool:
    return "embeddings" not in name and "pooler" not in name
