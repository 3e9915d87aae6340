"""The predictions of a model on disk, and their figures with intervals over examples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from accelerate import Accelerator

from srframework.contracts import Network, Predictions, Split
from srframework.errors import UsageError
from srframework.faults import at, calling_model
from srframework.report.bootstrap import of_one, point_estimate
from srframework.report.metrics import Metric
from srframework.run.data_checks import count_cut, cut_note
from srframework.run.model_checks import check_examples, usable_positions
from srframework.run.prediction import predict, tokenize

RESAMPLES = 10_000
"""Resamples of an interval."""

_USUAL_LENGTH = 128
"""Tokens of an example; the default of recipes."""


@dataclass(frozen=True)
class Predictor:
    """Predicts with a classifier.

    Attributes:
        network: The classifier.
        name: Its name, for messages.
        accelerator: The device.
        max_length: Tokens of an example; the rest is cut.
        batch_size: Examples of a batch.
    """

    network: Network
    name: str
    accelerator: Accelerator
    max_length: int
    batch_size: int

    def logits(self, split: Split) -> tuple[np.ndarray, list[str]]:
        """Return the logits, ``(N, C)``, and sentences about texts that were cut.

        Raises:
            BackboneError: The model or its tokenizer cannot process the examples.
        """
        network, tokenizer = self.network, self.network.tokenizer
        check_examples(network, split, self.max_length, int(network.model.config.num_labels or 0), self.name)
        with at(doing=f"predicting {split.name}", model=self.name):
            with calling_model("tokenizer"):
                tokens = tokenize(split, tokenizer, self.max_length)
                cut = count_cut(split, tokenizer, tokens["length"][:], self.max_length)
            with calling_model("forward pass"):
                model = network.model.to(self.accelerator.device)
                found = predict(model, tokens, tokenizer, self.accelerator, self.batch_size)
        count = len(split.examples)
        return found, [cut_note(split.name, cut, count, self.max_length)] if cut else []


def length_for(network: Network, name: str, wanted: int | None) -> int:
    """Return the number of tokens of an example: the user's, or the usual one if the model has so many positions.

    Raises:
        UsageError: The model has fewer positions than the user wants.
    """
    positions = usable_positions(network.model)
    if wanted is None:
        return _USUAL_LENGTH if positions is None else min(_USUAL_LENGTH, positions)
    if positions is not None and wanted > positions:
        raise UsageError(f"--max-length: must be at most {positions}, the positions of {name} (got {wanted})")
    return wanted


@dataclass(frozen=True)
class Estimate:
    """A figure of N examples.

    Attributes:
        value: The figure.
        interval: 95 % interval over resampled examples.
        examples: N.
    """

    value: float
    interval: tuple[float, float]
    examples: int


def estimate(metric: Metric, predictions: Predictions, resamples: int = RESAMPLES) -> Estimate:
    """Return a figure of predictions with its interval.

    Raises:
        DataError: The evaluator does not compute the figure for these predictions.
    """
    interval = of_one(metric, predictions, resamples)
    return Estimate(point_estimate(metric, predictions), interval, len(predictions.gold))
