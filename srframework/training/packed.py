"""The forward pass of a batch without padding, for BERT and RoBERTa on a CPU; other models run on the padded batch.

The tokens of all B examples follow each other as one sequence of N tokens, so that every linear layer works on N rows
and not on B·T. Only attention distinguishes the examples. The layer below the classifier computes what the classifier
reads: the first token of each example. The logits are those of the padded batch, up to rounding.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import BertForSequenceClassification, PreTrainedModel, RobertaForSequenceClassification
from transformers.modeling_outputs import BaseModelOutputWithPastAndCrossAttentions

from srframework.training.dropout import fast_dropout
from srframework.training.packed_attention import Groups, attention

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
    groups: Groups
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
        encoder: Any = model.base_model.encoder

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
        query, key, value = of.query(asking)[0], of.key(hidden)[0], of.value(hidden)[0]
        rate = of.dropout.p if of.training else 0.0
        context = attention(query, key, value, self.groups, of.num_attention_heads, rate)
        attended = layer.attention.output(context.unsqueeze(0), asking)
        return _feed_forward(layer, attended)


def _feed_forward(layer: Any, attended: Tensor) -> Tensor:
    """Run the feed-forward half of a layer. The backward pass computes the activation function again: for 32 · 128
    tokens, this saves 48 MiB in each layer of BERT-base."""
    activation = layer.intermediate.intermediate_act_fn
    before = layer.intermediate.dense(attended)
    after = activation(before)
    place = after.data_ptr()  # the graph keeps what pack() refers to

    def pack(saved: Tensor) -> Any:
        return saved.shape if saved.data_ptr() == place else saved

    def unpack(packed: Any) -> Tensor:
        return packed if isinstance(packed, Tensor) else activation(before).view(packed)

    with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
        return layer.output(after, attended)  # type: ignore[no-any-return]  # transformers'


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
        embeddings: Any = model.base_model.embeddings
        found: Tensor = embeddings.create_position_ids_from_input_ids(ids, embeddings.padding_idx)
        return found
    return torch.arange(ids.shape[1], device=ids.device).expand_as(ids)
