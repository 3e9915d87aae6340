"""Options that pruners share, and the gradual schedule of sparsities. Imports no torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from srframework.component import Options

Scope = Literal["local", "global"]
"""Whether each matrix has the sparsity (``"local"``), or all matrices together have it (``"global"``)."""


class PruneOptions(Options):
    """Options that all pruners share: the parts to prune besides the encoder, and the scope of the sparsity."""

    classifier: bool = Field(
        True, json_schema_extra={"source": "§3.1"}, description="Prune the matrices of the classifier too."
    )
    pooler: bool = Field(
        False,
        json_schema_extra={"source": "released code"},
        description="Prune the matrix of the pooler too, as in the authors' code.",
    )
    scope: Scope = Field(
        "local",
        json_schema_extra={"source": "App. A.1.1"},
        description="Each matrix has this sparsity (local), or all matrices together have it (global).",
    )

    def parts(self) -> frozenset[str]:
        """Return the parts to prune, for :meth:`srframework.Network.matrices`."""
        chosen = {"encoder": True, "classifier": self.classifier, "pooler": self.pooler}
        return frozenset(part for part, pruned in chosen.items() if pruned)


def cubic_sparsity(initial: float, final: float, step: float, total_steps: float) -> float:
    """Return the sparsity of the gradual schedule: s(t) = s + (s_0 − s)·(1 − t/T)³.

    Args:
        initial: s_0, the sparsity at step 0, in [0, ``final``].
        final: s, the sparsity from step T on, in [0, 1).
        step: t, optimizer steps since the schedule began; at least 0.
        total_steps: T, optimizer steps of the schedule; at least 0. With 0 the result is ``final``.

    Returns:
        A fraction in [``initial``, ``final``] that never decreases with ``step``.

    Raises:
        ValueError: Not 0 ≤ ``initial`` ≤ ``final`` < 1, or ``step`` is below 0; shows the values.

    Source: section 5.2, after Zhu & Gupta 2017 (arXiv 1710.01878), section 3.

    >>> [cubic_sparsity(0.0, 0.8, step, 4) for step in (0, 2, 4, 9)]
    [0.0, 0.7000000000000001, 0.8, 0.8]
    """
    if not 0 <= initial <= final < 1:
        raise ValueError(f"expected 0 <= initial <= final < 1, got initial {initial} and final {final}")
    if step < 0:
        raise ValueError(f"expected a step of at least 0, got {step}")
    if step >= total_steps:
        return final
    if step == 0:
        return initial
    return min(max(initial, final + (initial - final) * (1 - step / total_steps) ** 3), final)
