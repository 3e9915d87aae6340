"""A mask as a value."""

from __future__ import annotations

import hashlib
import json

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from srframework.errors import DataError
from srframework.masks import Mask, sparsity, weight_of

FORMAT = "srframework-mask-1"


def bits(*rows: str) -> torch.Tensor:
    return torch.tensor([[digit == "1" for digit in row] for row in rows])


MATRICES = st.dictionaries(
    st.text("abc.0", min_size=1, max_size=4),
    arrays.arrays(bool, arrays.array_shapes(min_dims=2, max_dims=2, max_side=9)).map(torch.from_numpy),
    max_size=3,
)


class TestValue:
    def test_matrices_are_ordered_by_name(self):
        assert list(Mask({"b": bits("1"), "a": bits("0"), "a.c": bits("1")})) == ["a", "a.c", "b"]

    def test_what_happens_to_the_tensor_later_does_not_change_the_mask(self):
        matrix = bits("10", "01")
        mask = Mask({"w": matrix})
        matrix.fill_(True)
        assert torch.equal(mask["w"], bits("10", "01"))

    @pytest.mark.parametrize("dtype", [torch.float32, torch.uint8, torch.int64])
    def test_a_matrix_that_is_not_bool_is_refused_by_name(self, dtype):
        with pytest.raises(TypeError, match=rf"'layer\.0'.*expected a bool tensor, got {dtype}"):
            Mask({"layer.0": torch.ones(2, 2, dtype=dtype)})

    def test_counts_are_over_all_matrices(self):
        mask = Mask({"a": bits("1000"), "b": bits("11", "10")})
        assert (mask.entries, mask.pruned, mask.sparsity) == (8, 4, 0.5)
        assert repr(mask) == "Mask(2 matrices, 4 of 8 entries pruned)"

    def test_a_mask_of_nothing_prunes_nothing(self):
        mask = Mask({})
        assert (len(mask), mask.entries, mask.pruned, mask.sparsity) == (0, 0, 0, 0.0)

    def test_equal_masks_are_equal_whatever_order_they_were_given_in(self):
        one, other = Mask({"a": bits("10"), "b": bits("01")}), Mask({"b": bits("01"), "a": bits("10")})
        assert one == other
        assert hash(one) == hash(other)
        assert len({one, other}) == 1

    @pytest.mark.parametrize(
        "other",
        [
            {"a": bits("11")},
            {"b": bits("10")},
            {"a": bits("1", "0")},
            {"a": bits("100")},
            {"a": bits("10"), "b": bits("0")},
            {},
        ],
        ids=["bits", "name", "shape", "padding", "matrix more", "nothing"],
    )
    def test_masks_differ_in_bits_names_or_shapes(self, other):
        mask = Mask({"a": bits("10")})
        assert mask != Mask(other)
        assert mask.digest() != Mask(other).digest()

    def test_a_mask_is_not_equal_to_its_dictionary(self):
        assert Mask({"a": bits("10")}) != {"a": bits("10")}

    def test_the_digest_is_of_names_shapes_and_packed_bits(self):
        mask = Mask({"b": bits("1"), "a": bits("101", "110")})
        expected = hashlib.sha256(b"a:(2, 3);" + bytes([0b10111000]) + b"b:(1, 1);" + bytes([0b10000000]))
        assert mask.digest() == expected.hexdigest()


class TestAgreement:
    @pytest.mark.parametrize(
        ("one", "other", "expected"),
        [
            ("1100", "1100", 1.0),
            ("1100", "0011", 0.0),
            ("1110", "0111", 0.5),
            ("1000", "1111", 0.25),
            ("0000", "0000", 1.0),
        ],
    )
    def test_it_is_kept_by_both_over_kept_by_either(self, one, other, expected):
        assert Mask({"w": bits(one)}).agreement(Mask({"w": bits(other)})) == expected

    def test_it_counts_entries_not_matrices(self):
        one = Mask({"a": bits("11"), "b": bits("11111111")})
        other = Mask({"a": bits("11"), "b": bits("00000000")})
        assert one.agreement(other) == 0.2

    def test_another_matrix_is_named(self):
        with pytest.raises(ValueError, match="only one of them has 'b'"):
            Mask({"a": bits("1")}).agreement(Mask({"a": bits("1"), "b": bits("1")}))

    def test_another_shape_is_shown(self):
        with pytest.raises(ValueError, match=r"'a': expected \(1, 2\), got \(2, 1\)"):
            Mask({"a": bits("11")}).agreement(Mask({"a": bits("1", "1")}))


class TestApply:
    def model(self) -> nn.Module:
        model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
        with torch.no_grad():
            model[0].weight.copy_(torch.tensor([[1.0, -2.0], [3.0, -4.0]]))
        return model

    def test_pruned_weights_become_zero_and_the_rest_stay(self):
        model = self.model()
        untouched = model[1].weight.detach().clone()
        Mask({"0": bits("01", "10")}).apply_(model)
        assert torch.equal(model[0].weight, torch.tensor([[0.0, -2.0], [3.0, 0.0]]))
        assert not torch.signbit(model[0].weight[1, 1])
        assert torch.equal(model[1].weight, untouched)

    def test_a_pruned_weight_that_is_not_finite_becomes_zero(self):
        model = self.model()
        with torch.no_grad():
            model[0].weight[0, 0] = torch.nan
        Mask({"0": bits("01", "11")}).apply_(model)
        assert model[0].weight[0, 0] == 0

    def test_a_matrix_that_the_model_does_not_have_is_named(self):
        with pytest.raises(ValueError, match=r"no matrix '7\.dense'"):
            Mask({"7.dense": bits("1")}).apply_(self.model())

    def test_a_module_without_a_weight_is_named(self):
        with pytest.raises(ValueError, match="no matrix '0'"):
            weight_of(nn.Sequential(nn.ReLU()), "0")

    def test_another_shape_is_shown_expected_first(self):
        with pytest.raises(ValueError, match=r"'1': expected \(1, 2\), got \(2, 1\)"):
            Mask({"1": bits("1", "1")}).apply_(self.model())


