"""TOML -> checked recipe, with every problem found before any work starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Protocol, TypeVar

from pydantic import AfterValidator, Field, ValidationError

from srframework.component import KINDS, Options, stage_references
from srframework.errors import (
    AmbiguousComponent,
    MissingComponent,
    PluginError,
    Problem,
    RecipeError,
    UnknownComponent,
    UsageError,
)
from srframework.faults import at, validated
from srframework.recipe import graph
from srframework.recipe.document import Document, Source
from srframework.recipe.explain import explain
from srframework.recipe.file_checks import FileChecks
from srframework.recipe.model import PRETRAINED, Recipe, Reference, Stage, Use
from srframework.recipe.needs import Indexed, check_needs, match_bias
from srframework.recipe.statements import KeyPath
from srframework.registry.registry import Registry
from srframework.text import listed, shorten
from srframework.training.options import TrainingOptions

OptionsT = TypeVar("OptionsT", bound=Options)


def load(recipe: str | Path, registry: Registry, overrides: Sequence[str] = ()) -> Recipe:
    """Read and check a recipe; of one with a ``[sweep]``, what it says without (see :mod:`srframework.recipe.sweep`).

    Args:
        recipe: A path, or the name of a shipped recipe.
        registry: The components that it may use.
        overrides: ``key=value``, with the value as in TOML and stages by their name:
            ``training.epochs=1``, ``stages.srnet.pruner.sparsity=0.5``.

    Raises:
        RecipeError: All problems at once, each with file, line and key.
    """
    return check(Document(Source(recipe), overrides), registry)


class Add(Protocol):
    """Reports a problem: the key at which it is, a sentence, the nearest valid name."""

    def __call__(self, key: KeyPath, message: str, near: str | None = None) -> None: ...


TableCheck = Callable[[Mapping[str, Any], Add], None]
"""Checks a table that another room reads: given all tables of the recipe, it reports what is wrong with its own."""


def check(
    document: Document,
    registry: Registry,
    files: FileChecks | None = None,
    tables: Mapping[str, TableCheck] | None = None,
) -> Recipe:
    """The checked recipe of a document; raises as :func:`load` does.

    Args:
        document: The tables.
        registry: The components that it may use.
        files: Look at the files that it names too.
        tables: Name of a table -> what checks it besides; called only where the document has the table.
    """
    return _Check(document, registry, files, tables or {}).recipe()


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
    claim: dict[str, Any] | None = Field(
        None, description="What the recipe is to confirm or refute: a statement, and its checks."
    )
    stages: Annotated[tuple[dict[str, Any], ...], Field(strict=False)] = Field(
        min_length=1, description="The stages: at least one [[stages]] table."
    )


_LONGEST_NAME = 100
_RESERVED = frozenset(
    ["con", "prn", "aux", "nul", "conin$", "conout$", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))]
)
"""What Windows takes for a device, with whatever ending, when it is the name of a file."""


def _as_directory(name: str) -> str:
    """A stage has a directory of its name, on any file system."""
    if len(name) > _LONGEST_NAME:
        raise ValueError(f"a name of at most {_LONGEST_NAME} characters, since it names a directory")
    if name.partition(".")[0].lower() in _RESERVED:
        raise ValueError("a name that is not reserved for a device on Windows, since it names a directory")
    if name.endswith("."):
        raise ValueError("a name that does not end in a dot, since it names a directory")
    return name


class _StageTop(Options):
    name: Annotated[str, AfterValidator(_as_directory)] = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", description="A name: letters, digits, '_', '.' and '-'."
    )
    op: Literal["train", "prune"] = Field(description="'train' or 'prune'.")
    weights: str = Field(PRETRAINED, description="Weights to start from.")
    mask: str | None = Field(None, description="Mask to keep fixed.")
    pruner: Any = Field(None, description="The pruner of a prune stage: a table with `use`, and its options.")
    loss: Any = Field(None, description="The debiaser: a table with `use`, and its options; unset, std.")


DEFAULT_LOSS = "std"
"""The loss of a stage that names none."""


class _Note(NamedTuple):
    """A problem, with its key from the table on; the rest as in :class:`srframework.errors.Problem`."""

    key: KeyPath
    message: str
    nearest: str | None = None
    owner: str | None = None
    exit_code: int = UsageError.exit_code


"""A problem with a table: the key in it, the message, the nearest name, the plugin that owns the option."""


@dataclass(frozen=True)
class _Found:
    """What a check gave, and the problems that it found."""

    value: Any
    problems: tuple[_Note, ...] = ()


class _Check:
    """One pass over a document; collects problems instead of stopping at the first.

    What a table says by itself is checked once for all documents of one source.
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
        top = self._options(_Top, data, ())
        backbone = self._use("backbone", data["backbone"], ("backbone",)) if "backbone" in data else None
        dataset = self._use("dataset", data["dataset"], ("dataset",)) if "dataset" in data else None
        bias = self._use("bias", data["bias"], ("bias",)) if "bias" in data else None
        evaluators = self._evaluators(data.get("evaluators"), dataset)
        stages = self._stages(data)
        if dataset is not None:
            if bias is not None or "bias" not in data:  # without the bias model that is wrong, nothing is known
                bias = match_bias(bias, dataset, stages, self._registry, self._add)
            check_needs(dataset, stages, self._add)
        order = self._order(data, stages)
        for name in self._tables.keys() & data.keys():
            self._tables[name](data, self._add)
        if self._problems or top is None or backbone is None or dataset is None:
            raise RecipeError([problem for _, problem in sorted(self._problems, key=lambda each: each[0])])
        return Recipe(
            name=top.name,
            seed=top.seed,
            description=top.description,
            backbone=backbone,
            dataset=dataset,
            evaluators=evaluators,
            bias=bias if any(stage.needs_bias for stage in order) else None,
            stages=tuple(order),
            claim=top.claim,
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

    def _once(self, what: tuple[Any, ...], tables: Sequence[object], check: Callable[[], _Found]) -> _Found:
        """What a check gives that depends on the tables alone, which is done once for those that documents share."""
        if not all(map(self._document.is_shared, tables)):
            return check()
        memo, key = self._document.source.memo, (self._registry, *what, *map(id, tables))
        if key not in memo:
            memo[key] = check()
        found: _Found = memo[key]
        return found

    def _take(self, found: _Found, key: KeyPath) -> Any:
        """The value; its problems are noted, with their keys in the file."""
        for note in found.problems:
            self._add((*key, *note.key), *note[1:])
        return found.value

    # -- tables -> options ---------------------------------------------------------------------

    def _options(self, model: type[OptionsT], table: Mapping[str, Any], key: KeyPath) -> OptionsT | None:
        found: OptionsT | None = self._take(_validated(model, table), key)
        return found

    def _use(self, kind: str, value: Any, key: KeyPath) -> Use | None:
        """A component: a table with ``use`` and options, or, where no option is needed, its name."""
        if isinstance(value, dict):
            found = self._once(("use", kind), [value], lambda: self._component(kind, value))
        elif isinstance(value, str):
            found = self._once(("use", kind, value), [], lambda: self._component(kind, value))
        else:
            found = self._component(kind, value)
        use: Use | None = self._take(found, key)
        if use is not None and self._files is not None:
            for each in self._files.of(use):
                self._add((*key, *each.key), each.message, each.nearest, use.registered.owner)
        return use

    def _component(self, kind: str, value: Any) -> _Found:
        def wrong(message: str, key: KeyPath = (), exit_code: int = UsageError.exit_code) -> _Found:
            return _Found(None, (_Note(key, message, exit_code=exit_code),))

        table = {"use": value} if isinstance(value, str) else value
        if not isinstance(table, dict):
            return wrong(f"expected a table with `use`, or the {KINDS[kind]}'s name, got {shorten(value)}")
        name = table.get("use")
        use_key: KeyPath = () if isinstance(value, str) else ("use",)
        if not isinstance(name, str):
            names = listed(each.name for each in self._registry.of_kind(kind))
            got = "nothing" if name is None else shorten(name)
            return wrong(f"expected the {KINDS[kind]}'s name, one of: {names}; got {got}", use_key)
        try:
            registered = self._registry.get(kind, name)
        except (UnknownComponent, AmbiguousComponent, MissingComponent) as error:
            return wrong(f"{error}{getattr(error, 'aside', '')}", use_key, error.exit_code)
        given = {option: value for option, value in table.items() if option != "use"}
        found = _validated(registered.component.options, given, registered.owner)
        return found if found.value is None else _Found(Use(registered, found.value))

    # -- evaluators, bias ----------------------------------------------------------------------

    def _evaluators(self, values: Any, dataset: Use | None) -> tuple[Use, ...]:
        """Those that the data set requires, and those that the recipe lists; each once."""
        uses: dict[str, Use] = {}
        for index, value in enumerate(values if isinstance(values, list) else ()):
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
        names = {PRETRAINED: PRETRAINED}
        stages: list[Indexed] = []
        for index, table in _tables(data):
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
            why = "means the backbone's own weights"
        elif name == other:
            why = "is taken by another stage"
        else:
            why = f"differs from {shorten(other)} by case alone; not every file system tells them apart"
        self._add(key, f"expected a name of its own, got {shorten(name)}, which {why}")

    def _stage(self, table: Mapping[str, Any], common: Mapping[str, Any], key: KeyPath) -> Stage | None:
        draft = self._take(self._once(("stage",), [table], lambda: self._draft(table)), key)
        return None if draft is None else _trained(draft, common)

    def _draft(self, table: Mapping[str, Any]) -> _Found:
        """What the table of a stage says by itself: the stage, less the recipe's [training]; or nothing."""
        fields = TrainingOptions.model_fields
        overrides = {option: value for option, value in table.items() if option in fields}
        rest = {option: value for option, value in table.items() if option not in fields}
        problems: list[_Note] = []

        def take(found: _Found, key: KeyPath = ()) -> Any:
            problems.extend(note._replace(key=(*key, *note.key)) for note in found.problems)
            return found.value

        top = take(_validated(_StageTop, rest, also=list(fields)))
        training = take(_validated(TrainingOptions, overrides))
        found = self._component("debiaser", table.get("loss", DEFAULT_LOSS))
        if found.value is None and "loss" not in table:
            message = f"missing; expected: {_StageTop.model_fields['loss'].description}"
            found = _Found(None, (_Note((), message),))
        loss = take(found, ("loss",))
        pruner = take(self._component("pruner", table["pruner"]), ("pruner",)) if "pruner" in table else None
        if top is not None:
            if top.op == "prune" and "pruner" not in table:
                message = "missing; a stage with op = 'prune' needs a pruner: { use = ... }"
                problems.append(_Note(("pruner",), message))
            if top.op == "train" and "pruner" in table:
                message = "expected no pruner in a stage with op = 'train'; op = 'prune' has one"
                problems.append(_Note(("pruner",), message))
            if top.op == "prune" and top.mask is not None:
                message = "expected no mask in a stage with op = 'prune', which finds its own"
                problems.append(_Note(("mask",), message))
        is_known = None not in (top, training, loss) and (pruner is not None or top.op == "train")
        return _Found(_Draft(top, pruner, loss, overrides) if is_known else None, tuple(problems))

    def _order(self, data: Mapping[str, Any], stages: Sequence[Indexed]) -> list[Stage]:
        """The stages, each after those that it starts from; none where a reference is wrong."""
        tables = _tables(data)
        names, wrong = self._once(
            ("graph",), [table for _, table in tables], lambda: _Found(_graph(tables, self._named_in_loss))
        ).value
        for each in wrong:
            self._add(("stages", each.index, *each.key.split(".")), each.message, each.nearest)
        by_name = {stage.name: stage for _, stage in stages}
        return [by_name[name] for name in names if name in by_name]

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


@dataclass(frozen=True)
class _Draft:
    """A stage, less the recipe's [training]."""

    top: _StageTop
    pruner: Use | None
    loss: Use
    overrides: Mapping[str, Any]


def _trained(draft: _Draft, common: Mapping[str, Any]) -> Stage:
    """The stage, with its training options."""
    top, pruner = draft.top, draft.pruner
    weights = Reference.parse(top.weights)
    training = TrainingOptions.model_validate({**common, **draft.overrides})
    if training.best_after is None:
        with at(stage=top.name):
            fine_tuned = weights.stage != PRETRAINED
            default = 0.0 if pruner is None else pruner.registered.best_after(pruner.options, fine_tuned)
        training = training.model_copy(update={"best_after": default})
    mask = Reference.parse(top.mask) if top.mask is not None else None
    return Stage(top.name, top.op, weights, mask, pruner, draft.loss, training)


def _graph(
    tables: Sequence[tuple[int, dict[str, Any]]], named_in_loss: Callable[[Mapping[str, Any]], Sequence[str]]
) -> tuple[list[str], list[graph.Wrong]]:
    """The names of the stages in order, none where a reference is wrong; and what is wrong.

    That there is no stage of some name counts for nothing where a stage has none, which may be the one.
    """
    nodes = graph.nodes(tables, named_in_loss)
    wrong = list(graph.check(nodes))
    if wrong:
        if all(isinstance(table.get("name"), str) for _, table in tables):
            return [], wrong
        return [], [each for each in wrong if not each.is_unknown]
    return graph.order(nodes), []


def _validated(
    model: type[Options], table: Mapping[str, Any], owner: str | None = None, also: Sequence[str] = ()
) -> _Found:
    """The table as options, or None and what is wrong with it; ``also``: keys that the table
    may have besides, which the caller reads itself and which may be the nearest name."""
    try:
        return _Found(validated(model, table, owner))
    except PluginError as error:
        return _Found(None, (_Note((), str(error), exit_code=error.exit_code),))
    except ValidationError as error:
        explained = explain(model, error, table, also)
        return _Found(None, tuple(_Note(each.key, each.message, each.nearest, owner) for each in explained))
