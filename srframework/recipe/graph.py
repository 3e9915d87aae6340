"""Which stage starts from which: the references of a recipe, checked and put in order.

Works on what the file says, so that a stage whose options are wrong still counts here.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any

from srframework.errors import SHOWN
from srframework.recipe.model import PRETRAINED, Reference, is_step
from srframework.text import listed, nearest, one_line, shorten


@dataclass(frozen=True)
class Node:
    """A [[stages]] table, as far as the graph is concerned.

    Attributes:
        index: Its place in the file.
        name: Its name.
        references: Key (``weights``, ``mask``, ``loss.teacher``) and what is said there; θ_pt left out of ``weights``.
        has_mask: Whether a mask comes out of it, as far as can be known.
    """

    index: int
    name: str
    references: tuple[tuple[str, Reference], ...]
    has_mask: bool


@dataclass(frozen=True)
class Wrong:
    """What is wrong with one key of one stage; ``is_unknown``: that there is no such stage."""

    index: int
    key: str
    message: str
    nearest: str | None = None
    is_unknown: bool = False


def nodes(
    tables: Sequence[tuple[int, Mapping[str, Any]]],
    named_in_loss: Callable[[Mapping[str, Any]], Sequence[str]] = lambda _: (),
) -> list[Node]:
    """The nodes of those tables, each with its place, that have a name; the later of two with one name is left out.

    ``named_in_loss`` gives the options of a table's loss that name stages.
    """
    found: dict[str, Node] = {}
    for index, table in tables:
        name = table.get("name")
        if isinstance(name, str):
            said = [(key, table.get(key)) for key in ("weights", "mask")]
            said += [(f"loss.{option}", table["loss"].get(option)) for option in named_in_loss(table)]
            references = tuple((key, Reference.parse(text)) for key, text in said if isinstance(text, str))
            own = tuple((k, r) for k, r in references if (k, r) != ("weights", Reference(PRETRAINED)))
            has_mask = table.get("op") != "train" or "mask" in table  # a wrong op is reported elsewhere
            found.setdefault(name, Node(index, name, own, has_mask))
    return list(found.values())


def check(stages: Sequence[Node]) -> Iterator[Wrong]:
    """Everything that is wrong with the references: no such stage, no mask there, a cycle."""
    by_name = {node.name: node for node in stages}
    cycles = _cycles(by_name)
    unknown = 0
    for node in stages:
        for key, reference in node.references:
            target = by_name.get(reference.stage)
            if target is None:
                unknown += 1
                yield _unknown(node, key, reference, by_name, suggest=unknown <= SHOWN)
                continue
            if not is_point(reference.point):
                expected = "a step (10000) or a sparsity level in (0, 1) (0.5) after '@'"
                yield Wrong(node.index, key, f"expected {expected}, got {shorten(reference.point)}")
            if key == "mask" and not target.has_mask:
                got = f"{shorten(reference.stage)}, which is trained without one"
                yield Wrong(node.index, key, f"expected a stage that has a mask, got {got}")
            if (way := cycles.get((node.name, target.name))) is not None:
                expected = "a stage that does not start from this one"
                yield Wrong(node.index, key, f"expected {expected}, got {shorten(str(reference))}: {_around(*way)}")


def order(stages: Sequence[Node]) -> list[str]:
    """Names, each after those that it starts from, otherwise as in the file; for a graph without faults."""
    place = {node.name: number for number, node in enumerate(stages)}
    sorter = TopologicalSorter({node.name: [reference.stage for _, reference in node.references] for node in stages})
    sorter.prepare()
    ready: list[int] = []
    found: list[str] = []
    while sorter:
        for name in sorter.get_ready():
            heapq.heappush(ready, place[name])
        found.append(stages[heapq.heappop(ready)].name)
        sorter.done(found[-1])
    return found


def is_point(point: str | None) -> bool:
    """Whether it is a step or a sparsity level, or none."""
    if point is None or is_step(point):
        return True
    try:
        return 0 < float(point) < 1
    except ValueError:
        return False


def _unknown(node: Node, key: str, reference: Reference, by_name: Mapping[str, Node], suggest: bool) -> Wrong:
    if not suggest:  # to list and compare them all each time would take long
        return Wrong(node.index, key, f"expected the name of a stage; got {shorten(str(reference))}", is_unknown=True)
    choices = [*(name for name in by_name if name != node.name), *([PRETRAINED] if key == "weights" else [])]
    expected = f"one of: {listed(choices)}" if choices else "no reference, for want of another stage"
    near = nearest(reference.stage, choices)
    return Wrong(node.index, key, f"expected {expected}; got {shorten(str(reference))}", near, is_unknown=True)


def _cycles(by_name: Mapping[str, Node]) -> dict[tuple[str, str], tuple[list[str], int]]:
    """Each stage and the one it starts from, on a cycle -> the cycle, and where it is in it; no two cycles have such a
    pair in common, and there are at most as many as are shown."""
    targets = {
        name: {reference.stage for _, reference in node.references if reference.stage in by_name}
        for name, node in by_name.items()
    }
    found: dict[tuple[str, str], tuple[list[str], int]] = {}
    for _ in range(SHOWN):
        try:
            TopologicalSorter(targets).prepare()
            break
        except CycleError as error:
            names = error.args[1][:0:-1]  # each starts from the next; the first is not repeated at the end
        for place, name in enumerate(names):
            target = names[(place + 1) % len(names)]
            found[name, target] = names, place
            targets[name].discard(target)
    return found


def _around(cycle: Sequence[str], start: int, most: int = 8) -> str:
    """The names on a cycle, from one of them back to it; of many, the first and the last."""
    count = len(cycle)
    places = range(count + 1) if count < most else (*range(most - 2), count - 1, count)
    names = [one_line(cycle[(start + place) % count], 60) for place in places]
    return " -> ".join(names if count < most else [*names[:-2], "…", *names[-2:]])
