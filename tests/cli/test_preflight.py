"""The preflight: every component of a recipe is tried on two examples before the first stage, and changes no result."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from broken_plugin import LOSS, blamed, body

from srframework.run import pipeline
from srframework.run import preflight as module

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

TWO = (
    'stages=[{ name = "a", op = "train", loss = "std", max_steps = 2 }, '
    '{ name = "b", op = "prune", weights = "a", pruner = PRUNER, loss = LOSS }]'
)
"""Two stages, of which the second has the plugin's component."""


def two(pruner: str = '"mask"', loss: str = '"std"') -> tuple[str, str]:
    return "--set", TWO.replace("PRUNER", pruner).replace("LOSS", loss)


def weights(directory: Path) -> dict[str, str]:
    """The hash of each file with weights, a mask or predictions in a run directory."""
    files = sorted(directory.rglob("*.safetensors"))
    return {path.relative_to(directory).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


# -- faults before step 1 --------------------------------------------------------------------------

FAULTS = {
    "attach": ("debiaser", LOSS + body("attach", "fail()")),
    "loss": ("debiaser", body("loss", "fail()")),
    "result of loss": ("debiaser", body("loss", "return None")),
    "gradient": ("debiaser", "def loss(self, inputs):\n    logits = inputs.logits * 1\n"
                 "    logits.register_hook(lambda gradient: fail())\n    return logits.sum()"),
    "before_step": ("pruner", body("before_step", "fail()")),
    "after_step": ("pruner", body("after_step", "fail()")),
    "update_mask": ("pruner", body("update_mask", "fail()")),
    "loss_terms": ("pruner", body("loss_terms", "fail()")),
    "masks": ("pruner", body("masks", "fail()")),
    "a mask of other entries": ("pruner", "def masks(self):\n    name, weight = next(iter(self._matrices.items()))\n"
                                "    return Mask({name: torch.zeros_like(weight, dtype=torch.bool)})\n"
                                "def attach(self, network, context):\n    super().attach(network, context)\n"
                                "    self._matrices = network.matrices()"),
    "evaluate": ("evaluator", body("evaluate", "fail()")),
    "measure": ("evaluator", body("measure", "return {'x': float('nan')}")),
}  # fmt: skip


@pytest.mark.parametrize(("kind", "code"), FAULTS.values(), ids=FAULTS)
def test_a_component_that_fails_when_it_is_called_stops_the_run_before_its_first_step(zoo, kind, code):
    value = {"pruner": {"pruner": '"mine"'}, "debiaser": {"loss": '"mine"'}}.get(kind, {})
    done = zoo(kind, body=code, args=two(**value))
    assert (done.code, "Traceback" in done.err) == (3, False), done.err
    stage = "a" if kind == "evaluator" else "b"
    assert f"error: preflight of stages.{stage}: {kind} 'mine' of zoo 1.2: " in done.err
    assert "fail()" not in code or "the traceback is in out/error.log" in done.err
    assert not list(zoo.work.rglob("metrics.jsonl"))
    assert not [path for path in zoo.work.rglob("*") if path.suffix in (".safetensors", ".pt", ".npy")]


def test_a_metric_that_no_evaluator_declares_stops_the_run_before_its_first_step(zoo):
    code = "from dataclasses import replace\n    return replace(super().load(*args), metric='x')"
    done = zoo("dataset", body=body("load", code))
    assert done.code == 3
    message = "its metric is 'x', but the evaluators of the recipe declare only: accuracy"
    assert f"error: dataset 'mine' of zoo 1.2: {message}" in done.err
    assert not list(zoo.work.rglob("metrics.jsonl"))


def test_an_error_of_the_user_that_a_component_finds_stays_one(zoo):
    done = zoo("pruner", body=body("before_step", "raise DataError('row 3 is wrong')"), args=two('"mine"'))
    assert (done.code, "error: row 3 is wrong" in done.err) == (1, True), done.err
    assert not list(zoo.work.rglob("metrics.jsonl"))


# -- faults later ----------------------------------------------------------------------------------

SECOND = (
    "def {0}(self, *args):\n    self.calls = getattr(self, 'calls', 0) + 1\n    if self.calls > {1}:\n        {2}\n"
)

LATER = {
    "loss": ("debiaser", SECOND.format("loss", 1, "fail()") +
             "    return F.cross_entropy(args[0].logits, args[0].labels)", "its loss() fails: ValueError: not today"),
    "update_mask": ("pruner", body("update_mask", "if args[0] > 1: fail()"), "its update_mask() fails: ValueError"),
    "masks": ("pruner", body("after_step", "if args[0] > 1: self._mask = None"), "its masks() must return"),
    "a mask of other entries": (
        "pruner", "def attach(self, network, context):\n    super().attach(network, context)\n"
        "    self._matrices = network.matrices()\n" + body("after_step", "if args[0] > 1: self._mask = Mask("
        "{name: torch.zeros_like(each, dtype=torch.bool) for name, each in self._matrices.items()})"),
        "that its mask prunes after step 2, got ",
    ),
    "zeros that the mask keeps": (
        "pruner", "def attach(self, network, context):\n    super().attach(network, context)\n"
        "    self._matrices = network.matrices()\n" + body("after_step", "if args[0] > 1: "
        "[each.data[0].zero_() for each in self._matrices.values()]"),
        "that its mask keeps after step 2, got 16; masks() must return every entry that the pruner set to 0",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("kind", "code", "message"), LATER.values(), ids=LATER)
def test_a_component_that_fails_later_is_named_with_stage_and_step(zoo, kind, code, message):
    done = zoo(kind, body=code, args=("--set", "training.keep='last'"))
    blamed(done, kind, True)
    assert f"error: step 2 of stages.only: {kind} 'mine' of zoo 1.2: " in done.err
    assert message in done.err


def test_an_evaluator_that_fails_later_is_named_with_stage_and_step(zoo):
    done = zoo("evaluator", body="calls = 0\n" + SECOND.format("evaluate", 6, "fail()") + "    return {'x': 0.5}")
    blamed(done, "evaluator", True)
    assert "error: step 2 of stages.only: evaluator 'mine' of zoo 1.2: its evaluate() fails: ValueError" in done.err


def test_no_step_is_named_after_the_training(zoo):
    done = zoo("evaluator", body="calls = 0\n" + SECOND.format("measure", 1, "fail()") + "    return {'x': 0.5}")
    assert "error: stages.only: evaluator 'mine' of zoo 1.2: its measure() fails: ValueError" in done.err


# -- sound components ------------------------------------------------------------------------------

DRAWS = """
def attach(self, context):
    import random
    self.draw = lambda: torch.rand(()).item() + np.random.rand() + random.random()
    self.draw()
def loss(self, inputs):
    return F.cross_entropy(inputs.logits, inputs.labels) * (1 + self.draw())
"""


def test_results_are_equal_without_it(zoo, monkeypatch):
    zoo.install("debiaser", body=DRAWS)
    zoo.recipe("debiaser")
    for name in ("with", "without"):
        done = zoo.perform("run", "zoo.toml", "--out", name, "--store", f"{name}-store", cwd=zoo.work)
        assert done.code == 0, done.err
        monkeypatch.setattr(pipeline, "preflight", lambda *_: None)
    assert weights(zoo.work / "with") == weights(zoo.work / "without") != {}


def test_the_global_random_state_is_restored():
    torch.manual_seed(1)
    np.random.seed(1)
    random.seed(1)
    before = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    with module._random_state_kept(torch.device("cpu")):
        torch.rand(3), np.random.rand(3), random.random()
        torch.manual_seed(2)
    after = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    assert torch.equal(before[0], after[0])
    assert before[1:] == after[1:]


PARTICULAR = """
def attach(self, context):
    assert len(context.gold) == 12
    assert set(context.gold) == {0, 1, 2}
    assert len(set(context.columns['label'])) > 1
    assert len(list(context.calibration(12))) == 6
    assert context.steps == 2
def sample(self, epoch, generator):
    return torch.arange(12).flip(0)
"""


def test_a_loss_that_needs_all_labels_and_many_examples_passes(zoo):
    done = zoo("debiaser", body=PARTICULAR + LOSS, fields="requires=['column:label']")
    assert done.code == 0, done.err


def test_an_evaluator_that_needs_all_labels_passes(zoo):
    code = "assert set(args[0].gold) == {0, 1, 2}\n    return {'x': 1.0}"
    assert zoo("evaluator", body=body("evaluate", code)).code == 0


def test_a_pruner_that_refuses_few_steps_passes(zoo):
    code = (
        "def phases(self, total):\n    assert total == 40\n    return [Phase(0, 0.0), Phase(20, 0.1), Phase(20, 0.2)]"
    )
    assert zoo("pruner", body=code, args=("--set", "training.max_steps=40")).code == 0


# -- when ------------------------------------------------------------------------------------------


@pytest.fixture
def tried(monkeypatch) -> list[str]:
    """The stages of which the preflight did a step."""
    stages: list[str] = []
    first_step = module._try_first_step

    def counted(recipe, stage, *args):
        stages.append(stage.name)
        first_step(recipe, stage, *args)

    monkeypatch.setattr(module, "_try_first_step", counted)
    return stages


def test_each_component_is_tried_once_and_only_if_a_stage_is_computed(zoo, tried):
    stages = TWO.replace("LOSS", '"std"').replace("PRUNER", '"mask"').removesuffix("]")
    more = (
        ', { name = "c", op = "train", loss = "std", learning_rate = 1e-3, max_steps = 1 }, '
        '{ name = "d", op = "prune", pruner = { use = "mask", sparsity = 0.3 }, loss = "std" }]'
    )
    zoo.recipe("pruner", "mask")
    run = ("run", "zoo.toml", "--set", stages + more)
    done = zoo.perform(*run, "--out", "out", cwd=zoo.work)
    assert done.code == 0, done.err
    assert tried == ["a", "b", "d"]
    assert zoo.perform(*run, "--out", "again", cwd=zoo.work).code == 0
    assert tried == ["a", "b", "d"]
