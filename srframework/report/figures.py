"""summary.json, as far as the table of results reads it: fast, for there may be very many."""

from __future__ import annotations

import msgspec


class Figures(msgspec.Struct, gc=False):
    """What was measured of one saved model: shares in [0, 1], by split."""

    sparsity: float
    id: float
    ood: dict[str, float]
    also: dict[str, float]


class StageFigures(Figures, gc=False):
    """Those of a stage, at its end; ``metric`` names the figure that ``id``, ``ood`` and ``also`` give."""

    name: str
    op: str
    metric: str


class LevelFigures(Figures, gc=False):
    """Those of a sparsity level inside a stage, in (0, 1)."""

    level: float


class StageAndLevels(StageFigures, gc=False):
    """Those of a stage, and of the levels inside it."""

    levels: list[LevelFigures] = []
