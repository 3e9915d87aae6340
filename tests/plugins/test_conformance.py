"""Every built-in component keeps its contract, by the kit that plugin authors use."""

from __future__ import annotations

import numpy as np
import pytest

from srframework import Component, Debiaser, Options, Pruner, testing
from srframework.plugins import discover
from srframework.registry import Registry

REGISTRY = Registry(discover())

OPTIONS = {
    "pruner/imp": {"sparsity": 0.6, "step": 0.2},
    "dataset/synthetic": {"train_size": 30, "dev_size": 12, "ood_size": 12},
}
"""Options that are quicker than the defaults."""

ELSEWHERE = {
    "backbone/bert-base": "a preset over encoder, which needs a download",
    "backbone/bert-large": "a preset over encoder, which needs a download",
    "backbone/roberta-base": "a preset over encoder, which needs a download",
    "backbone/encoder": "needs a checkpoint: test_backbones.py has it",
    "dataset/nli": "needs files: below",
    "dataset/pairs": "needs files: below",
    "debiaser/bias-file": "needs a file: below",
}


@pytest.mark.parametrize("name", [f"{e.kind}/{e.name}" for e in REGISTRY if f"{e.kind}/{e.name}" not in ELSEWHERE])
def test_every_component_that_needs_no_file_conforms(name):
    kind, _, bare = name.partition("/")
    component = REGISTRY.get(kind, bare).component
    getattr(testing, f"check_{kind}")(component, **OPTIONS.get(name, {}))


def test_encoder_conforms(minilm):
    testing.check_backbone(REGISTRY.get("backbone", "encoder").component, path=str(minilm))


def test_pairs_conforms(tmp_path):
    (tmp_path / "x.tsv").write_text("a\tb\tlabel\nthe cat sat\tthe cat\tyes\nthe dog ran\tno dog\tno\n")
    columns = {"root": str(tmp_path), "labels": ["no", "yes"], "text_a": "a", "text_b": "b"}
    source = {"path": "x.tsv"}
    testing.check_dataset(
        REGISTRY.get("dataset", "pairs").component, **columns, train=source, dev=source, ood={"far": source}
    )


def test_bias_file_conforms(tmp_path):
    np.save(tmp_path / "bias.npy", np.full((12, 3), 1 / 3))
    testing.check_debiaser(REGISTRY.get("debiaser", "bias-file").component, path=str(tmp_path / "bias.npy"))


class Nothing(Options):
    """None."""


class Unreduced(Debiaser):
    def loss(self, inputs):
        return inputs.logits.sum(1)


class Forgetful(Pruner):
    """Claims a mask that it does not lay over the model."""

    def attach(self, network, total_steps):
        self.network = network

    def parameters(self):
        return list(self.network.model.parameters())

    def masks(self):
        from srframework import Mask

        return Mask({name: weight.detach() > 0 for name, weight in self.network.matrices().items()})


@pytest.mark.parametrize(
    ("check", "factory", "message"),
    [
        ("check_debiaser", Unreduced, "x: expected a scalar loss, got shape (4,)"),
        ("check_pruner", Forgetful, "pruned weights are not 0 after a refresh"),
        ("check_evaluator", Unreduced, "x: expected Evaluator, got Unreduced"),
    ],
)
def test_the_kit_says_what_is_broken(check, factory, message):
    component = Component(name="x", options=Nothing, factory=factory, summary="Broken.", source="here")
    with pytest.raises(AssertionError) as caught:
        getattr(testing, check)(component)
    assert message in str(caught.value)
