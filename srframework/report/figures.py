"""summary.json, as far as the table of results reads it: fast, for there may be very many."""

from __future__ import annotations

from typing import Annotated

import msgspec

Figure = Annotated[float, msgspec.Meta(ge=-1e9, le=1e9)]
"""With which sums and squares are numbers too."""


class Figures(msgspec.Struct, gc=False):
    """What was measured of one saved model: shares in [0, 1], by split."""

    sparsity: Figure
    id: Figure
    ood: dict[str, Figure]
    also: dict[str, Figure]


class StageFigures(Figures, gc=False):
    """Those of a stage, at its end; ``metric`` names the figure that ``id``, ``ood`` and ``also`` give."""

    name: str
    op: str
    metric: str


class LevelFigures(Figures, gc=False):
    """Those of a sparsity level inside a stage, in (0, 1)."""

    level: Figure


class StageAndLevels(StageFigures, gc=False):
    """Those of a stage, and of the levels inside it."""

    levels: list[LevelFigures] = []
