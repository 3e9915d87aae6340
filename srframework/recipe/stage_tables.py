"""The ``[[stages]]`` tables: the check of each table, and their order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from srframework.component import may_refer, names_stage, references
from srframework.faults import at
from srframework.recipe import graph
from srframework.recipe.checked_tables import TableProblem, TableResult, checked_component, checked_options
from srframework.recipe.model import PRETRAINED, Reference, Stage, Use
from srframework.recipe.option_errors import missing_text
from srframework.recipe.schema import DEFAULT_LOSS, StageTable
from srframework.recipe.statements import KeyPath
from srframework.registry.registry import Registry
from srframework.training.options import TrainingOptions


def stage_tables(data: Mapping[str, Any]) -> list[tuple[int, dict[str, Any]]]:
    """The [[stages]] tables, each with its index; items that are not tables are reported elsewhere."""
    stages = data.get("stages")
    listed = enumerate(stages) if isinstance(stages, list) else ()
    return [(index, table) for index, table in listed if isinstance(table, dict)]


@dataclass(frozen=True)
class StageDraft:
    """A stage without the options of the recipe's [training]."""

    top: StageTable
    pruner: Use | None
    loss: Use
    overrides: Mapping[str, Any]


def checked_stage(registry: Registry, table: Mapping[str, Any]) -> TableResult:
    """Check the table of one stage, without the recipe's [training]; the value is a :class:`StageDraft` or None."""
    fields = TrainingOptions.model_fields
    overrides = {option: value for option, value in table.items() if option in fields}
    rest = {option: value for option, value in table.items() if option not in fields}
    problems: list[TableProblem] = []

    def unwrap(found: TableResult, key: KeyPath = ()) -> Any:
        problems.extend(note._replace(key=(*key, *note.key)) for note in found.problems)
        return found.value

    top = unwrap(checked_options(StageTable, rest, also=list(fields)))
    training = unwrap(checked_options(TrainingOptions, overrides))
    found = checked_component(registry, "debiaser", table.get("loss", DEFAULT_LOSS))
    if found.value is None and "loss" not in table:
        message = missing_text(StageTable.model_fields["loss"].description or "")
        found = TableResult(None, (TableProblem((), message),))
    loss = unwrap(found, ("loss",))
    pruner = unwrap(checked_component(registry, "pruner", table["pruner"]), ("pruner",)) if "pruner" in table else None
    if top is not None:
        if top.op == "prune" and "pruner" not in table:
            message = "required key is missing; a stage with op = 'prune' needs a pruner: { use = ... }"
            problems.append(TableProblem(("pruner",), message))
        if top.op == "train" and "pruner" in table:
            message = "only a stage with op = 'prune' can have a pruner (this stage has op = 'train')"
            problems.append(TableProblem(("pruner",), message))
        if top.op == "prune" and top.mask is not None:
            message = "only a stage with op = 'train' can have a mask (this stage has op = 'prune')"
            problems.append(TableProblem(("mask",), message))
        if top.op == "prune" and overrides.get("patience") is not None:
            message = "expected no patience in a stage with op = 'prune': its pruner needs all steps of the stage"
            problems.append(TableProblem(("patience",), message))
    is_known = None not in (top, training, loss) and (pruner is not None or top.op == "train")
    return TableResult(StageDraft(top, pruner, loss, overrides) if is_known else None, tuple(problems))


def with_training(draft: StageDraft, common: Mapping[str, Any]) -> Stage:
    """The complete stage, with its training options; ``patience`` is only for stages that train."""
    top, pruner = draft.top, draft.pruner
    weights = Reference.parse(top.weights)
    training = TrainingOptions.model_validate({**common, **draft.overrides})
    if training.best_after is None:
        with at(stage=top.name):
            fine_tuned = weights.stage != PRETRAINED
            default = 0.0 if pruner is None else pruner.registered.best_after(pruner.options, fine_tuned)
        training = training.model_copy(update={"best_after": default})
    if pruner is not None:
        training = training.model_copy(update={"patience": None})
    mask = Reference.parse(top.mask) if top.mask is not None else None
    return Stage(top.name, top.op, weights, mask, pruner, draft.loss, training)


def ordered(
    registry: Registry, tables: Sequence[tuple[int, dict[str, Any]]]
) -> tuple[list[str], list[graph.InvalidReference]]:
    """The names of the stages in order (empty if a reference is invalid), and the invalid references.

    If a stage has no valid name, unknown stages are not reported: they may refer to that stage.
    """
    nodes = graph.nodes(tables, partial(_references_in, registry))
    invalid = list(graph.check(nodes))
    if invalid:
        if all(isinstance(table.get("name"), str) for _, table in tables):
            return [], invalid
        return [], [each for each in invalid if not each.is_unknown]
    return graph.order(nodes), []


def _references_in(registry: Registry, table: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The key and the text of each reference in the options of a stage's components.

    If the options are not valid, only those of their own fields that are references.
    """
    found: list[tuple[str, str]] = []
    for key, kind in (("loss", "debiaser"), ("pruner", "pruner")):
        value = table.get(key)
        name = value.get("use") if isinstance(value, dict) else None
        known = [each for each in registry.of_kind(kind) if name in (each.name, each.full_name)]
        if len(known) != 1 or not may_refer(options := known[0].component.options):
            continue
        use = checked_component(registry, kind, value).value
        if use is not None:
            found += [(f"{key}.{inside}", text) for inside, text in references(use.options)]
        else:
            fields = [each for each in options.model_fields if names_stage(options.model_fields[each].metadata)]
            texts = [(f"{key}.{each}", table[key].get(each)) for each in fields]
            found += [(each, text) for each, text in texts if isinstance(text, str)]
    return found
