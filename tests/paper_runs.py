"""Run directories of the recipes under paper/, with figures that are made up: functions of sparsity and seed."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from srframework.recipe.sweep import load_cells
from srframework.registry.discovery import discover
from srframework.registry.registry import Registry
from srframework.run.results import FIGURES

DATA = (
    "data/MNLI/train.tsv",
    "data/MNLI/dev_matched.tsv",
    "data/MNLI/hans/heuristics_evaluation_set.txt",
    "data/MNLI/hans/heuristics_train_set.txt",
)
OOD = {"nli": ["hans"], "paraphrase": ["paws-qqp", "paws-wiki"], "fact-verification": ["sym1", "sym2"]}
LEVELS = [round(0.1 * k, 1) for k in range(1, 10)]


def write(
    root: Path, recipes: Sequence[str], seeds: Sequence[int] = (1, 2), variants: Sequence[str] = ("nli",)
) -> None:
    """Write a finished run for every cell of the sweeps of some recipes; relative to the current directory."""
    registry = Registry(discover())
    for name in DATA:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(name, encoding="utf-8")
    for recipe in recipes:
        for number, cell in enumerate(load_cells(recipe, registry)):
            if cell.recipe.seed in seeds and cell.values.get("variant", "nli") in variants:
                _write(root / recipe.replace("/", "-") / str(number), cell.recipe.table())


def value(stage: str, split: str, sparsity: float, seed: int) -> float:
    """The figure of a stage: worse if sparser, better with poe on OOD, 1 point better for each seed."""
    robust = 0.1 if "poe" in stage or "gradual" in stage else 0.0
    base = 0.84 - 0.1 * sparsity**3 if split == "dev" else 0.55 + robust - 0.05 * sparsity
    return round(base + 0.01 * seed + 0.001 * (len(stage) % 7), 6)


def _write(place: Path, table: dict[str, Any]) -> None:
    splits = ["dev", *OOD[table["dataset"]["use"].rpartition("/")[2]]]
    seed = table["seed"]
    stages = []
    by_name = {stage["name"]: stage for stage in table["stages"]}

    def sparsity(stage: dict[str, Any]) -> float:
        if "pruner" in stage:
            return float(stage["pruner"]["sparsity"])
        of, at, level = stage.get("mask", "").partition("@")
        return float(level) if at else sparsity(by_name[of]) if of else 0.0

    def figures(name: str, share: float) -> dict[str, Any]:
        values = {split: value(name, split, share, seed) for split in splits}
        return {"sparsity": share, "id": values.pop("dev"), "ood": values, "also": {}}

    for stage in table["stages"]:
        own = {"name": stage["name"], "op": stage["op"], "metric": "accuracy", "unit": "fraction", "better": "higher"}
        own |= figures(stage["name"], sparsity(stage))
        if stage.get("pruner", {}).get("use", "").rpartition("/")[2].startswith("imp"):
            own["levels"] = [{"level": level, **figures(stage["name"], level)} for level in LEVELS]
        stages.append(own)
        directory = place / "stages" / stage["name"]
        directory.mkdir(parents=True)
        log = []
        for step in range(1000, 6000, 1000):
            log.append({"step": step, "loss": 1000 / step})
            values = {split: value(stage["name"], split, 0.5, seed) * (1 - 300 / step) for split in splits}
            log.append({"step": step, "accuracy": values if stage["eval_ood"] else {"dev": values["dev"]}})
        (directory / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in log))
        (directory / FIGURES).write_text(json.dumps({"final": figures(stage["name"], own["sparsity"]), "points": {}}))
    head = {"run": os.fspath(place), "recipe": table["name"], "seed": seed, "id_split": "dev"}
    (place / "summary.json").write_text(json.dumps({**head, "stages": stages, "settings": table}, indent=2))
    declared = [{"name": "accuracy", "unit": "fraction", "better": "higher", "description": "A figure."}]
    (place / "run.json").write_text(json.dumps({"state": "finished", "versions": {}, "figures": declared}))
