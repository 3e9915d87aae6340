"""How many entries may be pruned, of the models of the paper: without their weights."""

from __future__ import annotations

import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification, RobertaConfig, RobertaForSequenceClassification

from srf_backbones.structure import find_structure
from srframework import Network

LARGE = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096}

MODELS = {
    # encoder: layers · (4 · width² + 2 · width · intermediate); pooler: width²; classifier: labels · width
    "bert-base": (BertForSequenceClassification, BertConfig(num_labels=3), (84_934_656, 589_824, 2_304)),
    "bert-large": (BertForSequenceClassification, BertConfig(num_labels=3, **LARGE), (301_989_888, 1_048_576, 3_072)),
    # The first matrix of RoBERTa's head has the role of a pooler
    "roberta-base": (RobertaForSequenceClassification, RobertaConfig(num_labels=3), (84_934_656, 589_824, 2_304)),
}


@pytest.mark.parametrize("name", MODELS)
def test_the_matrices_of_the_papers_models_are_found_and_counted(name):
    architecture, config, expected = MODELS[name]
    with torch.device("meta"):
        model = architecture(config)
    network = Network(model, None, find_structure(model).prunable)
    parts = ("encoder", "pooler", "classifier")
    assert tuple(sum(w.numel() for w in network.matrices([part]).values()) for part in parts) == expected
    assert len(network.matrices(["encoder"])) == 6 * config.num_hidden_layers
