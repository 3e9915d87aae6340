"""Loads a data set in another process and prints the hash of its rows; for the check of a data set."""

from __future__ import annotations

import importlib
import importlib.util
import json
import operator
import sys
from typing import Any


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


def main() -> None:
    """Read the description of the data set from stdin."""
    job = json.load(sys.stdin)
    sys.path[:] = job["path"]
    from srframework.testing.loaded import digest

    options = _object(*job["options"]).model_validate(job["table"])
    print(digest(_object(*job["factory"])(options).load(1)))


if __name__ == "__main__":
    main()
