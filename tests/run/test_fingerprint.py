"""What a network is known by, whatever used its tokenizer before."""

from __future__ import annotations

import copy
import dataclasses
import json
import warnings
from collections.abc import Iterator

import pytest
import torch
from transformers import AutoTokenizer, BertConfig, BertTokenizer, ByT5Tokenizer, PreTrainedTokenizerFast
from transformers.models.bert.tokenization_bert_legacy import BertTokenizerLegacy
from transformers.tokenization_python import PreTrainedTokenizer
from transformers.utils import logging

from srframework.errors import BackboneError
from srframework.run.embeddings import input_embeddings
from srframework.run.fingerprint import network_fingerprint, tokenizer_fingerprint
from srframework.training.tokenization import encode, padding

pytestmark = pytest.mark.usefixtures("_quiet")

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "man", "Man", "is", "eat", "##ing", "cafe", "the", "two"]


@pytest.fixture(scope="module")
def _quiet() -> Iterator[None]:
    """Leave out what transformers says of texts that are cut, as a run does."""
    before = logging.get_verbosity()
    logging.set_verbosity_error()
    yield
    logging.set_verbosity(before)


def shipped() -> BertTokenizer:
    """A tokenizer that ships truncation and padding, as those of sentence-transformers do."""
    tokenizer = BertTokenizer(vocab={word: index for index, word in enumerate(WORDS)})
    tokenizer.backend_tokenizer.enable_truncation(24)
    tokenizer.backend_tokenizer.enable_padding(length=24)
    return tokenizer


def cut(tokenizer):
    tokenizer(["a man is eating"] * 2, ["a"] * 2, truncation=True, max_length=5)


def pad(tokenizer):
    tokenizer(["a man", "a"], padding="max_length", max_length=9)


def split(tokenizer):
    tokenizer(["a [SEP] man"], split_special_tokens=True)


def bare(tokenizer):
    tokenizer(["a", "man"], add_special_tokens=False)


def stateful(tokenizer):
    backend = tokenizer.backend_tokenizer
    return backend.to_str(), backend.truncation, backend.padding, backend.encode_special_tokens


@pytest.mark.parametrize("uses", [[cut], [pad], [split], [bare], [cut, bare], [bare, pad, cut], [pad, split]])
@pytest.mark.parametrize("make", [shipped, lambda: BertTokenizer(vocab=dict(zip(WORDS, range(14), strict=True)))])
def test_how_a_tokenizer_was_used_does_not_count(make, uses):
    tokenizer = make()
    before = tokenizer_fingerprint(tokenizer)
    for use in uses:
        use(tokenizer)
        assert tokenizer_fingerprint(tokenizer) == before
    assert tokenizer_fingerprint(make()) == before


@pytest.mark.parametrize("uses", [[], [cut], [pad, split]])
def test_neither_the_fingerprint_nor_training_changes_the_state_of_a_tokenizer(make_network, uses):
    tokenizer = shipped()
    for use in uses:
        use(tokenizer)
    before = stateful(tokenizer)
    tokenizer_fingerprint(tokenizer)
    assert stateful(tokenizer) == before
    encoded = encode(tokenizer, [["a man is eating"], ["a"]], 6)
    assert [len(ids) for ids in encoded["input_ids"]] == [6]
    padding(tokenizer)([{"input_ids": [2, 3]}, {"input_ids": [2, 5, 3]}])
    input_embeddings(dataclasses.replace(make_network(), tokenizer=tokenizer))(["man", "a"])
    assert stateful(tokenizer) == before


def test_a_tokenizer_is_saved_as_it_was_loaded_and_loads_as_the_same(tmp_path):
    tokenizer = shipped()
    tokenizer.save_pretrained(tmp_path / "before")
    loaded = AutoTokenizer.from_pretrained(tmp_path / "before")
    loaded.save_pretrained(tmp_path / "unused")
    encode(loaded, [["a man is eating the two"]], 7)
    loaded.save_pretrained(tmp_path / "after")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert (tmp_path / "after" / name).read_text() == (tmp_path / "unused" / name).read_text()
    assert json.loads((tmp_path / "after" / "tokenizer.json").read_text())["truncation"]["max_length"] == 24
    assert tokenizer_fingerprint(AutoTokenizer.from_pretrained(tmp_path / "after")) == tokenizer_fingerprint(tokenizer)


