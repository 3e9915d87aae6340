"""The graph of the stages: checks their references and sorts the stages.

Works on the raw tables of the file, so stages with invalid options are part of the graph too.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any

from srframework.errors import SHOWN
from srframework.recipe.model import PRETRAINED, Reference, is_step
from srframework.text import choices_text, nearest, one_line, shorten

_EXPECTED_POINT = "expected a step (10000) or a sparsity level in (0, 1) (0.5) after '@', got {}"


@dataclass(frozen=True)
class Node:
    """A stage in the graph.

    Attributes:
        index: Index of its [[stages]] table in the file.
        name: Name of the stage.
        references: Key (``weights``, ``mask``, ``loss.teacher``) and reference; without ``weights = "pretrained"``.
        has_mask: Whether the stage has a mask; True if that is unknown.
    """

    index: int
    name: str
    references: tuple[tuple[str, Reference], ...]
    has_mask: bool


@dataclass(frozen=True)
class InvalidReference:
    """A problem with the reference at one key of one stage; ``is_unknown``: the referenced stage does not exist."""

    index: int
    key: str
    message: str
    nearest: str | None = None
    is_unknown: bool = False


def nodes(
    tables: Sequence[tuple[int, Mapping[str, Any]]],
    in_options: Callable[[Mapping[str, Any]], Sequence[tuple[str, str]]] = lambda _: (),
) -> list[Node]:
    """Build a node for each table that has a name; of tables with the same name, only the first counts.

    Args:
        tables: The [[stages]] tables, each with its index in the file.
        in_options: Returns the key and the text of each reference in the options of a table's components.
    """
    found: dict[str, Node] = {}
    for index, table in tables:
        name = table.get("name")
        if isinstance(name, str):
            texts = [(key, table.get(key)) for key in ("weights", "mask")]
            texts += in_options(table)
            references = tuple((key, Reference.parse(text)) for key, text in texts if isinstance(text, str))
            own = tuple((k, r) for k, r in references if (k, r) != ("weights", Reference(PRETRAINED)))
            has_mask = table.get("op") != "train" or "mask" in table  # an invalid op is reported elsewhere
            found.setdefault(name, Node(index, name, own, has_mask))
    return list(found.values())


def check(stages: Sequence[Node]) -> Iterator[InvalidReference]:
    """Yield the invalid references: unknown stages, invalid points, stages without a mask, cycles."""
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
                yield InvalidReference(node.index, key, _EXPECTED_POINT.format(shorten(reference.point)))
            if key == "mask" and not target.has_mask:
                got = f"{shorten(reference.stage)}, which trains all weights"
                yield InvalidReference(node.index, key, f"must be a stage that has a mask (got {got})")
            if (cycle := cycles.get((node.name, target.name))) is not None:
                through = f"{shorten(str(reference))}: {_around(*cycle)}"
                message = f"this stage would depend on itself through {through}"
                yield InvalidReference(node.index, key, message)


def check_outside(node: Node, names: Sequence[str]) -> Iterator[InvalidReference]:
    """Yield the invalid references of what is no stage itself, such as an evaluator.

    Args:
        node: Its references; ``index`` is that of its table.
        names: The stages in the order in which they run. The last one cannot be referred to: no stage runs after it.
    """
    known = {name: Node(0, name, (), True) for name in names}
    for key, reference in node.references:
        if reference.stage not in known:
            yield _unknown(node, key, reference, known, suggest=True)
        elif not is_point(reference.point):
            yield InvalidReference(node.index, key, _EXPECTED_POINT.format(shorten(reference.point)))
        elif reference.stage == names[-1]:
            got = f"{shorten(reference.stage)}, which runs last"
            yield InvalidReference(node.index, key, f"must be a stage that does not run last (got {got})")


def order(stages: Sequence[Node]) -> list[str]:
    """Sort the names: each after the stages that it depends on, otherwise as in the file; the graph must be valid."""
    position = {node.name: number for number, node in enumerate(stages)}
    sorter = TopologicalSorter({node.name: [reference.stage for _, reference in node.references] for node in stages})
    sorter.prepare()
    ready: list[int] = []
    found: list[str] = []
    while sorter:
        for name in sorter.get_ready():
            heapq.heappush(ready, position[name])
        found.append(stages[heapq.heappop(ready)].name)
        sorter.done(found[-1])
    return found


def is_point(point: str | None) -> bool:
    """Whether ``point`` is a step, a sparsity level in (0, 1), or None."""
    if point is None or is_step(point):
        return True
    try:
        return 0 < float(point) < 1
    except ValueError:
        return False


def _unknown(
    node: Node, key: str, reference: Reference, by_name: Mapping[str, Node], suggest: bool
) -> InvalidReference:
    if not suggest:  # comparing all names for every reference is slow
        message = f"no stage is named {shorten(reference.stage)}"
        return InvalidReference(node.index, key, message, is_unknown=True)
    choices = [name for name in by_name if name not in (node.name, PRETRAINED)]
    choices += [PRETRAINED] if key == "weights" else []
    if reference.stage == PRETRAINED:
        reason = "have no mask" if key == "mask" else "are no stage and have no points"
        message = f"the pretrained weights {reason} (got {shorten(str(reference))})"
        return InvalidReference(node.index, key, message, is_unknown=True)
    offered = choices_text(nearest(reference.stage, choices), choices) or "; there is no other stage"
    message = f"no stage is named {shorten(reference.stage)}{offered}"
    return InvalidReference(node.index, key, message, is_unknown=True)


def _cycles(by_name: Mapping[str, Node]) -> dict[tuple[str, str], tuple[list[str], int]]:
    """Map each edge (stage, its target) on a cycle to the cycle and the index of the stage in it.

    Each edge is on one cycle only; stops after :data:`srframework.errors.SHOWN` cycles.
    """
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
            names = error.args[1][:0:-1]  # each depends on the next; the first is not repeated at the end
        for index, name in enumerate(names):
            target = names[(index + 1) % len(names)]
            found[name, target] = names, index
            targets[name].discard(target)
    return found


def _around(cycle: Sequence[str], start: int, most: int = 8) -> str:
    """The names on a cycle, from one of them back to it; the middle of a long cycle is left out."""
    count = len(cycle)
    offsets = range(count + 1) if count < most else (*range(most - 2), count - 1, count)
    names = [one_line(cycle[(start + offset) % count], 60) for offset in offsets]
    return " -> ".join(names if count < most else [*names[:-2], "…", *names[-2:]])
