"""Any encoder that transformers can load and that has BERT's structure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

from srf_backbones.classifier import settle_classifier
from srf_backbones.options import EncoderOptions
from srf_backbones.structure import matrix_entries, prunable_modules
from srframework import Backbone, BackboneError, Network

_UNLOADABLE = (
    *(OSError, ValueError, KeyError, TypeError, RuntimeError, ImportError),
    *(SafetensorError, StrictDataclassError),
)
"""What transformers raises, depending on what is wrong with a directory or a name."""

_KNOWN_SIZES = {
    "bert-base-uncased": matrix_entries(12, 768, 3072),
    "bert-large-uncased": matrix_entries(24, 1024, 4096),
    "roberta-base": matrix_entries(12, 768, 3072),
}
"""Entries of the encoder's matrices of models that may not be here when a plan is made."""

_DROPOUTS = ("hidden_dropout_prob", "attention_probs_dropout_prob")

_NOT_THE_CHECKPOINTS = {
    **dict.fromkeys(("attn_implementation", "experts_implementation")),
    **dict.fromkeys(("output_attentions", "output_hidden_states"), False),
    "return_dict": True,
}
"""What a configuration may set and a run fixes: it changes the last bits of a result, or what the model returns."""


class HuggingFaceEncoder(Backbone):
    """A pre-trained encoder from a directory or from the hub, with a new classifier; a checkpoint
    whose classifier has just our labels keeps it, in our order.

    Weights are read from safetensors alone, in float32; code that comes with a model is never run.
    """

    options: EncoderOptions

    def load(self, labels: Sequence[str], seed: int) -> Network:
        """Load model and tokenizer; the classifier is drawn from ``seed``."""
        names = dict(enumerate(labels))
        settings: dict[str, Any] = {
            "num_labels": len(labels),
            "id2label": names,
            "label2id": {label: index for index, label in names.items()},
            **_NOT_THE_CHECKPOINTS,
        }
        if self.options.dropout is not None:
            settings |= dict.fromkeys(_DROPOUTS, self.options.dropout)
        source = {"revision": self.options.revision or "main", "trust_remote_code": False}
        path = self.options.path
        try:
            stored = AutoConfig.from_pretrained(path, **source).id2label
            config = AutoConfig.from_pretrained(path, **source, **settings)
            tokenizer = AutoTokenizer.from_pretrained(path, **source)
            with torch.random.fork_rng():
                torch.manual_seed(seed)
                model, loaded = AutoModelForSequenceClassification.from_pretrained(
                    path,
                    config=config,
                    dtype=torch.float32,
                    use_safetensors=True,
                    ignore_mismatched_sizes=True,  # a checkpoint that was fine-tuned with other labels
                    output_loading_info=True,
                    **source,
                )
        except _UNLOADABLE as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            where = "the directory" if Path(path).is_dir() else "no such directory; on the Hugging Face hub"
            expected = "a directory with a model, or a name on the hub"
            raise BackboneError(f"backbone.path: expected {expected}, got {path!r} ({where}): {reason}") from error
        network = Network(model, tokenizer, prunable_modules(model))
        absent = {*loaded["missing_keys"], *(name for name, *_ in loaded["mismatched_keys"])}
        self._check(network, absent)
        settle_classifier(network, [stored[index] for index in sorted(stored)], labels, absent, seed)
        return network

    def size(self) -> int | None:
        """Known of the presets' own models; of others from the model's configuration, if it is here."""
        path = self.options.path
        if not Path(path).is_dir():
            return _KNOWN_SIZES.get(path)
        try:
            config = AutoConfig.from_pretrained(path, trust_remote_code=False)
        except _UNLOADABLE:
            return None
        width, inner = getattr(config, "hidden_size", 0), getattr(config, "intermediate_size", 0)
        layers = getattr(config, "num_hidden_layers", 0)
        return matrix_entries(layers, width, inner) if layers and width and inner else None

    def _check(self, network: Network, absent: set[str]) -> None:
        """Refuse what transformers lets pass; ``absent``: parameters that the checkpoint does not have."""
        path, config = self.options.path, network.model.config
        if self.options.dropout is not None and not all(hasattr(config, name) for name in _DROPOUTS):
            raise BackboneError(
                f"backbone.dropout: expected no dropout for a model of type {config.model_type!r}, whose "
                f"configuration has no {' and '.join(_DROPOUTS)}; got {self.options.dropout}"
            )
        if set(network.tokenizer.get_vocab()) <= set(network.tokenizer.all_special_tokens):
            raise BackboneError(f"backbone.path: expected a model with its tokenizer, got {path!r}, which has no words")
        if lost := sorted(name for name in _encoder_parameters(network) if name in absent):
            raise BackboneError(
                f"backbone.path: expected the weights of {type(network.model.base_model).__name__}, got {path!r}, "
                f"in which {len(lost)} of them are missing or of another shape, such as {lost[0]}"
            )


def _encoder_parameters(network: Network) -> list[str]:
    """Names of the base model's parameters, all but the pooler's, which a pre-trained model may lack."""
    base = {id(parameter) for parameter in network.model.base_model.parameters()}
    new = tuple(f"{name}." for name, part in network.prunable.items() if part == "pooler")
    named = network.model.named_parameters()
    return [name for name, parameter in named if id(parameter) in base and not name.startswith(new)]
