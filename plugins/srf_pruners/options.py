"""Options of the pruners."""

from __future__ import annotations

from pydantic import Field, model_validator

from srframework import Options


class PrunedParts(Options):
    """Which parts of the model are pruned, besides the encoder's layers."""

    classifier: bool = Field(
        True, json_schema_extra={"source": "§3.1"}, description="Prune the classifier's matrices too."
    )
    pooler: bool = Field(
        False,
        json_schema_extra={"source": "released code"},
        description="Prune the pooler's matrix too, as the authors' code does.",
    )

    def parts(self) -> frozenset[str]:
        """The parts, as backbones name them."""
        chosen = {"encoder": True, "classifier": self.classifier, "pooler": self.pooler}
        return frozenset(part for part, pruned in chosen.items() if pruned)


class MaskOptions(PrunedParts):
    """Of ``mask``; the defaults are the paper's (App. A.1.2)."""

    sparsity: float = Field(0.7, ge=0, lt=1, description="Fraction of each matrix's entries to prune, in [0, 1).")
    phi: float = Field(0.01, gt=0, description="Threshold φ of the initial scores; above 0.")
    alpha: float = Field(2.0, gt=1, description="Initial score of a kept entry, as a multiple of φ; above 1.")


class ImpOptions(PrunedParts):
    """Of ``imp``; the defaults are the paper's (App. A.1.1)."""

    sparsity: float = Field(
        0.9, gt=0, lt=1, description="Fraction of each matrix's entries pruned at the end, in (0, 1)."
    )
    step: float = Field(0.1, gt=0, lt=1, description="Δs: fraction of the entries that each prune removes, in (0, 1).")
    interval: float = Field(
        0.1, gt=0, le=1, description="Δt: steps between prunes, as a share of the stage's steps, in (0, 1]."
    )

    @model_validator(mode="after")
    def _whole_number_of_levels(self) -> ImpOptions:
        levels = self.sparsity / self.step
        if abs(levels - round(levels)) > 1e-6 or round(levels) < 1:
            raise ValueError(f"a sparsity that is a multiple of step ({self.step:g})")
        return self

    def levels(self) -> list[float]:
        """The sparsities on the way, the last included: 0.1, 0.2, …"""
        return [round(self.step * k, 10) for k in range(1, round(self.sparsity / self.step) + 1)]
