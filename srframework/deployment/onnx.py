"""A model for ONNX Runtime, compared with PyTorch when it is written."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoTokenizer, PreTrainedModel

from srframework.deployment.saved_stage import SavedStage
from srframework.errors import SRFrameworkError, UsageError

FILE = "model.onnx"

TOLERANCE = 1e-4
"""Largest difference of a logit between ONNX Runtime and PyTorch."""

_NEEDED = ("onnx", "onnxruntime", "onnxscript")

_SHAPES = ((1, 5), (3, 12), (2, 31))
"""Batches that are compared: examples, tokens; the export must not have fixed either."""


class _Logits(torch.nn.Module):
    """Tokens -> logits, without the table around them."""

    def __init__(self, model: PreTrainedModel, inputs: list[str]) -> None:
        super().__init__()
        self.model, self.inputs = model, inputs

    def forward(self, *tensors: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.model(**dict(zip(self.inputs, tensors, strict=True))).logits
        return logits


def write_onnx(stage: SavedStage, place: Path) -> dict[str, Any]:
    """Write ``model.onnx``, the configuration and the tokenizer, and compare logits of random batches with PyTorch.

    Args:
        stage: The stage or point.
        place: A new directory.

    Returns:
        ``difference``: the largest difference of a logit; ``batches``: how many were compared.

    Raises:
        UsageError: A package of the extra ``onnx`` is missing.
        SRFrameworkError: A logit differs by more than 1e-4; no model is written.
    """
    if missing := [name for name in _NEEDED if importlib.util.find_spec(name) is None]:
        raise UsageError(f"--to onnx: {', '.join(missing)} not installed; run `pip install 'srframework[onnx]'`")
    model = stage.model().eval()
    place.mkdir()
    model.config.save_pretrained(place)
    for path in stage.tokenizer_files():
        (place / path.name).write_bytes(path.read_bytes())
    inputs = [name for name in AutoTokenizer.from_pretrained(place).model_input_names if name != "labels"]
    _export(_Logits(model, inputs).eval(), inputs, place / FILE, model.config.vocab_size)
    difference = max(_difference(model, inputs, place / FILE, shape) for shape in _SHAPES)
    if not difference <= TOLERANCE:
        (place / FILE).unlink()
        raise SRFrameworkError(
            f"{place / FILE}: expected logits within {TOLERANCE:g} of PyTorch's, got a difference of {difference:g}"
        )
    return {"difference": difference, "batches": len(_SHAPES)}


def _batch(inputs: list[str], shape: tuple[int, int], vocabulary: int) -> tuple[torch.Tensor, ...]:
    """Return a batch of random tokens; every second example is padded to half of its length."""
    generator = torch.Generator().manual_seed(shape[1])
    mask = torch.ones(shape, dtype=torch.int64)
    mask[1::2, shape[1] // 2 :] = 0
    tensors = {
        "input_ids": torch.randint(0, vocabulary, shape, generator=generator),
        "attention_mask": mask,
        "token_type_ids": torch.zeros(shape, dtype=torch.int64),
    }
    return tuple(tensors[name] for name in inputs)


def _export(model: _Logits, inputs: list[str], path: Path, vocabulary: int) -> None:
    axes = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    # The exporter writes its progress and the warnings of its dependencies.
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model,
            _batch(inputs, (2, 8), vocabulary),
            path,
            input_names=inputs,
            output_names=["logits"],
            dynamic_shapes=(tuple(axes for _ in inputs),),
            dynamo=True,
            external_data=False,
            verbose=False,
        )


def _difference(model: PreTrainedModel, inputs: list[str], path: Path, shape: tuple[int, int]) -> float:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    batch = _batch(inputs, shape, model.config.vocab_size)
    (found,) = session.run(["logits"], {name: each.numpy() for name, each in zip(inputs, batch, strict=True)})
    with torch.inference_mode():
        expected = model(**dict(zip(inputs, batch, strict=True))).logits.numpy()
    return float(np.abs(found - expected).max())
