"""Backbones: what is loaded, what is new, what may be pruned, and what is refused."""

from __future__ import annotations

import json
import shutil
from collections import Counter

import huggingface_hub.constants
import pytest
import torch
import transformers as hf
from safetensors.torch import load_file
from small_backbones import LABELS, SMALL, changed, layers, tiny, weights

from srf_backbones.encoder import HuggingFaceEncoder
from srf_backbones.options import EncoderOptions
from srf_backbones.structure import find_structure
from srframework import BackboneError


def load(path, labels=LABELS, seed=1, **options):
    return HuggingFaceEncoder(EncoderOptions(path=str(path), **options)).load(labels, seed)


def refused(path, **options) -> str:
    with pytest.raises(BackboneError) as caught:
        load(path, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def expecting_a_model(path, where: str) -> str:
    expected = "backbone.path: expected a directory with a model, or a name on the hub, got"
    return f"{expected} {str(path)!r} ({where}): "


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """Directories with a model and a tokenizer, by the type of the model."""
    folder = tmp_path_factory.mktemp("checkpoints")
    words = tiny().tokenizer
    letters = {
        symbol: index for index, symbol in enumerate(["<s>", "<pad>", "</s>", "<unk>", "<mask>", "Ġ", *"abcdefg"])
    }
    torch.manual_seed(0)
    size = {"vocab_size": len(words), "max_position_embeddings": 64}
    models = {
        "bert": (hf.BertModel(hf.BertConfig(**SMALL, **size)), words),
        "roberta": (
            hf.RobertaModel(hf.RobertaConfig(**SMALL, vocab_size=len(letters), max_position_embeddings=64)),
            hf.RobertaTokenizer(vocab=letters, merges=[]),
        ),
        "electra": (hf.ElectraModel(hf.ElectraConfig(**SMALL, **size, embedding_size=8)), words),
        "distilbert": (
            hf.DistilBertModel(hf.DistilBertConfig(**size, dim=16, n_layers=2, n_heads=2, hidden_dim=24)),
            words,
        ),
        "gpt2": (hf.GPT2Model(hf.GPT2Config(**size, n_embd=16, n_layer=1, n_head=2)), words),
    }
    for name, (model, tokenizer) in models.items():
        model.save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    return folder


@pytest.fixture
def copy(checkpoints, tmp_path):
    """A copy of a checkpoint, to be spoilt."""

    def make(name: str):
        return shutil.copytree(checkpoints / name, tmp_path / name)

    return make


# -- encoder -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("bert", layers("bert.encoder.layer") | {"bert.pooler.dense": "pooler", "classifier": "classifier"}),
        (
            "roberta",
            layers("roberta.encoder.layer") | {"classifier.dense": "pooler", "classifier.out_proj": "classifier"},
        ),
        (
            "electra",
            layers("electra.encoder.layer") | {"classifier.dense": "pooler", "classifier.out_proj": "classifier"},
        ),
        (
            "distilbert",
            layers(
                "distilbert.transformer.layer",
                {f"attention.{each}_lin" for each in "qkv"} | {"attention.out_lin", "ffn.lin1", "ffn.lin2"},
            )
            | {"pre_classifier": "pooler", "classifier": "classifier"},
        ),
    ],
)
def test_matrices_that_may_be_pruned_are_found_by_structure_with_their_part(checkpoints, name, expected):
    assert load(checkpoints / name).prunable == expected


@pytest.mark.parametrize("name", ["bert", "roberta", "electra", "distilbert"])
def test_weights_are_those_of_the_checkpoint(checkpoints, name):
    saved = load_file(checkpoints / name / "model.safetensors")
    network = load(checkpoints / name)
    loaded = network.model.base_model.state_dict()
    shared = {key: tensor for key, tensor in saved.items() if name == "bert" or not key.startswith("pooler.")}
    assert loaded.keys() == shared.keys()
    assert changed(loaded, shared) == set()


@pytest.mark.parametrize("name", ["bert", "roberta"])
def test_the_classifier_alone_is_drawn_from_the_seed(checkpoints, name):
    first, same, other = (weights(load(checkpoints / name, seed=seed)) for seed in (1, 1, 2))
    assert changed(first, same) == set()
    new = {key for key in first if key.startswith("classifier.") and key.endswith(".weight")}
    assert changed(first, other) == new


