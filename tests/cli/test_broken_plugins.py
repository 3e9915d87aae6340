"""Plugins that are broken in every way that the contracts leave open: exit 3, one sentence, and who is to blame."""

from __future__ import annotations

import itertools
import json
import re
import sys
import tempfile
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from srframework.component import KINDS
from srframework.sweeps.worker import _registry

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

HEAD = """\
import torch
import numpy as np
from torch.nn import functional as F
from pydantic import Field, field_validator, model_validator
from srframework import *
from srframework import FixedMask, Mask
from srf_backbones.options import TinyOptions
from srf_backbones.tiny import TinyBert
from srf_datasets.options import SyntheticOptions
from srf_datasets.synthetic import Synthetic

class Own(BaseException):
    pass

class Mute(Exception):
    def __str__(self):
        raise RuntimeError("no text")

def fail(error=ValueError):
    raise error("not today:\\n  never")

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
    "evaluator": "Evaluator",
    "dataset": "Synthetic",
    "backbone": "TinyBert",
}
BASES = {"dataset": "SyntheticOptions", "backbone": "TinyOptions"}
LOSS = "def loss(self, inputs):\n    return F.cross_entropy(inputs.logits, inputs.labels)\n"

RECIPE = """\
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


@pytest.fixture
def zoo(tmp_path, monkeypatch, perform) -> Callable[..., object]:
    """Install a distribution with one component, ``mine``, and run a recipe that uses it."""
    site = tmp_path / "site"
    work = tmp_path / "work"
    site.mkdir()
    work.mkdir()
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def install(kind: str, body: str = "pass", more="", fields="", options="", contract=None, code=None) -> str:
        _registry.cache_clear()  # a process of its own would not have it yet
        module = f"zoo_animal_{next(NUMBERS)}"
        slots = {
            "body": textwrap.indent(body, "    ").strip(),
            "more": more,
            "fields": fields,
            "options": textwrap.indent(options, "    ").strip(),
            "contract": contract or CONTRACTS[kind],
            "base": BASES.get(kind, "Options"),
            "hook": KINDS[kind].replace(" ", "_"),
        }
        text = HEAD
        for name, value in slots.items():
            text = text.replace(f"{{{name}}}", value)
        (site / f"{module}.py").write_text(text if code is None else code)
        info = site / f"{module}-1.2.dist-info"
        info.mkdir()
        info.joinpath("entry_points.txt").write_text(f"[srframework]\nmine = {module}\n")
        info.joinpath("METADATA").write_text("Metadata-Version: 2.1\nName: zoo\nVersion: 1.2\n")
        return module

    def write(kind: str, name: str = "mine", **others: str) -> Path:
        text = RECIPE
        value = {"evaluator": f'"{name}"', "bias": f'bias = "{name}"'}.get(kind, name)
        for each, default in {**DEFAULTS, **others, kind: value}.items():
            text = text.replace(each.upper(), default)
        (work / "zoo.toml").write_text(text)
        return work / "zoo.toml"

    def run(kind: str, use="mine", command=("run",), args=(), others=None, recipe=True, **code):
        install(kind, **code)
        write(kind, use, **({"debiaser": "poe"} if kind == "bias" else {}), **(others or {}))
        file = ("zoo.toml",) if recipe else ()
        out = ("--out", "out") if command[0] in ("run", "sweep") else ()
        return perform(*command, *file, *out, *args, cwd=work)

    run.install, run.recipe, run.work, run.perform = install, write, work, perform
    return run


def body(method: str, result: str) -> str:
    return f"def {method}(self, *args):\n    {result}"


RAISES = {
    "debiaser": [
        "__init__", "attach", "parameters", "loss",
    ],
    "pruner": [
        "__init__", "attach", "phases", "parameters", "begin", "before_step", "after_step", "update_mask", "complete",
        "changes_mask", "masks",
    ],
    "evaluator": ["__init__", "applies_to", "evaluate", "measure"],
    "dataset": ["__init__", "load", "sizes"],
    "backbone": ["__init__", "load"],
}  # fmt: skip
STAGED = {"debiaser", "pruner"}


def blamed(done, kind: str, stage: bool) -> None:
    assert done.code == 3, done.err
    assert "Traceback" not in done.err
    (line,) = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert f"{kind} 'mine' of zoo 1.2" in line
    assert ("stages.only" in line) >= stage, line
    if log := re.search(r"the traceback is in (\S+)", line):
        assert "Traceback" in (Path.cwd() / log[1]).read_text() if log[1].startswith("/") else True


