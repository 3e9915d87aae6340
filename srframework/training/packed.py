"""The forward pass of a batch without padding, for BERT and RoBERTa on a CPU; other models run on the padded batch.

The tokens of all B examples follow each other as one sequence of N tokens, so that every linear layer works on N rows
and not on B·T. Only attention distinguishes the examples. The layer below the classifier computes what the classifier
reads: the first token of each example. The logits are those of the padded batch, up to rounding.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import BertForSequenceClassification, PreTrainedModel, RobertaForSequenceClassification
from transformers.modeling_outputs import BaseModelOutputWithPastAndCrossAttentions

from srframework.training.dropout import dropout, fast_dropout

_INPUTS = {"input_ids", "attention_mask", "token_type_ids"}

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def logits_of(model: nn.Module, plain: PreTrainedModel, batch: Mapping[str, Tensor]) -> Tensor:
    """Return the logits ``(B, C)`` of a padded batch.

    Args:
        model: The model, possibly wrapped for several processes.
        plain: The same model, not wrapped.
        batch: The model's inputs by name, ``(B, T)`` each.
    """
    packed = Packed.of(plain, batch)
    with fast_dropout(plain):
        if packed is None:
            return model(**batch).logits  # type: ignore[no-any-return]  # transformers'
        with packed.running(plain):
            return model(**packed.inputs).logits  # type: ignore[no-any-return]  # transformers'


@dataclass(frozen=True)
class Packed:
    """A batch as one sequence of N tokens. Its examples are sorted by length, so that those of equal length are
    neighbours.

    Attributes:
        inputs: The model's inputs by name, ``(1, N)`` each.
        groups: Number of examples and their length in tokens, for each length.
        firsts: ``(B,)``: the position of the first token of each example, in sorted order.
        places: ``(B,)``: the place of each example of the batch in sorted order.
    """

    inputs: Mapping[str, Any]
    groups: Sequence[tuple[int, int]]
    firsts: Tensor
    places: Tensor

    @classmethod
    def of(cls, model: PreTrainedModel, batch: Mapping[str, Tensor]) -> Packed | None:
        """Pack a batch; None if the model or the batch needs padding."""
        present = batch.get("attention_mask")
        if present is None or batch.keys() - _INPUTS or "input_ids" not in batch or not _is_packable(model):
            return None
        kept = present.bool()
        if not kept[:, 0].all():  # padding on the left: the classifier would read it
            return None
        lengths, order = kept.sum(1).sort(descending=True, stable=True)
        at = kept[order].flatten().nonzero().squeeze(1)
        ids = batch["input_ids"][order]
        inputs = {
            name: batch[name][order].flatten()[at].unsqueeze(0)
            for name in ("input_ids", "token_type_ids")
            if name in batch
        }
        inputs["position_ids"] = _positions(model, ids).flatten()[at].unsqueeze(0)
        counts, sizes = lengths.tolist(), []
        for length, same in itertools.groupby(counts):
            sizes.append((len(list(same)), length))
        return cls(inputs, sizes, lengths.cumsum(0) - lengths, order.argsort())

    @contextlib.contextmanager
    def running(self, model: PreTrainedModel) -> Iterator[None]:
        """Let the encoder of ``model`` run on ``inputs``, in a block. It returns the first token of each example."""
        encoder = model.base_model.encoder

        def forward(hidden: Tensor, **_others: Any) -> BaseModelOutputWithPastAndCrossAttentions:
            *layers, last = encoder.layer
            for layer in layers:
                hidden = self._layer(layer, hidden, hidden)
            hidden = self._layer(last, hidden, hidden[:, self.firsts])
            return BaseModelOutputWithPastAndCrossAttentions(last_hidden_state=hidden[0, self.places].unsqueeze(1))

        encoder.forward = forward
        try:
            yield
        finally:
            del encoder.forward

    def _layer(self, layer: Any, hidden: Tensor, asking: Tensor) -> Tensor:
        """Run one layer.

        Args:
            layer: The layer.
            hidden: ``(1, N, H)``, for keys and values.
            asking: For the queries and the rest of the layer: ``hidden``, or ``(1, B, H)`` if only the first token of
                each example counts.
        """
        of = layer.attention.self
        asks_once = asking is not hidden
        query_sizes = [count if asks_once else count * length for count, length in self.groups]
        sizes = [count * length for count, length in self.groups]
        queries = of.query(asking)[0].split(query_sizes)
        keys, values = of.key(hidden)[0].split(sizes), of.value(hidden)[0].split(sizes)
        found = []
        for (count, _), *each in zip(self.groups, queries, keys, values, strict=True):
            query, key, value = (
                t.view(count, -1, of.num_attention_heads, of.attention_head_size).transpose(1, 2) for t in each
            )
            context = attention(query, key, value, of.dropout.p if of.training else 0.0)
            found.append(context.transpose(1, 2).reshape(-1, of.all_head_size))
        attended = layer.attention.output(torch.cat(found).unsqueeze(0), asking)
        return layer.feed_forward_chunk(attended)  # type: ignore[no-any-return]  # transformers'


def attention(query: Tensor, key: Tensor, value: Tensor, rate: float) -> Tensor:
    """Return softmax(Q·Kᵀ/√d)·V, with dropout of the probabilities; shapes ``(G, heads, T, d)``."""
    if not rate:
        return nn.functional.scaled_dot_product_attention(query, key, value)
    scores = (query * query.shape[-1] ** -0.5) @ key.transpose(2, 3)
    return dropout(scores.softmax(-1), rate) @ value


def _is_packable(model: PreTrainedModel) -> bool:
    """Whether the layers of a model may be run as :class:`Packed` does."""
    config = model.config
    return (
        type(model) in (BertForSequenceClassification, RobertaForSequenceClassification)
        and model.device.type == "cpu"
        and not (config.is_decoder or config.add_cross_attention or config.chunk_size_feed_forward)
        and not (config.output_hidden_states or config.output_attentions)
        and not any(getattr(module, "gradient_checkpointing", False) for module in model.modules())
        # Hooks of a plugin expect the shapes of a padded batch.
        and not any(getattr(module, kind) for module in model.base_model.modules() for kind in _HOOKS)
    )


def _positions(model: PreTrainedModel, ids: Tensor) -> Tensor:
    """Return the position of each token of a padded batch, as the model counts them, ``(B, T)``."""
    if isinstance(model, RobertaForSequenceClassification):
        embeddings = model.base_model.embeddings
        found: Tensor = embeddings.create_position_ids_from_input_ids(ids, embeddings.padding_idx)
        return found
    return torch.arange(ids.shape[1], device=ids.device).expand_as(ids)
