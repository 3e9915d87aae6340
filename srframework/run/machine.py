"""The machine that computed a result. The last bits of a result depend on the machine; its key does not.

``machine.json``, beside the result::

    {"device": "cpu", "capability": "AVX2", "threads": [2]}

Several numbers of threads: the result was computed in several attempts with different numbers.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from srframework.files import json_text, read_json
from srframework.store.drafts import Sums

MACHINE = "machine.json"


@dataclass(frozen=True)
class Machine:
    """The properties of a machine that affect the last bits of a result.

    Attributes:
        device: Kind of device: ``"cpu"``, ``"cuda"``.
        capability: Instructions that PyTorch uses on this CPU, or the name of the GPU.
        threads: Numbers of PyTorch threads, in the order of their use.
    """

    device: str
    capability: str
    threads: tuple[int, ...]


def this_machine(device: str) -> Machine:
    """Describe this machine and process. ``device``: a PyTorch device such as ``"cuda:0"``."""
    import torch  # here, because a run that computes nothing needs none

    kind = torch.device(device).type
    capability = torch.cuda.get_device_name(device) if kind == "cuda" else torch.backends.cpu.get_cpu_capability()
    return Machine(kind, capability, (torch.get_num_threads(),))


def record(files: Path, sums: Sums, device: str) -> None:
    """Write this machine into the files of a draft; add its number of threads to those of an earlier attempt."""
    now = this_machine(device)
    before = read(files)
    if before is not None and before.threads[-1:] != now.threads:
        now = Machine(now.device, now.capability, (*before.threads, *now.threads))
    elif before is not None:
        now = Machine(now.device, now.capability, before.threads)
    with sums.file(files / MACHINE) as file:
        file.write_text(json_text({**asdict(now), "threads": list(now.threads)}), encoding="utf-8")


def read(files: Path) -> Machine | None:
    """Return the machine that computed a result; None if unknown."""
    try:
        found = read_json(files / MACHINE)
        threads = tuple(int(each) for each in found["threads"])
        return Machine(str(found["device"]), str(found["capability"]), threads) if threads else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
