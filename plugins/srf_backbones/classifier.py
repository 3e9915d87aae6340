"""Keeps the classifier of a checkpoint if its labels are ours, else draws a new one."""

from __future__ import annotations

from collections.abc import Sequence, Set

import torch
from transformers import AutoModelForSequenceClassification

from srframework import Network


def settle_classifier(
    network: Network, stored: Sequence[str], labels: Sequence[str], absent: Set[str], seed: int
) -> None:
    """Make output i of the model stand for label i.

    Args:
        network: The loaded network; changed in place.
        stored: The labels in the checkpoint's configuration, in the order of its outputs.
        labels: The labels of the data set; upper and lower case are not distinguished.
        absent: Parameters that are not in the checkpoint; a classifier among them is already new.
        seed: Seed of a new classifier.
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
