"""The settings of a run: its resolved recipe without the seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from srframework.recipe.dotted_keys import flat
from srframework.training.options import PROGRESS

APART = ("name", "schema", "seed", "description", "claim", "figure")
"""Keys of a recipe that are not settings."""


@dataclass(frozen=True, eq=False)
class Settings:
    """A resolved recipe without its seed; runs that differ only in their seed share one.

    Attributes:
        recipe: Name of the recipe.
        values: Values by key, written as in an override: ``stages.srnet.pruner.sparsity``; without the training options
            that do not change the result.
        builds_on: Stage -> the stages that its result depends on, itself included.
        evaluators: Tables of the evaluators: ``use`` and options.
        figure: The ``[figure]`` table; see :mod:`srframework.report.figure_table`.
    """

    recipe: str
    values: Mapping[str, Any]
    builds_on: Mapping[str, frozenset[str]]
    evaluators: Sequence[Mapping[str, Any]]
    figure: Mapping[str, Any]

    @classmethod
    def of(cls, table: Mapping[str, Any]) -> Settings:
        """Read the recipe table of summary.json."""
        stages = {stage["name"]: stage for stage in table["stages"]}
        values = flat({key: value for key, value in table.items() if key not in APART})
        for trained in ("training", *(f"stages.{name}" for name in stages)):
            for option in PROGRESS:
                values.pop(f"{trained}.{option}", None)
        builds_on = {name: _builds_on(name, stages) for name in stages}
        evaluators = [each for each in table.get("evaluators", ()) if isinstance(each, dict)]
        figure = table.get("figure")
        return cls(str(table["name"]), values, builds_on, evaluators, figure if isinstance(figure, dict) else {})

    def concerns(self, key: str, stage: str) -> bool:
        """Whether the result of a stage depends on a key: its own, one of a stage that it builds on, or a global one.

        Options of ``[bias]`` count for every stage: only a plugin knows whether its loss needs a bias model, and no
        plugin is loaded here.
        """
        head, _, rest = key.partition(".")
        return head != "stages" or any(rest.startswith(f"{name}.") for name in self.builds_on.get(stage, ()))


def _builds_on(name: str, stages: Mapping[str, Mapping[str, Any]]) -> frozenset[str]:
    """All stages that give a stage its weights, mask or teacher; itself included."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            stage = stages[name]
            # Any option of a loss may name a stage; only its plugin knows which options do.
            values = [stage.get("weights"), stage.get("mask"), *stage["loss"].values()]
            named = {text.partition("@")[0] for text in values if isinstance(text, str)}
            waiting += [each for each in named if each in stages]
    return frozenset(found)
