"""How fast a step of mask training and an evaluation are, against the authors' arithmetic in plain PyTorch.

Run it by hand, on an idle machine, on Linux::

    .venv/bin/python benchmarks/step_speed.py ENCODER SICK HANS [--threads N] [--steps N] [--repeats N]

ENCODER is the directory of a BERT encoder (MiniLM), SICK that of ``SICK.txt``, HANS that of
``heuristics_evaluation_set.txt``. All rows of a table are measured in turn in one process, so that their ratios hold
on any machine: a ratio of 7 means that the plain code takes 7 times as long. With one thread the times are CPU times.
The command first checks that both compute the same scores, and refuses to report if other processes used the machine.
"""

from __future__ import annotations

import argparse
import itertools
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import datasets
import psutil
import torch
import transformers
from accelerate import Accelerator
from plain_reference import evaluated, masked, trained
from rich.console import Console
from rich.table import Table
from step_workloads import LONGEST, Workloads, bert_base, padded

from srf_debiasers.losses import Standard
from srf_debiasers.options import NoOptions
from srf_pruners.mask import MaskTraining
from srf_pruners.mask_options import MaskOptions
from srframework.contracts import Network, Pruner
from srframework.fixed_mask import FixedMask
from srframework.run.prediction import predict
from srframework.training.batches import Batches
from srframework.training.events import Events
from srframework.training.loop import Training
from srframework.training.options import TrainingOptions

_SPARSITY, _PHI, _RATE = 0.7, 0.01, 5e-4
_CHECKED_STEPS, _TOLERANCE, _WARMUP = 5, 0.02, 2
_MOST_OF_OTHERS = 0.1
"""CPU time of other processes, as a fraction of the time of the measurement, above which it means nothing."""

Contestant = Callable[[], list[float]]


