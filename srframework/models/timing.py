"""Measure the latency of models that take turns on one machine."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from srframework.contracts import Network

LENGTH = 64
"""Tokens of each example that is timed."""

ROUNDS = 15
"""Measurements of each model and batch; the median of them is shown."""

_SEED = 20221003


def batch(network: Network, examples: int, length: int = LENGTH) -> dict[str, Tensor]:
    """Return examples of random ordinary tokens, ``(examples, length)``, the same in each call."""
    embeddings = network.model.get_input_embeddings()
    rows = int(getattr(embeddings, "num_embeddings", len(network.tokenizer)))
    special = {*network.tokenizer.all_special_ids}
    ordinary = torch.tensor([each for each in range(rows) if each not in special])
    drawn = torch.randint(len(ordinary), (examples, length), generator=torch.Generator().manual_seed(_SEED))
    return {"input_ids": ordinary[drawn], "attention_mask": torch.ones(examples, length, dtype=torch.int64)}


def medians(calls: Mapping[str, Callable[[], object]], rounds: int = ROUNDS) -> dict[str, float]:
    """Return the median seconds of each call. In each round every call runs once, so that all of them see the same
    load of the machine. One round before is not measured.
    """
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(rounds + 1):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            if turn:
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(each) for name, each in seconds.items()}


def machine() -> dict[str, str | int]:
    """Return the names of the processor and of PyTorch, and the number of threads."""
    return {"cpu": _processor(), "threads": torch.get_num_threads(), "torch": torch.__version__}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()
