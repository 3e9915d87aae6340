"""Match the words in the label column of a file with the labels of a model."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

from srframework.errors import UsageError
from srframework.text import did_you_mean, listed, nearest, shorten

_UNLABELLED = ("", "-")
"""Words of rows without a label, which are skipped."""

_UNNAMED = re.compile(r"LABEL_(\d+)")
"""The label that transformers gives to an output without a name."""

_NOT = re.compile(r"(?:non|not)[-_ ](.+)", re.IGNORECASE)


@dataclass(frozen=True)
class Labels:
    """The labels of a file, as the data set ``pairs`` needs them.

    Attributes:
        own: The labels of the file.
        names: Word in the file -> label; other words are labels themselves.
        collapse: Label of the model that the file does not have -> label of the file that counts as the same.
    """

    own: tuple[str, ...]
    names: Mapping[str, str]
    collapse: Mapping[str, str]


def match(
    where: str, words: Set[str], labels: Sequence[str], names: Mapping[str, str], collapse: Mapping[str, str]
) -> Labels:
    """Match words and labels.

    A word is a label, also in another case; a number is the label ``LABEL_<number>``. A file with ``X`` and
    ``not-X`` (or ``non-X``) in place of the other labels needs no ``collapse``: they all count as ``not-X``.

    Args:
        where: The file, for messages.
        words: The words in its label column.
        labels: The labels of the model.
        names: Word -> label, from the user; ``"-"`` skips the rows.
        collapse: Label of the model -> label of the file, from the user.

    Raises:
        UsageError: A word is no label; lists the words and the labels.
    """
    if unknown := [label for label in collapse if label not in labels]:
        hint = did_you_mean(nearest(unknown[0], labels))
        raise UsageError(f"--collapse: expected a label of the model ({listed(labels)}), got {unknown[0]!r}{hint}")
    found = dict(names)
    known = [*labels, *collapse.values()]
    for word in sorted(words - names.keys()):
        if (label := _same(word, known)) is not None and label != word:
            found[word] = label
    meant = {found.get(word, word) for word in words} - {*_UNLABELLED}
    merged = dict(collapse) or _negated(meant, labels)
    own = tuple(dict.fromkeys(merged.get(label, label) for label in labels))
    if left := sorted(meant - {*own}):
        raise UsageError(
            f"{where}: the labels of the file and of the model do not match, such as {shorten(left[0])}: the file has "
            f"{listed(sorted(words), 20) or 'none'}; the model has {listed(labels)} (id2label in its config.json). "
            "Give the label of a word with --label-name WORD=LABEL, and the word that a label counts as with "
            "--collapse LABEL=WORD"
        )
    return Labels(own, found, merged)


def _same(word: str, labels: Sequence[str]) -> str | None:
    if word in labels:
        return word
    same = {label for label in labels if label.casefold() == word.casefold()}
    if not same and word.isdecimal() and all(_UNNAMED.fullmatch(label) for label in labels):
        same = {label for label in labels if label == f"LABEL_{int(word)}"}
    return same.pop() if len(same) == 1 else None


def _negated(meant: Set[str], labels: Sequence[str]) -> dict[str, str]:
    """Return the table from all labels but ``X`` to ``not-X`` if the file has no other labels than these two."""
    others = sorted(meant - {*labels})
    negation = _NOT.fullmatch(others[0]) if len(others) == 1 else None
    kept = _same(negation[1], labels) if negation is not None else None
    if kept is None or meant - {kept, others[0]}:
        return {}
    return {label: others[0] for label in labels if label != kept}
