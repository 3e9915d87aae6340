"""Evaluators of reliability: calibration, and agreement with another stage."""

import numpy as np
from scipy.special import softmax

from srframework import Evaluator, Figure


class CalibrationError(Evaluator):
    """The mean over all examples of |accuracy - confidence| of their bin; the bins divide the confidence evenly."""

    def figures(self):
        """Declare the figure."""
        description = "Expected calibration error."
        return [Figure("ece", unit="fraction", better="lower", description=description, needs_logits=True)]

    def evaluate(self, predictions):
        """Compute the error of one split."""
        found = self.resampled(predictions, np.ones((1, len(predictions.gold))))
        return {name: float(values[0]) for name, values in found.items()}

    def resampled(self, predictions, counts):
        """Compute the error of R resamples, ``(R,)``; nothing for a split with other labels than the model."""
        if len(predictions.labels) != predictions.logits.shape[1]:
            return {}
        return {"ece": self._errors(predictions, counts)}

    def _errors(self, predictions, counts):
        confidence = softmax(predictions.logits.astype(np.float64), axis=1).max(axis=1)
        right = predictions.predicted == predictions.gold
        bins = np.minimum((confidence * self.options.bins).astype(int), self.options.bins - 1)
        gaps = [np.abs(counts[:, bins == each] @ (right - confidence)[bins == each]) for each in np.unique(bins)]
        return np.sum(gaps, axis=0) / counts.sum(axis=1)


class Agreement(Evaluator):
    """Compare the predictions of a stage with those of the stage ``reference``."""

    def figures(self):
        """Declare the figures."""
        return [
            Figure("agreement/*", unit="fraction", better=None, description="Share of equal predictions on a split."),
            Figure("agreement-gap", unit="fraction", better="lower", description="Agreement on ID minus that on OOD."),
        ]

    def measure(self, evaluated):
        """Compare the predictions on the ID split and on each OOD split."""
        others = evaluated.stages[self.options.reference].predictions
        splits = [evaluated.id, *evaluated.ood]
        shares = {each.split: float((each.predicted == others[each.split].predicted).mean()) for each in splits}
        found = {f"agreement/{split}": share for split, share in shares.items()}
        if evaluated.ood:
            of_ood = [shares[each.split] for each in evaluated.ood]
            found["agreement-gap"] = shares[evaluated.id.split] - sum(of_ood) / len(of_ood)
        return found
