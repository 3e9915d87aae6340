"""Loads a data set or a backbone in another process and prints a hash of it; for the checks of both.

The process runs this file and imports nothing from here, because the package imports torch, which is slow.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import json
import operator
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from srframework.contracts import Network, Split, TaskData


def _object(module: str, name: str, file: str | None) -> Any:
    try:
        found = importlib.import_module(module)
    except ImportError:
        spec = importlib.util.spec_from_file_location(module, file or "")
        assert spec is not None, f"cannot import {module}"
        assert spec.loader is not None
        found = sys.modules[module] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(found)
    return operator.attrgetter(name)(found)


def splits_of(data: TaskData) -> list[Split]:
    """Return all splits of a task, the training set first."""
    return [data.train, *data.evaluated, *([data.ood_train] if data.ood_train is not None else [])]


def digest(data: TaskData) -> str:
    """Return a hash of all rows of all splits."""
    from srframework import hashing

    found = [[split.name, split.labels, repr(split.examples.to_dict())] for split in splits_of(data)]
    return hashing.digest([found, data.labels])


def features_digest(data: TaskData) -> str:
    """Return a hash of the spurious features of all splits, rounded."""
    import numpy as np

    from srframework import hashing

    if data.spurious_features is None:
        return ""
    found = [np.asarray(data.spurious_features(split, _vectors), dtype=np.float64) for split in splits_of(data)]
    return hashing.digest([(rows.round(6) + 0.0).tolist() for rows in found])


def _vectors(words: Sequence[str]) -> np.ndarray:
    import numpy as np

    return np.array([[sum(map(ord, word)) % 7, len(word)] for word in words], dtype=np.float32).reshape(len(words), 2)


def network_digest(network: Network) -> str:
    """Return a hash of a model: its weights, its labels, its vocabulary and its prunable modules."""
    import torch

    from srframework import hashing

    weights = {
        name: hashlib.sha256(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()).hexdigest()
        for name, value in network.model.state_dict().items()
    }
    id2label: Any = network.model.config.id2label
    labels = [id2label[index] for index in sorted(id2label)]
    return hashing.digest([weights, labels, network.tokenizer.get_vocab(), list(network.prunable.items())])


def main() -> None:
    """Read the description of the component from stdin."""
    job = json.load(sys.stdin)
    sys.path[:] = job["path"]
    options = _object(*job["options"]).model_validate(job["table"])
    component = _object(*job["factory"])(options)
    if job["kind"] == "dataset":
        data = component.load(1)
        print(json.dumps([digest(data), features_digest(data)]))
    else:
        print(json.dumps([network_digest(component.load(job["labels"], 1))]))


if __name__ == "__main__":
    main()
