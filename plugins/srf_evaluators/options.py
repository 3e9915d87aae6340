"""Options of the built-in evaluators."""

from __future__ import annotations

from pydantic import Field, field_validator

from srframework import Options


class NoOptions(Options):
    """No options."""


class WorstGroupOptions(Options):
    """Options of worst-group."""

    group_by: tuple[str, ...] = Field(
        ("label", "group"),
        strict=False,
        min_length=1,
        max_length=8,
        description="Columns that define the groups: a group has the examples with the same values in all of them. "
        "label is the true label.",
    )

    @field_validator("group_by")
    @classmethod
    def _each_once(cls, group_by: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(group_by)) < len(group_by) or not all(group_by):
            raise ValueError("names of columns, each once")
        return group_by
