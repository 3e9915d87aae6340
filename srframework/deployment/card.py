"""The model card: README.md of an exported model, with the recipe, figures, data, sparsity and limits."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from srframework.contracts import SPARSITY
from srframework.deployment.saved_stage import SavedStage
from srframework.files import read_text
from srframework.report.result_rows import Row, Statistic, summarise
from srframework.report.runs import find_runs
from srframework.run import state
from srframework.subnetwork.base import configuration, model_class
from srframework.units import number, suffix

_HEAD = """---
library_name: transformers
pipeline_tag: text-classification
tags: [srframework, pruning, sparsity]
---

# {recipe}: {stage}

A sequence classifier with the labels {labels}, written by srframework. {kind}

```python
from transformers import AutoModelForSequenceClassification, AutoTokenizer

model = AutoModelForSequenceClassification.from_pretrained("PATH")
tokenizer = AutoTokenizer.from_pretrained("PATH")
```
"""

_PRUNED = "Pruned weights are zeros in ordinary dense tensors."
_DENSE = "No weight is pruned."

_LIMITS = (
    "The figures hold for the data below. They say nothing about other data, languages or lengths of text.",
    "The checkpoint was chosen by ID development data only, unless the recipe says otherwise.",
    "The zeros are in dense tensors: the files are not smaller and the model is not faster than a dense one.",
    "A better OOD figure means that one bias counts less, not that the model has no bias.",
)


def model_card(stage: SavedStage, row: Row | None) -> str:
    """Return the text of the model card.

    Args:
        stage: The stage or point.
        row: Its figures over the seeds of the runs that differ only in the seed; None: there are none.

    Raises:
        SRFrameworkError: A file of the run is missing or damaged.
    """
    labels = stage.config().get("id2label", {})
    has_mask = len(stage.mask()) > 0
    head = _HEAD.format(
        recipe=stage.recipe_table["name"],
        stage=stage.reference,
        labels=", ".join(str(each) for each in labels.values()),
        kind=_PRUNED if has_mask else _DENSE,
    )
    facts = state.read(stage.run)
    parts = [
        head,
        "## Figures\n\n" + (_figures(row, int(stage.recipe_table["seed"])) if row is not None else "None."),
        "## Sparsity\n\n" + _sparsity(stage, row),
        "## Data\n\n" + _data(facts),
        "## Limits\n\n" + "\n".join(f"- {each}" for each in _limits(row, facts)),
        f"## Recipe\n\nSeed {stage.recipe_table['seed']}, stage `{stage.reference}`.\n\n```toml\n"
        + read_text(stage.run / "recipe.toml").strip()
        + "\n```",
        "## Versions\n\n" + _versions(facts),
    ]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def rows_of(stages: Sequence[SavedStage]) -> dict[SavedStage, Row]:
    """Return the figures of each stage over the seeds of all these runs that have the same settings."""
    found = find_runs(sorted({os.fspath(stage.run) for stage in stages}), levels=True).runs
    _, rows = summarise(found, levels=True)
    where = {(run.path, row.name): row for row in rows for run in row.runs}
    named = {stage: (os.fspath(stage.run), str(stage.reference)) for stage in stages}
    return {stage: where[key] for stage, key in named.items() if key in where}


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _figures(row: Row, seed: int) -> str:
    seeds, unit = row.seeds, row.metric.unit
    over = f"{len(seeds)} seeds ({', '.join(map(str, seeds))}), mean ± standard deviation"
    head = [f"{row.metric.name}{suffix(unit)}", f"this model (seed {seed})", *([over] if len(seeds) > 1 else [])]
    kinds = [("ID", "id", ""), *((f"also: {each}", "also", each) for each in row.splits("also"))]
    kinds += [(f"OOD: {each}", "ood", each) for each in row.splits("ood")]
    lines = []
    for label, kind, split in kinds:
        value = getattr(row.figures[seed], kind)
        value = value.get(split) if split else value
        statistic = row.statistic(kind, split)
        spread = [_spread(statistic, unit)] if len(seeds) > 1 else []
        lines.append([label, "–" if value is None else number(value, unit), *spread])
    note = "" if len(seeds) > 1 else "\n\nOne seed: the spread over seeds is not known."
    return _table(head, lines) + note


def _spread(statistic: Statistic | None, unit: str) -> str:
    if statistic is None:
        return "–"
    mean = number(statistic.mean, unit)
    return mean if statistic.sd is None else f"{mean} ± {number(statistic.sd, unit)}"


def _sparsity(stage: SavedStage, row: Row | None) -> str:
    weights, mask = stage.saved.weights(), stage.mask()
    with torch.device("meta"):
        outline = model_class(config := configuration(stage.config(), str(stage.place)))(config)
    linear = [f"{name}.weight" for name, each in outline.named_modules() if isinstance(each, nn.Linear)]
    counted = {
        "entries of the matrices that have a mask": [f"{name}.weight" for name in mask],
        "entries of the matrices of all linear layers": linear,
        "all weights, with embeddings, biases and norms": list(weights),
    }
    lines = []
    for name, tensors in counted.items():
        chosen = [weights[each] for each in tensors if each in weights]
        zeros, entries = sum(int((each == 0).sum()) for each in chosen), sum(each.numel() for each in chosen)
        lines.append([name, f"{zeros:,}", f"{entries:,}", f"{100 * zeros / entries:.2f} %" if entries else "–"])
    text = _table(["denominator", "zeros", "entries", "sparsity"], lines)
    measured = None if row is None else row.figures[int(stage.recipe_table["seed"])].sparsity
    if measured is None:
        return text
    return f"{text}\n\nTables of srframework show {100 * measured:.2f} %: {SPARSITY}."


def _data(facts: Mapping[str, Any]) -> str:
    splits = facts.get("data", {})
    lines = [[name, f"{each['examples']:,}", f"`{each['sha256'][:12]}`"] for name, each in splits.items()]
    return _table(["split", "examples", "SHA-256 of the rows"], lines)


def _limits(row: Row | None, facts: Mapping[str, Any]) -> list[str]:
    collapsed = row.collapsed() if row is not None else {}
    found = [
        f"The model predicts one label for almost every example of {split} (seeds {', '.join(map(str, seeds))})."
        for split, seeds in collapsed.items()
    ]
    return [*found, *_LIMITS, *(str(note) for note in facts.get("notes", []))]


def _versions(facts: Mapping[str, Any]) -> str:
    versions = facts.get("versions", {})
    return _table(["package", "version"], [[str(name), str(each)] for name, each in versions.items()])
