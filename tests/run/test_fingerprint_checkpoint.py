"""A checkpoint's files and the key of θ_pt: what changes a bit changes the key, and what cannot leaves it.

The keys of the files are enumerated from the files themselves and from the classes that read them.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertForSequenceClassification, BertTokenizer, PreTrainedTokenizerBase
from transformers.utils import logging

from srf_backbones.encoder import HuggingFaceEncoder
from srf_backbones.options import EncoderOptions
from srframework import Network
from srframework.run.fingerprint import network_fingerprint
from srframework.training.tokenization import encode, padding

pytestmark = pytest.mark.usefixtures("_quiet")

LABELS = ("no", "yes")
WORDS = (
    "[PAD] [UNK] [CLS] [SEP] [MASK] a man woman is eat ##ing not the food in park caf\u00e9 cafe \u4e2d . , [ ] cls sep"
)
TEXTS = [
    ["A man is eating the food in the park, not a woman.", "[SEP] the woman", "caf\u00e9 \u4e2d a", "man is a"],
    ["the Man is NOT eating . [CLS] [cls] in", "a", "a man is eating , is eating , is eating", ""],
]


@pytest.fixture(scope="module")
def _quiet() -> Iterator[None]:
    """Leave out what transformers reports of each model that it loads, as a run does."""
    before = logging.get_verbosity()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    yield
    logging.set_verbosity(before)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    """A small encoder without a classifier; its tokenizer ships truncation and padding."""
    path = tmp_path_factory.mktemp("checkpoint")
    vocabulary = dict.fromkeys(WORDS.split())
    tokenizer = BertTokenizer(vocab={word: index for index, word in enumerate(vocabulary)}, model_max_length=32)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
        max_position_embeddings=32,
        pad_token_id=0,
    )
    torch.manual_seed(3)
    BertForSequenceClassification(config).bert.save_pretrained(path)
    tokenizer.backend_tokenizer.enable_truncation(24)
    tokenizer.backend_tokenizer.enable_padding(length=24)
    tokenizer.save_pretrained(path)
    return path


def network_of(path: Path) -> Network:
    return HuggingFaceEncoder(EncoderOptions(path=str(path))).load(LABELS, seed=5)


def bits(network: Network) -> str:
    """What two steps of a training make of the weights, and the logits before them."""
    model, sha = network.model, hashlib.sha256()
    encoded = encode(network.tokenizer, TEXTS, 16)
    rows = [dict(zip(encoded, row, strict=True)) for row in zip(*encoded.values(), strict=True)]
    batch = dict(padding(network.tokenizer)(rows))
    optimizer = torch.optim.AdamW([each for each in model.parameters() if each.requires_grad], lr=1e-2)
    model.eval()
    with torch.no_grad():
        sha.update(model(**batch).logits.numpy().tobytes())
    model.train()
    torch.manual_seed(7)
    for _ in range(2):
        loss = torch.nn.functional.cross_entropy(model(**batch).logits, torch.tensor([0, 1, 0, 1]))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    for value in model.state_dict().values():
        sha.update(value.numpy().tobytes())
    return sha.hexdigest()


def others(value: Any) -> list[Any]:
    """Other values for a key of a file, by the type of the one that is there."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, value * 2]
    if isinstance(value, float):
        return [value / 2 or 0.5]
    if isinstance(value, str):
        return [{"right": "left", "gelu": "relu", "sdpa": "eager"}.get(value, "[MASK]"), f"{value}x"]
    if isinstance(value, list):
        return [value[::-1], [*value, "token_type_ids"]]
    if isinstance(value, dict):
        return [{}, value | {"more": "a"}]
    return [True, 0.3, "a", ["input_ids", "attention_mask"]]


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """The values in a JSON document that are no tables, each with its path."""
    if isinstance(value, dict | list) and value:
        for key, each in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(each, (*path, key))
    else:
        yield path, value


