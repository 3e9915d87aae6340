"""Sound pruners, from which the wrong ones derive."""

from __future__ import annotations

import torch
from pydantic import Field

from srframework import KeptLevels, Options, Phase, ScoringPruner, keeps_level


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


class Choice(Sparsity):
    levels: KeptLevels = Field("last", description="Levels to keep.")


class Choosing(Sound):
    """Prunes to three levels. The user chooses which are kept."""

    options_class = Choice

    def levels(self):
        return [self.options.sparsity * share for share in (0.4, 0.8, 1)]

    def phases(self, total_steps):
        first = total_steps // 3
        steps = [first, first, total_steps - 2 * first]
        pairs = zip(steps, self.levels(), strict=True)
        return [Phase(each, level=level, kept=keeps_level(self.options.levels, level)) for each, level in pairs]


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


class Penalised(Sound):
    """Adds a penalty of the magnitudes to the loss."""

    def penalty(self):
        return torch.stack([weight.abs().mean() for weight in self._matrices.values()]).sum()

    def loss_terms(self, inputs, loss):
        return {"penalty": self.penalty()}


class Drawn(Sound):
    """Prunes random entries."""

    def attach(self, network, context):
        self.seed = context.seed
        super().attach(network, context)

    def draw(self):
        return torch.Generator().manual_seed(self.seed)

    def scores(self, weights):
        draw = self.draw()
        return {name: torch.rand(weight.shape, dtype=torch.float64, generator=draw) for name, weight in weights.items()}


class Calibrated(Sound):
    """Scores by magnitude and norm of the input, as Wanda does."""

    def attach(self, network, context):
        self._context = context
        super().attach(network, context)

    def scores(self, weights):
        norms = self.norms()
        return {name: weight.abs() * norms[name] for name, weight in weights.items()}

    def norms(self):
        found = {}

        def watch(name):
            def hook(_module, inputs):
                found[name] = found.get(name, 0) + inputs[0].detach().flatten(0, -2).square().sum(0)

            return self._model.get_submodule(name).register_forward_pre_hook(hook)

        handles = [watch(name) for name in self._matrices]
        with torch.no_grad():
            for batch in self._context.calibration(3):
                self._model(**{name: value for name, value in batch.items() if name not in ("index", "labels")})
        for handle in handles:
            handle.remove()
        return found


SOUND = [Sound, Gradual, Choosing, Scheduled, Penalised, Drawn, Calibrated]
OPTIONS = Sparsity
