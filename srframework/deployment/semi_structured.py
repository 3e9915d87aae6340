"""The model of a stage with the pattern 2:4, and what this costs on the data of its recipe."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from srframework.deployment.saved_stage import SavedStage
from srframework.errors import UsageError
from srframework.masks import Mask
from srframework.pruning import Pattern
from srframework.run.api import quieten
from srframework.run.paths import MASK, MODEL
from srframework.run.resources import Materials
from srframework.scores import keep_n_of_m
from srframework.subnetwork.base import build_model, configuration

PATTERN = Pattern.parse("2:4")


def project(weight: Tensor) -> Tensor:
    """Return the entries that the pattern 2:4 keeps: the two largest magnitudes of each four neighbours in a row.

    Entries that are 0 already are pruned first, so nothing is lost where two of four are 0; among ties the first is
    kept. Kept entries may be 0.

    Args:
        weight: ``(d_out, d_in)``, d_in a multiple of 4.

    Returns:
        Bool, of the same shape.

    >>> project(torch.tensor([[0.0, -3.0, 1.0, 2.0]]))
    tensor([[False,  True, False,  True]])
    """
    return keep_n_of_m(weight.abs(), PATTERN)


def write_semi_structured(stage: SavedStage, place: Path) -> dict[str, Any]:
    """Write the projected model for plain transformers, with its mask, and evaluate it on the data of the recipe.

    Args:
        stage: A stage or point with a mask.
        place: A new directory.

    Returns:
        ``matrices``: number of projected matrices; ``removed``: entries that the mask kept and 2:4 prunes; ``kept``:
        entries that both keep; ``metric``; and ``splits``: ID and OOD splits -> the figures ``before`` and ``after``.

    Raises:
        UsageError: A row is no multiple of 4; names the matrix.
        SRFrameworkError: The data or the model cannot be loaded.
    """
    quieten()
    weights, mask = stage.saved.weights(), stage.mask()
    kept: dict[str, Tensor] = {}
    for name, matrix in mask.items():
        if matrix.shape[-1] % 4:
            expected = "expected matrices whose rows have a multiple of 4 entries"
            raise UsageError(f"--to semi-structured: {expected}, got {matrix.shape[-1]} in {name}")
        weight = weights[f"{name}.weight"]
        kept[name] = project(weight) & matrix
        weights[f"{name}.weight"] = weight.masked_fill(~kept[name], 0.0)
    projected = Mask(kept)
    recipe = stage.recipe()
    materials = Materials(recipe, Accelerator())
    of_stage = next(each for each in recipe.stages if each.name == stage.reference.stage)
    before = _figures(materials, of_stage, stage.place)
    with tempfile.TemporaryDirectory() as scratch:
        model = build_model(configuration(stage.config(), str(stage.place)), weights, str(stage.place))
        model.save_pretrained(Path(scratch) / MODEL)
        after = _figures(materials, of_stage, Path(scratch))
    model.save_pretrained(place)
    for path in stage.tokenizer_files():
        (place / path.name).write_bytes(path.read_bytes())
    projected.save(place / MASK)
    splits = {name: {"before": before[name], "after": after[name]} for name in before}
    both, left = projected.entries - projected.pruned, mask.entries - mask.pruned
    metric = {"metric": materials.metric.name, "unit": materials.metric.unit, "id": materials.reported.name}
    return {"matrices": len(mask), "removed": left - both, "kept": both, **metric, "splits": splits}


def _figures(materials: Materials, stage: Any, place: Path) -> dict[str, float]:
    model = materials.load(place).model
    with torch.inference_mode():
        return {
            split.name: materials.figure(materials.evaluators.figures(materials.predictions(model, split, stage)))
            for split in (materials.reported, *materials.task.ood)
        }
