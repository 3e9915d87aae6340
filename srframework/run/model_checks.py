"""Checks, before any stage, that a model of any backbone fits its tokenizer, its data and the recipe."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from transformers import DataCollatorWithPadding, PreTrainedModel

from srframework.contracts import PARTS, Network, Split
from srframework.errors import BackboneError, PluginError, UsageError
from srframework.recipe.model import Recipe
from srframework.run.resources import Materials
from srframework.training.finite import not_finite

_MOST_TRIED = 1024
"""Tokens. The memory for attention grows with their square."""

_EXAMPLES, _MOST_CHARACTERS = 2, 1000

_CHECKED: WeakKeyDictionary[PreTrainedModel, set[int]] = WeakKeyDictionary()
"""Lengths for which a model has passed the checks; a sweep runs many recipes on one model."""


def check_model(recipe: Recipe, materials: Materials) -> None:
    """Refuse a model on which the recipe cannot run.

    Raises:
        UsageError: The ``max_length`` of a stage exceeds the positions of the model.
        BackboneError: Its weights are not finite; its tokenizer has tokens without an embedding, or cannot encode the
            examples; or its logits for them are not finite.
        PluginError: A prunable matrix of the backbone does not exist.
    """
    network, task = materials.pretrained, materials.task
    checked = _CHECKED.setdefault(network.model, set())
    use = recipe.backbone
    path = getattr(use.options, "path", None)
    name = f"{use.registered.owner} ({path})" if isinstance(path, str) else use.registered.owner
    if not checked:
        check_network(network, name)
    for stage in recipe.stages:
        length = stage.training.max_length
        if length in checked:
            continue
        if (positions := usable_positions(network.model)) is not None and length > positions:
            raise UsageError(
                f"stages.{stage.name}.max_length: must be at most {positions}, the number of positions of {name} "
                f"(got {length})"
            )
        check_examples(network, task.train, length, len(task.labels), name)
        checked.add(length)


def check_network(network: Network, name: str) -> None:
    """Refuse weights that are not finite, tokens without an embedding, and prunable matrices that do not exist.

    Args:
        network: The model from its backbone.
        name: Name of the backbone, for messages.
    """
    model, tokenizer = network.model, network.tokenizer
    for matrix, part in network.prunable.items():
        weight = _weight(model, matrix)
        if part not in PARTS or weight is None or weight.dim() != 2:
            expected = f"expected linear modules, each of a part among {', '.join(PARTS)}"
            raise PluginError(f"{name}: prunable: {expected}; got {matrix!r} of {part!r}")
    if (found := not_finite(model.state_dict())) is not None:
        raise BackboneError(f"{name}: expected finite weights, got {found}")
    rows = _rows(model.get_input_embeddings())
    words = tokenizer.get_vocab()
    if rows is not None and words:
        word, last = max(words.items(), key=lambda each: each[1])
        if last >= rows or len(tokenizer) > rows:
            raise BackboneError(
                f"{name}: expected a tokenizer of at most {rows} tokens, because the model has {rows} embeddings; "
                f"got {max(len(tokenizer), last + 1)} tokens; the last token is {word!r:.60} ({last})"
            )
        negative = min(words.items(), key=lambda each: each[1])
        if negative[1] < 0:
            raise BackboneError(f"{name}: expected tokens from 0, got {negative[0]!r:.60} with {negative[1]}")
    pad = tokenizer.pad_token_id
    if tokenizer.pad_token is None or pad is None or (rows is not None and not 0 <= pad < rows):
        got = "none" if tokenizer.pad_token is None else f"{tokenizer.pad_token!r:.60} ({pad})"
        most = "" if rows is None else f" in [0, {rows - 1}]"
        raise BackboneError(f"{name}: expected a tokenizer with a padding token{most}, got {got}")


def usable_positions(model: nn.Module) -> int | None:
    """Return the number of tokens that a model has positions for; None if it has no table of positions.

    RoBERTa and similar models count from the position after the padding token: 512 of 514 positions are usable.
    """
    for name, module in model.named_modules():
        if name.rpartition(".")[2] in ("position_embeddings", "wpe", "embed_positions"):
            rows, first = _rows(module), getattr(module, "padding_idx", None)
            if rows is not None:
                return rows if first is None else rows - first - 1
    return None


def check_examples(network: Network, train: Split, length: int, labels: int, name: str) -> None:
    """Encode a few examples, the first with the largest length, and check the model's logits for them.

    Args:
        network: The model; not changed.
        train: Source of the examples.
        length: Truncation length in tokens.
        labels: Expected number of logits per example.
        name: Name of the backbone, for messages.

    Raises:
        BackboneError: The examples cannot be encoded, or the logits have a wrong shape or are not finite.
    """
    tokenizer = copy.deepcopy(network.tokenizer)  # a call changes its truncation and padding state
    rows = train.examples[: min(_EXAMPLES, len(train.examples))]
    texts = [list(rows[column]) for column in ("text_a", "text_b") if column in rows]
    if not texts or not texts[0]:
        return
    longest = min(length, _MOST_TRIED)
    texts = [[" ".join([column[0][:_MOST_CHARACTERS] or "a"] * longest), *column] for column in texts]
    model, was_training = network.model, network.model.training
    try:
        encoded = dict(tokenizer(*texts, truncation=True, max_length=longest))
        rows_of_tokens = [dict(zip(encoded, row, strict=True)) for row in zip(*encoded.values(), strict=True)]
        batch: dict[str, Any] = dict(DataCollatorWithPadding(tokenizer)(rows_of_tokens))
        _check_types(model, batch, name)
        model.eval()
        with torch.inference_mode():
            logits = model(**{key: value.to(model.device) for key, value in batch.items()}).logits
    except (MemoryError, BackboneError):
        raise
    except Exception as error:  # a custom model may raise anything
        shown = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise BackboneError(f"{name}: expected logits for an example of {longest} tokens, got {shown}") from error
    finally:
        model.train(was_training)
    if tuple(logits.shape) != (len(texts[0]), labels):
        got = " × ".join(map(str, logits.shape))
        raise BackboneError(f"{name}: expected {labels} logits per example, got {got} for {len(texts[0])} examples")
    if not bool(torch.isfinite(logits).all()):
        kind = "NaN" if bool(logits.isnan().any()) else "infinity"
        raise BackboneError(f"{name}: expected finite logits, got {kind} for the first training examples")


def _check_types(model: PreTrainedModel, batch: Mapping[str, Tensor], name: str) -> None:
    """Refuse token numbers and token types without an embedding in the model."""
    types = [module for at, module in model.named_modules() if at.rpartition(".")[2] == "token_type_embeddings"]
    for key, module in (("input_ids", model.get_input_embeddings()), *(("token_type_ids", each) for each in types)):
        rows = _rows(module)
        if key in batch and rows is not None and int(batch[key].max()) >= rows:
            expected = f"expected {key} below {rows}, the number of embeddings"
            raise BackboneError(f"{name}: {expected}, got {int(batch[key].max())} from its tokenizer")


def _rows(module: object) -> int | None:
    weight = getattr(module, "weight", None)
    return weight.shape[0] if isinstance(weight, Tensor) and weight.dim() == 2 else None


def _weight(model: nn.Module, name: str) -> Tensor | None:
    try:
        weight = getattr(model.get_submodule(name), "weight", None)
    except AttributeError:
        return None
    return weight if isinstance(weight, Tensor) else None
