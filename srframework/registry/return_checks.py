"""Checks of the results of components' methods: types, shapes, ranges."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any

from srframework.contracts import (
    PARTS,
    Backbone,
    BiasModel,
    Dataset,
    Debiaser,
    Evaluator,
    JobResult,
    Launcher,
    Network,
    Phase,
    Pruner,
    Split,
    TaskData,
    WorkerDied,
)
from srframework.faults import calling, expect, kind_of
from srframework.registry.figure_checks import columns, declared, figures, resampled
from srframework.registry.parameter_checks import loss_terms, order, parameter_groups, trained_groups


def _network(given: Any, owner: str, method: str, *_: Any) -> Any:
    from torch import nn

    def must(is_valid: bool, expected: str, got: object) -> None:
        expect(is_valid, owner, method, expected, got)

    must(isinstance(given, Network), "a srframework.Network", given)
    must(isinstance(given.model, nn.Module), "a Network whose model is a torch module", given.model)
    must(callable(given.tokenizer), "a Network whose tokenizer can be called", given.tokenizer)
    must(isinstance(given.prunable, Mapping), "a Network whose prunable is a mapping", given.prunable)
    modules = dict(given.model.named_modules())
    for name, part in given.prunable.items():
        expected = f"prunable modules of the model, each with a matrix as its weight, of a part among {PARTS}"
        weight = getattr(modules.get(name), "weight", None)
        is_matrix = isinstance(weight, nn.Parameter) and weight.dim() == 2
        must(name in modules and is_matrix and part in PARTS, expected, f"{name!r}: {part!r}")
    must(isinstance(given.blocks, Mapping), "a Network whose blocks is a mapping", given.blocks)
    for name, blocks in given.blocks.items():
        must(name in given.prunable, "blocks of prunable modules", f"{name!r}: {blocks!r:.100}")
        rows = len(modules[name].weight)
        are_counts = isinstance(blocks, Sequence) and all(_is_count(size) and size > 0 for size in blocks)
        expected = f"blocks of at least 1 row each, {rows} in total as the module has"
        must(are_counts and sum(blocks) == rows, expected, f"{name!r}: {blocks!r:.100}")
    return given


def _counts(given: Any, owner: str, method: str, *_: Any) -> dict[str, int]:
    expect(isinstance(given, Mapping), owner, method, "a mapping from names of splits to numbers of examples", given)
    for name, size in given.items():
        is_right = isinstance(name, str) and _is_count(size)
        expect(is_right, owner, method, "numbers of examples by the name of the split", f"{name!r}: {_shown(size)}")
    return {name: int(size) for name, size in given.items()}


def _is_count(value: Any) -> bool:
    return isinstance(value, Integral) and value is not True and value is not False and int(value) >= 0


def _shown(value: object) -> str:
    return str(value) if isinstance(value, Real) else kind_of(value)


def _task(given: Any, owner: str, method: str, *_: Any) -> Any:
    def must(is_valid: bool, expected: str, got: object) -> None:
        expect(is_valid, owner, method, expected, got)

    must(isinstance(given, TaskData), "a srframework.TaskData", given)
    _must_be_names(given.labels, must, "labels")
    must(
        len(set(given.labels)) > 1, "a TaskData with two labels or more, each once", f"labels = {given.labels!r}"[:200]
    )
    must(isinstance(given.metric, str), "a TaskData whose metric is a name", given.metric)
    for name in ("ood", "also", "notes", "merged_labels"):
        is_several = isinstance(getattr(given, name), Sequence) and not isinstance(getattr(given, name), str)
        must(is_several, f"a TaskData whose {name} is a tuple", getattr(given, name))
    must(all(isinstance(each, str) for each in given.notes), "a TaskData whose notes are strings", given.notes)
    known = set(given.merged_labels) <= set(given.labels)
    must(known, "a TaskData whose merged_labels are among its labels", f"{given.merged_labels!r}"[:200])
    splits = {"train": given.train, "dev": given.dev, "test": given.test, "ood_train": given.ood_train}
    splits |= {f"ood[{index}]": each for index, each in enumerate(given.ood)}
    splits |= {f"also[{index}]": each for index, each in enumerate(given.also)}
    for name, split in splits.items():
        if split is not None or name in ("train", "dev"):
            _check_split(name, split, given, must)
    names = [split.name for split in (given.train, *given.evaluated)]
    must(len(set(names)) == len(names), "splits with a name of their own each", ", ".join(names)[:200])
    features = given.spurious_features
    if features is None:
        return given
    must(callable(features), "a TaskData whose spurious_features is a function or None", features)
    return dataclasses.replace(given, spurious_features=_guarded_features(features, owner))


def _must_be_names(given: Any, must: Callable[[bool, str, object], None], field: str) -> None:
    is_several = isinstance(given, Sequence) and not isinstance(given, str)
    must(is_several and all(isinstance(each, str) for each in given), f"{field} as a tuple of strings", given)


def _check_split(where: str, split: Any, task: TaskData, must: Callable[[bool, str, object], None]) -> None:
    import datasets
    import numpy as np

    must(isinstance(split, Split), f"a srframework.Split as {where}", split)
    must(isinstance(split.name, str) and bool(split.name), f"a name for the split {where}", split.name)
    must(isinstance(split.examples, datasets.Dataset), f"a datasets.Dataset as examples of {where}", split.examples)
    columns = split.examples.column_names
    must({"text_a", "label"} <= set(columns), f"the columns text_a and label in {where}", ", ".join(columns)[:200])
    must(len(split.examples) > 0, f"examples in {where}", "none")
    _must_be_names(split.labels, must, f"labels of {where}")
    if split.collapse is None:
        must(tuple(split.labels) == tuple(task.labels), f"the task's labels in {where}, or a collapse", "other labels")
    else:
        fits = len(split.collapse) == len(task.labels) and set(split.collapse) <= set(range(len(split.labels)))
        must(fits, f"a collapse of {where} with a label of the split for each label of the task", f"{split.collapse!r}")
    labels = np.asarray(split.examples["label"][:])
    fits = labels.dtype.kind in "iu" and labels.min() >= 0 and labels.max() < len(split.labels)
    must(bool(fits), f"labels of {where} in 0..{len(split.labels) - 1}", "other values")
    for column in {"text_a", "text_b"} & set(columns):
        kind = getattr(split.examples.features[column], "dtype", "no text")
        must(kind in ("string", "large_string"), f"text in the column {column} of {where}", str(kind))


def _guarded_features(features: Callable[..., Any], owner: str) -> Callable[..., Any]:
    def call(split: Split, vectors: Any) -> Any:
        import numpy as np

        with calling(owner, "spurious_features()"):
            rows = np.asarray(features(split, vectors))
            fits = rows.ndim == 2 and len(rows) == len(split.examples) and rows.dtype.kind in "iufb"
            expected = f"numbers of shape ({len(split.examples)}, F) for the split {split.name!r}"
            expect(fits, owner, "spurious_features()", expected, f"{rows.dtype} of shape {rows.shape}")
            expect(bool(np.isfinite(rows).all()), owner, "spurious_features()", "finite numbers", "some that are not")
            return rows

    return call


def _loss(given: Any, owner: str, method: str, inputs: Any, *_: Any) -> Any:
    from torch import Tensor

    expected = "a scalar tensor, the mean loss of the batch"
    expect(isinstance(given, Tensor), owner, method, expected, given)
    expect(given.dim() == 0, owner, method, expected, f"a tensor of shape {tuple(given.shape)}")
    expect(given.is_floating_point(), owner, method, expected, f"a tensor of {given.dtype}")
    if inputs.logits.requires_grad:
        expect(given.requires_grad, owner, method, "a tensor that depends on the logits", "one without a gradient")
    if given.device.type == "cpu" and math.isnan(given.item()):  # on a GPU, item() at each step would be slow
        sound = bool((inputs.logits.detach().abs() < _HUGE).all())
        expect(not sound, owner, method, "a number where all logits are finite", "NaN")
    return given


_HUGE = 1e30
"""From this magnitude of the logits on, a correct loss may overflow in single precision."""


def _phases(given: Any, owner: str, method: str, *_: Any) -> list[Phase]:
    expect(isinstance(given, Sequence) and not isinstance(given, str), owner, method, "a list of Phase", given)
    expect(bool(given), owner, method, "at least one Phase", "none")
    for phase in given:
        expect(isinstance(phase, Phase), owner, method, "a list of Phase", f"one with {kind_of(phase)} in it")
        expect(_is_count(phase.steps), owner, method, "phases of 0 steps or more", f"steps = {_shown(phase.steps)}")
        decay = phase.decay_steps
        is_decay = decay is None or (_is_count(decay) and decay >= phase.steps)
        expected = f"phases with decay_steps of at least their steps ({phase.steps}), or None"
        expect(is_decay, owner, method, expected, f"decay_steps = {_shown(decay)}")
        expect(
            isinstance(phase.kept, bool),
            owner,
            method,
            "phases with kept True or False",
            f"kept = {_shown(phase.kept)}",
        )
        is_level = phase.level is None or (isinstance(phase.level, Real) and 0 <= float(phase.level) < 1)
        expect(is_level, owner, method, "phases with a level in [0, 1), or None", f"level = {_shown(phase.level)}")
    return list(given)


def _bool(given: Any, owner: str, method: str, *_: Any) -> bool:
    import numpy as np

    expect(isinstance(given, bool | np.bool_), owner, method, "True or False", given)
    return bool(given)


def _mask(given: Any, owner: str, method: str, *_: Any) -> Any:
    from srframework.masks import Mask

    expect(isinstance(given, Mask), owner, method, "a srframework.Mask", given)
    return given


def _state(given: Any, owner: str, method: str, *_: Any) -> dict[str, Any]:
    from torch import Tensor

    expect(isinstance(given, Mapping), owner, method, "a mapping from names to tensors", given)
    for name, value in given.items():
        is_right = isinstance(name, str) and isinstance(value, Tensor)
        expect(is_right, owner, method, "a mapping from names to tensors", f"{name!r}: {kind_of(value)}")
    return dict(given)


def _log_probs(given: Any, owner: str, method: str, *_: Any) -> Any:
    import numpy as np

    if given is None:
        return None
    rows = np.asarray(given)
    expect(rows.dtype.kind == "f", owner, method, "an array of floating-point numbers, or None", f"{rows.dtype}")
    return rows


def _slots(given: Any, owner: str, method: str, *_: Any) -> int | None:
    if given is None:
        return None
    expect(_is_count(given) and given > 0, owner, method, "a number of jobs, 1 or more, or None", _shown(given))
    return int(given)


def _ended(given: Any, owner: str, method: str, *_: Any) -> list[tuple[str, JobResult | WorkerDied]]:
    expected = "a list of (name, JobResult or WorkerDied), at least one"
    is_several = isinstance(given, Sequence) and not isinstance(given, str)
    expect(is_several and bool(given), owner, method, expected, "an empty list" if is_several else given)
    for each in given:
        is_pair = isinstance(each, tuple) and len(each) == 2 and isinstance(each[0], str)
        expect(is_pair, owner, method, expected, f"a list with {kind_of(each)} in it")
        expect(
            isinstance(each[1], JobResult | WorkerDied), owner, method, expected, f"{kind_of(each[1])} of {each[0]!r}"
        )
    return list(given)


CHECKS: dict[tuple[type, str], Callable[..., Any]] = {
    (Backbone, "load"): _network,
    (Dataset, "load"): _task,
    (Dataset, "sizes"): _counts,
    (Debiaser, "parameter_groups"): parameter_groups,
    (Debiaser, "sample"): order,
    (Debiaser, "state"): _state,
    (Debiaser, "loss"): _loss,
    (BiasModel, "restrict"): _task,
    (BiasModel, "log_probs"): _log_probs,
    (Pruner, "phases"): _phases,
    (Pruner, "parameter_groups"): trained_groups,
    (Pruner, "loss_terms"): loss_terms,
    (Pruner, "changes_mask"): _bool,
    (Pruner, "masks"): _mask,
    (Pruner, "state"): _state,
    (Evaluator, "figures"): declared,
    (Evaluator, "columns"): columns,
    (Evaluator, "evaluate"): figures,
    (Evaluator, "resampled"): resampled,
    (Evaluator, "measure"): figures,
    (Launcher, "slots"): _slots,
    (Launcher, "wait"): _ended,
}
"""(Contract, name of a method or an attribute) -> check of its value. A check gets the value, the owner, the name for
messages and the arguments of the method; it returns the value or raises PluginError."""
