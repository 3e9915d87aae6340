"""Wanda (Sun, Liu, Bair & Kolter 2023): pruning by weights and activations."""

import torch

from srframework import ScoringPruner


class Wanda(ScoringPruner):
    """Score each entry by |W_ij| · ‖X_j‖, and prune the lowest scores, once (section 3).

    ‖X_j‖ is the norm of feature j over all tokens of the calibration examples, without padding. With scope "local",
    the entries of each row are compared, as in the paper; with "global", the entries of all matrices.
    """

    def __init__(self, options):
        super().__init__(options, options.parts(), options.scope, options.parsed_pattern())

    def attach(self, network, context):
        """Compute the norms of the inputs of every pruned matrix, then prune."""
        self._norms = _input_norms(network, self.options.parts(), context.calibration(self.options.examples))
        super().attach(network, context)

    def scores(self, weights):
        """Return the products or, with scope "local" and without a pattern, the rank of each product in its row."""
        products = {name: weight.detach().abs() * self._norms[name] for name, weight in weights.items()}
        if self.options.scope == "global" or self.options.pattern is not None:
            return products
        return {name: _ranks(product) for name, product in products.items()}


def _ranks(products):
    """Return the rank of each entry in its row, 0 for the lowest, ``(d_out, d_in)``; of equal entries, the first one
    has the higher rank."""
    order = products.flip(1).argsort(dim=1, stable=True)
    return order.argsort(dim=1).flip(1).to(products.dtype)


def _input_norms(network, parts, batches):
    """Return the norm of each input feature, ``(d_in,)``, by the name of the module."""
    squares, padding = {}, {}

    def hook(name):
        def add(_module, inputs):
            features = inputs[0].detach().float()
            if features.dim() == 3:  # (B, T, d_in): the tokens of each example
                features = features[padding["mask"]]
            squares[name] = squares.get(name, 0.0) + features.square().sum(dim=0)

        return add

    modules = {name: network.model.get_submodule(name) for name in network.matrices(parts)}
    handles = [module.register_forward_pre_hook(hook(name)) for name, module in modules.items()]
    was_training = network.model.training
    network.model.eval()
    try:
        with torch.no_grad():
            for batch in batches:
                padding["mask"] = batch["attention_mask"].bool()
                network.model(**{key: value for key, value in batch.items() if key not in ("labels", "index")})
    finally:
        network.model.train(was_training)
        for handle in handles:
            handle.remove()
    return {name: total.sqrt().to(modules[name].weight.dtype) for name, total in squares.items()}
