"""The processes that compute one run together; usually there is only one."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

import torch
from accelerate import Accelerator, InitProcessGroupKwargs
from accelerate.utils import DistributedType, GradientAccumulationPlugin, broadcast

from srframework.errors import UsageError

PATIENCE = timedelta(days=30)
"""Timeout for the first process, which may wait for a stage of another run."""

_DISTRIBUTED = (
    *(DistributedType.NO, DistributedType.MULTI_CPU, DistributedType.MULTI_GPU),
    *(DistributedType.MULTI_XPU, DistributedType.MULTI_NPU, DistributedType.MULTI_HPU),
)
"""Supported ways to distribute: each process has the complete model, since masks rank complete matrices."""


class Processes:
    """The processes of a run, from the view of this process.

    Attributes:
        accelerator: Device and processes.
        is_first: Whether this is the first or only process.

    Raises:
        UsageError: A process would have only a part of the model.
    """

    def __init__(self) -> None:
        self.accelerator = Accelerator(
            # Explicit, so that environment variables cannot change results.
            mixed_precision="no",
            dynamo_backend="no",
            gradient_accumulation_plugin=GradientAccumulationPlugin(num_steps=1),
            kwargs_handlers=[InitProcessGroupKwargs(timeout=PATIENCE)],
        )
        if self.accelerator.distributed_type not in _DISTRIBUTED:
            got = self.accelerator.distributed_type.value
            raise UsageError(f"accelerate: expected processes that each have the complete model (DDP), got {got}")
        self.is_first = self.accelerator.is_main_process

    @property
    def count(self) -> int:
        """Number of processes."""
        count: int = self.accelerator.num_processes
        return count

    def agree(self, names: Iterable[str]) -> frozenset[str]:
        """Return the names of the first process; a name has no line break."""
        mine = "\n".join(sorted(names)).encode()
        if self.count > 1:
            size = int(broadcast(torch.tensor([len(mine)], device=self.accelerator.device)).item())
            padded = [*mine, *[0] * size, 0][: size + 1]  # at least one, since not every backend sends none
            sent = broadcast(torch.tensor([padded], dtype=torch.int64, device=self.accelerator.device))[0].tolist()
            mine = bytes(sent[:size])
        return frozenset(mine.decode().split("\n")) - {""}

    def announce(self, computing: bool) -> None:
        """In the first process: announce whether all must compute."""
        if self.count > 1:
            broadcast(torch.tensor([computing], dtype=torch.int32, device=self.accelerator.device))

    def must_compute(self) -> bool:
        """In the other processes: wait for :meth:`announce` and return its value."""
        return bool(broadcast(torch.tensor([0], dtype=torch.int32, device=self.accelerator.device)).item())