@pytest.mark.parametrize(("kind", "method"), [(kind, method) for kind, methods in RAISES.items() for method in methods])
def test_a_method_that_raises_is_the_plugins_fault(zoo, kind, method):
    more = LOSS if kind == "debiaser" and method != "loss" else ""
    done = zoo(kind, body=more + body(method, "fail(AttributeError)"))
    blamed(done, kind, kind in STAGED)
    assert "AttributeError: not today: never" in done.err
    assert "cannot be imported" not in done.err


ERRORS = {
    "exit": "raise SystemExit('bye')",
    "exit 0": "raise SystemExit(0)",
    "own": "raise Own('mine')",
    "stop": "raise StopIteration",
    "generator": "raise GeneratorExit",
    "type": "return len(3)",
    "key": "return {}['x']",
    "recursion": "return self.loss(*args)",
    "mute": "raise Mute",
    "import": "import no_such_module_at_all",
    "assertion": "assert False, 'no'",
    "long": "raise ValueError('x' * 10**6)",
    "surrogate": "raise ValueError('\\udc80')",
    "unicode": "b'\\xff'.decode()",
    "group": "raise BaseExceptionGroup('g', [Own('x')])",
    "missing file": "open('/no/such/file')",
}


@pytest.mark.parametrize("code", ERRORS.values(), ids=ERRORS)
@pytest.mark.parametrize("method", ["__init__", "loss"])
def test_whatever_a_loss_raises_is_a_sentence(zoo, code, method):
    more = "" if method == "loss" else LOSS
    code = code.replace("self.loss", f"self.{method}")
    done = zoo("debiaser", body=more + body(method, code))
    blamed(done, "debiaser", True)
    assert len(done.err) < 4000


RETURNS = {
    "debiaser": {
        "loss": [
            "return None", "return 1.0", "return args[0].logits", "return F.cross_entropy(args[0].logits, "
            "args[0].labels).detach()", "return args[0].logits.sum() * float('nan')", "return torch.tensor(3)",
            "return (args[0].logits.sum(),)", "return args[0].logits.argmax(-1).sum()", "yield 1",
        ],
        "parameters": ["return None", "return 3", "return ['x']", "yield from 'ab'", "return torch.ones(2)"],
    },
    "pruner": {
        "phases": ["return None", "return []", "return [3]", "return 'ab'", "return [Phase(-1)]", "return [Phase('x')]",
                   "return [Phase(2, 7.0)]", "return [Phase(1, 'x')]", "return Phase(3)"],
        "parameters": ["return None", "return []", "return [1]", "return [torch.ones(2, requires_grad=True) * 2]"],
        "complete": ["return None", "return 'yes'"],
        "changes_mask": ["return 3"],
        "masks": ["return None", "return {}"],
    },
    "evaluator": {
        "applies_to": ["return None", "return 'no'"],
        "evaluate": ["return None", "return 3", "return {'x': 'y'}", "return {3: 1.0}", "return {'x': float('nan')}",
                     "return [('x', 1.0)]", "return {'x': None}"],
        "measure": ["return None", "return {'x': [1]}", "return {'x': float('inf')}"],
    },
    "dataset": {
        "sizes": ["return None", "return {'train': 'many'}", "return {'train': -3}", "return 3", "return {3: 3}"],
        "load": ["return None", "return {}", "return 'x'", "return TaskData"],
    },
    "backbone": {
        "load": ["return None", "return 'model'", "return super().load(*args).model",
                 "return Network(None, None, {})",
                 "n = super().load(*args); return Network(n.model, n.tokenizer, {'nowhere': 'encoder'})",
                 "n = super().load(*args); return Network(n.model, n.tokenizer, {'bert': 'encoder'})",
                 "n = super().load(*args); return Network(n.model, n.tokenizer, dict.fromkeys(n.prunable, 'body'))",
                 "n = super().load(*args); return Network(n.model, n.tokenizer, None)",
                 "n = super().load(*args); return Network(n.model, 'tokenizer', n.prunable)"],
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "method", "result"),
    [(kind, method, each) for kind, by in RETURNS.items() for method, results in by.items() for each in results],
)
def test_a_method_that_returns_something_else_is_the_plugins_fault(zoo, kind, method, result):
    more = LOSS if kind == "debiaser" and method != "loss" else ""
    done = zoo(kind, body=more + body(method, result))
    blamed(done, kind, kind in STAGED)
    assert f"{method}()" in done.err


