"""Sparsity, counted from the weights."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from srframework import Evaluator


class Sparsity(Evaluator):
    """``sparsity``: zeros / entries over the encoder's and the classifier's matrices, the same figure as a result's own
    ``sparsity``; ``sparsity/<matrix>``: of each; ``entries``: how many entries the denominator has."""

    def measure(self, matrices: Mapping[str, Tensor]) -> dict[str, float]:
        """Count the entries that are exactly 0."""
        zeros = {name: int((matrix == 0).sum()) for name, matrix in matrices.items()}
        entries = {name: matrix.numel() for name, matrix in matrices.items()}
        total = sum(entries.values())
        figures = {"sparsity": sum(zeros.values()) / total if total else 0.0, "entries": float(total)}
        return figures | {f"sparsity/{name}": zeros[name] / entries[name] for name in matrices}
