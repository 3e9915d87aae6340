"""Kill a run with SIGKILL again and again, resume it each time, and compare what it leaves with an uninterrupted run.

After half of the kills a bit of what the run had written of an unfinished stage is flipped.

By hand: `make torture`. Exit code 0 only if every run left the same bits and nothing else, no entry of the store ever
held anything else, and no kill without a flip cost more steps than lie between two checkpoints.
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
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# Before torch is there; a process of one thread alone can be forked.
os.environ |= {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}

import flips
from attempt import BROKEN, KINDS, Attempt, Kill, Wrong, attempt
from leavings import Leavings, damage, differences, is_set_aside, leavings, remains
from moments import Shared

CHECKPOINT_STEPS = 2
"""Of the recipe: how many steps a kill may cost."""

_STEPS_BEFORE = 6
"""Of the first stage, until a checkpoint comes after the point that is kept in it."""

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
        runs: By scenario.
        resumes: Starts after a kill; ``went_on`` of them from a checkpoint.
        redone: Optimizer steps that were taken again.
        flips: Flipped bits, by what they hit; ``found`` of them were told of in the resume, the rest did no harm.
        noticed: Each of the broken resumes that was seen to be broken, and by what.
        wrong: What is not as it should be.
    """

    kills: Counter[str] = field(default_factory=Counter)
    runs: Counter[str] = field(default_factory=Counter)
    resumes: int = 0
    went_on: int = 0
    redone: int = 0
    flips: Counter[str] = field(default_factory=Counter)
    found: int = 0
    noticed: dict[str, str] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)


@dataclass
class Run:
    """One run, from its start to its end by itself.

    Attributes:
        kills: What each kill hit.
        flips: What each flip hit, of :data:`flips.KINDS`.
        found: How many of the resumes told of damage.
        went_on: How many of the resumes went on from a checkpoint.
        redone: Optimizer steps that were taken again.
        wrong: What is not as it should be; empty for nothing.
    """

    kills: list[str] = field(default_factory=list)
    flips: list[str] = field(default_factory=list)
    found: int = 0
    went_on: int = 0
    redone: int = 0
    wrong: list[str] = field(default_factory=list)


