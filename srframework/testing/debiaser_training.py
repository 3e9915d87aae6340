"""Checks of debiasers in the circumstances of a training: weights, columns, samples, logs, several steps."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from srframework.component import COLUMN
from srframework.contracts import Debiaser
from srframework.testing.check import NotApplicable, Subject, require
from srframework.testing.inputs import attached_debiaser, logged_badly, loss_inputs, training_context
from srframework.testing.randomness import untouched_states, watched_generators
from srframework.testing.small_task import LABELS


def _value(subject: Subject, **given: Any) -> float:
    debiaser = attached_debiaser(subject)
    return float(debiaser.loss(loss_inputs(subject, **given)).detach())


def _require_equal(one: float, two: float, where: str) -> None:
    require(abs(one - two) <= 1e-4 * max(1, abs(one)), f"{where}: the loss is {two:.6f}, not {one:.6f}")


def weights_matter(subject: Subject) -> None:
    """The weights of the examples count: weight 2 is an example that occurs twice, weight 0 one that is absent."""
    once = _value(subject)
    _require_equal(once, _value(subject, weights=[3.0] * 6), "with weight 3 for all examples")
    _require_equal(
        _value(subject, rows=[0, 0, 1, 2, 3, 4, 5]), _value(subject, weights=[2, 1, 1, 1, 1, 1]), "with weight 2"
    )
    _require_equal(_value(subject, rows=[0, 2, 4, 5]), _value(subject, weights=[1, 0, 1, 0, 1, 1]), "with weight 0")
    inputs = loss_inputs(subject, weights=[0] * 6)
    loss = attached_debiaser(subject).loss(inputs)
    require(torch.isfinite(loss), f"with weight 0 for all examples: the loss is {loss.item()}")


def columns_matter(subject: Subject) -> None:
    """Other values in the columns that the debiaser requires give another loss or another sample."""
    if not any(each.startswith(COLUMN) for each in subject.component.required(subject.options())):
        raise NotApplicable("the debiaser requires no column")

    def outcome(groups: str) -> tuple[float, list[int] | None]:
        debiaser = attached_debiaser(subject, groups=groups)
        order = debiaser.sample(0, torch.Generator().manual_seed(1))
        value = float(debiaser.loss(loss_inputs(subject)).detach())
        return value, None if order is None else order.tolist()

    first, *others = [outcome(groups) for groups in ("ababab", "aaaaab", "bbaaaa")]
    require(any(each != first for each in others), "the loss ignores the column that the debiaser requires")


def any_number_of_labels(subject: Subject) -> None:
    """With 2 or 5 labels, the loss is a finite scalar with a finite gradient."""
    for names in (LABELS[:2], (*LABELS, "never", "always")):
        count, where = len(names), f"with {len(names)} labels"
        labels = torch.arange(6) % count
        debiaser = attached_debiaser(subject, labels=labels, names=names)
        inputs = loss_inputs(subject, labels=labels, classes=count)
        loss = debiaser.loss(inputs)
        require(torch.isfinite(loss), f"{where}: the loss is {loss.item()}")
        loss.backward()  # type: ignore[no-untyped-call]
        gradient = inputs.logits.grad
        require(gradient is not None and bool(torch.isfinite(gradient).all()), f"{where}: the gradient is not finite")


def random_state_untouched(subject: Subject) -> None:
    """The global random states of Python, numpy and torch stay as they were."""
    debiaser: Debiaser = subject.build()
    with untouched_states("the debiaser"):
        debiaser.attach(training_context(subject, subject.options()))
        debiaser.parameter_groups()
        debiaser.sample(0, torch.Generator().manual_seed(1))
        debiaser.loss(loss_inputs(subject))
        debiaser.restore(debiaser.state())


def sample_is_sound(subject: Subject) -> None:
    """A sample has exactly as many indexes as the training set has examples, int64, all in range."""
    for count in (6, 9):
        debiaser = attached_debiaser(subject, labels=torch.arange(count) % 3)
        for epoch in range(20):
            _require_indexes(_sample(debiaser, epoch, epoch), count)


def sample_reaches_every_example(subject: Subject) -> None:
    """No position of the training set is left out of all samples, whatever the example in it."""
    count, drawn = 6, set[int]()
    random = torch.randn(2, count, len(LABELS), generator=torch.Generator().manual_seed(4)).log_softmax(2)
    for shift in range(count):
        bias, teacher = (each.roll(shift, 0) for each in random)
        labels = torch.tensor([0, 1, 2, 0, 2, 1]).roll(shift)
        groups = "".join("ababab"[(place - shift) % count] for place in range(count))
        debiaser = attached_debiaser(subject, labels=labels, bias=bias, teacher=teacher, groups=groups)
        for epoch in range(20):
            drawn |= set(_sample(debiaser, epoch, 100 * shift + epoch).tolist())
    never = sorted(set(range(count)) - drawn)
    require(
        not never, f"sample() of {count} training examples never draws the indexes {never}, whatever their examples"
    )


def _sample(debiaser: Debiaser, epoch: int, seed: int) -> Tensor:
    order = debiaser.sample(epoch, torch.Generator().manual_seed(seed))
    if order is None:
        raise NotApplicable("sample() chooses no examples")
    return order


def _require_indexes(order: Tensor, count: int) -> None:
    where = f"sample() of {count} training examples"
    require(order.dtype == torch.int64, f"{where}: expected int64, got {order.dtype}")
    require(tuple(order.shape) == (count,), f"{where}: expected the shape ({count},), got {tuple(order.shape)}")
    fits = bool(((order >= 0) & (order < count)).all())
    require(fits, f"{where}: expected indexes in 0..{count - 1}, got {int(order.min())}..{int(order.max())}")


def sample_follows_the_generator(subject: Subject) -> None:
    """A sample depends on the epoch and the generator it gets, and on nothing that a resumed run does not have."""
    with watched_generators(subject.component) as drawn:
        debiaser = attached_debiaser(subject)
        first = _sample(debiaser, 0, 1)
        saved = {name: value.clone() for name, value in debiaser.state().items()}
        second = _sample(debiaser, 1, 2)
        others = [_sample(attached_debiaser(subject), 0, seed) for seed in range(2, 8)]
    require(torch.equal(first, _sample(attached_debiaser(subject), 0, 1)), "one seed gives two samples")
    resumed = attached_debiaser(subject)
    resumed.restore(saved)
    require(torch.equal(second, _sample(resumed, 1, 2)), "after a resume, an epoch has another sample")
    same = all(torch.equal(first, each) for each in others)
    require(not (same and drawn), "sample() is random, but does not depend on the generator that it gets")


def logs_numbers(subject: Subject) -> None:
    """What the debiaser logs is named and finite, one number each."""
    logged: list[tuple[Any, Any]] = []
    debiaser = attached_debiaser(subject, log=lambda name, value: logged.append((name, value)))
    debiaser.loss(loss_inputs(subject))
    if not logged:
        raise NotApplicable("the debiaser logs nothing")
    for name, value in logged:
        require(not (fault := logged_badly(name, value)), fault)


def steps_share_no_graph(subject: Subject) -> None:
    """The loss of a step does not need the graph of an earlier step."""
    debiaser = attached_debiaser(subject)
    for _ in range(3):
        loss = debiaser.loss(loss_inputs(subject))
        try:
            loss.backward()  # type: ignore[no-untyped-call]
        except RuntimeError as error:
            require("second time" not in str(error), "the loss of a step needs the graph of an earlier one; detach it")
            raise


def state_is_a_copy(subject: Subject) -> None:
    """A later loss does not change the tensors that state() has returned, or that restore() got."""
    debiaser = attached_debiaser(subject)
    debiaser.loss(loss_inputs(subject))
    state = debiaser.state()
    if not state:
        raise NotApplicable("no state")
    before = {name: value.clone() for name, value in state.items()}
    debiaser.loss(loss_inputs(subject, rows=[2, 3, 4]))
    for name, value in before.items():
        require(torch.equal(value, state[name]), f"a later loss changes {name} of state(); return copies")
    debiaser.restore(state)
    debiaser.loss(loss_inputs(subject, rows=[0, 1]))
    for name, value in before.items():
        require(torch.equal(value, state[name]), f"a later loss changes {name} that restore() got; copy it")


CHECKS = [
    weights_matter,
    columns_matter,
    any_number_of_labels,
    random_state_untouched,
    sample_is_sound,
    sample_reaches_every_example,
    sample_follows_the_generator,
    logs_numbers,
    steps_share_no_graph,
    state_is_a_copy,
]
