"""srframework: sparse and robust subnetworks in pre-trained language models.

This module exports everything that plugins import. Names that need torch are imported on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

# This import must be first: pydantic reads the metadata of all distributions when a class is defined.
from srframework.registry import distributions as _distributions  # noqa: F401 -- imported for its effect

# isort: split
from srframework.component import (
    API,
    Component,
    InputDirectory,
    InputFile,
    LaterFile,
    Location,
    Options,
    StageReference,
)
from srframework.contracts import (
    Backbone,
    BiasModel,
    Dataset,
    Debiaser,
    Evaluated,
    Evaluator,
    Figure,
    Job,
    JobResult,
    Launcher,
    LossInputs,
    Network,
    ParameterGroup,
    Phase,
    Predictions,
    Pruner,
    ReferencedStage,
    Split,
    TaskData,
    TrainingContext,
    WorkerDied,
)
from srframework.errors import BackboneError, DataError, MissingColumn, PluginError, SRFrameworkError, UsageError
from srframework.findings import Finding
from srframework.hookspecs import hookimpl
from srframework.locations import FileProblem, directory_problem
from srframework.pruning import KeptLevels, Pattern, PruneOptions, Scope, cubic_sparsity, keeps_level, require_reached
from srframework.rows import RowFile
from srframework.text import did_you_mean, listed, nearest
from srframework.text_file import Encoding, open_input

if TYPE_CHECKING:
    from srframework.deployment.from_python import run
    from srframework.deployment.loaded_run import LoadedRun, LoadedStage, load_run
    from srframework.fixed_mask import FixedMask, ScoringPruner
    from srframework.masks import Mask
    from srframework.run.model_directory import ModelDirectory
    from srframework.scores import (
        in_entries,
        in_units,
        keep_highest,
        keep_n_of_m,
        pruned_count,
        require_fit,
    )
    from srframework.selection import border_of_lowest, mark_lowest, mark_lowest_of
    from srframework.subnetwork.artifact import Subnetwork, load_subnetwork
    from srframework.subnetwork.lock import lock, unlock
    from srframework.sweeps.worker import run_job

__version__ = "0.1.0"

__all__ = [
    "API",
    "Backbone",
    "BackboneError",
    "BiasModel",
    "Component",
    "DataError",
    "Dataset",
    "Debiaser",
    "Encoding",
    "Evaluated",
    "Evaluator",
    "Figure",
    "FileProblem",
    "Finding",
    "FixedMask",
    "InputDirectory",
    "InputFile",
    "Job",
    "JobResult",
    "KeptLevels",
    "LaterFile",
    "Launcher",
    "LoadedRun",
    "LoadedStage",
    "Location",
    "LossInputs",
    "Mask",
    "MissingColumn",
    "ModelDirectory",
    "Network",
    "Options",
    "ParameterGroup",
    "Pattern",
    "Phase",
    "PluginError",
    "Predictions",
    "PruneOptions",
    "Pruner",
    "ReferencedStage",
    "RowFile",
    "SRFrameworkError",
    "Scope",
    "ScoringPruner",
    "Split",
    "StageReference",
    "Subnetwork",
    "TaskData",
    "TrainingContext",
    "UsageError",
    "WorkerDied",
    "border_of_lowest",
    "cubic_sparsity",
    "did_you_mean",
    "directory_problem",
    "hookimpl",
    "in_entries",
    "in_units",
    "keep_highest",
    "keep_n_of_m",
    "keeps_level",
    "listed",
    "load_run",
    "load_subnetwork",
    "lock",
    "mark_lowest",
    "mark_lowest_of",
    "nearest",
    "open_input",
    "pruned_count",
    "require_fit",
    "require_reached",
    "run",
    "run_job",
    "unlock",
]

_HEAVY = {
    "FixedMask": "srframework.fixed_mask",
    **dict.fromkeys(("LoadedRun", "LoadedStage", "load_run"), "srframework.deployment.loaded_run"),
    "Mask": "srframework.masks",
    "ModelDirectory": "srframework.run.model_directory",
    "ScoringPruner": "srframework.fixed_mask",
    **dict.fromkeys(
        ("in_entries", "in_units", "keep_highest", "keep_n_of_m", "pruned_count", "require_fit"),
        "srframework.scores",
    ),
    **dict.fromkeys(("border_of_lowest", "mark_lowest", "mark_lowest_of"), "srframework.selection"),
    **dict.fromkeys(("Subnetwork", "load_subnetwork"), "srframework.subnetwork.artifact"),
    **dict.fromkeys(("lock", "unlock"), "srframework.subnetwork.lock"),
    "run_job": "srframework.sweeps.worker",
}


def __getattr__(name: str) -> Any:
    if name == "run":  # the package itself can be called
        return importlib.import_module("srframework.run")
    if name in _HEAVY:
        return getattr(importlib.import_module(_HEAVY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
