"""θ_pt is read once: what happens to its files afterwards changes no result."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file, save_file

from srf_backbones.encoder import HuggingFaceEncoder
from srf_backbones.options import TinyOptions
from srf_backbones.tiny import TinyBert
from srframework.errors import BackboneError
from srframework.recipe.check import load_recipe
from srframework.registry.discovery import discover
from srframework.registry.registry import Registry
from srframework.run.fingerprint import network_fingerprint
from srframework.run.resources import Materials
from srframework.run.shared_materials import clear_shared_materials, shared_materials

RECIPE = """
name = "Read once"
schema = 1
backbone = {{ use = "encoder", path = "{path}" }}
dataset = {{ use = "synthetic", train_size = 24, dev_size = 12, ood_size = 9 }}
training = {{ batch_size = 8, max_steps = 2 }}

[[stages]]
name = "full"
op = "train"
loss = "std"
"""


@pytest.fixture
def place(tmp_path) -> Path:
    """A directory with a model."""
    network = TinyBert(TinyOptions(layers=1, width=16, heads=2, intermediate=16)).load(("a", "b", "c"), seed=1)
    network.model.save_pretrained(tmp_path / "model")
    network.tokenizer.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def recipe(place, tmp_path):
    (tmp_path / "recipe.toml").write_text(RECIPE.format(path=place))
    return load_recipe(tmp_path / "recipe.toml", Registry(discover()))


@pytest.fixture
def materials(recipe) -> Materials:
    return Materials(recipe, Accelerator())


def other_weights(place: Path) -> bytes:
    """A file like that of the model, with other weights."""
    weights = {name: value + 1 for name, value in load_file(place / "model.safetensors").items()}
    save_file(weights, place / "other", metadata={"format": "pt"})
    content = (place / "other").read_bytes()
    (place / "other").unlink()
    return content


def overwrite(place: Path) -> None:
    content = other_weights(place)
    with (place / "model.safetensors").open("r+b") as file:  # in place: the same inode
        file.write(content)


def replace(place: Path) -> None:
    content = other_weights(place)
    (place / "new").write_bytes(content)
    os.replace(place / "new", place / "model.safetensors")


def truncate(place: Path) -> None:
    os.truncate(place / "model.safetensors", 0)


@pytest.mark.parametrize("change", [overwrite, replace, truncate, shutil.rmtree])
def test_what_becomes_of_the_files_of_a_model_changes_nothing(materials, place, change):
    before = network_fingerprint(materials.pretrained)
    first = materials.fresh()
    change(place)
    assert network_fingerprint(materials.pretrained) == before
    assert network_fingerprint(first) == before
    second = materials.fresh()
    assert network_fingerprint(second) == before
    second.model.classifier.weight.data.zero_()
    assert network_fingerprint(materials.fresh()) == network_fingerprint(materials.pretrained) == before


@pytest.mark.parametrize("change", [overwrite, truncate])
def test_a_model_of_a_stage_is_in_memory_once_it_is_loaded(materials, place, change):
    loaded = materials.load(place.parent)
    before = network_fingerprint(loaded)
    change(place)
    assert network_fingerprint(loaded) == before


def test_a_model_of_a_stage_computes_attention_as_the_pretrained_one(materials, place):
    materials.pretrained.model.set_attn_implementation("eager")
    assert materials.fresh().model.config._attn_implementation == "eager"
    assert materials.load(place.parent).model.config._attn_implementation == "eager"


def hooked(network) -> None:
    network.model.classifier.register_forward_hook(lambda _module, _inputs, output: output * 2)


def closed_over(network) -> None:
    plain = network.model.forward
    network.model.forward = lambda **batch: plain(**batch)


@pytest.mark.long
@pytest.mark.parametrize("change", [hooked, closed_over])
def test_a_model_that_cannot_be_copied_is_loaded_again_and_checked(materials, place, change, monkeypatch):
    load_plain = HuggingFaceEncoder.load

    def load_special(backbone, labels, seed):
        network = load_plain(backbone, labels, seed)
        change(network)
        return network

    monkeypatch.setattr(HuggingFaceEncoder, "load", load_special)
    first, second = materials.fresh(), materials.fresh()
    assert first.model is not second.model
    batch = dict(first.tokenizer(["a man"], return_tensors="pt"))
    second.model(**batch).logits.sum().backward()
    assert all(each.grad is None for each in first.model.parameters())
    assert second.model.classifier.weight.grad is not None
    replace(place)
    with pytest.raises(BackboneError, match="is not the one that this run started with"):
        materials.fresh()


def test_a_model_that_is_copied_is_trained_itself(materials):
    first, second = materials.fresh(), materials.fresh()
    second.model(**dict(second.tokenizer(["a man"], return_tensors="pt"))).logits.sum().backward()
    assert all(each.grad is None for network in (first, materials.pretrained) for each in network.model.parameters())
    assert second.model.classifier.weight.grad is not None


def test_weights_that_share_memory_still_do(materials, monkeypatch):
    load_plain = HuggingFaceEncoder.load

    def load_shared(backbone, labels, seed):
        network = load_plain(backbone, labels, seed)
        layer = network.model.bert.encoder.layer[0].attention.self
        layer.key.weight = torch.nn.Parameter(layer.query.weight.data)
        return network

    monkeypatch.setattr(HuggingFaceEncoder, "load", load_shared)
    for network in (materials.pretrained, materials.fresh()):
        layer = network.model.bert.encoder.layer[0].attention.self
        assert layer.key.weight.data_ptr() == layer.query.weight.data_ptr()


@pytest.mark.parametrize("change", [overwrite, replace])
def test_what_was_read_for_another_recipe_will_do_until_its_files_change(recipe, place, change):
    accelerator = Accelerator()
    clear_shared_materials()
    try:
        first = shared_materials(recipe, accelerator)
        before = network_fingerprint(first.pretrained)
        assert shared_materials(recipe, accelerator) is first
        change(place)
        second = shared_materials(recipe, accelerator)
        assert second is not first
        assert network_fingerprint(second.pretrained) != before
    finally:
        clear_shared_materials()


def test_processes_that_read_different_things_stop(materials, recipe, monkeypatch):
    monkeypatch.setattr(
        materials,
        "_accelerator",
        SimpleNamespace(
            num_processes=2, device=torch.device("cpu"), gather=lambda mine: torch.cat([mine, (mine + 1) % 256])
        ),
    )
    with pytest.raises(Exception, match="the processes read different models or different data"):
        materials.identity(recipe.stages[0])
