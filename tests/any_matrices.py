"""Matrices and sparsities of any kind, for tests of mask arithmetic."""

from __future__ import annotations

import hypothesis.extra.numpy as arrays
import torch
from hypothesis import strategies as st
from torch import Tensor

SPARSITIES = st.one_of(st.sampled_from([0.0, 0.1, 0.5, 0.7, 0.9, 0.999]), st.floats(0, 1, exclude_max=True))


def matrices(elements: st.SearchStrategy[float] | None = None) -> st.SearchStrategy[Tensor]:
    """Matrices of up to 8 x 8, mostly with ties."""
    few = st.sampled_from([-2.0, -1.0, -0.0, 0.0, 1.0, 2.0, 0.01, 0.02])
    elements = elements or st.one_of(few, st.floats(-(2.0**100), 2.0**100, width=32))
    shapes = arrays.array_shapes(min_dims=2, max_dims=2, max_side=8)
    return arrays.arrays("float32", shapes, elements=elements).map(torch.from_numpy)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """Two matrices of one shape."""
    one = draw(matrices())
    few = st.sampled_from([-1.0, 0.0, 0.5, 1.0])
    return one, torch.from_numpy(draw(arrays.arrays("float32", tuple(one.shape), elements=few)))


def by_name(*tensors: Tensor) -> dict[str, Tensor]:
    """In an order that is not the alphabet's."""
    return dict(zip("zyx", tensors, strict=False))
