"""The context of a training, which its loss and its pruner get when they are attached."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import datasets
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from srframework.contracts import Network, ReferencedStage, TrainingContext
from srframework.training.optimization import summed_learning_rate
from srframework.training.options import TrainingOptions
from srframework.training.scalars import Scalars
from srframework.training.tokenization import padding


def _no_pretrained() -> Network:
    raise RuntimeError("this training has no pretrained model")


@dataclass(frozen=True)
class ForComponent:
    """The inputs that one component requires, as in :class:`srframework.contracts.TrainingContext`.

    Attributes:
        name: Its full name, from which its generator is seeded.
    """

    name: str = ""
    columns: Mapping[str, np.ndarray] = field(default_factory=dict)
    bias_log_probs: np.ndarray | None = None
    stages: Mapping[str, ReferencedStage] = field(default_factory=dict)


@dataclass(frozen=True)
class StageInputs:
    """The inputs of a stage's loss and pruner, apart from the model and the examples."""

    labels: tuple[str, ...] = ()
    pretrained: Callable[[], Network] = _no_pretrained
    debiaser: ForComponent = field(default_factory=ForComponent)
    pruner: ForComponent = field(default_factory=ForComponent)
    warn: Callable[[str], None] = lambda _text: None


@dataclass(frozen=True)
class Contexts:
    """Makes the contexts of one training.

    Attributes:
        network: The model.
        examples: Tokenized training examples.
        options: The stage's options.
        seed: The recipe's seed.
        device: The device of the model.
        steps: The planned optimizer steps.
        inputs: The other inputs of the stage.
        scalars: What the components log.
    """

    network: Network
    examples: datasets.Dataset
    options: TrainingOptions
    seed: int
    device: torch.device
    steps: int
    inputs: StageInputs
    scalars: Scalars

    def of(self, component: ForComponent, role: str) -> TrainingContext:
        """Return the context of a component, whose log has the role before each name: ``loss.weight``."""
        drawn = hashlib.sha256(f"{self.seed} {component.name}".encode()).digest()[:7]
        generator = torch.Generator().manual_seed(int.from_bytes(drawn))
        classifier = list(self.network.matrices(["classifier"]).values())
        return TrainingContext(
            labels=self.inputs.labels,
            gold=np.asarray(self.examples["labels"][:], dtype=np.int64),
            steps=self.steps,
            seed=self.seed,
            device=self.device,
            hidden_size=classifier[-1].shape[1] if classifier else 0,
            columns=component.columns,
            bias_log_probs=component.bias_log_probs,
            stages=component.stages,
            learning_rates=summed_learning_rate(self.options, self.steps),
            log=lambda name, value: self.scalars.add(f"{role}.{name}", value),
            warn=self.inputs.warn,
            generator=generator,
            pretrained=self.inputs.pretrained,
            calibration=lambda count: self._drawn(count, generator.initial_seed()),
        )

    def _drawn(self, count: int, seed: int) -> Iterator[dict[str, Tensor]]:
        """Yield ``count`` examples, or all if there are fewer, in batches on the device; the same for the same seed."""
        if count < 1:
            raise ValueError(f"calibration: expected at least 1 example, got {count}")
        chosen = torch.randperm(len(self.examples), generator=torch.Generator().manual_seed(seed))[:count]
        rows = indexed(self.examples).remove_columns("length").select(chosen.tolist())
        loader = DataLoader(
            rows,
            batch_size=self.options.batch_size,
            collate_fn=padding(self.network.tokenizer),
            generator=torch.Generator(),  # otherwise the loader draws a seed from the global generator
        )
        for batch in loader:
            yield {name: value.to(self.device) for name, value in batch.items()}


def indexed(examples: datasets.Dataset) -> datasets.Dataset:
    """Return the examples with the column ``index``: their numbers, from 0."""
    numbers = datasets.Dataset.from_dict({"index": np.arange(len(examples))})
    return datasets.concatenate_datasets([examples, numbers], axis=1)
