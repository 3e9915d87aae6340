"""Numbers that a loss and a pruner log during a training: their means since the last line of the log."""

from __future__ import annotations

import torch
from torch import Tensor


class Scalars:
    """Sums and counts of named numbers since the last line of the log."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def add(self, name: str, value: float | Tensor) -> None:
        """Log a number.

        Raises:
            TypeError: The name is not a string, or the value is not one number.
        """
        if not isinstance(name, str) or not name:
            raise TypeError(f"log: expected a name, got {name!r}")
        number = value.detach() if isinstance(value, Tensor) else torch.tensor(float(value), dtype=torch.float64)
        if number.numel() != 1:
            raise TypeError(f"log: expected one number as {name!r}, got a tensor of shape {tuple(number.shape)}")
        number = number.reshape(()).to(torch.float64)
        self._sums[name] = self._sums[name] + number if name in self._sums else number.clone()
        self._counts[name] = self._counts.get(name, 0) + 1

    def means(self) -> dict[str, float]:
        """Return the mean of each name, sorted by name, and begin anew."""
        found = {name: self._sums[name].item() / self._counts[name] for name in sorted(self._sums)}
        self._sums, self._counts = {}, {}
        return found

    def state(self) -> dict[str, Tensor]:
        """Return the sums and counts, as ``(2,)`` tensors."""
        return {
            name: torch.stack([total.cpu(), torch.tensor(self._counts[name])]) for name, total in self._sums.items()
        }

    def restore(self, state: dict[str, Tensor]) -> None:
        """Restore a :meth:`state`."""
        self._sums = {name: pair[0].clone() for name, pair in state.items()}
        self._counts = {name: int(pair[1]) for name, pair in state.items()}
