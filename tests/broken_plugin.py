"""A distribution with one component, in source, and a recipe that uses it."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

HEAD = """\
import torch
import numpy as np
from torch.nn import functional as F
from pydantic import Field, field_validator, model_validator
from srframework import *
from srframework import FixedMask, Mask
from srf_backbones.options import TinyOptions
from srf_backbones.tiny import TinyBert
from srf_datasets.synthetic_options import SyntheticOptions
from srf_datasets.synthetic import Synthetic

class Own(BaseException):
    pass

class Mute(Exception):
    def __str__(self):
        raise RuntimeError("no text")

def fail(error=ValueError):
    raise error("not today:\\n  never")

class Declaring(Evaluator):
    def figures(self):
        return [Figure(name, "fraction", "higher", "A figure.") for name in ("accuracy", "x")]

class MyOptions({base}):
    depth: int = Field(1, description="A depth.")
    {options}

class Mine({contract}):
    {body}

{more}

@hookimpl
def srframework_{hook}s():
    return [Component(**dict(name="mine", options=MyOptions, factory=Mine, summary="x", source="y") | dict({fields}))]
"""

CONTRACTS = {
    "debiaser": "Debiaser",
    "bias": "BiasModel",
    "pruner": "FixedMask",
    "evaluator": "Declaring",
    "dataset": "Synthetic",
    "backbone": "TinyBert",
}


BASES = {"dataset": "SyntheticOptions", "backbone": "TinyOptions"}


LOSS = "def loss(self, inputs):\n    return F.cross_entropy(inputs.logits, inputs.labels)\n"

PLUGIN_RECIPE = """\
name = "zoo"
schema = 1
backbone = { use = "BACKBONE", layers = 1, width = 16, heads = 2, intermediate = 16 }
dataset = { use = "DATASET", train_size = 12, dev_size = 6, ood_size = 6 }
evaluators = [EVALUATOR]
training = { max_steps = 2, batch_size = 2, max_length = 16, eval_every = 1, log_every = 1 }
BIAS

[[stages]]
name = "only"
op = "prune"
pruner = { use = "PRUNER" }
loss = { use = "DEBIASER" }
"""


DEFAULTS = {
    "backbone": "tiny",
    "dataset": "synthetic",
    "pruner": "mask",
    "debiaser": "std",
    "evaluator": '"accuracy"',
    "bias": "",
}


NUMBERS = itertools.count()


def body(method: str, result: str) -> str:
    return f"def {method}(self, *args):\n    {result}"


STAGED = {"debiaser", "pruner"}


def blamed(done, kind: str, stage: bool) -> None:
    assert done.code == 3, done.err
    assert "Traceback" not in done.err
    (line,) = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert f"{kind} 'mine' of zoo 1.2" in line
    assert ("stages.only" in line) >= stage, line
    if log := re.search(r"the traceback is in (\S+)", line):
        assert "Traceback" in (Path.cwd() / log[1]).read_text() if log[1].startswith("/") else True