class TestFile:
    @given(matrices=MATRICES)
    def test_a_mask_survives_its_file(self, tmp_path_factory, matrices):
        path = tmp_path_factory.mktemp("masks") / "mask.safetensors"
        mask = Mask(matrices)
        mask.save(path)
        loaded = Mask.load(path)
        assert loaded == mask
        assert {name: tuple(matrix.shape) for name, matrix in loaded.items()} == {
            name: tuple(matrix.shape) for name, matrix in matrices.items()
        }

    def test_an_entry_takes_one_bit(self, tmp_path):
        Mask({"w": torch.ones(800, 1000, dtype=torch.bool)}).save(tmp_path / "mask.safetensors")
        assert 100_000 < (tmp_path / "mask.safetensors").stat().st_size < 101_000

    def test_saving_leaves_one_file_and_replaces_the_last(self, tmp_path):
        path = tmp_path / "mask.safetensors"
        Mask({"w": bits("10")}).save(path)
        Mask({"w": bits("01")}).save(path)
        assert [each.name for each in tmp_path.iterdir()] == ["mask.safetensors"]
        assert Mask.load(path) == Mask({"w": bits("01")})

    def test_equal_masks_give_the_same_bytes(self, tmp_path):
        for number in range(8):
            Mask({"a": bits("10"), "b": bits("01"), "c": bits("1")}).save(tmp_path / f"{number}")
        Mask({"c": bits("1"), "b": bits("01"), "a": bits("10")}).save(tmp_path / "other")
        assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1

    def assert_refused(self, path, expected: str) -> None:
        with pytest.raises(DataError) as refused:
            Mask.load(path)
        assert str(refused.value).startswith(f"{path}: expected a mask")
        assert expected in str(refused.value)

    def test_a_missing_file_is_named(self, tmp_path):
        self.assert_refused(tmp_path / "no.safetensors", "No such file")

    def test_a_directory_is_no_mask(self, tmp_path):
        self.assert_refused(tmp_path, "")

    @pytest.mark.parametrize("content", [b"", b"\x00", b"rubbish, and not a little of it", b"\xff" * 64])
    def test_rubbish_is_no_mask(self, tmp_path, content):
        (tmp_path / "mask").write_bytes(content)
        self.assert_refused(tmp_path / "mask", "damaged")

    def test_a_file_cut_short_is_no_mask(self, tmp_path):
        Mask({"w": torch.ones(100, 100, dtype=torch.bool)}).save(tmp_path / "mask")
        (tmp_path / "mask").write_bytes((tmp_path / "mask").read_bytes()[:-1])
        self.assert_refused(tmp_path / "mask", "damaged")

    def test_other_safetensors_are_no_mask(self, tmp_path):
        save_file({"w": torch.ones(2)}, tmp_path / "weights")
        self.assert_refused(tmp_path / "weights", f"({FORMAT} in its metadata), got no metadata")

    def test_another_format_is_named(self, tmp_path):
        save_file({"w": torch.ones(2)}, tmp_path / "mask", metadata={"srframework-mask-9": "{}"})
        self.assert_refused(tmp_path / "mask", "got srframework-mask-9")

    @pytest.mark.parametrize(
        ("shapes", "expected"),
        [
            ("{", "cannot be read"),
            ("[1]", "damaged"),
            ('{"v": [8]}', "damaged"),
            ('{"w": [3, 3]}', "expected 9 bits for shape (3, 3), got 1 bytes"),
            ('{"w": [2, 0]}', "expected 0 bits for shape (2, 0), got 1 bytes"),
        ],
        ids=["no JSON", "a list", "another matrix", "too few bits", "too many bits"],
    )
    def test_shapes_that_do_not_fit_the_bits_are_refused(self, tmp_path, shapes, expected):
        save_file({"w": torch.zeros(1, dtype=torch.uint8)}, tmp_path / "mask", metadata={FORMAT: shapes})
        self.assert_refused(tmp_path / "mask", expected)

    def test_bits_of_another_type_are_refused(self, tmp_path):
        save_file({"w": torch.zeros(1)}, tmp_path / "mask", metadata={FORMAT: json.dumps({"w": [8]})})
        self.assert_refused(tmp_path / "mask", "damaged")


class TestSparsity:
    def test_it_is_the_share_of_exact_zeros_over_all_matrices(self):
        matrices = {"a": torch.tensor([[0.0, -0.0, 1e-45, 2.0]]), "b": torch.zeros(1, 1)}
        assert sparsity(matrices) == 3 / 5

    def test_it_is_zero_where_there_are_no_matrices(self):
        assert sparsity({}) == 0.0

    @given(matrices=MATRICES)
    def test_of_a_mask_laid_over_ones_it_is_the_masks(self, matrices):
        mask = Mask(matrices)
        assert sparsity({name: matrix.float() for name, matrix in mask.items()}) == pytest.approx(mask.sparsity)
        assert mask.pruned == sum(int(np.sum(~matrix.numpy())) for matrix in matrices.values())
