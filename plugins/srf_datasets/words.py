"""Splits a text into words, for the spurious features."""

from __future__ import annotations

import re

_WORD = re.compile(r"\w+")


def words(text: str) -> list[str]:
    """List the words of a text in order, with repetitions, in lower case and without punctuation.

    >>> words("The doctor, the actor's")
    ['the', 'doctor', 'the', 'actor', 's']
    """
    return _WORD.findall(text.lower())
