"""The bits of a mask in bytes and back."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from srframework.subnetwork.coding import bound, decode, encode


@given(arrays(bool, st.integers(0, 300)))
def test_decoding_gives_the_bits_back(bits):
    assert np.array_equal(decode(*encode(bits), len(bits)), bits)


@given(st.integers(0, 5000), st.floats(0, 1), st.integers(0, 9))
def test_random_bits_come_back_and_never_need_more_than_a_bit_each(count, kept, seed):
    bits = np.random.default_rng(seed).random(count) < kept
    coding, data = encode(bits)
    assert np.array_equal(decode(coding, data, count), bits)
    assert len(data) <= -(-count // 8)


def test_bits_that_nothing_makes_shorter_stay_as_they_are():
    assert encode(np.array([True, False, False, False, False, False, False, True, True])) == ("bits", b"\x81\x80")


def test_a_pattern_is_found():
    bits = np.tile(np.array([True, False, False, True]), 100_000)
    coding, data = encode(bits)
    assert coding == "lzma"
    assert len(data) < 400


@pytest.mark.parametrize(("sparsity", "coding"), [(0.5, "bits"), (0.7, "huffman"), (0.9, "huffman")])
def test_a_random_mask_needs_hardly_more_than_its_entropy(sparsity, coding):
    bits = np.random.default_rng(0).random((768, 768)).reshape(-1) >= sparsity
    chosen, data = encode(bits)
    assert chosen == coding
    assert len(data) <= 1.03 * bound(len(bits), int(bits.sum()))


def test_the_bound_of_a_tenth_is_what_the_entropy_says():
    assert bound(8000, 800) == pytest.approx(468.9956, abs=1e-4)  # 1000 bytes x H(0.1)


@pytest.mark.parametrize(
    ("coding", "data", "message"),
    [
        ("bits", b"\x00", "expected 9 bits in 2 bytes, got 1 bytes"),
        ("bits", b"\x00\x00\x00", "expected 9 bits in 2 bytes, got more"),
        ("huffman", b"nothing", "got damaged bytes"),
        ("lzma", b"nothing", "got damaged bytes"),
        ("huffman", zlib.compress(bytes(1 << 24)), "expected 9 bits in 2 bytes, got more"),
    ],
)
def test_bytes_that_are_not_these_bits_are_an_error(coding, data, message):
    with pytest.raises(ValueError, match=message):
        decode(coding, data, 9)
