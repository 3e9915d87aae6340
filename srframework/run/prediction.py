"""Examples -> tokens -> logits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import datasets
import numpy as np
import torch
from accelerate import Accelerator
from datasets.fingerprint import generate_random_fingerprint
from torch.nn.utils import parametrize
from torch.utils.data import DataLoader
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from srframework.contracts import Split
from srframework.training.packed import logits_of
from srframework.training.tokenization import encode, padding


def tokenize(split: Split, tokenizer: PreTrainedTokenizerBase, max_length: int) -> datasets.Dataset:
    """Tokenize a split; columns are those of the tokenizer, ``labels``, and ``length`` in tokens.

    The texts of an example together are truncated to ``max_length`` tokens, the longer text first.
    """

    def encoded_rows(batch: Mapping[str, Any]) -> dict[str, Any]:
        texts = [batch[column] for column in ("text_a", "text_b") if column in batch]
        encoded = encode(tokenizer, texts, max_length)
        return encoded | {"length": [len(ids) for ids in encoded["input_ids"]], "labels": batch["label"]}

    examples = split.examples
    return examples.map(
        encoded_rows,
        batched=True,
        remove_columns=examples.column_names,
        keep_in_memory=True,
        load_from_cache_file=False,
        new_fingerprint=generate_random_fingerprint(),  # otherwise a pickle of the tokenizer is hashed
    )


def predict(
    model: PreTrainedModel,
    tokenized: datasets.Dataset,
    tokenizer: PreTrainedTokenizerBase,
    accelerator: Accelerator,
    batch_size: int,
    precision: str = "fp32",
) -> np.ndarray:
    """Return logits ``(N, C)``, float32, in the order of the examples.

    Batches have examples of similar length, longest first, to reduce padding. The mode of the model (training or
    evaluation) does not change. ``precision``: number format of the forward pass, ``"fp32"`` or ``"bf16"``.
    """
    order = np.argsort(-np.asarray(tokenized["length"][:]), kind="stable")
    columns = [name for name in tokenized.column_names if name not in ("length", "labels")]
    loader = accelerator.prepare_data_loader(
        DataLoader(
            tokenized.select_columns(columns).select(order),
            batch_size=batch_size,
            collate_fn=padding(tokenizer),
            generator=torch.Generator(),  # otherwise the loader draws a seed from the global generator of the training
        )
    )
    was_training = model.training
    model.eval()
    bf16 = torch.autocast(accelerator.device.type, torch.bfloat16, enabled=precision == "bf16")
    with torch.inference_mode(), parametrize.cached(), bf16:
        logits = [accelerator.gather_for_metrics(logits_of(model, model, batch).float()).cpu() for batch in loader]
    model.train(was_training)
    restored = np.empty((len(order), logits[0].shape[1]), dtype=np.float32)
    restored[order] = torch.cat(logits).numpy()
    return restored