TASKS = {
    "labels": "labels=()",
    "label twice": "labels=('a', 'a', 'b')",
    "labels are a string": "labels='abc'",
    "metric": "metric=3",
    "no split": "dev=None",
    "another split": "train='train'",
    "ood": "ood=None",
    "same names": "ood=(task.dev,)",
    "rows": "train=replace(task.train, examples=[1, 2])",
    "columns": "train=replace(task.train, examples=task.train.examples.remove_columns(['text_a']))",
    "label values": "train=replace(task.train, examples=task.train.examples.map(lambda row: {'label': 7}))",
    "label types": "train=replace(task.train, examples=task.train.examples.remove_columns('label')"
    ".add_column('label', ['x'] * len(task.train.examples)))",
    "text types": "train=replace(task.train, examples=task.train.examples.remove_columns('text_a')"
    ".add_column('text_a', [1] * len(task.train.examples)))",
    "empty": "train=replace(task.train, examples=task.train.examples.select([]))",
    "collapse": "dev=replace(task.dev, collapse=(0, 9, 1))",
    "merged": "merged_labels=('nobody',)",
    "notes": "notes=(3,)",
    "features": "spurious_features=3",
}


@pytest.mark.parametrize("change", TASKS.values(), ids=TASKS)
def test_data_of_another_form_are_the_plugins_fault(zoo, change):
    code = f"from dataclasses import replace\ntask = super().load(*args)\nreturn replace(task, {change})"
    done = zoo("dataset", body="def load(self, *args):\n" + textwrap.indent(code, "    "))
    blamed(done, "dataset", False)


BIAS = "def fit(self, task, features):\n    pass\n"
BIAS_CASES = {
    "fit": "def fit(self, *args):\n    fail()\ndef log_probs(self, split):\n    return None",
    "exit": "def fit(self, *args):\n    raise SystemExit\ndef log_probs(self, split):\n    return None",
    "log_probs": BIAS + "def log_probs(self, split):\n    fail(TypeError)",
    "text": BIAS + "def log_probs(self, split):\n    return 'x'",
    "shape": BIAS + "def log_probs(self, split):\n    return np.zeros((2, 2))",
    "nan": BIAS + "def log_probs(self, split):\n    return np.full((len(split.examples), 3), np.nan)",
    "integers": BIAS + "def log_probs(self, split):\n    return np.zeros((len(split.examples), 3), dtype=int)",
    "__init__": BIAS + "def log_probs(self, split):\n    pass\ndef __init__(self, options):\n    fail()",
}


@pytest.mark.parametrize("code", BIAS_CASES.values(), ids=BIAS_CASES)
def test_a_broken_bias_model_is_the_plugins_fault(zoo, code):
    done = zoo("bias", body=code)
    blamed(done, "bias model", True)


FEATURES = [
    "fail()",
    "return None",
    "return np.zeros(3)",
    "return [['x']]",
    "return np.full((12, 2), np.nan)",
    "exit()",
]


@pytest.mark.parametrize("code", FEATURES)
def test_broken_spurious_features_are_the_plugins_fault(zoo, code):
    load = f"""\
def load(self, *args):
    from dataclasses import replace
    def features(split, vectors):
        {code}
    return replace(super().load(*args), spurious_features=features)"""
    others = {"debiaser": "poe", "bias": 'bias = "bias-logistic"'}
    done = zoo("dataset", body=load, fields="provides=('spurious-features',)", others=others)
    blamed(done, "dataset", True)


# -- before a run ----------------------------------------------------------------------------------

CHECKS = {
    "model validator": "@model_validator(mode='after')\ndef check(self):\n    fail(TypeError)",
    "field validator": "@field_validator('depth')\ndef check(cls, value):\n    raise KeyError(value)",
    "exit": "@model_validator(mode='before')\ndef check(cls, table):\n    raise SystemExit(2)",
    "default factory": "x: int = Field(default_factory=lambda: fail(RuntimeError), description='X.')",
    "default of another type": "x: int = Field('three', description='X.')",
    "default out of range": "x: float = Field(2.0, le=1, description='X.')",
    "default that is no TOML": "x: float = Field(float('nan'), description='X.')",
}
NEEDS = {
    "raises": "lambda options: fail(AttributeError)",
    "exits": "lambda options: exit(0)",
    "none": "lambda options: None",
    "a string": "lambda options: 'bias'",
    "numbers": "lambda options: [1, 2]",
    "one none": "lambda options: ['bias', None]",
    "a generator that raises": "lambda options: (fail() for _ in 'ab')",
    "no end": "lambda options: iter(int, 1)",
    "no arguments": "lambda: ()",
}


