"""On what machine a result was computed: its last bits hang on that, and its key does not.

``machine.json``, beside the result::

    {"device": "cpu", "capability": "AVX2", "threads": [2]}

More than one number of threads: the result was begun with one, and finished with another.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from srframework.files import json_text, read_json
from srframework.store.drafts import Sums

MACHINE = "machine.json"


@dataclass(frozen=True)
class Machine:
    """What the bits of a result hang on besides its key.

    Attributes:
        device: Kind of device: ``"cpu"``, ``"cuda"``.
        capability: Instructions that PyTorch uses on this CPU, or the name of the GPU.
        threads: Threads of PyTorch, in the order in which they were used.
    """

    device: str
    capability: str
    threads: tuple[int, ...]


def this_machine(device: str) -> Machine:
    """This machine, and this process's number of threads. ``device``: as PyTorch names it, ``"cuda:0"``."""
    kind = torch.device(device).type
    capability = torch.cuda.get_device_name(device) if kind == "cuda" else torch.backends.cpu.get_cpu_capability()
    return Machine(kind, capability, (torch.get_num_threads(),))


def record(files: Path, sums: Sums, device: str) -> None:
    """Write into a draft's files on what the result is computed, or what it is finished on."""
    now = this_machine(device)
    before = read(files)
    if before is not None and before.threads[-1:] != now.threads:
        now = Machine(now.device, now.capability, (*before.threads, *now.threads))
    elif before is not None:
        now = Machine(now.device, now.capability, before.threads)
    with sums.file(files / MACHINE) as file:
        file.write_text(json_text({**asdict(now), "threads": list(now.threads)}), encoding="utf-8")


def read(files: Path) -> Machine | None:
    """On what a result was computed; None where that cannot be told."""
    try:
        found = read_json(files / MACHINE)
        threads = tuple(int(each) for each in found["threads"])
        return Machine(str(found["device"]), str(found["capability"]), threads) if threads else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
