"""The arguments that the checks give to components. Only this module knows how the contract builds them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import datasets
import numpy as np
import torch
from torch import Tensor

from srframework.component import COLUMN, NEEDS_BIAS, NEEDS_PREDICTIONS, Options, references
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
from srframework.errors import PluginError
from srframework.testing.check import Subject
from srframework.testing.randomness import global_states
from srframework.testing.small_task import LABELS, context, examples, network, small_stages
from srframework.training.context import ForComponent
from srframework.training.optimization import own_parameters as parameters_of

HIDDEN = 5
GOLD = (0, 1, 2, 0, 2, 1)
"""Labels of the six training examples of a loss."""


def attached_debiaser(subject: Subject, debiaser: Any = None, **given: Any) -> Debiaser:
    """Return a debiaser that is attached to a stage with six training examples.

    Args:
        subject: The component.
        debiaser: The instance; None: a new one.
        given: Arguments of :func:`training_context`.
    """
    made: Debiaser = subject.build() if debiaser is None else debiaser
    options = getattr(getattr(made, "guarded", None), "options", None) or subject.options()
    with global_states(3):
        try:
            made.attach(training_context(subject, options, **given))
        except PluginError:
            required = subject.component.required(options)
            if subject.columns_are_numbers or not any(each.startswith(COLUMN) for each in required):
                raise
            subject.columns_are_numbers = True
            made.attach(training_context(subject, options, **given))
    return made


def training_context(
    subject: Subject,
    options: Options,
    teacher: Tensor | None = None,
    bias: Tensor | None = None,
    labels: Tensor | None = None,
    groups: str | None = None,
    names: Sequence[str] = LABELS,
    log: Callable[[str, Any], None] | None = None,
) -> TrainingContext:
    """Create the context of a training with a few examples.

    Args:
        subject: The component.
        options: Its options.
        teacher: Log-probabilities of each referenced stage, one row for each example.
        bias: Log-probabilities of the bias model.
        labels: The true labels; six by default.
        groups: The values of each required column, a letter for each example; numbers if the component fails with
            letters.
        names: The names of the labels.
        log: Gets what the component logs.
    """
    gold = np.array(GOLD if labels is None else labels.tolist(), dtype=np.int64)
    random = _random(len(gold), len(names))
    log_probs = (torch.log_softmax(random[2], 1) if teacher is None else teacher).numpy()
    log_bias = (torch.log_softmax(random[1], 1) if bias is None else bias).numpy()
    required = subject.component.required(options)
    letters = groups or "ab" * len(gold)
    values = np.array([float(ord(each)) if subject.columns_are_numbers else each for each in letters[: len(gold)]])
    return TrainingContext(
        labels=tuple(names),
        gold=gold,
        steps=20,
        seed=1,
        device=torch.device("cpu"),
        hidden_size=HIDDEN,
        columns={each.removeprefix(COLUMN): values.copy() for each in required if each.startswith(COLUMN)},
        bias_log_probs=log_bias if NEEDS_BIAS in required else None,
        stages={
            text: ReferencedStage(text, network, None, log_probs if NEEDS_PREDICTIONS in required else None)
            for _, text in references(options)
        },
        learning_rates=20 * 1e-3,
        log=log or (lambda _name, _value: None),
        warn=lambda _text: None,
        generator=torch.Generator().manual_seed(1),
        pretrained=network,
        calibration=lambda _count: (),
    )


def _random(rows: int = 6, classes: int = len(LABELS)) -> list[Tensor]:
    draw = torch.Generator().manual_seed(1)
    return [torch.randn(rows, classes, generator=draw) for _ in range(3)]


def logged_badly(name: Any, value: Any) -> str:
    """Return the fault of what a component logs, a sentence; empty if it is a named finite number."""
    if not (isinstance(name, str) and name):
        return f"log(): expected a name, got {name!r}"
    try:
        number = torch.as_tensor(value).detach().double()
    except (TypeError, ValueError, RuntimeError):
        return f"log(): expected one number as {name!r}, got {value!r}"
    if number.numel() != 1:
        return f"log(): expected one number as {name!r}, got a tensor of shape {tuple(number.shape)}"
    return "" if bool(number.isfinite()) else f"log(): {name} is {number.item()}"


def attach_pruner(subject: Subject, pruner: Pruner, net: Network, steps: int, **replaced: Any) -> None:
    """Attach a pruner to a model, for a stage of that many steps; replace fields of its context."""
    options = getattr(getattr(pruner, "guarded", None), "options", None) or subject.options()
    required = subject.component.required(options)
    count = len(examples())
    component = ForComponent(
        "checked",
        columns={
            each.removeprefix(COLUMN): np.array(["a", "b"] * count)[:count] for each in required if COLUMN in each
        },
        bias_log_probs=torch.log_softmax(_random(count)[1], 1).numpy() if NEEDS_BIAS in required else None,
        stages=small_stages([text for _, text in references(options)], NEEDS_PREDICTIONS in required),
    )
    pruner.attach(net, dataclasses.replace(context(steps, component, net), **replaced))


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
    weights: Sequence[float] | None = None,
    progress: float = 0.25,
    rows: Sequence[int] = range(6),
    classes: int = len(LABELS),
) -> LossInputs:
    """Create the inputs of a loss: six examples of three labels, or the chosen ``rows`` of them."""
    random = _random(classes=classes)
    hidden = torch.randn(6, HIDDEN, generator=torch.Generator().manual_seed(2))
    labels = torch.tensor(GOLD) if labels is None else labels
    at = list(rows)
    chosen = (random[0] if logits is None else logits)[at].clone().requires_grad_()
    needs_bias = NEEDS_BIAS in subject.component.required(subject.options())
    return LossInputs(
        chosen,
        labels[at],
        torch.tensor(at),
        weights=None if weights is None else torch.tensor(weights, dtype=torch.float32)[at],
        bias_log_probs=(torch.log_softmax(random[1], 1) if bias is None else bias)[at] if needs_bias else None,
        hidden=hidden[at],
        progress=progress,
        batch={
            "input_ids": torch.tensor(at)[:, None] + torch.arange(4),
            "attention_mask": torch.tensor([1.0, 1, 1, 0]).repeat(len(at), 1),
        },
    )


def evaluated(subject: Subject, seed: int = 1, net: Network | None = None) -> Evaluated:
    """Create a small model that is evaluated on two splits, as ``measure()`` gets it.

    Args:
        subject: The evaluator.
        seed: Of the logits.
        net: The model; that of :func:`network` by default.
    """
    draw, labels = np.random.default_rng(seed), list(GOLD)
    needs_bias = NEEDS_BIAS in subject.component.required(subject.options())
    probs = torch.softmax(_random(len(GOLD))[1], 1).numpy()

    def made(name: str) -> Predictions:
        logits = draw.normal(size=(len(GOLD), len(LABELS))).astype(np.float32)
        given = predictions(Split(name, datasets.Dataset.from_dict({"label": labels}), LABELS), logits)
        return dataclasses.replace(given, bias_probs=probs if needs_bias else None)

    dev, ood = made("dev"), made("ood")
    texts = [text for _, text in references(subject.options())]
    known = {
        text: ReferencedStage(text, network, predictions={"dev": made("dev"), "ood": made("ood")}) for text in texts
    }
    return Evaluated(
        id=dev,
        dev=dev,
        ood=(ood,),
        also=(),
        figures={each.split: {"accuracy": float((each.predicted == each.gold).mean())} for each in (dev, ood)},
        network=net or network(),
        mask=None,
        pretrained=network(),
        stages=known,
    )


def predictions(split: Split, logits: np.ndarray) -> Predictions:
    """Create the predictions of a model for a split; its arrays can be written, so that a check sees who does it."""
    made = Predictions.of_split(split, logits.copy(), split.examples.column_names)
    columns = {name: values.copy() for name, values in made.columns.items()}
    return dataclasses.replace(made, gold=made.gold.copy(), columns=columns)