class Torture:
    """Runs and kills.

    Args:
        home: An empty directory.
        seed: Of the kills.
        kinds: Of the kills.
    """

    def __init__(self, home: Path, seed: int, kinds: Sequence[str] = KINDS) -> None:
        self._home, self._random, self._kinds = home, random.Random(seed), kinds
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

    def check_itself(self) -> None:
        """See to it that a resume that is broken is noticed."""
        scenario = list(SCENARIOS)[-1]
        last_but_one = self._whole[scenario].attempt.counts["training"] - 3
        for broken in BROKEN:
            # Where it is the checksums: after the point that is kept, and the checkpoint after that.
            at = 2 * _STEPS_BEFORE + 1 if broken == "sums" else last_but_one
            kills: list[Kill | None] = [("training", at), None]
            place = self._home / f"broken-{broken}"
            flip = "point" if broken == "sums" else None
            run = self._run(scenario, place, lambda _, kills=kills: kills.pop(0), broken, flip)
            if run.wrong:
                self.told.noticed[broken] = run.wrong[0]
                print(f"a resume without its {broken} is noticed: {run.wrong[0]}", flush=True)
                shutil.rmtree(place)
            else:
                self.told.wrong.append(f"{place}: expected a resume without its {broken} to be noticed, it was not")

    def torture(self, kills: int) -> None:
        """Run until so many kills have hit, and the last run is at its end."""
        told = self.told
        while told.kills.total() < kills:
            scenario = list(SCENARIOS)[told.runs.total() % len(SCENARIOS)]
            place, before = self._home / f"run-{told.runs.total() + 1}", told.kills.total()
            whole = self._whole[scenario].attempt

            def kill(hit: int, whole: Attempt = whole, before: int = before) -> Kill | None:
                return self._kill(whole, hit) if before + hit < kills else None

            run = self._run(scenario, place, kill, None, "any")
            told.runs[scenario] += 1
            told.resumes += len(run.kills)
            told.went_on += run.went_on
            told.redone += run.redone
            told.flips.update(run.flips)
            told.found += run.found
            state = "DIFFERS" if run.wrong else "equal"
            counts = f"{len(run.kills)} kills, {len(run.flips)} flips, {run.redone} steps again"
            print(f"{place.name}, {scenario}: {counts}, {state}", flush=True)
            if run.wrong:
                told.wrong += [f"{place}: {each}" for each in [*run.wrong, "after kills: " + "; ".join(run.kills)]]
                print("  " + "\n  ".join(run.wrong[:20]), flush=True)
                if not run.kills:
                    break  # it does not even run
            else:
                shutil.rmtree(place)

    def _run(
        self,
        scenario: str,
        place: Path,
        kill: Callable[[int], Kill | None],
        broken: str | None,
        flip: str | None = None,
    ) -> Run:
        """One run; ``kill`` is asked for the next kill, with how many there were.

        ``flip``: what to flip a bit of after each kill; "any" after half of them; None for nothing.
        """
        whole, run, steps = self._whole[scenario], Run(), 0
        _begin(place, whole.store)
        try:
            while True:
                wanted = kill(len(run.kills))
                ran = attempt(place, [], self._shared, wanted, broken)
                steps += ran.steps
                run.went_on += bool(run.kills) and ran.goes_on
                run.found += ran.tells_of_damage
                if not ran.killed:
                    break
                assert wanted is not None, "it is not killed without"
                what = f"{wanted[0]}: {ran.killed.replace(str(place), '.')}"
                run.kills.append(what)
                if broken is None:
                    self._hit(wanted[0], what)
                run.wrong += damage(place)  # nothing in the store is ever half of itself
                wants = flip is not None and (flip != "any" or self._random.random() < 0.5)
                if wants and (flipped := flips.flip(place, self._random, None if flip == "any" else flip)):
                    run.flips.append(flipped[0])
                    run.kills[-1] += f"; then {flipped[1]}"
                    print(f"flipped {flipped[1]}", flush=True)
        except Wrong as error:
            run.wrong.append(str(error))
            return run
        run.redone = steps - whole.attempt.steps
        left = {path: each for path, each in leavings(place).items() if not (run.flips and is_set_aside(path))}
        run.wrong += damage(place) + differences(whole.left, left)
        most = CHECKPOINT_STEPS * len(run.kills) + whole.attempt.steps * len(run.flips)
        if not 0 <= run.redone <= most:
            expected = f"at most {most} steps again for {len(run.kills)} kills and {len(run.flips)} flips"
            run.wrong.append(f"expected {expected}, got {run.redone}")
        return run

    def _hit(self, kind: str, what: str) -> None:
        if kind in self._due:
            self._due.remove(kind)
        self.told.kills[kind] += 1
        print(f"kill {self.told.kills.total()}, {what}", flush=True)

    def _kill(self, whole: Attempt, hit: int) -> Kill:
        """The next kill of a run that was killed ``hit`` times: each kind in turn, in random order; first at any of its
        moments, then rather at an early one, since not all of the run is left."""
        if not self._due:
            self._due = self._random.sample(self._kinds, len(self._kinds))
        kind, share = self._due[0], self._random.random()
        if kind == "time":
            return kind, 0.8 * whole.seconds * (share**2 if hit else share)
        count = max(whole.counts[kind], 1)
        return kind, max(1, int(count**share)) if hit else 1 + int(share * count)


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
    lines += [f"{'flipped bits':<16}{told.flips.total():>6}  {told.found} found"]
    lines += [f"  {kind:<14}{told.flips[kind]:>6}" for kind in flips.KINDS]
    lines += [f"broken resumes that were noticed: {', '.join(told.noticed) or 'none'}"]
    lines += ["all equal" if not told.wrong else "NOT EQUAL:\n" + "\n".join(told.wrong[:50])]
    return "\n".join(lines)


def main() -> int:
    """Do what the command line says; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20, help="how many are to hit")
    parser.add_argument("--seed", type=int, default=1, help="of the kills")
    parser.add_argument("--json", type=Path, help="write what was measured there too")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS, metavar="KIND", help=", ".join(KINDS))
    options = parser.parse_args()
    started = time.monotonic()
    home = Path(tempfile.mkdtemp(prefix="torture-")).resolve()
    try:
        torture = Torture(home, options.seed, options.kinds)
    except Wrong as error:
        print(error, file=sys.stderr)
        return 1
    torture.check_itself()
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
