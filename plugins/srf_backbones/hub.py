"""Finds the directory of a model: a local one, or a download from the Hugging Face hub without unsafe files."""

from __future__ import annotations

import os
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import LocalEntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError

from srf_backbones.configuration import one_line
from srf_backbones.words import FILES
from srframework import BackboneError, ModelDirectory

_WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "model-*.safetensors")


def model_directory(path: str, revision: str | None) -> ModelDirectory:
    """Find the directory of a model. A model on the hub is downloaded if it is not in the cache.

    Raises:
        BackboneError: The model is not found; gives the reason. The caller adds ``path``.
    """
    if os.path.isdir(path):
        return ModelDirectory(Path(path))
    try:
        return ModelDirectory(Path(snapshot_download(path, revision=revision, allow_patterns=[*FILES, *_WEIGHTS])))
    except MemoryError:
        raise
    except LocalEntryNotFoundError as error:
        raise BackboneError("it is not in the local cache, and the hub cannot be reached") from error
    except RepositoryNotFoundError as error:
        raise BackboneError("the hub has no such model, or it is not public") from error
    except RevisionNotFoundError as error:
        raise BackboneError(f"the hub has the model, but no revision {revision!r} of it") from error
    except Exception as error:  # errors of hub, network and disk have no common base class
        raise BackboneError(one_line(error)) from error
