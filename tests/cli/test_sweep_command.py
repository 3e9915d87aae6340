"""`srframework sweep`: what is swept, where it goes on, what fails; in one process and in several."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import tomli
from small_sweep import GRID, figures, reports

SLUGS = [f"seed={seed},sparsity={sparsity}" for seed in (1, 2) for sparsity in (0.2, 0.5)]


def entries(store: Path, kind: str = "trained") -> dict[str, tuple[str, int]]:
    """Key -> when it was made, and the inode, of the entries of a store."""
    found = {}
    for path in store.glob("entries/*/*/manifest.json"):
        manifest = json.loads(path.read_text())
        if manifest["kind"] == kind:
            found[manifest["key"]] = manifest["created"], path.stat().st_ino
    return found


@pytest.fixture(scope="module")
def alone(sweep, home):
    """A finished sweep in one process."""
    done = sweep(*GRID, "--threads", "1", "--out", "alone", "--store", "alone-store")
    assert done.code == 0, done.err
    return SimpleNamespace(**vars(done), place=home / "alone", store=home / "alone-store")


@pytest.fixture(scope="module")
def parallel(sweep, home):
    """The same in two processes, with a store of its own."""
    done = sweep(*GRID, "--out", "parallel", "--store", "parallel-store", "--jobs", "2", "--json")
    assert done.code == 0, done.err
    return SimpleNamespace(**vars(done), place=home / "parallel", store=home / "parallel-store")


# -- what is done ------------------------------------------------------------------------------------


def test_one_process_goes_from_run_to_run_and_writes_no_logs(alone):
    starts = [line for line in alone.lines if re.match(r"run \d of", line)]
    assert starts == [f"run {number} of 4: {slug.replace(',', ', ')}" for number, slug in enumerate(SLUGS, 1)]
    assert sorted(path.name for path in alone.place.iterdir()) == sorted([*SLUGS, "sweep.json"])
    labels = [line for line in alone.out.splitlines() if line.startswith(("seed=", "run directory"))]
    assert labels == [line for slug in SLUGS for line in (slug.replace(",", ", "), f"run directory: alone/{slug}")]


@pytest.mark.long
@pytest.mark.parametrize("how", ["alone", "parallel"])
def test_a_stage_that_several_runs_share_is_computed_once(request, how):
    done = request.getfixturevalue(how)
    assert len(entries(done.store)) == 6  # 2 full, 4 srnet
    said = r"4 runs: 6 stages computed in [^,]+, 2 reused; wall time [^(]+ "
    assert re.fullmatch(said + r"\(\d+\.\d\d times the computing time\)", done.lines[-2])
    assert done.lines[-1] == f"Next: srframework results {how}"


@pytest.mark.long
def test_several_processes_come_to_the_same_bits_as_one(alone, parallel):
    found = reports(parallel.place)
    assert figures(found) == figures(reports(alone.place))
    assert found == json.loads(parallel.out)
    assert [report["run"] for report in found] == [f"parallel/{slug}" for slug in SLUGS]
    models = ("full/model/model.safetensors", "srnet/packed/packed.json")  # the second has the SHA-256 of the weights
    weights = [f"{slug}/stages/{model}" for slug in SLUGS for model in models]
    assert [(parallel.place / path).read_bytes() for path in weights] == [
        (alone.place / path).read_bytes() for path in weights
    ]
    assert entries(parallel.store).keys() == entries(alone.store).keys()


@pytest.mark.long
def test_each_cell_is_a_run_directory_with_its_resolved_recipe(parallel):
    for slug, report in zip(SLUGS, reports(parallel.place), strict=True):
        place = parallel.place / slug
        resolved = tomli.loads((place / "recipe.toml").read_text())
        assert (resolved["seed"], resolved["stages"][1]["pruner"]["sparsity"]) == tuple(report["values"].values())
        assert json.loads((place / "run.json").read_text())["state"] == "finished"
        assert json.loads((place / "results.json").read_text())["stages"] == report["stages"]


@pytest.mark.long
def test_several_processes_tell_when_tasks_start_and_end_and_log_the_rest(parallel):
    started = [line.split()[1] for line in parallel.lines if line.startswith("started ")]
    assert sum(name.startswith("full-") for name in started) == 2
    assert sum(name.startswith("srnet-") for name in started) == 4
    assert sum(name == "run" for name in started) == 4
    assert [line.split()[1] for line in parallel.lines if line.startswith("done ")].count("run") == 4
    (first,) = (line for line in parallel.lines if "(for seed=1, sparsity=0.2 and 1 more): " in line)
    log = Path(first.rpartition(": ")[2])
    assert log.parent == Path("parallel/logs")
    assert "step 2/2" in (parallel.place.parent / log).read_text()
    assert {f"{slug}.log" for slug in SLUGS} <= {path.name for path in (parallel.place / "logs").iterdir()}
    assert "step 2/2" not in parallel.err


@pytest.mark.long
def test_the_same_command_again_computes_nothing_and_says_the_same(sweep, parallel):
    before = entries(parallel.store), (parallel.place / "sweep.json").read_text()
    again = sweep(*GRID, "--out", "parallel", "--store", "parallel-store", "--jobs", "2", "--json")
    assert (again.code, again.out) == (0, parallel.out)
    assert (entries(parallel.store), (parallel.place / "sweep.json").read_text()) == before
    assert again.lines[-2].startswith("4 runs: 0 stages computed in 0 s, 8 reused; wall time ")


def test_another_directory_takes_everything_from_the_store(sweep, alone):
    before = entries(alone.store)
    done = sweep(*GRID, "--out", "other", "--store", "alone-store", "--json")
    assert (done.code, figures(json.loads(done.out))) == (0, figures(reports(alone.place)))
    assert entries(alone.store) == before
    assert done.lines[-2].startswith("4 runs: 0 stages computed in 0 s, 8 reused")


@pytest.mark.long
def test_several_processes_say_of_each_stage_whether_it_was_in_the_store(sweep, alone, parallel):
    done = sweep("--grid", "seed=1,5", *GRID[2:], "--out", "an other", "--store", "alone-store", "--jobs", "2")
    told = [line.rpartition(" in ")[0] or line for line in done.lines if line.startswith("done ") or "reused c" in line]
    names = [re.sub("-[0-9a-f]{8}(?=:|$)", "", line) for line in told]
    assert sorted(name for name in names if not name.startswith("done run ")) == [
        *["done full", "done srnet", "done srnet"],
        *[f"{name}: reused cached result" for name in ("full", "srnet", "srnet")],
    ]
    assert sum(name.startswith("done run ") for name in names) == 4
    assert done.lines[-1] == "Next: srframework results 'an other'"
    assert "reused cached result" not in parallel.err


def test_the_help_has_an_example_that_works(perform, home):
    text = perform("sweep", "--help", cwd=home).out.replace("\\\n", " ")
    words = re.search(r"^ *srframework (sweep quickstart .*)$", text, re.MULTILINE)[1].split()
    done = perform(*words, "--dry-run", cwd=home)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("6 runs, ")


def test_cells_may_be_added_and_only_they_are_computed(sweep, home, alone):
    first = sweep("--grid", "seed=1", *GRID[2:], "--out", "grown", "--store", "alone-store", "--json")
    assert first.code == 0
    grown = sweep("--grid", "seed=1,3", *GRID[2:], "--out", "grown", "--store", "alone-store", "--json")
    assert [report["seed"] for report in json.loads(grown.out)] == [1, 1, 3, 3]
    assert grown.lines[-2].startswith("4 runs: 3 stages computed in ")


def test_what_was_damaged_in_a_finished_run_is_computed_again(sweep, home, alone):
    again = ("--grid", "seed=4", "--out", "damaged", "--store", "damaged-store", "--json")
    first = sweep(*again)
    key = json.loads((home / "damaged/seed=4/run.json").read_text())["stages"]["srnet"]["trained"]
    for file in (home / "damaged-store/entries" / key[:2] / key / "files").rglob("*.safetensors"):
        content = bytearray(file.read_bytes())
        content[-1] ^= 1
        file.unlink()
        file.write_bytes(content)
    done = sweep(*again)
    assert (done.code, done.out) == (0, first.out)
    assert "warning: run 1 of 1: seed=4: finished before, and computed again: " in done.err
    assert done.lines[-2].startswith("1 run: 1 stage computed in ")


def test_without_out_the_directory_is_that_of_the_cells(sweep, home, alone):
    def place(*grid: str) -> str:
        (report, *_) = json.loads(sweep("--grid", *grid, "--store", "alone-store", "--json").out)
        return report["run"]

    first = place("seed=1")
    assert first.startswith("runs/swept-all-")
    assert first.endswith("/seed=1")
    assert place("seed=1") == first
    assert place("seed=2").split("/")[1] != first.split("/")[1]


def test_keys_that_move_together(sweep, home):
    pairs = "training.learning_rate=1e-3,1e-2 training.weight_decay=0.0,0.1"
    done = sweep("--zip", pairs, "--out", "zip", "--store", "zip-store", "--json")
    assert [report["values"] for report in json.loads(done.out)] == [
        {"training.learning_rate": rate, "training.weight_decay": decay} for rate, decay in ((0.001, 0.0), (0.01, 0.1))
    ]
    assert sorted(path.name for path in (home / "zip").iterdir()) == [
        *("learning_rate=0.001", "learning_rate=0.01", "sweep.json")
    ]


# -- what is refused ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (
            [],
            "recipe.toml: expected --grid, --zip, or a [sweep] in the recipe; "
            "to run the recipe once, use `srframework run`",
        ),
        (["--grid", "seed=1,x"], "--grid seed=1,x: seed: must be an integer (got 'x')"),
        (
            ["--grid", "seed=1", "--launcher-option", "address=here:1"],
            "--launcher-option address=here:1: address: unknown key; this component has no options (option of launcher "
            "'serial' of srframework 0.1.0)",
        ),
        (
            ["--grid", "stages.srnet.weights=full@1,full@3"],
            "stages.srnet.weights: 'full@3': expected a step of 'full', 1 to 2, got 3",
        ),
    ],
)
def test_what_is_wrong_is_a_sentence_and_nothing_is_written(sweep, home, args, said):
    done = sweep(*args, "--out", "refused")
    assert (done.code, done.out, done.err) == (2, "", f"error: {said}\n")
    assert not (home / "refused").exists()


def test_all_that_is_wrong_with_any_cell_comes_at_once(sweep):
    done = sweep("--grid", "stages.srnet.weights=full@3,full@4,full@5", "--out", "refused")
    assert done.err == "errors:\n" + "".join(
        f"stages.srnet.weights: 'full@{step}': expected a step of 'full', 1 to 2, got {step}\n" for step in (3, 4, 5)
    )


def test_a_directory_of_another_sweep_is_refused_with_what_differs(sweep, home, alone):
    before = reports(alone.place)
    done = sweep(*GRID, "--set", "training.max_steps=3", "--out", "alone")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("error: --out alone/seed=1,sparsity=0.2: this directory has a run of another recipe (")
    assert "stages.full.max_steps: 2 there, 3 here" in done.err
    done = sweep("--grid", "seed=1", *GRID[2:], "--out", "alone")
    assert done.err == (
        "error: --out alone: expected a new or an empty directory, or one of the same sweep, got one of another sweep; "
        "not in this sweep: seed=2,sparsity=0.2 and 1 more\n"
    )
    assert reports(alone.place) == before


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: path.write_text("x"), "expected a directory, got a file"),
        (
            lambda path: (path.mkdir(), (path / "notes.txt").write_text("x")),
            "expected a new or an empty directory, got one that is not empty",
        ),
    ],
)
def test_a_directory_that_is_something_else_is_refused(sweep, home, tmp_path, make, said):
    make(tmp_path / "taken")
    done = sweep("--grid", "seed=1", "--out", str(tmp_path / "taken"))
    assert (done.code, done.err) == (2, f"error: --out {tmp_path / 'taken'}: {said}\n")


def test_a_dry_run_says_how_many_stages_there_are_and_writes_nothing(sweep, home):
    done = sweep(*GRID, "--dry-run", "--out", "dry")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[0] == "4 runs, 6 distinct stages instead of 8:"
    assert tomli.loads(sweep(*GRID, "--dry-run", "--full").out)["seed"] == 1
    assert len(json.loads(sweep(*GRID, "--dry-run", "--json").out)["runs"]) == 4
    assert not (home / "dry").exists()
