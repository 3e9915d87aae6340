"""Where a model is: a local directory, or a copy of one on the Hugging Face hub, less all files that may be unsafe."""

from __future__ import annotations

import os
from pathlib import Path

from huggingface_hub import snapshot_download

from srf_backbones.configuration import one_line
from srf_backbones.words import FILES
from srframework import BackboneError, ModelDirectory

_WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "model-*.safetensors")


def model_directory(path: str, revision: str | None) -> ModelDirectory:
    """The directory of a model; of one on the hub, downloaded where it is not in the cache.

    Raises:
        BackboneError: There is no such model; ``path`` and the reason are not said, since the caller does.
    """
    if os.path.isdir(path):
        return ModelDirectory(Path(path))
    try:
        return ModelDirectory(Path(snapshot_download(path, revision=revision, allow_patterns=[*FILES, *_WEIGHTS])))
    except MemoryError:
        raise
    except Exception as error:  # of the hub, of the network and of the disk, which share no base
        raise BackboneError(one_line(error)) from error
