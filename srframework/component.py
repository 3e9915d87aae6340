"""Components, which plugins register, and their options. Nothing here runs anything."""

from __future__ import annotations

import importlib
import inspect
import itertools
import os
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

from pydantic import AfterValidator, BaseModel, ConfigDict

from srframework.findings import Finding
from srframework.locations import FileProblem

API = 2
"""Version of the plugin contract. A component for another version is refused."""

KINDS = {
    "backbone": "backbone",
    "pruner": "pruner",
    "debiaser": "debiaser",
    "bias": "bias model",
    "dataset": "dataset",
    "evaluator": "evaluator",
    "launcher": "launcher",
}
"""Kind of component -> its name in messages, in the order of lists."""

REFERRING = ("debiaser", "pruner", "evaluator")
"""The kinds whose options may refer to stages."""

NEEDS_BIAS = "bias"
"""Requirement of a debiaser, pruner or evaluator that needs the log-probabilities of the recipe's bias model."""

NEEDS_PREDICTIONS = "predictions"
"""Requirement of a debiaser or pruner that needs the predictions, on the training set, of the stages that its options
refer to."""

NEEDS_FEATURES = "spurious-features"
"""Requirement of a bias model that is fitted on the spurious features of the data set."""

BACKBONE_VECTORS = "backbone-vectors"
"""What a data set provides if its spurious features, with these options, use the input embeddings of the backbone as
word vectors."""

COLUMN = "column:"
"""Beginning of a requirement of a column of the training set: ``"column:group"``."""

_NAME = re.compile(r"[a-z0-9]+([._-][a-z0-9]+)*")


def is_component_name(name: object) -> bool:
    """Whether a name consists of lower case letters and digits, joined by ``-``, ``_`` or ``.``."""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


class Options(BaseModel):
    """Base class of every component's options: the TOML table, validated.

    Strict (``"3"`` is not an integer) and frozen; refuses unknown keys, NaN and infinity.
    Every field needs a description with its unit and its range::

        class MyOptions(Options):
            sparsity: float = Field(0.5, ge=0, lt=1, description="Fraction of entries to prune, in [0, 1).")

    For a sequence, use a ``tuple`` with ``Field(strict=False)``, because TOML gives lists.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)

    def check_files(self) -> Iterable[FileProblem]:
        """Check the files and directories that the options name. Must be quick: read the first rows at most.

        Called before any work, also by ``validate``. Must not import heavy libraries.
        """
        return ()

    def check_data(self) -> Iterable[Finding]:
        """Check all rows of the files that the options name, for ``srframework data check``.

        For data sets; may take minutes, and must not import heavy libraries. Reports what is right too. Without this
        method, ``data check`` reports only the problems that :meth:`check_files` finds.
        """
        return ()

    def input_paths(self) -> Iterable[str] | None:
        """Return the files and directories that a backbone or a data set reads, if it reads nothing else.

        Its own package does not count. While they stay unchanged, a finished run is not loaded again to compare its
        data. None: not known, as for a source on the hub; then data and model are always read.
        """
        return None

    def default_best_after(self, fine_tuned: bool) -> float:
        """Return the default of ``training.best_after`` for a stage that prunes with these options.

        Args:
            fine_tuned: Whether the stage starts from the weights of another stage, not from the pre-trained ones.

        Returns:
            Fraction of the stage's steps, in [0, 1]; earlier checkpoints cannot become the best one.
        """
        return 0.0


class FilePath(str):
    """The path of an input file, anywhere in the options. Its content determines the result, its path does not."""


class DirectoryPath(str):
    """The path of an input directory. The names and the content of its files determine the result."""


def _existing_file(path: str) -> FilePath:
    if not os.path.isfile(path):
        found = "a directory" if os.path.isdir(path) else "no such file"
        raise ValueError(f"a file that exists, relative to {os.getcwd()} ({found})")
    return FilePath(path)


def _existing_directory(path: str) -> DirectoryPath:
    if not os.path.isdir(path):
        found = "a file" if os.path.isfile(path) else "no such directory"
        raise ValueError(f"a directory that exists, relative to {os.getcwd()} ({found})")
    return DirectoryPath(path)


@dataclass(frozen=True)
class Counts:
    """Marks an option type: how its value enters the key of a result.

    Attributes:
        as_: ``"file"`` or ``"directory"``: by the content of that file or directory; ``"location"``: not at all, for
            backbones and data sets; ``"kept levels"``: not at all.
    """

    as_: str


InputFile = Annotated[str, AfterValidator(_existing_file), Counts("file")]
"""Type of an option that names an input file. The recipe check requires that the file exists. It may be nested in the
options, as in ``tuple[InputFile, ...]``. Its content determines the result, its path does not."""

LaterFile = Annotated[str, Counts("file")]
"""Type of an option that names an input file which need not exist while a recipe is only planned: as
:data:`InputFile`, but :meth:`Options.check_files` must report a file that does not exist."""

InputDirectory = Annotated[str, AfterValidator(_existing_directory), Counts("directory")]
"""Type of an option that names an input directory: as :data:`InputFile`, for all files in the directory."""

Location = Annotated[str, Counts("location")]
"""Type of an option that only names a source: a directory, a name on a hub, or a revision.

