"""Checks of a pruner's part in the training: loss terms, options, calibration, short trainings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from srframework.component import Options
from srframework.contracts import LossInputs, Network, Pruner
from srframework.errors import SRFrameworkError
from srframework.testing.check import NotApplicable, Subject, Violation, require, require_options_matter
from srframework.testing.inputs import attach_pruner
from srframework.testing.pruner_run import STEPS, nothing, require_zeros, run
from srframework.testing.small_task import LABELS, network


def loss_terms_are_sound(subject: Subject) -> None:
    """Each term of the loss is a finite scalar with a gradient, a mean over the batch, and changes no input."""
    pruner, net = subject.build(), network()
    attach_pruner(subject, pruner, net, STEPS)
    pruner.begin(pruner.phases(STEPS)[0], 0)
    once, twice = _terms(pruner, [0, 1, 2]), _terms(pruner, [0, 1, 2, 0, 1, 2])
    if not once:
        raise NotApplicable("no terms")
    for name, term in once.items():
        require(torch.isfinite(term), f"loss_terms: {name} is {term.item()}")
        require(term.requires_grad, f"loss_terms: {name} has no gradient")
        one, two = term.item(), twice[name].item()
        close = abs(one - two) <= 1e-4 * max(1, abs(one))
        require(close, f"loss_terms: {name} is {one:.6f}, with each example twice {two:.6f}")


def _terms(pruner: Pruner, rows: list[int]) -> dict[str, Tensor]:
    logits = torch.randn(3, len(LABELS), generator=torch.Generator().manual_seed(1))[rows].requires_grad_()
    inputs = LossInputs(logits, torch.tensor([0, 1, 2])[rows], torch.tensor(rows), progress=0.5)
    loss = torch.tensor(1.5)
    tensors = {"logits": inputs.logits, "labels": inputs.labels, "index": inputs.index, "loss": loss}
    before = {name: value.detach().clone() for name, value in tensors.items()}
    terms = dict(pruner.loss_terms(inputs, loss))
    for name, value in before.items():
        require(torch.equal(value, tensors[name].detach()), f"loss_terms() changes {name} in place")
    return terms


def options_matter(subject: Subject) -> None:
    """Each option changes the masks, the weights, the phases or the groups of parameters for some value."""
    require_options_matter(subject, lambda options: _outcome(subject, options)[0])


def keeps_zeros_with_any_option(subject: Subject) -> None:
    """Whatever the value of an option, the weights are zero where the mask prunes, after each step and each update."""
    variations = list(subject.variations())
    if not variations:
        raise NotApplicable("no options")
    for name, pairs in variations:
        for options in [two for _, two in pairs[:3]]:
            try:
                fault = _outcome(subject, options)[1]
            except SRFrameworkError:
                continue  # these options do not fit the small model
            require(not fault, f"with {name} = {getattr(options, name)!r}, {fault}")


def _outcome(subject: Subject, options: Options) -> tuple[list[Any], str]:
    """Everything that a short training shows of a pruner with these options, and the first weight that is wrong."""
    return subject.once(("outcome", options.model_dump_json()), lambda: _trained(subject, options))


def _trained(subject: Subject, options: Options) -> tuple[list[Any], str]:
    found: list[Any] = []
    faults: list[str] = []

    def seen(event: str, step: int, pruner: Pruner, net: Network) -> None:
        if event == "begun":
            found.extend(
                (len(each.parameters), each.learning_rate, each.weight_decay) for each in pruner.parameter_groups()
            )
        if event in ("begun", "step", "updated"):
            weights = float(sum(each.detach().double().abs().sum() for each in net.model.parameters()))
            found.append((event, pruner.masks().digest(), step, weights))
            try:
                require_zeros(pruner, net, f"{event} {step}")
            except Violation as fault:
                faults.append(str(fault))

    pruner = subject.built(options)
    found += [pruner.phases(1000), pruner.keeps_best]
    run(subject, seen, pruner=pruner, steps=6)
    return found, next(iter(faults), "")


def optimizer_keeps_its_parameters(subject: Subject) -> None:
    """The parameters that a phase lists are those of the model to its end: each still gets a gradient."""
    listed: list[Tensor] = []
    used: set[int] = set()

    def seen(event: str, step: int, pruner: Pruner, _net: Network) -> None:
        if event == "begun":
            listed[:] = [each for group in pruner.parameter_groups() for each in group.parameters]
            used.clear()
        if event == "before before_step":
            now = {number for number, each in enumerate(listed) if each.grad is not None}
            lost = used - now
            sentence = f"at step {step}, {len(lost)} of {len(listed)} listed parameters get no gradient any more"
            require(not lost, f"{sentence}; change parameters in place, do not replace them")
            used.update(now)

    run(subject, seen)


def calibration_matters(subject: Subject) -> None:
    """A pruner that asks for calibration examples prunes other entries if it gets other examples."""
    asked: list[int] = []

    def mask(words: str) -> Any:
        return run(subject, nothing, steps=2, context={"calibration": _calibration(words, asked)})

    first = mask("a b c")
    if not asked:
        raise NotApplicable("it asks for no calibration examples")
    require(max(asked) <= 4, f"calibration({max(asked)}): the training set of the checks has 4 examples")
    changed = any(mask(words) != first for words in ("h i j", "j a j a j", "d", "e f g e f g"))
    require(changed, "other calibration examples do not change the mask")


def _calibration(words: str, asked: list[int]) -> Callable[[int], Iterator[dict[str, Tensor]]]:
    """Return a calibration with texts of these letters; ``asked`` gets the number of examples of each call."""

    def calibration(count: int) -> Iterator[dict[str, Tensor]]:
        asked.append(count)
        for index in range(count):
            batch = dict(network().tokenizer([words[index % len(words) :] + " " + words], return_tensors="pt"))
            yield {**batch, "labels": torch.tensor([index % len(LABELS)]), "index": torch.tensor([index])}

    return calibration


def calibration_leaves_no_hooks(subject: Subject) -> None:
    """A pruner that asks for calibration examples removes its hooks from the model."""
    asked: list[int] = []
    before: dict[str, int] = _hooks(network())

    def seen(event: str, _step: int, _pruner: Pruner, net: Network) -> None:
        if event in ("attached", "begun") and asked:
            more = [name or "the model" for name, count in _hooks(net).items() if count > before.get(name, count)]
            require(not more, f"hooks are left on {', '.join(more[:3])} after the calibration; remove them")

    run(subject, seen, steps=2, context={"calibration": _calibration("a b c", asked)})
    if not asked:
        raise NotApplicable("it asks for no calibration examples")


def _hooks(net: Network) -> dict[str, int]:
    """The number of hooks of each module."""
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return {name: sum(len(getattr(each, kind)) for kind in kinds) for name, each in net.model.named_modules()}


def candidates_are_final(subject: Subject) -> None:
    """In the last phase, update_mask() with the last step prunes as many entries as at the end, whenever it is called;
    restoring the weights and the state undoes it."""
    pruner = subject.build()
    if not pruner.keeps_best:
        raise NotApplicable("the stage ends with the last checkpoint")
    phases, found = pruner.phases(STEPS), list[tuple[int, int]]()
    last = sum(phase.steps for phase in phases)

    def seen(event: str, step: int, pruner: Pruner, net: Network) -> None:
        if event != "updated" or step <= last - phases[-1].steps:
            return
        before = pruner.masks().digest()
        weights = {name: value.clone() for name, value in net.model.state_dict().items()}
        state = pruner.state()
        pruner.update_mask(last)
        found.append((step, pruner.masks().pruned))
        net.model.load_state_dict(weights)
        pruner.restore(state)
        same = pruner.masks().digest() == before
        require(same, f"after step {step}, restore() does not undo update_mask({last}): the mask is another one")

    final = run(subject, seen, pruner=pruner).pruned
    for step, pruned in found:
        where = f"after step {step}, update_mask({last})"
        require(pruned == final, f"{where} gives a mask with {pruned} entries pruned, the end one with {final}")


def short_trainings(subject: Subject) -> None:
    """A stage of one step or of two steps ends with the sparsity of a long stage."""
    fraction = run(subject, nothing).sparsity
    for steps in (1, 2):
        got = run(subject, nothing, steps=steps).sparsity
        where = f"a stage of {steps} steps"
        require(abs(got - fraction) < 0.02, f"{where} ends with the sparsity {got:.3f}, a long one with {fraction:.3f}")


CHECKS = [
    loss_terms_are_sound,
    candidates_are_final,
    options_matter,
    keeps_zeros_with_any_option,
    optimizer_keeps_its_parameters,
    calibration_matters,
    calibration_leaves_no_hooks,
    short_trainings,
]
