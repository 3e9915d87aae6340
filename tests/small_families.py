"""A tiny model of each family of sequence classifiers, with random weights, and the kind of tokenizer that it has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    CONFIG_MAPPING,
    AutoModel,
    AutoModelForSequenceClassification,
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

ROBERTA = {"cls": "<s>", "pad": "<pad>", "sep": "</s>", "unk": "<unk>"}
MODERNBERT = {"pad": "[PAD]", "cls": "[CLS]", "sep": "[SEP]", "unk": "[UNK]"}
LLAMA_TOKENS = {"bos": "<|begin_of_text|>", "eos": "<|end_of_text|>"}
EUROBERT = LLAMA_TOKENS | {"mask": "<|mask|>", "pad": "<|pad|>"}
QWEN = {"eos": "<|endoftext|>"}


@dataclass(frozen=True)
class Family:
    """A family.

    Attributes:
        kind: Model type.
        sizes: Of its configuration.
        poolers: Names of the poolers.
        layers: Number of prunable matrices in its layers.
        entries: Their number of entries.
        tokens: Special tokens of its byte-level BPE; empty if it has a WordPiece tokenizer like BERT's.
        template: How a text, or the first of two, is encoded.
    """

    kind: str
    sizes: dict[str, object]
    poolers: Sequence[str] = ()
    _: KW_ONLY
    layers: int
    entries: int
    tokens: dict[str, str] = field(default_factory=dict)
    template: str = "$A"


BERT = {"layers": 12, "entries": 2 * 2048}
LLAMA = {"layers": 14, "entries": 2 * 2304}

FAMILIES = {
    "bert": Family("bert", SIZES, ["bert.pooler.dense"], **BERT),
    "roberta": Family("roberta", SIZES, ["classifier.dense"], **BERT, tokens=ROBERTA, template="<s> $A </s>"),
    "xlm-roberta": Family("xlm-roberta", SIZES, ["classifier.dense"], **BERT, tokens=ROBERTA, template="<s> $A </s>"),
    "albert": Family("albert", SIZES | {"embedding_size": 8}, ["albert.pooler"], layers=6, entries=2048),
    "albert-groups": Family(
        "albert",
        SIZES | {"embedding_size": 8, "num_hidden_groups": 2, "inner_group_num": 2},
        ["albert.pooler"],
        layers=24,
        entries=4 * 2048,
    ),
    "distilbert": Family(
        "distilbert", {"dim": 16, "n_layers": 2, "n_heads": 4, "hidden_dim": 32}, ["pre_classifier"], **BERT
    ),
    "electra": Family("electra", SIZES | {"embedding_size": 8}, ["classifier.dense"], **BERT),
    "deberta-v2": Family(
        "deberta-v2", DISENTANGLED | {"conv_kernel_size": 3}, ["pooler.dense"], layers=16, entries=2 * 2560
    ),
    "deberta-v3": Family("deberta-v2", DISENTANGLED | {"share_att_key": True}, ["pooler.dense"], **BERT),
    "modernbert": Family(
        "modernbert",
        SIZES | {"cls_token_id": 1, "sep_token_id": 2},
        ["head.dense"],
        layers=8,
        entries=2 * 2560,
        tokens=MODERNBERT,
        template="[CLS] $A [SEP]",
    ),
    "eurobert": Family(
        "eurobert",
        GROUPED | {"mask_token_id": 3},
        ["dense"],
        **LLAMA,
        tokens=EUROBERT,
        template="<|begin_of_text|> $A <|end_of_text|>",
    ),
    "llama": Family("llama", GROUPED, **LLAMA, tokens=LLAMA_TOKENS, template="<|begin_of_text|> $A"),
    "qwen2": Family("qwen2", GROUPED, **LLAMA, tokens=QWEN),
    "qwen3": Family("qwen3", GROUPED | {"head_dim": 8}, layers=14, entries=2 * 3072, tokens=QWEN),
}


def tiny(kind: str, sizes: dict[str, object]) -> PreTrainedModel:
    """A classifier of this type with random weights."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return AutoModelForSequenceClassification.from_config(CONFIG_MAPPING[kind](**TOKENS | sizes))


def byte_level(tokens: dict[str, str], template: str = "$A") -> PreTrainedTokenizerBase:
    """A byte-level BPE tokenizer with these special tokens."""
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


def save(family: Family, place: Path, **settings: object) -> Path:
    """Save a pre-trained model of a family, with its tokenizer and without a classifier; ``settings`` of its
    configuration override ours."""
    if family.tokens:
        tokenizer = byte_level(family.tokens, family.template)
    else:
        tokenizer = TinyBert(TinyOptions(layers=1, width=8, heads=1, intermediate=8)).load(("no", "yes"), 1).tokenizer
    special = {f"{kind}_token_id": getattr(tokenizer, f"{kind}_token_id") for kind in ("pad", "bos", "eos")}
    config = CONFIG_MAPPING[family.kind](**family.sizes | {"vocab_size": len(tokenizer)} | special | settings)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        AutoModel.from_config(config).save_pretrained(place)
    tokenizer.save_pretrained(place)
    return place