For backbones and data sets. The value is not part of the key of a result; the loaded content is: the weights, the
configuration and the tokenizer of a :class:`srframework.Network`, or the rows of a data set. Do not use it for an
option that has another effect. In other kinds of component, its value is part of the key."""


class StageName(str):
    """A reference to a stage, anywhere in the options."""


StageReference = Annotated[str, AfterValidator(StageName)]
"""Type of an option that names a stage or a point of a stage: ``"full"``, ``"full@1000"``. That stage runs first.

For debiasers, pruners and evaluators, anywhere in the options: optional, in a union, a tuple, a set, a table (also as
its key) or a nested model. The component gets the stage in its context, by the text of the option."""


def references(value: Any) -> Iterator[tuple[str, str]]:
    """Yield the key path (``teacher``, ``teachers.0``) and the text of each stage reference in an options object.

    The path of an element of a set, and that of a key of a table, has its number: ``teachers[0]``.
    """
    keys: Iterable[Any] = value if isinstance(value, Mapping) else ()
    if isinstance(value, Set):
        keys = sorted(each for each in value if isinstance(each, StageName))
    yield from ((f"[{number}]", key) for number, key in enumerate(keys) if isinstance(key, StageName))
    for key, each in _inside(value):
        if isinstance(each, StageName):
            yield str(key), each
        else:
            for below, text in references(each):
                yield f"{key}{below}" if below.startswith("[") else f"{key}.{below}", text


def _inside(value: Any) -> Iterable[tuple[Any, Any]]:
    """Return the key and the value of everything that a value contains, except the references of a set."""
    if isinstance(value, BaseModel):
        return value
    if is_dataclass(value):
        return [(each.name, getattr(value, each.name)) for each in fields(value)]
    if isinstance(value, Mapping):
        return value.items()
    if isinstance(value, Set):
        return enumerate(sorted((each for each in value if not isinstance(each, StageName)), key=repr))
    return enumerate(value) if isinstance(value, list | tuple | deque) else ()


def may_refer(annotation: Any, seen: frozenset[Any] = frozenset()) -> bool:
    """Whether values of a type, such as a class of options, may contain a stage reference."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        if annotation in seen:
            return False
        below = seen | {annotation}
        inside = annotation.model_fields.values()
        return any(names_stage(each.metadata) or may_refer(each.annotation, below) for each in inside)
    if hasattr(annotation, "__metadata__"):
        return names_stage(annotation.__metadata__) or may_refer(annotation.__origin__, seen)
    if isinstance(annotation, type) and inspect.get_annotations(annotation):  # a TypedDict, a NamedTuple, a dataclass
        try:
            hints = {} if annotation in seen else get_type_hints(annotation, include_extras=True)
        except NameError:  # a name that only a type checker sees, which pydantic cannot resolve either
            return False
        return any(may_refer(each, seen | {annotation}) for each in hints.values())
    if hasattr(annotation, "__value__"):  # type X = ...
        return may_refer(annotation.__value__, seen)
    return any(may_refer(each, seen) for each in get_args(annotation))


