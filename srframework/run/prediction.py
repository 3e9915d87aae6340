"""Examples -> tokens -> logits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import datasets
import numpy as np
import torch
from accelerate import Accelerator
from torch.nn.utils import parametrize
from torch.utils.data import DataLoader
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from srframework.contracts import Evaluator, Figure, Predictions, Split
from srframework.errors import PluginError
from srframework.faults import expect, owner_of
from srframework.text import did_you_mean, nearest, shorten
from srframework.training.tokenization import encode, padding


def tokenize(split: Split, tokenizer: PreTrainedTokenizerBase, max_length: int) -> datasets.Dataset:
    """Tokenize a split; columns are those of the tokenizer, ``labels``, and ``length`` in tokens.

    The texts of an example together are truncated to ``max_length`` tokens, the longer text first.
    """

    def encoded_rows(batch: Mapping[str, Any]) -> dict[str, Any]:
        texts = [batch[column] for column in ("text_a", "text_b") if column in batch]
        encoded = encode(tokenizer, texts, max_length)
        return encoded | {"length": [len(ids) for ids in encoded["input_ids"]], "labels": batch["label"]}

    examples = split.examples
    return examples.map(encoded_rows, batched=True, remove_columns=examples.column_names, load_from_cache_file=False)


def predict(
    model: PreTrainedModel,
    tokenized: datasets.Dataset,
    tokenizer: PreTrainedTokenizerBase,
    accelerator: Accelerator,
    batch_size: int,
) -> np.ndarray:
    """Return logits ``(N, C)``, float32, in the order of the examples.

    Batches have examples of similar length, longest first, to reduce padding. The mode of the model (training or
    evaluation) does not change.
    """
    order = np.argsort(-np.asarray(tokenized["length"]), kind="stable")
    columns = [name for name in tokenized.column_names if name not in ("length", "labels")]
    loader = accelerator.prepare_data_loader(
        DataLoader(
            tokenized.select_columns(columns).select(order),
            batch_size=batch_size,
            collate_fn=padding(tokenizer),
            generator=torch.Generator(),  # otherwise the loader draws a seed from the global generator of the training
        )
    )
    was_training = model.training
    model.eval()
    with torch.inference_mode(), parametrize.cached():
        logits = [accelerator.gather_for_metrics(model(**batch).logits.float()).cpu() for batch in loader]
    model.train(was_training)
    restored = np.empty((len(order), logits[0].shape[1]), dtype=np.float32)
    restored[order] = torch.cat(logits).numpy()
    return restored


def figures(evaluators: Sequence[Evaluator], predictions: Predictions) -> dict[str, float]:
    """Return the figures of all applicable evaluators for one split.

    Raises:
        PluginError: A figure is not declared, or two evaluators disagree on it.
    """
    applicable = [each for each in evaluators if each.applies_to(predictions)]
    return _collect([(each, "evaluate()", each.evaluate(predictions)) for each in applicable])


def measures(evaluators: Sequence[Evaluator], matrices: Mapping[str, torch.Tensor]) -> dict[str, float]:
    """Return the figures of the evaluators for the weights; raises as :func:`figures` does."""
    return _collect([(each, "measure()", each.measure(matrices)) for each in evaluators])


def declaration(evaluators: Sequence[Evaluator], name: str) -> Figure | None:
    """Return the declaration of a figure; None if no evaluator declares it.

    Raises:
        PluginError: Two evaluators declare the figure with different units or directions.
    """
    found = [figure for each in evaluators for figure in each.figures() if figure.covers(name)]
    if len({(figure.unit, figure.better) for figure in found}) > 1:
        each = " and ".join(f"{figure.unit}, better: {figure.better or 'neither'}" for figure in found)
        raise PluginError(f"the evaluators of the recipe declare the figure {name!r} differently: {each}")
    return found[0] if found else None


def task_metric(evaluators: Sequence[Evaluator], metric: str, owner: str) -> Figure:
    """Return the declaration of a task's metric.

    Args:
        evaluators: Those of the recipe.
        metric: Name of the figure.
        owner: The data set, for messages.

    Raises:
        PluginError: No evaluator declares the metric, or it has no direction.
    """
    figure = declaration(evaluators, metric)
    if figure is None:
        names = [figure.name for each in evaluators for figure in each.figures()]
        raise PluginError(
            f"{owner}: its metric is {metric!r}, which no evaluator of the recipe declares: "
            f"{', '.join(names) or 'none'}{did_you_mean(nearest(metric, names))}"
        )
    if figure.better is None:
        raise PluginError(
            f"{owner}: its metric is {metric!r}, which cannot choose a checkpoint, because its evaluator declares "
            "neither higher nor lower values as better"
        )
    return figure


def _collect(results: Sequence[tuple[Evaluator, str, Mapping[str, float]]]) -> dict[str, float]:
    collected: dict[str, float] = {}
    for evaluator, method, result in results:
        declared = evaluator.figures()
        for name, value in result.items():
            is_declared = any(figure.covers(name) for figure in declared)
            names = ", ".join(figure.name for figure in declared) or "none"
            expect(is_declared, owner_of(evaluator), method, f"only figures that figures() declares: {names}", name)
            if name in collected and collected[name] != float(value):
                raise PluginError(f"two evaluators give a figure {name!r}: {collected[name]} and {shorten(value)}")
            collected[name] = float(value)
    return collected
