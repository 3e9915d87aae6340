"""Checks of what a pruner prunes: parts of the model, scope of the sparsity, blocks of fused matrices."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import torch

from srframework.contracts import Network
from srframework.masks import Mask
from srframework.pruning import PruneOptions
from srframework.scores import pruned_count
from srframework.testing.check import NotApplicable, Subject, require
from srframework.testing.pruner_run import nothing, run
from srframework.testing.small_task import network


def prunes_the_chosen_parts(subject: Subject) -> None:
    """With the options classifier and pooler of PruneOptions, exactly the matrices of the chosen parts are pruned."""
    if not issubclass(subject.component.options, PruneOptions):
        raise NotApplicable("the options do not derive from PruneOptions")
    for classifier, pooler in itertools.product((True, False), repeat=2):
        chosen: dict[str, Any] = {"classifier": classifier, "pooler": pooler}
        if not subject.accepts(**chosen):
            continue
        options: Any = subject.options(**chosen)
        expected, got = set(network().matrices(options.parts())), set(run(subject, nothing, steps=2, **chosen))
        where = f"classifier = {str(classifier).lower()}, pooler = {str(pooler).lower()}"
        require(got >= expected, f"{where}: the mask lacks {', '.join(sorted(expected - got))}")
        require(got <= expected, f"{where}: the mask has {', '.join(sorted(got - expected))}")


def scope_is_exact(subject: Subject) -> None:
    """With scope = "local" each matrix has the sparsity; with "global" all together have it, ranked as one."""
    if not {"scope", "sparsity"} <= subject.component.options.model_fields.keys():
        raise NotApplicable("no options scope and sparsity")
    for scope, sparsity in itertools.product(("local", "global"), (0.3, 0.5, 0.7)):
        if not subject.accepts(scope=scope, sparsity=sparsity):
            continue
        mask, where = run(subject, nothing, steps=2, scope=scope, sparsity=sparsity), f'scope = "{scope}"'
        if scope == "local":
            _require_in_each(mask, sparsity, where)
        else:
            expected = pruned_count(sparsity, mask.entries)
            require(mask.pruned == expected, f"{where}: expected {expected} entries pruned, got {mask.pruned}")
    if subject.accepts(scope="global") and _follows_the_weights(subject):
        counts = {_pruned_of_classifier(subject, factor) for factor in (1e-3, 1.0, 1e3)}
        sentence = (
            'scope = "global": as many entries of the classifier are pruned if its weights are 1,000 times larger'
        )
        require(len(counts) > 1 or None in counts, f"{sentence}; the matrices must be ranked together")


def _require_in_each(mask: Mask, sparsity: float, where: str) -> None:
    for name, kept in mask.items():
        expected, got = pruned_count(sparsity, kept.numel()), int((~kept).sum())
        require(got == expected, f"{where}: expected {expected} of {kept.numel()} entries of {name} pruned, got {got}")


def _follows_the_weights(subject: Subject) -> bool:
    masks = [run(subject, nothing, steps=2, net=network(seed), scope="global") for seed in (0, 5)]
    return masks[0] != masks[1]


def _pruned_of_classifier(subject: Subject, factor: float) -> int | None:
    net = network()
    net.model.get_submodule("classifier").weight.data.mul_(factor)  # type: ignore[operator]
    mask = run(subject, nothing, net=net, steps=2, scope="global")
    return int((~mask["classifier"]).sum()) if "classifier" in mask else None


def blocks_have_the_sparsity(subject: Subject) -> None:
    """If each matrix has the sparsity, so has each row block of a fused matrix."""
    options: Any = subject.options()
    sparsity = getattr(options, "sparsity", None)
    if sparsity is None or getattr(options, "pattern", None) is not None:
        raise NotApplicable("no option sparsity, or a pattern")
    local = run(subject, nothing, steps=2)
    if any(int((~kept).sum()) != pruned_count(sparsity, kept.numel()) for kept in local.values()):
        raise NotApplicable("the matrices have different sparsities")
    fused = _fused(network())
    mask = run(subject, nothing, net=fused, steps=2)
    for name, rows in fused.blocks.items():
        for number, part in enumerate(torch.split(mask[name], list(rows)) if name in mask else ()):
            expected, got = pruned_count(sparsity, part.numel()), int((~part).sum())
            sentence = f"block {number + 1} of {name}: expected {expected} of {part.numel()} entries pruned, got {got}"
            require(got == expected, f"{sentence}; give network.blocks to keep_highest")


def _fused(net: Network) -> Network:
    """The small model, with two row blocks in each matrix of the encoder."""
    rows = {name: len(weight) for name, weight in net.matrices({"encoder"}).items()}
    return dataclasses.replace(net, blocks={name: (count // 2, count - count // 2) for name, count in rows.items()})


CHECKS = [prunes_the_chosen_parts, scope_is_exact, blocks_have_the_sparsity]
