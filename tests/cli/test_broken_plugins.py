"""Plugins that are broken in every way that the contracts leave open: exit 3, one sentence, and who is to blame."""

from __future__ import annotations

import json
import re
import textwrap

import pytest
from broken_plugin import LOSS, STAGED, blamed, body

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


RAISES = {
    "debiaser": [
        "__init__", "attach", "parameter_groups", "sample", "loss",
    ],
    "pruner": [
        "__init__", "attach", "phases", "parameter_groups", "loss_terms", "begin", "before_step", "after_step",
        "update_mask", "changes_mask", "masks",
    ],
    "evaluator": ["__init__", "figures", "columns", "evaluate", "measure"],
    "dataset": ["__init__", "load", "sizes"],
    "backbone": ["__init__", "load"],
}  # fmt: skip


@pytest.mark.long
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


@pytest.mark.long
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
        "parameter_groups": ["return None", "return 3", "return ['x']", "yield from 'ab'", "return torch.ones(2)"],
        "sample": ["return 3", "return torch.zeros(5, dtype=torch.int64)", "return torch.full((12,), 12)"],
    },
    "pruner": {
        "phases": ["return None", "return []", "return [3]", "return 'ab'", "return [Phase(-1)]", "return [Phase('x')]",
                   "return [Phase(2, 7.0)]", "return [Phase(1, 'x')]", "return Phase(3)",
                   "return [Phase(2, decay_steps=1)]", "return [Phase(2, kept=1)]"],
        "parameter_groups": ["return None", "return []", "return [1]", "return 3"],
        "loss_terms": ["return None", "return {'x': 1.0}", "return {3: torch.ones(())}", "return {'x': torch.ones(2)}"],
        "changes_mask": ["return 3"],
        "masks": ["return None", "return {}"],
    },
    "evaluator": {
        "figures": ["return None", "return [3]", "return [Figure('x', 'fraction', 'up', 'An x.')]",
                    "return [Figure('', 'fraction', 'higher', 'An x.')]",
                    "return [Figure('*x', 'count', None, 'An x.')]",
                    "return 2 * [Figure('x', 'count', None, 'An x.')]"],
        "columns": ["return None", "return 'no'", "return [3]", "return ['']"],
        "evaluate": ["return None", "return 3", "return {'x': 'y'}", "return {3: 1.0}", "return {'x': float('nan')}",
                     "return [('x', 1.0)]", "return {'x': None}", "return {'undeclared': 1.0}"],
        "measure": ["return {'undeclared': 1.0}", "return None", "return {'x': [1]}", "return {'x': float('inf')}"],
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
                 "n = super().load(*args); return Network(n.model, 'tokenizer', n.prunable)",
                 "return replace(super().load(*args), blocks=None)",
                 "return replace(super().load(*args), blocks={'bert': (1,)})",
                 "n = super().load(*args); return replace(n, blocks={next(iter(n.prunable)): (1, 2)})"],
    },
}  # fmt: skip


@pytest.mark.long
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


@pytest.mark.parametrize("name", BIAS_CASES)
def test_a_broken_bias_model_is_the_plugins_fault(zoo, name):
    done = zoo("bias", body=BIAS_CASES[name])
    blamed(done, "bias model", name != "__init__")  # all stages share it


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


# -- what passes -----------------------------------------------------------------------------------

PASSES = {
    "data": ("raise DataError('row 3 is wrong')", 1, "error: row 3 is wrong"),
    "usage": ("raise UsageError('depth is wrong')", 2, "error: stages.only: depth is wrong"),
    "disk": ("raise OSError(28, 'No space left on device', 'f')", 1, "No space left on device"),
    "memory": ("raise MemoryError", 1, "out of memory"),
    "torch memory": ("raise torch.OutOfMemoryError('CUDA out of memory')", 1, "out of memory"),
    "numpy memory": ("np.empty(10**17)", 1, "out of memory"),
    "cpu memory": ("torch.empty(10**17)", 1, "out of memory"),
    "interrupt": ("raise KeyboardInterrupt", 130, "Interrupted"),
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


@pytest.mark.long
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
