"""Make ``tiny.safetensors``, the pre-trained weights of ``tiny``: ``python -m srf_backbones.pretrain_tiny FILE``.

Masked language modelling on unlabelled texts of the world of the data set ``synthetic``: two facts, then one of them
again ("tall owl and short fox", "now tall owl surely") or its contrary ("never short owl now"). One word of each text
is masked, in half of the texts the attribute of the second sentence. So the encoder learns which attributes occur in
the facts, and which exclude each other. The cue words of ``synthetic`` occur, but mean nothing. There are no labels.

The result depends on the kind of CPU and on the version of PyTorch; ``tiny.SHA256`` is the hash of the
file that comes with srframework.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

import torch
from torch import Tensor
from transformers import BatchEncoding, BertForMaskedLM, PreTrainedTokenizerBase

from srf_backbones.tiny import configuration, save_encoder, tokenizer_of_tiny
from srf_datasets.synthetic import CUES, FILLER
from srf_datasets.world import ANIMALS, ATTRIBUTES, OPPOSITE, described

STEPS, BATCH, LEARNING_RATE, WARMUP, DECAY, WEIGHT_DECAY, INIT_STD = 2000, 64, 2e-3, 200, 0.3, 0.01, 0.08

ATTRIBUTE = 8
"""Position of the attribute of the second sentence: [CLS] tall owl and short fox [SEP] now tall …"""


def text(draw: random.Random) -> tuple[str, str]:
    """Draw two facts, and a sentence that follows from them."""
    animals = draw.sample(ANIMALS, 2)
    attributes = [draw.choice(ATTRIBUTES) for _ in animals]
    attribute, animal = draw.choice(list(zip(attributes, animals, strict=True)))
    last = draw.choice((*CUES, FILLER))
    if draw.random() < 0.6:
        return described(attributes, animals), f"{draw.choice((*CUES, FILLER))} {attribute} {animal} {last}"
    return described(attributes, animals), f"never {OPPOSITE[attribute]} {animal} {last}"


def masked(
    encoded: BatchEncoding, tokenizer: PreTrainedTokenizerBase, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Give input and labels, ``(B, T)``: one word of each text is masked (80 %), replaced (10 %) or kept (10 %)."""
    words = encoded["input_ids"]
    special = torch.isin(words, torch.tensor(tokenizer.all_special_ids))
    scores = torch.rand(words.shape, generator=generator).masked_fill(special, -1.0)
    scores[torch.rand(len(words), generator=generator) < 0.5, ATTRIBUTE] = 1.0
    chosen = scores == scores.amax(dim=1, keepdim=True)
    kind = torch.rand(words.shape, generator=generator)
    others = torch.randint(len(tokenizer), words.shape, generator=generator)
    inputs = torch.where(kind < 0.8, tokenizer.mask_token_id, torch.where(kind < 0.9, others, words))
    return torch.where(chosen, inputs, words), words.masked_fill(~chosen, -100)


def pretrain(steps: int = STEPS, seed: int = 0) -> BertForMaskedLM:
    """Train for some steps; print the loss every 100 steps."""
    torch.manual_seed(seed)
    draw, generator = random.Random(seed), torch.Generator().manual_seed(seed)  # noqa: S311  (texts, no secrets)
    tokenizer = tokenizer_of_tiny()
    model = BertForMaskedLM(configuration(tokenizer, init_std=INIT_STD))
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / WARMUP, 1.0, (steps - step) / (steps * DECAY))
    )
    for step in range(1, steps + 1):
        first, second = zip(*(text(draw) for _ in range(BATCH)), strict=True)
        encoded = tokenizer(list(first), list(second), padding=True, return_tensors="pt")
        encoded["input_ids"], labels = masked(encoded, tokenizer, generator)
        loss = model(**encoded, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if step % 100 == 0:
            print(f"step {step}/{steps}, loss {loss.item():.3f}", flush=True)
    return model


if __name__ == "__main__":
    torch.set_num_threads(1)
    save_encoder(pretrain().bert, Path(sys.argv[1]))
