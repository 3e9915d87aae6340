"""Backbones with one fault each, and the check that must find it."""

from __future__ import annotations

import dataclasses
import random

import torch
from torch import nn

from srframework import Backbone, testing


class SoundModel(Backbone):
    """The small BERT, with the labels that are asked for."""

    def load(self, labels, seed):
        network = testing.network(seed)
        config = network.model.config
        config.id2label, config.label2id = dict(enumerate(labels)), {label: i for i, label in enumerate(labels)}
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = type(network.model)(config)
        return dataclasses.replace(network, model=model)


def with_prunable(name, change):
    """A backbone with other prunable modules."""

    def load(self, labels, seed):
        network = SoundModel.load(self, labels, seed)
        return dataclasses.replace(network, prunable=change(dict(network.prunable)))

    return type(name, (SoundModel,), {"load": load})


def without(text):
    return lambda prunable: {name: part for name, part in prunable.items() if text not in name}


PrunesEmbeddings = with_prunable("PrunesEmbeddings", lambda p: {**p, "bert.embeddings.word_embeddings": "encoder"})
PrunesMissing = with_prunable("PrunesMissing", lambda p: {**p, "bert.layer9": "encoder"})
NothingPrunable = with_prunable("NothingPrunable", lambda _: {})
UnknownPart = with_prunable("UnknownPart", lambda p: dict.fromkeys(p, "body"))
NoSecondLayer = with_prunable("NoSecondLayer", without("layer.1."))
NoValues = with_prunable("NoValues", without("self.value"))
NoClassifier = with_prunable("NoClassifier", without("classifier"))
WrongParts = with_prunable("WrongParts", lambda p: dict.fromkeys(p, "classifier"))


class AlwaysThreeOutputs(SoundModel):
    def load(self, labels, seed):
        return super().load(testing.LABELS, seed)


class NoLabelNames(SoundModel):
    def load(self, labels, seed):
        return super().load([f"LABEL_{index}" for index in range(len(labels))], seed)


class LabelsReversed(SoundModel):
    def load(self, labels, seed):
        return super().load(labels[::-1], seed)


class Unseeded(SoundModel):
    def load(self, labels, seed):
        network = super().load(labels, seed)
        network.model.classifier.reset_parameters()
        return network


class IgnoresSeed(SoundModel):
    def load(self, labels, seed):
        return super().load(labels, 0)


class SeedsGlobally(SoundModel):
    def load(self, labels, seed):
        torch.manual_seed(seed)
        return super().load(labels, seed)


class SameObject(SoundModel):
    def load(self, labels, seed):
        if not hasattr(self, "network"):
            self.network = super().load(labels, seed)
        return self.network


class SameModule(SoundModel):
    def load(self, labels, seed):
        network = super().load(labels, seed)
        first, second = network.model.bert.encoder.layer
        second.attention.self.query.weight = first.attention.self.query.weight
        return network


class FirstTextOnly(SoundModel):
    def load(self, labels, seed):
        network = super().load(labels, seed)
        original = network.tokenizer
        return dataclasses.replace(network, tokenizer=OneText(original))


class OneText:
    """A tokenizer that drops the second text."""

    def __init__(self, tokenizer):
        self._tokenizer = tokenizer

    def __call__(self, text, second=None, **options):
        return self._tokenizer(text, **options)

    def __getattr__(self, name):
        return getattr(self._tokenizer, name)


class IgnoresPadding(SoundModel):
    def load(self, labels, seed):
        network = super().load(labels, seed)
        forward = network.model.forward
        network.model.forward = lambda **batch: forward(**{k: v for k, v in batch.items() if k != "attention_mask"})
        return network


class Frozen(SoundModel):
    def load(self, labels, seed):
        network = super().load(labels, seed)
        network.model.bert.embeddings.requires_grad_(False)
        return network


class HalfPrecision(SoundModel):
    def load(self, labels, seed):
        network = super().load(labels, seed)
        return dataclasses.replace(network, model=network.model.double())


class InfiniteWeights(SoundModel):
    def load(self, labels, seed):
        network = super().load(labels, seed)
        network.model.classifier.weight.data[0, 0] = torch.inf
        return network


class ExtraHead(SoundModel):
    def load(self, labels, seed):
        network = super().load(labels, seed)
        network.model.classifier = nn.Sequential(nn.Linear(8, 8), network.model.classifier)
        return dataclasses.replace(
            network, prunable=without("classifier")(network.prunable) | {"classifier.1": "classifier"}
        )


class RaisesForTwoLabels(SoundModel):
    def load(self, labels, seed):
        return super().load((labels[0], labels[1], labels[2]), seed)


class ReturnsTheModel(SoundModel):
    def load(self, labels, seed):
        return super().load(labels, seed).model


class SameClassifier(SoundModel):
    def load(self, labels, seed):
        network = super().load(labels, seed)
        nn.init.constant_(network.model.classifier.weight, 0.1)
        return network


class SeedsPython(SoundModel):
    def load(self, labels, seed):
        random.seed(seed)
        return super().load(labels, seed)


class BlocksOfOtherRows(SoundModel):
    def load(self, labels, seed):
        network = super().load(labels, seed)
        return dataclasses.replace(network, blocks={next(iter(network.prunable)): (4, 5)})


class VocabularyOfAnother(SoundModel):
    def load(self, labels, seed):
        network = super().load(labels, seed)
        network.model.config.vocab_size = 30522
        return network


class LayersOfAnother(SoundModel):
    def load(self, labels, seed):
        network = super().load(labels, seed)
        network.model.config.num_hidden_layers = 12
        return network


class LengthOfAnother(SoundModel):
    def load(self, labels, seed):
        network = super().load(labels, seed)
        network.tokenizer.model_max_length = 512
        return network


PoolerAsEncoder = with_prunable("PoolerAsEncoder", lambda p: {**p, "bert.pooler.dense": "encoder"})


BACKBONES = {
    AlwaysThreeOutputs: "one_output_per_label",
    RaisesForTwoLabels: "one_output_per_label",
    ReturnsTheModel: "one_output_per_label",
    NoLabelNames: "names_the_labels",
    LabelsReversed: "names_the_labels",
    Unseeded: "same_seed_same_weights",
    IgnoresSeed: "seed_matters",
    SeedsGlobally: "random_state_untouched",
    SameObject: "fresh_object",
    PrunesEmbeddings: "prunable_is_linear",
    PrunesMissing: "prunable_is_linear",
    NothingPrunable: "prunable_is_linear",
    UnknownPart: "prunable_is_linear",
    SameModule: "prunable_is_distinct",
    NoSecondLayer: "prunable_covers_the_model",
    NoValues: "prunable_covers_the_model",
    NoClassifier: "prunable_covers_the_model",
    WrongParts: "prunable_covers_the_model",
    FirstTextOnly: "second_text_is_used",
    IgnoresPadding: "padding_is_ignored",
    Frozen: "sound_weights",
    HalfPrecision: "sound_weights",
    InfiniteWeights: "sound_weights",
    ExtraHead: "saves_and_loads",
    SameClassifier: "seed_matters",
    SeedsPython: "random_state_untouched",
    BlocksOfOtherRows: "blocks_fit",
    VocabularyOfAnother: "true_sizes",
    LayersOfAnother: "true_sizes",
    LengthOfAnother: "long_texts",
    PoolerAsEncoder: "prunable_covers_the_model",
}
