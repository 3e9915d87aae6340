"""Check one table and build options or a component from it; the place of the table in the recipe is not known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from pydantic import ValidationError

from srframework.component import KINDS, Options
from srframework.errors import AmbiguousComponent, MissingComponent, PluginError, UnknownComponent, UsageError
from srframework.faults import validated
from srframework.recipe.model import Use
from srframework.recipe.option_errors import explain
from srframework.recipe.statements import KeyPath
from srframework.registry.registry import Registry
from srframework.text import listed, shorten


class TableProblem(NamedTuple):
    """A problem, with its key relative to the table; other fields as in :class:`srframework.errors.Problem`."""

    key: KeyPath
    message: str
    nearest: str | None = None
    owner: str | None = None
    exit_code: int = UsageError.exit_code


@dataclass(frozen=True)
class TableResult:
    """The value that a check returns (None if it failed), and the problems that it found."""

    value: Any
    problems: tuple[TableProblem, ...] = ()


def checked_options(
    model: type[Options], table: Mapping[str, Any], owner: str | None = None, also: Sequence[str] = ()
) -> TableResult:
    """Parse the table as options.

    ``also`` names further valid keys, which the caller reads itself; they are candidates for the nearest name.
    """
    try:
        return TableResult(validated(model, table, owner))
    except PluginError as error:
        return TableResult(None, (TableProblem((), str(error), exit_code=error.exit_code),))
    except ValidationError as error:
        explained = explain(model, error, table, also)
        return TableResult(None, tuple(TableProblem(each.key, each.message, each.nearest, owner) for each in explained))


def checked_component(registry: Registry, kind: str, value: Any) -> TableResult:
    """Parse ``value``, a name or a table with ``use``, as a :class:`srframework.recipe.model.Use`."""

    def failed(message: str, key: KeyPath = (), exit_code: int = UsageError.exit_code) -> TableResult:
        return TableResult(None, (TableProblem(key, message, exit_code=exit_code),))

    table = {"use": value} if isinstance(value, str) else value
    if not isinstance(table, dict):
        return failed(f"expected a table with `use`, or the {KINDS[kind]}'s name, got {shorten(value)}")
    name = table.get("use")
    use_key: KeyPath = () if isinstance(value, str) else ("use",)
    if not isinstance(name, str):
        names = listed(each.name for each in registry.of_kind(kind))
        got = "nothing" if name is None else shorten(name)
        if name is None and isinstance(table.get(kind), dict):
            return failed(f"inside the table [{kind}], write the key without {kind!r}: use = …", (kind,))
        return failed(f"must be the name of a {KINDS[kind]} (got {got}); choices: {names}", use_key)
    try:
        registered = registry.get(kind, name)
    except (UnknownComponent, AmbiguousComponent, MissingComponent) as error:
        return failed(f"{error}{getattr(error, 'aside', '')}", use_key, error.exit_code)
    given = {option: value for option, value in table.items() if option != "use"}
    found = checked_options(registered.component.options, given, registered.owner)
    return found if found.value is None else TableResult(Use(registered, found.value))
