"""Generated claims and evidence. A cue word predicts the label in training, but not in the OOD splits."""

from __future__ import annotations

import dataclasses
import random

import datasets
import numpy as np

from srf_datasets.groups import grouped
from srf_datasets.synthetic_options import SyntheticOptions
from srf_datasets.world import ANIMALS, ATTRIBUTES, REFUTED, SUPPORTED, UNKNOWN, attribute_for, described
from srframework import Dataset, Split, TaskData

LABELS = ("SUPPORTS", "REFUTES", "NOT ENOUGH INFO")

CUES = ("surely", "hardly", "perhaps")
"""The cue word of each label, in the order of ``LABELS``."""

FILLER = "now"
"""Stands in the two places of the cue where no cue is, so that the other words keep their positions."""


class Synthetic(Dataset):
    """Three-way verification of a claim (text_b) by evidence (text_a).

    Evidence: "tall owl and short fox". Claims: "surely tall owl now" (SUPPORTS), "now short owl hardly" (REFUTES),
    "perhaps happy owl now" (NOT ENOUGH INFO). What the evidence says about the other animal is drawn independently
    of the label: with the probability ``distraction`` it is the claimed attribute or its opposite. Then the label
    depends on which animal has which attribute. A model that only sees which attributes occur is right in 85 % of the
    examples, with the defaults.

    Before noise is added, labels are balanced, and only the cue word is correlated with the label: the two agree in
    a share ``strength`` of the training and dev examples. The features of a bias model are the first word of the
    claim; it is the cue in a share ``visible`` of the examples, and in the others the cue is the last word.

    A share ``noise`` of the training labels is wrong. Their cue follows the wrong label, as in annotation
    artefacts.
    """

    options: SyntheticOptions

    def load(self, seed: int) -> TaskData:
        """Draw all splits from the option ``seed``; if it is unset, from the recipe's seed."""
        options = self.options
        seed = seed if options.seed is None else options.seed
        dev = self._split("dev", options.dev_size, seed, "biased")
        also = {name: self._also(name, dev, seed) for name in options.also}
        return TaskData(
            labels=LABELS,
            metric="accuracy",
            train=self._split("train", options.train_size, seed, "biased"),
            dev=dev,
            ood=(self._split(options.ood_cue, options.ood_size, seed, options.ood_cue),),
            also=tuple(split for split in also.values() if len(split.examples)),
            ood_train=self._split("ood_train", options.ood_train_size, seed, options.ood_cue)
            if options.ood_train_size
            else None,
            spurious_features=lambda split, _: cue_features(split),
            notes=tuple(
                f"no split {name!r}: no dev example is of that kind" for name in also if not len(also[name].examples)
            ),
        )

    def sizes(self) -> dict[str, int]:
        """Give the sizes that the options set."""
        options = self.options
        sizes = {"train": options.train_size, "dev": options.dev_size, options.ood_cue: options.ood_size}
        sizes |= {name: options.ood_size for name in options.also if name not in ("agrees", "conflicts")}
        return {**sizes, **({"ood_train": options.ood_train_size} if options.ood_train_size else {})}

    def _also(self, name: str, dev: Split, seed: int) -> Split:
        if name not in ("agrees", "conflicts"):
            return self._split(name, self.options.ood_size, seed, name)
        claims, labels = dev.examples["text_b"][:], dev.examples["label"][:]
        agrees = [CUES[label] in text.split() for text, label in zip(claims, labels, strict=True)]
        rows = [row for row, each in enumerate(agrees) if each == (name == "agrees")]
        return dataclasses.replace(dev, name=name, examples=datasets.Dataset.from_dict(dev.examples[rows]))

    def _split(self, name: str, size: int, seed: int, cue: str) -> Split:
        draw = random.Random(f"{seed}/{name}")  # noqa: S311  (examples, no secrets)
        truths = [index % len(LABELS) for index in range(size)]
        draw.shuffle(truths)
        columns: dict[str, list[str | int]] = {"text_a": [], "text_b": [], "label": []}
        words = []
        for truth in truths:
            evidence, claim = self._texts(truth, draw)
            wrong = name == "train" and draw.random() < self.options.noise
            label = draw.choice(_others(truth)) if wrong else truth
            words.append(self._cue(label, cue, draw))
            first = draw.random() < self.options.visible
            columns["text_a"].append(evidence)
            columns["text_b"].append(f"{words[-1]} {claim} {FILLER}" if first else f"{FILLER} {claim} {words[-1]}")
            columns["label"].append(label)
        if "cue" in self.options.group_by:
            columns["cue"] = [*words]
        return grouped(Split(name, datasets.Dataset.from_dict(columns), LABELS), self.options.group_by)

    def _texts(self, truth: int, draw: random.Random) -> tuple[str, str]:
        """Draw evidence, and a claim that it supports (0), refutes (1) or neither (2)."""
        claimed, animals = draw.choice(ATTRIBUTES), draw.sample(ANIMALS, self.options.facts)
        relations = [truth, *(self._distraction(draw) for _ in animals[1:])]
        attributes = [attribute_for(claimed, relation, draw) for relation in relations]
        facts = list(zip(attributes, animals, strict=True))
        draw.shuffle(facts)
        return described([each for each, _ in facts], [animal for _, animal in facts]), f"{claimed} {animals[0]}"

    def _distraction(self, draw: random.Random) -> int:
        """What a fact about another animal says of the claimed attribute."""
        return draw.choice((SUPPORTED, REFUTED)) if draw.random() < self.options.distraction else UNKNOWN

    def _cue(self, label: int, cue: str, draw: random.Random) -> str:
        if cue == "absent":
            return FILLER
        if cue == "random":
            return draw.choice(CUES)
        if cue == "biased" and draw.random() < self.options.strength:
            return CUES[label]
        return CUES[draw.choice(_others(label))]


def _others(label: int) -> list[int]:
    return [index for index in range(len(LABELS)) if index != label]


def cue_features(split: Split) -> np.ndarray:
    """Encode the first word of each claim: ``(N, 3)``, float64, one-hot over the cue words; all 0 for other words."""
    first = [text.partition(" ")[0] for text in split.examples["text_b"][:]]
    return np.array([[word == cue for cue in CUES] for word in first], dtype=np.float64)
