"""Which stage starts from which: the references of a recipe, checked and put in order.

Works on what the file says, so that a stage whose options are wrong still counts here.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from srframework.errors import SHOWN, listed, nearest, one_line, shorten
from srframework.recipe.model import PRETRAINED, Reference, is_step


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
    cycle_of = _strongly_connected(by_name)
    unknown = 0
    ways_shown: Counter[str] = Counter()
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
            if cycle_of[node.name] == cycle_of[target.name]:
                expected = "a stage that does not start from this one"
                ways_shown[cycle_of[node.name]] += 1
                known = ways_shown[cycle_of[node.name]] <= SHOWN
                way = _way(by_name, target, node) if known else [target.name, _MORE, node.name]
                cycle = " -> ".join(one_line(name, 60) for name in _few([node.name, *way]))
                yield Wrong(node.index, key, f"expected {expected}, got {shorten(str(reference))}: {cycle}")


def order(stages: Sequence[Node]) -> list[str]:
    """Names, each after those that it starts from, otherwise as in the file; for a graph without faults."""
    return _after({node.name: [reference.stage for _, reference in node.references] for node in stages})


def is_point(point: str | None) -> bool:
    """Whether it is a step or a sparsity level, or none."""
    if point is None or is_step(point):
        return True
    try:
        return 0 < float(point) < 1
    except ValueError:
        return False


_MORE = "…"


def _unknown(node: Node, key: str, reference: Reference, by_name: Mapping[str, Node], suggest: bool) -> Wrong:
    if not suggest:  # to list and compare them all each time would take long
        return Wrong(node.index, key, f"expected the name of a stage; got {shorten(str(reference))}", is_unknown=True)
    choices = [*(name for name in by_name if name != node.name), *([PRETRAINED] if key == "weights" else [])]
    expected = f"one of: {listed(choices)}" if choices else "no reference, for want of another stage"
    near = nearest(reference.stage, choices)
    return Wrong(node.index, key, f"expected {expected}; got {shorten(str(reference))}", near, is_unknown=True)


def _after(graph: Mapping[str, Sequence[str]]) -> list[str]:
    """The nodes of a graph, each after those that it points to, where there is no cycle; each visited once."""
    done: dict[str, None] = {}
    seen: set[str] = set()
    for first in graph:
        waiting = [(first, iter(graph[first]))] if first not in seen else []
        seen.add(first)
        while waiting:
            name, rest = waiting[-1]
            following = next((each for each in rest if each not in seen), None)
            if following is None:
                done[name] = None
                waiting.pop()
            else:
                seen.add(following)
                waiting.append((following, iter(graph[following])))
    return list(done)


def _strongly_connected(by_name: Mapping[str, Node]) -> dict[str, str]:
    """A node -> the first found of those with which it is on a cycle; itself where it is on none (Kosaraju)."""
    forward = {
        name: [reference.stage for _, reference in node.references if reference.stage in by_name]
        for name, node in by_name.items()
    }
    backward: dict[str, list[str]] = {name: [] for name in forward}
    for name, targets in forward.items():
        for target in targets:
            backward[target].append(name)
    found: dict[str, str] = {}
    for root in reversed(_after(forward)):
        waiting = [root] if root not in found else []
        while waiting:
            name = waiting.pop()
            if name not in found:
                found[name] = root
                waiting += backward[name]
    return found


def _way(by_name: Mapping[str, Node], start: Node, goal: Node) -> list[str]:
    """Names along a shortest way from ``start`` to ``goal``, both included."""
    before: dict[str, str | None] = {start.name: None}
    waiting = deque([start.name])
    while waiting and goal.name not in before:
        name = waiting.popleft()
        for _, reference in by_name[name].references:
            if reference.stage in by_name and reference.stage not in before:
                before[reference.stage] = name
                waiting.append(reference.stage)
    way: list[str] = []
    name_on_way: str | None = goal.name
    while name_on_way is not None:
        way.append(name_on_way)
        name_on_way = before[name_on_way]
    return way[::-1]


def _few(names: Sequence[str], most: int = 8) -> list[str]:
    """The names; of many, the first and the last."""
    return list(names) if len(names) <= most else [*names[: most - 2], _MORE, *names[-2:]]
