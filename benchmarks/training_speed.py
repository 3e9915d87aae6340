"""How fast the training loop is, as ratios against a plain loop over the same model and batches.

Run by hand, on an idle machine::

    .venv/bin/python benchmarks/training_speed.py [--encoder DIRECTORY] [--steps N] [--threads N]

The baseline of each ratio is measured in the same run: transformers' model, torch's fused AdamW, batches
padded in advance, nothing else. A ratio of 1.10 takes 10 % longer than that.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import cast

import datasets
import torch
import transformers
from accelerate import Accelerator
from rich.console import Console
from rich.table import Table
from transformers import DataCollatorWithPadding, get_linear_schedule_with_warmup

from srframework.contracts import Debiaser, Network, Pruner
from srframework.fixed_mask import FixedMask
from srframework.recipe.check import load_recipe
from srframework.registry.discovery import discover
from srframework.registry.registry import Registry
from srframework.run.prediction import tokenize
from srframework.training.events import Events
from srframework.training.loop import Training
from srframework.training.options import TrainingOptions


def main() -> None:
    """Measure, and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--encoder", help="directory of a pre-trained encoder; default: the tiny one")
    parser.add_argument("--steps", type=int, default=100, help="optimizer steps of each measurement")
    parser.add_argument("--repeats", type=int, default=3, help="measurements of each row; the median counts")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=32)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    datasets.disable_progress_bars()
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()

    encoder = f"backbone={{ use = 'encoder', path = '{arguments.encoder}' }}"
    backbone = [encoder] if arguments.encoder else []
    registry = Registry(discover())
    recipe = load_recipe("quickstart", registry, ["dataset.train_size=4096", *backbone])
    task = recipe.dataset.build().load(seed=1)
    backbone_plugin = recipe.backbone.build()
    network: Network = backbone_plugin.load(task.labels, 1)
    examples = tokenize(task.train, network.tokenizer, 128)
    options = TrainingOptions(
        max_steps=arguments.steps, batch_size=arguments.batch_size, group_by_length=False, eval_every=arguments.steps
    )
    std: Debiaser = registry.get("debiaser", "std").component.build(None)

    def ours(pruner: Callable[[], Pruner]) -> Callable[[], None]:
        def run() -> None:
            fresh = backbone_plugin.load(task.labels, 1)
            training = Training(fresh, examples, std, pruner(), options, 1, Accelerator())
            list(training.run(Events(lambda _: (0.0, {}), lambda *_: None, lambda *_: None)))

        return run

    def pruner(name: str, **chosen: object) -> Callable[[], Pruner]:
        component = registry.get("pruner", name).component
        made = component.options(**chosen)
        return lambda: cast(Pruner, component.build(made))

    rows = {
        "plain loop (baseline)": lambda: _plain(backbone_plugin.load(task.labels, 1), examples, options),
        "train": ours(FixedMask),
        "prune, imp": ours(pruner("imp", sparsity=0.9, step=0.45, interval=0.5)),
        "prune, mask": ours(pruner("mask", sparsity=0.7)),
    }
    table = Table("loop", "ms/step", "ratio")
    baseline = 0.0
    for name, run in rows.items():
        run()  # warm-up
        seconds = statistics.median(_timed(run) for _ in range(arguments.repeats)) / arguments.steps
        baseline = baseline or seconds
        table.add_row(name, f"{1000 * seconds:.1f}", f"{seconds / baseline:.2f}")
    Console().print(table)


def _plain(network: Network, examples: datasets.Dataset, options: TrainingOptions) -> None:
    model = network.model
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=options.learning_rate, weight_decay=0.0, fused=True)
    schedule = get_linear_schedule_with_warmup(optimizer, 0, options.max_steps)
    collate, size = DataCollatorWithPadding(network.tokenizer), options.batch_size
    rows = examples.remove_columns("length")
    batches = [collate([rows[i] for i in range(start, start + size)]) for start in range(0, 8 * size, size)]
    for step in range(options.max_steps or 0):
        batch = dict(batches[step % len(batches)])
        labels = batch.pop("labels")
        torch.nn.functional.cross_entropy(model(**batch).logits, labels).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), options.max_grad_norm)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()


def _timed(run: Callable[[], None]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
