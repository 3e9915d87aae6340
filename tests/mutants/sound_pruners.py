"""Sound pruners, from which the wrong ones derive."""

from __future__ import annotations

import torch
from pydantic import Field

from srframework import Options, Phase, ScoringPruner


class Sparsity(Options):
    sparsity: float = Field(0.5, ge=0, lt=1, description="Fraction in [0, 1).")


class Sound(ScoringPruner):
    """Prunes the smallest magnitudes once."""

    def scores(self, weights):
        return {name: weight.abs() for name, weight in weights.items()}


class Gradual(Sound):
    """Prunes to three levels."""

    def phases(self, total_steps):
        first = total_steps // 3
        end = self.options.sparsity
        steps = [first, first, total_steps - 2 * first]
        return [Phase(each, level=end * share) for each, share in zip(steps, (0.4, 0.8, 1), strict=True)]


class Scheduled(Sound):
    """Prunes at the updates of the mask."""

    def attach(self, network, context):
        super().attach(network, context)
        self.count = 0

    def state(self):
        return {**super().state(), "count": torch.tensor(self.count)}

    def restore(self, state):
        super().restore(state)
        self.count = int(state["count"])


SOUND = [Sound, Gradual, Scheduled]
OPTIONS = Sparsity
