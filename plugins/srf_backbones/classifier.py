"""The classifier of a checkpoint that has one already: kept where its labels are ours, else drawn anew."""

from __future__ import annotations

from collections.abc import Sequence, Set

import torch
from transformers import AutoModelForSequenceClassification

from srframework import Network


def settle_classifier(
    network: Network, stored: Sequence[str], labels: Sequence[str], absent: Set[str], seed: int
) -> None:
    """See to it that output i of the model is label i.

    Args:
        network: As loaded; changed in place.
        stored: The labels that the checkpoint's configuration names, in the order of its outputs.
        labels: The labels that are wanted; names are compared without regard to case.
        absent: Parameters that the checkpoint does not have, which are new already.
        seed: Of a new classifier.
    """
    names = [f"{m}.{p}" for m, part in network.prunable.items() if part == "classifier" for p in ("weight", "bias")]
    parameters = {name: value for name, value in network.model.named_parameters() if name in names}
    if absent & parameters.keys():
        return
    ours, theirs = [label.casefold() for label in labels], [label.casefold() for label in stored]
    if sorted(ours) == sorted(theirs):
        order = [theirs.index(label) for label in ours]
        final = list(network.prunable)[-1]
        new = {n: value[order] if n.startswith(f"{final}.") else value for n, value in parameters.items()}
    else:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            fresh = AutoModelForSequenceClassification.from_config(network.model.config)
        new = dict(fresh.named_parameters())
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(new[name].clone())
