"""Check a recipe and report every problem before any work starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from srframework.component import Options, references
from srframework.errors import Problem, RecipeError, UsageError
from srframework.recipe.checked_tables import TableResult, checked_component, checked_options
from srframework.recipe.document import Document, Source
from srframework.recipe.file_checks import FileChecks
from srframework.recipe.graph import Node, check_outside
from srframework.recipe.model import PRETRAINED, Recipe, Reference, Stage, Use
from srframework.recipe.needs import EVALUATOR, Indexed, check_needs, check_other_needs, match_bias, needy
from srframework.recipe.requirements import unmet
from srframework.recipe.schema import RecipeTable
from srframework.recipe.stage_tables import checked_stage, ordered, stage_tables, with_training
from srframework.recipe.statements import KeyPath
from srframework.registry.registry import Registry
from srframework.text import shorten
from srframework.training.options import TrainingOptions

OptionsT = TypeVar("OptionsT", bound=Options)


def load_recipe(recipe: str | Path, registry: Registry, overrides: Sequence[str] = ()) -> Recipe:
    """Read and check a recipe, ignoring its ``[sweep]`` (see :mod:`srframework.recipe.sweep`).

    Args:
        recipe: A path, or the name of a shipped recipe.
        registry: The components that it may use.
        overrides: ``key=value``, with the value as in TOML and stages by their name:
            ``training.epochs=1``, ``stages.srnet.pruner.sparsity=0.5``.

    Raises:
        RecipeError: All problems at once, each with file, line and key.
    """
    return check_recipe(Document(Source(recipe), overrides), registry)


class Add(Protocol):
    """Report a problem: its key, the message, the nearest valid name."""

    def __call__(self, key: KeyPath, message: str, near: str | None = None) -> None: ...


TableCheck = Callable[[Mapping[str, Any], Add], None]
"""Checks a table that another package reads: gets all tables of the recipe and reports the problems of its own."""


def check_recipe(
    document: Document,
    registry: Registry,
    files: FileChecks | None = None,
    tables: Mapping[str, TableCheck] | None = None,
) -> Recipe:
    """The checked recipe of a document; raises as :func:`load_recipe` does.

    Args:
        document: The tables.
        registry: The components that it may use.
        files: If given, the files that the recipe names are checked too.
        tables: Extra checks by the name of their table; called only if the document has the table.
    """
    return _Check(document, registry, files, tables or {}).recipe()


class _Check:
    """One pass over a document; collects problems instead of stopping at the first.

    Checks that depend on one table only are done once for all documents of the same source.
    """

    def __init__(
        self, document: Document, registry: Registry, files: FileChecks | None, tables: Mapping[str, TableCheck]
    ) -> None:
        self._document = document
        self._registry = registry
        self._files = files
        self._tables = tables
        self._problems: list[tuple[int, Problem]] = []

    def recipe(self) -> Recipe:
        data = self._document.data
        top = self._options(RecipeTable, data, ())
        for problem in unmet(top.requires, self._registry) if top is not None else ():
            self._add(("requires", *problem.key), *problem[1:])
        backbone = self._use("backbone", data["backbone"], ("backbone",)) if "backbone" in data else None
        dataset = self._use("dataset", data["dataset"], ("dataset",)) if "dataset" in data else None
        bias = self._use("bias", data["bias"], ("bias",)) if "bias" in data else None
        evaluators = self._evaluators(data.get("evaluators"), dataset)
        stages = self._stages(data)
        if dataset is not None:
            if bias is not None or "bias" not in data:  # an invalid [bias] is already reported
                bias = match_bias(bias, dataset, needy(stages, evaluators), self._registry, self._add)
            check_needs(dataset, stages, self._add)
            others: list[tuple[KeyPath, Use]] = [(("evaluators",), use) for use in evaluators]
            others += [(("backbone", "use"), backbone)] if backbone is not None else []
            check_other_needs(dataset, others, self._add)
        order = self._order(data, stages)
        for name in self._tables.keys() & data.keys():
            self._tables[name](data, self._add)
        if self._problems or top is None or backbone is None or dataset is None:
            raise RecipeError([problem for _, problem in sorted(self._problems, key=lambda each: each[0])])
        return Recipe(
            name=top.name,
            seed=top.seed,
            description=top.description,
            requires=top.requires,
            backbone=backbone,
            dataset=dataset,
            evaluators=evaluators,
            bias=bias if needy([*enumerate(order)], evaluators) else None,
            stages=tuple(order),
            claim=top.claim,
            figure=top.figure,
        )

    def _add(
        self,
        key: KeyPath,
        message: str,
        near: str | None = None,
        owner: str | None = None,
        exit_code: int = UsageError.exit_code,
    ) -> None:
        document = self._document
        problem = Problem(document.where(key), document.label(key), message, near, owner, exit_code)
        self._problems.append((document.line(key), problem))

    def _once(self, label: tuple[Any, ...], tables: Sequence[object], run: Callable[[], TableResult]) -> TableResult:
        """The result of a check that depends only on ``tables``; cached if all of them are shared between documents."""
        if not all(map(self._document.is_shared, tables)):
            return run()
        memo, key = self._document.source.memo, (self._registry, *label, *map(id, tables))
        if key not in memo:
            memo[key] = run()
        found: TableResult = memo[key]
        return found

    def _unwrap(self, found: TableResult, key: KeyPath) -> Any:
        """Record the problems, with their keys in the file, and return the value."""
        for note in found.problems:
            self._add((*key, *note.key), *note[1:])
        return found.value

    # -- tables -> options ---------------------------------------------------------------------

    def _options(self, model: type[OptionsT], table: Mapping[str, Any], key: KeyPath) -> OptionsT | None:
        found: OptionsT | None = self._unwrap(checked_options(model, table), key)
        return found

    def _use(self, kind: str, value: Any, key: KeyPath) -> Use | None:
        """A component, from a table with ``use`` and options, or from its name if it needs no options."""
        if isinstance(value, dict):
            found = self._once(("use", kind), [value], lambda: checked_component(self._registry, kind, value))
        elif isinstance(value, str):
            found = self._once(("use", kind, value), [], lambda: checked_component(self._registry, kind, value))
        else:
            found = checked_component(self._registry, kind, value)
        use: Use | None = self._unwrap(found, key)
        if use is not None and self._files is not None:
            for each in self._files.of(use):
                self._add((*key, *each.key), each.message, each.nearest, use.registered.owner)
        return use

    # -- evaluators, bias ----------------------------------------------------------------------

    def _evaluators(self, values: Any, dataset: Use | None) -> tuple[Use, ...]:
        """The evaluators that the data set requires or the recipe lists; one may be listed with several options."""
        uses: list[Use] = []
        for index, value in enumerate(values if isinstance(values, list) else ()):
            if (use := self._use("evaluator", value, ("evaluators", index))) and use not in uses:
                uses.append(use)
        required = dataset.registered.required(dataset.options) if dataset else ()
        for need in [need.removeprefix(EVALUATOR) for need in required if need.startswith(EVALUATOR)]:
            if not any(need in (use.registered.name, use.registered.full_name) for use in uses):
                use = self._use("evaluator", need, ("dataset", "use"))
                uses += [use] if use else []
        return tuple(uses)

    # -- stages --------------------------------------------------------------------------------

    def _stages(self, data: Mapping[str, Any]) -> list[Indexed]:
        table = data.get("training")
        common = table if isinstance(table, dict) else {}
        if self._options(TrainingOptions, common, ("training",)) is None:
            common = {}
        names = {PRETRAINED: PRETRAINED}
        stages: list[Indexed] = []
        for index, table in stage_tables(data):
            if isinstance(name := table.get("name"), str):
                self._check_name(name, names, ("stages", index, "name"))
            if (stage := self._stage(table, common, ("stages", index))) is not None:
                stages.append((index, stage))
        return stages

    def _check_name(self, name: str, names: dict[str, str], key: KeyPath) -> None:
        other = names.get(name.casefold())
        if other is None:
            names[name.casefold()] = name
            return
        if name == PRETRAINED:
            why = "means the pretrained weights of the backbone"
        elif name == other:
            why = "is already the name of another stage"
        else:
            why = f"differs from {shorten(other)} only in case; some file systems ignore case"
        self._add(key, f"expected a unique name, got {shorten(name)}, which {why}")

    def _stage(self, table: Mapping[str, Any], common: Mapping[str, Any], key: KeyPath) -> Stage | None:
        draft = self._unwrap(self._once(("stage",), [table], lambda: checked_stage(self._registry, table)), key)
        return None if draft is None else with_training(draft, common)

    def _check_evaluators(self, data: Mapping[str, Any], names: Sequence[str]) -> None:
        """Report the references of evaluators to stages that do not exist or that no stage runs after."""
        values = data.get("evaluators")
        for index, value in enumerate(values if isinstance(values, list) and names else ()):
            use = checked_component(self._registry, "evaluator", value).value
            found = () if use is None else references(use.options)
            node = Node(index, "", tuple((key, Reference.parse(text)) for key, text in found), has_mask=False)
            for each in check_outside(node, names):
                self._add(("evaluators", index, *each.key.split(".")), each.message, each.nearest)

    def _order(self, data: Mapping[str, Any], stages: Sequence[Indexed]) -> list[Stage]:
        """The stages, each after the stages that it depends on; empty if a reference is invalid."""
        tables = stage_tables(data)
        names, errors = self._once(
            ("graph",),
            [table for _, table in tables],
            lambda: TableResult(ordered(self._registry, tables)),
        ).value
        for each in errors:
            self._add(("stages", each.index, *each.key.split(".")), each.message, each.nearest)
        self._check_evaluators(data, names)
        by_name = {stage.name: stage for _, stage in stages}
        return [by_name[name] for name in names if name in by_name]
