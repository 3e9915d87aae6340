"""The processes that compute one run together; mostly there is but one."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

import torch
from accelerate import Accelerator, InitProcessGroupKwargs
from accelerate.utils import DistributedType, GradientAccumulationPlugin, broadcast

from srframework.errors import UsageError

PATIENCE = timedelta(days=30)
"""How long processes wait for the first of them, which may itself wait for another run's stage."""

_DISTRIBUTED = (
    *(DistributedType.NO, DistributedType.MULTI_CPU, DistributedType.MULTI_GPU),
    *(DistributedType.MULTI_XPU, DistributedType.MULTI_NPU, DistributedType.MULTI_HPU),
)
"""How processes may work together: each has the whole model, as masks over whole matrices need."""


class Processes:
    """The processes, as one of them sees them.

    Attributes:
        accelerator: Device and processes.
        is_first: Whether this is the first of them, or the only one.

    Raises:
        UsageError: They are such that a process has only a part of the model.
    """

    def __init__(self) -> None:
        self.accelerator = Accelerator(
            # Said, since else the environment says it: what is in no recipe must not change what comes out.
            mixed_precision="no",
            dynamo_backend="no",
            gradient_accumulation_plugin=GradientAccumulationPlugin(num_steps=1),
            kwargs_handlers=[InitProcessGroupKwargs(timeout=PATIENCE)],
        )
        if self.accelerator.distributed_type not in _DISTRIBUTED:
            got = self.accelerator.distributed_type.value
            raise UsageError(f"accelerate: expected processes with a whole model each (DDP), got {got}")
        self.is_first = self.accelerator.is_main_process

    @property
    def count(self) -> int:
        """How many there are."""
        count: int = self.accelerator.num_processes
        return count

    def agree(self, numbers: Iterable[int]) -> frozenset[int]:
        """The numbers that the first process has."""
        mine = sorted(numbers)
        if self.count > 1:
            count = int(broadcast(torch.tensor([len(mine)], device=self.accelerator.device)).item())
            padded = [*mine, *[0] * count][:count]
            mine = broadcast(torch.tensor([padded], dtype=torch.int64, device=self.accelerator.device))[0].tolist()
        return frozenset(mine)

    def tell(self, computing: bool) -> None:
        """In the first: tell the others whether it wants something computed, or has it."""
        if self.count > 1:
            broadcast(torch.tensor([computing], dtype=torch.int32, device=self.accelerator.device))

    def told(self) -> bool:
        """In the others: whether the first process wants something computed."""
        return bool(broadcast(torch.tensor([0], dtype=torch.int32, device=self.accelerator.device)).item())
