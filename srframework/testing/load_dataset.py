"""Loads a data set in another process and prints the hash of its rows; for the check of a data set.

The process runs this file and imports nothing from here, because the package imports torch, which is slow.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import operator
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from srframework.contracts import Split, TaskData


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

    return hashing.digest([[split.name, split.labels, split.examples.to_dict()] for split in splits_of(data)])


def main() -> None:
    """Read the description of the data set from stdin."""
    job = json.load(sys.stdin)
    sys.path[:] = job["path"]
    options = _object(*job["options"]).model_validate(job["table"])
    print(digest(_object(*job["factory"])(options).load(1)))


if __name__ == "__main__":
    main()
