"""Nothing is computed twice, whatever used the tokenizer before; and nothing is served that would not be computed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

from srf_backbones.options import TinyOptions
from srf_backbones.tiny import TinyBert
from srframework.run.stage import StageTraining

RECIPE = """
name = "Twice"
schema = 1
training = { batch_size = 8, max_steps = 2, max_length = 12 }

[backbone]
use = "encoder"
path = "model"

[dataset]
use = "pairs"
root = "."
labels = ["no", "yes"]
text_a = "a"
text_b = "b"
train.path = "train.tsv"
dev.path = "dev.tsv"

[[stages]]
name = "full"
op = "train"
loss = "std"
"""
BIASED = RECIPE + '\n[[stages]]\nname = "robust"\nop = "train"\nweights = "full"\nloss = "poe"\n'
AGAIN = RECIPE + '\n[[stages]]\nname = "other"\nop = "train"\nweights = "pretrained"\nloss = "std"\nmax_steps = 3\n'


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> Path:
    """A model whose tokenizer ships truncation and padding, and data."""
    path = tmp_path_factory.mktemp("twice")
    network = TinyBert(TinyOptions(layers=1, width=16, heads=2, intermediate=16)).load(("no", "yes"), seed=1)
    network.model.bert.save_pretrained(path / "model")
    network.tokenizer.backend_tokenizer.enable_truncation(24)
    network.tokenizer.backend_tokenizer.enable_padding(length=24)
    network.tokenizer.save_pretrained(path / "model")
    words = "the man is not in a park with two women and one child who eat".split()
    for name, count in (("train", 24), ("dev", 9)):
        texts = [(" ".join(words[n % 5 :]), " ".join(words[: 3 + n % 7])) for n in range(count)]
        lines = [f"{a}\t{b}\t{('no', 'yes')[n % 2]}\n" for n, (a, b) in enumerate(texts)]
        (path / f"{name}.tsv").write_text("a\tb\tlabel\n" + "".join(lines))
    return path


@pytest.fixture
def home(template, tmp_path) -> Path:
    return shutil.copytree(template, tmp_path / "home")


@pytest.fixture
def run(perform, home):
    """Run a recipe; give what the command left."""

    def run(text: str, *args: str, command: str = "run", code: int = 0):
        (home / "recipe.toml").write_text(text)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("OMP_NUM_THREADS", "1")
            done = perform(command, "recipe.toml", "--store", "store", *args, cwd=home)
        assert done.code == code, done.err
        return done

    return run


def trained(home: Path) -> list[str]:
    """What is trained in the store, by its formula."""
    found = [json.loads(each.read_text()) for each in home.glob("store/entries/*/*/manifest.json")]
    return sorted(each["what"] for each in found if each["kind"] == "trained")


def key(home: Path, out: str, stage: str = "full") -> str:
    return json.loads((home / out / "run.json").read_text())["stages"][stage]["trained"]


def test_a_recipe_with_a_bias_model_and_one_without_have_one_full(run, home):
    run(BIASED, "--out", "biased")
    run(RECIPE, "--out", "plain")
    assert key(home, "biased") == key(home, "plain")
    assert len(trained(home)) == 2


def test_the_tokenizer_of_a_stage_is_that_of_the_backbone(run, home):
    run(BIASED, "--out", "out")
    loaded = AutoTokenizer.from_pretrained(home / "model")
    loaded.save_pretrained(home / "expected")
    for stage in ("full", "robust"):
        for name in ("tokenizer.json", "tokenizer_config.json"):
            saved = home / "out/stages" / stage / "model" / name
            expected = json.loads((home / "expected" / name).read_text())
            of_loading = ("is_local", "local_files_only")  # of how it was loaded, not of what it is
            kept = {key: value for key, value in expected.items() if key not in of_loading}
            assert json.loads(saved.read_text()) == kept
        config = json.loads((home / "out/stages" / stage / "model/tokenizer_config.json").read_text())
        steps = json.loads((home / "out/stages" / stage / "model/tokenizer.json").read_text())
        assert steps["truncation"]["max_length"] == config["max_length"] == 24


SWEEP = BIASED + "\n[sweep]\nseed = [1, 2]\nstages.robust.learning_rate = [1e-3, 1e-2]\n"


@pytest.mark.long
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_the_cells_of_one_seed_rest_on_one_full(run, home, jobs):
    first = run(SWEEP, "--out", "out", "--jobs", jobs, command="sweep")
    assert "4 runs: 6 stages computed in " in first.err
    assert ", 2 reused; " in first.err
    cells = sorted(path.parent.name for path in home.glob("out/*/run.json"))
    assert len({key(home, f"out/{cell}") for cell in cells if cell.startswith("seed=1,")}) == 1
    assert len({key(home, f"out/{cell}") for cell in cells}) == 2
    assert len(trained(home)) == 6
    again = run(SWEEP, "--out", "out", "--jobs", jobs, command="sweep")
    assert "4 runs: 0 stages computed in 0 s, 8 reused; " in again.err
    assert "warning" not in again.err
    assert len(trained(home)) == 6


@pytest.mark.long
def test_a_finished_run_whose_entry_is_gone_is_counted(run, home):
    run(SWEEP, "--out", "out", command="sweep")
    cell = "seed=1,learning_rate=0.001"
    gone = key(home, f"out/{cell}", "robust")
    shutil.rmtree(home / "store/entries" / gone[:2] / gone)
    again = run(SWEEP, "--out", "out", command="sweep")
    assert "warning: run 1 of 4: seed=1, learning_rate=0.001: finished before, and computed again: " in again.err
    summary = next(line for line in again.err.splitlines() if line.startswith("4 runs: "))
    assert summary.startswith("4 runs: 1 stage computed in ")
    assert ", 7 reused; " in summary
    assert summary.endswith("; 1 finished run computed again")
    assert key(home, f"out/{cell}", "robust") == gone


def test_what_a_run_that_fails_has_computed_is_counted(run, home):
    failing = BIASED + "learning_rate = 1e30\n\n[sweep]\nseed = [1, 2]\n"
    done = run(failing, "--out", "out", command="sweep", code=1)
    assert len(trained(home)) == 2
    assert "2 runs: 2 stages computed in " in done.err
    assert ", 0 reused; " in done.err


def test_weights_that_are_replaced_during_a_run_change_no_stage(run, home, monkeypatch):
    run(AGAIN, "--out", "undisturbed", "--store", "first")
    into = StageTraining.into

    def disturbed(self, directory):
        into(self, directory)
        weights = {name: value + 1 for name, value in load_file(home / "model/model.safetensors").items()}
        save_file(weights, home / "model/model.safetensors", metadata={"format": "pt"})

    monkeypatch.setattr(StageTraining, "into", disturbed)
    run(AGAIN, "--out", "disturbed", "--store", "second")
    for stage in ("full", "other"):
        model = Path("stages") / stage / "model/model.safetensors"
        assert (home / "disturbed" / model).read_bytes() == (home / "undisturbed" / model).read_bytes()
        assert key(home, "disturbed", stage) == key(home, "undisturbed", stage)
    monkeypatch.undo()
    run(AGAIN, "--out", "afterwards", "--store", "second")
    assert key(home, "afterwards") != key(home, "disturbed")


@pytest.mark.parametrize(
    ("name", "setting", "value"),
    [
        *[("tokenizer_config.json", "truncation_side", "left"), ("tokenizer_config.json", "padding_side", "left")],
        ("tokenizer_config.json", "model_input_names", ["input_ids", "attention_mask"]),
        ("tokenizer_config.json", "split_special_tokens", True),
        ("config.json", "hidden_act", "relu"),
    ],
)
def test_a_setting_of_the_checkpoint_that_changes_is_another_stage(run, home, name, setting, value):
    run(RECIPE, "--out", "before")
    content = json.loads((home / "model" / name).read_text())
    (home / "model" / name).write_text(json.dumps(content | {setting: value}))
    run(RECIPE, "--out", "after")
    assert key(home, "before") != key(home, "after")


def test_the_attention_that_a_checkpoint_names_changes_neither_bits_nor_keys(run, home):
    run(AGAIN, "--out", "before", "--store", "first")
    content = json.loads((home / "model/config.json").read_text())
    (home / "model/config.json").write_text(json.dumps(content | {"attn_implementation": "eager"}))
    run(AGAIN, "--out", "after", "--store", "second")
    model = "stages/full/model/model.safetensors"
    assert (home / "before" / model).read_bytes() == (home / "after" / model).read_bytes()
    assert key(home, "before") == key(home, "after")
