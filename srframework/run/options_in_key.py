"""Converts options to the JSON that counts in a key. For a file, the content counts in place of the path.

The values themselves are converted, not their serialisation: everything that a component can see counts.
"""

from __future__ import annotations

import dataclasses
import enum
import json
import math
import os
import types
from collections import deque
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, SecretBytes, SecretStr
from pydantic_core import to_jsonable_python

from srframework.component import Counts, DirectoryPath, FilePath, StageName
from srframework.errors import DataError, PluginError
from srframework.hashing import directory_digest, file_digest

Marked = tuple[Any, tuple[Any, ...]]
"""A type without its annotations, and the annotations."""


def options_in_key(options: BaseModel, owner: str, locations_count: bool) -> dict[str, Any]:
    """Return the JSON that counts in a key for the options of a component.

    Args:
        options: The options.
        owner: The component, for messages.
        locations_count: Whether the value of a :data:`srframework.Location` counts.

    Raises:
        DataError: A file or directory named by an option cannot be read; names the option.
        PluginError: A value is of an unsupported type.
    """
    return dict(_Counting(owner, locations_count).fields(options, ""))


@dataclasses.dataclass(frozen=True)
class _Counting:
    owner: str
    locations_count: bool

    def fields(self, model: BaseModel, where: str) -> Iterator[tuple[str, Any]]:
        """Yield the fields of a model that count."""
        for name, field in type(model).model_fields.items():
            types = list(_branches(field.annotation, tuple(field.metadata)))
            if not _is(types, "kept levels") and (self.locations_count or not _is(types, "location")):
                yield name, self.value(getattr(model, name), types, f"{where}{name}")
        for name, value in (model.__pydantic_extra__ or {}).items():
            yield name, self.value(value, [], f"{where}{name}")

    def value(self, value: Any, types: list[Marked], where: str) -> Any:
        """Convert a value of one of these types; ``where``: its place in the options."""
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, enum.Enum):
            return {type(value).__qualname__: value.name}
        if isinstance(value, StageName):
            return "stage"  # its hash counts, which is added to the key
        if isinstance(value, str | os.PathLike):
            return self.text(value, types, where)
        if isinstance(value, int):
            return int(value)
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else {"float": repr(float(value))}
        if isinstance(value, SecretStr | SecretBytes):
            return {"secret": self.value(value.get_secret_value(), [], where)}
        if isinstance(value, bytes | bytearray):
            return {"bytes": value.hex()}
        if isinstance(value, BaseModel):
            return {"": type(value).__qualname__, **dict(self.fields(value, f"{where}."))}
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return {"": type(value).__qualname__, **dict(self.attributes(value, where))}
        if isinstance(value, Mapping):
            return {"table": [self.item(key, each, types, where) for key, each in value.items()]}
        if isinstance(value, Sequence | deque):
            return [self.element(each, types, index, f"{where}[{index}]") for index, each in enumerate(value)]
        if isinstance(value, Set):
            return {"set": sorted((self.element(each, types, 0, where) for each in value), key=json.dumps)}
        return self.other(value, where)

    def text(self, value: Any, types: list[Marked], where: str) -> Any:
        """Convert a string or a path; the content counts if it names a file or a directory to read."""
        if not self.locations_count and _is(types, "location"):
            return None
        path, is_path = os.fsdecode(value), not isinstance(value, str)
        # Pydantic does not check a default, so it may be a plain string; a union may have another type for it.
        unchecked_file = (is_path or _is(types, "file")) and os.path.isfile(path)
        unchecked_directory = (is_path or _is(types, "directory")) and os.path.isdir(path)
        try:
            if isinstance(value, FilePath) or unchecked_file:
                return {"file": file_digest(path)}
            if isinstance(value, DirectoryPath) or unchecked_directory:
                return {"directory": directory_digest(path)}
        except OSError as error:
            reason = error.strerror or str(error)
            raise DataError(f"{self.owner}: {where}: {error.filename or path} cannot be read: {reason}") from error
        return {"path": path} if is_path else str(value)

    def attributes(self, value: Any, where: str) -> Iterator[tuple[str, Any]]:
        """Yield the fields of a dataclass."""
        hints = _hints(type(value))
        for field in dataclasses.fields(value):
            types = list(_branches(hints.get(field.name, Any)))
            yield field.name, self.value(getattr(value, field.name), types, f"{where}.{field.name}")

    def item(self, key: Any, value: Any, types: list[Marked], where: str) -> list[Any]:
        """Convert a key of a table and its value. Their order counts, since a component sees it."""
        named = [hint for kind, _ in types if (hint := _hints(kind).get(str(key))) is not None]
        inside = [branch for each in named for branch in _branches(each)] or _inside(types, 1)
        return [self.value(key, _inside(types, 0), where), self.value(value, inside, f"{where}.{key}")]

    def element(self, value: Any, types: list[Marked], index: int, where: str) -> Any:
        """Convert one element of a sequence or a set."""
        return self.value(value, _inside(types, index), where)

    def other(self, value: Any, where: str) -> Any:
        """Convert a value of a type that JSON does not have: a date, a decimal number."""
        try:
            return {type(value).__qualname__: to_jsonable_python(value)}
        except ValueError as error:
            raise PluginError(
                f"{self.owner}: {where}: a value of type {type(value).__qualname__} cannot be hashed; "
                "use types that TOML has, or pydantic models"
            ) from error


# -- types -----------------------------------------------------------------------------------------


def _branches(annotation: Any, marks: tuple[Any, ...] = ()) -> Iterator[Marked]:
    """Yield the types that a value may have, each with its annotations."""
    if hasattr(annotation, "__metadata__"):
        yield from _branches(annotation.__origin__, (*marks, *annotation.__metadata__))
    elif get_origin(annotation) in (Union, types.UnionType):
        for each in get_args(annotation):
            yield from _branches(each, marks)
    elif hasattr(annotation, "__value__"):  # type X = ...
        yield from _branches(annotation.__value__, marks)
    else:
        yield annotation, marks


def _inside(types: list[Marked], index: int) -> list[Marked]:
    """Return the types of the elements of values of these types; for a table, index 0 is its keys, 1 its values."""
    found: list[Any] = []
    for kind, _ in types:
        arguments = [each for each in get_args(kind) if each is not Ellipsis]
        found += arguments[index : index + 1] or arguments[-1:]
    return [branch for each in found for branch in _branches(each)]


def _is(types: list[Marked], as_: str) -> bool:
    return any(isinstance(mark, Counts) and mark.as_ == as_ for _, marks in types for mark in marks)


def _hints(kind: Any) -> dict[str, Any]:
    """Return the annotations of the fields of a class; empty if they cannot be resolved."""
    if not isinstance(kind, type):
        return {}
    try:
        return get_type_hints(kind, include_extras=True)
    except Exception:  # noqa: BLE001 -- a name that only a type checker sees
        return {}
