"""How long a run takes before its first step, a rerun, and tokenization, as ratios measured in the same minutes.

Run by hand, on an idle machine::

    .venv/bin/python benchmarks/startup_speed.py [--baseline DIRECTORY] [--repeats N]

``--baseline`` is another checkout, whose times are measured in turn with those of this one. Each time is the wall time
of a process of its own with one thread; the median counts.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from measuring import alone
from rich.console import Console
from rich.table import Table

HERE = Path(__file__).resolve().parent.parent

_PAIRS, _SAMPLE = 30_000, 1_000

_FIRST_STEP = """
import importlib.machinery, os, sys
from srframework.cli import main
class Watch:
    # The loop is imported late, as in a run, so that the order of the imports stays.
    def find_spec(self, name, path, target=None):
        if name != "srframework.training.loop":
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        execute = spec.loader.exec_module
        def patched(module):
            execute(module)
            step = module.Training._step
            def first(training, *given):
                step(training, *given)
                if training.checkpoints is not None:
                    os._exit(0)
            module.Training._step = first
        spec.loader.exec_module = patched
        return spec
sys.meta_path.insert(0, Watch())
sys.argv[0] = "srframework"
main()
"""

_TOKENS = """
import os, sys, time
import datasets
from srf_backbones.tiny import tokenizer_of_tiny
from srf_datasets.synthetic import Synthetic
from srf_datasets.synthetic_options import SyntheticOptions
from srframework.run.fingerprint import split_fingerprint, tokenizer_fingerprint
from srframework.run.tokens import tokens_of
datasets.disable_progress_bars()
split, tokenizer = Synthetic(SyntheticOptions(train_size=PAIRS)).load(1).train, tokenizer_of_tiny()
if sys.argv[1] == "slow":
    rows = split.examples.select(range(SAMPLE))[:]
    start = time.perf_counter()
    for pair in zip(rows["text_a"], rows["text_b"]):
        tokenizer(*pair, truncation=True, max_length=128)
    print((time.perf_counter() - start) * PAIRS / SAMPLE)
else:
    start = time.perf_counter()
    rows = split_fingerprint(split)
    tokens_of(split, rows, tokenizer, tokenizer_fingerprint(tokenizer), 128).examples["length"][:]
    print(time.perf_counter() - start)
""".replace("PAIRS", str(_PAIRS)).replace("SAMPLE", str(_SAMPLE))


def main() -> None:
    """Measure, and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--baseline", type=Path, help="another checkout to compare with")
    parser.add_argument("--repeats", type=int, default=5, help="measurements of each row; the median counts")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place, alone("start-up"):
        rows = _rows(Path(place), arguments.baseline)
        times: dict[str, list[float]] = {name: [] for name in rows}
        for repeat in range(arguments.repeats + 1):  # the first warms up the caches
            for name, measure in rows.items():
                seconds = measure()
                if repeat:
                    times[name].append(seconds)
    found = {name: statistics.median(each) for name, each in times.items()}
    table = Table("what", "seconds", "ratio", "to")
    for name, seconds in found.items():
        to = _baseline_of(name, found)
        table.add_row(name, f"{seconds:.2f}", f"{seconds / found[to]:.2f}" if to else "", to)
    Console().print(table)


def _rows(place: Path, baseline: Path | None) -> dict[str, Callable[[], float]]:
    def timed(code: str, root: Path, *args: str, fresh: bool = True) -> Callable[[], float]:
        def measure() -> float:
            with tempfile.TemporaryDirectory(dir=place) as empty:
                cwd = empty if fresh else str(place)
                start = time.perf_counter()
                _python(code, root, cwd, empty, *args)
                return time.perf_counter() - start

        return measure

    def tokens(which: str, cache: str) -> Callable[[], float]:
        def measure() -> float:
            with tempfile.TemporaryDirectory(dir=place) as empty:
                return float(_python(_TOKENS, HERE, empty, cache or empty, which))

        return measure

    command = "import sys; sys.argv[0] = 'srframework'; from srframework.cli import main; main()"
    run = ("run", "quickstart", "--set", "training.max_steps=50")
    checkouts = {"": HERE} | ({", baseline": baseline.resolve()} if baseline is not None else {})
    rows: dict[str, Callable[[], float]] = {"import torch": timed("import torch", HERE)}
    for name, root in checkouts.items():
        rows[f"first step of the quickstart{name}"] = timed(_FIRST_STEP, root, "run", "quickstart")
    for name, root in checkouts.items():
        finished = (*run, "--out", str(place / f"run{name}"), "--store", str(place / f"store{name}"))
        _python(command, root, str(place), str(place), *finished)
        rows[f"rerun, all in the store{name}"] = timed(command, root, *finished, fresh=False)
    cache = str(place / "tokens")
    tokens("ours", cache)()
    rows[f"tokenize {_PAIRS:,} pairs, one call each (scaled from {_SAMPLE:,})"] = tokens("slow", "")
    rows[f"tokenize {_PAIRS:,} pairs, ours"] = tokens("ours", "")
    rows[f"tokenize {_PAIRS:,} pairs, ours, second run"] = tokens("ours", cache)
    return rows


def _baseline_of(name: str, rows: dict[str, float]) -> str:
    if f"{name}, baseline" in rows:
        return f"{name}, baseline"
    if name.startswith("tokenize") and "one call" not in name:
        return next(each for each in rows if "one call" in each)
    return "import torch" if name.startswith("first step") else ""


def _python(code: str, root: Path, cwd: str, cache: str, *args: str) -> str:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_DATASETS_CACHE": cache}
    environment["PYTHONPATH"] = os.pathsep.join([str(root), str(root / "plugins")])
    done = subprocess.run(
        [sys.executable, "-c", code, *args],
        cwd=cwd,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(args)} ended with {done.returncode}:\n{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    main()
