"""Loads a data set or a backbone in other processes, whose hash seeds differ."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from srframework.testing import loads
from srframework.testing.check import NotApplicable, Subject, require
from srframework.testing.small_task import LABELS

_HASH_SEEDS = ("1", "12345")
"""Two, because the order of a small set is often the same with another seed."""


def loaded_elsewhere(subject: Subject, processes: int = 2) -> list[list[str]]:
    """Load the component's example with seed 1 in that many processes, 1 or 2; return the hashes that they print.

    Raises:
        NotApplicable: Another process cannot import the component.
        Violation: The component fails there.
    """
    factory: Any = subject.component.factory
    if isinstance(factory, str):
        module, _, name = factory.partition(":")
        file = None
    else:
        module, name, file = factory.__module__, factory.__qualname__, inspect.getsourcefile(factory)
    options = subject.component.options
    if "<" in name + options.__qualname__:
        raise NotApplicable("the class is local to a function")
    job = {
        "kind": subject.kind,
        "labels": LABELS,
        "path": [str(Path(each).absolute()) for each in sys.path],
        "factory": [module, name, file],
        "options": [options.__module__, options.__qualname__, inspect.getsourcefile(options)],
        "table": json.loads(json.dumps(subject.example, default=str)),
    }
    running = [_started(seed) for seed in _HASH_SEEDS[:processes]]
    for process in running:
        assert process.stdin is not None
        process.stdin.write(json.dumps(job))
        process.stdin.close()
        process.stdin = None
    return [_result(process) for process in running]


def _started(seed: str) -> subprocess.Popen[str]:
    return subprocess.Popen(  # noqa: S603 -- runs a file of this package
        [sys.executable, loads.__file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONHASHSEED": seed},
    )


def _result(process: subprocess.Popen[str]) -> list[str]:
    out, err = process.communicate()
    require(process.returncode == 0, f"load() fails in another process: {err.strip()[-300:]}")
    found: list[str] = json.loads(out.strip().splitlines()[-1])
    return found
