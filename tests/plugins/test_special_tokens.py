"""The special tokens of a tokenizer: which are needed, and how model and tokenizer get the same padding token."""

from __future__ import annotations

import pytest
import torch
from small_families import FAMILIES, llama, qwen, save
from spoilt_model import both, config, load, refused, words
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoModelForSequenceClassification, AutoTokenizer, PreTrainedTokenizerFast

END = qwen().eos_token
TEXTS = ["the owl is tall", "surely", "the fox is short, perhaps 狐", "the owl"]


def logits(model, tokenizer, texts) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(**tokenizer(texts, padding=True, return_tensors="pt")).logits


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3"])
def test_a_decoder_without_a_padding_token_pads_with_its_end_of_sequence(family, side, tmp_path):
    folder = save(FAMILIES[family], tmp_path / "decoder", initializer_range=0.3)
    words(padding_side=side)(folder)
    network = load(folder)
    tokenizer, model = network.tokenizer, network.model
    assert tokenizer.pad_token == tokenizer.eos_token == FAMILIES[family].tokenizer().eos_token
    assert model.config.pad_token_id == tokenizer.eos_token_id
    model.save_pretrained(tmp_path / "saved")
    tokenizer.save_pretrained(tmp_path / "saved")
    plain = AutoModelForSequenceClassification.from_pretrained(tmp_path / "saved")
    plain_tokenizer = AutoTokenizer.from_pretrained(tmp_path / "saved")
    assert plain_tokenizer.padding_side == side
    ours = logits(model, tokenizer, TEXTS)
    assert ours.std(0).min() > 0.01
    assert torch.equal(logits(plain, plain_tokenizer, TEXTS), ours)
    torch.testing.assert_close(
        torch.cat([logits(plain, plain_tokenizer, [text]) for text in TEXTS]), ours, atol=1e-5, rtol=1e-4
    )


def test_a_tokenizer_without_a_padding_token_gets_that_of_the_configuration(tmp_path):
    folder = save(FAMILIES["llama"], tmp_path, pad_token_id=0)
    assert load(folder).tokenizer.pad_token == llama().bos_token


def test_a_decoder_whose_configuration_has_another_padding_token_gets_that_of_the_tokenizer(tmp_path):
    folder = save(FAMILIES["qwen2"], tmp_path, pad_token_id=7)
    words(pad_token=END)(folder)
    network = load(folder)
    assert network.model.config.pad_token_id == network.tokenizer.pad_token_id == 0


@pytest.mark.parametrize("spoil", [config(pad_token_id=None), words(pad_token=None)], ids=["model", "tokenizer"])
def test_an_encoder_whose_padding_token_is_only_in_one_place_gets_it(tmp_path, spoil):
    folder = save(FAMILIES["bert"], tmp_path)
    spoil(folder)
    network = load(folder)
    assert (network.tokenizer.pad_token, network.tokenizer.pad_token_id) == ("[PAD]", 0)
    assert network.model.config.pad_token_id == 0


def test_without_padding_and_end_of_sequence_a_decoder_is_refused(tmp_path):
    folder = save(FAMILIES["qwen3"], tmp_path)
    words(eos_token=None)(folder)
    assert refused(folder).endswith("expected a tokenizer with a pad_token or an eos_token, got neither")


def test_a_padding_token_without_an_embedding_is_refused(tmp_path):
    folder = save(FAMILIES["qwen3"], tmp_path)
    words(pad_token="<new>")(folder)
    size = len(qwen())
    expected = f"expected a tokenizer whose pad_token is one of the model's {size} tokens, got '<new>' ({size})"
    assert refused(folder).endswith(expected)


@pytest.mark.parametrize("bytes_missing", [0, 1])
def test_an_unknown_token_is_needed_where_a_byte_has_no_token(tmp_path, bytes_missing):
    folder = save(FAMILIES["qwen3"], tmp_path)
    letters = [END, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    backend = Tokenizer(models.BPE({letter: i for i, letter in enumerate(letters[: 257 - bytes_missing])}, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel()
    PreTrainedTokenizerFast(tokenizer_object=backend, eos_token=END).save_pretrained(folder)
    if bytes_missing:
        assert refused(folder).endswith("expected a tokenizer with a unk_token, got none")
    else:
        assert len(load(folder).tokenizer("狐")["input_ids"]) == 4


def test_an_unknown_token_is_needed_if_the_text_is_not_split_into_bytes(tmp_path):
    folder = save(FAMILIES["qwen3"], tmp_path)
    letters = [END, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    backend = Tokenizer(models.BPE({letter: i for i, letter in enumerate(letters)}, []))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=backend, eos_token=END).save_pretrained(folder)
    assert refused(folder).endswith("expected a tokenizer with a unk_token, got none")


@pytest.mark.parametrize(
    ("family", "pooling", "missing"),
    [
        ("modernbert", "cls", "cls"),
        ("modernbert", "mean", None),
        ("eurobert", "bos", "bos"),
        ("eurobert", "mean", None),
        ("eurobert", "late", None),
    ],
)
def test_a_first_token_is_needed_if_the_model_classifies_it(tmp_path, family, pooling, missing):
    folder = save(FAMILIES[family], tmp_path, classifier_pooling=pooling)
    both(words(cls_token=None), words(bos_token=None))(folder)
    if missing:
        assert refused(folder).endswith(f"expected a tokenizer with a {missing}_token, got none")
    else:
        assert load(folder).model.config.classifier_pooling == pooling


def test_a_pooling_of_another_type_in_the_configuration_of_a_model_without_pooling_is_ignored(tmp_path):
    folder = save(FAMILIES["bert"], tmp_path)
    config(classifier_pooling=["mean"])(folder)
    assert load(folder).tokenizer.cls_token == "[CLS]"
    words(cls_token=None)(folder)
    assert refused(folder).endswith("expected a tokenizer with a cls_token, got none")
