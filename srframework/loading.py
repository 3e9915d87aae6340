"""TOML -> checked recipe, with every problem found before any work starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, ValidationError
from pydantic_core import ErrorDetails

from srframework.component import Options
from srframework.document import Document, KeyPath
from srframework.errors import AmbiguousComponent, Problem, RecipeError, UnknownComponent, nearest, shorten
from srframework.recipe import PRETRAINED, Recipe, Reference, Stage, Use, find
from srframework.registry import Registry
from srframework.training_options import TrainingOptions

OptionsT = TypeVar("OptionsT", bound=Options)

BEST_AFTER_PRUNING_FINE_TUNED = 0.7
"""Share of the steps before which no checkpoint counts when a fine-tuned model is pruned:
earlier, less robust masks would win on the ID metric (App. B.3)."""


def load(recipe: str | Path, registry: Registry, overrides: Sequence[str] = ()) -> Recipe:
    """Read and check a recipe.

    Args:
        recipe: A path, or the name of a shipped recipe.
        registry: The components that it may use.
        overrides: ``key=value``, with the value as in TOML and stages by their name:
            ``training.epochs=1``, ``stages.srnet.pruner.sparsity=0.5``.

    Raises:
        RecipeError: All problems at once, each with file, line and key.
    """
    return _Check(Document(find(str(recipe)), overrides), registry).recipe()


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
            bias = self._match_bias(bias, dataset, stages)
        order = self._order(stages)
        if self._problems or top is None or backbone is None or dataset is None:
            raise RecipeError(self._problems)
        return Recipe(
            name=top.name,
            seed=top.seed,
            description=top.description,
            backbone=backbone,
            dataset=dataset,
            evaluators=evaluators,
            bias=bias if any(stage.needs_bias for stage in order) else None,
            stages=tuple(order),
        )

    def _add(self, key: KeyPath, message: str, near: str | None = None, owner: str | None = None) -> None:
        document = self._document
        self._problems.append(Problem(document.where(key), document.label(key), message, near, owner))

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
            return model.model_validate(table)
        except ValidationError as error:
            for detail in error.errors():
                self._add_detail(model, detail, key, owner, also)
            return None

    def _add_detail(
        self, model: type[Options], detail: ErrorDetails, key: KeyPath, owner: str | None, also: Sequence[str]
    ) -> None:
        where = (*key, *(part for part in detail["loc"] if part != "[key]"))
        kind, message = detail["type"], detail["msg"]
        if kind == "extra_forbidden":
            names = [*_names_at(model, detail["loc"][:-1]), *(also if len(detail["loc"]) == 1 else ())]
            near = nearest(str(detail["loc"][-1]), names)
            self._add(where, f"unknown key; expected one of: {', '.join(names)}", near, owner)
        elif kind == "missing":
            self._add(where, "missing" + _described(model, detail["loc"]), None, owner)
        else:
            expected = message.removeprefix("Value error, ").removeprefix("Input should be ")
            expected = expected[0].lower() + expected[1:] if expected[:2].istitle() else expected
            got = detail["input"]
            choices = [str(choice) for choice in _choices(detail)]
            near = nearest(got, choices) if isinstance(got, str) else None
            self._add(where, f"expected {expected}, got {shorten(got)}", near, owner)

    def _use(self, kind: str, value: Any, key: KeyPath) -> Use | None:
        """A component: a table with ``use`` and options, or, where no option is needed, its name."""
        table = {"use": value} if isinstance(value, str) else value
        if not isinstance(table, dict):
            self._add(key, f"expected a table with `use`, or the name of a {kind}, got {shorten(value)}")
            return None
        name = table.get("use")
        use_key: KeyPath = key if isinstance(value, str) else (*key, "use")
        if not isinstance(name, str):
            names = ", ".join(each.name for each in self._registry.of_kind(kind))
            got = "nothing" if name is None else shorten(name)
            self._add(use_key, f"expected the name of a {kind} ({names}), got {got}")
            return None
        try:
            registered = self._registry.get(kind, name)
        except (UnknownComponent, AmbiguousComponent) as error:
            self._add(use_key, str(error))
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
        required = dataset.registered.component.required(dataset.options) if dataset else ()
        for need in [need.removeprefix("evaluator/") for need in required if need.startswith("evaluator/")]:
            if not any(need in (use.registered.name, name) for name, use in uses.items()):
                use = self._use("evaluator", need, ("dataset", "use"))
                uses |= {use.registered.full_name: use} if use else {}
        return tuple(uses.values())

    def _match_bias(self, bias: Use | None, dataset: Use, stages: Sequence[_Indexed]) -> Use | None:
        """The bias model that the recipe names, or the only one that needs no options; checked."""
        offered = set(dataset.registered.component.provided(dataset.options))
        models = [each for each in self._registry.of_kind("debiaser") if "bias" in _provides(each.component)]
        names = ", ".join(each.name for each in models)
        if bias is not None and bias.registered not in models:
            self._add(("bias", "use"), f"{bias.registered.name!r} is no bias model; expected one of: {names}")
            return bias
        needy = [(index, stage) for index, stage in stages if stage.needs_bias]
        if not needy:
            return bias
        if bias is None:
            free = [
                each
                for each in models
                if not any(f.is_required() for f in each.component.options.model_fields.values())
            ]
            if len(free) == 1:
                bias = Use(free[0], free[0].component.options())
        data = dataset.registered.name
        for index, stage in needy:
            loss = f"debiaser {stage.loss.registered.name!r} needs a bias model"
            if bias is None:
                self._add(("stages", index, "loss", "use"), f"{loss}; expected a [bias] table with one of: {names}")
            elif missing := set(bias.registered.component.required(bias.options)) - offered:
                what = " and ".join(sorted(missing)).replace("-", " ")
                self._add(
                    ("stages", index, "loss", "use"),
                    f"{loss}; expected a data set with {what} for {bias.registered.name!r}, or a [bias] table "
                    f"with another of: {names}; got dataset {data!r}, which has none with these options",
                )
        return bias

    # -- stages --------------------------------------------------------------------------------

    def _stages(self, data: Mapping[str, Any]) -> list[_Indexed]:
        table = data.get("training")
        common = table if isinstance(table, dict) else {}
        if self._options(TrainingOptions, common, ("training",)) is None:
            common = {}
        tables = data.get("stages")
        stages: list[_Indexed] = []
        names: set[str] = set()
        for index, table in enumerate(tables if isinstance(tables, list) else ()):
            if not isinstance(table, dict):
                continue
            stage = self._stage(table, common, ("stages", index))
            name = table.get("name")
            if name in names or name == PRETRAINED:
                why = "is taken by another stage" if name in names else "means the backbone's own weights"
                self._add(("stages", index, "name"), f"expected a name of its own, got {name!r}, which {why}")
            elif isinstance(name, str):
                names.add(name)
            if stage is not None:
                stages.append((index, stage))
        for index, stage in stages:
            self._check_references(index, stage, names, {stage.name: stage for _, stage in stages})
        return stages

    def _stage(self, table: Mapping[str, Any], common: Mapping[str, Any], key: KeyPath) -> Stage | None:
        fields = TrainingOptions.model_fields
        overrides = {option: value for option, value in table.items() if option in fields}
        rest = {option: value for option, value in table.items() if option not in fields}
        top = self._options(_StageTop, rest, key, also=list(fields))
        training_ok = self._options(TrainingOptions, overrides, key) is not None
        loss = self._use("debiaser", table["loss"], (*key, "loss")) if "loss" in table else None
        if loss is not None and "bias" in _provides(loss.registered.component):
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
            fine_tuned = pruner is not None and weights.stage != PRETRAINED
            training = training.model_copy(update={"best_after": BEST_AFTER_PRUNING_FINE_TUNED if fine_tuned else 0.0})
        mask = Reference.parse(top.mask) if top.mask is not None else None
        return Stage(top.name, top.op, weights, mask, pruner, loss, training)

    def _check_references(self, index: int, stage: Stage, names: set[str], known: Mapping[str, Stage]) -> None:
        for what, reference in (("weights", stage.weights), ("mask", stage.mask)):
            if reference is None:
                continue
            key: KeyPath = ("stages", index, what)
            others = sorted(names - {stage.name})
            if reference.stage == PRETRAINED:
                if reference.point is not None or what == "mask":
                    self._add(key, f"expected a stage ({', '.join(others)}), got {str(reference)!r}")
                continue
            if reference.stage not in names:
                choices = [*others, PRETRAINED] if what == "weights" else others
                near = nearest(reference.stage, choices)
                self._add(key, f"expected one of: {', '.join(choices)}; got {reference.stage!r}", near)
                continue
            target = known.get(reference.stage)
            if target is None:
                continue  # its own problems are reported
            if what == "mask" and target.pruner is None and target.mask is None:
                self._add(
                    key, f"expected a stage that has a mask, got {reference.stage!r}, which is trained without one"
                )
            self._check_point(key, reference)

    def _check_point(self, key: KeyPath, reference: Reference) -> None:
        if reference.point is None or reference.point.isdecimal():
            return
        try:
            inside = 0 < float(reference.point) < 1
        except ValueError:
            inside = False
        if not inside:
            expected = "a step (10000) or a sparsity level in (0, 1) (0.5) after '@'"
            self._add(key, f"expected {expected}, got {reference.point!r}")

    def _order(self, stages: Sequence[_Indexed]) -> list[Stage]:
        """The stages, each after those that it starts from; otherwise as they stand in the file."""
        waiting, ordered = list(stages), []
        names = {stage.name for _, stage in stages}
        done: set[str] = set()
        while waiting:
            ready = [
                item
                for item in waiting
                if all(reference.stage in done or reference.stage not in names for _, reference in item[1].references())
            ]
            if not ready:
                cycle = " -> ".join(_cycle([stage for _, stage in waiting]))
                for index, stage in waiting:
                    what, reference = next((w, r) for w, r in stage.references() if r.stage not in done)
                    message = f"expected a stage that does not need this one, got {str(reference)!r}: {cycle}"
                    self._add(("stages", index, what), message)
                return []
            first = ready[0]
            waiting.remove(first)
            ordered.append(first[1])
            done.add(first[1].name)
        return ordered


_Indexed = tuple[int, Stage]
"""A stage, with its place among the [[stages]] tables of the file."""


def _cycle(stages: Sequence[Stage]) -> list[str]:
    """Names along one cycle; every stage of ``stages`` waits for another of them."""
    by_name = {stage.name: stage for stage in stages}
    path = [stages[0].name]
    while path.count(path[-1]) < 2:
        path.append(next(r.stage for _, r in by_name[path[-1]].references() if r.stage in by_name))
    return path[path.index(path[-1]) :]


def _provides(component: Any) -> tuple[str, ...]:
    """What the component provides whatever its options are; nothing where that depends on them."""
    return () if callable(component.provides) else tuple(component.provides)


def _names_at(model: type[Options], loc: Sequence[str | int]) -> list[str]:
    """The keys of the table at ``loc`` inside the model."""
    current: Any = model
    for part in loc:
        if isinstance(current, type) and issubclass(current, Options) and part in current.model_fields:
            current = _options_type(current.model_fields[str(part)].annotation)
    return [field.alias or name for name, field in current.model_fields.items()]


def _options_type(annotation: Any) -> Any:
    """The options class inside ``X``, ``X | None`` or ``dict[str, X]``."""
    if isinstance(annotation, type) and issubclass(annotation, Options):
        return annotation
    found = [_options_type(arg) for arg in getattr(annotation, "__args__", ())]
    return next((each for each in found if each is not None), None)


def _described(model: type[Options], loc: Sequence[str | int]) -> str:
    """``; expected <description>``, for a missing key."""
    owner: Any = model
    for part in loc[:-1]:
        if part in owner.model_fields:
            owner = _options_type(owner.model_fields[str(part)].annotation) or owner
    for name, field in owner.model_fields.items():
        if loc[-1] in (name, field.alias):
            return f"; expected {field.description}"
    return ""


def _choices(detail: ErrorDetails) -> Sequence[str]:
    """The literals that a field allows, out of pydantic's message."""
    expected = str(detail.get("ctx", {}).get("expected", "")) if detail["type"] == "literal_error" else ""
    return [word.strip("'") for part in expected.split(", ") for word in part.split(" or ")]
