"""How fast the arithmetic of masks is on matrices of the size of BERT-base, as ratios against PyTorch's own functions.

Run by hand, on an idle machine::

    .venv/bin/python benchmarks/pruning_speed.py [--layers N] [--repeats N] [--threads N]

A ratio of 12 takes a twelfth of the reference's time. Every result is first compared with that of the reference. The
references are ``torch.kthvalue`` and ``scores >= φ`` for each matrix (the arithmetic of the paper's authors),
``torch.nn.utils.prune``, which also multiplies the weights by the mask, and ``torch.save`` of bool tensors, which does
not wait for the disk.
"""

from __future__ import annotations

import argparse
import ctypes
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import torch
from measuring import interleaved
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.nn.utils import prune

from srf_pruners.arithmetic import hard_scores, soft_scores, thresholds_to
from srframework.masks import Mask
from srframework.scores import keep_highest, pruned_count

Matrices = dict[str, Tensor]
_SHAPES = [(768, 768)] * 4 + [(3072, 768), (768, 3072)]
_SPARSITY, _PHI, _ALPHA, _RATE = 0.7, 0.01, 2.0, 2e-4
_GIB = 1 << 30


def main() -> None:
    """Compare the results, measure, and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--repeats", type=int, default=5, help="runs of each case; the median counts")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    weights = {
        f"{i}.{j}": torch.randn(shape) * 0.04 for i in range(arguments.layers) for j, shape in enumerate(_SHAPES)
    }
    table = Table("case", "reference, ms", "srframework, ms", "ratio", "goal")

    def row(name: str, reference: Callable[[], object], ours: Callable[[], object], goal: int) -> None:
        seconds = interleaved({"reference": reference, name: ours}, arguments.repeats)
        ratio = seconds["reference"] / seconds[name]
        table.add_row(
            name, f"{1000 * seconds['reference']:.0f}", f"{1000 * seconds[name]:.0f}", f"{ratio:.1f}", f"{goal}"
        )

    for name, (scores, sparsity) in _scores(weights).items():
        _check_thresholds(name, scores, weights, sparsity)
        ours = partial(thresholds_to, scores, weights, sparsity, "local")
        row(f"threshold update, {name}", partial(_kth_masks, scores, sparsity), ours, 12)
        del scores, ours
    for sparsity in (0.1, 0.7):
        ours, reference = partial(_magnitude, weights, sparsity, "local"), partial(_torch_local, weights, sparsity)
        _check_masks(f"local prune to {sparsity:.0%}", weights, ours(), reference())
        row(f"local prune to {sparsity:.0%}", reference, ours, 15)
    ours, reference = partial(_magnitude, weights, _SPARSITY, "global"), partial(_torch_global, weights, _SPARSITY)
    _check_masks("global prune", weights, ours(), reference(), together=True)
    row("global prune to 70%", reference, ours, 12)
    magnitudes = soft_scores(weights)
    memory = _peak(partial(keep_highest, magnitudes, _SPARSITY, "global"))
    kept = keep_highest(magnitudes, _SPARSITY, "global")
    with tempfile.TemporaryDirectory() as folder:
        paths = Path(folder, "mask.safetensors"), Path(folder, "mask.pt")
        ours, reference = partial(_saved, Mask(kept), paths[0]), partial(_torch_saved, kept, paths[1])
        if any(not torch.equal(each, kept[name]) for saved in (ours(), reference()) for name, each in saved.items()):
            sys.exit("The mask that was loaded differs from the one that was saved.")
        sizes = [path.stat().st_size for path in paths]
        row("mask, save and load", reference, ours, 4)
    console = Console()
    console.print(table)
    console.print(f"global prune: {memory / _GIB:.2f} GiB more at its peak, its masks included (goal: at most 0.4)")
    console.print(
        f"mask on the disk: {sizes[0]} bytes, {sizes[1] / sizes[0]:.3f} times less than bool tensors (goal: 8)"
    )


def _scores(weights: Matrices) -> dict[str, tuple[Matrices, float]]:
    hard = hard_scores(soft_scores(weights), _SPARSITY, _PHI, _ALPHA, "local")
    soft = soft_scores(weights)
    one = _trained(hard, weights, 1)
    far = {name: each + _PHI / 3 * torch.randn_like(each) for name, each in hard.items()}
    return {
        "hard": (hard, _SPARSITY),
        "hard, 1 step": (one, _SPARSITY),
        "hard, 10 steps": (_trained(hard, weights, 10), _SPARSITY),
        "hard, many steps": (far, _SPARSITY),
        "hard, 1 step, φ among ties": (one, _SPARSITY + 0.02),
        "soft": (soft, _SPARSITY),
        "soft, 10 steps": (_trained(soft, weights, 10), _SPARSITY),
    }


def _trained(scores: Matrices, weights: Matrices, steps: int) -> Matrices:
    """Scores after steps of AdamW, with the gradient of random dL/d(m ⊙ W)."""
    trained = {}
    for name, each in scores.items():
        moved = nn.Parameter(each.clone())
        optimizer = torch.optim.AdamW([moved], lr=_RATE, weight_decay=0.0)
        for _ in range(steps):
            moved.grad = 1e-4 * torch.randn_like(moved) * weights[name]
            optimizer.step()
        trained[name] = moved.detach()
    return trained


def _kth_masks(scores: Matrices, sparsity: float) -> Matrices:
    masks = {}
    for name, each in scores.items():
        phi = torch.kthvalue(each.flatten(), pruned_count(sparsity, each.numel())).values
        masks[name] = each >= phi
    return masks


def _magnitude(weights: Matrices, sparsity: float, scope: str) -> Matrices:
    return keep_highest(soft_scores(weights), sparsity, "global" if scope == "global" else "local")


def _modules(weights: Matrices) -> dict[str, nn.Module]:
    modules: dict[str, nn.Module] = {name: nn.Module() for name in weights}
    for name, module in modules.items():
        module.register_parameter("weight", nn.Parameter(weights[name]))
    return modules


def _torch_local(weights: Matrices, sparsity: float) -> Matrices:
    modules = _modules(weights)
    for module in modules.values():
        prune.l1_unstructured(module, "weight", amount=pruned_count(sparsity, module.weight.numel()))
    return {name: module.weight_mask for name, module in modules.items()}


def _torch_global(weights: Matrices, sparsity: float) -> Matrices:
    modules = _modules(weights)
    count = pruned_count(sparsity, sum(each.numel() for each in weights.values()))
    pairs = [(module, "weight") for module in modules.values()]
    prune.global_unstructured(pairs, pruning_method=prune.L1Unstructured, amount=count)
    return {name: module.weight_mask for name, module in modules.items()}


def _saved(mask: Mask, path: Path) -> Mapping[str, Tensor]:
    mask.save(path)
    return Mask.load(path)


def _torch_saved(kept: Matrices, path: Path) -> Matrices:
    torch.save(kept, path)
    loaded: Matrices = torch.load(path, weights_only=True)
    return loaded


def _check_thresholds(name: str, scores: Matrices, weights: Matrices, sparsity: float) -> None:
    """Compare with ``torch.kthvalue``; scores that equal it are sorted by magnitude and index."""
    for key, (phi, exact) in thresholds_to(scores, weights, sparsity, "local").items():
        flat, count = scores[key].flatten(), pruned_count(sparsity, scores[key].numel())
        kth = torch.kthvalue(flat, count).values
        expected, ties = flat >= kth, (flat == kth).nonzero().squeeze(1).numpy()
        order = np.lexsort((-ties, weights[key].flatten().abs().numpy()[ties]))
        expected[torch.from_numpy(ties[order[: count - int((flat < kth).sum())]])] = False
        if not torch.equal((exact >= phi).flatten(), expected):
            sys.exit(f"threshold update, {name}: the mask of {key} differs from the reference.")


def _check_masks(name: str, weights: Matrices, ours: Matrices, reference: Matrices, together: bool = False) -> None:
    """Both keep as many, and differ only among equal magnitudes, which torch orders in its own way."""
    for keys in [list(weights)] if together else [[key] for key in weights]:
        pairs = [(ours[key], reference[key] != 0) for key in keys]
        kept, expected = (sum(int(each.count_nonzero()) for each in masks) for masks in zip(*pairs, strict=True))
        differ = [weights[key].abs()[one != other] for key, (one, other) in zip(keys, pairs, strict=True)]
        if kept != expected or len(torch.cat(differ).unique()) > 1:
            sys.exit(f"{name}: the mask of {', '.join(keys)} differs from the reference.")


def _peak(run: Callable[[], object]) -> int:
    """Bytes of memory that a call needs at its peak, beyond those before it; Linux only."""
    ctypes.CDLL(None).malloc_trim(0)  # memory that is free, but still counted, would hide what the call needs
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = _status("VmRSS")
    run()
    return _status("VmHWM") - before


def _status(key: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(key))


if __name__ == "__main__":
    main()
