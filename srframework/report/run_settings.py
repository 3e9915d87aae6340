"""What a run was: its resolved recipe, less the seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from srframework.recipe.dotted_keys import flat
from srframework.training.options import PROGRESS

APART = ("name", "schema", "seed", "description", "claim")
"""Keys of a recipe that are no settings: they are for people, or told apart from them."""


@dataclass(frozen=True, eq=False)
class Settings:
    """A resolved recipe without its seed; runs that differ in nothing else share one.

    Attributes:
        recipe: Its name.
        values: By key, as a user writes an override: ``stages.srnet.pruner.sparsity``; less the training options
            that change nothing of what comes out.
        builds_on: Stage -> the stages that its result hangs on, itself included.
        evaluators: Their tables: ``use``, and the options.
    """

    recipe: str
    values: Mapping[str, Any]
    builds_on: Mapping[str, frozenset[str]]
    evaluators: Sequence[Mapping[str, Any]]

    @classmethod
    def of(cls, table: Mapping[str, Any]) -> Settings:
        """From a recipe's table, as summary.json has it."""
        stages = {stage["name"]: stage for stage in table["stages"]}
        values = flat({key: value for key, value in table.items() if key not in APART})
        for trained in ("training", *(f"stages.{name}" for name in stages)):
            for option in PROGRESS:
                values.pop(f"{trained}.{option}", None)
        builds_on = {name: _builds_on(name, stages) for name in stages}
        evaluators = [each for each in table.get("evaluators", ()) if isinstance(each, dict)]
        return cls(str(table["name"]), values, builds_on, evaluators)

    def concerns(self, key: str, stage: str) -> bool:
        """Whether a stage's result hangs on a key: its own, one of what it builds on, or of the whole recipe.

        An option of ``[bias]`` is taken to concern every stage, for which losses need a bias model only their plugins
        know, and none is loaded here.
        """
        head, _, rest = key.partition(".")
        return head != "stages" or any(rest.startswith(f"{name}.") for name in self.builds_on.get(stage, ()))


def _builds_on(name: str, stages: Mapping[str, Mapping[str, Any]]) -> frozenset[str]:
    """All that a stage starts from, takes a mask from, or learns from; itself included."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            stage = stages[name]
            # Any option of a loss may be a reference to a stage; which, only its plugin knows.
            said = [stage.get("weights"), stage.get("mask"), *stage["loss"].values()]
            named = {text.partition("@")[0] for text in said if isinstance(text, str)}
            waiting += [each for each in named if each in stages]
    return frozenset(found)