def main() -> None:
    """Check, measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("encoder", help="directory of a BERT encoder")
    parser.add_argument("sick", type=Path, help="directory of SICK.txt")
    parser.add_argument("hans", type=Path, help="directory of heuristics_evaluation_set.txt")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--steps", type=int, default=12, help="optimizer steps of each measurement; the first 2 are left out"
    )
    parser.add_argument(
        "--repeats", type=int, default=3, help="measurements of each row; the median of all steps counts"
    )
    parser.add_argument("--pairs", type=int, default=6000, help="pairs of the evaluation")
    parser.add_argument("--only", nargs="*", default=[], help="words of the tables to measure; default: all")
    parser.add_argument("--despite-load", action="store_true", help="report even if other processes used the machine")
    parser.add_argument("--peak", nargs=2, help=argparse.SUPPRESS)  # for the subprocesses of the memory table
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    datasets.disable_progress_bars()
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    bench = Bench(arguments)
    if arguments.peak:
        bench.peak(*arguments.peak)
        return
    for word, table in bench.tables().items():
        if not arguments.only or word in arguments.only:
            table()


class Bench:
    """The tables.

    Args:
        arguments: Of the command line.
    """

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._arguments = arguments
        self._now = time.process_time if arguments.threads == 1 else time.perf_counter
        self._data = Workloads(arguments.encoder, arguments.sick, arguments.hans)

    def tables(self) -> Mapping[str, Callable[[], None]]:
        """Return the tables by their word."""
        return {
            "check": self._check,
            "minilm": lambda: self._steps("MiniLM, SICK", self._data.encoder, self._data.short()),
            "bert": lambda: self._steps(
                "BERT-base shapes, 4 layers, SICK", lambda: bert_base(self._data.encoder(), 4), self._data.short()
            ),
            "long": lambda: self._steps(
                "MiniLM, 100 to 128 tokens", self._data.encoder, self._data.long(), is_short=False
            ),
            "evaluation": self._evaluation,
            "memory": self._memory,
        }

    # -- contestants ---------------------------------------------------------------------------

    def _options(self, steps: int, **other: Any) -> TrainingOptions:
        fixed = {"learning_rate": _RATE, "group_by_length": False, "eval_every": steps, "log_every": 1}
        return TrainingOptions(**(fixed | {"max_steps": steps} | other))

    def _ours(
        self, load: Callable[[], Network], examples: datasets.Dataset, pruner: Callable[[], Pruner], **other: Any
    ) -> Contestant:
        def run() -> list[float]:
            times: list[float] = []
            options = self._options(self._arguments.steps, **other)
            training = Training(load(), examples, Standard(NoOptions()), pruner(), options, 1, Accelerator())
            events = Events(lambda _: (0.0, {}), lambda *_: times.append(self._now()), lambda *_: None)
            for _ in training.run(events):
                pass
            return times

        return run

    def _plain(self, load: Callable[[], Network], examples: datasets.Dataset, longest: int | None) -> Contestant:
        def run() -> list[float]:
            network = load()
            scores = masked(network.model, list(network.counted()), _SPARSITY, _PHI)
            batches = self._batches(network, examples, self._arguments.steps, longest)
            return trained(network.model, list(scores.values()), batches, _RATE, self._now)

        return run

    def _batches(
        self, network: Network, examples: datasets.Dataset, steps: int, longest: int | None
    ) -> list[dict[str, torch.Tensor]]:
        """Return the first batches of the training, padded to the longest example of each, or to ``longest`` tokens."""
        batches = iter(Batches(examples, network.tokenizer, self._options(steps), 1, Accelerator()))
        return [padded(dict(next(batches)), longest) for _ in range(steps)]

    # -- tables --------------------------------------------------------------------------------

    def _check(self) -> None:
        """Compare the scores after a few steps without dropout."""
        examples, found = self._data.short(), {}
        pruner = _mask()
        options = self._options(_CHECKED_STEPS)
        network, other = self._data.encoder(0.0), self._data.encoder(0.0)
        training = Training(network, examples, Standard(NoOptions()), pruner, options, 1, Accelerator())
        events = Events(lambda _: (0.0, {}), lambda *_: None, lambda *_: None)
        scores = masked(other.model, list(other.counted()), _SPARSITY, _PHI)
        trained(other.model, list(scores.values()), self._batches(other, examples, _CHECKED_STEPS, LONGEST), _RATE)
        for _ in training.run(events):
            found = {
                name.removesuffix(".scores"): each for name, each in pruner.state().items() if name.endswith(".scores")
            }
        reach = sum(_RATE * (1 - step / _CHECKED_STEPS) for step in range(_CHECKED_STEPS))
        # The last evaluation lowers pruned scores that equal the threshold by one unit of rounding; that is below it.
        error = torch.cat([(found[name] - each.detach()).abs().flatten() for name, each in scores.items()]) / reach
        share = (error > _TOLERANCE).float().mean().item()
        text = (
            f"scores after {_CHECKED_STEPS} steps: {share:.4%} differ by more than {_TOLERANCE:.0%} of the distance "
            "that Adam can move them"
        )
        if share > 1e-3:
            sys.exit(f"expected the scores of the plain code; {text}")
        print(f"{text} (at most 0.1 % may: those whose gradient is rounding)")

    def _steps(
        self, title: str, load: Callable[[], Network], examples: datasets.Dataset, is_short: bool = True
    ) -> None:
        rows = {
            "mask training": self._ours(load, examples, _mask),
            "mask training, grouped by length": self._ours(load, examples, _mask, group_by_length=True),
            "fine-tuning, all weights": self._ours(load, examples, FixedMask),
            "plain mask training, dynamic padding": self._plain(load, examples, None),
        }
        if is_short:
            rows["plain mask training, padded to 128"] = self._plain(load, examples, LONGEST)
        mean = statistics.mean(examples["length"][:])
        self._measure(f"{title}, {mean:.0f} tokens: ms per step", rows)

    def _evaluation(self) -> None:
        examples, network = self._data.hans(self._arguments.pairs), self._data.encoder()
        plain = examples.remove_columns(["length", "labels"])
        collate, size = transformers.DataCollatorWithPadding(network.tokenizer), 128
        dynamic = [
            dict(collate([plain[i] for i in range(s, min(s + size, len(plain)))])) for s in range(0, len(plain), size)
        ]
        fixed = [padded(batch, LONGEST) for batch in dynamic]
        logits: dict[str, torch.Tensor] = {}

        def ours() -> list[float]:
            begin = self._now()
            logits["ours"] = torch.from_numpy(predict(network.model, examples, network.tokenizer, Accelerator(), size))
            return [begin, self._now()]

        def reference(batches: Sequence[Any]) -> Contestant:
            def run() -> list[float]:
                begin = self._now()
                logits["plain"] = evaluated(network.model, batches)
                return [begin, self._now()]

            return run

        rows_of_table = {
            "evaluation": ours,
            "plain evaluation, dynamic padding": reference(dynamic),
            "plain evaluation, padded to 128": reference(fixed),
        }
        self._measure(f"MiniLM, {len(examples)} pairs of HANS: ms per evaluation", rows_of_table, warmup=0)
        print(f"the logits differ by at most {(logits['ours'] - logits['plain']).abs().max():.1e}")

    def _measure(self, title: str, rows: Mapping[str, Contestant], warmup: int = _WARMUP) -> None:
        """Measure contestants in turn, and print a table with ratios to the first."""
        times: dict[str, list[float]] = {name: [] for name in rows}
        begin, others = time.perf_counter(), _others()
        for _ in range(self._arguments.repeats):
            for name, run in rows.items():
                moments = run()
                times[name] += [after - before for before, after in itertools.pairwise(moments)][warmup:]
        share = (_others() - others) / (time.perf_counter() - begin)
        if share > _MOST_OF_OTHERS and not self._arguments.despite_load:
            sys.exit(f"{title}: not reported, because other processes used {share:.0%} of a core; stop them and repeat")
        medians = {name: statistics.median(each) for name, each in times.items()}
        table, first = Table("", "median", "ratio", title=title), next(iter(medians.values()))
        for name, median in medians.items():
            table.add_row(name, f"{1000 * median:.1f}", f"{median / first:.2f}")
        Console().print(table)
        print(f"other processes: {share:.0%} of a core\n")

    # -- memory --------------------------------------------------------------------------------

    def _memory(self) -> None:
        """Measure the largest resident memory of fresh processes."""
        table = Table("", "GiB", "ratio", title="Peak memory of mask training, batches of 32")
        first = 0.0
        for model, kind in (("minilm", "ours"), ("minilm", "plain"), ("bert", "ours")):
            command = [sys.executable, *sys.argv, "--peak", model, kind]
            gib = int(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split()[-1]) / 2**20
            first = first or gib
            name = "MiniLM, SICK" if model == "minilm" else "BERT-base, 12 layers, 128 tokens"
            what = f"{name}: {'srframework' if kind == 'ours' else 'plain code padded to 128'}"
            table.add_row(what, f"{gib:.2f}", f"{gib / first:.2f}" if model == "minilm" else "")
        Console().print(table)

    def peak(self, model: str, kind: str) -> None:
        """Train a few steps, and print the largest resident memory of this process in KiB."""
        self._arguments.steps = 2
        load, examples = self._data.encoder, self._data.short()
        if model == "bert":
            load, examples = lambda: bert_base(self._data.encoder(), 12), self._data.long(fewest=LONGEST)
        run = self._ours(load, examples, _mask) if kind == "ours" else self._plain(load, examples, LONGEST)
        run()
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def _mask() -> MaskTraining:
    return MaskTraining(MaskOptions(sparsity=_SPARSITY, phi=_PHI))


def _others() -> float:
    """Return the CPU seconds of all other processes since the machine started."""
    times = psutil.cpu_times()
    return sum(times) - times.idle - times.iowait - getattr(times, "guest", 0.0) - time.process_time()


if __name__ == "__main__":
    main()
