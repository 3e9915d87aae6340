"""The distributions in examples/: what they compute, and that each can be installed, checked and run."""

from __future__ import annotations

import importlib
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from small_context import context
from torch import nn

from srframework import Network, Predictions

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
NAMES = sorted(path.name for path in EXAMPLES.iterdir() if path.is_dir())


@pytest.fixture
def example(monkeypatch):
    """Import the components of an example, which is not installed: name -> a function of its options."""

    def components(name):
        monkeypatch.syspath_prepend(EXAMPLES / name / "src")
        module = importlib.import_module(name)
        registered = [each for hook, make in vars(module).items() if hook.startswith("srframework_") for each in make()]
        return {each.name: lambda each=each, **options: each.build(each.options(**options)) for each in registered}

    return components


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_an_example_is_installed_checked_and_run(tmp_path, install, name):
    place = tmp_path / name
    shutil.copytree(EXAMPLES / name, place, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info", "runs"))
    call = install(place)
    call("pytest", "-q", "-p", "no:cacheprovider")
    call("srframework", "validate", "recipe.toml")
    assert json.loads(call("srframework", "run", "recipe.toml", "--json"))["stages"]


class TwoTokens(nn.Module):
    """One matrix; its inputs are given, as (B, T, 2)."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(2, 2, bias=False)
        with torch.no_grad():
            self.linear.weight.copy_(torch.tensor([[3.0, -1.0], [0.5, -0.4]]))

    def forward(self, inputs, attention_mask):
        return self.linear(inputs)


@pytest.mark.parametrize(
    # The norms are 1 and 5: without padding, feature 0 is 1 and 0, feature 1 is 3 and 4.
    # The products are 3, 5 | 0.5, 2.
    ("scope", "sparsity", "kept"),
    [
        ("local", 0.5, [[False, True], [False, True]]),
        ("global", 0.5, [[True, True], [False, False]]),
        ("global", 0.25, [[True, True], [False, True]]),
    ],
)
def test_wanda_multiplies_magnitudes_and_norms_of_the_inputs(example, scope, sparsity, kept):
    inputs = torch.tensor([[[1.0, 3.0], [9.0, 9.0]], [[0.0, 4.0], [7.0, 7.0]]])
    batch = {"inputs": inputs, "attention_mask": torch.tensor([[1, 0], [1, 0]]), "labels": None, "index": None}
    network = Network(TwoTokens(), None, {"linear": "encoder"})
    pruner = example("wanda")["wanda"](scope=scope, sparsity=sparsity, examples=2)
    pruner.attach(network, context(calibration=lambda count: [batch] * (count == 2)))
    assert pruner.masks()["linear"].tolist() == kept


def test_wanda_keeps_the_first_of_equal_entries(example):
    example("wanda")
    ranks = importlib.import_module("wanda.pruner")._ranks(torch.tensor([[1.0, 1.0, 0.0, 1.0]]))
    assert ranks.tolist() == [[3, 2, 0, 1]]


def test_movement_prunes_what_moves_towards_zero(example):
    linear = nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        linear.weight.copy_(torch.tensor([[1.0, 2.0]]))
    network = Network(nn.Sequential(linear), None, {"0": "encoder"})
    pruner = example("movement")["movement"](sparsity=0.5, warmup=0.0, cooldown=0.0, refresh_every=1)
    pruner.attach(network, context(steps=1))
    # dL/dW' = (4, -1) and W = (1, 2): the gradients of the scores are (4, -2).
    (linear(torch.tensor([[4.0, -1.0]]))).sum().backward()
    weights, scores = pruner.parameter_groups()
    assert (weights.learning_rate, scores.learning_rate, scores.weight_decay) == (None, 1e-2, 0.0)
    [score] = scores.parameters
    assert score.grad.tolist() == [[4.0, -2.0]]
    torch.optim.SGD(scores.parameters, lr=0.1).step()
    pruner.after_step(1)
    assert linear.weight.tolist() == [[0.0, 2.0]]


def test_the_sparsity_of_movement_rises_between_warmup_and_cooldown(example, monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES / "movement" / "src")
    options = importlib.import_module("movement").MovementOptions(sparsity=0.8, warmup=0.2, cooldown=0.4)
    course = [options.sparsity_at(step, 10) for step in (0, 2, 4, 6, 10)]
    assert course == pytest.approx([0, 0, 0.8 - 0.8 * 0.125, 0.8, 0.8])


def predictions(probabilities, gold, predicted, split="dev") -> Predictions:
    logits = np.log(np.array(probabilities))
    return Predictions(split, ("no", "yes"), logits, np.array(predicted), np.array(gold), {})


def test_the_calibration_error_is_the_mean_gap_of_the_bins(example):
    # Bin 0.6: confidence 0.6 twice, one right: 2/4 · |0.5 - 0.6|; bin 0.9: twice, both right: 2/4 · |1 - 0.9|.
    ece = example("reliability")["ece"](bins=10)
    of = predictions([[0.6, 0.4], [0.4, 0.6], [0.9, 0.1], [0.1, 0.9]], [0, 0, 0, 1], [0, 1, 0, 1])
    assert ece.evaluate(of)["ece"] == pytest.approx(0.1)
    resampled = ece.resampled(of, np.array([[1.0, 1, 1, 1], [4, 0, 0, 0]]))
    assert resampled["ece"] == pytest.approx([0.1, 0.4])


def test_agreement_is_the_share_of_equal_predictions(example):
    flat = [[0.5, 0.5]] * 4
    own = {"dev": [0, 1, 0, 1], "hans": [1, 1, 1, 1]}
    other = {"dev": [0, 1, 0, 0], "hans": [1, 0, 0, 0]}
    made = {name: predictions(flat, [0] * 4, predicted, name) for name, predicted in own.items()}
    others = {name: predictions(flat, [0] * 4, predicted, name) for name, predicted in other.items()}
    evaluated = SimpleNamespace(
        id=made["dev"], ood=(made["hans"],), stages={"full": SimpleNamespace(predictions=others)}
    )
    figures = example("reliability")["agreement"](reference="full").measure(evaluated)
    assert figures == {"agreement/dev": 0.75, "agreement/hans": 0.25, "agreement-gap": 0.5}