def config_keys(path: Path) -> dict[str, Any]:
    """The keys of config.json, with those that the class knows and the file does not name."""
    known = {name.removeprefix("_").removesuffix("_internal"): value for name, value in vars(BertConfig()).items()}
    more = {"quantization_config": None, "torch_dtype": "float32", "gradient_checkpointing": False, "num_labels": 2}
    more |= {"attn_implementation": "sdpa", "_attn_implementation": "sdpa", "experts_implementation": "eager"}
    return known | more | json.loads((path / "config.json").read_text())


def tokenizer_keys(path: Path) -> dict[str, Any]:
    """The keys of tokenizer_config.json, with those that the class and its bases know."""
    tokenizer = network_of(path).tokenizer
    keys = {name.removeprefix("_"): value for name, value in vars(tokenizer).items()}
    for kind in type(tokenizer).__mro__:
        if issubclass(kind, PreTrainedTokenizerBase) and "__init__" in vars(kind):
            keys |= dict.fromkeys(inspect.signature(kind.__init__).parameters)
    keys |= dict.fromkeys([*tokenizer.SPECIAL_TOKENS_ATTRIBUTES, "extra_special_tokens", "additional_special_tokens"])
    keys |= {
        "tokenizer_class": "BertTokenizer",
        "pad_token_type_id": 0,
        "add_prefix_space": False,
        "never_split": ["a"],
    }
    del keys["self"], keys["tokenizer"]
    plain = {name: value for name, value in keys.items() if value is None or isinstance(value, bool | int | str | list)}
    return plain | json.loads((path / "tokenizer_config.json").read_text())


