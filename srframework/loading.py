"""TOML -> checked recipe, with every problem found before any work starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, ValidationError

from srframework import graph
from srframework.claim import Claim
from srframework.component import Options, stage_references
from srframework.document import Document, KeyPath
from srframework.errors import (
    AmbiguousComponent,
    MissingComponent,
    PluginError,
    Problem,
    RecipeError,
    UnknownComponent,
    UsageError,
    nearest,
    shorten,
)
from srframework.explain import explain
from srframework.faults import at, validated
from srframework.needs import Indexed, check_needs, match_bias, provides
from srframework.recipe import PRETRAINED, Recipe, Reference, Stage, Use, find
from srframework.registry import Registry
from srframework.training_options import TrainingOptions

OptionsT = TypeVar("OptionsT", bound=Options)

BEST_AFTER_MASKING_FINE_TUNED = 0.7
"""Share of the steps before which no checkpoint counts when a fine-tuned model is masked:
earlier, less robust masks would win on the ID metric (App. B.3)."""


def load(recipe: str | Path, registry: Registry, overrides: Sequence[str] = ()) -> Recipe:
    """Read and check a recipe; of one with a ``[sweep]``, what it says without (see :mod:`srframework.sweep`).

    Args:
        recipe: A path, or the name of a shipped recipe.
        registry: The components that it may use.
        overrides: ``key=value``, with the value as in TOML and stages by their name:
            ``training.epochs=1``, ``stages.srnet.pruner.sparsity=0.5``.

    Raises:
        RecipeError: All problems at once, each with file, line and key.
    """
    return check(Document(find(str(recipe)), overrides), registry)


def check(document: Document, registry: Registry) -> Recipe:
    """The recipe that a document says; raises as :func:`load` does."""
    return _Check(document, registry).recipe()


class _Top(Options):
    name: str = Field(min_length=1, description="What the recipe is called.")
    version: Literal[1] = Field(alias="schema", description="Version of the recipe language: 1.")
    seed: int = Field(0, ge=0, lt=2**32, description="From which all randomness flows; in [0, 2^32).")
    description: str = Field("", description="What the recipe shows.")
    backbone: Any = Field(description="The encoder: a table with `use`, and its options.")
    dataset: Any = Field(description="The task: a table with `use`, and its options.")
    evaluators: Annotated[tuple[Any, ...], Field(strict=False)] = Field(
        (), description="Evaluators besides those that the data set asks for: names, or tables with `use`."
    )
    bias: Any = Field(None, description="The bias model: a table with `use`, and its options.")
    training: dict[str, Any] = Field({}, description="Training options of every stage.")
    variant: str | None = Field(None, description="Which of [variants] overrides the rest; unset, none.")
    variants: dict[str, dict[str, Any]] = Field({}, description="Named tables of overrides.")
    sweep: dict[str, Any] = Field({}, description="Keys, each with an array of values: one run for each combination.")
    claim: Any = Field(None, description="What the recipe is to confirm or refute: a statement, and its checks.")
    stages: Annotated[tuple[dict[str, Any], ...], Field(strict=False)] = Field(
        min_length=1, description="The stages: at least one [[stages]] table."
    )


class _StageTop(Options):
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", description="A name: letters, digits, '_', '.' and '-'.")
    op: Literal["train", "prune"] = Field(description="'train' or 'prune'.")
    weights: str = Field(PRETRAINED, description="Weights to start from.")
    mask: str | None = Field(None, description="Mask to keep fixed.")
    pruner: Any = Field(None, description="The pruner of a prune stage: a table with `use`, and its options.")
    loss: Any = Field(description="The debiaser: a table with `use`, and its options.")


class _Check:
    """One pass over a document; collects problems instead of stopping at the first."""

    def __init__(self, document: Document, registry: Registry) -> None:
        self._document = document
        self._registry = registry
        self._problems: list[Problem] = []

    def recipe(self) -> Recipe:
        data = self._document.data
        top = self._options(_Top, data, ())
        backbone = self._use("backbone", data.get("backbone"), ("backbone",)) if "backbone" in data else None
        dataset = self._use("dataset", data.get("dataset"), ("dataset",)) if "dataset" in data else None
        bias = self._use("debiaser", data["bias"], ("bias",)) if "bias" in data else None
        evaluators = self._evaluators(data.get("evaluators"), dataset)
        stages = self._stages(data)
        if dataset is not None:
            bias = match_bias(bias, dataset, stages, self._registry, self._add)
            check_needs(dataset, stages, self._add)
        order = self._order(data, stages)
        claim = self._claim(data["claim"]) if "claim" in data else None
        if self._problems or top is None or backbone is None or dataset is None:
            raise RecipeError(sorted(self._problems, key=lambda problem: _line(problem.where)))
        return Recipe(
            name=top.name,
            seed=top.seed,
            description=top.description,
            backbone=backbone,
            dataset=dataset,
            evaluators=evaluators,
            bias=bias if any(stage.needs_bias for stage in order) else None,
            stages=tuple(order),
            claim=claim,
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
        self._problems.append(Problem(document.where(key), document.label(key), message, near, owner, exit_code))

    # -- tables -> options ---------------------------------------------------------------------

    def _options(
        self,
        model: type[OptionsT],
        table: Mapping[str, Any],
        key: KeyPath,
        owner: str | None = None,
        also: Sequence[str] = (),
    ) -> OptionsT | None:
        """The table as options, or None and what is wrong with it; ``also``: keys that the table
        may have besides, which the caller has taken out and which may be the nearest name."""
        try:
            return validated(model, table, owner)
        except PluginError as error:
            self._add(key, str(error), exit_code=error.exit_code)
            return None
        except ValidationError as error:
            for each in explain(model, error, also):
                self._add((*key, *each.key), each.message, each.nearest, owner)
            return None

    def _use(self, kind: str, value: Any, key: KeyPath) -> Use | None:
        """A component: a table with ``use`` and options, or, where no option is needed, its name."""
        table = {"use": value} if isinstance(value, str) else value
        if not isinstance(table, dict):
            self._add(key, f"expected a table with `use`, or the {kind}'s name, got {shorten(value)}")
            return None
        name = table.get("use")
        use_key: KeyPath = key if isinstance(value, str) else (*key, "use")
        if not isinstance(name, str):
            names = ", ".join(each.name for each in self._registry.of_kind(kind))
            got = "nothing" if name is None else shorten(name)
            self._add(use_key, f"expected the {kind}'s name, one of: {names}; got {got}")
            return None
        try:
            registered = self._registry.get(kind, name)
        except (UnknownComponent, AmbiguousComponent, MissingComponent) as error:
            self._add(use_key, f"{error}{getattr(error, 'aside', '')}", exit_code=error.exit_code)
            return None
        given = {option: value for option, value in table.items() if option != "use"}
        options = self._options(registered.component.options, given, key, registered.owner)
        return None if options is None else Use(registered, options)

    # -- evaluators, bias ----------------------------------------------------------------------

    def _evaluators(self, listed: Any, dataset: Use | None) -> tuple[Use, ...]:
        """Those that the data set requires, and those that the recipe lists; each once."""
        uses: dict[str, Use] = {}
        for index, value in enumerate(listed if isinstance(listed, list) else ()):
            if use := self._use("evaluator", value, ("evaluators", index)):
                uses[use.registered.full_name] = use
        required = dataset.registered.required(dataset.options) if dataset else ()
        for need in [need.removeprefix("evaluator/") for need in required if need.startswith("evaluator/")]:
            if not any(need in (use.registered.name, name) for name, use in uses.items()):
                use = self._use("evaluator", need, ("dataset", "use"))
                uses |= {use.registered.full_name: use} if use else {}
        return tuple(uses.values())

    # -- stages --------------------------------------------------------------------------------

    def _stages(self, data: Mapping[str, Any]) -> list[Indexed]:
        table = data.get("training")
        common = table if isinstance(table, dict) else {}
        if self._options(TrainingOptions, common, ("training",)) is None:
            common = {}
        names = {PRETRAINED}
        stages: list[Indexed] = []
        for index, table in _tables(data):
            stage = self._stage(table, common, ("stages", index))
            name = table.get("name")
            if isinstance(name, str):
                if name in names:
                    why = "means the backbone's own weights" if name == PRETRAINED else "is taken by another stage"
                    self._add(("stages", index, "name"), f"expected a name of its own, got {name!r}, which {why}")
                names.add(name)
            if stage is not None:
                stages.append((index, stage))
        return stages

    def _stage(self, table: Mapping[str, Any], common: Mapping[str, Any], key: KeyPath) -> Stage | None:
        fields = TrainingOptions.model_fields
        overrides = {option: value for option, value in table.items() if option in fields}
        rest = {option: value for option, value in table.items() if option not in fields}
        top = self._options(_StageTop, rest, key, also=list(fields))
        training_ok = self._options(TrainingOptions, overrides, key) is not None
        loss = self._use("debiaser", table["loss"], (*key, "loss")) if "loss" in table else None
        if loss is not None and "bias" in provides(loss.registered.component):
            name = loss.registered.name
            self._add((*key, "loss", "use"), f"expected a loss, got the bias model {name!r}, which belongs into [bias]")
            loss = None
        pruner = self._use("pruner", table["pruner"], (*key, "pruner")) if "pruner" in table else None
        if top is None:
            return None
        if top.op == "prune" and "pruner" not in table:
            self._add((*key, "pruner"), "missing; a stage with op = 'prune' needs a pruner: { use = ... }")
        if top.op == "train" and "pruner" in table:
            self._add((*key, "pruner"), "expected no pruner in a stage with op = 'train'; op = 'prune' has one")
        if top.op == "prune" and top.mask is not None:
            self._add((*key, "mask"), "expected no mask in a stage with op = 'prune', which finds its own")
        if loss is None or not training_ok or (top.op == "prune" and pruner is None):
            return None
        weights = Reference.parse(top.weights)
        training = TrainingOptions.model_validate({**common, **overrides})
        if training.best_after is None:
            with at(stage=top.name):
                late = pruner is not None and "best-late" in pruner.registered.provided(pruner.options)
            late = late and weights.stage != PRETRAINED
            training = training.model_copy(update={"best_after": BEST_AFTER_MASKING_FINE_TUNED if late else 0.0})
        mask = Reference.parse(top.mask) if top.mask is not None else None
        return Stage(top.name, top.op, weights, mask, pruner, loss, training)

    def _order(self, data: Mapping[str, Any], stages: Sequence[Indexed]) -> list[Stage]:
        """The stages, each after those that it starts from; none where a reference is wrong."""
        nodes = graph.nodes(_tables(data), self._named_in_loss)
        wrong = list(graph.check(nodes))
        for each in wrong:
            self._add(("stages", each.index, *each.key.split(".")), each.message, each.nearest)
        by_name = {stage.name: stage for _, stage in stages}
        return [by_name[name] for name in graph.order(nodes) if name in by_name] if not wrong else []

    def _claim(self, table: Any) -> Claim | None:
        if not isinstance(table, dict):
            self._add(("claim",), f"expected a table, got {shorten(table)}")
            return None
        claim = self._options(Claim, table, ("claim",))
        stages = {str(stage.get("name")) for _, stage in _tables(self._document.data)}
        for index, check in enumerate(claim.parsed if claim else ()):
            for name in sorted({figure.stage for figure in check.figures} - stages):
                expected = f"figures of: {', '.join(sorted(stages))}"
                self._add(("claim", "checks", index), f"expected {expected}; got {name!r}", nearest(name, stages))
        return claim

    def _named_in_loss(self, table: Mapping[str, Any]) -> list[str]:
        """The options of a stage's loss that name stages; none where there is no such loss."""
        loss = table.get("loss")
        name = loss.get("use") if isinstance(loss, dict) else None
        known = [each for each in self._registry.of_kind("debiaser") if name in (each.name, each.full_name)]
        return stage_references(known[0].component.options) if len(known) == 1 else []


def _tables(data: Mapping[str, Any]) -> list[tuple[int, dict[str, Any]]]:
    """The [[stages]] tables, each with its place; what stands there and is no table is reported elsewhere."""
    stages = data.get("stages")
    listed = enumerate(stages) if isinstance(stages, list) else ()
    return [(index, table) for index, table in listed if isinstance(table, dict)]


def _line(where: str) -> int:
    """The line of a place in the file; overrides come first."""
    _, _, line = where.rpartition(":")
    return int(line) if line.isdecimal() and not where.startswith("--set") else 0
