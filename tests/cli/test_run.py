"""`srframework run`, through its real entry point, on an experiment that is small but whole."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import tomli
import torch
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from srframework import Mask

RECIPE = """
name = "Small but whole"
schema = 1
seed = 3

[backbone]
use = "tiny"
layers = 1
width = 32
heads = 2
intermediate = 48

[dataset]
use = "synthetic"
train_size = 192
dev_size = 60
ood_size = 45

[training]
batch_size = 16
learning_rate = 1e-3
max_steps = 12
eval_every = 4
eval_ood = true
log_every = 3

[[stages]]
name = "ticket"
op = "train"
mask = "imp@0.2"
loss.use = "std"

[[stages]]
name = "full"
op = "train"
loss.use = "std"

[[stages]]
name = "srnet"
op = "prune"
weights = "full@6"
pruner = { use = "mask", sparsity = 0.7, pooler = true }
loss.use = "poe"
learning_rate = 1e-2

[[stages]]
name = "imp"
op = "prune"
weights = "full"
pruner = { use = "imp", sparsity = 0.4, step = 0.2, interval = 0.25, levels = "all" }
loss.use = "poe"
"""

SRFRAMEWORK = [str(Path(sys.executable).parent / "srframework")]


def run(*arguments: str, cwd: Path, **more):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run([*SRFRAMEWORK, *arguments], cwd=cwd, capture_output=True, text=True, env=environment, **more)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """One finished run: its directory, what it printed, and the parsed report."""
    home = tmp_path_factory.mktemp("run")
    (home / "recipe.toml").write_text(RECIPE)
    done = run("run", "recipe.toml", "--out", "out", "--json", cwd=home)
    assert done.returncode == 0, done.stderr
    return SimpleNamespace(home=home, out=home / "out", report=json.loads(done.stdout), stderr=done.stderr)


def matrices(model):
    base = model.base_model
    encoder = {f"bert.{n}": m for n, m in base.named_modules() if isinstance(m, torch.nn.Linear) and "layer" in n}
    return {**encoder, "bert.pooler.dense": base.pooler.dense, "classifier": model.classifier}


def test_json_is_one_object_with_the_documented_keys(finished):
    report = finished.report
    assert set(report) == {"run", "recipe", "seed", "id_split", "dev_split", "stages", "baselines", "bias"}
    assert (report["run"], report["recipe"], report["seed"]) == ("out", "Small but whole", 3)
    for stage in report["stages"]:
        assert set(stage) - {"levels"} == {
            "name",
            "op",
            "sparsity",
            "metric",
            "unit",
            "better",
            "id",
            "ood",
            "also",
            "evaluations",
            "collapsed",
            "step",
            "steps",
            "candidates",
        }
        assert stage["metric"] == "accuracy"
        assert stage["id"] == stage["evaluations"]["dev"]["accuracy"]
        assert stage["also"] == {}
        assert stage["ood"] == {"random": stage["evaluations"]["random"]["accuracy"]}
    assert json.loads((finished.out / "results.json").read_text()) == report


def test_the_summary_has_the_figures_without_what_all_evaluators_say_and_the_resolved_recipe(finished):
    summary = json.loads((finished.out / "summary.json").read_text())
    assert summary.pop("settings") == tomli.loads((finished.out / "recipe.toml").read_text())
    report = json.loads(json.dumps(finished.report))
    del report["bias"]
    assert report["id_split"] == "dev"
    levels = [level for stage in report["stages"] for level in stage.get("levels", [])]
    for row in (*report["stages"], *levels, *report["baselines"]):
        del row["evaluations"]
    assert summary == report


def test_stages_run_after_those_that_they_start_from(finished):
    assert [stage["name"] for stage in finished.report["stages"]] == ["full", "srnet", "imp", "ticket"]
    assert [stage["op"] for stage in finished.report["stages"]] == ["train", "prune", "prune", "train"]


def test_every_level_of_imp_is_kept_and_evaluated(finished):
    (imp,) = (stage for stage in finished.report["stages"] if stage["name"] == "imp")
    assert [level["level"] for level in imp["levels"]] == [0.2, 0.4]
    assert imp["levels"][1]["evaluations"] == imp["evaluations"]
    for level in ("0.2", "0.4"):
        place = finished.out / "stages" / "imp" / "points" / level
        assert Mask.load(place / "mask.safetensors").sparsity == pytest.approx(float(level), abs=1e-3)
        assert (place / "model" / "model.safetensors").is_file()
    figures = json.loads((finished.out / "stages" / "imp" / "figures.json").read_text())
    assert [each | {"level": float(point)} for point, each in figures["points"].items()] == imp["levels"]


@pytest.mark.parametrize(
    ("place", "sparsity", "pooler"),
    [("srnet", 0.7, 0.7), ("imp", 0.4, 0.0), ("imp/points/0.2", 0.2, 0.0), ("ticket", 0.2, 0.0), ("full", 0.0, 0.0)],
)
def test_saved_models_have_exactly_the_rounded_count_of_zeros_in_every_matrix(finished, place, sparsity, pooler):
    directory = finished.out / "stages" / place
    model = AutoModelForSequenceClassification.from_pretrained(directory / "model")
    mask = Mask.load(directory / "mask.safetensors") if sparsity else Mask({})
    assert set(matrices(model)) >= set(mask)
    for name, module in matrices(model).items():
        wanted = pooler if name == "bert.pooler.dense" else sparsity
        assert int((module.weight == 0).sum()) == round(wanted * module.weight.numel()), name
        if name in mask:
            assert torch.equal(module.weight != 0, mask[name]), name


def test_plain_transformers_gives_the_figures_that_were_reported(finished):
    from srf_datasets.synthetic import Synthetic
    from srf_datasets.synthetic_options import SyntheticOptions

    task = Synthetic(SyntheticOptions(train_size=192, dev_size=60, ood_size=45)).load(3)
    for stage in finished.report["stages"]:
        place = finished.out / "stages" / stage["name"] / "model"
        model = AutoModelForSequenceClassification.from_pretrained(place).eval()
        tokenizer = AutoTokenizer.from_pretrained(place)
        for split in task.evaluated:
            pairs = (list(split.examples["text_a"]), list(split.examples["text_b"]))
            with torch.no_grad():
                predicted = model(**tokenizer(*pairs, padding=True, return_tensors="pt")).logits.argmax(1)
            right = (predicted == torch.tensor(split.examples["label"])).double().mean().item()
            assert right == pytest.approx(stage["evaluations"][split.name]["accuracy"], abs=1e-12)
        assert model.config.id2label == dict(enumerate(task.labels))


def test_a_mask_leaves_the_weights_that_it_keeps_as_they_were(finished):
    before = load_file(finished.out / "stages" / "full" / "points" / "6" / "model" / "model.safetensors")
    after = load_file(finished.out / "stages" / "srnet" / "model" / "model.safetensors")
    mask = Mask.load(finished.out / "stages" / "srnet" / "mask.safetensors")
    for name, tensor in before.items():
        module = name.removesuffix(".weight")
        assert torch.equal(after[name], tensor * mask[module] if module in mask else tensor), name


def test_a_ticket_is_trained_from_the_pre_trained_weights_under_the_mask_that_it_names(finished):
    ticket = Mask.load(finished.out / "stages" / "ticket" / "mask.safetensors")
    assert ticket == Mask.load(finished.out / "stages" / "imp" / "points" / "0.2" / "mask.safetensors")


def test_the_run_directory_explains_itself(finished):
    facts = json.loads((finished.out / "run.json").read_text())
    assert facts["state"] == "finished"
    assert facts["data"]["train"]["examples"] == 192
    assert {"python", "srframework", "torch", "transformers"} <= set(facts["versions"])
    log = [json.loads(line) for line in (finished.out / "stages" / "full" / "metrics.jsonl").read_text().splitlines()]
    assert [record["step"] for record in log if "loss" in record] == [3, 6, 9, 12]
    assert [record["step"] for record in log if "accuracy" in record] == [4, 8, 12]
    assert [path.name for path in finished.out.rglob(".*")] == [".lock"], "temporary files are left"


def test_progress_goes_to_stderr_as_plain_lines(finished):
    assert "[2/4] srnet: P_poe^mask(f(full@6)), 12 steps" in finished.stderr
    assert "step 12/12" in finished.stderr
    assert "OOD random " in finished.stderr
    assert "\x1b" not in finished.stderr


@pytest.mark.long
def test_the_resolved_recipe_runs_again_to_the_same_bits(finished):
    done = run("run", "out/recipe.toml", "--out", "again", "--store", "another", cwd=finished.home)
    assert done.returncode == 0, done.stderr
    assert "reused cached result" not in done.stderr
    files = {path.relative_to(finished.out) for path in finished.out.rglob("*.safetensors")}
    ends, points, masks, splits = 4, 3, 5, 2
    assert len(files) == ends + points + masks + splits * (ends + points)  # models, masks, predictions
    for file in files:
        assert (finished.out / file).read_bytes() == (finished.home / "again" / file).read_bytes(), file
    again = json.loads((finished.home / "again" / "results.json").read_text())
    assert again["stages"] == finished.report["stages"]
    assert "stage" in done.stdout
    assert "imp@0.2" in done.stdout
    assert "run directory: again" in done.stdout


def test_another_seed_gives_another_model(finished, perform):
    done = perform(
        "run", "recipe.toml", "--set", "seed=4", "--set", "training.max_steps=6", "--json", cwd=finished.home
    )
    report = json.loads(done.out)
    assert report["seed"] == 4
    assert report["run"].startswith("runs/small-but-whole-4-")
    ours, theirs = (
        load_file(p / "stages/full/model/model.safetensors") for p in (finished.home / report["run"], finished.out)
    )
    assert not torch.equal(ours["classifier.weight"], theirs["classifier.weight"])


def test_the_same_command_again_computes_nothing_and_says_the_same(finished, perform):
    files = {path: path.read_bytes() for path in finished.out.rglob("*.*") if path.is_file() and path.name != "run.log"}
    done = perform("run", "recipe.toml", "--out", "out", "--json", cwd=finished.home)
    assert done.code == 0, done.err
    assert json.loads(done.out) == finished.report
    told = [found[0] for found in re.finditer(r"\[\d/4\] \w+: reused cached result", done.err)]
    assert told == [
        "[1/4] full: reused cached result",
        "[2/4] srnet: reused cached result",
        "[3/4] imp: reused cached result",
        "[4/4] ticket: reused cached result",
    ]
    assert {path: path.read_bytes() for path in files} == files


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["seed=4"], "seed: 3 there, 4 here"),
        (
            ["training.max_steps=13", "stages.imp.pruner.sparsity=0.2"],
            "stages.full.max_steps: 12 there, 13 here; stages.srnet.max_steps: 12 there, 13 here; "
            "stages.imp.max_steps: 12 there, 13 here; and 2 more",
        ),
    ],
)
def test_a_run_of_another_recipe_is_never_overwritten(finished, perform, overrides, told):
    before = (finished.out / "run.json").read_bytes()
    done = perform("run", "recipe.toml", "--out", "out", *(f"--set={each}" for each in overrides), cwd=finished.home)
    expected = "this directory has a run of another recipe"
    assert (done.code, done.err) == (2, f"error: --out out: {expected} ({told}); choose a new directory\n")
    assert (finished.out / "run.json").read_bytes() == before


def test_a_directory_of_anything_else_is_left_alone(finished, perform):
    (finished.home / "mine").mkdir()
    (finished.home / "mine" / "thesis.tex").write_text("")
    done = perform("run", "recipe.toml", "--out", "mine", cwd=finished.home)
    assert done.code == 2
    assert done.err == "error: --out mine: expected a new or an empty directory, got one that is not empty\n"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "stages.ticket.mask=imp@0.3",
            "stages.ticket.mask: 'imp@0.3': expected a sparsity level that 'imp' reaches, got 0.3; it reaches 0.2, 0.4",
        ),
        ("stages.srnet.weights=full@13", "stages.srnet.weights: 'full@13': expected a step of 'full', 1 to 12, got 13"),
    ],
)
def test_a_point_that_is_never_reached_is_refused_before_any_stage(finished, perform, tmp_path, override, message):
    done = perform("run", str(finished.home / "recipe.toml"), "--set", override, "--out", "x", cwd=tmp_path)
    assert done.code == 2
    assert message in done.err
    assert "Traceback" not in done.err
    assert not (tmp_path / "x").exists()


def test_a_loss_that_diverges_is_a_sentence_and_keeps_what_was_finished(finished, perform, tmp_path):
    overrides = ["--set", "stages.imp.learning_rate=1e30", "--set", "stages.imp.max_grad_norm=0"]
    done = perform("run", str(finished.home / "recipe.toml"), *overrides, "--out", "x", cwd=tmp_path)
    assert done.code == 1
    assert "error: the loss is nan at step" in done.err
    assert "Traceback" not in done.err
    facts = json.loads((tmp_path / "x" / "run.json").read_text())
    assert facts["state"] == "failed"
    assert "the loss is nan" in facts["error"]
    assert json.loads((tmp_path / "x" / "stages" / "full" / "figures.json").read_text())["final"]["id"] >= 0


def _mind_interrupts() -> None:
    """In the child: a shell's background job, and so all that it starts, ignores interrupts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.long
