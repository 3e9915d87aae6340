"""Backbones whose fault shows in a second load, in another process, or in training; and the check that must find it."""

from __future__ import annotations

import dataclasses

import torch
from mutants.backbones import SoundModel
from pydantic import Field
from transformers import BertForSequenceClassification

from srframework import Options


class Layers(Options):
    layers: int = Field(2, ge=1, le=6, description="Number of layers; 1 to 6.")


class SoundLayers(SoundModel):
    """A BERT with as many layers as its option says."""

    options_class = Layers
    model_class = BertForSequenceClassification

    def load(self, labels, seed):
        network = super().load(labels, seed)
        network.model.config.num_hidden_layers = self.layers()
        with torch.random.fork_rng():
            torch.manual_seed(self.seed(seed))
            model = self.model_class(network.model.config)
        linear = [name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)]
        return dataclasses.replace(network, model=model, prunable={name: part_of(name) for name in linear})

    def layers(self):
        return self.options.layers

    def seed(self, seed):
        return seed


def part_of(name):
    return "encoder" if ".layer." in name else "pooler" if "pooler" in name else "classifier"


class OnlyTwoSeeds(SoundLayers):
    def seed(self, seed):
        return seed % 2


class CountsItsLoads(SoundLayers):
    loads = 0

    def seed(self, seed):
        self.loads += 1
        return seed + self.loads


class FirstLabels(SoundLayers):
    names = None

    def load(self, labels, seed):
        self.names = self.names or labels
        return super().load(self.names, seed)


class SeedOfTheLabels(SoundLayers):
    def load(self, labels, seed):
        return super().load(labels, seed + sum(map(len, labels)))


class HashOfAText(SoundLayers):
    def seed(self, seed):
        return seed + hash("my-backbone") % 1000


class OneLayerMore(SoundLayers):
    def layers(self):
        return self.options.layers + 1


class TwoLayersInTheCode(SoundLayers):
    def load(self, labels, seed):
        network = super().load(labels, seed)
        known = {name: part for name, part in network.prunable.items() if "layer." not in name or name[19] in "01"}
        return dataclasses.replace(network, prunable=known)


class NoPooler(SoundLayers):
    def load(self, labels, seed):
        network = super().load(labels, seed)
        prunable = {name: part for name, part in network.prunable.items() if part != "pooler"}
        return dataclasses.replace(network, prunable=prunable)


class PoolerAsClassifier(SoundLayers):
    def load(self, labels, seed):
        network = super().load(labels, seed)
        return dataclasses.replace(network, prunable=dict(network.prunable) | {"bert.pooler.dense": "classifier"})


class SharedTokenizer(SoundLayers):
    tokenizer = None

    def load(self, labels, seed):
        network = super().load(labels, seed)
        self.tokenizer = self.tokenizer or network.tokenizer
        return dataclasses.replace(network, tokenizer=self.tokenizer)


class GradientsOff(SoundLayers):
    def load(self, labels, seed):
        torch.set_grad_enabled(False)
        return super().load(labels, seed)


class Dropping(BertForSequenceClassification):
    def forward(self, **batch):
        outputs = super().forward(**batch)
        outputs.logits = torch.nn.functional.dropout(outputs.logits, 0.5)
        return outputs


class DropsInEvaluation(SoundLayers):
    model_class = Dropping


class Detached(BertForSequenceClassification):
    def forward(self, **batch):
        with torch.no_grad():
            hidden = self.bert(**batch).pooler_output
        outputs = super().forward(**batch)
        outputs.logits = self.classifier(hidden)
        return outputs


class TrainsTheClassifierOnly(SoundLayers):
    model_class = Detached


def saved(directory):
    network = SoundModel(Stored(path="")).load(("a", "b"), 0)
    network.model.save_pretrained(directory)
    return {"path": str(directory)}


class Stored(Options):
    path: str = Field("", description="A directory with a model.")


class IgnoresItsFile(SoundModel):
    options_class, example = Stored, staticmethod(saved)


LOADED = {
    OnlyTwoSeeds: "seed_matters",
    CountsItsLoads: "earlier_loads_do_not_matter",
    FirstLabels: "one_output_per_label",
    SeedOfTheLabels: "label_names_do_not_matter",
    HashOfAText: "same_model_in_another_process",
    OneLayerMore: "sizes_follow_options",
    TwoLayersInTheCode: "prunable_covers_the_model",
    NoPooler: "prunable_covers_the_model",
    PoolerAsClassifier: "prunable_covers_the_model",
    SharedTokenizer: "fresh_object",
    GradientsOff: "settings_untouched",
    DropsInEvaluation: "evaluation_repeats",
    TrainsTheClassifierOnly: "gradients_reach_the_matrices",
    IgnoresItsFile: "stored_weights_are_loaded",
}
