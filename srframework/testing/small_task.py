"""A small model and a small task, for the checks of the conformance kit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import datasets
import numpy as np
import torch
from transformers import BertConfig, BertForSequenceClassification, BertTokenizer

from srframework.contracts import Debiaser, LossInputs, Network, ReferencedStage, Split, TaskData, TrainingContext
from srframework.masks import Mask
from srframework.training.context import Contexts, ForComponent, StageInputs
from srframework.training.options import TrainingOptions
from srframework.training.scalars import Scalars

if TYPE_CHECKING:
    from srframework.contracts import WordVectors

LABELS = ("no", "yes", "maybe")


def network(seed: int = 0) -> Network:
    """Create a BERT with two layers of width eight, random weights and three labels; its vocabulary has ten letters."""
    words = {word: index for index, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghij"])}
    tokenizer = BertTokenizer(vocab=words)
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=8,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=12,
        max_position_embeddings=16,
        id2label=dict(enumerate(LABELS)),
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = BertForSequenceClassification(config)
    linear = [name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)]
    parts = {name: "encoder" if ".layer." in name else name.partition(".")[0] for name in linear}
    return Network(model, tokenizer, {name: "pooler" if part == "bert" else part for name, part in parts.items()})


def task() -> TaskData:
    """Create a task with twelve training examples, six to evaluate, and one spurious feature."""

    def split(name: str, size: int) -> Split:
        labels = [index % len(LABELS) for index in range(size)]
        columns = {"text_a": list("abcdefghijab"[:size]), "text_b": list("bcdefghijabc"[:size]), "label": labels}
        return Split(name, datasets.Dataset.from_dict(columns), LABELS)

    def features(of: Split, _: WordVectors) -> np.ndarray:
        return np.array([[float(label == 0)] for label in of.examples["label"]])

    return TaskData(
        LABELS, "accuracy", split("train", 12), split("dev", 6), ood=(split("ood", 6),), spurious_features=features
    )


def word_vectors(words: Sequence[str]) -> np.ndarray:
    """Return a fixed vector of four numbers for each word, ``(n, 4)``; zeros for "?"."""
    rows = [[0.0] * 4 if word == "?" else [math.sin(1 + k + sum(map(ord, word))) for k in range(4)] for word in words]
    return np.array(rows, dtype=np.float32).reshape(len(rows), 4)


class CrossEntropy(Debiaser):
    """The loss of the pruner checks."""

    def loss(self, inputs: LossInputs) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(inputs.logits, inputs.labels)


def examples() -> datasets.Dataset:
    """Return four tokenized training examples."""
    tokens = network().tokenizer(["a b c", "d e f", "g h i", "j a b"])
    return datasets.Dataset.from_dict({**tokens, "length": [5] * 4, "labels": [0, 1, 2, 0]})


def context(steps: int = 20, component: ForComponent | None = None, net: Network | None = None) -> TrainingContext:
    """Return the context of a training on the CPU with :func:`examples`.

    Args:
        steps: The planned optimizer steps.
        component: The inputs that the component requires.
        net: The model; that of :func:`network` by default.
    """
    options = TrainingOptions.model_validate({"max_steps": steps, "batch_size": 2})
    inputs = StageInputs(labels=LABELS, pretrained=network)
    contexts = Contexts(net or network(), examples(), options, 1, torch.device("cpu"), steps, inputs, Scalars())
    return contexts.of(component or ForComponent("small"), "small")


def small_stages(texts: Sequence[str], predictions: bool = True) -> dict[str, ReferencedStage]:
    """Return a stage for each of these references: its mask prunes about half of the entries; its predictions on
    :func:`examples`, if asked for, are uniform."""
    draw, log_probs = torch.Generator().manual_seed(1), None
    if predictions:
        log_probs = np.full((4, len(LABELS)), -math.log(len(LABELS)), dtype=np.float32)
    stages = {}
    for text in texts:
        kept = {name: torch.rand(weight.shape, generator=draw) < 0.5 for name, weight in network().counted().items()}
        stages[text] = ReferencedStage(text, network, Mask(kept), log_probs)
    return stages