def test_an_interrupt_ends_with_130_and_keeps_what_was_finished(finished, tmp_path, wait_until):
    command = [
        *SRFRAMEWORK,
        "run",
        str(finished.home / "recipe.toml"),
        "--set",
        "stages.imp.max_steps=100000",
        "--out",
        "x",
    ]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, preexec_fn=_mind_interrupts)
    result = tmp_path / "x" / "stages" / "full" / "figures.json"
    wait_until(result.exists, process)
    process.send_signal(signal.SIGINT)
    try:
        _, stderr = process.communicate()
    finally:
        process.kill()
    assert process.returncode == 130
    assert "Run the same command to resume (x)." in stderr
    assert "Traceback" not in stderr
    assert json.loads((tmp_path / "x" / "run.json").read_text())["state"] == "interrupted"
    assert json.loads(result.read_text())["final"]["id"] >= 0


@pytest.mark.long
def test_a_terminal_gets_a_live_display(finished, tmp_path):
    leader, follower = pty.openpty()
    command = [*SRFRAMEWORK, "run", str(finished.home / "recipe.toml"), "--set", "training.max_steps=8", "--out", "x"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TERM": "xterm-256color", "COLUMNS": "140"}
    overrides = ["--set", "stages.srnet.weights=full"]
    process = subprocess.Popen(
        [*command, *overrides], cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=follower, env=environment
    )
    os.close(follower)
    shown = b""
    while chunk := _read(leader):
        shown += chunk
    assert process.wait() == 0
    text = shown.decode()
    for part in ("[1/4] full", "8/8", "steps/s", "loss", "all stages", " left", "ID ", "OOD random "):
        assert part in text


def _read(leader: int) -> bytes:
    try:
        return os.read(leader, 65536)
    except OSError:  # Linux says so when the other end is closed
        return b""


@pytest.mark.long
def test_a_real_encoder_runs_through_pairs(minilm, tmp_path):
    rows = ["premise\thypothesis\tlabel"] + [
        f"a man is {v}ing\ta man is {v}ing\tyes" for v in ("eat", "sleep", "runn", "sitt")
    ]
    rows += [f"a man is {v}ing\tnobody is {v}ing\tno" for v in ("eat", "sleep", "runn", "sitt")] + ["short", "a\tb\t-"]
    (tmp_path / "pairs.tsv").write_text("\n".join(rows) + "\n")
    (tmp_path / "recipe.toml").write_text(f"""
name = "real"
schema = 1
backbone = {{ use = "encoder", path = "{minilm}" }}
training = {{ max_steps = 2, batch_size = 4, max_length = 16 }}
dataset.use = "pairs"
dataset.labels = ["yes", "no"]
dataset.text_a = "premise"
dataset.text_b = "hypothesis"
dataset.train.path = "pairs.tsv"
dataset.dev.path = "pairs.tsv"
[[stages]]
name = "srnet"
op = "prune"
pruner = {{ use = "mask", sparsity = 0.5 }}
loss = "poe"
""")
    done = run("run", "recipe.toml", "--out", "x", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (stage,) = json.loads(done.stdout)["stages"]
    assert stage["sparsity"] == 0.5
    assert stage["ood"] == {}
    assert "pairs.tsv: 1 short row skipped" in done.stderr
    assert "pairs.tsv: 1 unlabelled row skipped" in done.stderr
    assert done.stderr.count("skipped") == 4  # train and dev are the same file
    weights = load_file(tmp_path / "x/stages/srnet/model/model.safetensors")
    assert int((weights["bert.encoder.layer.5.output.dense.weight"] == 0).sum()) == 384 * 1536 // 2
