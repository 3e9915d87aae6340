"""A tiny model of each family of sequence classifiers, with random weights, and the kind of tokenizer that it has."""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import partial
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    CONFIG_MAPPING,
    AlbertTokenizer,
    AutoModel,
    AutoModelForSequenceClassification,
    DebertaV2Tokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

from srf_backbones.options import TinyOptions
from srf_backbones.tiny import TinyBert

SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 32}
GROUPED = SIZES | {"num_key_value_heads": 2}
DISENTANGLED = SIZES | {"relative_attention": True, "pos_att_type": ["c2p", "p2c"], "pooler_hidden_size": 16}
TOKENS = {"vocab_size": 60, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "num_labels": 3}


@dataclass(frozen=True)
class Family:
    """A family.

    Attributes:
        kind: Model type.
        sizes: Of its configuration.
        poolers: Names of the poolers.
        layers: Number of prunable matrices in its layers.
        entries: Their number of entries.
        tokenizer: Creates a tokenizer of the kind that it has; None: WordPiece, like BERT's.
    """

    kind: str
    sizes: dict[str, object]
    poolers: Sequence[str] = ()
    _: KW_ONLY
    layers: int
    entries: int
    tokenizer: Callable[[], PreTrainedTokenizerBase] | None = None


def byte_level(tokens: dict[str, str], template: str = "$A") -> PreTrainedTokenizerBase:
    """A byte-level BPE tokenizer with these special tokens; ``template``: how each text is encoded."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=list(tokens.values()),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(["the owl is tall and the fox is short, surely, hardly or perhaps"], trainer)
    numbers = [(token, number) for number, token in enumerate(tokens.values())]
    pair = f"{template} {template.replace('$A', '$B')}"
    backend.post_processor = processors.TemplateProcessing(single=template, pair=pair, special_tokens=numbers)
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        model_input_names=["input_ids", "attention_mask"],
        **{f"{kind}_token": token for kind, token in tokens.items()},
    )


def word_piece() -> PreTrainedTokenizerBase:
    """A WordPiece tokenizer like BERT's."""
    return TinyBert(TinyOptions(layers=1, width=8, heads=1, intermediate=8)).load(("no", "yes"), 1).tokenizer


def unigram(kind: type[AlbertTokenizer | DebertaV2Tokenizer], pad: str, unknown: str) -> PreTrainedTokenizerBase:
    """A Unigram tokenizer of this class, with the pieces of a SentencePiece model."""
    pieces = ["▁", *string.ascii_lowercase, *string.punctuation, "▁the", "▁is", "▁owl"]
    vocabulary = [(token, 0.0) for token in (pad, unknown, "[CLS]", "[SEP]", "[MASK]")]
    return kind(vocab=vocabulary + [(piece, -float(2 + (len(piece) == 1))) for piece in pieces])


BERT = {"layers": 12, "entries": 2 * 2048}
LLAMA = {"layers": 14, "entries": 2 * 2304}

roberta = partial(byte_level, {"cls": "<s>", "pad": "<pad>", "sep": "</s>", "unk": "<unk>"}, "<s> $A </s>")
modernbert = partial(byte_level, {"pad": "[PAD]", "cls": "[CLS]", "sep": "[SEP]", "unk": "[UNK]"}, "[CLS] $A [SEP]")
eurobert = partial(
    byte_level,
    {"bos": "<|begin_of_text|>", "eos": "<|end_of_text|>", "mask": "<|mask|>", "pad": "<|pad|>"},
    "<|begin_of_text|> $A <|end_of_text|>",
)
llama = partial(byte_level, {"bos": "<|begin_of_text|>", "eos": "<|end_of_text|>"}, "<|begin_of_text|> $A")
qwen = partial(byte_level, {"eos": "<|endoftext|>"})
albert = partial(unigram, AlbertTokenizer, "<pad>", "<unk>")
deberta = partial(unigram, DebertaV2Tokenizer, "[PAD]", "[UNK]")

FAMILIES = {
    "bert": Family("bert", SIZES, ["bert.pooler.dense"], **BERT),
    "roberta": Family("roberta", SIZES, ["classifier.dense"], **BERT, tokenizer=roberta),
    "xlm-roberta": Family("xlm-roberta", SIZES, ["classifier.dense"], **BERT, tokenizer=roberta),
    "albert": Family(
        "albert", SIZES | {"embedding_size": 8}, ["albert.pooler"], layers=6, entries=2048, tokenizer=albert
    ),
    "albert-groups": Family(
        "albert",
        SIZES | {"embedding_size": 8, "num_hidden_groups": 2, "inner_group_num": 2},
        ["albert.pooler"],
        layers=24,
        entries=4 * 2048,
        tokenizer=albert,
    ),
    "distilbert": Family(
        "distilbert", {"dim": 16, "n_layers": 2, "n_heads": 4, "hidden_dim": 32}, ["pre_classifier"], **BERT
    ),
    "electra": Family("electra", SIZES | {"embedding_size": 8}, ["classifier.dense"], **BERT),
    "deberta-v2": Family(
        "deberta-v2",
        DISENTANGLED | {"conv_kernel_size": 3},
        ["pooler.dense"],
        layers=16,
        entries=2 * 2560,
        tokenizer=deberta,
    ),
    "deberta-v3": Family(
        "deberta-v2", DISENTANGLED | {"share_att_key": True}, ["pooler.dense"], **BERT, tokenizer=deberta
    ),
    "modernbert": Family(
        "modernbert",
        SIZES | {"cls_token_id": 1, "sep_token_id": 2},
        ["head.dense"],
        layers=8,
        entries=2 * 2560,
        tokenizer=modernbert,
    ),
    "eurobert": Family(
        "eurobert",
        GROUPED | {"mask_token_id": 3},
        ["dense"],
        **LLAMA,
        tokenizer=eurobert,
    ),
    "llama": Family("llama", GROUPED, **LLAMA, tokenizer=llama),
    "qwen2": Family("qwen2", GROUPED, **LLAMA, tokenizer=qwen),
    "qwen3": Family("qwen3", GROUPED | {"head_dim": 8}, layers=14, entries=2 * 3072, tokenizer=qwen),
}


def tiny(kind: str, sizes: dict[str, object]) -> PreTrainedModel:
    """A classifier of this type with random weights."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return AutoModelForSequenceClassification.from_config(CONFIG_MAPPING[kind](**TOKENS | sizes))


def save(family: Family, place: Path, **settings: object) -> Path:
    """Save a pre-trained model of a family, with its tokenizer and without a classifier; ``settings`` of its
    configuration override ours."""
    tokenizer = (family.tokenizer or word_piece)()
    special = {f"{kind}_token_id": getattr(tokenizer, f"{kind}_token_id") for kind in ("pad", "bos", "eos")}
    config = CONFIG_MAPPING[family.kind](**family.sizes | {"vocab_size": len(tokenizer)} | special | settings)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        AutoModel.from_config(config).save_pretrained(place)
    tokenizer.save_pretrained(place)
    return place
