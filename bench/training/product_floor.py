"""A step's matrix products alone, by the fastest library of this machine."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.task import Floor
from bench.training.device import StepTimer

#: Rows of a block that stays in the cache.
_BLOCKS = (256, 512, 1024, 2048)
_ROUNDS = 21

Product = Callable[[], object]


@dataclass(frozen=True)
class _Way:
    """One way to make a product.

    Attributes:
        by: Its name.
        product: Makes the product, or that of a block.
        repeats: How often it is called for all rows.
    """

    by: str
    product: Product
    repeats: float = 1

    def __call__(self) -> None:
        for _ in range(round(self.repeats)):
            self.product()


def product_floor(
    layers: Iterable[tuple[int, int]], rows: int, dtype: torch.dtype, device: torch.device
) -> Floor:
    """Three products a layer, forward, by the input and by the weight, each in its fastest way.

    On a CPU each is made by torch (MKL, where torch has it), oneDNN called directly, and NumPy
    (OpenBLAS); on the whole matrices, and on blocks of rows that stay in the cache, as a fused
    sweep through the layers finds them. A short comparison decides.

    Args:
        layers: Inputs and outputs of each layer.
        rows: Rows of the input.
        dtype: Of the matrices.
        device: Where they are.
    """
    chosen: list[tuple[_Way, int]] = []
    by, largest = "", 0
    for (n_in, n_out), count in Counter(layers).items():
        found = {
            kind: _fastest(_ways(kind, rows, n_in, n_out, dtype, device), device)
            for kind in ("forward", "by input", "by weight")
        }
        chosen += [(way, count) for way in found.values()]
        if n_in * n_out * count > largest:
            largest = n_in * n_out * count
            by = ", ".join(f"{kind} {way.by}" for kind, way in found.items())

    def step() -> None:
        for way, count in chosen:
            for _ in range(count):
                way()

    return Floor(step, by)


def _fastest(ways: Iterable[_Way], device: torch.device) -> _Way:
    times = [(_seconds(way.product, device) * way.repeats, k, way) for k, way in enumerate(ways)]
    return min(times)[-1]


def _ways(
    kind: str, rows: int, n_in: int, n_out: int, dtype: torch.dtype, device: torch.device
) -> Iterator[_Way]:
    """Each way of a product."""
    for name, product in _libraries(*_operands(kind, rows, n_in, n_out, dtype, device)):
        yield _Way(name, product)
    if device.type != "cpu":
        return
    for block in (block for block in _BLOCKS if block < rows):
        for name, product in _libraries(*_operands(kind, block, n_in, n_out, dtype, device)):
            yield _Way(f"{name} in blocks of {block}", product, rows / block)


def _operands(
    kind: str, rows: int, n_in: int, n_out: int, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor]:
    """What is multiplied, as autograd lays it out."""
    given = torch.ones(rows, n_in, dtype=dtype, device=device)
    weight = torch.ones(n_out, n_in, dtype=dtype, device=device)
    gradient = torch.ones(rows, n_out, dtype=dtype, device=device)
    return {
        "forward": (given, weight.mT),
        "by input": (gradient, weight),
        "by weight": (gradient.mT, given),
    }[kind]


def _libraries(left: Tensor, right: Tensor) -> Iterator[tuple[str, Product]]:
    """The libraries that can make a product, by name."""
    out = left.new_empty(left.shape[0], right.shape[1])
    cpu = left.device.type == "cpu"
    name = "torch" if cpu and not torch.backends.mkl.is_available() else "MKL" if cpu else "cuBLAS"
    yield name, partial(torch.mm, left, right, out=out)
    if not cpu:
        return
    if left.dtype == torch.float32 and torch.backends.mkldnn.is_available():
        multiply: Any = torch.ops.mkldnn._linear_pointwise
        # Its second operand is transposed, and it wants both contiguous.
        operands = left.contiguous(), right.mT.contiguous()
        yield "oneDNN", partial(multiply, *operands, None, "none", [], "")
    yield "NumPy", partial(np.matmul, left.numpy(), right.numpy(), out=out.numpy())


def _seconds(product: Product, device: torch.device) -> float:
    """Median time of a call, without what launching it costs on a GPU; the first is not counted."""
    product()
    times = []
    for _ in range(_ROUNDS):
        timer = StepTimer(device)
        with timer.step():
            product()
        times += timer.flush()
    return statistics.median(times)
