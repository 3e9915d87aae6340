"""Checks of a data set's seed: the same rows again, in another process, and other rows with another seed."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from srframework.testing import load_dataset
from srframework.testing.check import NotApplicable, Subject, require
from srframework.testing.load_dataset import digest
from srframework.testing.loaded import loaded
from srframework.testing.randomness import global_states, untouched_states, watched_generators


def same_rows_again(subject: Subject) -> None:
    """Two loads with one seed give the same rows."""
    one, dataset = digest(loaded(subject)), subject.build()
    dataset.load(2)
    require(digest(dataset.load(1)) == one, "two loads with seed 1 give different rows")


def seed_decides(subject: Subject) -> None:
    """The rows do not depend on the global random states, and loading leaves those as they were."""
    digests, dataset = [], subject.build()
    for seed in (3, 4):
        with global_states(seed):
            digests.append(digest(subject.build().load(1)))
    require(digests[0] == digests[1], "the rows depend on a global random state; use the seed")
    with untouched_states("load()"):
        dataset.load(1)


def seed_matters(subject: Subject) -> None:
    """If anything is drawn, another seed gives other rows."""
    with watched_generators(subject.component) as drawn:
        one = digest(subject.build().load(1))
    if not drawn:
        raise NotApplicable("nothing is drawn")
    require(any(digest(subject.build().load(seed)) != one for seed in (2, 3)), "seeds 1, 2 and 3 give the same rows")


def same_rows_in_another_process(subject: Subject) -> None:
    """Another process with another hash seed loads the same rows."""
    factory: Any = subject.component.factory
    if isinstance(factory, str):
        module, _, name = factory.partition(":")
        file = None
    else:
        module, name, file = factory.__module__, factory.__qualname__, inspect.getsourcefile(factory)
    options = subject.component.options
    if "<" in name + options.__qualname__:
        raise NotApplicable("the class is local to a function")
    of_options = options.__module__, options.__qualname__, inspect.getsourcefile(options)
    job = {
        "path": [str(Path(each).absolute()) for each in sys.path],
        "factory": [module, name, file],
        "options": [*of_options],
        "table": json.loads(json.dumps(subject.example, default=str)),
    }
    environment = os.environ | {"PYTHONHASHSEED": "12345"}
    done = subprocess.run(  # noqa: S603 -- runs a file of this package
        [sys.executable, load_dataset.__file__],
        input=json.dumps(job),
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    require(done.returncode == 0, f"load() fails in another process: {done.stderr.strip()[-300:]}")
    same = done.stdout.strip().splitlines()[-1] == digest(loaded(subject))
    require(same, "another process with another hash seed loads other rows")


CHECKS = [same_rows_again, seed_decides, seed_matters, same_rows_in_another_process]
