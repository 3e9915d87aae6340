"""Ways to run a sparse classifier: each is the same model with other kernels for its linear layers."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from srframework.contracts import Network
from srframework.errors import SRFrameworkError
from srframework.faults import describe
from srframework.models.counts import units_of

DENSE = "dense fp32"

Forward = Callable[[Mapping[str, Tensor]], Tensor]
"""A batch -> logits, ``(B, C)``, float32, on the CPU."""


@dataclass(frozen=True)
class Kernel:
    """A way to run the model.

    Attributes:
        name: Its name.
        forward: Runs it.
        bytes: Bytes of its weights in memory.
        is_exact: Whether it computes in float32, so that its logits differ by rounding only.
        uses_zeros: Whether zeros make it faster or smaller.
    """

    name: str
    forward: Forward
    bytes: int
    is_exact: bool
    uses_zeros: bool


@dataclass(frozen=True)
class Missing:
    """A way that is not available on this machine, and the reason."""

    name: str
    reason: str


class Unavailable(SRFrameworkError):
    """This machine or this PyTorch cannot run the model this way; the message is the reason."""


class CsrLinear(nn.Module):
    """A linear layer whose weight is a sparse matrix in compressed rows (CSR).

    Indices are int32: MKL would convert int64 in each call, and they need half the memory.
    """

    def __init__(self, dense: nn.Linear) -> None:
        super().__init__()
        found = dense.weight.detach().to_sparse_csr()
        parts = (found.crow_indices().int(), found.col_indices().int(), found.values())
        self.weight = torch.sparse_csr_tensor(*parts, size=found.shape, check_invariants=True)
        self.bias = dense.bias

    def forward(self, hidden: Tensor) -> Tensor:
        """``(…, d_in)`` -> ``(…, d_out)``."""
        return functional.linear(hidden, self.weight, self.bias)

    @property
    def bytes(self) -> int:
        """Bytes of the weight."""
        parts = (self.weight.crow_indices(), self.weight.col_indices(), self.weight.values())
        return sum(each.numel() * each.element_size() for each in parts)


def kernels(network: Network) -> tuple[list[Kernel], list[Missing]]:
    """Return the ways to run a model on this machine, the dense one first, and those that are not available here."""
    ways: dict[str, Callable[[Network], Kernel]] = {
        DENSE: _dense,
        "dense int8 (dynamic)": _int8,
        "dense bf16": _bf16,
        "sparse fp32 (CSR)": _csr,
        "dense fp16 on the GPU": _gpu,
        "2:4 fp16 on the GPU": _two_of_four,
    }
    found: list[Kernel] = []
    missing: list[Missing] = []
    for name, make in ways.items():
        try:
            with quiet():
                found.append(make(network))
        except Unavailable as error:
            missing.append(Missing(name, str(error)))
        except (RuntimeError, NotImplementedError) as error:  # PyTorch's builds differ in what they support
            if name == DENSE:
                raise
            missing.append(Missing(name, describe(error)))
    return found, missing


@contextmanager
def quiet() -> Iterator[None]:
    """Hide PyTorch's warnings that its quantisation will move, and that CSR is in beta; a table says what was used."""
    with warnings.catch_warnings():
        for text in (".*quantiz", ".*torch.ao", ".*CSR"):
            warnings.filterwarnings("ignore", message=text)
        yield


def _dense(network: Network) -> Kernel:
    model = network.model.eval()
    return Kernel(DENSE, _forward(model), bytes_of(model), is_exact=True, uses_zeros=False)


def _int8(network: Network) -> Kernel:
    try:
        from torch.ao.quantization import quantize_dynamic
    except ImportError as error:
        raise Unavailable("this PyTorch has no torch.ao.quantization.quantize_dynamic") from error
    make: Callable[..., nn.Module] = quantize_dynamic
    model = make(network.model.eval(), {nn.Linear}, dtype=torch.qint8)  # a copy
    linear = [module for module in network.model.modules() if isinstance(module, nn.Linear)]
    saved = sum(3 * module.weight.numel() for module in linear)  # a byte for four
    name = "dense int8 (dynamic)"
    return Kernel(name, _forward(model), bytes_of(network.model) - saved, is_exact=False, uses_zeros=False)


def _bf16(network: Network) -> Kernel:
    if not _processor_flags() & {"avx512_bf16", "amx_bf16", "bf16"}:
        raise Unavailable("this processor has no instructions for bf16")
    model = copy.deepcopy(network.model).bfloat16().eval()
    return Kernel("dense bf16", _forward(model), bytes_of(model), is_exact=False, uses_zeros=False)


def _csr(network: Network) -> Kernel:
    chosen = [name for name, weight in network.matrices().items() if bool((weight == 0).any())]
    if not chosen:
        raise Unavailable("no matrix of the model has a zero")
    model = copy.deepcopy(network.model).eval()
    for name in chosen:
        linear = model.get_submodule(name)
        assert isinstance(linear, nn.Linear), name
        model.set_submodule(name, CsrLinear(linear))
    size = bytes_of(model) + sum(each.bytes for each in model.modules() if isinstance(each, CsrLinear))
    return Kernel("sparse fp32 (CSR)", _forward(model), size, is_exact=True, uses_zeros=True)


def _gpu(network: Network) -> Kernel:
    _require_gpu()
    model = copy.deepcopy(network.model).half().cuda().eval()
    return Kernel("dense fp16 on the GPU", _forward(model), bytes_of(model), is_exact=False, uses_zeros=False)


def _two_of_four(network: Network) -> Kernel:
    _require_gpu()
    chosen = []
    for name, weight in network.matrices().items():
        units = units_of(weight, "2:4")
        if units is not None and units.conforming == units.units and bool((weight == 0).any()):
            chosen.append(name)
    if not chosen:
        raise Unavailable("no matrix of the model has the pattern 2:4")
    model = copy.deepcopy(network.model).half().cuda().eval()
    size = bytes_of(model)
    for name in chosen:
        linear = model.get_submodule(name)
        assert isinstance(linear, nn.Linear), name
        size -= linear.weight.numel() * 7 // 8  # half of the values, of two bytes, and two bits for each of these
        linear.weight = nn.Parameter(torch.sparse.to_sparse_semi_structured(linear.weight), requires_grad=False)
    return Kernel("2:4 fp16 on the GPU", _forward(model), size, is_exact=False, uses_zeros=True)


def _require_gpu() -> None:
    if not torch.cuda.is_available():
        raise Unavailable("no GPU")
    if torch.cuda.get_device_capability() < (8, 0):
        raise Unavailable("this GPU has no sparse tensor cores")


def _forward(model: nn.Module) -> Forward:
    device = next(model.parameters()).device

    def forward(inputs: Mapping[str, Tensor]) -> Tensor:
        with torch.no_grad(), quiet():  # PyTorch refuses CSR in inference_mode
            logits: Tensor = model(**{name: each.to(device) for name, each in inputs.items()}).logits
            return logits.float().cpu()  # waits for the device

    return forward


def bytes_of(model: nn.Module) -> int:
    """Return the bytes of the parameters and buffers of a model, each once."""
    tensors = {id(each): each for each in (*model.parameters(), *model.buffers())}
    return sum(each.numel() * each.element_size() for each in tensors.values())


def _processor_flags() -> set[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return set()
    return {flag for line in lines if line.startswith(("flags", "Features")) for flag in line.split()}
