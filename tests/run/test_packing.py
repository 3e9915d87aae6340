"""Packed models: what is saved of a model whose weights are those of another model under a mask."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file

from srframework.errors import BackboneError
from srframework.hashing import sha256
from srframework.masks import Mask
from srframework.run import saved_model
from srframework.run.packing import Packed, pack, resembles, same_bits
from srframework.run.paths import point_in
from srframework.run.saved_model import SavedModel, save
from srframework.store.drafts import Sums
from srframework.training.events import KeptModel

BASE = {
    "encoder.weight": torch.tensor([[1.0, -0.0, 3.0, 4.0], [-5.0, 6.0, 0.0, 8.0]] * 8),
    "encoder.bias": torch.tensor([1.0, -2.0]),
    "head.weight": torch.tensor([[0.25, 0.5]]),
}
MATRIX = torch.tensor([[True, True, False, True], [False, True, True, False]] * 8)
MASK = Mask({"encoder": MATRIX})
MASKED = torch.tensor([[1.0, -0.0, 0.0, 4.0], [0.0, 6.0, 0.0, 0.0]] * 8)


def model(**changed: torch.Tensor) -> dict[str, torch.Tensor]:
    return BASE | {"encoder.weight": MASKED} | {name.replace("_", "."): each for name, each in changed.items()}


class Network:
    """What saves as a model and as a tokenizer."""

    def __init__(self) -> None:
        self.model = SimpleNamespace(save_pretrained=self._save)
        self.tokenizer = SimpleNamespace(save_pretrained=self._save)

    def _save(self, place: Path, state_dict=None) -> None:
        place.mkdir(exist_ok=True)
        if state_dict is None:
            (place / "tokenizer.json").write_text("[]")
        else:
            (place / "config.json").write_text("{}")
            save_file(state_dict, place / "model.safetensors", metadata={"format": "pt"})


@pytest.fixture
def base(tmp_path) -> Path:
    (tmp_path / "other").mkdir()
    save_file(BASE, tmp_path / "other" / "model.safetensors")
    return tmp_path / "other" / "model.safetensors"


@pytest.fixture
def draft(tmp_path) -> Path:
    (tmp_path / "draft").mkdir()
    return tmp_path / "draft"


def kept(weights=None, mask=MASK, point=None) -> KeptModel:
    return KeptModel(1, point, weights or model(), mask)


def saved(draft: Path, base: list[Path], checkpoint: KeptModel | None = None) -> Sums:
    sums = Sums(draft)
    save(checkpoint or kept(), Network(), draft, sums, base)
    return sums


def names(place: Path) -> list[str]:
    return sorted(path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file())


PACKED = [
    "base/model.safetensors",
    "mask.safetensors",
    "packed/changed.safetensors",
    "packed/config.json",
    "packed/packed.json",
    "packed/tokenizer.json",
]
FULL = ["mask.safetensors", "model/config.json", "model/model.safetensors", "model/tokenizer.json"]


def test_zeros_of_different_signs_differ():
    assert torch.equal(torch.tensor([0.0]), torch.tensor([-0.0]))
    assert not same_bits(torch.tensor([0.0]), torch.tensor([-0.0]))
    assert same_bits(torch.tensor([-0.0, 1.0]), torch.tensor([-0.0, 1.0]))
    assert not same_bits(torch.tensor([1.0]), torch.tensor([1.0], dtype=torch.float64))
    assert not same_bits(torch.tensor([1.0]), torch.tensor([[1.0]]))
    assert not same_bits(torch.tensor([1.0]), None)


def test_a_model_that_is_another_one_under_a_mask_refers_to_it(base, draft):
    sums = saved(draft, [base])
    assert names(draft) == PACKED == sorted(sums.all())
    assert (draft / "base" / "model.safetensors").samefile(base)
    assert load_file(draft / "packed" / "changed.safetensors") == {}
    weights = SavedModel(draft).weights()
    assert all(same_bits(weights[name], each) for name, each in model().items())
    assert weights.keys() == BASE.keys()


def test_only_the_tensors_that_differ_are_saved(base, draft):
    head, bias = torch.tensor([[0.25, 0.75]]), torch.tensor([1.0, 2.0])
    saved(draft, [base], kept(model(head_weight=head, encoder_bias=bias)))
    assert load_file(draft / "packed" / "changed.safetensors").keys() == {"head.weight", "encoder.bias"}
    weights = SavedModel(draft).weights()
    assert same_bits(weights["head.weight"], head)
    assert same_bits(weights["encoder.bias"], bias)
    assert same_bits(weights["encoder.weight"], MASKED)


def test_one_other_sign_of_a_zero_is_another_tensor(base, draft):
    other = MASKED.clone()
    other[0, 1] = 0.0  # -0.0 in the base
    saved(draft, [base], kept(model(encoder_weight=other)))
    assert names(draft) == FULL


def test_a_trained_model_is_saved_in_full(base, draft):
    saved(draft, [base], kept(model(encoder_weight=MASKED * 2)))
    assert names(draft) == FULL
    assert same_bits(SavedModel(draft).weights()["encoder.weight"], MASKED * 2)


def test_without_other_weights_a_model_is_saved_in_full(draft):
    saved(draft, [])
    assert names(draft) == FULL


def test_without_a_mask_a_model_may_refer_too(base, draft):
    saved(draft, [base], kept(BASE, Mask({})))
    assert names(draft) == [name for name in PACKED if name != "mask.safetensors"]
    assert same_bits(SavedModel(draft).weights()["encoder.weight"], BASE["encoder.weight"])


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
def test_a_file_is_rebuilt_byte_for_byte(tmp_path, draft, kind):
    for name, weights in (("base", BASE), ("model", model(head_weight=torch.tensor([[1.0, 2.0]])))):
        (tmp_path / name).mkdir()
        tensors = {each: value.to(kind) for each, value in weights.items()}
        save_file(tensors, tmp_path / name / "model.safetensors", metadata={"format": "pt"})
    (draft / "packed").mkdir()
    (draft / "base").symlink_to(tmp_path / "base")
    MASK.save(draft / "mask.safetensors")
    assert pack(tmp_path / "model", MASK, [tmp_path / "base" / "model.safetensors"], draft / "packed")
    Packed(draft).write("model.safetensors", tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "model" / "model.safetensors").read_bytes()


def test_a_model_and_its_base_may_have_several_files(tmp_path, draft):
    for place, weights in (("base", BASE), ("model", model())):
        (tmp_path / place).mkdir()
        for number, name in enumerate(weights):
            save_file({name: weights[name]}, tmp_path / place / f"{number}.safetensors")
    (draft / "packed").mkdir()
    (draft / "base").symlink_to(tmp_path / "base")
    MASK.save(draft / "mask.safetensors")
    assert pack(tmp_path / "model", MASK, sorted((tmp_path / "base").iterdir()), draft / "packed")
    found = SavedModel(draft).weights()
    assert all(same_bits(found[name], each) for name, each in model().items())
    SavedModel(draft).unpack(tmp_path / "again")
    assert names(tmp_path / "again") == ["0.safetensors", "1.safetensors", "2.safetensors"]
    assert all(
        sha256(tmp_path / "again" / each) == sha256(tmp_path / "model" / each) for each in names(tmp_path / "again")
    )


def test_a_packed_model_is_written_in_full(base, draft, tmp_path):
    saved(draft, [base])
    SavedModel(draft).unpack(tmp_path / "model")
    saved(tmp_path / "draft", [])
    assert names(tmp_path / "model") == ["config.json", "model.safetensors", "tokenizer.json"]
    for name in names(tmp_path / "model"):
        assert (tmp_path / "model" / name).read_bytes() == (draft / "model" / name).read_bytes()


def test_a_model_in_full_is_not_written_again(base, draft, tmp_path):
    saved(draft, [base])
    SavedModel(draft).unpack(tmp_path / "a")
    before = (tmp_path / "a" / "model.safetensors").stat()
    SavedModel(draft).unpack(tmp_path / "a")
    assert os.path.samestat(before, (tmp_path / "a" / "model.safetensors").stat())
    SavedModel(draft).unpack(tmp_path / "b", [tmp_path / "none", tmp_path / "a"])
    assert (tmp_path / "b" / "model.safetensors").samefile(tmp_path / "a" / "model.safetensors")


def test_a_changed_model_in_full_is_replaced(base, draft, tmp_path):
    saved(draft, [base])
    SavedModel(draft).unpack(tmp_path / "a")
    path = tmp_path / "a" / "model.safetensors"
    before = path.read_bytes()
    path.write_bytes(before[:-1] + b"x")
    SavedModel(draft).unpack(tmp_path / "b", [tmp_path / "a"])
    assert (tmp_path / "b" / "model.safetensors").read_bytes() == before
    SavedModel(draft).unpack(tmp_path / "a")
    assert path.read_bytes() == before


def test_a_point_refers_to_the_same_weights(base, draft):
    sums = saved(draft, [base], kept(point="0.5"))
    place = point_in(draft, "0.5")
    assert names(place) == PACKED
    assert sorted(sums.all()) == [f"points/0.5/{name}" for name in PACKED]
    assert same_bits(SavedModel(place).weights()["encoder.weight"], MASKED)


def test_a_model_that_refers_to_a_packed_model_refers_to_its_base(base, draft, tmp_path):
    saved(draft, [base])
    (tmp_path / "next").mkdir()
    second = Mask({"encoder": torch.tensor([[False, True, False, False], [False, True, False, False]] * 8)})
    weights = torch.tensor([[0.0, -0.0, 0.0, 0.0], [0.0, 6.0, 0.0, 0.0]] * 8)
    saved(tmp_path / "next", SavedModel(draft).base_files(), kept(model(encoder_weight=weights), second))
    assert (tmp_path / "next" / "base" / "model.safetensors").samefile(base)
    assert same_bits(SavedModel(tmp_path / "next").weights()["encoder.weight"], weights)


def test_where_links_are_not_possible_a_model_is_saved_in_full(base, draft, monkeypatch):
    def refuse(*_args, **_more):
        raise PermissionError(1, "no links")

    monkeypatch.setattr(os, "link", refuse)
    sums = saved(draft, [base])
    assert names(draft) == FULL == sorted(sums.all())


def test_a_model_that_cannot_be_rebuilt_is_saved_in_full(base, draft, monkeypatch):
    monkeypatch.setattr(saved_model, "_is_exact", lambda _: False)
    saved(draft, [base])
    assert names(draft) == FULL


def test_the_other_form_of_an_earlier_attempt_is_removed(base, draft):
    saved(draft, [])
    assert sorted(saved(draft, [base]).all()) == names(draft) == PACKED
    assert sorted(saved(draft, []).all()) == names(draft) == FULL


def test_the_estimate_in_memory(base):
    assert resembles(model(), MASK, BASE)
    assert not resembles(model(encoder_weight=MASKED * 2), MASK, BASE)
    assert not resembles(model(), MASK, {})


def remove(path: Path) -> None:
    path.unlink()


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.unlink()
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("base/model.safetensors", remove, "the model cannot be rebuilt: {place}/base: no safetensors file there"),
        ("base/model.safetensors", cut, "the model cannot be rebuilt: {place}/base/model.safetensors: "),
        ("base/model.safetensors", flip, "expected model.safetensors with SHA-256"),
        ("mask.safetensors", remove, "expected model.safetensors with SHA-256"),
        ("mask.safetensors", flip, "expected model.safetensors with SHA-256"),
        ("mask.safetensors", cut, "{place}/mask.safetensors: expected a mask, got a damaged file"),
        (
            "packed/changed.safetensors",
            remove,
            "the model cannot be rebuilt: No such file or directory: {place}/packed/",
        ),
        ("packed/packed.json", remove, "packed.json: expected the description of a packed model"),
        ("packed/packed.json", cut, "packed.json: expected the description of a packed model"),
    ],
)
def test_a_missing_or_damaged_file_is_named(base, draft, tmp_path, name, change, message):
    saved(draft, [base])
    change(draft / name)
    for use in (lambda: SavedModel(draft).weights(), lambda: SavedModel(draft).unpack(tmp_path / "full")):
        with pytest.raises(BackboneError) as caught:
            use()
        assert message.format(place=draft) in str(caught.value)
    assert not (tmp_path / "full" / "model.safetensors").exists()


def test_a_base_without_a_tensor_is_named(base, draft):
    saved(draft, [base])
    (draft / "base" / "model.safetensors").unlink()
    save_file({"encoder.weight": BASE["encoder.weight"]}, draft / "base" / "model.safetensors")
    with pytest.raises(BackboneError, match=r"expected the weights .* in base or packed, got none"):
        SavedModel(draft).weights()


def test_the_description_names_what_is_rebuilt(base, draft):
    saved(draft, [base])
    facts = json.loads((draft / "packed" / "packed.json").read_text())["files"]["model.safetensors"]
    saved(draft, [])
    full = draft / "model" / "model.safetensors"
    assert (facts["bytes"], facts["sha256"]) == (full.stat().st_size, sha256(full))
