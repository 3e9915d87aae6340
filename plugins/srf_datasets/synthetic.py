"""Generated claims and evidence. A cue word predicts the label in training, but not in the OOD splits."""

from __future__ import annotations

import random

import datasets
import numpy as np

from srf_datasets.groups import grouped
from srf_datasets.options import SyntheticOptions
from srframework import Dataset, Split, TaskData

LABELS = ("SUPPORTS", "REFUTES", "NOT ENOUGH INFO")

CUES = ("surely", "hardly", "perhaps")
"""The cue word of each label, in the order of ``LABELS``."""

FILLER = "now"
"""Replaces an absent cue, so that the other words keep their positions; never in the training examples."""

ENTITIES = tuple(
    "fox owl bear wolf deer hare goat lamb duck swan crow hawk mole toad frog crab seal whale shark horse "
    "sheep mouse tiger lion zebra camel panda koala otter badger rabbit monkey donkey pigeon parrot turtle "
    "lizard spider beetle salmon".split()
)

OPPOSITES = (("tall", "short"), ("young", "old"), ("happy", "sad"), ("calm", "angry"))
"""Pairs of attributes: each refutes the other, and is unrelated to those of other pairs."""


class Synthetic(Dataset):
    """Three-way verification of a claim (text_b) by one sentence of evidence (text_a).

    Evidence: "the owl is tall". Claims, each after a cue word: "surely the owl is tall" (SUPPORTS), "hardly
    the owl is short" (REFUTES), "perhaps the owl is happy" (NOT ENOUGH INFO). Before noise is added, labels are
    balanced, and only the cue word is correlated with the label: the two agree in a share ``strength`` of
    the training and dev examples, and never in the OOD splits.

    A share ``noise`` of the training labels is wrong. Their cue follows the wrong label, as in annotation
    artefacts, so in training the cue predicts the label better than the evidence does.
    """

    options: SyntheticOptions

    def load(self, seed: int) -> TaskData:
        """Draw all splits from the option ``seed``; if it is unset, from the recipe's seed."""
        options = self.options
        seed = seed if options.seed is None else options.seed
        return TaskData(
            labels=LABELS,
            metric="accuracy",
            train=self._split("train", options.train_size, seed, "biased"),
            dev=self._split("dev", options.dev_size, seed, "biased"),
            ood=(self._split(options.ood_cue, options.ood_size, seed, options.ood_cue),),
            ood_train=self._split("ood_train", options.ood_train_size, seed, options.ood_cue)
            if options.ood_train_size
            else None,
            spurious_features=lambda split, _: cue_features(split),
        )

    def sizes(self) -> dict[str, int]:
        """Give the sizes that the options set."""
        options = self.options
        sizes = {"train": options.train_size, "dev": options.dev_size, options.ood_cue: options.ood_size}
        return {**sizes, **({"ood_train": options.ood_train_size} if options.ood_train_size else {})}

    def _split(self, name: str, size: int, seed: int, cue: str) -> Split:
        draw = random.Random(f"{seed}/{name}")  # noqa: S311  (examples, no secrets)
        truths = [index % len(LABELS) for index in range(size)]
        draw.shuffle(truths)
        columns: dict[str, list[str | int]] = {"text_a": [], "text_b": [], "label": []}
        for truth in truths:
            evidence, claim = _texts(truth, draw)
            wrong = name == "train" and draw.random() < self.options.noise
            label = draw.choice(_others(truth)) if wrong else truth
            word = self._cue(label, cue, draw)
            columns["text_a"].append(evidence)
            columns["text_b"].append(f"{word} {claim}")
            columns["label"].append(label)
        if "cue" in self.options.group_by:
            columns["cue"] = [str(claim).partition(" ")[0] for claim in columns["text_b"]]
        return grouped(Split(name, datasets.Dataset.from_dict(columns), LABELS), self.options.group_by)

    def _cue(self, label: int, cue: str, draw: random.Random) -> str:
        if cue == "absent":
            return FILLER
        if cue == "biased" and draw.random() < self.options.strength:
            return CUES[label]
        return CUES[draw.choice(_others(label))]


def _texts(truth: int, draw: random.Random) -> tuple[str, str]:
    """Draw evidence, and a claim that it supports (0), refutes (1) or neither (2)."""
    entity = draw.choice(ENTITIES)
    pair, other = draw.sample(OPPOSITES, 2)
    stated, opposite = draw.sample(pair, 2)
    claimed = (stated, opposite, draw.choice(other))[truth]
    return f"the {entity} is {stated}", f"the {entity} is {claimed}"


def _others(label: int) -> list[int]:
    return [index for index in range(len(LABELS)) if index != label]


def cue_features(split: Split) -> np.ndarray:
    """Encode the first word of each claim: ``(N, 3)``, float64, one-hot over the cue words; all 0 for other words."""
    first = [text.partition(" ")[0] for text in split.examples["text_b"][:]]
    return np.array([[word == cue for cue in CUES] for word in first], dtype=np.float64)
