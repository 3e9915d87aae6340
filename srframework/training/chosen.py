"""How the result of a stage was chosen; without torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Chosen:
    """How the result of a stage was chosen.

    Attributes:
        step: Its step.
        steps: Optimizer steps of the stage; fewer than ``planned`` if it stopped early.
        planned: The planned optimizer steps.
        candidates: Number of checkpoints among which it is the best by the ID metric; 0 if it is the last.
    """

    step: int = 0
    steps: int = 0
    planned: int = 0
    candidates: int = 0
