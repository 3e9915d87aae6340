"""How many entries may be pruned, of the models of the paper: without their weights."""

from __future__ import annotations

import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification, RobertaConfig, RobertaForSequenceClassification

from srf_backbones.encoder import HuggingFaceEncoder
from srf_backbones.options import BertBaseOptions, BertLargeOptions, EncoderOptions, RobertaBaseOptions, TinyOptions
from srf_backbones.structure import prunable_modules
from srf_backbones.tiny import TinyBert
from srframework import Network

LARGE = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096}

MODELS = {
    # encoder: layers · (4 · width² + 2 · width · intermediate); pooler: width²; classifier: labels · width
    "bert-base": (BertForSequenceClassification, BertConfig(num_labels=3), (84_934_656, 589_824, 2_304)),
    "bert-large": (BertForSequenceClassification, BertConfig(num_labels=3, **LARGE), (301_989_888, 1_048_576, 3_072)),
    # RoBERTa's head has two matrices: width², and labels · width
    "roberta-base": (RobertaForSequenceClassification, RobertaConfig(num_labels=3), (84_934_656, 0, 592_128)),
}


@pytest.mark.parametrize("name", MODELS)
def test_the_matrices_of_the_papers_models_are_found_and_counted(name):
    architecture, config, expected = MODELS[name]
    with torch.device("meta"):
        model = architecture(config)
    network = Network(model, None, prunable_modules(model))
    parts = ("encoder", "pooler", "classifier")
    assert tuple(sum(w.numel() for w in network.matrices([part]).values()) for part in parts) == expected
    assert len(network.matrices(["encoder"])) == 6 * config.num_hidden_layers


@pytest.mark.parametrize(
    ("options", "expected"),
    [(BertBaseOptions, 84_934_656), (BertLargeOptions, 301_989_888), (RobertaBaseOptions, 84_934_656)],
)
def test_the_presets_know_their_size_and_ask_nobody(options, expected, monkeypatch):
    monkeypatch.setattr("srf_backbones.encoder.AutoConfig.from_pretrained", _never)
    assert HuggingFaceEncoder(options()).size() == expected


def _never(*args, **kwargs):
    raise AssertionError("an estimate asks the hub")


def test_an_unknown_model_that_is_not_here_has_no_size(monkeypatch):
    monkeypatch.setattr("srf_backbones.encoder.AutoConfig.from_pretrained", _never)
    assert HuggingFaceEncoder(EncoderOptions(path="somebody/something")).size() is None


def test_a_directory_without_a_configuration_has_no_size(tmp_path):
    assert HuggingFaceEncoder(EncoderOptions(path=str(tmp_path))).size() is None


def test_a_local_models_size_comes_from_its_configuration(minilm):
    # 6 layers of width 384 and 1536
    assert HuggingFaceEncoder(EncoderOptions(path=str(minilm))).size() == 6 * (4 * 384 * 384 + 2 * 384 * 1536)


def test_the_size_of_tiny_is_that_of_its_matrices():
    tiny = TinyBert(TinyOptions(layers=3, width=16, heads=2, intermediate=24))
    matrices = tiny.load(("no", "yes"), seed=1).matrices(["encoder"])
    assert tiny.size() == sum(matrix.numel() for matrix in matrices.values()) == 3 * (4 * 256 + 2 * 16 * 24)
