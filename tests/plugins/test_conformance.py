"""Every built-in component keeps its contract, by the kit that plugin authors use."""

from __future__ import annotations

import numpy as np
import pytest

from srframework import BiasModel, Component, Debiaser, Evaluator, Figure, Options, Pruner, testing
from srframework.registry.discovery import discover
from srframework.registry.registry import Registry

REGISTRY = Registry(discover())

OPTIONS = {
    "debiaser/confreg": {"teacher": "x"},
    "pruner/imp": {"sparsity": 0.6, "step": 0.2},
    "dataset/synthetic": {"train_size": 30, "dev_size": 12, "ood_size": 12, "ood_train_size": 6},
}
"""Options that are quicker than the defaults."""

ELSEWHERE = {
    "backbone/bert-base": "a preset over encoder, which needs a download",
    "backbone/bert-large": "a preset over encoder, which needs a download",
    "backbone/roberta-base": "a preset over encoder, which needs a download",
    "backbone/encoder": "needs a checkpoint: test_backbones.py has it",
    "dataset/nli": "needs files: below",
    "dataset/paraphrase": "needs files: below",
    "dataset/fact-verification": "needs files: below",
    "dataset/pairs": "needs files: below",
    "bias/bias-file": "needs a file: below",
    "launcher/ray": "needs a cluster: test_ray.py has one",
}


HERE = [name for e in REGISTRY if (name := f"{e.kind}/{e.name}") not in ELSEWHERE]


def marked(name):
    """The name as a parameter; workers take seconds to start."""
    return pytest.param(name, marks=pytest.mark.long) if name == "launcher/local" else name


@pytest.mark.parametrize("name", [marked(name) for name in HERE])
def test_every_component_that_needs_no_file_conforms(name):
    kind, _, bare = name.partition("/")
    component = REGISTRY.get(kind, bare).component
    getattr(testing, f"check_{kind}")(component, **OPTIONS.get(name, {}))


def test_encoder_conforms(minilm):
    testing.check_backbone(REGISTRY.get("backbone", "encoder").component, path=str(minilm))


@pytest.mark.parametrize("features", ["overlap", "claim-only", "none"])
@pytest.mark.parametrize("max_train", [None, 1])
def test_pairs_conforms(tmp_path, features, max_train):
    (tmp_path / "x.tsv").write_text("a\tb\tlabel\nthe cat sat\tthe cat\tyes\nthe dog ran\tno dog\tno\n")
    columns = {"root": str(tmp_path), "labels": ["no", "yes"], "text_a": "a", "text_b": "b"}
    source = {"path": "x.tsv"}
    splits = {"train": source, "dev": source, "ood": {"far": source}, "ood_train": source}
    component = REGISTRY.get("dataset", "pairs").component
    testing.check_dataset(component, **columns, **splits, features=features, max_train=max_train)


def tsv(header: str, *rows: str) -> str:
    return "\n".join([header, *rows, ""]).replace(" | ", "\t")


HANS = "gold_label | sentence1 | sentence2 | heuristic | subcase | template"
MNLI = "sentence1 | sentence2 | gold_label"
QQP = "question1 | question2 | is_duplicate"
PAWS = "sentence1 | sentence2 | label"
FEVER = '{"claim": "the cat sat", "evidence": "a cat", "label": "REFUTES"}\n'
TASKS = {
    "nli": {
        "train.tsv": tsv(MNLI, "the cat sat | the cat | entailment", "the dog | ... | neutral", "? | a | -"),
        "dev_matched.tsv": tsv(MNLI, "a | b | contradiction"),
        "hans/heuristics_evaluation_set.txt": tsv(HANS, "non-entailment | a b | b | subsequence | s | t"),
        "hans/heuristics_train_set.txt": tsv(HANS, *["non-entailment | a b | a | subsequence | s | t"] * 9),
    },
    "paraphrase": {
        "train.tsv": tsv(QQP, "the cat sat | the cat | 1", "short", " | a | 0"),
        "dev.tsv": tsv(QQP, "a | b | 0"),
        "paws_qqp/train.tsv": tsv(PAWS, "b'a' | b'a b' | 0"),
        "paws_qqp/dev.tsv": tsv(PAWS, "b'a' | b'a b' | 0"),
        "paws_wiki/test.tsv": tsv(PAWS, "a | a b | 1"),
    },
    "fact-verification": {
        "fever.train.jsonl": FEVER * 2,
        "fever.dev.jsonl": FEVER,
        "sym1/test.jsonl": FEVER,
        "sym2/test.jsonl": FEVER,
        "sym2/dev.jsonl": FEVER,
    },
}


@pytest.mark.parametrize("max_train", [None, 1])
@pytest.mark.parametrize("name", TASKS)
def test_the_tasks_of_the_paper_conform(tmp_path, name, max_train):
    for file, content in TASKS[name].items():
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(content)
    testing.check_dataset(REGISTRY.get("dataset", name).component, path=str(tmp_path), max_train=max_train)


def test_bias_file_conforms(tmp_path):
    np.save(tmp_path / "bias.npy", np.full((12, 3), 1 / 3))
    testing.check_bias(REGISTRY.get("bias", "bias-file").component, path=str(tmp_path / "bias.npy"))


class Nothing(Options):
    """None."""


class Unreduced(Debiaser):
    def loss(self, inputs):
        return inputs.logits.sum(1)


class Unnormalised(BiasModel):
    def fit(self, task, features):
        pass

    def log_probs(self, split):
        return np.zeros((len(split.examples), 3))


class Unlike(Evaluator):
    """Its figure of a confusion matrix is not its figure of the predictions."""

    def figures(self):
        return [Figure("one", "count", None, "Always one.")]

    def evaluate(self, predictions):
        return {"one": 1.0}

    def of_confusion(self, confusion):
        return {"one": np.full(len(confusion), 2.0)}


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
        ("check_bias", Unnormalised, "x: split 'train': probabilities sum to 3.0..3.0"),
        ("check_pruner", Forgetful, "pruned weights are not 0 after an update of the mask"),
        ("check_evaluator", Unlike, "x: one of confusion matrices is 2.0, but evaluate() returns 1.0"),
        ("check_evaluator", Unreduced, "x: expected Evaluator, got Unreduced"),
    ],
)
def test_the_kit_says_what_is_broken(check, factory, message):
    component = Component(name="x", options=Nothing, factory=factory, summary="Broken.", source="here")
    with pytest.raises(AssertionError) as caught:
        getattr(testing, check)(component)
    assert message in str(caught.value)
