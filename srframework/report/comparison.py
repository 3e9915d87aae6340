"""Two experiments side by side: differences in recipe, versions and data, and in the figures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from srframework.contracts import Figure, Predictions
from srframework.errors import DataError, PluginError, UsageError
from srframework.registry.registry import Registry
from srframework.report.bootstrap import Sample, over_examples, over_seeds, point_estimate
from srframework.report.comparison_side import Place, Side
from srframework.report.metrics import Metric, metric_of
from srframework.report.result_rows import comparable
from srframework.run import predictions_file
from srframework.run.results import MODEL, Figures

_NEAR = 1e-6
"""Largest allowed distance of a reported figure from the figure computed from its predictions."""


@dataclass(frozen=True)
class Difference:
    """A value that differs; None if a side does not have it."""

    key: str
    a: Any
    b: Any


@dataclass(frozen=True)
class Compared:
    """One figure of both sides: the mean over the seeds.

    Attributes:
        unit: Unit of the figure; ``"fraction"`` is shown in percent.
        better: Whether higher or lower values are better; None if neither is.
        kind: ``"id"``, ``"also"`` or ``"ood"``.
        difference: b − a.
        interval: 95 % interval over resampled examples; None if it cannot be computed; ``note`` says why.
        examples: Number of examples; None if there is no interval.
        seeds_interval: 95 % interval over resampled seeds; None for fewer than two common seeds.
        collapsed: The sides, ``"a"`` and ``"b"``, on which the model has collapsed on this split in at least one seed.
    """

    stage: str
    level: float | None
    kind: str
    split: str
    metric: str
    unit: str
    better: str | None
    a: float
    b: float
    difference: float
    interval: tuple[float, float] | None
    examples: int | None
    seeds_interval: tuple[float, float] | None
    note: str | None
    collapsed: Sequence[str] = ()

    def to_json(self) -> dict[str, Any]:
        """The row that ``compare --json`` prints."""
        return asdict(self)


def recipe_differences(a: Side, b: Side) -> list[Difference]:
    """Differences of the resolved recipes, without the seed."""
    tables = [{"name": side.first.settings.recipe, **side.first.settings.values} for side in (a, b)]
    return _differences(*tables)


def version_differences(a: Side, b: Side) -> list[Difference]:
    """Differences of versions and of the number of processes; a side whose runs differ has several values."""
    tables: list[dict[str, Any]] = []
    for side in (a, b):
        machines = side.facts("machine")
        each = [
            {**versions, **({"processes": machines[seed]["processes"]} if "processes" in machines[seed] else {})}
            for seed, versions in side.facts("versions").items()
        ]
        names = dict.fromkeys(name for versions in each for name in versions)
        tables.append({name: ", ".join(dict.fromkeys(str(v[name]) for v in each if name in v)) for name in names})
    return _differences(*tables)


def data_differences(a: Side, b: Side) -> list[Difference]:
    """Splits whose examples differ, by seed: number of examples and first digits of the fingerprint."""
    pairs = paired_seeds(a, b)
    facts = [side.facts("data") for side in (a, b)]
    found: dict[str, Difference] = {}
    for of_a, of_b in pairs:
        for each in _differences(facts[0][of_a], facts[1][of_b]):
            found.setdefault(each.key, Difference(each.key, *(_fingerprint(side) for side in (each.a, each.b))))
    return list(found.values())


def paired_seeds(a: Side, b: Side) -> list[tuple[int, int]]:
    """The common seeds as pairs; if there is none, every seed of A with every seed of B."""
    common = [(seed, seed) for seed in a.runs if seed in b.runs]
    return common or [(of_a, of_b) for of_a in a.runs for of_b in b.runs]


def compare_sides(a: Side, b: Side, resamples: int, registry: Registry) -> list[Compared]:
    """Compare every figure that both sides have, over their common seeds, or over all seeds if none is common.

    Args:
        a: One side.
        b: The other side.
        resamples: Number of bootstrap resamples.
        registry: The components; the evaluators of A's recipe compute the metric of resampled examples.

    Raises:
        UsageError: They have no stage in common; lists the stages of each.
    """
    of_a, of_b = a.stages(), b.stages()
    rows: list[Compared] = []
    for place in (place for place in of_a if place in of_b):
        figure, other = of_a[place][0], of_b[place][0]
        if figure == other:
            rows += _compare((a, b), (place, place), figure, (of_a[place][1], of_b[place][1]), resamples, registry)
    if not rows:
        names = [
            ", ".join(f"{s} ({f.name})" for (s, level), (f, _) in each.items() if level is None)
            for each in (of_a, of_b)
        ]
        raise UsageError(f"no stage and metric in common: {a.path} has {names[0]}; {b.path} has {names[1]}")
    return rows


def compare_places(side: Side, a: Place, b: Place, resamples: int, registry: Registry) -> list[Compared]:
    """Compare every figure of two stages or levels of the same runs, seed by seed.

    Args:
        side: The runs.
        a: The place to compare with; both are among the places of ``side.stages()`` and have the same metric.
        b: The place whose difference to ``a`` is wanted; the rows have its name.
        resamples: Number of bootstrap resamples.
        registry: As for :func:`compare_sides`.
    """
    stages = side.stages()
    return _compare((side, side), (a, b), stages[b][0], (stages[a][1], stages[b][1]), resamples, registry)


def compare_baselines(a: Side, b: Side) -> list[Compared]:
    """Compare the baselines that both sides have, over the same seeds as :func:`compare_sides`, without intervals."""
    of_a, of_b = a.baselines(), b.baselines()
    rows: list[Compared] = []
    for name in (name for name in of_a if name in of_b and of_a[name][0] == of_b[name][0]):
        figure, sides = of_a[name][0], (of_a[name][1], of_b[name][1])
        seeds = _seeds(a, b)
        for kind, split in _splits(*(side[chosen[0]] for side, chosen in zip(sides, seeds, strict=True))):
            left, right = (
                _mean({seed: _value(side[seed], kind, split) for seed in chosen})
                for side, chosen in zip(sides, seeds, strict=True)
            )
            row = (name, None, kind, split or a.id_split, figure.name, figure.unit, figure.better)
            rows.append(Compared(*row, left, right, right - left, None, None, None, None))
    return rows


def _seeds(a: Side, b: Side) -> list[list[int]]:
    """The seeds of A and those of B that are compared."""
    return [list(dict.fromkeys(column)) for column in zip(*paired_seeds(a, b), strict=True)]


def _splits(a: Figures, b: Figures) -> list[tuple[str, str]]:
    """The kind and the split of each figure that both have; the split of the ID figure is empty."""
    splits = [] if None in (a.id, b.id) else [("id", "")]
    return splits + [(k, split) for k in ("also", "ood") for split in getattr(a, k) if split in getattr(b, k)]


def _compare(
    sides: tuple[Side, Side],
    places: tuple[Place, Place],
    figure: Figure,
    of: tuple[Mapping[int, Figures], Mapping[int, Figures]],
    resamples: int,
    registry: Registry,
) -> list[Compared]:
    a, b = sides
    of_a, of_b = of
    seeds = _seeds(a, b)
    common = set(a.runs) & set(b.runs)
    rows: list[Compared] = []
    for kind, split in _splits(of_a[seeds[0][0]], of_b[seeds[1][0]]):
        values = [
            {seed: _value(figures[seed], kind, split) for seed in chosen}
            for figures, chosen in zip(of, seeds, strict=True)
        ]
        names = [split or side.id_split for side in sides]
        interval, examples, note = None, None, None
        try:
            if names[0] != names[1]:
                raise DataError(f"ID is {names[0]} in A and {names[1]} in B")
            if names[0] == MODEL:
                raise DataError(f"{figure.name} is a figure of the model, not of examples")
            metric = metric_of(a.first.settings.evaluators, figure.name, registry)
            samples = _samples(sides, places, names[0], metric, values)
            interval, examples = over_examples(metric, samples, resamples), sum(each.size for each in samples)
        except (DataError, PluginError) as error:
            note = str(error)
        over = None
        if len(common) > 1:
            over = over_seeds([values[1][seed] - values[0][seed] for seed in seeds[0]], resamples)
        ends = (_mean(values[0]), _mean(values[1]))
        row = (*places[1], kind, names[0], figure.name, figure.unit, figure.better, *ends, ends[1] - ends[0])
        collapsed = [
            side
            for side, figures, chosen, name in zip("ab", of, seeds, names, strict=True)
            if any(name in figures[seed].collapsed for seed in chosen)
        ]
        rows.append(Compared(*row, interval, examples, over, note, collapsed))
    return rows


def _samples(
    sides: tuple[Side, Side],
    places: tuple[Place, Place],
    split: str,
    metric: Metric,
    values: Sequence[Mapping[int, float]],
) -> list[Sample]:
    """The predictions, grouped by the set of examples.

    Raises:
        DataError: No interval can be computed; says why.
    """
    a, b = sides
    data = [side.facts("data") for side in sides]
    sets: dict[bytes, tuple[dict[int, Predictions], dict[int, Predictions]]] = {}
    for pair in paired_seeds(a, b):
        read = [
            _predictions(side.predictions_file(seed, place, split), split, metric, value[seed])
            for side, place, seed, value in zip(sides, places, pair, values, strict=True)
        ]
        prints = [each[seed].get(split, {}).get("sha256") for each, seed in zip(data, pair, strict=True)]
        if not _have_same_examples(*read) or (None not in prints and prints[0] != prints[1]):
            which = f"of seed {pair[0]} " if pair[0] == pair[1] else ""
            raise DataError(f"the examples {which}are not the same in A and B")
        key = read[0].gold.tobytes() + str(prints[0]).encode()
        of_a, of_b = sets.setdefault(key, ({}, {}))
        of_a[pair[0]], of_b[pair[1]] = read
    if len(sets) > 1 and not set(a.runs) & set(b.runs):
        raise DataError("the examples are not the same in all runs, and there is no common seed to pair them by")
    return [Sample([*of_a.values()], [*of_b.values()]) for of_a, of_b in sets.values()]


def _have_same_examples(a: Predictions, b: Predictions) -> bool:
    same = np.array_equal(a.gold, b.gold) and a.columns.keys() == b.columns.keys()
    return same and all(np.array_equal(each, b.columns[name]) for name, each in a.columns.items())


def _predictions(path: Path, split: str, metric: Metric, figure: float) -> Predictions:
    """The predictions of a run, with what the metric needs of columns and p_b; checked against the reported figure."""
    found = predictions_file.read(path, split)
    columns = metric.evaluator.columns()
    if missing := [name for name in columns if name not in found.columns]:
        raise DataError(f"{path}: expected a column {missing[0]}, got {', '.join(found.columns) or 'none'}")
    if metric.needs_bias and found.bias_probs is None:
        raise DataError(f"{path}: expected p_b (bias), got none")
    bias = found.bias_probs if metric.needs_bias else None
    found = replace(found, columns={name: found.columns[name] for name in columns}, bias_probs=bias)
    if abs((got := point_estimate(metric, found)) - figure) > _NEAR * max(1.0, abs(figure)):
        raise DataError(f"{path}: the predictions give {metric.name} {got:.6f}, the run's files say {figure:.6f}")
    return found


def _mean(values: Mapping[int, float]) -> float:
    return math.fsum(values.values()) / len(values)


def _value(figures: Figures, kind: str, split: str) -> float:
    value = getattr(figures, kind)[split] if split else figures.id
    assert value is not None, "the caller leaves these out"
    return float(value)


def _differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[Difference]:
    keys = dict.fromkeys([*a, *b])
    return [Difference(k, a.get(k), b.get(k)) for k in keys if comparable(a.get(k)) != comparable(b.get(k))]


def _fingerprint(split: Mapping[str, Any] | None) -> str | None:
    return None if split is None else f"{split.get('examples')} examples, {str(split.get('sha256'))[:12]}…"
