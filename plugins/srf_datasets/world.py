"""A small world of animals and their attributes: what its sentences say, and what follows from them."""

from __future__ import annotations

import random

ANIMALS = tuple(
    "fox owl bear wolf deer hare goat lamb duck swan crow hawk mole toad frog crab seal whale shark horse".split()
)

OPPOSITES = (("tall", "short"), ("young", "old"), ("happy", "sad"), ("calm", "angry"))
"""Pairs of attributes: each excludes the other, and says nothing about those of other pairs."""

ATTRIBUTES = tuple(word for pair in OPPOSITES for word in pair)

OPPOSITE = {word: other for pair in OPPOSITES for word, other in (pair, pair[::-1])}

SUPPORTED, REFUTED, UNKNOWN = range(3)
"""What a fact says about a claim."""


def attribute_for(claimed: str, relation: int, draw: random.Random) -> str:
    """Draw an attribute that supports, refutes or does not decide the claim of an attribute."""
    if relation == UNKNOWN:
        return draw.choice([word for word in ATTRIBUTES if word not in (claimed, OPPOSITE[claimed])])
    return claimed if relation == SUPPORTED else OPPOSITE[claimed]


def described(attributes: list[str], animals: list[str]) -> str:
    """Join facts: ``"tall owl and short fox"``."""
    return " and ".join(f"{attribute} {animal}" for attribute, animal in zip(attributes, animals, strict=True))
