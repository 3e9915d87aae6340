"""A backbone that is not as it should be ends a run with one sentence, before any stage, and before there is a run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
import transformers as hf
from safetensors.torch import load_file, save_file

from srf_backbones.options import TinyOptions
from srf_backbones.tiny import TinyBert

RECIPE = """
name = "hostile"
schema = 1
training = { max_steps = 1, batch_size = 4, max_length = 32 }

[backbone]
use = "encoder"
path = "bert"

[dataset]
use = "synthetic"
train_size = 12
dev_size = 6
ood_size = 6

[[stages]]
name = "full"
op = "train"
loss = { use = "std" }
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "bert"
    words = TinyBert(TinyOptions(layers=1, width=16, heads=2, intermediate=16)).load(("no", "yes"), 1).tokenizer
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24}
    torch.manual_seed(0)
    config = hf.BertConfig(**size, vocab_size=len(words), max_position_embeddings=64)
    hf.BertModel(config).save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


@pytest.fixture
def home(work, whole) -> Path:
    shutil.copytree(whole, work / "bert")
    (work / "r.toml").write_text(RECIPE)
    return work


def nan(folder: Path) -> None:
    found = load_file(folder / "model.safetensors")
    found["pooler.dense.bias"][3] = float("nan")
    save_file(found, folder / "model.safetensors")


def heads(folder: Path) -> None:
    table = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(table | {"num_attention_heads": 0}))


def one_type(folder: Path) -> None:
    found = load_file(folder / "model.safetensors")
    name = "embeddings.token_type_embeddings.weight"
    found[name] = found[name][:1].contiguous()
    save_file(found, folder / "model.safetensors")
    table = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(table | {"type_vocab_size": 1}))


def more_tokens(folder: Path) -> None:
    tokenizer = hf.AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["zzzqq"])
    tokenizer.save_pretrained(folder)


def pickled(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    names = dict.fromkeys(load_file(folder / "model.safetensors"), "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (nan, "pooler.dense.bias"),
        (heads, "num_attention_heads: expected an integer of at least 1, got 0"),
        (one_type, "expected token_type_ids below 1, the number of embeddings, got 1 from its tokenizer"),
        (
            more_tokens,
            "expected a tokenizer of at most 577 tokens, because the model has 577 embeddings; got 578 tokens",
        ),
        (pickled, "weight_map: expected files of this directory whose names end in .safetensors"),
    ],
)
def test_a_run_ends_with_a_sentence_and_leaves_no_run(home, perform, spoil, says):
    spoil(home / "bert")
    done = perform("run", "r.toml", "--out", "out", cwd=home)
    assert done.code == 1
    (line,) = done.err.splitlines()
    assert line.startswith("error: ")
    assert says in line
    assert not (home / "out" / "recipe.toml").exists()


@pytest.mark.parametrize(("length", "code"), [(64, 0), (65, 2)])
def test_more_tokens_than_positions_are_the_recipes_fault(home, perform, length, code):
    done = perform("run", "r.toml", "--out", "out", "--set", f"stages.full.max_length={length}", cwd=home)
    assert done.code == code, done.err
    if code:
        assert done.err == (
            "error: stages.full.max_length: must be at most 64, the number of positions of backbone 'encoder' of "
            "srframework 0.1.0 (bert) (got 65)\n"
        )
        assert not (home / "out" / "recipe.toml").exists()


@pytest.mark.parametrize("path", ["./bort", "/no/such/bert", "bert/inner"])
@pytest.mark.parametrize("command", [("validate", "r.toml"), ("run", "r.toml", "--out", "out")])
def test_a_path_that_is_not_there_is_reported_with_the_recipe(home, call, command, path):
    done = call(*command, "--set", f"backbone.path={path!r}")
    assert done.code == 2
    assert f"backbone.path: Model not found: {path!r} " in done.err


@pytest.mark.parametrize("path", ["bort", "bert/"])
def test_a_name_that_the_hub_may_have_and_a_directory_that_is_there_are_valid(home, call, path):
    assert call("validate", "r.toml", "--set", f"backbone.path={path!r}").code == 0
