"""Which stage starts from which: the references of a recipe, checked and put in order.

Works on what the file says, so that a stage whose options are wrong still counts here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from srframework.errors import nearest
from srframework.recipe import PRETRAINED, Reference


@dataclass(frozen=True)
class Node:
    """A [[stages]] table, as far as the graph is concerned.

    Attributes:
        index: Its place in the file.
        name: Its name.
        references: Key (``weights``, ``mask``, ``loss.teacher``) and what is said there; θ_pt left out of ``weights``.
        has_mask: Whether a mask comes out of it.
    """

    index: int
    name: str
    references: tuple[tuple[str, Reference], ...]
    has_mask: bool


@dataclass(frozen=True)
class Wrong:
    """What is wrong with one key of one stage."""

    index: int
    key: str
    message: str
    nearest: str | None = None


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
            found.setdefault(name, Node(index, name, own, table.get("op") == "prune" or "mask" in table))
    return list(found.values())


def check(stages: Sequence[Node]) -> Iterator[Wrong]:
    """Everything that is wrong with the references: no such stage, no mask there, a cycle."""
    by_name = {node.name: node for node in stages}
    for node in stages:
        for key, reference in node.references:
            others = [name for name in by_name if name != node.name]
            choices = [*others, PRETRAINED] if key == "weights" else others
            target = by_name.get(reference.stage)
            if target is None:
                expected = f"one of: {', '.join(choices)}" if choices else "no reference, for want of another stage"
                yield Wrong(
                    node.index, key, f"expected {expected}; got {str(reference)!r}", nearest(reference.stage, choices)
                )
                continue
            if not _is_point(reference.point):
                expected = "a step (10000) or a sparsity level in (0, 1) (0.5) after '@'"
                yield Wrong(node.index, key, f"expected {expected}, got {reference.point!r}")
            if key == "mask" and not target.has_mask:
                got = f"{reference.stage!r}, which is trained without one"
                yield Wrong(node.index, key, f"expected a stage that has a mask, got {got}")
            if path := _path_back(by_name, node, target):
                cycle = " -> ".join([node.name, *path])
                message = f"expected a stage that does not start from this one, got {str(reference)!r}: {cycle}"
                yield Wrong(node.index, key, message)


def order(stages: Sequence[Node]) -> list[str]:
    """Names, each after those that it starts from, otherwise as in the file; for a graph without faults."""
    by_name = {node.name: node for node in stages}
    ordered: dict[str, None] = {}

    def visit(node: Node) -> None:
        for _, reference in node.references:
            visit(by_name[reference.stage])
        ordered.setdefault(node.name)

    for node in stages:
        visit(node)
    return list(ordered)


def _is_point(point: str | None) -> bool:
    if point is None or point.isdecimal():
        return True
    try:
        return 0 < float(point) < 1
    except ValueError:
        return False


def _path_back(by_name: Mapping[str, Node], goal: Node, start: Node) -> list[str]:
    """Names along a way from ``start`` to ``goal``, both included; empty where there is none."""
    ways, seen = [[start.name]], {start.name}
    while ways:
        way = ways.pop(0)
        if way[-1] == goal.name:
            return way
        for _, reference in by_name[way[-1]].references:
            if reference.stage in by_name and reference.stage not in seen:
                seen.add(reference.stage)
                ways.append([*way, reference.stage])
    return []
