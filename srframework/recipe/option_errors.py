"""Turn errors of pydantic into messages: expected, got, nearest valid name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from srframework.component import Options
from srframework.errors import SHOWN
from srframework.recipe.schema import STAGE_NAME
from srframework.text import choices_text, nearest, one_line, shorten


@dataclass(frozen=True)
class Explanation:
    """One problem with a table.

    Attributes:
        key: Key relative to the table.
        message: The expected value and the given value.
        nearest: The nearest valid name, if any is similar.
    """

    key: tuple[str | int, ...]
    message: str
    nearest: str | None = None


_MUST_BE = {
    "string_type": "a string",
    "int_type": "an integer",
    "int_from_float": "an integer",
    "int_parsing_size": "an integer of at most 64 bits",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "tuple_type": "an array",
    "list_type": "an array",
    "set_type": "an array",
    "frozen_set_type": "an array",
    "dict_type": "a table",
    "model_attributes_type": "a table",
    "model_type": "a table",
    "date_type": "a date",
    "time_type": "a time",
    "datetime_type": "a date and time",
    "literal_error": "{expected}",
    "enum": "{expected}",
    "none_required": "absent",
    "greater_than": "greater than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "multiple_of": "a multiple of {multiple_of}",
    "too_short": "an array of at least {min_length} items",
    "too_long": "an array of at most {max_length} items",
    "string_too_short": "a string of at least {min_length} characters",
    "string_too_long": "a string of at most {max_length} characters",
    "string_pattern_mismatch": "a string that matches {pattern}",
}
"""The required value by pydantic's type of error."""

_PATTERNS = {STAGE_NAME: "a letter or digit, and then letters, digits, '_', '.' and '-'"}
"""The required value by regular expression, for those that are easier to read as words."""


def explain(
    model: type[Options], error: ValidationError, table: Mapping[str, Any], also: Sequence[str] = ()
) -> list[Explanation]:
    """Explain all problems of a table that does not fit ``model``; consequences of other problems are left out.

    Args:
        model: The expected options.
        error: The error of pydantic.
        table: The table.
        also: Further valid keys, which the caller reads itself.
    """
    details = [(_place(detail, table), detail) for detail in error.errors(include_url=False)]
    inside = {loc[:end] for loc, _ in details for end in range(len(loc))}
    explained: list[Explanation] = []
    quoted: set[tuple[str | int, ...]] = set()
    for loc, detail in details:
        array = _at(table, loc[:-1]) if loc else None
        if detail["type"] in _OF_CONTENT and loc in inside:
            continue  # pydantic counts only the valid items
        if detail["type"] == "string_type" and isinstance(array, list):
            if loc[:-1] not in quoted and (strings := _in_quotes(array)) is not None:
                quoted.add(loc[:-1])
                message = f"expected strings, got {shorten(array)}; quote them: {strings}"
                explained.append(Explanation(loc[:-1], message))
            if loc[:-1] in quoted:
                continue
        explained.append(_explain(model, detail, loc, also, suggest=len(explained) < SHOWN))
    return explained


_OF_CONTENT = ("too_short", "too_long", "value_error", "assertion_error")


def _place(detail: ErrorDetails, table: Mapping[str, Any]) -> tuple[str | int, ...]:
    """The place of the problem in the table; pydantic appends "[key]" if the key itself is invalid."""
    loc = detail["loc"]
    if loc[-1:] == ("[key]",):
        around = _at(table, loc[:-1])
        if not (isinstance(around, Mapping) and "[key]" in around):
            return loc[:-1]
    return loc


def _at(table: Any, loc: Sequence[str | int]) -> Any:
    """The value at a place in a table, or None."""
    for part in loc:
        if isinstance(table, Mapping):
            table = table.get(part)
        elif isinstance(table, list | tuple) and isinstance(part, int) and part < len(table):
            table = table[part]
        else:
            return None
    return table


def _in_quotes(array: Sequence[Any]) -> str | None:
    """The array with each item quoted, shortened for a message; None if it has strings, arrays or tables."""
    if any(isinstance(item, list | dict | str) for item in array):
        return None
    few = [f'"{shorten(item)}"' for item in array[:10]]
    return one_line(f"[{', '.join([*few, *(['…'] if len(array) > len(few) else [])])}]", 200)


def _explain(
    model: type[Options], detail: ErrorDetails, loc: tuple[str | int, ...], also: Sequence[str], suggest: bool
) -> Explanation:
    if detail["type"] == "extra_forbidden":
        names = [*_keys(_options_at(model, loc[:-1])), *(also if len(loc) == 1 else ())]
        near = nearest(str(loc[-1]), names) if suggest else None
        return Explanation(loc, f"unknown key{choices_text(near, names, 60) or '; this component has no options'}")
    if detail["type"] == "missing":
        return Explanation(loc, missing_text(_keys(_options_at(model, loc[:-1])).get(str(loc[-1]), "")))
    got = detail["input"]
    if detail["type"] in _MUST_BE:
        context = {key: f"{each:g}" if isinstance(each, float) else each for key, each in detail.get("ctx", {}).items()}
        if context.get("min_length") == 1:
            return Explanation(loc, f"must not be empty (got {shorten(got)})")
        required = _PATTERNS.get(context.get("pattern", "")) or _MUST_BE[detail["type"]].format(**context)
        near = nearest(got, _literals(detail)) if isinstance(got, str) and suggest else None
        return Explanation(loc, f"must be {required} (got {shorten(got)})", near if near != got else None)
    expected = detail["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    if isinstance(got, dict | Options) and detail["type"] == "value_error":
        return Explanation(loc, f"expected {expected}")  # a check of several keys names them in its message
    return Explanation(loc, f"expected {expected}, got {shorten(got)}")


def missing_text(description: str) -> str:
    """The message for a required key, with its description as a part of the sentence."""
    described = description.removesuffix(".")
    if described[1:2].islower() or described[1:2] == " ":
        described = described[:1].lower() + described[1:]
    return f"required key is missing ({described})" if described else "required key is missing"


def _keys(model: type[Options]) -> dict[str, str]:
    """The keys of a table, as in TOML, with their descriptions."""
    return {field.alias or name: field.description or "" for name, field in model.model_fields.items()}


def _options_at(model: type[Options], loc: Sequence[str | int]) -> type[Options]:
    """The options of the table at ``loc`` inside the model."""
    current = model
    for part in loc:
        field = current.model_fields.get(str(part))
        if field is not None:  # else a name that the user chose, such as an OOD split
            current = _options_in(field.annotation) or current
    return current


def _options_in(annotation: Any) -> type[Options] | None:
    """The options class inside ``X``, ``X | None`` or ``dict[str, X]``."""
    if isinstance(annotation, type) and issubclass(annotation, Options):
        return annotation
    found = (_options_in(arg) for arg in getattr(annotation, "__args__", ()))
    return next((each for each in found if each is not None), None)


def _literals(detail: ErrorDetails) -> list[str]:
    """The values that a literal field allows; empty for other fields."""
    expected = str(detail.get("ctx", {}).get("expected", "")) if detail["type"] == "literal_error" else ""
    return [word.strip("'") for part in expected.split(", ") for word in part.split(" or ")]