class Changes:
    """Changes of one checkpoint, each in a copy of it, under a name that does not count."""

    def __init__(self, checkpoint: Path, work: Path) -> None:
        self.checkpoint, self.work = checkpoint, work
        self.network = network_of(checkpoint)
        self.bits = {network_fingerprint(self.network): bits(network_of(checkpoint))}
        (self.fingerprint,) = self.bits
        self.count = 0

    def copy(self) -> Path:
        """A copy, to be changed."""
        self.count += 1
        return shutil.copytree(self.checkpoint, self.work / str(self.count))

    def json(self, name: str, path: tuple[Any, ...], value: Any) -> Path:
        """A copy with one value of a JSON file replaced."""
        place = self.copy()
        inner = content = json.loads((place / name).read_text()) if (place / name).exists() else {}
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = value
        (place / name).write_text(json.dumps(content))
        return place

    def check(self, what: str, place: Path) -> bool | None:
        """Whether a change left the fingerprint, in which case it must have left the bits; None: it cannot be used."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                network = network_of(place)
                found = network_fingerprint(network)
                if found not in self.bits or found == self.fingerprint:
                    got = bits(network)
                    assert self.bits.setdefault(found, got) == got, what
        except AssertionError:
            raise
        except Exception:  # noqa: BLE001 -- what cannot be loaded or trained leaves no result
            return None
        finally:
            shutil.rmtree(place)
        return found == self.fingerprint


@pytest.fixture(scope="module")
def changes(checkpoint, tmp_path_factory) -> Changes:
    return Changes(checkpoint, tmp_path_factory.mktemp("changes"))


def results(changes: Changes, name: str, keys: dict[Any, Any]) -> dict[str, list[bool | None]]:
    """For each key, what :meth:`Changes.check` gives for each other value."""
    found: dict[str, list[bool | None]] = {}
    for key, value in keys.items():
        path = key if isinstance(key, tuple) else (key,)
        for other in others(value):
            if repr(other) != repr(value):
                checked = changes.check(f"{name}: {path} = {other!r}", changes.json(name, path, other))
                found.setdefault(".".join(map(str, path)), []).append(checked)
    return found


def test_the_same_files_elsewhere_have_the_same_fingerprint_and_the_same_bits(changes):
    assert changes.check("moved", changes.copy()) is True


@pytest.mark.long
def test_no_key_of_config_json_changes_the_bits_alone(changes, checkpoint):
    found = results(changes, "config.json", config_keys(checkpoint))
    counted = {key for key, each in found.items() if False in each}
    assert {"hidden_act", "layer_norm_eps", "num_attention_heads", "hidden_dropout_prob"} <= counted
    assert {"classifier_dropout", "attention_probs_dropout_prob"} <= counted
    without_effect = {"transformers_version", "architectures", "use_cache", "gradient_checkpointing", "problem_type"}
    without_effect |= {"name_or_path", "attn_implementation", "experts_implementation", "chunk_size_feed_forward"}
    without_effect |= {"torch_dtype", "dtype", "return_dict", "output_hidden_states", "id2label", "label2id"}
    assert not without_effect & counted


@pytest.mark.long
def test_no_key_of_tokenizer_config_json_changes_the_bits_alone(changes, checkpoint):
    found = results(changes, "tokenizer_config.json", tokenizer_keys(checkpoint))
    counted = {key for key, each in found.items() if False in each}
    assert {"do_lower_case", "truncation_side", "padding_side", "model_input_names", "split_special_tokens"} <= counted
    assert {"cls_token", "sep_token", "strip_accents", "tokenize_chinese_chars"} <= counted
    without_effect = {"name_or_path", "chat_template", "model_max_length", "processor_class", "response_template"}
    without_effect |= {"clean_up_tokenization_spaces", "verbose", "backend", "files_loaded", "transformers_version"}
    assert not without_effect & counted


@pytest.mark.long
def test_no_value_in_tokenizer_json_changes_the_bits_alone(checkpoint, tmp_path):
    """This class uses the file as it is; BertTokenizer builds most of its steps itself."""
    base = shutil.copytree(checkpoint, tmp_path / "base")
    config = json.loads((base / "tokenizer_config.json").read_text())
    (base / "tokenizer_config.json").write_text(json.dumps(config | {"tokenizer_class": "PreTrainedTokenizerFast"}))
    steps = json.loads((base / "tokenizer.json").read_text())
    keys = {
        path: value
        for path, value in leaves(steps)
        if path[:2] != ("model", "vocab") and (path[0] != "added_tokens" or path[1] == 3) and path[0] != "decoder"
    }
    found = results(Changes(base, tmp_path / "changes"), "tokenizer.json", keys)
    unused = {"truncation.max_length", "truncation.stride", "truncation.strategy", "padding.strategy.Fixed"}
    assert all(each is not False for key in unused for each in found[key])
    counted = {key for key, each in found.items() if False in each}
    assert {"normalizer.lowercase", "normalizer.strip_accents", "model.unk_token"} <= counted


def test_the_last_bit_of_a_weight_counts(changes, checkpoint):
    weights = load_file(checkpoint / "model.safetensors")
    for name in [*weights][:: len(weights) // 4]:
        place = changes.copy()
        flipped = dict(weights) | {name: weights[name].clone()}
        flipped[name].view(-1)[-1:].view(torch.int32).bitwise_xor_(1)
        save_file(flipped, place / "model.safetensors", metadata={"format": "pt"})
        assert changes.check(name, place) is False, name


def test_words_of_the_vocabulary_that_change_places_count(changes, checkpoint):
    words = json.loads((checkpoint / "tokenizer.json").read_text())["model"]["vocab"]
    swapped = words | {"food": words["park"], "park": words["food"]}
    assert changes.check("swapped", changes.json("tokenizer.json", ("model", "vocab"), swapped)) is False


@pytest.mark.parametrize(
    ("name", "content", "same"),
    [
        ("special_tokens_map.json", {"sep_token": "a"}, False),
        ("special_tokens_map.json", {"sep_token": "[SEP]", "cls_token": "[CLS]"}, True),
        ("special_tokens_map.json", {"unk_token": {"content": "[UNK]", "lstrip": True, "rstrip": False}}, None),
        ("chat_template.jinja", "{{ messages }}", True),
        ("generation_config.json", {"max_length": 3, "do_sample": True}, True),
        ("README.md", "An encoder.", True),
        ("vocab.txt", "a\nb\n", None),
        ("added_tokens.json", {"park": 14, "man": 6}, None),
    ],
)
def test_other_files_of_a_checkpoint_count_where_they_are_read(changes, name, content, same):
    place = changes.copy()
    (place / name).write_text(content if isinstance(content, str) else json.dumps(content))
    found = changes.check(name, place)
    assert same is None or found is same
