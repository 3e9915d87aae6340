"""Movement pruning (Sanh, Wolf & Rush 2020): prune the weights that move towards zero while they are fine-tuned."""

import torch
from torch import nn
from torch.nn.utils import parametrize

from srframework import Mask, ParameterGroup, Pruner, keep_highest, require_fit


class Movement(Pruner):
    """Train the weights and a score for each; keep the entries with the highest scores.

    The gradient of a score is dL/dW' ⊙ W, so a score falls where a weight moves towards zero (section 4).
    """

    def attach(self, network, context):
        """Add scores, which are 0 at first, to every matrix of the pruned parts."""
        self._model, self._blocks, self._steps = network.model, network.blocks, context.steps
        self._scored = {}
        require_fit(network.matrices(self.options.parts()), self.options.parsed_pattern())
        for name, weight in network.matrices(self.options.parts()).items():
            self._scored[name] = scored = _ScoredWeight(weight)
            parametrize.register_parametrization(network.model.get_submodule(name), "weight", scored, unsafe=True)
        self.update_mask(0)

    def parameter_groups(self):
        """Return the weights, and the scores with their own learning rate."""
        scores = [scored.scores for scored in self._scored.values()]
        of_scores = {id(score) for score in scores}
        weights = [each for each in self._model.parameters() if each.requires_grad and id(each) not in of_scores]
        return [
            ParameterGroup(weights),
            ParameterGroup(scores, learning_rate=self.options.score_learning_rate, weight_decay=0.0),
        ]

    def after_step(self, step):
        """Update the mask every few steps."""
        if self.changes_mask(step):
            self.update_mask(step)

    def changes_mask(self, step):
        """Whether the mask is updated after this step."""
        return step % self.options.refresh_every == 0

    def update_mask(self, step):
        """Keep the entries with the highest scores, as many as the schedule says."""
        scores = {name: scored.scores.detach() for name, scored in self._scored.items()}
        sparsity = self.options.sparsity_at(step, self._steps)
        options, blocks = self.options, self._blocks
        kept = keep_highest(scores, sparsity, options.scope, blocks=blocks, pattern=options.parsed_pattern())
        for name, scored in self._scored.items():
            scored.kept.copy_(kept[name])

    def masks(self):
        """Return the mask of the last update."""
        return Mask({name: scored.kept for name, scored in self._scored.items()})

    def state(self):
        """Return the scores and the mask."""
        return {
            f"{name}.{key}": value.detach().clone()
            for name, scored in self._scored.items()
            for key, value in (("scores", scored.scores), ("kept", scored.kept))
        }

    def restore(self, state):
        """Set the scores and the mask."""
        for name, scored in self._scored.items():
            scored.scores.data.copy_(state[f"{name}.scores"])
            scored.kept.copy_(state[f"{name}.kept"])


class _ScoredWeight(nn.Module):
    """The parametrisation W -> m ⊙ W of one matrix, with its scores."""

    def __init__(self, weight):
        super().__init__()
        self.scores = nn.Parameter(torch.zeros_like(weight))
        self.register_buffer("kept", torch.ones_like(weight, dtype=torch.bool))

    def forward(self, weight):
        """Return the masked weight, ``(d_out, d_in)``."""
        return _Masked.apply(weight, self.scores, self.kept)


class _Masked(torch.autograd.Function):
    """m ⊙ W; the scores get the gradient of m (straight-through)."""

    @staticmethod
    def forward(ctx, weight, _scores, kept):
        """Return m ⊙ W; all shapes are ``(d_out, d_in)``."""
        ctx.save_for_backward(weight, kept)
        return weight * kept

    @staticmethod
    def backward(ctx, grad):
        """Return dL/dW = dL/dW' ⊙ m and dL/dscores = dL/dW' ⊙ W."""
        weight, kept = ctx.saved_tensors
        return grad * kept, grad * weight, None