@pytest.mark.parametrize(
    "change",
    [
        lambda t: setattr(t, "truncation_side", "left"),
        lambda t: setattr(t, "padding_side", "left"),
        lambda t: setattr(t, "split_special_tokens", True),
        lambda t: setattr(t, "model_input_names", ["input_ids", "attention_mask"]),
        lambda t: setattr(t, "pad_token", "a"),
        lambda t: setattr(t, "_pad_token_type_id", 1),
        lambda t: t.add_tokens(["foo"]),
        lambda t: t.add_special_tokens({"extra_special_tokens": ["man"]}),
    ],
)
def test_each_setting_of_a_tokenizer_counts(change):
    tokenizer = shipped()
    change(tokenizer)
    assert tokenizer_fingerprint(tokenizer) != tokenizer_fingerprint(shipped())


@pytest.mark.parametrize("name", ["name_or_path", "chat_template", "model_max_length", "clean_up_tokenization_spaces"])
def test_what_no_token_depends_on_does_not_count(name):
    tokenizer = shipped()
    setattr(tokenizer, name, 7 if name == "model_max_length" else "x")
    assert tokenizer_fingerprint(tokenizer) == tokenizer_fingerprint(shipped())


# -- tokenizers in Python --------------------------------------------------------------------------


@pytest.fixture
def legacy(tmp_path):
    """Make a slow BERT tokenizer over the same vocabulary."""
    path = tmp_path / "vocab.txt"
    path.write_text("\n".join(WORDS))
    return lambda **settings: BertTokenizerLegacy(str(path), **settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"do_lower_case": False},
        {"do_basic_tokenize": False},
        {"never_split": ["eating"]},
        {"strip_accents": False},
        {"tokenize_chinese_chars": False},
        {"sep_token": "a"},
        {"unk_token": "[MASK]"},
        {"truncation_side": "left"},
        {"padding_side": "left"},
        {"model_input_names": ["input_ids"]},
        {"split_special_tokens": True},
    ],
)
def test_each_setting_of_a_tokenizer_without_a_fast_backend_counts(legacy, settings):
    assert tokenizer_fingerprint(legacy(**settings)) != tokenizer_fingerprint(legacy())


def test_a_tokenizer_in_python_is_the_same_elsewhere_after_its_use_and_when_it_was_saved(legacy, tmp_path):
    tokenizer = legacy(name_or_path="here", chat_template="x", model_max_length=9)
    before = tokenizer_fingerprint(legacy())
    assert tokenizer_fingerprint(tokenizer) == before
    encode(tokenizer, [["a man is eating the two", "Man"], ["a", "two"]], 8)
    assert tokenizer_fingerprint(tokenizer) == before
    tokenizer.save_pretrained(tmp_path / "saved")
    assert tokenizer_fingerprint(BertTokenizerLegacy.from_pretrained(tmp_path / "saved")) == before


@pytest.mark.filterwarnings("default")
def test_warnings_of_a_tokenizer_do_not_count():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = tokenizer_fingerprint(ByT5Tokenizer())
    assert found == tokenizer_fingerprint(ByT5Tokenizer())


class Merging(PreTrainedTokenizer):
    """Joins pairs of characters in an order of its own, which its vocabulary does not show, and caches words."""

    def __init__(self, merges=(), **settings):
        self.merges, self.cache = list(merges), {}
        super().__init__(unk_token="?", pad_token="_", **settings)

    @property
    def vocab_size(self):
        return 27

    def get_vocab(self):
        return {chr(97 + index): index for index in range(26)} | {"ab": 26, "bc": 27} | self._added_tokens_encoder

    def _tokenize(self, text):
        for merge in self.merges:
            text = text.replace(merge, f" {merge} ")
        words = [word for piece in text.split() for word in ([piece] if piece in self.merges else list(piece))]
        return self.cache.setdefault(text, words)

    def _convert_token_to_id(self, token):
        return self.get_vocab().get(token, 28)

    def _convert_id_to_token(self, index):
        return "a"


def test_the_rules_of_a_tokenizer_of_somebody_elses_count_and_its_cache_does_not():
    first, second = Merging(["ab", "bc"]), Merging(["bc", "ab"])
    assert first.get_vocab() == second.get_vocab()
    found = tokenizer_fingerprint(first)
    assert found != tokenizer_fingerprint(second)
    encode(first, [["abc cab xx"]], 9)
    assert first.cache
    assert tokenizer_fingerprint(first) == tokenizer_fingerprint(Merging(["ab", "bc"])) == found


