from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import tomli

from srframework import errors

HEAVY = ["accelerate", "datasets", "numpy", "sklearn", "torch", "transformers"]

LIGHT = [
    ["--help"],
    ["list"],
    ["list", "--json"],
    ["show", "pruner/mask"],
    ["plugins"],
    ["recipes"],
    ["validate", "quickstart"],
    ["validate", "sick-hans"],
    ["run", "--help"],
    ["sweep", "--help"],
    ["store", "gc", "--help"],
]

WATCH = f"""
import sys
sys.argv[0] = "srframework"
from srframework.cli import main
try:
    main()
finally:
    print("heavy:", [name for name in {HEAVY} if name in sys.modules], file=sys.stderr)
"""


@pytest.mark.parametrize("args", LIGHT, ids=" ".join)
def test_what_runs_nothing_imports_nothing_heavy(work, args):
    done = subprocess.run([sys.executable, "-c", WATCH, *args], capture_output=True, encoding="utf-8", check=False)
    assert done.stdout
    assert done.stderr.splitlines()[-1] == "heavy: []"


@pytest.mark.long
@pytest.mark.parametrize("args", [args for args in LIGHT if "sick-hans" not in args], ids=" ".join)
def test_script_and_module_say_the_same(start, call, args):
    script, module = start(*args), start(*args, module=True)
    assert (script.code, script.err) == (0, "")
    assert module.out.replace("python -m srframework", "srframework") == script.out
    assert (module.code, module.err) == (script.code, script.err)
    assert script.out.startswith("Usage: srframework " if "--help" in args else call(*args).out)


def test_without_a_command_the_help_is_shown_and_the_exit_code_is_2(start):
    done = start()
    assert done.code == 2
    assert "Usage: srframework" in done.out + done.err
    assert "validate" in done.out + done.err


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["lst"], "No such command 'lst'"),
        (["list", "--jsn"], "No such option"),
        (["list", "--plugin", "mine.py"], "'--plugin' goes before the command: `srframework --plugin ... list`"),
        (["run", "quickstart", "--debug"], "'--debug' goes before the command: `srframework --debug ... run`"),
        (["validate", "quickstart", "--jobs", "2"], "`srframework claims` and `srframework sweep` have it"),
        (["show"], "Missing argument 'NAME'"),
        (["run"], "Missing argument 'RECIPE'"),
        (["run", "quickstart", "--set"], "Option '--set' requires an argument"),
        (["run", "quickstart", "extra"], "unexpected extra argument (extra)"),
        (["--disable"], "Option '--disable' requires an argument"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_usage_is_a_sentence_and_the_exit_code_is_2(call, args, said):
    done = call(*args)
    assert (done.code, done.out) == (2, "")
    assert said in done.err


@pytest.mark.parametrize(
    "command", [[], ["list"], ["show"], ["plugins"], ["recipes"], ["validate"], ["run"], ["claims"]]
)
def test_every_command_explains_itself(call, command):
    short, long = call(*command, "-h"), call(*command, "--help")
    assert (long.code, long.err) == (0, "")
    assert short == long
    assert f"{' '.join(['srframework', *command])} [OPTIONS]" in long.out.splitlines()[0]


def test_the_version_is_that_of_the_distribution(call):
    assert call("--version").out.endswith(f"srframework, version {version('srframework')}\n")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.SRFrameworkError, 1),
        (errors.DataError, 1),
        (errors.BackboneError, 1),
        (errors.UsageError, 2),
        (errors.RecipeError, 2),
        (errors.UnknownComponent, 2),
        (errors.AmbiguousComponent, 2),
        (errors.PluginError, 3),
    ],
)
def test_every_error_has_its_exit_code(error, code):
    assert issubclass(error, errors.SRFrameworkError)
    assert error.exit_code == code


