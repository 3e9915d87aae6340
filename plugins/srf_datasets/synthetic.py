"""Claims about made-up evidence, with a cue word that gives the label away, until it does not."""

from __future__ import annotations

import random

import datasets
import numpy as np

from srf_datasets.options import SyntheticOptions
from srframework import Dataset, Split, TaskData

LABELS = ("SUPPORTS", "REFUTES", "NOT ENOUGH INFO")

CUES = ("surely", "hardly", "perhaps")
"""One for each label, in that order."""

ENTITIES = tuple(
    "fox owl bear wolf deer hare goat lamb duck swan crow hawk mole toad frog crab seal whale shark horse "
    "sheep mouse tiger lion zebra camel panda koala otter badger rabbit monkey donkey pigeon parrot turtle "
    "lizard spider beetle salmon".split()
)
ATTRIBUTES = tuple(
    "red green blue black white brown grey pink tall short young old happy sad calm angry hungry tired brave "
    "shy loud quiet clever lazy".split()
)


class Synthetic(Dataset):
    """Three-way verification of a claim (text_b) by evidence (text_a), balanced over the labels.

    Evidence: "the owl is red and the fox is shy". Claims, each after a cue word: "surely the
    owl is red" (SUPPORTS), "the owl is shy" (REFUTES), "the bear is red" (NOT ENOUGH INFO).
    Every word occurs with every label alike, but for the cue: it agrees with the label in a
    share ``strength`` of the training and dev examples, and never in the OOD split.
    """

    options: SyntheticOptions

    def load(self, seed: int) -> TaskData:
        """Draw all splits from the option ``seed``, or, where it is unset, from the recipe's."""
        options = self.options
        seed = seed if options.seed is None else options.seed
        train = self._split("train", options.train_size, seed, "biased")
        return TaskData(
            labels=LABELS,
            metric="accuracy",
            train=train,
            dev=self._split("dev", options.dev_size, seed, "biased"),
            ood=(self._split(options.ood_cue, options.ood_size, seed, options.ood_cue),),
            spurious_features=lambda: cue_features(train),
        )

    def _split(self, name: str, size: int, seed: int, cue: str) -> Split:
        draw = random.Random(f"{seed}/{name}")  # noqa: S311  (examples, no secrets)
        labels = [index % len(LABELS) for index in range(size)]
        draw.shuffle(labels)
        columns: dict[str, list[str | int]] = {"text_a": [], "text_b": [], "label": []}
        for label in labels:
            evidence, claim = self._texts(label, draw)
            word = self._cue(label, cue, draw)
            columns["text_a"].append(evidence)
            columns["text_b"].append(f"{word} {claim}" if word else claim)
            columns["label"].append(label)
        return Split(name, datasets.Dataset.from_dict(columns), LABELS)

    def _texts(self, label: int, draw: random.Random) -> tuple[str, str]:
        """Evidence, and a claim that it supports (0), refutes (1) or does not touch (2).

        Whether the claim's attribute is in the evidence does not tell refuted from untouched:
        it is in half of both (in none of both where the evidence is one fact).
        """
        facts = self.options.facts
        *entities, absent_entity = draw.sample(ENTITIES, facts + 1)
        *attributes, absent_attribute = draw.sample(ATTRIBUTES, facts + 1)
        chosen = draw.randrange(facts)
        others = [index for index in range(facts) if index != chosen]
        mentioned = facts > 1 and draw.random() < 0.5  # one fact has no other attribute to refute it with
        entity, attribute = entities[chosen], attributes[chosen]
        if label == 1:
            attribute = attributes[draw.choice(others)] if mentioned else absent_attribute
        elif label == 2:
            entity, attribute = absent_entity, attribute if mentioned else absent_attribute
        evidence = " and ".join(f"the {e} is {a}" for e, a in zip(entities, attributes, strict=True))
        return evidence, f"the {entity} is {attribute}"

    def _cue(self, label: int, cue: str, draw: random.Random) -> str:
        if cue == "absent":
            return ""
        if cue == "biased" and draw.random() < self.options.strength:
            return CUES[label]
        return draw.choice([word for index, word in enumerate(CUES) if index != label])


def cue_features(split: Split) -> np.ndarray:
    """``(N, 3)``, float64: which cue word opens the claim, one-hot; all 0 where there is none."""
    first = [text.partition(" ")[0] for text in split.examples["text_b"]]
    return np.array([[word == cue for cue in CUES] for word in first], dtype=np.float64)
