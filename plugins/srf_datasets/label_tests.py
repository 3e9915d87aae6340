"""Tests whether the labels of a split are exchanged, where the class shares cannot tell. Imports nothing heavy.

Three kinds of evidence, from the strongest to the weakest:

- A *hint*: a column that repeats the label. MNLI's pairID ends with the first letter of the label that the author of
  the hypothesis was asked for, and HANS's subcase names it (``ln_``, ``le_``).
- The class shares, if they differ (:mod:`srf_datasets.complete_check`).
- An *ordering*: a figure of the texts that one label is known to have more of than another. In ordinary NLI data, the
  hypotheses of entailed pairs repeat more words of their premise than those of neutral pairs (McCoy et al. 2019), and
  contradictions contain more negations than either (Gururangan et al. 2018).

An ordering compares two labels of a split; it says nothing about single wrong labels.
"""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

_WORD = re.compile(r"[^\W_]+")
_NEGATIONS = frozenset("no not never nothing nobody none neither nor cannot n't without".split())

CLEAR = 4.0
"""Standard errors between two means that count as clear."""


def overlap(text: str, other: str) -> float:
    """Give the share, in [0, 1], of the words of ``text`` that are in ``other``."""
    words, known = _WORD.findall(text.lower()), set(_WORD.findall(other.lower()))
    return sum(word in known for word in words) / len(words) if words else 0.0


def negation(text: str, _: str) -> float:
    """Give 1 if ``text`` contains a negation, else 0."""
    lower = text.lower()
    return float("n't" in lower or not _NEGATIONS.isdisjoint(_WORD.findall(lower)))


@dataclass(frozen=True)
class Ordering:
    """The mean of a figure must be higher for one label than for another.

    Attributes:
        figure: Maps the text with the bias and the other text to a number.
        what: Meaning of the figure, for messages.
        high, low: Labels of the split.
        first: Whether the text with the bias is ``text_a`` (a claim), not ``text_b`` (a hypothesis).
        is_sure: Whether the opposite order is an error, not a warning.
    """

    figure: Callable[[str, str], float]
    what: str
    high: str
    low: str
    first: bool = False
    is_sure: bool = False


_REPEATS = "share of the hypothesis's words that are in the premise"
_NEGATES = "share of the hypotheses with a negation"


def nli_orderings(names: Mapping[str, str]) -> tuple[Ordering, ...]:
    """Give the orderings of ordinary NLI data.

    Args:
        names: ``"entailment"``, ``"neutral"``, ``"contradiction"`` -> the label of the split. Absent ones are left out.
    """
    rules = (
        (overlap, _REPEATS, "entailment", "neutral"),
        (negation, _NEGATES, "contradiction", "entailment"),
        (negation, _NEGATES, "contradiction", "neutral"),
    )
    return tuple(
        Ordering(figure, what, names[high], names[low])
        for figure, what, high, low in rules
        if high in names and low in names
    )


_CLAIM_REPEATS = "share of the claim's words that are in the evidence"
SUPPORTS_OVER_REFUTES = Ordering(overlap, _CLAIM_REPEATS, "SUPPORTS", "REFUTES", first=True, is_sure=True)
"""Holds in Fever-Symmetric v1 and v2: 0.68 against 0.57, 0.67 against 0.54, 0.70 against 0.58."""
SUPPORTS_OVER_NEI = Ordering(overlap, _CLAIM_REPEATS, "SUPPORTS", "NOT ENOUGH INFO", first=True)


@dataclass
class _Moments:
    count: int = 0
    total: float = 0.0
    squares: float = 0.0

    def add(self, value: float) -> None:
        self.count, self.total, self.squares = self.count + 1, self.total + value, self.squares + value * value

    @property
    def mean(self) -> float:
        return self.total / self.count

    @property
    def error(self) -> float:
        """The square of the standard error of the mean, with one more row that has the mean of [0, 1]."""
        return (max(self.squares / self.count - self.mean**2, 0.0) + 0.25 / self.count) / self.count


