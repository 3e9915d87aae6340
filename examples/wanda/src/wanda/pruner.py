"""Wanda (Sun, Liu, Bair & Kolter 2023): pruning by weights and activations."""

import torch

from srframework import ScoringPruner


class Wanda(ScoringPruner):
    """Score each entry by |W_ij| · ‖X_j‖, and compare the entries of one row (section 3).

    ‖X_j‖ is the norm of feature j over all tokens of the calibration examples, without padding.
    """

    def __init__(self, options):
        super().__init__(options, parts=options.parts())

    def attach(self, network, context):
        """Compute the norms of the inputs of every pruned matrix, then prune."""
        batches = context.calibration(self.options.examples)
        self._norms = _input_norms(network, self.options.parts(), batches)
        super().attach(network, context)

    def scores(self, weights):
        """Return the rank of each entry in its row, so that each row loses the same fraction."""
        products = {name: weight.detach().abs() * self._norms[name] for name, weight in weights.items()}
        return {name: product.argsort(dim=1, stable=True).argsort(dim=1).float() for name, product in products.items()}


def _input_norms(network, parts, batches):
    """Return the norm of each input feature, ``(d_in,)``, by the name of the module."""
    squares, mask, handles = {}, None, []

    def hook(name):
        def add(module, inputs):
            features = inputs[0].detach()
            if features.dim() == 3:
                features = features[mask]  # the tokens that are no padding
            total = features.float().square().sum(dim=0)
            squares[name] = squares.get(name, 0) + total

        return add

    for name in network.matrices(parts):
        handles.append(network.model.get_submodule(name).register_forward_pre_hook(hook(name)))
    was_training = network.model.training
    network.model.eval()
    with torch.no_grad():
        for batch in batches:
            mask = batch["attention_mask"].bool()
            network.model(**{key: value for key, value in batch.items() if key not in ("labels", "index")})
    network.model.train(was_training)
    for handle in handles:
        handle.remove()
    return {name: total.sqrt() for name, total in squares.items()}
