"""How fast `srframework results` tabulates very many runs, as a ratio to reading their files plainly.

Run by hand, on an idle machine with room for 1 GB in a temporary directory and in memory::

    .venv/bin/python benchmarks/results_table.py [--runs N] [--seeds N] [--repeats N] [--directory DIRECTORY]

The runs are made up: the quickstart's results over a sweep of srnet's sparsity, N seeds each. The time is that of
the command as a user starts it, the interpreter's start included. The baseline, in the same process:
json.loads of the same files in a loop, once they are found. Both find the files in memory already.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from srframework.recipe.check import load_recipe
from srframework.registry.discovery import discover
from srframework.registry.registry import Registry


def main() -> None:
    """Make the runs up, measure, and print the times."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--seeds", type=int, default=500, help="of each setting")
    parser.add_argument("--repeats", type=int, default=3, help="measurements; the fastest counts")
    parser.add_argument("--directory", help="where to make the runs up; default: the system's temporary directory")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.directory) as place:
        size = make_up(Path(place), arguments.runs, arguments.seeds)
        print(
            f"{arguments.runs:,} runs, {size / 1e3:.1f} kB each; load {os.getloadavg()[0]:.1f}, {os.cpu_count()} CPUs"
        )
        script = str(Path(sys.executable).parent / "srframework")
        command = [script, "results", place]
        times = {"srframework results": [], "json.loads in a loop": []}  # type: dict[str, list[float]]
        for _ in range(arguments.repeats):
            start = time.perf_counter()
            out = subprocess.run(command, check=True, capture_output=True, encoding="utf-8").stdout
            times["srframework results"].append(time.perf_counter() - start)
            files = list(Path(place).glob("*/*/summary.json"))
            start = time.perf_counter()
            for file in files:
                json.loads(file.read_bytes())
            times["json.loads in a loop"].append(time.perf_counter() - start)
    print(f"{len(out.splitlines())} lines")
    ours, baseline = (min(each) for each in times.values())
    for name, each in times.items():
        print(f"{name}: {min(each):.2f} s ({', '.join(f'{value:.2f}' for value in each)})")
    print(f"ratio: {ours / baseline:.2f}")


def make_up(place: Path, runs: int, seeds: int) -> int:
    """Write the runs, a folder for each thousand; give the size of a summary.json in bytes."""
    generator = random.Random(1)
    recipe = load_recipe("quickstart", Registry(discover())).table()
    size = 0
    for number in range(runs):
        sparsity, seed = round((number // seeds + 1) / 1000, 3), number % seeds
        next(stage for stage in recipe["stages"] if stage["name"] == "srnet")["pruner"]["sparsity"] = sparsity
        directory = place / f"sweep-{number // 1000}" / f"sparsity={sparsity},seed={seed}"
        directory.mkdir(parents=True)
        rows = list(stages(recipe, generator))
        report = {"run": str(directory), "recipe": recipe["name"], "seed": seed, "stages": rows}
        text = json.dumps(report | {"settings": recipe | {"seed": seed}}, indent=2) + "\n"
        (directory / "summary.json").write_text(text)
        size = len(text)
    return size


def stages(recipe: dict[str, Any], generator: random.Random) -> Iterator[dict[str, Any]]:
    """The rows of one run."""
    for stage in recipe["stages"]:
        sparsity = stage.get("pruner", {}).get("sparsity", 0.0)
        row = {"name": stage["name"], "op": stage["op"], "metric": "accuracy"} | figures(sparsity, generator)
        if stage["name"] == "imp":
            levels = [round(0.1 * n, 1) for n in range(1, 8)]
            row["levels"] = [{"level": level} | figures(level, generator) for level in levels]
        yield row


def figures(sparsity: float, generator: random.Random) -> dict[str, Any]:
    """Those of one model."""
    dev, ood = round(generator.random(), 3), round(generator.random(), 3)
    return {"sparsity": sparsity, "id": dev, "ood": {"reversed": ood}, "also": {}}


if __name__ == "__main__":
    main()
