"""The arguments that the checks give to components. Only this module knows how the contract builds them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import datasets
import numpy as np
import torch
from torch import Tensor

from srframework.component import NEEDS_BIAS, Options, references
from srframework.contracts import (
    Debiaser,
    Evaluated,
    LossInputs,
    Network,
    Predictions,
    Pruner,
    ReferencedStage,
    Split,
    TrainingContext,
)
from srframework.testing.check import Subject
from srframework.testing.small_task import LABELS, context, network
from srframework.training.context import ForComponent
from srframework.training.optimization import own_parameters as parameters_of

HIDDEN = 5
_GOLD = (0, 1, 2, 0, 2, 1)
_COLUMN = "column:"


def attached_debiaser(
    subject: Subject,
    debiaser: Any = None,
    teacher: Tensor | None = None,
    bias: Tensor | None = None,
    labels: Tensor | None = None,
) -> Debiaser:
    """Return a debiaser that is attached to a stage with six training examples; a new instance unless one is given."""
    made: Debiaser = subject.build() if debiaser is None else debiaser
    with torch.random.fork_rng():
        torch.manual_seed(3)
        options = getattr(getattr(made, "guarded", None), "options", None) or subject.options()
        made.attach(_context(subject, options, teacher, bias, labels))
    return made


def _context(
    subject: Subject, options: Options, teacher: Tensor | None, bias: Tensor | None, labels: Tensor | None
) -> TrainingContext:
    random = _random()
    log_probs = (torch.log_softmax(random[2], 1) if teacher is None else teacher).numpy()
    required = subject.component.required(options)
    names = [text for _, text in references(options)]
    return TrainingContext(
        labels=LABELS,
        gold=np.array(_GOLD if labels is None else labels.tolist(), dtype=np.int64),
        steps=20,
        seed=1,
        device=torch.device("cpu"),
        hidden_size=HIDDEN,
        columns={each.removeprefix(_COLUMN): np.array(["a", "b"] * 3) for each in required if each.startswith(_COLUMN)},
        bias_log_probs=_log_bias(bias).numpy() if NEEDS_BIAS in required else None,
        stages={name: ReferencedStage(name, network, None, log_probs) for name in names},
        log=lambda _name, _value: None,
        generator=torch.Generator().manual_seed(1),
        pretrained=network,
        calibration=lambda _count: (),
    )


def _random() -> list[Tensor]:
    draw = torch.Generator().manual_seed(1)
    return [torch.randn(6, len(LABELS), generator=draw) for _ in range(3)]


def _log_bias(bias: Tensor | None) -> Tensor:
    return torch.log_softmax(_random()[1], 1) if bias is None else bias


def attach_pruner(pruner: Pruner, network: Network, steps: int) -> None:
    """Attach a pruner to a model, for a stage of that many steps."""
    pruner.attach(network, context(steps, ForComponent("checked"), network))


def own_parameters(debiaser: Debiaser) -> list[Any]:
    """Return the parameters that a debiaser lists."""
    return parameters_of(debiaser)


def optimizer_groups(pruner: Pruner) -> list[dict[str, Any]]:
    """Return the parameters of a pruner in the form of a torch optimizer."""
    return [{"params": list(group.parameters)} for group in pruner.parameter_groups()]


def loss_inputs(
    subject: Subject,
    logits: Tensor | None = None,
    labels: Tensor | None = None,
    bias: Tensor | None = None,
    progress: float = 0.25,
    rows: Sequence[int] = range(6),
) -> LossInputs:
    """Create the inputs of a loss: six examples of three labels, or the chosen ``rows`` of them."""
    draw = torch.Generator().manual_seed(1)
    random = [torch.randn(6, len(LABELS), generator=draw) for _ in range(3)]
    hidden = torch.randn(6, HIDDEN, generator=draw)
    labels = torch.tensor(_GOLD) if labels is None else labels
    at = list(rows)
    chosen = (random[0] if logits is None else logits)[at].clone().requires_grad_()
    needs_bias = NEEDS_BIAS in subject.component.required(subject.options())
    return LossInputs(
        chosen,
        labels[at],
        torch.tensor(at),
        bias_log_probs=_log_bias(bias)[at] if needs_bias else None,
        hidden=hidden[at],
        progress=progress,
        batch={"input_ids": torch.ones(len(at), 4, dtype=torch.int64)},
    )


def evaluated(subject: Subject, seed: int = 1, shift: int = 0) -> Evaluated:
    """Create a small model that is evaluated on two splits, as ``measure()`` gets it.

    Args:
        subject: The evaluator.
        seed: Of the logits.
        shift: Added to the true labels.
    """
    draw, labels = np.random.default_rng(seed), [(i + shift) % 3 for i in _GOLD]

    def made(name: str) -> Predictions:
        logits = draw.normal(size=(len(_GOLD), len(LABELS))).astype(np.float32)
        return predictions(Split(name, datasets.Dataset.from_dict({"label": labels}), LABELS), logits)

    dev, ood = made("dev"), made("ood")
    texts = [text for _, text in references(subject.options())]
    return Evaluated(
        id=dev,
        ood=(ood,),
        also=(),
        figures={each.split: {"accuracy": float((each.predicted == each.gold).mean())} for each in (dev, ood)},
        network=network(),
        mask=None,
        pretrained=network(),
        stages={text: {"dev": made("dev"), "ood": made("ood")} for text in texts},
    )


def predictions(split: Split, logits: np.ndarray) -> Predictions:
    """Create the predictions of a model for a split."""
    return Predictions.of_split(split, logits, split.examples.column_names)
