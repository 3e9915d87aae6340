"""Loads any sequence classifier of transformers whose layers have a known structure."""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import torch
from transformers import (
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
    AutoConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.modeling_layers import GenericForSequenceClassification

from srf_backbones.classifier import settle_classifier
from srf_backbones.configuration import (
    CONFIG,
    check_padding,
    make_configuration,
    one_line,
    read_configuration,
    stored_labels,
)
from srf_backbones.hub import model_directory
from srf_backbones.options import EncoderOptions
from srf_backbones.special_tokens import check_tokens, settle_padding
from srf_backbones.structure import find_structure
from srf_backbones.words import load_tokenizer
from srframework import Backbone, BackboneError, ModelDirectory, Network, directory_problem

_DROPOUTS = (
    *("hidden_dropout_prob", "attention_probs_dropout_prob"),  # BERT, RoBERTa, ALBERT, ELECTRA, DeBERTa
    *("dropout", "attention_dropout"),  # DistilBERT; EuroBERT, Llama and Qwen have only the second
    *("mlp_dropout", "embedding_dropout"),  # ModernBERT
)
"""Dropout of hidden states and attention in the configurations of the families; the head's own is not among them."""

_SLACK = 10**7
"""Weights that a model may have beyond four times those of its files, for new layers on top."""


class HuggingFaceEncoder(Backbone):
    """A pre-trained encoder from a directory or from the hub, with a new classifier.

    A stored classifier is kept if its labels are those of the data set; its outputs are then sorted in the order of
    these labels.
    Weights are read from safetensors only, in float32. Code of a model is never run, and no file outside its directory
    is opened.
    """

    options: EncoderOptions

    def load(self, labels: Sequence[str], seed: int) -> Network:
        """Load model and tokenizer; draw a new classifier from ``seed``."""
        names = dict(enumerate(labels))
        settings: dict[str, Any] = {"id2label": names, "label2id": {label: index for index, label in names.items()}}
        if problem := directory_problem(self.options.path, "Model"):
            raise BackboneError(f"backbone.path: {problem.message}")
        with self._path_in_errors():
            directory = model_directory(self.options.path, self.options.revision)
            stored = read_configuration(directory)
            old_labels = stored_labels(directory, stored)
            config = make_configuration(directory, stored, AutoConfig.for_model(stored["model_type"]), settings)
        self._set_dropout(config)
        with self._path_in_errors():
            architecture = _architecture(directory, config)
            entries = sum(math.prod(shape) for shape in directory.weight_shapes().values())
            outline = _outline(directory, architecture, config, entries)
        structure = find_structure(outline)
        tokenizer = self._tokenizer(directory, architecture, config)
        with self._path_in_errors():
            weights = directory.weights()
            with _convert_errors(str(directory.path)), torch.random.fork_rng():
                torch.manual_seed(seed)
                read: Any = architecture.from_pretrained(
                    None,  # with a path, it would look for further files and follow the files that they name
                    config=config,
                    state_dict=weights,
                    dtype=torch.float32,
                    ignore_mismatched_sizes=True,  # for a checkpoint that was fine-tuned with other labels
                    output_loading_info=True,
                )
        model, loaded = read
        model.name_or_path = self.options.path
        network = Network(model, tokenizer, structure.prunable, structure.blocks)
        absent = {*loaded["missing_keys"], *(name for name, *_ in loaded["mismatched_keys"])}
        self._check(network, absent)
        settle_classifier(network, old_labels, labels, absent, seed)
        return network

    @contextmanager
    def _path_in_errors(self) -> Iterator[None]:
        """Add the path of the model to errors."""
        try:
            yield
        except BackboneError as error:
            path = self.options.path
            where = "a directory" if os.path.isdir(path) else "no such directory; on the Hugging Face hub"
            expected = "a directory with a model, or a name on the hub"
            raise BackboneError(f"backbone.path: expected {expected}, got {path!r} ({where}): {error}") from error

    def _tokenizer(
        self, directory: ModelDirectory, architecture: type[PreTrainedModel], config: PreTrainedConfig
    ) -> PreTrainedTokenizerBase:
        """Load the tokenizer; model and tokenizer then have the same padding token."""
        with self._path_in_errors():
            tokenizer = load_tokenizer(directory, config)
        if set(tokenizer.get_vocab()) <= set(tokenizer.all_special_tokens):
            raise BackboneError(
                f"backbone.path: expected a model with its tokenizer, got {self.options.path!r} without a vocabulary"
            )
        reads_last_token = issubclass(architecture, GenericForSequenceClassification)
        with self._path_in_errors():
            settle_padding(tokenizer, config, reads_last_token=reads_last_token)
            check_padding(directory, config)
            check_tokens(tokenizer, config, reads_last_token=reads_last_token)
        return tokenizer

    def _set_dropout(self, config: PreTrainedConfig) -> None:
        if self.options.dropout is None:
            return
        known = [name for name in _DROPOUTS if hasattr(config, name)]
        if not known:
            raise BackboneError(
                f"backbone.dropout: expected no dropout for a model of type {config.model_type!r} (its configuration "
                f"has none of {', '.join(_DROPOUTS)}), got {self.options.dropout}"
            )
        for name in known:
            setattr(config, name, self.options.dropout)

    def _check(self, network: Network, absent: set[str]) -> None:
        """Refuse a model without weights; ``absent``: parameters that are not in the checkpoint."""
        if missing := sorted(name for name in _encoder_parameters(network) if name in absent):
            raise BackboneError(
                f"backbone.path: expected the weights of {type(network.model.base_model).__name__}, "
                f"got {self.options.path!r}: {len(missing)} weights are missing or have another shape, "
                f"such as {missing[0]}"
            )


def _architecture(directory: ModelDirectory, config: PreTrainedConfig) -> type[PreTrainedModel]:
    try:
        found: Any = MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING[type(config)]
    except (KeyError, ImportError) as error:
        expected = "expected an encoder for classification such as bert or roberta"
        raise BackboneError(f"{directory.path / CONFIG}: {expected}, got {config.model_type!r}") from error
    return cast("type[PreTrainedModel]", found[0] if isinstance(found, tuple) else found)


def _outline(
    directory: ModelDirectory, architecture: type[PreTrainedModel], config: PreTrainedConfig, entries: int
) -> PreTrainedModel:
    """Build the model without memory for its weights.

    Raises:
        BackboneError: The model cannot be built, or is far larger than ``entries``, the number of stored weights.
    """
    where = directory.path / CONFIG
    with _convert_errors(str(where)), torch.device("meta"):
        model = architecture(copy.deepcopy(config))
    claimed = sum(parameter.numel() for parameter in model.parameters())
    if claimed > 4 * entries + _SLACK:
        expected = f"a model of about {entries} weights, as in its files"
        raise BackboneError(f"{where}: expected {expected}, got sizes for {claimed}")
    return model


@contextmanager
def _convert_errors(where: str) -> Iterator[None]:
    """Convert any error of transformers to ours; its errors have no common base class."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:
        raise BackboneError(f"{where}: {one_line(error)}") from error


def _encoder_parameters(network: Network) -> list[str]:
    """List the parameters of the base model, without the pooler: a pre-trained model may lack it."""
    base = {id(parameter) for parameter in network.model.base_model.parameters()}
    new = tuple(f"{name}." for name, part in network.prunable.items() if part == "pooler")
    named = network.model.named_parameters()
    return [name for name, parameter in named if id(parameter) in base and not name.startswith(new)]
