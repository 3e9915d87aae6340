"""The training examples in batches, in an order that can be taken up anywhere."""

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
    """Batches without end; the order of an epoch is a function of the seed and its number.

    Args:
        examples: Tokenised, with their ``length``.
        tokenizer: Which pads them.
        options: Size of a batch, and whether examples of like length come together.
        seed: Of the order.
        accelerator: The processes: each batch goes to one of them, in turn.

    Attributes:
        taken: How many were taken in this process, over all epochs; set it before the first is taken.
    """

    def __init__(
        self,
        examples: datasets.Dataset,
        tokenizer: PreTrainedTokenizerBase,
        options: TrainingOptions,
        seed: int,
        accelerator: Accelerator,
    ) -> None:
        self.taken = 0
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
                generator=torch.Generator(),  # else the loader draws a seed from the global stream of the training
            )
        )

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        epoch, done = divmod(self.taken, len(self._loader))
        while True:
            self._generator.manual_seed(self._seed * 1_000_003 + epoch)
            for batch in skip_first_batches(self._loader, done) if done else self._loader:
                self.taken += 1
                yield batch
            epoch, done = epoch + 1, 0
