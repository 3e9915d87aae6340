"""Sparsity, counted from the weights."""

from __future__ import annotations

from srframework import Evaluated, Evaluator, Figure


class Sparsity(Evaluator):
    """``sparsity``: fraction of zeros in the matrices of encoder and classifier, equal to the ``sparsity`` of a result;
    ``sparsity/<matrix>``: the same for each matrix; ``entries``: number of entries in total."""

    def figures(self) -> list[Figure]:
        """Declare the sparsities and the number of entries."""
        return [
            Figure("sparsity", "fraction", None, "Zeros among the entries of the counted matrices."),
            Figure("sparsity/*", "fraction", None, "Zeros among the entries of one matrix."),
            Figure("entries", "count", None, "Number of entries of the counted matrices."),
        ]

    def measure(self, evaluated: Evaluated) -> dict[str, float]:
        """Count the entries that are exactly 0."""
        matrices = evaluated.network.counted()
        zeros = {name: int((matrix == 0).sum()) for name, matrix in matrices.items()}
        entries = {name: matrix.numel() for name, matrix in matrices.items()}
        total = sum(entries.values())
        figures = {"sparsity": sum(zeros.values()) / total if total else 0.0, "entries": float(total)}
        return figures | {f"sparsity/{name}": zeros[name] / entries[name] for name in matrices}