@pytest.mark.parametrize("name", ["tiny", "bert"])
def test_loading_leaves_the_global_random_state_alone(checkpoints, name):
    before = torch.get_rng_state()
    if name == "tiny":
        tiny()
    else:
        load(checkpoints / name)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", ["tiny", "bert", "roberta", "distilbert"])
@pytest.mark.parametrize("labels", [("no", "yes"), LABELS])
def test_labels_are_in_the_configuration_in_the_order_of_the_outputs(checkpoints, name, labels):
    network = tiny(labels=labels) if name == "tiny" else load(checkpoints / name, labels)
    config = network.model.config
    assert config.num_labels == len(labels)
    assert config.id2label == dict(enumerate(labels))
    assert config.label2id == {label: index for index, label in enumerate(labels)}
    batch = network.tokenizer(["a b", "c"], ["d", "a a a"], padding=True, return_tensors="pt")
    assert network.model(**batch).logits.shape == (2, len(labels))


@pytest.mark.parametrize("labels", [("no", "yes"), ("a", "b", "c", "d")])
def test_a_checkpoint_fine_tuned_with_another_number_of_labels_gets_a_new_classifier(copy, labels):
    folder = copy("bert")
    tuned = hf.BertForSequenceClassification.from_pretrained(folder, num_labels=3)
    tuned.save_pretrained(folder)
    model = load(folder, labels).model
    assert model.classifier.weight.shape == (len(labels), 16)
    assert changed(model.bert.state_dict(), tuned.bert.state_dict()) == set()
    assert changed(model.state_dict(), load(folder, labels).model.state_dict()) == set()


def test_a_checkpoint_without_a_pooler_gets_one_from_the_seed(copy):
    folder = copy("bert")
    hf.BertForMaskedLM.from_pretrained(folder).save_pretrained(folder)
    first, same, other = (weights(load(folder, seed=seed)) for seed in (1, 1, 2))
    assert changed(first, same) == set()
    assert changed(first, other) == {"bert.pooler.dense.weight", "classifier.weight"}


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_a_checkpoint_in_half_precision_is_loaded_in_float32(copy, kind):
    folder = copy("bert")
    hf.BertModel.from_pretrained(folder).to(kind).save_pretrained(folder)
    saved = load_file(folder / "model.safetensors")
    assert {tensor.dtype for tensor in saved.values()} == {kind}
    network = load(folder)
    assert {parameter.dtype for parameter in network.model.parameters()} == {torch.float32}
    assert changed(network.model.bert.state_dict(), {name: tensor.float() for name, tensor in saved.items()}) == set()


@pytest.mark.parametrize(("dropout", "expected"), [(None, 0.1), (0.0, 0.0), (0.3, 0.3)])
def test_dropout_is_the_models_own_unless_it_is_set(checkpoints, dropout, expected):
    model = load(checkpoints / "roberta", dropout=dropout).model
    assert {each.p for each in model.modules() if isinstance(each, torch.nn.Dropout)} == {expected}
    assert model.config.attention_probs_dropout_prob == expected


def test_dropout_is_set_by_the_names_of_the_models_family(checkpoints):
    config = load(checkpoints / "distilbert", dropout=0.3).model.config
    assert (config.dropout, config.attention_dropout) == (0.3, 0.3)


def test_a_real_encoder_is_loaded(minilm):
    network = load(minilm)
    assert Counter(network.prunable.values()) == {"encoder": 36, "pooler": 1, "classifier": 1}
    assert network.tokenizer.tokenize("The doctor") == ["the", "doctor"]
    assert sum(matrix.numel() for matrix in network.matrices(["encoder"]).values()) == 6 * (4 + 2 * 4) * 384**2