def names_stage(metadata: Iterable[Any]) -> bool:
    """Whether annotations are those of :data:`StageReference`."""
    return any(isinstance(each, AfterValidator) and each.func is StageName for each in metadata)


Needs = Iterable[str] | Callable[[Any], Iterable[str]]
Example = Mapping[str, Any] | Callable[[Path], Mapping[str, Any]]


@dataclass(frozen=True)
class Component:
    """A named building block that a recipe can ``use``.

    Attributes:
        name: Its name in recipes: lower case letters and digits, joined by ``-``, ``_`` or ``.``.
        options: Class of its options; every field has a description.
        factory: A class or a function that is called with the options and returns an instance of the contract of its
            kind; or its name, ``"module:Class"``, which is imported only when a run needs it.
        summary: One line.
        source: Its origin: a paper and section, or a URL.
        api: Version of the contract that it implements, :data:`API`.
        requires: The requirements that a recipe with this component must fulfil: ``"bias"`` (a bias model),
            ``"spurious-features"``, or another component such as ``"evaluator/hans"``. Either names, or a function
            that maps the options to names.
        provides: Requirements that a data set fulfils, by the same names; ``"ood-train"`` if it has OOD
            training examples, ``"backbone-vectors"`` if its features use the backbone's input embeddings.
        example: Options with which the checks of :mod:`srframework.testing` use the component; or a function that
            writes the example's files into a directory and returns the options.

    Raises:
        ValueError: A field has the wrong form; shows the field and the value.
    """

    name: str
    options: type[Options]
    factory: str | Callable[[Any], Any]
    summary: str
    source: str
    api: int = API
    requires: Needs = ()
    provides: Needs = ()
    example: Example = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if not is_component_name(self.name):
            raise ValueError(f"component name: expected lower case letters and digits joined by '-', got {self.name!r}")
        for key in ("summary", "source"):
            if not isinstance(getattr(self, key), str):
                raise ValueError(f"component {self.name!r}: {key}: expected a string, got {getattr(self, key)!r}")
        for key in ("requires", "provides"):
            needs = getattr(self, key)
            if isinstance(needs, str) or not (callable(needs) or isinstance(needs, Iterable)):
                raise ValueError(f"component {self.name!r}: {key}: expected a list of names, got {needs!r}")
            if not callable(needs):
                object.__setattr__(self, key, tuple(itertools.islice(needs, 1000)))  # an iterator yields its items once
        example: object = self.example
        if not (callable(example) or isinstance(example, Mapping)):
            raise ValueError(f"component {self.name!r}: example: expected a table or a function, got {example!r}")
        if not (isinstance(self.options, type) and issubclass(self.options, Options)):
            raise ValueError(f"component {self.name!r}: options: expected a subclass of Options, got {self.options!r}")
        undescribed = [key for key, each in self.options.model_fields.items() if not each.description]
        if undescribed:
            raise ValueError(f"component {self.name!r}: options without a description: {', '.join(undescribed)}")
        if not callable(self.factory) and not re.fullmatch(r"[\w.]+:\w+", str(self.factory)):
            raise ValueError(f"component {self.name!r}: factory: expected 'module:Class', got {self.factory!r}")

    def required(self, options: Options) -> tuple[str, ...]:
        """Return what the component requires with these options."""
        return tuple(self.requires(options) if callable(self.requires) else self.requires)

    def provided(self, options: Options) -> tuple[str, ...]:
        """Return what the component provides with these options."""
        return tuple(self.provides(options) if callable(self.provides) else self.provides)

    def build(self, options: Options) -> Any:
        """Import the factory if it is a string, and call it with ``options``.

        Raises:
            ImportError, AttributeError: The module or the factory does not exist.
        """
        factory = self.factory
        if isinstance(factory, str):
            module, _, name = factory.partition(":")
            factory = getattr(importlib.import_module(module), name)
        return factory(options)