@pytest.mark.parametrize("command", ["validate", "run"])
@pytest.mark.parametrize("options", CHECKS.values(), ids=CHECKS)
def test_options_that_cannot_be_checked_are_the_plugins_fault(zoo, options, command):
    done = zoo("debiaser", body=LOSS, options=options, command=(command,))
    assert (done.code, "Traceback" in done.err) == (3, False), done.err
    assert "zoo.toml:" in done.err
    assert "stages.only.loss" in done.err
    assert "debiaser 'mine' of zoo 1.2" in done.err


def test_a_validator_that_refuses_a_value_is_no_fault_of_the_plugin(zoo):
    options = "@model_validator(mode='after')\ndef check(self):\n    raise ValueError('a depth that is odd')"
    done = zoo("debiaser", body=LOSS, options=options, command=("validate",))
    assert done.code == 2
    assert "a depth that is odd" in done.err


@pytest.mark.parametrize("what", ["requires", "provides"])
@pytest.mark.parametrize("needs", NEEDS.values(), ids=NEEDS)
def test_needs_that_are_none_are_the_plugins_fault(zoo, needs, what):
    kind = "debiaser" if what == "requires" else "dataset"
    done = zoo(kind, body=LOSS if what == "requires" else "pass", fields=f"{what}={needs}", command=("validate",))
    assert (done.code, "Traceback" in done.err) == (3, False), done.err
    assert f"{kind} 'mine' of zoo 1.2: its {what}" in done.err
    assert ("stages.only" in done.err) == (what == "requires")


FACTORIES = {
    "returns none": "lambda options: None",
    "returns a class": "lambda options: Mine",
    "returns another contract": "lambda options: TinyBert(options)",
    "takes nothing": "lambda: None",
    "exits": "lambda options: exit(0)",
    "abstract": "Debiaser",
    "nowhere": "'no_module_of_this_name:Mine'",
    "no attribute": "'srf_debiasers:Mine'",
    "no class": "'srf_debiasers:__name__'",
    "a module that raises": "'zoo_raising:Mine'",
    "a module that exits": "'zoo_exiting:Mine'",
    "a module that imports what is not there": "'zoo_importing:Mine'",
    "a module that is no Python": "'zoo_syntax:Mine'",
}


@pytest.mark.parametrize("factory", FACTORIES.values(), ids=FACTORIES)
def test_a_factory_that_makes_nothing_is_the_plugins_fault(zoo, factory):
    for name, code in {
        "raising": "raise AttributeError('inside')", "exiting": "raise SystemExit(0)",
        "importing": "import no_such_module_at_all", "syntax": "def (:",
    }.items():  # fmt: skip
        (zoo.work.parent / "site" / f"zoo_{name}.py").write_text(code)
    done = zoo("debiaser", body=LOSS, fields=f"factory={factory}")
    blamed(done, "debiaser", True)


def test_an_object_that_cannot_be_looked_at_is_the_plugins_fault(zoo):
    done = zoo("debiaser", body=LOSS + "def __getattribute__(self, name):\n    raise RuntimeError(name)\n")
    blamed(done, "debiaser", True)


# -- a plugin that is not there --------------------------------------------------------------------


@pytest.mark.parametrize("use", ["mine", "zoo/mine", "Zoo/mine"])
@pytest.mark.parametrize(
    "command", [("validate",), ("run",), ("run", "--dry-run"), ("sweep", "--grid", "seed=1,2")], ids=" ".join
)
def test_a_recipe_that_names_a_component_of_a_plugin_that_failed_ends_with_3(zoo, use, command):
    done = zoo("pruner", use=use, code="raise RuntimeError('no luck')", command=(command[0],), args=command[1:])
    assert (done.code, "Traceback" in done.err) == (3, False), done.err
    told = [line for line in done.err.splitlines() if not line.startswith("warning: ")]
    assert re.search(r"plugin 'mine' of zoo 1.2 failed to load: RuntimeError: no luck", "".join(told))
    assert "stages.only.pruner" in "".join(told)


def test_show_of_a_component_of_a_plugin_that_failed_ends_with_3(zoo):
    done = zoo("pruner", code="raise RuntimeError('no luck')", command=("show", "pruner/mine"), recipe=False)
    assert done.code == 3
    assert "failed to load: RuntimeError: no luck" in done.err.splitlines()[-1]


def test_a_name_that_the_failed_plugin_has_is_its_own_though_it_is_near_another(zoo):
    done = zoo("pruner", use="mask2", code="raise RuntimeError('no luck')\nNAME = 'mask2'", command=("validate",))
    assert done.code == 3