@dataclass
class OrderingTest:
    """Collects the figure of an ordering over the rows of a split."""

    ordering: Ordering
    _by_label: dict[str, _Moments] = field(default_factory=lambda: defaultdict(_Moments))

    def add(self, text_a: str, text_b: str, label: str) -> None:
        """Count a row."""
        if label in (self.ordering.high, self.ordering.low):
            biased, other = (text_a, text_b) if self.ordering.first else (text_b, text_a)
            self._by_label[label].add(self.ordering.figure(biased, other))

    def verdict(self) -> tuple[float | None, str]:
        """Return the distance of the means in standard errors, negative in the wrong order, and a sentence.

        The distance is None if a label has no row.
        """
        high, low = (self._by_label[label] for label in (self.ordering.high, self.ordering.low))
        if not high.count or not low.count:
            return None, f"{self.ordering.what}: no rows of {self.ordering.high} or {self.ordering.low}"
        distance = (high.mean - low.mean) / math.sqrt(high.error + low.error)
        means = f"{self.ordering.high} {high.mean:.2f}, {self.ordering.low} {low.mean:.2f}"
        return distance, f"{self.ordering.what}: {means}"


_SUBCASE = re.compile(r"[lsc]([ne])_.+")
"""A subcase of HANS: the heuristic (lexical overlap, subsequence, constituent), then the label."""


@dataclass(frozen=True)
class Hint:
    """A column that repeats the label.

    Attributes:
        column: Its name in the file; a file without it is not tested.
        label: Maps its content to a label, or to None if it says nothing.
        what: Meaning of the content, for messages.
        is_exact: Whether the column and the label agree in every row.
    """

    column: str
    label: Callable[[str], str | None]
    what: str
    is_exact: bool = False


MNLI_HINT = Hint(
    "pairID",
    lambda pair: {"c": "contradiction", "e": "entailment", "n": "neutral"}.get(pair[-1:]),
    "the last letter of pairID",
)
"""In the training set it is the label; in the dev sets the label is that of most annotators."""


def _label_of_subcase(subcase: str) -> str | None:
    found = _SUBCASE.fullmatch(subcase)
    return None if found is None else "non-entailment" if found[1] == "n" else "entailment"


HANS_HINT = Hint("subcase", _label_of_subcase, "the subcase", is_exact=True)


def best_permutation(pairs: Mapping[tuple[str, str], int], labels: Sequence[str]) -> dict[str, str]:
    """Find the renaming of labels under which most rows agree; ``pairs``: (label, hinted label) -> rows."""
    orders = itertools.permutations(labels)
    best = max(orders, key=lambda order: sum(pairs.get((a, b), 0) for a, b in zip(labels, order, strict=True)))
    return {a: b for a, b in zip(labels, best, strict=True) if a != b}


def exchanged(renamed: Mapping[str, str]) -> str:
    """Describe a renaming: ``"a and b are exchanged"``."""
    if len(renamed) == 2:
        return f"{' and '.join(renamed)} are exchanged"
    return f"labels are exchanged ({', '.join(f'{a} is {b}' for a, b in renamed.items())})"


@dataclass
class HintTest:
    """Counts how often a hint and the labels agree."""

    hint: Hint
    labels: Sequence[str]
    _pairs: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, content: str, label: str) -> None:
        """Count a row."""
        if (hinted := self.hint.label(content)) is not None:
            self._pairs[label, hinted] += 1

    def verdicts(self) -> Iterator[tuple[bool | None, str]]:
        """Yield whether the labels are right (None: no row has a hint), with a sentence."""
        total = self._pairs.total()
        agree = sum(count for (label, hinted), count in self._pairs.items() if label == hinted)
        if not total:
            yield None, f"no row of the column {self.hint.column!r} says anything about the label"
        elif renamed := best_permutation(self._pairs, self.labels):
            yield False, f"{exchanged(renamed)}: {self.hint.what} agrees with the label in {agree:,} of {total:,} rows"
        elif self.hint.is_exact and agree < total:
            yield False, f"{self.hint.what} says another label in {total - agree:,} of {total:,} rows"
        else:
            yield True, f"{self.hint.what} agrees with the label in {agree:,} of {total:,} rows"
