"""Measure on this machine what a sparse model gives: latency, throughput and size, with every kernel there is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from srframework.contracts import Network
from srframework.models import classifier
from srframework.models.counts import count
from srframework.models.kernels import DENSE, CsrLinear, Kernel, Missing, kernels, quiet
from srframework.models.saved import on_disk
from srframework.models.timing import LENGTH, batch, machine, medians
from srframework.registry.registry import Registry
from srframework.run.model_directory import ModelDirectory
from srframework.text import listed

BATCHES = (1, 32)
"""Examples of the batches."""

TRIED = (0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99)
"""Sparsities of the search for the break-even of CSR."""

_FASTER = 1.05
"""A ratio of medians below this is noise."""

_EXACT, _ROUNDED = 1e-3, 0.25
"""Largest difference of a logit, relative to 1 + the largest logit, in float32 and in fewer bits."""


@dataclass(frozen=True)
class Measured:
    """A kernel, measured.

    Attributes:
        name, bytes, is_exact, uses_zeros: As in :class:`srframework.models.kernels.Kernel`.
        seconds: Examples of a batch -> median seconds of a forward pass.
        difference: Largest difference of a logit from dense fp32.
        changed: Number of the examples of the largest batch whose predicted label differs from dense fp32.
        is_right: Whether the difference can be rounding.
    """

    name: str
    bytes: int
    is_exact: bool
    uses_zeros: bool
    seconds: Mapping[int, float]
    difference: float
    changed: int
    is_right: bool


@dataclass(frozen=True)
class BreakEven:
    """The sparsity from which CSR is faster than dense fp32 for one linear layer.

    Attributes:
        shape: ``(d_out, d_in)`` of the layer.
        tokens: Rows of its input.
        sparsity: The lowest of :data:`TRIED` from which CSR is faster at all higher ones; None if there is none.
    """

    shape: tuple[int, int]
    tokens: int
    sparsity: float | None


@dataclass(frozen=True)
class Probe:
    """The report about a model.

    Attributes:
        model: As the user wrote it.
        sparsity: Zeros among the entries of the encoder's and the classifier's matrices.
        measured: Dense fp32 first.
        missing: The kernels that are not available here.
        break_even: Of CSR, for the largest matrix and the largest batch.
        rounds: Turns of each kernel.
        machine: The processor, the threads and PyTorch.
    """

    model: str
    sparsity: float
    measured: Sequence[Measured]
    missing: Sequence[Missing]
    break_even: BreakEven
    rounds: int
    machine: Mapping[str, str | int]

    def to_json(self) -> dict[str, Any]:
        """Return what ``probe --json`` prints."""
        return {**asdict(self), "length": LENGTH, "sentences": self.sentences()}

    def sentences(self) -> list[str]:
        """Say what the zeros give here, and what they do not."""
        wrong = [each.name for each in self.measured if not each.is_right]
        found = [f"Wrong output: {listed(wrong)}; do not use this here."] if wrong else []
        dense, *others = self.measured
        for each in (each for each in others if each.is_right):
            ratios = {size: dense.seconds[size] / seconds for size, seconds in each.seconds.items()}
            shown = ", ".join(f"{_ratio(ratio)} at batch {size}" for size, ratio in ratios.items())
            reason = "" if each.uses_zeros else "; it would be so without zeros too"
            found.append(f"{each.name}: {shown}{reason}.")
        using = [each for each in others if each.uses_zeros and each.is_right]
        if not any(dense.seconds[size] >= _FASTER * each.seconds[size] for each in using for size in each.seconds):
            share = f"{100 * self.sparsity:.1f} %"
            found.append(f"No faster here: with {share} zeros, no kernel that uses zeros beats dense fp32.")
        return [*found, self._break_even()]

    def _break_even(self) -> str:
        each = self.break_even
        where = f"a layer of {each.shape[0]} × {each.shape[1]} and {each.tokens:,} tokens"
        if each.sparsity is None:
            return f"CSR for {where}: not faster at any measured sparsity, up to {100 * max(TRIED):g} %."
        return f"CSR for {where}: faster from {100 * each.sparsity:g} % zeros at random places."


def _ratio(ratio: float) -> str:
    if ratio >= _FASTER:
        return f"{ratio:.2f} times as fast as dense fp32"
    return f"{1 / ratio:.2f} times as slow" if 1 / ratio >= _FASTER else "as fast"


def probe(model: str, registry: Registry, rounds: int) -> Probe:
    """Measure a model.

    Args:
        model: A directory, or RUN@STAGE; see :func:`srframework.models.saved.on_disk`.
        registry: Has the backbone.
        rounds: Turns of each kernel; the median counts.

    Raises:
        UsageError: There is no such model.
        BackboneError: It is not a classifier, or damaged.
    """
    with on_disk(model) as found:
        network = classifier.load(found, registry, classifier.labels_of(found))
        sparsity = count(ModelDirectory(found.directory), network, None).shares["prunable"].sparsity
    available, missing = kernels(network)
    measured = measure(available, {size: batch(network, size) for size in BATCHES}, rounds)
    return Probe(model, sparsity, measured, missing, break_even(network, rounds), rounds, machine())


def measure(available: Sequence[Kernel], batches: Mapping[int, Mapping[str, Tensor]], rounds: int) -> list[Measured]:
    """Measure kernels, which take turns; compare their logits with those of the first."""
    seconds: dict[int, dict[str, float]] = {}
    for size, inputs in batches.items():
        seconds[size] = medians({each.name: _call(each, inputs) for each in available}, rounds)
    largest = batches[max(batches)]
    expected = available[0].forward(largest)
    found = []
    for each in available:
        logits = each.forward(largest)
        difference = float((logits - expected).abs().max())
        most = (_EXACT if each.is_exact else _ROUNDED) * (1 + float(expected.abs().max()))
        changed = int((logits.argmax(dim=1) != expected.argmax(dim=1)).sum())
        of_batches = {size: by_name[each.name] for size, by_name in seconds.items()}
        head = (each.name, each.bytes, each.is_exact, each.uses_zeros, of_batches)
        found.append(Measured(*head, difference, changed, difference <= most))
    return found


def break_even(network: Network, rounds: int) -> BreakEven:
    """Find the sparsity from which CSR is faster, for the largest prunable matrix with zeros at random places."""
    largest = max(network.matrices().values(), key=Tensor.numel)
    rows, columns = largest.shape
    generator = torch.Generator().manual_seed(0)
    tokens = max(BATCHES) * LENGTH
    hidden = torch.randn(tokens, columns, generator=generator)
    order = torch.rand(rows, columns, generator=generator)
    dense = nn.Linear(columns, rows)
    calls: dict[str, Callable[[], object]] = {DENSE: lambda: dense(hidden)}
    with quiet(), torch.no_grad():
        for sparsity in TRIED:
            pruned = nn.Linear(columns, rows)
            pruned.weight.data.masked_fill_(order < sparsity, 0.0)
            layer = CsrLinear(pruned)
            calls[str(sparsity)] = lambda layer=layer: layer(hidden)  # type: ignore[misc]
        seconds = medians(calls, rounds)
    return BreakEven(
        (rows, columns), tokens, lowest_faster({each: seconds[str(each)] for each in TRIED}, seconds[DENSE])
    )


def lowest_faster(seconds: Mapping[float, float], dense: float) -> float | None:
    """Return the lowest sparsity from which CSR is faster at all higher ones; None if there is none.

    >>> lowest_faster({0.5: 1.0, 0.9: 3.0, 0.95: 1.5, 0.99: 1.0}, dense=2.0)
    0.95
    """
    found = None
    for sparsity in sorted(seconds, reverse=True):
        if seconds[sparsity] >= dense:
            break
        found = sparsity
    return found


def _call(kernel: Kernel, inputs: Mapping[str, Tensor]) -> Callable[[], object]:
    return lambda: kernel.forward(inputs)
