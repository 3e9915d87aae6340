"""The training examples in batches, in an order that can be resumed at any batch."""

from __future__ import annotations

from collections.abc import Iterator

import datasets
import torch
from accelerate import Accelerator, skip_first_batches
from torch import Tensor
from torch.utils.data import DataLoader, RandomSampler, Sampler
from transformers import PreTrainedTokenizerBase
from transformers.trainer_pt_utils import LengthGroupedSampler

from srframework.training.options import TrainingOptions
from srframework.training.tokenization import padding


class Batches:
    """An endless iterable of batches. The order of an epoch depends only on the seed and the number of the epoch.

    Args:
        examples: Tokenised examples, with the column ``length``.
        tokenizer: Pads the examples.
        options: Batch size, and whether examples of similar length are grouped.
        seed: Seed of the order.
        accelerator: The processes; each batch goes to one of them, in turn.

    Attributes:
        consumed: Number of batches that this process has used, over all epochs; to resume, set it before iterating.
    """

    def __init__(
        self,
        examples: datasets.Dataset,
        tokenizer: PreTrainedTokenizerBase,
        options: TrainingOptions,
        seed: int,
        accelerator: Accelerator,
    ) -> None:
        self.consumed = 0
        self._seed, self._generator = seed, torch.Generator()
        sampler: Sampler[int]
        if options.group_by_length:
            together = options.batch_size * accelerator.num_processes
            sampler = LengthGroupedSampler(together, lengths=list(examples["length"]), generator=self._generator)
        else:
            sampler = RandomSampler(examples, generator=self._generator)
        self._loader = accelerator.prepare_data_loader(
            DataLoader(
                examples.remove_columns("length"),
                batch_size=options.batch_size,
                sampler=sampler,
                collate_fn=padding(tokenizer),
                generator=torch.Generator(),  # otherwise the loader draws a seed from the global generator
            )
        )

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        epoch, done = divmod(self.consumed, len(self._loader))
        while True:
            self._generator.manual_seed(self._seed * 1_000_003 + epoch)
            for batch in skip_first_batches(self._loader, done) if done else self._loader:
                self.consumed += 1
                yield batch
            epoch, done = epoch + 1, 0
