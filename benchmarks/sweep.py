"""What a sweep costs beside its stages, and whether several processes compute what one does.

Run by hand, on an idle machine; an hour or so, or with ``--steps 20`` some minutes::

    .venv/bin/python benchmarks/sweep.py [--steps N] [--jobs N] [--directory DIRECTORY]

The sweep is of the quickstart: 3 seeds × 4 sparsities of srnet × 2 losses of it, by the command as a user starts it,
into a store of its own. The baseline is the sum of what its stages took by themselves, as the manifests in the store
say it: what the sweep would take if starting, reading the data and writing the runs were free. With ``--jobs N``
the sweep is also done by N processes of one thread each, and by one process of one thread; what comes out
is compared byte for byte.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

GRIDS = ("seed=1,2,3", "stages.srnet.pruner.sparsity=0.2,0.5,0.7,0.9", "stages.srnet.loss=std,poe")


@dataclass(frozen=True)
class Sweep:
    """The sweep, in a directory of its own with a store of its own.

    Attributes:
        place: That directory.
        steps: Of each stage; None for the quickstart's own.
        options: More of the command.
    """

    place: Path
    steps: int | None
    options: tuple[str, ...] = ()

    def run(self) -> float:
        """Do it, or go on with it; seconds of wall time, the interpreter's start included."""
        command = [str(Path(sys.executable).parent / "srframework"), "sweep", "quickstart", "--json", *self.options]
        command += [word for grid in GRIDS for word in ("--grid", grid)]
        if self.steps is not None:
            keys = ("training.max_steps", "stages.srnet.max_steps")
            command += [word for key in keys for word in ("--set", f"{key}={self.steps}")]
        command += ["--out", str(self.place / "sweep"), "--store", str(self.place / "store")]
        start = time.perf_counter()
        done = subprocess.run(command, check=False, capture_output=True, encoding="utf-8")
        seconds = time.perf_counter() - start
        if done.returncode:
            raise SystemExit(f"{' '.join(command)}: exit code {done.returncode}\n{done.stderr}")
        return seconds

    @cached_property
    def runs(self) -> list[Path]:
        """The finished ones."""
        return sorted(path.parent for path in self.place.glob("sweep/*/results.json"))

    @cached_property
    def manifests(self) -> list[dict[str, Any]]:
        """What the store says of each of its entries."""
        files = self.place.glob("store/entries/*/*/manifest.json")
        return [json.loads(file.read_text(encoding="utf-8")) for file in files]

    @cached_property
    def stages(self) -> list[dict[str, Any]]:
        """The manifests of those that were trained."""
        return [manifest for manifest in self.manifests if manifest["kind"] == "trained"]

    @cached_property
    def own_seconds(self) -> float:
        """The sum of what was trained and measured, each by itself."""
        return sum(float(manifest["seconds"]) for manifest in self.manifests)

    def outcome(self) -> dict[str, Any]:
        """The rows of each results.json, and each model, mask and file of predictions, by its path in the sweep."""
        found: dict[str, Any] = {}
        for run in self.runs:
            found[f"{run.name}/results.json"] = json.loads((run / "results.json").read_bytes())["stages"]
            for file in sorted(run.glob("stages/**/*")):
                kept = file.name == "mask.safetensors" or file.parent.name in ("model", "packed", "predictions")
                if kept and file.is_file():
                    found[file.relative_to(run.parent).as_posix()] = file.read_bytes()
        return found


def main() -> None:
    """Do the sweeps, and print what they took."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, help="of each stage, for a quick look; default: the quickstart's own")
    parser.add_argument("--jobs", type=int, help="compare so many processes with one, each of one thread")
    parser.add_argument("--directory", help="where to sweep; default: the system's temporary directory")
    arguments = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f}, {os.cpu_count()} CPUs", flush=True)
    with tempfile.TemporaryDirectory(dir=arguments.directory) as place:
        cost(Sweep(Path(place, "sweep"), arguments.steps))
        if arguments.jobs is not None:
            one = Sweep(Path(place, "one"), arguments.steps, ("--jobs", "1", "--threads", "1"))
            several = Sweep(Path(place, "several"), arguments.steps, ("--jobs", str(arguments.jobs), "--threads", "1"))
            if not compare(one, several, arguments.jobs):
                raise SystemExit(1)


def cost(sweep: Sweep) -> None:
    """Do the sweep, then ask for it again."""
    wall = sweep.run()
    by_kind = ", ".join(f"{count} {what}" for what, count in sorted(Counter(s["what"] for s in sweep.stages).items()))
    full = sum(stage["identity"]["pruner"] is None for stage in sweep.stages)
    print(f"{len(sweep.runs)} runs")
    print(f"{len(sweep.stages)} distinct stages computed, {full} of them full fine-tunings: {by_kind}")
    print(f"wall time: {wall:.1f} s")
    print(f"baseline, the sum of the stages' own time: {sweep.own_seconds:.1f} s")
    print(f"ratio: {wall / sweep.own_seconds:.3f}", flush=True)
    print(f"the same command again: {sweep.run():.1f} s", flush=True)


def compare(one: Sweep, several: Sweep, jobs: int) -> bool:
    """Do both, and say whether what came out is the same."""
    walls = [sweep.run() for sweep in (one, several)]
    print(f"1 process, 1 thread: {walls[0]:.1f} s; {jobs} processes, 1 thread each: {walls[1]:.1f} s", flush=True)
    print(f"ratio: {walls[1] / walls[0]:.3f}")
    a, b = one.outcome(), several.outcome()
    differing = [path for path in sorted(a.keys() | b.keys()) if path not in a or path not in b or a[path] != b[path]]
    print(f"compared byte for byte: {len(a)} results, models, masks and predictions; {len(differing)} differ")
    for path in differing[:10]:
        print(f"  {path}")
    return not differing


if __name__ == "__main__":
    main()
