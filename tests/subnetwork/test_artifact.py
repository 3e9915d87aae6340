"""The artifact of a subnetwork: what is in it, what comes back, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from small_subnetwork import random_mask, weights_of

import srframework
from srframework.errors import BackboneError, DataError, UsageError
from srframework.hashing import digest
from srframework.masks import Mask
from srframework.subnetwork.artifact import Subnetwork
from srframework.subnetwork.base import BaseModel
from srframework.subnetwork.lock import locked_mask
from srframework.subnetwork.writing import Content, write_artifact

IDS = torch.arange(24).reshape(3, 8)


def logits(model) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(input_ids=IDS).logits


def bits(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.contiguous().view(torch.int32)


def test_a_mask_on_frozen_weights_needs_only_the_mask_and_the_head(masked, mask):
    tensors = load_file(masked / "subnetwork.safetensors")
    assert tensors.keys() == {"tensor/classifier.weight", *(f"mask/{name}/0" for name in mask)}
    assert {path.name for path in masked.iterdir()} == {"manifest.json", "subnetwork.safetensors"}


def test_it_gives_the_same_predictions_to_the_bit(masked, model, mask):
    loaded = srframework.load_subnetwork(masked)
    assert torch.equal(bits(logits(loaded)), bits(logits(model)))
    assert locked_mask(loaded) == Subnetwork(masked).mask() == mask


def test_the_base_may_be_a_model_in_memory(masked, model, make_model):
    assert torch.equal(logits(srframework.load_subnetwork(masked, base=make_model())), logits(model))


def test_the_base_is_found_beside_the_artifact_after_both_have_moved(masked, base, model, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    shutil.move(base, tmp_path / "elsewhere/base")
    shutil.move(masked, tmp_path / "elsewhere/masked")
    assert torch.equal(logits(srframework.load_subnetwork(tmp_path / "elsewhere/masked")), logits(model))


def test_trained_weights_are_the_values_of_the_kept_entries(trained, make_model, mask):
    tensors = load_file(trained / "subnetwork.safetensors")
    model = make_model(seed=7)
    mask.apply_(model)
    for name, kept in mask.items():
        assert torch.equal(tensors[f"values/{name}.weight"], model.get_submodule(name).weight[kept])
    assert Subnetwork(trained).manifest.base is None
    loaded = srframework.load_subnetwork(trained)
    for name, tensor in model.state_dict().items():
        assert torch.equal(bits(loaded.state_dict()[name]), bits(tensor)), name
    assert torch.equal(bits(logits(loaded)), bits(logits(model)))


def test_weights_that_differ_from_the_base_in_most_bytes_have_no_base(make_model, mask, tmp_path):
    model, other = make_model(seed=7), make_model()
    mask.apply_(model)
    of_other = BaseModel("other", None, weights_of(other))
    written = write_artifact(Content(weights_of(model), [mask], model.config.to_dict(), of_other), tmp_path / "own")
    assert written.base is None


def test_half_precision_halves_the_values(trained, make_model, mask, tmp_path):
    model = make_model(seed=7)
    mask.apply_(model)
    content = Content(weights_of(model), [mask], model.config.to_dict(), dtype="float16")
    write_artifact(content, tmp_path / "half")
    stored = load_file(tmp_path / "half/subnetwork.safetensors")
    assert {each.dtype for name, each in stored.items() if not name.startswith("mask/")} == {torch.float16}
    loaded = srframework.load_subnetwork(tmp_path / "half")
    assert {each.dtype for each in loaded.parameters()} == {torch.float32}
    torch.testing.assert_close(logits(loaded), logits(model), atol=1e-3, rtol=1e-3)
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor.half().float())


def test_a_value_too_large_for_half_precision_is_an_error(make_model, mask, tmp_path):
    model = make_model()
    mask.apply_(model)
    model.classifier.bias.data[0] = 1e6
    content = Content(weights_of(model), [mask], model.config.to_dict(), dtype="float16")
    with pytest.raises(DataError, match=r"classifier.bias: expected values up to 65504 for float16, got 1e\+06"):
        write_artifact(content, tmp_path / "half")
    assert not (tmp_path / "half").exists()


def test_a_pruned_entry_that_is_not_0_is_an_error(make_model, mask, tmp_path):
    model = make_model()
    with pytest.raises(DataError, match=r"expected 0 in every entry that the mask prunes, got other values"):
        write_artifact(Content(weights_of(model), [mask], model.config.to_dict()), tmp_path / "wrong")


def nested(model, count: int) -> list[Mask]:
    """Random masks, each inside the one before."""
    masks = [random_mask(model, 0.3)]
    for seed in range(1, count):
        masks.append(masks[-1] & random_mask(model, 0.4, seed))
    return masks


@given(st.integers(1, 4), st.integers(0, 9))
def test_levels_come_back(tmp_path_factory, count, seed):
    generator = torch.Generator().manual_seed(seed)
    matrix = torch.rand(7, 5, generator=generator)
    masks = [Mask({"m": matrix > level}) for level in (0.1, 0.3, 0.6, 0.8)[:count]]
    levels = sorted({mask.sparsity for mask in masks})
    masks = [next(mask for mask in masks if mask.sparsity == level) for level in levels]
    place = tmp_path_factory.mktemp("levels") / "artifact"
    weights = {"m.weight": matrix.masked_fill(~masks[-1]["m"], 0.0)}
    write_artifact(Content(weights, masks, {"model_type": "bert"}), place)
    read = Subnetwork(place)
    assert read.levels == levels
    assert [read.mask(level) for level in levels] == masks
    assert read.mask() == masks[-1]
    assert torch.equal(read.weights()["m.weight"], weights["m.weight"])


def test_several_levels_are_one_map_that_is_smaller_than_their_masks(make_model, tmp_path):
    model = make_model()
    masks = nested(model, 3)
    masks[-1].apply_(model)
    config = model.config.to_dict()
    write_artifact(Content(weights_of(model), masks, config), tmp_path / "levels")
    tensors = load_file(tmp_path / "levels/subnetwork.safetensors")
    size = sum(each.numel() for name, each in tensors.items() if name.startswith("mask/"))
    entries = masks[0].entries
    assert size < entries / 8 * (1 + 0.7 + 0.42) * 1.02
    assert size < 3 * entries / 8


def test_levels_that_are_not_nested_are_an_error(make_model, tmp_path):
    model = make_model()
    masks = [random_mask(model, 0.3), random_mask(model, 0.6, 1)]
    masks[-1].apply_(model)
    with pytest.raises(UsageError, match="expected each level to keep only entries that the level before it keeps"):
        write_artifact(Content(weights_of(model), masks, model.config.to_dict()), tmp_path / "levels")


def test_a_level_that_is_not_there_is_an_error(trained):
    with pytest.raises(UsageError, match=r"expected one of the levels 0\.50.*, got 0\.9"):
        Subnetwork(trained).mask(0.9)


# -- what is refused -----------------------------------------------------------------------------


def test_another_base_is_an_error_that_says_what_differs(masked, make_model):
    other = make_model()
    other.bert.encoder.layer[1].output.dense.bias.data[3] += 1
    expected = r"expected the base the small model \(\w{12}\), got a model with other weights: "
    with pytest.raises(
        BackboneError, match=expected + r"1 of 40 tensors differ: bert.encoder.layer.1.output.dense.bias"
    ):
        srframework.load_subnetwork(masked, base=other)


def test_a_base_of_another_shape_is_an_error(masked, tmp_path, make_model):
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig(vocab_size=40, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)
    other = BertForSequenceClassification(config)
    with pytest.raises(BackboneError, match=r"got a model without bert.encoder.layer.1.* and \d+ more"):
        srframework.load_subnetwork(masked, base=other)


def test_a_base_that_is_not_there_is_an_error(masked, base):
    shutil.rmtree(base)
    with pytest.raises(BackboneError, match=r"base .*: expected a model that can be loaded"):
        srframework.load_subnetwork(masked, base=base)


def test_a_base_without_a_place_must_be_given(make_model, mask, tmp_path):
    model = make_model()
    of_base = BaseModel("the small model", None, weights_of(model))
    mask.apply_(model)
    write_artifact(Content(weights_of(model), [mask], model.config.to_dict(), of_base), tmp_path / "masked")
    with pytest.raises(BackboneError, match=r"its weights are those of the small model \(\w{12}\); give this model as"):
        srframework.load_subnetwork(tmp_path / "masked")
    assert torch.equal(logits(srframework.load_subnetwork(tmp_path / "masked", make_model())), logits(model))


def refusal(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        srframework.load_subnetwork(path)
    return str(caught.value)


def test_a_truncated_file_is_an_error(trained):
    path = trained / "subnetwork.safetensors"
    content = path.read_bytes()
    path.write_bytes(content[:-7])
    assert refusal(trained) == (
        f"{path}: expected {len(content)} bytes, got {len(content) - 7}; the file is incomplete or changed"
    )


def test_a_flipped_byte_is_an_error_wherever_it_is(trained):
    path = trained / "subnetwork.safetensors"
    content = path.read_bytes()
    for place in (0, 50, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        assert f"{path}: expected SHA-256" in refusal(trained)
        assert "the file is damaged" in refusal(trained)


def test_a_flipped_byte_of_the_manifest_is_an_error(trained):
    path = trained / "manifest.json"
    content = path.read_text()
    path.write_text(content.replace('"hidden_size": 16', '"hidden_size": 17'))
    assert "the manifest was changed after it was written" in refusal(trained)
    path.write_text(content[:-20])
    assert "got a file that is not JSON" in refusal(trained)


@pytest.mark.parametrize(
    ("content", "got"),
    [
        ('{"model_type": "bert", "hidden_size": 16}', "got ['hidden_size', 'model_type']"),
        ('{"format": "other-2"}', "got 'other-2'"),
        ("[1, 2]", "got [1, 2]"),
        ("null", "got "),
        ("\x00", "got a file that is not JSON"),
    ],
)
def test_foreign_json_is_an_error(trained, content, got):
    (trained / "manifest.json").write_text(content)
    assert refusal(trained).startswith(
        f"{trained}/manifest.json: expected the manifest of a subnetwork (srframework-subnetwork-1), "
    )
    assert got in refusal(trained)


def test_what_is_no_artifact_is_an_error(tmp_path, trained):
    assert "got no such directory" in refusal(tmp_path / "nothing")
    assert "got a directory without it" in refusal(tmp_path)
    (trained / "subnetwork.safetensors").unlink()
    assert "subnetwork.safetensors: the file cannot be read: No such file" in refusal(trained)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"levels": [2.0]}, "expected"),
        ({"levels": []}, "Expected `array` of length >= 1"),
        ({"levels": [0.1, 0.5]}, "expected 2 codings, got 1"),
        ({"levels": [0.5, 0.1]}, "expected ascending levels"),
        ({"more": 1}, "unknown field `more`"),
        ({"files": {"../x": {"bytes": 1, "sha256": ""}}}, "expected files of this directory, got '../x'"),
        ({"model": {"model_type": "nothing"}}, "expected the configuration of a sequence classifier, got 'nothing'"),
    ],
)
def test_a_manifest_with_other_content_is_an_error(trained, change, message):
    path = trained / "manifest.json"
    content = json.loads(path.read_text()) | change
    content.pop("sha256")
    path.write_text(json.dumps(content | {"sha256": digest(content)}))
    with pytest.raises((DataError, BackboneError)) as caught:
        srframework.load_subnetwork(trained)
    assert message.lower() in str(caught.value).lower()
