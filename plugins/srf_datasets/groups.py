"""Groups of examples: the column ``group``, made of the label and other columns."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator, Field

from srf_datasets.parsing import Columns, Key
from srframework import Split

GROUP, LABEL = "group", "label"


def _each_once(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) < len(names) or set(names) & {"text_a", "text_b", GROUP}:
        raise ValueError(f"columns other than text_a, text_b and {GROUP}, each once")
    return names


GroupBy = Annotated[tuple[str, ...], Field(strict=False), AfterValidator(_each_once)]
"""Type of the option ``group_by``."""

DESCRIPTION = (
    "Columns whose values define the groups of the ID examples (and of other splits that have these columns), such as "
    f"['label', 'genre']; 'label' is the example's label. The groups become the column '{GROUP}'; []: no groups."
)


def read_for(names: Sequence[str]) -> tuple[str, ...]:
    """Give the columns of the source that these groups need."""
    return tuple(name for name in names if name != LABEL)


def with_groups(columns: Columns, names: Sequence[str]) -> Columns:
    """Add the columns that these groups need."""
    return dataclasses.replace(columns, keep=tuple(dict.fromkeys([*columns.keep, *read_for(names)])))


def keys_of(names: Sequence[str]) -> dict[str, Key]:
    """Give the option that names each of these columns."""
    return dict.fromkeys(read_for(names), ("group_by",))


def grouped(split: Split, names: Sequence[str]) -> Split:
    """Add the column ``group``: ``"label=yes, genre=fiction"``; the same split if ``names`` is empty or one of these
    columns is missing."""
    if not names or not set(names) <= set(split.examples.column_names):
        return split
    columns = [split.examples[name][:] for name in names]
    if LABEL in names:
        place = names.index(LABEL)
        columns[place] = [split.labels[label] for label in columns[place]]
    rows = zip(*columns, strict=True)
    values = [", ".join(f"{name}={value}" for name, value in zip(names, row, strict=True)) for row in rows]
    examples = split.examples.remove_columns(GROUP) if GROUP in split.examples.column_names else split.examples
    return dataclasses.replace(split, examples=examples.add_column(GROUP, values))
