"""A check of a component, its subject and its result."""

from __future__ import annotations

import itertools
import shutil
import tempfile
import weakref
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from srframework.component import Component, Counts, Options, names_stage
from srframework.errors import SRFrameworkError
from srframework.faults import describe
from srframework.registry.discovery import discover
from srframework.registry.guarded import guarded
from srframework.registry.registry import Registry
from srframework.testing.settings import restored_settings

T = TypeVar("T")


class Violation(AssertionError):
    """The component violates its contract; a sentence."""


class NotApplicable(Exception):
    """The check does not apply to this component; says why."""


def require(is_valid: object, sentence: str) -> None:
    """Raise a :class:`Violation` with this sentence unless the condition is true."""
    if not is_valid:
        raise Violation(sentence)


def reference_options(options: type[Options]) -> list[str]:
    """Return the names of the options that are a stage reference."""
    return [name for name, info in options.model_fields.items() if names_stage(info.metadata)]


class Subject:
    """A component with the options of its example.

    Args:
        kind: Kind of the component.
        component: The component.
        registry: The evaluators that a data set may name; None: the installed ones.

    Attributes:
        columns_are_numbers: Whether the columns that the component requires are numbers, not texts; found by a check.
    """

    def __init__(self, kind: str, component: Component, registry: Registry | None = None) -> None:
        self.kind, self.component = kind, component
        self._registry, self._cache = registry, dict[object, Any]()
        self.columns_are_numbers = False

    @cached_property
    def directory(self) -> Path:
        """A directory for the files of the example; deleted with this object."""
        place = Path(tempfile.mkdtemp(prefix="srframework-check-"))
        weakref.finalize(self, shutil.rmtree, place, ignore_errors=True)
        return place

    @cached_property
    def registry(self) -> Registry:
        """All components."""
        return Registry(discover()) if self._registry is None else self._registry

    @cached_property
    def example(self) -> Mapping[str, Any]:
        """The options of the example, as a table; a debiaser's references are filled in."""
        given = self.component.example
        table = dict(given(self.directory) if callable(given) else given)
        return dict.fromkeys(reference_options(self.component.options), "teacher") | table

    def options(self, **changed: Any) -> Options:
        """Return the example's options with some changed.

        Raises:
            Violation: The options are not valid.
        """
        try:
            return self.component.options.model_validate({**self.example, **changed})
        except ValidationError as error:
            faults = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
            raise Violation(f"the options of the example are not valid: {faults}") from error

    def build(self, **changed: Any) -> Any:
        """Return a new instance, whose calls name the component and the method when they fail."""
        options = self.options(**changed)
        return self.built(options)

    def built(self, options: Options) -> Any:
        """Return a new instance with these options."""
        return guarded(self.kind, self.component.build(options), f"{self.kind} {self.component.name!r}", options)

    def accepts(self, **changed: Any) -> bool:
        """Whether the example with these changes is valid."""
        try:
            self.component.options.model_validate({**self.example, **changed})
        except ValidationError:
            return False
        return True

    def once(self, key: object, make: Callable[[], T]) -> T:
        """Return ``make()``, computed at the first call with this key."""
        if key not in self._cache:
            self._cache[key] = make()
        value: T = self._cache[key]
        return value

    def variations(self) -> Iterator[tuple[str, list[tuple[Options, Options]]]]:
        """For each option that does not name a stage or a file: pairs of valid options that differ only in it."""
        fields = self.component.options.model_fields
        references = set(reference_options(self.component.options))
        for name, info in fields.items():
            if name in references or _names_a_source(info):
                continue
            others = [other for other in fields if other != name and other not in references]
            contexts: list[dict[str, Any]] = [{}]
            contexts += [{other: value} for other in others for value in _values(fields[other], self._value(other))]
            pairs = []
            for context in contexts:
                values = [
                    value for value in _values(info, self._value(name)) if self.accepts(**context, **{name: value})
                ]
                made = [self.options(**context, **{name: value}) for value in values]
                if self.accepts(**context):
                    made.insert(0, self.options(**context))
                pairs += [(one, two) for one, two in itertools.pairwise(made) if one != two]
            yield name, pairs[:60]

    @property
    def reads_files(self) -> bool:
        """Whether an option names a file, a directory or another source."""
        return any(_names_a_source(info) for info in self.component.options.model_fields.values())

    def _value(self, name: str) -> Any:
        return getattr(self.options(), name)


