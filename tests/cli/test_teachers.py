"""A run whose losses learn from teachers and bias models, on OOD training examples too."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import srframework.run.stage
from srf_datasets.synthetic import CUES, Synthetic
from srf_datasets.synthetic_options import SyntheticOptions

RECIPE = """
name = "taught"
schema = 1
seed = 3
backbone = { use = "tiny", layers = 1, width = 16, heads = 2, intermediate = 16 }
training = { batch_size = 8, epochs = 1, eval_every = 100, log_every = 1, learning_rate = 1e-2 }

[dataset]
use = "synthetic"
train_size = 48
dev_size = 12
ood_size = 9
ood_train_size = 6
visible = 1.0
ood_cue = "reversed"

[[stages]]
name = "late"
op = "train"
loss = { use = "confreg", teacher = "full" }

[[stages]]
name = "more"
op = "prune"
weights = "full"
pruner = { use = "mask", sparsity = 0.5 }
loss = { use = "confreg", teacher = "full" }
ood_train = 2

[[stages]]
name = "early"
op = "train"
loss = { use = "confreg", teacher = "full@2" }
max_length = 8

[[stages]]
name = "full"
op = "train"
loss = "std"
"""

TASK = Synthetic(
    SyntheticOptions(train_size=48, dev_size=12, ood_size=9, ood_train_size=6, visible=1.0, ood_cue="reversed")
).load(3)


@pytest.fixture(scope="module")
def taught(perform, tmp_path_factory):
    """One finished run: its directory, its report, what each stage was trained on, and what was said by teachers."""
    home = tmp_path_factory.mktemp("taught")
    (home / "recipe.toml").write_text(RECIPE)
    trained, contexts = [], []

    class Noted(srframework.run.stage.Training):
        def run(self, events):
            if self.checkpoints is not None:  # not in the preflight
                trained.append(self.examples)
                contexts.append(self.inputs.debiaser)
            return super().run(events)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(srframework.run.stage, "Training", Noted)
        done = perform("run", "recipe.toml", "--out", "out", "--json", cwd=home)
    assert done.code == 0, done.err
    report = json.loads(done.out)
    names = [stage["name"] for stage in report["stages"]]
    asked = dict(zip(names, contexts, strict=True))
    trained_on = {name: examples.with_format("torch") for name, examples in zip(names, trained, strict=True)}
    return SimpleNamespace(home=home, out=home / "out", report=report, trained_on=trained_on, asked=asked)


def said(taught, place: str, name: str) -> torch.Tensor:
    return load_file(taught.out / "stages" / place / "log_probs" / f"{name}.safetensors")["log_probs"]


def test_a_teacher_runs_before_those_that_learn_from_it(taught):
    assert [stage["name"] for stage in taught.report["stages"]] == ["full", "late", "more", "early"]


def test_a_teacher_is_asked_once_for_each_split_and_length(taught):
    entries = [json.loads(path.read_text()) for path in taught.home.glob("runs/.store/entries/*/*/manifest.json")]
    asked = [
        (entry["identity"]["teacher"][1], entry["identity"]["max_length"])
        for entry in entries
        if entry["kind"] == "taught"
    ]
    assert sorted(asked, key=str) == [("2", 8), (None, 128), (None, 128)]  # of 128 tokens: train and ood_train
    files = sorted(path.relative_to(taught.out).as_posix() for path in taught.out.rglob("log_probs/*"))
    assert files == [
        "stages/full/log_probs/ood_train-128.safetensors",
        "stages/full/log_probs/train-128.safetensors",
        "stages/full/points/2/log_probs/train-8.safetensors",
    ]


@pytest.mark.parametrize(
    ("place", "name", "split", "max_length"),
    [
        ("full", "train-128", TASK.train, 128),
        ("full", "ood_train-128", TASK.ood_train, 128),
        ("full/points/2", "train-8", TASK.train, 8),
    ],
)
def test_what_a_teacher_says_is_what_its_saved_model_does(taught, place, name, split, max_length):
    saved = taught.out / "stages" / place / "model"
    model, tokenizer = AutoModelForSequenceClassification.from_pretrained(saved), AutoTokenizer.from_pretrained(saved)
    pairs = (list(split.examples["text_a"]), list(split.examples["text_b"]))
    encoded = tokenizer(*pairs, padding=True, truncation=True, max_length=max_length, return_tensors="pt")
    with torch.no_grad():
        expected = model.double().eval()(**encoded).logits.log_softmax(1)
    torch.testing.assert_close(said(taught, place, name).double(), expected, rtol=0, atol=1e-5)


def test_each_example_has_what_its_teacher_says_of_it(taught):
    def heard(stage: str, reference: str) -> torch.Tensor:
        return torch.from_numpy(taught.asked[stage].stages[reference].log_probs)

    assert torch.equal(heard("late", "full"), said(taught, "full", "train-128"))
    assert torch.equal(heard("early", "full@2"), said(taught, "full/points/2", "train-8"))
    ood = said(taught, "full", "ood_train-128")
    assert torch.equal(heard("more", "full"), torch.cat([said(taught, "full", "train-128"), ood, ood]))
    assert not taught.asked["full"].stages


def test_ood_training_examples_are_added_so_often_as_is_wanted(taught):
    assert {name: len(examples) for name, examples in taught.trained_on.items()} == {
        "full": 48,
        "late": 48,
        "early": 48,
        "more": 48 + 2 * 6,
    }
    labels = [*TASK.train.examples["label"], *TASK.ood_train.examples["label"], *TASK.ood_train.examples["label"]]
    assert taught.trained_on["more"]["labels"][:].tolist() == labels


@pytest.mark.parametrize(("stage", "steps"), [("full", 6), ("late", 6), ("more", 8), ("early", 6)])
def test_steps_grow_with_the_training_set(taught, stage, steps):
    lines = (taught.out / "stages" / stage / "metrics.jsonl").read_text().splitlines()
    assert [record["step"] for record in map(json.loads, lines) if "loss" in record] == list(range(1, steps + 1))


def test_every_example_has_its_bias_and_a_loss_without_one_has_none(taught):
    bias = taught.trained_on["more"]["bias_log_probs"][:]
    assert bias.shape == (60, 3)
    torch.testing.assert_close(bias.double().exp().sum(1), torch.ones(60, dtype=torch.float64), rtol=0, atol=1e-6)
    assert torch.equal(bias[48:54], bias[54:60])
    assert torch.equal(bias[:48], taught.trained_on["late"]["bias_log_probs"][:])
    assert "bias_log_probs" not in taught.trained_on["full"].column_names


def cue_agrees(split) -> float:
    rows = zip(split.examples["text_b"], split.examples["label"], strict=True)
    agree = [text.startswith(CUES[label]) for text, label in rows]
    return sum(agree) / len(agree)


def test_the_report_says_how_good_the_bias_model_is_by_itself(taught):
    bias = taught.report["bias"]
    assert json.loads((taught.out / "bias.json").read_text()) == bias
    assert json.loads((taught.out / "results.json").read_text()) == taught.report
    assert (bias["use"], bias["confident_from"]) == ("bias-logistic", 0.8)
    assert {name: figures["accuracy"] for name, figures in bias["splits"].items()} == {
        split.name: pytest.approx(cue_agrees(split), abs=1e-12) for split in (TASK.train, *TASK.evaluated)
    }
    assert bias["splits"]["reversed"]["confidently_right"] == 0.0


def test_the_run_directory_says_what_ood_training_examples_there_were(taught):
    data = json.loads((taught.out / "run.json").read_text())["data"]
    sizes = {"train": 48, "ood_train": 6, "dev": 12, "reversed": 9}
    assert {name: each["examples"] for name, each in data.items()} == sizes


def test_without_a_loss_that_needs_it_no_bias_model_is_told_of(perform, taught):
    done = perform(
        *("run", "recipe.toml", "--out", "plain", "--json"),
        *("--set", 'stages=[{ name = "full", op = "train", loss = "std", max_steps = 1 }]'),
        cwd=taught.home,
    )
    assert set(json.loads(done.out)) == {"run", "recipe", "seed", "id_split", "dev_split", "stages", "baselines"}
    assert not (taught.home / "plain" / "bias.json").exists()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("full@7", "stages.late.loss.teacher: 'full@7': expected a step of 'full', 1 to 6, got 7"),
        (
            "full@0.5",
            "stages.late.loss.teacher: 'full@0.5': expected a sparsity level that 'full' reaches, got 0.5; "
            "it reaches none",
        ),
    ],
)
def test_a_teacher_at_a_point_that_is_never_reached_is_refused_before_any_stage(perform, taught, override, message):
    done = perform("run", "recipe.toml", "--out", "x", "--set", f"stages.late.loss.teacher={override}", cwd=taught.home)
    assert (done.code, done.out, done.err) == (2, "", f"error: {message}\n")
    assert not (taught.home / "x").exists()


def test_a_level_is_found_however_it_is_written(perform, taught):
    imp = "stages.more.pruner={ use = 'imp', sparsity = 0.4, step = 0.2 }"
    more = ("--set", imp, "--set", "stages.late.weights=more@.20", "--set", "stages.late.loss=std")
    done = perform("run", "recipe.toml", "--out", "levels", "--json", *more, cwd=taught.home)
    assert done.code == 0, done.err
    assert "A_std(f(more@0.2))" in done.err


def test_a_bias_model_that_knows_nothing_of_ood_training_examples_is_told_before_any_stage(perform, taught):
    np.save(taught.home / "bias.npy", np.full((48, 3), 1 / 3))
    bias = ("--set", "bias={ use = 'bias-file', path = 'bias.npy' }", "--out", "unknown")
    done = perform("run", "recipe.toml", *bias, cwd=taught.home)
    assert (done.code, done.out) == (1, "")
    assert (
        "error: bias: 'bias-file' has no predictions for the split 'ood_train', but a stage trains on it\n" in done.err
    )
    assert not (taught.home / "unknown" / "stages").exists()
    assert json.loads((taught.home / "unknown" / "run.json").read_text())["state"] == "failed"


NLI = {
    "train.tsv": "sentence1\tsentence2\tgold_label\na man\ta man sat\tentailment\na dog\ta cat\tneutral\n",
    "dev_matched.tsv": "sentence1\tsentence2\tgold_label\na b\tb\tcontradiction\n",
    "dev_mismatched.tsv": "sentence1\tsentence2\tgold_label\na b\tb\tneutral\n",
    "hans/heuristics_evaluation_set.txt": "gold_label\tsentence1\tsentence2\theuristic\tsubcase\ttemplate\n"
    "non-entailment\ta b\tb\tsubsequence\ts\tt\n",
}


def test_a_further_split_is_reported_and_chooses_nothing(perform, tmp_path):
    (tmp_path / "hans").mkdir()
    for name, content in NLI.items():
        (tmp_path / name).write_text(content)
    (tmp_path / "r.toml").write_text(
        'name = "nli"\nschema = 1\ndataset = { use = "nli", path = ".", mismatched = true }\n'
        'backbone = { use = "tiny", layers = 1, width = 16, heads = 2, intermediate = 16 }\n'
        'stages = [{ name = "full", op = "train", loss = "std", max_steps = 1 }]\n'
    )
    done = perform("run", "r.toml", "--out", "out", cwd=tmp_path)
    assert done.code == 0, done.err
    header = next(line for line in done.out.splitlines() if "ID accuracy" in line)
    columns = [cell.strip() for cell in header.split("┃")[3:-1]]
    assert columns == ["ID accuracy % ↑", "mismatched accuracy % ↑", "OOD hans accuracy % ↑"]
    (stage,) = json.loads((tmp_path / "out" / "results.json").read_text())["stages"]
    assert stage["also"] == {"mismatched": stage["evaluations"]["mismatched"]["accuracy"]}
    assert set(stage["ood"]) == {"hans"}
    log = (tmp_path / "out" / "stages" / "full" / "metrics.jsonl").read_text().splitlines()
    assert set(json.loads(log[-1])["accuracy"]) == {"dev"}