class Shouting(PreTrainedTokenizerFast):
    """A fast tokenizer that does something to its texts in Python."""

    def __call__(self, text, *args, **settings):
        return super().__call__([f"{each} {self.init_kwargs.get('suffix', '')}" for each in text], *args, **settings)


def test_what_a_class_around_the_fast_backend_does_counts():
    backend = shipped().backend_tokenizer
    found = [
        tokenizer_fingerprint(Shouting(tokenizer_object=backend, pad_token="[PAD]", suffix=each))
        for each in ("man", "a", "a")
    ]
    assert found[0] != found[1] == found[2]


class Forgetful(PreTrainedTokenizerFast):
    """A tokenizer whose output is another each time."""

    calls = 0

    def __call__(self, text, *args, **settings):
        self.calls += 1
        return super().__call__([f"{each} {'a ' * self.calls}" for each in text], *args, **settings)


def test_a_tokenizer_with_random_output_is_refused():
    tokenizer = Forgetful(tokenizer_object=shipped().backend_tokenizer, pad_token="[PAD]")
    with pytest.raises(BackboneError, match="expected a tokenizer that gives a text the same tokens each time"):
        tokenizer_fingerprint(tokenizer)


def test_a_panic_of_the_backend_is_a_sentence(make_network):
    steps = json.loads(shipped().backend_tokenizer.to_str())
    steps["post_processor"]["special_tokens"]["[SEP]"]["id"] = "gone"
    steps["post_processor"]["special_tokens"]["gone"] = steps["post_processor"]["special_tokens"].pop("[SEP]")
    tokenizer = shipped()
    tokenizer._tokenizer = type(tokenizer.backend_tokenizer).from_str(json.dumps(steps))
    with pytest.raises(BackboneError, match="backbone: the tokenizer BertTokenizer fails on a text: "):
        encode(tokenizer, [["a man"]], 9)
    assert tokenizer_fingerprint(tokenizer) != tokenizer_fingerprint(shipped())


# -- models ----------------------------------------------------------------------------------------


def flip(model):
    model.bert.encoder.layer[0].output.dense.weight.data.view(torch.int32)[0, 0] ^= 1


@pytest.mark.parametrize(
    "change",
    [
        flip,
        lambda m: setattr(m.config, "_attn_implementation_internal", "eager"),
        lambda m: setattr(m.config, "_experts_implementation_internal", "batched_mm"),
        lambda m: setattr(m.config, "chunk_size_feed_forward", 1),
        lambda m: setattr(m.config, "of_a_plugin", {"scale": 2.0}),
        lambda m: setattr(m.dropout, "p", 0.25),
        lambda m: setattr(m, "scale", 2.0),
        lambda m: setattr(m.bert.pooler, "_scale", [2.0]),
        lambda m: setattr(m.bert, "table", {"a": torch.ones(2)}),
        lambda m: setattr(m.bert.encoder.layer[0].attention.self, "scaling", 1.0),
        lambda m: setattr(m.bert.pooler, "config", BertConfig(hidden_size=8)),
        lambda m: setattr(m.bert.embeddings.LayerNorm, "eps", 1e-5),
        lambda m: m.bert.embeddings.token_type_ids.fill_(1),
        lambda m: m.classifier.weight.requires_grad_(False),
        lambda m: setattr(m.bert.pooler, "activation", torch.nn.ReLU()),
        lambda m: m.to(torch.bfloat16),
    ],
)
def test_each_part_of_a_model_counts(make_network, change):
    network = make_network()
    change(network.model)
    assert network_fingerprint(network) != network_fingerprint(make_network())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("_name_or_path", "elsewhere"), ("transformers_version", "4.8.2"), ("architectures", ["BertModel"])],
        *[("dtype", "bfloat16"), ("use_cache", False), ("problem_type", "regression")],
    ],
)
def test_what_no_model_computes_with_does_not_count(make_network, name, value):
    network = make_network()
    setattr(network.model.config, name, value)
    assert network_fingerprint(network) == network_fingerprint(make_network())


def test_a_copy_and_a_model_that_was_saved_have_the_same_fingerprint(make_network, tmp_path):
    network = make_network()
    before = network_fingerprint(network)
    assert network_fingerprint(copy.deepcopy(network)) == before
    network.model.save_pretrained(tmp_path)
    assert network_fingerprint(network) == before
    loaded = type(network.model).from_pretrained(tmp_path)
    assert network_fingerprint(dataclasses.replace(network, model=loaded)) == before