def _names_a_source(info: FieldInfo) -> bool:
    return any(isinstance(each, Counts) for each in info.metadata)


def _values(info: FieldInfo, value: Any) -> list[Any]:
    """Other values of an option, by its type; some may not be valid."""
    kinds = [info.annotation, *get_args(info.annotation)]
    found: list[Any] = []
    for kind in kinds:
        if get_origin(kind) is Literal:
            found += get_args(kind)
        elif kind is bool:
            found += [False, True]
        elif kind is int:
            found += [0, 1, 2, 3, 5] + ([value * 2] if isinstance(value, int) else [])
        elif kind is float:
            found += [0.0, 0.1, 0.5, 0.9, 1.0, 2.0] + ([value * 2, value / 2] if isinstance(value, float) else [])
        elif kind is type(None):
            found.append(None)
        elif kind is str and isinstance(value, str):
            found.append(f"{value}x")
        elif get_origin(kind) is tuple and isinstance(value, tuple):
            chosen = get_args(kind)[0]
            found += [value[1:], value[:1]]
            found += [(each,) for each in get_args(chosen)] if get_origin(chosen) is Literal else []
            found += [("no", "yes"), ("yes", "maybe")] if chosen is str else []  # labels of the small task
    return [each for index, each in enumerate(found) if each != value and each not in found[:index]]


def require_options_matter(subject: Subject, outcome: Callable[[Options], Any], only: Collection[str] = ()) -> None:
    """Require that each option changes the outcome for some value, or is refused.

    Args:
        subject: The component.
        outcome: Everything that the options may change. An error of srframework is an outcome too.
        only: The options to try; empty: all.

    Raises:
        Violation: An option changes nothing.
        NotApplicable: There are no options to try.
    """
    known: dict[str, Any] = {}

    def found(options: Options) -> Any:
        key = options.model_dump_json()
        if key not in known:
            try:
                known[key] = outcome(options)
            except SRFrameworkError as error:
                known[key] = str(error)
        return known[key]

    variations = [(name, pairs) for name, pairs in subject.variations() if not only or name in only]
    if not variations:
        raise NotApplicable("no options")
    for name, pairs in variations:
        matters = not pairs or any(found(one) != found(two) for one, two in pairs[:20])
        require(matters, f"the option {name} changes nothing")


@dataclass(frozen=True)
class Check:
    """One thing that the contract of a kind promises.

    Attributes:
        kind: Kind of component.
        name: Names the fault: ``"exact_counts"``.
        function: Raises :class:`Violation` or :class:`NotApplicable`.
    """

    kind: str
    name: str
    function: Callable[[Subject], None]

    @property
    def sentence(self) -> str:
        """What is checked."""
        return " ".join((self.function.__doc__ or "").split())


@dataclass(frozen=True)
class Result:
    """The result of a check.

    Attributes:
        check: The check.
        outcome: ``"passed"``, ``"failed"`` or ``"not applicable"``.
        reason: Why it failed or does not apply, one sentence; empty if it passed.
    """

    check: Check
    outcome: Literal["passed", "failed", "not applicable"]
    reason: str = ""


def run_check(check: Check, subject: Subject) -> Result:
    """Run a check; every exception of the component is a failure."""
    try:
        with restored_settings():
            check.function(subject)
    except NotApplicable as reason:
        return Result(check, "not applicable", str(reason))
    except Violation as error:
        return Result(check, "failed", " ".join(str(error).split()))
    except (Exception, SystemExit) as error:  # noqa: BLE001 -- a component may raise anything
        return Result(check, "failed", " ".join(describe(error).split()))
    return Result(check, "passed")


def checks_in(kind: str, functions: list[Callable[[Subject], None]]) -> list[Check]:
    """Name each function as a check."""
    return [Check(kind, function.__name__, function) for function in functions]
