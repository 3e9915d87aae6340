"""What a plugin registers: a component, its options, and nothing that runs."""

from __future__ import annotations

import importlib
import itertools
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict

from srframework.locations import FileProblem

API = 1
"""Number of the plugin contract. A component made for another number is refused."""

KINDS = {
    "backbone": "backbone",
    "pruner": "pruner",
    "debiaser": "debiaser",
    "bias": "bias model",
    "dataset": "dataset",
    "evaluator": "evaluator",
    "launcher": "launcher",
}
"""The kinds of component, in the order in which they are listed, and what messages call each."""

NEEDS_BIAS = "bias"
"""What a debiaser requires that is given the log-probabilities of the recipe's bias model."""

_NAME = re.compile(r"[a-z0-9]+([._-][a-z0-9]+)*")


class Options(BaseModel):
    """Base of every component's options: the TOML table, checked.

    Strict (``"3"`` is no integer), frozen, unknown keys refused, NaN and infinity refused.
    Give every field a description with its unit and its range::

        class MyOptions(Options):
            sparsity: float = Field(0.5, ge=0, lt=1, description="Fraction of entries to prune, in [0, 1).")

    A sequence is a ``tuple`` with ``Field(strict=False)``, since TOML gives lists.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)

    def check_files(self) -> Iterable[FileProblem]:
        """Look at the files and directories that the options name, as far as that is quick: at their first rows, at
        most. Called before any work, by ``validate`` too; import nothing heavy."""
        return ()

    def default_best_after(self, fine_tuned: bool) -> float:
        """Of a pruner: the default of ``training.best_after`` in a stage with these options.

        Args:
            fine_tuned: Whether the stage starts from the weights of another stage, not from the pre-trained ones.

        Returns:
            Share of the stage's steps, in [0, 1], before which no checkpoint is the best.
        """
        return 0.0


class FilePath(str):
    """The path of a file to read, wherever in the options it stands: its content counts, not where it is."""


class DirectoryPath(str):
    """The path of a directory to read; the names and the content of the files in it count."""


def _existing_file(path: str) -> FilePath:
    if not os.path.isfile(path):
        what = "a directory" if os.path.isdir(path) else "no such file"
        raise ValueError(f"a file that exists, seen from {os.getcwd()} ({what})")
    return FilePath(path)


def _existing_directory(path: str) -> DirectoryPath:
    if not os.path.isdir(path):
        what = "a file" if os.path.isfile(path) else "no such directory"
        raise ValueError(f"a directory that exists, relative to {os.getcwd()} ({what})")
    return DirectoryPath(path)


@dataclass(frozen=True)
class Counts:
    """Marks a type of option by how its value counts in the key of a result.

    Attributes:
        as_: ``"file"`` or ``"directory"``: by the content of what it names; ``"location"``: not at all.
    """

    as_: str


InputFile = Annotated[str, AfterValidator(_existing_file), Counts("file")]
"""Type of an option that names a file to read; checked when the recipe is, before any work. It may stand anywhere in
the options, as in ``tuple[InputFile, ...]``. Its content determines the result, its path does not."""

InputDirectory = Annotated[str, AfterValidator(_existing_directory), Counts("directory")]
"""Type of an option that names a directory to read; as :data:`InputFile`, with all files in it."""

Location = Annotated[str, Counts("location")]
"""Type of an option of a backbone that only names where the model is loaded from: a directory, a name on a hub, a
revision. Its value does not count in the key of a result, since what is loaded from there counts: the weights, the
configuration and the tokenizer of the :class:`srframework.Network`. Use it for nothing that has another effect. It is
for backbones and data sets (whose rows count); the value of such an option of another kind of component counts."""


class _NamesStage:
    """Marks an option whose value is a reference to a stage of the recipe."""


StageReference = Annotated[str, _NamesStage()]
"""Type of an option that names a stage, or a point inside one: ``"full"``, ``"full@1000"``. The stage runs
first; a debiaser that has such an option is given that stage's probabilities, those of its teacher."""


def stage_references(options: type[Options]) -> list[str]:
    """The options of a component that name stages."""
    fields = options.model_fields.items()
    return [name for name, field in fields if any(isinstance(each, _NamesStage) for each in field.metadata)]


Needs = Iterable[str] | Callable[[Any], Iterable[str]]


@dataclass(frozen=True)
class Component:
    """One named thing that a recipe can ``use``.

    Attributes:
        name: Lower case letters and digits, joined by ``-``, ``_`` or ``.``.
        options: Its options; every field described.
        factory: Called with the options, gives what its kind's contract says. A class, or
            ``"module:Class"``, which is imported only when a run needs it.
        summary: One line.
        source: Where it comes from: a paper and section, or a URL.
        api: The contract it is written for, :data:`API`.
        requires: What must be in the recipe for it to work: ``"bias"`` (a debiaser that needs
            a bias model), ``"spurious-features"``, or a component, ``"evaluator/hans"``.
            Either names, or a function from the options to names.
        provides: What a data set offers to others, in the same words; ``"ood-train"`` where it has OOD
            training examples.

    Raises:
        ValueError: A field is not of that form; says which, and what was given.
    """

    name: str
    options: type[Options]
    factory: str | Callable[[Any], Any]
    summary: str
    source: str
    api: int = API
    requires: Needs = ()
    provides: Needs = ()

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise ValueError(f"component name: expected lower case letters and digits joined by '-', got {self.name!r}")
        for what in ("summary", "source"):
            if not isinstance(getattr(self, what), str):
                raise ValueError(f"component {self.name!r}: {what}: expected a string, got {getattr(self, what)!r}")
        for what in ("requires", "provides"):
            needs = getattr(self, what)
            if isinstance(needs, str) or not (callable(needs) or isinstance(needs, Iterable)):
                raise ValueError(f"component {self.name!r}: {what}: expected a list of names, got {needs!r}")
            if not callable(needs):
                object.__setattr__(self, what, tuple(itertools.islice(needs, 1000)))  # an iterator gives its items once
        if not (isinstance(self.options, type) and issubclass(self.options, Options)):
            raise ValueError(f"component {self.name!r}: options: expected a subclass of Options, got {self.options!r}")
        undescribed = [key for key, field in self.options.model_fields.items() if not field.description]
        if undescribed:
            raise ValueError(f"component {self.name!r}: options without a description: {', '.join(undescribed)}")
        if not callable(self.factory) and not re.fullmatch(r"[\w.]+:\w+", str(self.factory)):
            raise ValueError(f"component {self.name!r}: factory: expected 'module:Class', got {self.factory!r}")

    def required(self, options: Options) -> tuple[str, ...]:
        """What the component requires, with these options."""
        return tuple(self.requires(options) if callable(self.requires) else self.requires)

    def provided(self, options: Options) -> tuple[str, ...]:
        """What the component provides, with these options."""
        return tuple(self.provides(options) if callable(self.provides) else self.provides)

    def build(self, options: Options) -> Any:
        """Import the factory where it is a string, and call it with ``options``.

        Raises:
            ImportError, AttributeError: The factory is not where the string says.
        """
        factory = self.factory
        if isinstance(factory, str):
            module, _, name = factory.partition(":")
            factory = getattr(importlib.import_module(module), name)
        return factory(options)
