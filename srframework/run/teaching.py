"""The predictions of a stage on training examples, for the losses and pruners that refer to it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from safetensors.numpy import load_file, save_file

from srframework.contracts import Network, Split
from srframework.recipe.model import Stage
from srframework.run.machine import record
from srframework.run.resources import Materials
from srframework.store.drafts import Sums, emptied

LOG_PROBS = "log_probs.safetensors"


def write_log_probs(
    network: Network, split: Split, stage: Stage, materials: Materials, accelerator: Accelerator, into: Path
) -> Sums | None:
    """Write the log-probabilities of a model; return the checksums, or None if not the first process.

    Args:
        network: The model that teaches.
        split: The examples.
        stage: The stage that learns; its options are used.
        materials: Data of the recipe.
        accelerator: Device and processes, which all call this together.
        into: Directory of the file.
    """
    sums = emptied(into) if accelerator.is_main_process else None
    if sums is not None:
        record(into, sums, str(accelerator.device))
    logits = torch.from_numpy(materials.logits(network.model.to(accelerator.device), split, stage))
    if sums is not None:
        with sums.file(into / LOG_PROBS) as temporary:
            save_file({"log_probs": logits.log_softmax(dim=-1).numpy()}, temporary)
    return sums


def read_log_probs(directory: Path) -> np.ndarray:
    """Read the log-probabilities, ``(N, C)``, float32."""
    log_probs: np.ndarray = load_file(directory / LOG_PROBS)["log_probs"]
    return log_probs
