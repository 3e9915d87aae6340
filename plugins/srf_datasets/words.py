"""The words of a text, as the spurious features count them."""

from __future__ import annotations

import re

_WORD = re.compile(r"\w+")


def words(text: str) -> list[str]:
    """Lower-cased, without punctuation, in their order, each as often as it is there.

    >>> words("The doctor, the actor's")
    ['the', 'doctor', 'the', 'actor', 's']
    """
    return _WORD.findall(text.lower())
