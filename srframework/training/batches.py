"""The training examples in batches, in an order that can be resumed at any batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import datasets
import torch
from accelerate import Accelerator, skip_first_batches
from accelerate.utils import broadcast
from torch import Tensor
from torch.utils.data import DataLoader, RandomSampler, Sampler
from transformers import PreTrainedTokenizerBase
from transformers.trainer_pt_utils import LengthGroupedSampler

from srframework.faults import expect, owner_of
from srframework.training.context import indexed
from srframework.training.options import TrainingOptions
from srframework.training.tokenization import padding


class Batches:
    """An endless iterable of batches. The order of an epoch depends only on the seed, the number of the epoch, and
    ``sample``.

    Args:
        examples: Tokenised examples, with the column ``length``.
        tokenizer: Pads the examples.
        options: Batch size, and whether examples of similar length are grouped.
        seed: Seed of the order.
        accelerator: The processes; each batch goes to one of them, in turn.
        sample: Chooses the examples of an epoch; see :meth:`srframework.contracts.Debiaser.sample`.

    Attributes:
        consumed: Number of batches that this process has used, over all epochs; to resume, set it before iterating.
        order: The examples of the present epoch, if ``sample`` chose them; to resume, set it too.
    """

    def __init__(
        self,
        examples: datasets.Dataset,
        tokenizer: PreTrainedTokenizerBase,
        options: TrainingOptions,
        seed: int,
        accelerator: Accelerator,
        sample: Callable[[int, torch.Generator], Tensor | None] = lambda _epoch, _generator: None,
    ) -> None:
        self.consumed = 0
        self.order: Tensor | None = None
        self._sample, self._accelerator = sample, accelerator
        self._seed, self._generator = seed, torch.Generator()
        sampler: Sampler[int]
        if options.group_by_length:
            together = options.batch_size * accelerator.num_processes
            sampler = LengthGroupedSampler(together, lengths=examples["length"][:], generator=self._generator)
        else:
            sampler = RandomSampler(examples, generator=self._generator)
        self._loader = accelerator.prepare_data_loader(
            DataLoader(
                indexed(examples).remove_columns("length"),
                batch_size=options.batch_size,
                sampler=_Chosen(self, sampler),
                collate_fn=padding(tokenizer),
                generator=torch.Generator(),  # otherwise the loader draws a seed from the global generator
            )
        )

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        epoch, done = divmod(self.consumed, len(self._loader))
        while True:
            self._generator.manual_seed(self._seed * 1_000_003 + epoch)
            if not done:
                self.order = self._chosen(epoch)
            for batch in skip_first_batches(self._loader, done) if done else self._loader:
                self.consumed += 1
                yield batch
            epoch, done = epoch + 1, 0

    def _chosen(self, epoch: int) -> Tensor | None:
        order = self._sample(epoch, self._generator)
        if order is None:
            return None
        count, owner = len(self._loader.dataset), owner_of(getattr(self._sample, "__self__", None))
        fits = order.shape == (count,) and order.dtype == torch.int64
        fits = fits and int(order.min()) >= 0 and int(order.max()) < count
        expect(fits, owner, "sample()", f"{count} indexes of examples, int64, below {count}", "others")
        if self._accelerator.num_processes > 1:
            order = broadcast(order.to(self._accelerator.device))
        return order.cpu()


class _Chosen(Sampler[int]):
    """The order of the batches' epoch, if it has one; otherwise that of a sampler."""

    def __init__(self, batches: Batches, otherwise: Sampler[int]) -> None:
        self._batches, self._otherwise = batches, otherwise

    def __iter__(self) -> Iterator[int]:
        order = self._batches.order
        return iter(self._otherwise) if order is None else iter(order.tolist())

    def __len__(self) -> int:
        return len(self._otherwise)  # type: ignore[arg-type]
