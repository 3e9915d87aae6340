"""Write the models of runs in other forms: for transformers, as an artifact, for ONNX Runtime, with the pattern 2:4."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from srframework.deployment.card import model_card, rows_of
from srframework.deployment.onnx import write_onnx
from srframework.deployment.saved_stage import SavedStage, find_stages
from srframework.deployment.semi_structured import write_semi_structured
from srframework.errors import UsageError
from srframework.files import remove, write_text
from srframework.masks import Mask
from srframework.report.result_rows import Row
from srframework.run.directory_lock import sentences
from srframework.run.paths import MODEL
from srframework.subnetwork.artifact import TENSORS
from srframework.subnetwork.manifest import NAME as MANIFEST
from srframework.subnetwork.writing import Content, write_artifact

Form = Literal["hf", "artifact", "onnx", "semi-structured"]
FORMS: tuple[Form, ...] = get_args(Form)

_PRUNED_ONLY = ("artifact", "semi-structured")
"""Forms that a dense model does not have."""


@dataclass(frozen=True)
class Exported:
    """A model in another form.

    Attributes:
        stage: The stage or point.
        form: Its form.
        path: Its directory.
        facts: What the form reports: bytes of an artifact, differences of ONNX, figures of 2:4.
    """

    stage: SavedStage
    form: Form
    path: Path
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ExportOptions:
    """How models are exported.

    Attributes:
        form: The form.
        out: A new or empty directory, with a directory RUN/STAGE for each model if there are several. None: into the
            directory of the stage.
        half: Round the stored values of an artifact to float16.
        levels: Write the masks of all kept levels of a stage into its artifact.
    """

    form: Form = "hf"
    out: Path | None = None
    half: bool = False
    levels: bool = False


def export(arguments: Sequence[str], options: ExportOptions | None = None) -> Iterator[Exported]:
    """Export models of runs.

    Args:
        arguments: ``DIR`` or ``DIR@STAGE``: all models of the runs under a directory, or those of a stage or point.
        options: How.

    Raises:
        UsageError: There is no such model, or the options do not fit it.
        BackboneError: A file of a model is missing or damaged.
        RunDirectoryError: The directory cannot be written.
    """
    options = options or ExportOptions()
    if options.form != "artifact" and (options.half or options.levels):
        raise UsageError(f"--half and --levels: expected --to artifact, got --to {options.form}")
    stages = find_stages(arguments)
    if options.form in _PRUNED_ONLY:
        # Where no stage is named, dense models are left out.
        pruned = [stage for stage in stages if len(stage.mask())]
        if not pruned:
            raise UsageError(f"--to {options.form}: expected a model with a mask, got {stages[0]}, which is dense")
        stages = pruned
    if options.out is not None and options.out.exists() and (not options.out.is_dir() or any(options.out.iterdir())):
        raise UsageError(f"--out {options.out}: expected a new or an empty directory, got another one")
    places = {stage: _place(stage, options, several=len(stages) > 1) for stage in stages}
    if len(set(places.values())) < len(places):
        names = ", ".join(sorted({str(stage.run) for stage in stages}))
        raise UsageError(f"--out {options.out}: expected runs whose directories have different names, got {names}")
    rows = rows_of(stages) if options.form == "hf" else {}
    for stage, place in places.items():
        with sentences(stage.run if options.out is None else options.out):
            place.parent.mkdir(parents=True, exist_ok=True)
            facts = _write(stage, place, options, rows.get(stage))
        yield Exported(stage, options.form, place, facts)


def _place(stage: SavedStage, options: ExportOptions, several: bool) -> Path:
    if options.out is None:
        return stage.place / (MODEL if options.form == "hf" else options.form)
    return options.out / stage.run.name / str(stage.reference) if several else options.out


def _write(stage: SavedStage, place: Path, options: ExportOptions, row: Row | None) -> dict[str, Any]:
    if options.form == "hf":
        return _hf(stage, place, options, row)
    remove(place)  # of an earlier export, or an empty directory
    if options.form == "artifact":
        return _artifact(stage, place, options)
    return (write_onnx if options.form == "onnx" else write_semi_structured)(stage, place)


def _hf(stage: SavedStage, place: Path, options: ExportOptions, row: Row | None) -> dict[str, Any]:
    is_new = not place.is_dir() or not any(place.iterdir())
    if options.out is not None:
        remove(place)
        stage.saved.copy(place)
    elif stage.saved.is_packed:
        stage.saved.unpack(place)
    write_text(place / "README.md", model_card(stage, row))
    return {"new": is_new}


def _artifact(stage: SavedStage, place: Path, options: ExportOptions) -> dict[str, Any]:
    mask = stage.mask()
    recipe = stage.recipe_table
    content = Content(
        weights=stage.saved.weights(),
        masks=[*_levels(stage, mask), mask] if options.levels else [mask],
        config=stage.config(),
        base=stage.origin(),
        dtype="float16" if options.half else "float32",
        tokenizer=stage.tokenizer_files(),
        about={
            "recipe": recipe["name"],
            "seed": recipe["seed"],
            "stage": str(stage.reference),
            "settings": stage.stage_table,
        },
    )
    manifest = write_artifact(content, place)
    size = sum((place / name).stat().st_size for name in (MANIFEST, TENSORS))  # without the tokenizer
    base = None if manifest.base is None else {"name": manifest.base.name, "sha256": manifest.base.sha256}
    return {"bytes": size, "dense_bytes": _size(content), "levels": manifest.levels, "base": base}


def _levels(stage: SavedStage, mask: Mask) -> list[Mask]:
    """Return the masks of the levels below the end of a stage, from the densest.

    Raises:
        UsageError: The stage keeps no such level.
    """
    if stage.reference.point is not None:
        raise UsageError(f"--levels: expected a stage, got the point {stage.reference}")
    found = [each for each in stage.levels().values() if each.sparsity < mask.sparsity]
    if not found:
        raise UsageError(f"--levels: expected a stage that keeps sparsity levels, got {stage}, which keeps none")
    return sorted(found, key=lambda each: each.sparsity)


def _size(content: Content) -> int:
    return sum(each.numel() * each.element_size() for each in content.weights.values())