# -- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["no-such/model", "no-such-model"])
def test_what_is_neither_a_directory_nor_on_the_hub_is_refused(monkeypatch, name):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert refused(name).startswith(expecting_a_model(name, "no such directory; on the Hugging Face hub"))


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("config.json", None, "Unrecognized model"),
        ("config.json", b"{", "not a valid JSON file"),
        ("config.json", b"[]", "Unrecognized model"),
        ("config.json", b'{"hidden_size": 16}', "Unrecognized model"),
        ("config.json", b'{"model_type": "zork"}', "model type `zork`"),
        ("config.json", b'{"model_type": "bert", "hidden_size": "x"}', "hidden_size"),
        ("config.json", b'{"model_type": "bert", "hidden_act": "zork"}', "zork"),
        ("model.safetensors", None, "no file named model.safetensors"),
        ("model.safetensors", b"rubbish", "header too small"),
        ("tokenizer.json", b"{", "line 1 column 2"),
    ],
)
def test_a_directory_without_a_whole_model_is_refused_with_the_reason(copy, file, content, reason):
    folder = copy("bert")
    if content is None:
        (folder / file).unlink()
    else:
        (folder / file).write_bytes(content)
    message = refused(folder)
    assert message.startswith(expecting_a_model(folder, "a directory"))
    assert reason in message


def test_a_cut_off_weight_file_is_refused(copy):
    folder = copy("bert")
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    assert refused(folder).startswith(expecting_a_model(folder, "a directory"))


def test_pickled_weights_are_refused(copy):
    folder = copy("bert")
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    assert "model.safetensors" in refused(folder)


def test_a_model_without_its_tokenizer_is_refused(copy):
    folder = copy("bert")
    for file in folder.glob("tokenizer*"):
        file.unlink()
    expected = f"backbone.path: expected a model with its tokenizer, got {str(folder)!r} without a vocabulary"
    assert refused(folder) == expected


@pytest.mark.parametrize(("option", "value"), [("num_hidden_layers", 3), ("hidden_size", 32)])
def test_a_checkpoint_that_lacks_weights_of_the_encoder_is_refused(copy, option, value):
    folder = copy("bert")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {option: value}))
    message = refused(folder)
    assert message.startswith(f"backbone.path: expected the weights of BertModel, got {str(folder)!r}: ")
    lost = {"num_hidden_layers": "16 weights are missing", "hidden_size": "bert.embeddings.LayerNorm.bias"}
    assert lost[option] in message


@pytest.mark.parametrize("known", [True, False])
def test_code_that_comes_with_a_model_is_never_run(copy, known):
    folder = copy("bert")
    ran = folder / "ran"
    (folder / "own.py").write_text(f"open({str(ran)!r}, 'w').close()\n")
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {"AutoConfig": "own.Config", "AutoModelForSequenceClassification": "own.Model"}
    if known:
        (folder / "config.json").write_text(json.dumps(config))
        assert load(folder).model.config.model_type == "bert"
    else:
        (folder / "config.json").write_text(json.dumps(config | {"model_type": "own"}))
        assert refused(folder).startswith(expecting_a_model(folder, "a directory"))
    assert not ran.exists()


def test_a_decoder_is_refused_with_what_was_expected(checkpoints):
    assert refused(checkpoints / "gpt2") == (
        "GPT2Model cannot be pruned: it has no stack of layers with linear modules"
    )


# -- structure -----------------------------------------------------------------------------------


def test_an_encoder_with_a_decoder_is_refused():
    config = hf.T5Config(vocab_size=20, d_model=16, d_kv=8, num_layers=1, num_heads=2, d_ff=24)
    with pytest.raises(
        BackboneError, match="T5Model cannot be pruned: expected an encoder, got an encoder and a decoder"
    ):
        find_structure(hf.T5ForSequenceClassification(config))


def test_layers_that_share_their_weights_are_pruned_once_and_the_embedding_projection_never():
    config = hf.AlbertConfig(**SMALL, vocab_size=20, embedding_size=8)
    parts = find_structure(hf.AlbertForSequenceClassification(config)).prunable
    assert Counter(parts.values()) == {"encoder": 6, "pooler": 1, "classifier": 1}
    assert parts["albert.pooler"] == "pooler"
    assert not any("embedding" in name for name in parts)


def test_intermediate_layers_may_be_as_wide_as_the_others():
    config = hf.BertConfig(**SMALL | {"intermediate_size": 16}, vocab_size=20)
    parts = find_structure(hf.BertForSequenceClassification(config)).prunable
    assert Counter(parts.values()) == {"encoder": 12, "pooler": 1, "classifier": 1}
