"""Checks of debiasers, on six examples of three labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from srframework.component import NEEDS_BIAS
from srframework.contracts import Debiaser, LossInputs
from srframework.testing.check import NotApplicable, Subject, checks_in, reference_options, require
from srframework.testing.debiaser_gradients import CHECKS as GRADIENTS
from srframework.testing.debiaser_training import CHECKS as TRAINING
from srframework.testing.hash_seeds import in_another_process
from srframework.testing.inputs import attached_debiaser, loss_inputs, own_parameters, training_context
from srframework.testing.randomness import global_states
from srframework.testing.sharing import shared_tensors
from srframework.testing.small_task import LABELS

_INPUTS = ("logits", "labels", "index", "weights", "bias_log_probs", "hidden")

_OF_STAGE = {"teacher", "bias", "labels"}


def _loss(subject: Subject, inputs: LossInputs, debiaser: Debiaser | None = None) -> Tensor:
    return (debiaser or attached_debiaser(subject)).loss(inputs)


def _value(subject: Subject, **changed: Any) -> float:
    debiaser = attached_debiaser(subject, **{name: changed[name] for name in _OF_STAGE & changed.keys()})
    given = {name: value for name, value in changed.items() if name != "teacher"}
    return float(_loss(subject, loss_inputs(subject, **given), debiaser).detach())


def _require_finite(subject: Subject, where: str, **changed: Any) -> None:
    inputs = loss_inputs(subject, **changed)
    loss = _loss(subject, inputs)
    require(torch.isfinite(loss), f"{where}: the loss is {loss.item()}")
    loss.backward()  # type: ignore[no-untyped-call]
    assert inputs.logits.grad is not None
    require(torch.isfinite(inputs.logits.grad).all(), f"{where}: the gradient is not finite")


def _close(one: float, two: float, tolerance: float = 1e-4) -> bool:
    return abs(one - two) <= tolerance * max(1.0, abs(one))


def scalar_with_gradient(subject: Subject) -> None:
    """The loss is a finite scalar with a finite gradient that is not zero."""
    inputs = loss_inputs(subject)
    loss = _loss(subject, inputs)
    require(loss.shape == (), f"expected a scalar loss, got shape {tuple(loss.shape)}")
    loss.backward()  # type: ignore[no-untyped-call]
    gradient = inputs.logits.grad
    require(gradient is not None and bool(gradient.ne(0).any()), "the loss has no gradient for the logits")
    assert gradient is not None
    require(torch.isfinite(gradient).all(), "the gradient of the loss is not finite")
    still = [row for row in range(6) if not bool(gradient[row].ne(0).any())]
    require(not still, f"the loss has no gradient for the examples {still} of the batch")


def mean_over_batch(subject: Subject) -> None:
    """The loss is a mean: a batch that has each example twice has the same loss."""
    once, twice = _value(subject), _value(subject, rows=[*range(6), *range(6)])
    require(_close(once, twice), f"the loss of a batch is {once:.6f}, with each example twice it is {twice:.6f}")


def order_of_batch(subject: Subject) -> None:
    """The order of the examples in the batch does not matter."""
    one, two = _value(subject), _value(subject, rows=[3, 0, 5, 1, 4, 2])
    require(_close(one, two), f"the loss is {one:.6f}, with the examples in another order it is {two:.6f}")


def inputs_unchanged(subject: Subject) -> None:
    """The loss changes in place neither the inputs of a batch nor the arrays of its context."""
    context = training_context(subject, subject.options())
    arrays: dict[str, np.ndarray] = {f"context.columns[{name!r}]": each for name, each in context.columns.items()}
    arrays |= {f"context.stages[{name!r}]": each.log_probs for name, each in context.stages.items()}  # type: ignore[misc]
    arrays |= {"context.gold": context.gold, "context.bias_log_probs": context.bias_log_probs}  # type: ignore[dict-item]
    of_context = {name: value.copy() for name, value in arrays.items() if value is not None}
    debiaser = subject.build()
    debiaser.attach(context)
    inputs = loss_inputs(subject, weights=[1, 2, 0, 1, 3, 1])
    tensors: dict[str, Tensor] = {f"batch[{name!r}]": each for name, each in inputs.batch.items()}
    tensors |= {name: value for name in _INPUTS if (value := getattr(inputs, name)) is not None}
    of_batch, names = {name: value.detach().clone() for name, value in tensors.items()}, set(inputs.batch)
    _loss(subject, inputs, debiaser)
    for name, value in of_batch.items():
        require(torch.equal(value, tensors[name].detach()), f"loss() changes {name} in place")
    require(set(inputs.batch) == names, "loss() adds or removes inputs of the batch")
    for name, array in of_context.items():
        require(np.array_equal(array, arrays[name]), f"{name} is changed in place")


def labels_matter(subject: Subject) -> None:
    """Other labels give another loss."""
    uniform = torch.full((6, len(LABELS)), 1 / len(LABELS)).log()
    one = _value(subject)
    two = _value(subject, labels=torch.tensor([1, 2, 0, 1, 0, 2]))
    flat = _value(subject, bias=uniform) != _value(subject, bias=uniform, labels=torch.tensor([1, 2, 0, 1, 0, 2]))
    require(not _close(one, two, 1e-6) or flat, "the loss does not depend on the labels")


def prefers_the_labels(subject: Subject) -> None:
    """Logits that predict the labels have a lower loss than logits that predict other labels."""
    labels = torch.tensor([0, 1, 2, 0, 2, 1])
    right = 4 * nn.functional.one_hot(labels, len(LABELS)).float()
    wrong = 4 * nn.functional.one_hot((labels + 1) % len(LABELS), len(LABELS)).float()
    uniform, teacher = torch.zeros(6, len(LABELS)).log_softmax(1), right.log_softmax(1)
    losses = [_value(subject, logits=each, bias=uniform, teacher=teacher) for each in (right, wrong)]
    require(losses[0] < losses[1], f"right logits have the loss {losses[0]:.4f}, wrong ones {losses[1]:.4f}")


def bias_matters(subject: Subject) -> None:
    """Another bias model gives another loss."""
    if NEEDS_BIAS not in subject.component.required(subject.options()):
        raise NotApplicable('the debiaser does not require "bias"')
    other = torch.randn(6, len(LABELS), generator=torch.Generator().manual_seed(9)).log_softmax(1)
    require(not _close(_value(subject), _value(subject, bias=other), 1e-6), "the loss ignores the bias model")


def teacher_matters(subject: Subject) -> None:
    """Another teacher gives another loss."""
    if not reference_options(subject.component.options):
        raise NotApplicable("no option refers to a stage")
    other = torch.randn(6, len(LABELS), generator=torch.Generator().manual_seed(9)).log_softmax(1)
    require(not _close(_value(subject), _value(subject, teacher=other), 1e-6), "the loss ignores the teacher")


def options_matter(subject: Subject) -> None:
    """Each option changes the loss for some value."""
    variations = list(subject.variations())
    if not variations:
        raise NotApplicable("no options")
    for name, every in variations:
        required = subject.component.required
        pairs = [(one, two) for one, two in every if required(one) == required(two)]  # otherwise the data differ
        values = []
        for one, two in pairs:
            for progress in (0.0, 0.5, 0.9):
                inputs = loss_inputs(subject, progress=progress)
                made = [attached_debiaser(subject, subject.built(each)) for each in (one, two)]
                values.append([float(each.loss(inputs).detach()) for each in made])
            if any(abs(a - b) > 1e-7 for a, b in values):
                break
        require(not pairs or any(abs(a - b) > 1e-7 for a, b in values), f"the option {name} changes nothing")


def certain_bias(subject: Subject) -> None:
    """A bias model that is certain, right or wrong, gives a finite loss and a finite gradient."""
    if NEEDS_BIAS not in subject.component.required(subject.options()):
        raise NotApplicable('the debiaser does not require "bias"')
    labels = torch.tensor([0, 1, 2, 0, 2, 1])
    right = nn.functional.one_hot(labels, len(LABELS)).float()
    floor = (right + 1e-8).div(1 + 3e-8)
    _require_finite(subject, "a bias of 0 and 1", bias=right.log())
    _require_finite(subject, "a bias that is almost 1", bias=floor.log())
    _require_finite(subject, "a bias that is almost 1 for another label", bias=floor.roll(1, 1).log())


def extreme_logits(subject: Subject) -> None:
    """Logits of plus and minus 10,000 give a finite loss and a finite gradient."""
    signs = torch.tensor([[1.0, -1, -1], [-1, 1, -1], [-1, -1, 1], [-1, 1, 1], [1, 1, 1], [-1, -1, -1]])
    _require_finite(subject, "logits of ±10,000", logits=1e4 * signs)
    _require_finite(subject, "logits of ±10,000", logits=-1e4 * signs)


def batch_of_one(subject: Subject) -> None:
    """A batch of one example gives a finite loss and a finite gradient."""
    for row in range(3):
        _require_finite(subject, "a batch of one example", rows=[row])


def half_precision(subject: Subject) -> None:
    """Logits in half precision give almost the loss of single precision."""
    single = _value(subject)
    draw = torch.Generator().manual_seed(1)
    logits = torch.randn(6, len(LABELS), generator=draw)
    for kind in (torch.bfloat16, torch.float16):
        half = _value(subject, logits=logits.to(kind))
        require(abs(half - single) <= 0.05 * max(1, abs(single)), f"{kind}: the loss is {half:.4f}, not {single:.4f}")
        _require_finite(subject, str(kind), logits=logits.to(kind))


def any_progress(subject: Subject) -> None:
    """The loss is finite from the beginning to the end of the stage."""
    for progress in (0.0, 0.5, 0.999):
        _require_finite(subject, f"progress = {progress}", progress=progress)


def repeats(subject: Subject) -> None:
    """Two instances with one seed give the same loss, whatever the global random states are."""
    values = []
    for seed in (5, 6):
        with global_states(seed):
            values.append(_value(subject))
    one, two = values
    require(one == two, f"two instances with one seed have the losses {one:.6f} and {two:.6f}")
    with in_another_process(subject.component):
        other = _value(subject)
    require(one == other, "another process has another loss: hash() of a text differs in each process")


def lists_own_parameters(subject: Subject) -> None:
    """Every parameter of the loss is listed once, is trainable, and gets a gradient."""
    debiaser = attached_debiaser(subject)
    listed = own_parameters(debiaser)
    again = {id(each) for each in own_parameters(debiaser)}
    require({id(each) for each in listed} == again, "a second call of parameter_groups() lists other parameters")
    _loss(subject, loss_inputs(subject), debiaser).backward()  # type: ignore[no-untyped-call]
    for each in listed:
        require(each.requires_grad, "a listed parameter does not require a gradient")
        require(each.grad is not None, "the loss does not depend on a parameter that it lists")
    known = {id(each) for each in listed}
    for name, found in _held(debiaser):
        require(found.grad is None or id(found) in known, f"the parameter {name} is trained but not listed")


def _held(component: Any) -> Iterator[tuple[str, nn.Parameter]]:
    """Yield the parameters in the attributes of a component, also inside of other objects."""
    seen: set[int] = set()
    waiting: list[tuple[str, Any]] = list(vars(component.guarded).items())
    while waiting:
        name, value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, nn.Parameter):
            yield name, value
        elif isinstance(value, nn.Module):
            yield from value.named_parameters(name)
        elif isinstance(value, Mapping):
            waiting += [(f"{name}.{key}", each) for key, each in value.items()]
        elif isinstance(value, list | tuple):
            waiting += [(f"{name}.{index}", each) for index, each in enumerate(value)]
        elif type(value).__module__ == type(component.guarded).__module__ and hasattr(value, "__dict__"):
            waiting += [(f"{name}.{key}", each) for key, each in vars(value).items()]


def state_survives_a_kill(subject: Subject) -> None:
    """A new instance with the saved state has the loss that the old instance would have."""
    old, new = attached_debiaser(subject), subject.build()
    for rows in ([0, 1, 2, 3], [4, 5, 0, 1]):
        _loss(subject, loss_inputs(subject, rows=rows), old)
    with torch.random.fork_rng():
        torch.manual_seed(77)
        new = attached_debiaser(subject, new)
    new.restore(old.state())
    mine, saved = own_parameters(new), own_parameters(old)
    where = "after a few batches the loss lists"
    require(
        len(mine) == len(saved), f"{where} {len(saved)} parameters, a new instance {len(mine)}; create all in attach"
    )
    with torch.no_grad():
        for one, other in zip(mine, saved, strict=True):
            one.copy_(other)
    for rows in ([2, 3, 4, 5], [0, 1, 2, 3, 4, 5]):  # the first batch has the size of an earlier one
        inputs = loss_inputs(subject, rows=rows)
        before, after = (float(_loss(subject, inputs, each).detach()) for each in (old, new))
        require(
            _close(before, after, 1e-6), f"after a resume the loss is {after:.6f}; without a stop it is {before:.6f}"
        )
    shared = shared_tensors(getattr(old, "guarded", old))
    require(not shared, f"{shared} has tensors, which all instances share; use an attribute of the instance")


CHECKS = checks_in(
    "debiaser",
    [
        scalar_with_gradient,
        mean_over_batch,
        order_of_batch,
        inputs_unchanged,
        labels_matter,
        prefers_the_labels,
        bias_matters,
        teacher_matters,
        options_matter,
        certain_bias,
        extreme_logits,
        batch_of_one,
        half_precision,
        any_progress,
        repeats,
        lists_own_parameters,
        state_survives_a_kill,
        *GRADIENTS,
        *TRAINING,
    ],
)
