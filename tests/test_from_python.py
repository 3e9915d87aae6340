"""Everything from Python: load a recipe, run it, run a sweep and a claim, read the results; nothing is printed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from small_recipe import FULL, small_recipe, srnet

pytestmark = pytest.mark.long

CLAIM = """
[claim]
statement = "It is dense."
checks = ["sparsity(full) <= 0"]
"""
RECIPE = small_recipe("from Python", FULL, srnet(loss="poe"), CLAIM, training="max_steps = 4")

SCRIPT = """
import json
import sys
from pathlib import Path

sys.modules["click"] = None  # to import it is an error

from srframework.claims.recipes import load_claims
from srframework.claims.run import run_claims
from srframework.recipe.check import load_recipe
from srframework.recipe.sweep import load_cells
from srframework.registry.discovery import discover
from srframework.registry.registry import Registry
from srframework.report.runs import find_runs
from srframework.report.result_rows import summarise
from srframework.run.api import run_recipe
from srframework.run.options import RunOptions
from srframework.sweeps.run import SweepEvents, run_sweep


class Reported(SweepEvents):
    def __init__(self):
        self.order = []

    def reported(self, number, report):
        self.order.append([number, "error" in report])


registry, store, events = Registry(discover()), Path("store"), Reported()
one = run_recipe(load_recipe("recipe.toml", registry, ["seed=1"]), store, RunOptions(Path("one")))
grid = ["--grid seed=1,2", "--grid stages.full.learning_rate=1e-3,1e30"]
cells = load_cells("recipe.toml", registry, ["training.max_grad_norm=0"], grid)
sweep = run_sweep(cells, registry, store, Path("many"), events=events)
claims = run_claims(load_claims(["recipe.toml"], [1, 2, 3], registry), registry, store, Path("claims"))
found = find_runs(["one", "many"])
keys, rows = summarise(found.runs)
Path("found.json").write_text(json.dumps({
    "one": [stage["name"] for stage in one.report["stages"]],
    "sweep": [sweep.computed, sweep.reused, [report["values"]["seed"] for report in sweep.failed]],
    "events": events.order,
    "claims": [[row["claim"], row["verdict"]] for row in claims.rows],
    "runs": [run.path for run in found.runs],
    "unfinished": found.unfinished,
    "rows": [[row.stage, row.seeds] for row in rows],
}))
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> dict:
    """What a script of its own process found."""
    place = tmp_path_factory.mktemp("python")
    (place / "recipe.toml").write_text(RECIPE)
    done = subprocess.run([sys.executable, "-c", SCRIPT], cwd=place, capture_output=True, encoding="utf-8", check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return {"place": place, **json.loads((place / "found.json").read_text())}


def test_a_recipe_runs(found):
    assert found["one"] == ["full", "srnet"]
    assert json.loads((found["place"] / "one/run.json").read_text())["state"] == "finished"


def test_a_sweep_runs_and_reports_what_fails(found):
    reports = json.loads((found["place"] / "many/sweep.json").read_text())
    assert [("error" in report, report["values"]["seed"]) for report in reports] == [
        *[(False, 1), (True, 1), (False, 2), (True, 2)]
    ]
    assert sorted(found["events"]) == [[0, False], [1, True], [2, False], [3, True]]
    assert found["sweep"] == [4, 0, [1, 2]]
    states = [json.loads((Path(found["place"], each["run"]) / "run.json").read_text())["state"] for each in reports]
    assert states == ["finished", "failed", "finished", "failed"]


def test_a_claim_is_judged(found):
    assert found["claims"] == [["recipe.toml", "holds"]]


def test_the_results_are_read(found):
    finished = [report["run"] for report in json.loads((found["place"] / "many/sweep.json").read_text())[::2]]
    assert found["runs"] == sorted(["one", *finished])
    assert len(found["unfinished"]) == 2
    assert {stage for stage, _ in found["rows"]} == {"full", "srnet", "majority class", "bias model"}