def test_a_misspelt_name_stays_a_mistake_while_another_plugin_is_broken(zoo):
    done = zoo("pruner", use="maskk", code="raise RuntimeError('no luck')", command=("validate",))
    assert done.code == 2
    assert "did you mean 'mask'?" in done.err


def test_what_a_blocked_plugin_has_is_told_to_be_blocked(zoo):
    zoo.install("pruner")
    zoo.recipe("pruner")
    done = zoo.perform("--block", "zoo", "validate", "zoo.toml", cwd=zoo.work)
    assert done.code == 2
    assert "plugin 'mine' of zoo 1.2 is not loaded, because of --block" in done.err


# -- what passes -----------------------------------------------------------------------------------

PASSES = {
    "data": ("raise DataError('row 3 is wrong')", 1, "error: row 3 is wrong"),
    "usage": ("raise UsageError('depth is wrong')", 2, "error: depth is wrong"),
    "disk": ("raise OSError(28, 'No space left on device', 'f')", 1, "No space left on device"),
    "memory": ("raise MemoryError", 1, "out of memory"),
    "torch memory": ("raise torch.OutOfMemoryError('CUDA out of memory')", 1, "out of memory"),
    "numpy memory": ("np.empty(10**17)", 1, "out of memory"),
    "cpu memory": ("torch.empty(10**17)", 1, "out of memory"),
    "interrupt": ("raise KeyboardInterrupt", 130, "Interrupted."),
}


@pytest.mark.parametrize("method", ["__init__", "loss"])
@pytest.mark.parametrize(("code", "exit_code", "told"), PASSES.values(), ids=PASSES)
def test_what_is_no_fault_of_a_plugin_does_not_blame_it(zoo, code, exit_code, told, method):
    more = LOSS if method != "loss" else ""
    done = zoo("debiaser", body=more + body(method, code))
    assert (done.code, "Traceback" in done.err) == (exit_code, False), done.err
    assert told in done.err
    assert "zoo 1.2" not in done.err
    if "memory" in told:
        assert "stages.only: " in done.err
        assert "batch_size" in done.err
        assert "max_length" in done.err
        assert method != "loss" or "while training" in done.err


# -- sweeps ----------------------------------------------------------------------------------------

ONE_CELL = """def loss(self, inputs):
    if self.options.depth == 2:
        {code}
    return F.cross_entropy(inputs.logits, inputs.labels)"""


@pytest.mark.parametrize("code", ["raise SystemExit(0)", "raise Own", "return None", "len(3)", "raise GeneratorExit"])
def test_a_cell_that_fails_stops_no_other(zoo, code):
    args = ("--grid", "stages.only.loss.depth=1,2,3")
    done = zoo("debiaser", body=ONE_CELL.format(code=code), command=("sweep",), args=args)
    assert (done.code, "Traceback" in done.err) == (1, False), done.err
    runs = json.loads((zoo.work / "out" / "sweep.json").read_text())
    runs = runs if isinstance(runs, list) else runs["runs"]
    errors = [run.get("error") for run in runs]
    assert [error is None for error in errors] == [True, False, True], errors
    assert "stages.only: debiaser 'mine' of zoo 1.2" in errors[1]
    if log := re.search(r"the traceback is in (\S+)", errors[1]):
        assert "Traceback" in (zoo.work / log[1]).read_text()


def test_the_traceback_is_in_the_run_directory(zoo):
    done = zoo("debiaser", body=body("loss", "fail(TypeError)"))
    assert "the traceback is in out/error.log" in done.err
    text = (zoo.work / "out" / "error.log").read_text()
    assert "TypeError: not today" in text
    assert "in fail" in text
    assert "not today" in json.loads((zoo.work / "out" / "run.json").read_text())["error"]


def test_debug_shows_the_traceback(zoo):
    zoo.install("debiaser", body=body("loss", "fail(TypeError)"))
    zoo.recipe("debiaser")
    done = zoo.perform("--debug", "run", "zoo.toml", "--out", "out", cwd=zoo.work)
    assert done.code == 3
    assert "Traceback (most recent call last)" in done.err


def test_what_components_print_spoils_no_result(zoo):
    done = zoo("debiaser", body="def loss(self, inputs):\n    print('noise')\n    return F.cross_entropy(inputs.logits, "  # noqa: E501
               "inputs.labels)", args=("--json",))  # fmt: skip
    assert done.code == 0, done.err
    assert "noise" in done.err
    assert json.loads(done.out)["recipe"] == "zoo"
