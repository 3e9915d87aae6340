"""Run a checked recipe and return its report."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from srframework.errors import UsageError
from srframework.recipe.model import Recipe
from srframework.recipe.points import check_early
from srframework.run.options import RunOptions
from srframework.run.reporter import Reporter
from srframework.run.unchanged import unchanged_run
from srframework.store.store import Store


@dataclass(frozen=True)
class RunResult:
    """The result of a run.

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
    store: Path,
    options: RunOptions | None = None,
    reporter: Reporter | None = None,
    computed: dict[str, float] | None = None,
) -> RunResult:
    """Run one recipe.

    Args:
        recipe: Checked.
        store: Where the results of stages are kept.
        options: How it runs; without them, into the store alone.
        reporter: Shows the progress; None: nothing does.
        computed: Filled with the seconds of each stage as soon as it is computed, also in a run that fails.

    Raises:
        SRFrameworkError: See :meth:`srframework.run.pipeline.Pipeline.run`.
    """
    reporter, options = reporter or Reporter(), options or RunOptions()
    if processes() == 1:
        report = unchanged_run(recipe, Store(store, reporter.note), options, reporter)
        if report is not None:
            return RunResult(report, {}, True)
    check_early([recipe])  # not before, because it builds the pruners, which takes torch
    from srframework.run.pipeline import Pipeline  # loads torch and transformers, which an unchanged run does not need

    if not gc.get_freeze_count():
        gc.freeze()  # each gc.collect() of accelerate then skips the objects of the libraries
    quieten()
    pipeline = Pipeline(recipe, Store(store, reporter.note), options, reporter)
    if computed is not None:
        pipeline.computed = computed
    report = pipeline.run()
    return RunResult(report, pipeline.computed, pipeline.is_first)


def quieten() -> None:
    """Stop the libraries from printing, which would disturb our progress display."""
    import datasets
    import huggingface_hub
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    datasets.disable_progress_bars()
    # It writes a line about each attempt to reach the hub.
    huggingface_hub.utils.logging.set_verbosity_error()  # type: ignore[no-untyped-call]


@contextlib.contextmanager
def kept_materials() -> Iterator[None]:
    """At the end of the block, release the data and models that runs with ``shared`` keep for the next run."""
    try:
        yield
    finally:
        if (loaded := sys.modules.get("srframework.run.shared_materials")) is not None:
            loaded.clear_shared_materials()


def processes() -> int:
    """The number of processes that ``accelerate launch`` started."""
    count = os.environ.get("WORLD_SIZE", "")
    return int(count) if count.isdecimal() else 1


def one_process_only(what: str) -> None:
    """Refuse a command under ``accelerate launch`` that needs a single process.

    Args:
        what: The name of it, for the message.

    Raises:
        UsageError: There are several processes.
    """
    if (count := processes()) != 1:
        raise UsageError(f"{what}: expected one process, got {count}; `accelerate launch` is for one run at a time")