def test_a_reader_that_goes_away_is_no_crash(work):
    script = Path(sys.executable).parent / "srframework"
    with subprocess.Popen([script, "list"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()
        process.wait()


# -- run --dry-run -----------------------------------------------------------------------------------

RECIPE = """\
name = "small"
schema = 1
backbone = "tiny"
dataset = "synthetic"
training.max_steps = 7

[[stages]]
name = "ticket"
op = "train"
mask = "srnet@0.5"
loss = "std"

[[stages]]
name = "srnet"
op = "prune"
weights = "full"
pruner = { use = "imp", sparsity = 0.5 }
loss = "poe"

[[stages]]
name = "full"
op = "train"
loss = "std"
"""


@pytest.fixture
def recipe(work):
    Path("small.toml").write_text(RECIPE)
    return "small.toml"


PLAN = [
    "The plan, in order:",
    "1. full: A_std(f(θ_pt)), 7 steps",
    "2. srnet: P_poe^imp(f(full)), 7 steps",
    "3. ticket: A_std(f(M(srnet@0.5) ⊙ θ_pt)), 7 steps",
    "Examples: train 12,000, dev 1,000, random 1,000.",
    "Batches: examples of similar length together (group_by_length = true).",
    "Precision: fp32 in training, fp32 in evaluations.",
    "Total: 21 steps.",
    "Cached stages: not known, because there is no run directory with these settings yet (see --out).",
]
SET = ("--set", "stages.srnet.pruner.sparsity=0.7", "--set", "seed=9")


def test_a_dry_run_prints_the_plan_alone(call, recipe):
    done = call("run", recipe, "--dry-run", *SET)
    assert (done.code, done.err, done.out.splitlines()) == (0, "", PLAN)


def test_in_full_it_prints_a_recipe_that_resolves_to_itself_and_last_the_plan(call, recipe):
    done = call("run", recipe, "--dry-run", "--full", *SET)
    assert (done.code, done.err) == (0, "")
    table = tomli.loads(done.out)
    assert table["seed"] == 9
    assert table["stages"][1]["pruner"]["sparsity"] == 0.7
    assert done.out.splitlines()[0] == "# The recipe, with every option:"
    assert done.out.splitlines()[-len(PLAN) :] == [f"# {line}" for line in PLAN]

    Path("resolved.toml").write_text(done.out, encoding="utf-8")
    assert call("run", "resolved.toml", "--dry-run", "--full").out == done.out


def test_a_dry_run_says_which_stages_the_store_has_by_the_last_run(call, recipe):
    keys = {"full": {"trained": "ab" * 32, "measured": "cd" * 32}, "srnet": {"trained": "ef" * 32}}
    for key in ("ab" * 32, "cd" * 32):
        (Path("store/entries") / key[:2] / key).mkdir(parents=True)
    Path("out").mkdir()
    Path("out/run.json").write_text(json.dumps({"state": "interrupted", "stages": keys}))
    lines = call("run", recipe, "--dry-run", "--out", "out", "--store", "store").out.splitlines()
    assert [line.endswith(" (cached)") for line in lines[1:4]] == [True, False, False]
    assert lines[-1].startswith("Cached stages, as of the last run: 1 of 3; they are reused unless ")


def test_a_dry_run_says_which_files_are_missing(call, recipe):
    data = 'dataset={ use = "nli", path = "data/MNLI" }'
    done = call("run", recipe, "--dry-run", "--set", data)
    assert done.code == 0
    missing = [line for line in done.out.splitlines() if line.startswith("Not ready: ")]
    assert missing
    assert all(line.startswith("Not ready: dataset.") and "data/MNLI" in line for line in missing)


def test_a_dry_run_names_the_order_of_the_batches_of_each_stage(call, recipe):
    def lines(*overrides: str) -> list[str]:
        done = call("run", recipe, "--dry-run", *(word for each in overrides for word in ("--set", each)))
        return [line for line in done.out.splitlines() if line.startswith("Batches")]

    assert lines("training.group_by_length=false") == ["Batches: drawn at random."]
    assert lines("stages.srnet.group_by_length=false") == [
        "Batches of full, ticket: examples of similar length together (group_by_length = true).",
        "Batches of srnet: drawn at random.",
    ]


def test_a_dry_run_names_the_precision_of_each_stage(call, recipe):
    overrides = ("--set", "training.eval_precision=bf16", "--set", "stages.srnet.precision=bf16")
    out = call("run", recipe, "--dry-run", *overrides).out
    assert [line for line in out.splitlines() if line.startswith("Precision")] == [
        "Precision of full, ticket: fp32 in training, bf16 in evaluations.",
        "Precision of srnet: bf16 in training, bf16 in evaluations.",
    ]


def test_a_dry_run_in_json_has_the_recipe_and_the_plan(call, recipe):
    shown = json.loads(call("run", recipe, "--dry-run", "--json").out)
    assert shown["recipe"]["name"] == "small"
    assert shown["plan"][1] == {
        "stage": "srnet",
        "formula": "P_poe^imp(f(full))",
        "length": "7 steps",
        "steps": 5,
    }


def test_the_length_of_a_stage_without_max_steps_is_in_epochs(call, work):
    Path("r.toml").write_text(RECIPE.replace("training.max_steps = 7", "training.epochs = 2"))
    assert {row["length"] for row in json.loads(call("run", "r.toml", "--dry-run", "--json").out)["plan"]} == {
        "2 epochs"
    }


def test_a_dry_run_of_a_sweep_names_each_stage_that_is_computed_once_and_shows_the_first_recipe(call, recipe):
    sweep = "sweep={ seed = [4, 5], stages.srnet.max_steps = [7, 1400] }"
    out = call("run", recipe, "--dry-run", "--full", "--set", sweep).out
    assert out.splitlines()[-9:] == [
        "# 4 runs, 10 distinct stages instead of 12:",
        "# 1. full: A_std(f(θ_pt)), 7 steps, 2 times",
        "# 2. srnet: P_poe^imp(f(full)), 5 of 7 steps, 2 times",
        "# 3. ticket: A_std(f(M(srnet@0.5) ⊙ θ_pt)), 7 steps, 4 times",
        "# 4. srnet: P_poe^imp(f(full)), 700 of 1,400 steps, 2 times",
        "# Batches: examples of similar length together (group_by_length = true).",
        "# Precision: fp32 in training, fp32 in evaluations.",
        "# Total: 1,452 steps.",
        "# Cached stages: not known, because there is no run directory with these settings yet (see --out).",
    ]
    assert tomli.loads(out)["seed"] == 4


def test_a_dry_run_of_a_sweep_in_json_has_every_run(call, recipe):
    runs = json.loads(call("run", recipe, "--dry-run", "--json", "--set", "sweep={ seed = [4, 5] }").out)["runs"]
    assert [set(run) for run in runs] == [{"values", "recipe", "plan"}] * 2
    assert [(run["values"], run["recipe"]["seed"]) for run in runs] == [({"seed": 4}, 4), ({"seed": 5}, 5)]
    assert [row["stage"] for row in runs[0]["plan"]] == ["full", "srnet", "ticket"]
    assert runs[0]["plan"] == runs[1]["plan"]


FROM_THE_HUB = """dataset={ use = "pairs", labels = ["a", "b"], train.hub = "x/y", dev.hub = "x/y" }"""


@pytest.mark.parametrize(
    ("overrides", "extent", "steps"),
    [
        (["training.epochs=2", "training.max_steps=1"], "1 step", 1),
        (["training={ epochs = 2 }"], "2 epochs: an unknown number of steps", None),
        (["training={ epochs = 1 }"], "1 epoch: an unknown number of steps", None),
    ],
)
def test_what_is_not_known_before_the_data_are_read_is_said_to_be_unknown(call, recipe, overrides, extent, steps):
    setting = [word for each in [FROM_THE_HUB, *overrides] for word in ("--set", each)]
    lines = call("run", recipe, "--dry-run", *setting).out.splitlines()
    assert lines[1] == f"1. full: A_std(f(θ_pt)), {extent}"
    assert lines[7] == f"Total: {'7 steps' if steps else 'an unknown number of steps'}."
    row = json.loads(call("run", recipe, "--dry-run", "--json", *setting).out)["plan"][0]
    assert row["steps"] == steps


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--full"], "--full only works with --dry-run."),
        (["--quiet", "--verbose"], "--quiet and --verbose exclude each other."),
    ],
)
def test_options_that_make_no_sense_together_are_refused(call, recipe, option, message):
    done = call("run", recipe, *option)
    assert (done.code, done.out, message in done.err) == (2, "", True)


def test_a_dry_run_makes_no_run_directory(call, recipe):
    assert call("run", recipe, "--dry-run", "--out", "here").code == 0
    assert not Path("here").exists()


def test_a_wrong_override_of_a_dry_run_is_refused(call, recipe):
    done = call("run", recipe, "--dry-run", "--set", "stages.srnett.op=train")
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        "error: --set stages.srnett.op=train: stages.srnett.op: no stage is named 'srnett'; did you "
        "mean 'srnet'? Choices: ticket, srnet, full\n"
    )
