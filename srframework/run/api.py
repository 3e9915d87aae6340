"""One run, from a checked recipe to its report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import transformers

from srframework.recipe.model import Recipe
from srframework.run.pipeline import Pipeline
from srframework.run.reporter import Reporter
from srframework.store.store import Store


@dataclass(frozen=True)
class Ran:
    """What a run gave.

    Attributes:
        report: As ``run --json`` prints it.
        computed: Seconds that each stage took that was not in the store.
        is_first: Whether this is the first of the processes that work together, or the only one.
    """

    report: dict[str, Any]
    computed: Mapping[str, float]
    is_first: bool


def run_recipe(
    recipe: Recipe,
    out: Path | None,
    store: Path,
    reporter: Reporter,
    stored_only: bool = False,
    keep: Mapping[str, Iterable[int]] | None = None,
    held: bool = False,
    users: Sequence[Path] = (),
    computed: dict[str, float] | None = None,
) -> Ran:
    """Run one recipe into the directory ``out``, or, without one, into the store alone.

    ``computed`` is filled with the seconds of each stage as soon as it is computed, also in a run that fails. The other
    arguments are those of :class:`srframework.run.pipeline.Pipeline`.

    Raises:
        SRFrameworkError: See :meth:`srframework.run.pipeline.Pipeline.run`.
    """
    quieten()
    pipeline = Pipeline(recipe, Store(store, reporter.note), out, reporter, stored_only, keep, held, users)
    if computed is not None:
        pipeline.computed = computed
    report = pipeline.run()
    return Ran(report, pipeline.computed, pipeline.is_first)


def quieten() -> None:
    """Keep the libraries from printing: the progress display is ours."""
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    datasets.disable_progress_bars()
