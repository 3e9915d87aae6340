"""Kill a run with SIGKILL again and again, resume it each time, and compare what it leaves with an uninterrupted run.

By hand: `make torture`. Exit code 0 only if every run left the same bits and nothing else, and no kill cost more steps
than lie between two checkpoints.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import importlib
import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ |= {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}  # before torch is there

from attempt import BROKEN, KINDS, Attempt, Kill, Wrong, attempt
from leavings import Leavings, differences, leavings, remains
from moments import Shared

CHECKPOINT_STEPS = 2
"""Of the recipe: how many steps a kill may cost."""

SCENARIOS: dict[str, list[str] | None] = {
    "empty store": None,
    # An entry is replaced by one that has a point more; the stages that do not need it are there.
    "entry without the point": ["--set", "stages.masked.weights=full"],
}
"""What the store holds before: nothing, or what a run with these arguments leaves."""


@dataclass(frozen=True)
class Whole:
    """An uninterrupted run, from one of the scenarios.

    Attributes:
        store: What its store held before; None for nothing.
        attempt: Its one process.
        left: What it left.
    """

    store: Path | None
    attempt: Attempt
    left: Leavings


@dataclass
class Told:
    """What was measured.

    Attributes:
        kills: By kind.
        moments: What exactly the killed processes were about to do.
        runs: By scenario.
        resumes: Starts after a kill; ``went_on`` of them from a checkpoint.
        redone: Optimizer steps that were taken again.
        wrong: What is not as it should be.
    """

    kills: Counter[str] = field(default_factory=Counter)
    moments: Counter[str] = field(default_factory=Counter)
    runs: Counter[str] = field(default_factory=Counter)
    resumes: int = 0
    went_on: int = 0
    redone: int = 0
    wrong: list[str] = field(default_factory=list)


class Torture:
    """Runs and kills.

    Args:
        home: An empty directory.
        seed: Of the kills.
        broken: Which part of the resume to break, of :data:`attempt.BROKEN`; None for none.
    """

    def __init__(self, home: Path, seed: int, broken: str | None = None) -> None:
        self._home, self._random, self._broken = home, random.Random(seed), broken
        self._shared, self.told, self._due = Shared(), Told(), list[str]()
        stores = {name: self._before(name) for name in SCENARIOS}
        self._whole = {name: self._uninterrupted(name, store) for name, store in stores.items()}

    def _before(self, scenario: str) -> Path | None:
        """The store of a scenario, as its runs find it."""
        if (arguments := SCENARIOS[scenario]) is None:
            return None
        place = self._home / f"before-{scenario}".replace(" ", "-")
        _begin(place, None)
        attempt(place, arguments, self._shared, None, None)
        _warm(place)
        return place / "store"

    def _uninterrupted(self, scenario: str, store: Path | None) -> Whole:
        place = self._home / f"whole-{scenario}".replace(" ", "-")
        _begin(place, store)
        whole = attempt(place, [], self._shared, None, None)
        left = leavings(place)
        if wrong := list(remains(left)):
            raise Wrong(f"uninterrupted, {scenario}: {wrong[0]}")
        passed = ", ".join(f"{kind} {count}" for kind, count in whole.counts.items())
        print(f"uninterrupted, {scenario}: {whole.steps} steps, {whole.seconds:.1f} s; moments: {passed}", flush=True)
        return Whole(store, whole, left)

    def torture(self, kills: int) -> None:
        """Run until so many kills have hit, and the last run is at its end."""
        while self.told.kills.total() < kills:
            scenario = list(SCENARIOS)[self.told.runs.total() % len(SCENARIOS)]
            place = self._home / f"run-{self.told.runs.total() + 1}"
            try:
                wrong = self._run(scenario, place, kills)
            except Wrong as error:
                wrong = [str(error)]
            self.told.runs[scenario] += 1
            if wrong:
                self.told.wrong += [f"{place}: {each}" for each in wrong]
                print("\n".join(["DIFFERS", *wrong[:20]]), flush=True)
            else:
                shutil.rmtree(place)

    def _run(self, scenario: str, place: Path, kills: int) -> list[str]:
        """One run, killed until it ends by itself; what is wrong with it."""
        whole, told, done = self._whole[scenario], self.told, list[str]()
        _begin(place, whole.store)
        steps = 0
        while True:
            kill = self._kill(whole.attempt) if told.kills.total() < kills else None
            ran = attempt(place, [], self._shared, kill, self._broken)
            steps += ran.steps
            told.resumes += bool(done)
            told.went_on += bool(done) and ran.goes_on
            if not ran.killed:
                break
            assert kill is not None, "it is not killed without"
            self._due.remove(kill[0])
            told.kills[kill[0]] += 1
            what = ran.killed.replace(str(place), ".")
            told.moments[f"{kill[0]}: {what.split(' /')[0].split(' ./')[0]}"] += 1
            done.append(what)
            print(f"kill {told.kills.total()}/{kills} of {place.name}, {kill[0]}: {what}", flush=True)
        left = leavings(place)
        redone = steps - whole.attempt.steps
        told.redone += redone
        wrong = differences(whole.left, left)
        if not 0 <= redone <= CHECKPOINT_STEPS * len(done):
            wrong.append(f"expected at most {CHECKPOINT_STEPS} steps again for each of {len(done)} kills, got {redone}")
        print(f"{place.name}, {scenario}: {len(done)} kills, {redone} steps again, {len(wrong)} wrong", flush=True)
        return [*wrong, "after kills: " + "; ".join(done)] if wrong else []

    def _kill(self, whole: Attempt) -> Kill:
        """The next one: each kind in turn, in random order, at any of its moments, half of the time at an early one."""
        if not self._due:
            self._due = self._random.sample(KINDS, len(KINDS))
        kind = self._due[0]
        share = self._random.random()
        if kind == "time":
            return kind, share * whole.seconds
        count = max(whole.counts[kind], 1)
        if self._random.random() < 0.5:
            return kind, 1 + int(share * count)
        return kind, max(1, int(count**share))


def _begin(place: Path, store: Path | None) -> None:
    place.mkdir()
    if store is not None:
        shutil.copytree(store, place / "store")


def _warm(place: Path) -> None:
    """Import what the run in ``place`` imported, and load one of its models, so that no other process has to begin
    with it; nor look at it all whenever it collects garbage."""
    for name in (place / "modules").read_text(encoding="utf-8").split():
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    import transformers

    transformers.utils.logging.disable_progress_bar()
    model = transformers.BertForSequenceClassification.from_pretrained(place / "run" / "stages" / "full" / "model")
    model.save_pretrained(place / "again")
    gc.collect()
    gc.freeze()


def _table(told: Told, seconds: float) -> str:
    lines = [f"{'kills':<16}{told.kills.total():>6}  in {seconds:.0f} s"]
    lines += [f"  {kind:<14}{told.kills[kind]:>6}" for kind in KINDS]
    lines += [f"{'runs':<16}{told.runs.total():>6}"]
    lines += [f"  {scenario}: {count}" for scenario, count in told.runs.items()]
    lines += [f"{'resumes':<16}{told.resumes:>6}", f"  from a checkpoint: {told.went_on}"]
    lines += [f"{'steps again':<16}{told.redone:>6}  {told.redone / max(told.resumes, 1):.2f} a resume"]
    lines += ["all equal" if not told.wrong else "NOT EQUAL:\n" + "\n".join(told.wrong[:50])]
    return "\n".join(lines)


def main() -> int:
    """Do what the command line says; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20, help="how many are to hit")
    parser.add_argument("--seed", type=int, default=1, help="of the kills")
    parser.add_argument("--json", type=Path, help="write what was measured there too")
    parser.add_argument("--broken", choices=sorted(BROKEN), help="break that part of the resume, which is to be noticed")
    options = parser.parse_args()
    started = time.monotonic()
    home = Path(tempfile.mkdtemp(prefix="torture-")).resolve()
    torture = Torture(home, options.seed, options.broken)
    torture.torture(options.kills)
    told, seconds = torture.told, time.monotonic() - started
    if not told.went_on and told.resumes >= len(KINDS):
        told.wrong.append(f"expected some of {told.resumes} resumes to go on from a checkpoint, got none")
    print(_table(told, seconds))
    if options.json is not None:
        facts: dict[str, Any] = {**vars(told), "seconds": seconds}
        options.json.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    if told.wrong:
        print(f"kept: {home}", file=sys.stderr)
        return 1
    shutil.rmtree(home)
    return 0


if __name__ == "__main__":
    sys.exit(main())
