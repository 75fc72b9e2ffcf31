"""A network's values and streams by a native kernel (`suites/pinn/engine/native/taylor.cpp`).

It computes what `suites.pinn.engine.taylor.TaylorNetwork` does, on one core of a CPU. Torch reads
and writes all features of all rows once or more for every layer and operation; the kernel takes a
block of rows through all layers while it is in the cache.
"""

from __future__ import annotations

import ctypes
import itertools
import operator
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from bench.techniques.norm_layers import FrozenBatchNorm, LayerNorm, PointwiseBatchNorm
from bench.training.native import load_library
from suites.pinn.engine.native_activations import native_name
from suites.pinn.engine.operators import Operator
from suites.pinn.engine.taylor import Jet, Unsupported
from suites.pinn.models.network import FNN

_SOURCE = Path(__file__).parent / "native" / "taylor.cpp"
_ELEMENTS = {torch.float32: "float", torch.float64: "double"}

#: Bytes of pre-activations that are kept for the backward pass; if there are more, it repeats the
#: forward pass of each block.
_TAPE = 1 << 30


class KernelNetwork:
    """Values and streams of an `FNN` by the kernel. Not for several threads at once.

    Args:
        net: The network; each call gives its parameters anew.
        operators: The operators, those of first order first.
        inputs: Features after the input transform, the same at every call.
        rows: Number of rows, at the beginning, at which the operators are wanted.
        taped: Whether `forward` keeps what makes a `backward` after it faster.

    Raises:
        Unsupported: The network or its inputs have something that the kernel has not; the message
            says what.
    """

    def __init__(
        self,
        net: FNN,
        operators: Sequence[Operator],
        inputs: Jet,
        rows: int,
        taped: bool = True,
    ) -> None:
        self._taped = taped
        self._activation = _activation(net)
        self._dtype = _dtype(inputs)
        self._norms = _norms(net)
        self._norm_last = net.norm_last
        self._operators = tuple(operators)
        self._inputs = Jet(inputs.values.detach(), inputs.streams.detach())
        self._points, self._rows = len(inputs.values), rows
        linears: list[Any] = list(net.linears)
        self._sizes: list[int] = [
            linears[0].weight.shape[1],
            *(linear.weight.shape[0] for linear in linears),
        ]
        _check_shapes(self._inputs, self._sizes[0], len(self._operators), rows)
        trained = {name for name, p in net.named_parameters() if p.requires_grad}
        layers = range(len(linears))
        self._names = [f"linears.{k}.{part}" for k in layers for part in ("weight", "bias")]
        self._of_norms = [f"norms.{k}.{part}" for k in self._norms for part in ("weight", "bias")]
        self._trained = [name for name in (*self._names, *self._of_norms) if name in trained]
        self._shapes = [
            shape
            for i, o in itertools.pairwise(self._sizes)
            for shape in (torch.Size((o, i)), torch.Size((o,)))
        ]
        self._counts = [shape.numel() for shape in self._shapes]
        self._offsets = [0, *itertools.accumulate(self._counts[:-1])]
        #: The last linear layers' tensors that were found right, and their addresses.
        self._found: tuple[list[Tensor], list[int]] = [], []
        self._library: ctypes.CDLL | None = None
        self._network: int | None = None

    @property
    def flat(self) -> tuple[str, ...]:
        """Names of what `backward_flat` gives the gradient by, in order; none if it cannot."""
        whole = not self._norms and self._trained == self._names
        return tuple(self._names) if whole else ()

    @property
    def macros(self) -> tuple[str, ...]:
        """What the kernel's source is compiled for."""
        return f"ELEMENT={_ELEMENTS[self._dtype]}", f"ACTIVATION={self._activation}"

    def prepare(self) -> None:
        """Compile the kernel, or load it; the first call does so otherwise.

        Raises:
            bench.training.native.NoLibrary: It cannot be had.
            MemoryError: There is too little memory for its buffers.
        """
        if self._network is not None:
            return
        library = _declared(load_library(_SOURCE, self.macros))
        values, streams = self._inputs.values, self._inputs.streams
        products = [(k, a, b, c) for k, o in enumerate(self._operators) for a, b, c in o.products]
        hidden = sum(self._sizes[1:-1]) * values.element_size()
        tape = hidden * (len(values) + len(self._operators) * self._rows)
        network = library.taylor_create(
            len(self._sizes) - 1,
            _integers(self._sizes),
            len(self._operators),
            len(products),
            _integers([position for product in products for position in product[:3]]),
            (ctypes.c_double * len(products))(*(product[3] for product in products)),
            len(values),
            self._rows,
            *_strided(values.unsqueeze(0)),
            *_strided(streams),
            streams.shape[1] == 1,
            self._taped and tape <= _TAPE,
        )
        if not network:
            raise MemoryError("too little memory for the buffers of the Taylor kernel")
        self._library, self._network = library, network
        weakref.finalize(self, library.taylor_destroy, network)

    def forward(self, state: Mapping[str, Tensor]) -> Jet:
        """Outputs of the network before its output transform, without a graph.

        Args:
            state: Parameters and buffers of the network by name.

        Raises:
            ValueError: A parameter has another shape, dtype or device than the network's.
            bench.training.native.NoLibrary: See `prepare`.
        """
        self.prepare()
        assert self._library is not None
        parameters, addresses = self._addressed(state)
        outputs = self._sizes[-1]
        values = torch.empty(outputs, self._points, dtype=self._dtype)
        streams = torch.empty(len(self._operators), outputs, self._rows, dtype=self._dtype)
        self._library.taylor_forward(
            self._network, _pointers(addresses), values.data_ptr(), streams.data_ptr()
        )
        del parameters  # which the addresses are of
        return Jet(values.mT, streams.mT)

    def backward(self, state: Mapping[str, Tensor], by: Jet) -> dict[str, Tensor]:
        """The gradient by the trained parameters of linear layers and norms, by their names.

        It costs twice the forward pass, if that was the last call and of the same parameters, and
        three times otherwise. Without norms, the tensors are views of one vector that has them one
        behind the other, in the order of ``net.named_parameters()``.

        Args:
            state: As for `forward`.
            by: The gradient by what `forward` returns, of the same shapes.

        Raises:
            ValueError: `by` or a parameter has another shape, dtype or device.
            bench.training.native.NoLibrary: See `prepare`.
        """
        vector = self.backward_flat(state, by)
        parts = zip(self._names, vector.split(self._counts), self._shapes, strict=True)
        found = {name: part.view(shape) if len(shape) > 1 else part for name, part, shape in parts}
        if self._norms:
            found = self._unfolded(state, found)
        return {name: found[name] for name in self._trained}

    def backward_flat(self, state: Mapping[str, Tensor], by: Jet) -> Tensor:
        """The gradient by all weights and biases, the norms in them, as one vector.

        Args:
            state: As for `forward`.
            by: As for `backward`.

        Raises:
            ValueError: See `backward`.
            bench.training.native.NoLibrary: See `prepare`.
        """
        self.prepare()
        assert self._library is not None
        parameters, addresses = self._addressed(state)
        outputs = self._sizes[-1]
        self._check(by.values, "values", torch.Size((self._points, outputs)))
        shape = torch.Size((len(self._operators), self._rows, outputs))
        self._check(by.streams, "streams", shape)
        vector = torch.empty(sum(self._counts), dtype=self._dtype)
        begin, size = vector.data_ptr(), vector.element_size()
        begins = [begin + size * offset for offset in self._offsets]
        self._library.taylor_backward(
            self._network,
            _pointers(addresses),
            *_strided(by.values.unsqueeze(0)),
            *_strided(by.streams),
            _pointers(begins),
        )
        del parameters  # which the addresses are of
        return vector

    def __call__(self, state: Mapping[str, Tensor]) -> Jet:
        """As `forward`, with a graph to the tensors of `state` that can be differentiated once."""
        found: tuple[Tensor, Tensor] = _Kernel.apply(self, tuple(state), *state.values())
        return Jet(*found)

    def _check(self, tensor: Tensor, name: str, shape: torch.Size) -> None:
        if tensor.shape != shape or tensor.dtype != self._dtype or not tensor.is_cpu:
            raise ValueError(
                f"{name}: {tuple(tensor.shape)} of {tensor.dtype} on {tensor.device} instead of"
                f" {tuple(shape)} of {self._dtype} on cpu"
            )

    def _addressed(self, state: Mapping[str, Tensor]) -> tuple[list[Tensor], list[int]]:
        """Weights and biases, the affine norms in them, and their addresses."""
        if not self._norms:
            given = [state[name] for name in self._names]
            addresses = [tensor.data_ptr() for tensor in given]
            # Checked before: to check them again is a tenth of a small network's step.
            if addresses == self._found[1] and all(map(operator.is_, given, self._found[0])):
                return self._found
        folded = self._folded(state)
        found = folded, [tensor.data_ptr() for tensor in folded]
        if not self._norms and all(map(operator.is_, given, folded)):
            self._found = found
        return found

    def _folded(self, state: Mapping[str, Tensor]) -> list[Tensor]:
        """Weights and biases, the affine norms in them."""
        found = []
        for name, shape in zip(self._names, self._shapes, strict=True):
            tensor = state[name]
            self._check(tensor, name, shape)
            found.append(tensor if tensor.is_contiguous() else tensor.contiguous())
        if not self._norms:
            return found
        with torch.no_grad():
            for k in self._norms:
                factor, offset = self._affine(state, k)
                if self._norm_last:  # σ·factor + offset goes into the next layer
                    weight, bias = found[2 * k + 2 : 2 * k + 4]
                    found[2 * k + 2 : 2 * k + 4] = weight * factor, bias + weight @ offset
                else:
                    weight, bias = found[2 * k : 2 * k + 2]
                    found[2 * k : 2 * k + 2] = (
                        weight * factor.unsqueeze(1),
                        bias * factor + offset,
                    )
        return found

    def _unfolded(self, state: Mapping[str, Tensor], by: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The gradient by linear layers and norms, of the one by what `_folded` returns."""
        found = dict(by)
        with torch.no_grad():
            for k in self._norms:
                factor, offset = self._affine(state, k)
                linear = f"linears.{k + 1 if self._norm_last else k}."
                weight, bias = state[linear + "weight"], state[linear + "bias"]
                by_weight, by_bias = found[linear + "weight"], found[linear + "bias"]
                if self._norm_last:
                    by_factor = (by_weight * weight).sum(0)
                    by_offset = weight.mT @ by_bias
                    found[linear + "weight"] = by_weight * factor + torch.outer(by_bias, offset)
                else:
                    by_factor = (by_weight * weight).sum(1) + by_bias * bias
                    by_offset = by_bias
                    found[linear + "weight"] = by_weight * factor.unsqueeze(1)
                    found[linear + "bias"] = by_bias * factor
                mean, scale = state[f"norms.{k}.mean"], self._scale(state, k)
                found[f"norms.{k}.weight"] = (by_factor - by_offset * mean) * scale
                found[f"norms.{k}.bias"] = by_offset
        return found

    def _affine(self, state: Mapping[str, Tensor], k: int) -> tuple[Tensor, Tensor]:
        """Factor and offset of a norm."""
        factor = self._scale(state, k) * state[f"norms.{k}.weight"]
        return factor, state[f"norms.{k}.bias"] - state[f"norms.{k}.mean"] * factor

    def _scale(self, state: Mapping[str, Tensor], k: int) -> Tensor:
        return torch.rsqrt(state[f"norms.{k}.var"] + self._norms[k])


class _Kernel(torch.autograd.Function):
    """The kernel as a function of the tensors of a state, whose names come with them."""

    @staticmethod
    def forward(
        ctx: Any, kernel: KernelNetwork, names: tuple[str, ...], *tensors: Tensor
    ) -> tuple[Tensor, Tensor]:
        ctx.kernel, ctx.names = kernel, names
        ctx.save_for_backward(*tensors)
        jet = kernel.forward(dict(zip(names, tensors, strict=True)))
        return jet.values, jet.streams

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_values: Tensor, by_streams: Tensor) -> tuple[Tensor | None, ...]:
        state = dict(zip(ctx.names, ctx.saved_tensors, strict=True))
        found = ctx.kernel.backward(state, Jet(by_values, by_streams))
        return None, None, *(found.get(name) for name in ctx.names)


def _activation(net: FNN) -> str:
    names = set()
    for activation in net.activations:
        name = native_name(activation)
        if name is None:
            raise Unsupported(f"activation {type(activation).__name__} has no native form")
        names.add(name)
    if len(names) != 1:
        raise Unsupported(f"{len(names)} different activations are in one network")
    return names.pop()


def _dtype(inputs: Jet) -> torch.dtype:
    values = inputs.values
    if values.device.type != "cpu":
        raise Unsupported(f"the kernel runs on a CPU, not on {values.device.type}")
    if values.dtype not in _ELEMENTS:
        raise Unsupported(f"the kernel has no elements of {values.dtype}")
    return values.dtype


def _norms(net: FNN) -> dict[int, float]:
    """The constant in the variance of each affine norm, by its position."""
    found = {}
    for k, norm in enumerate(net.norms):
        kind = type(norm)
        if isinstance(norm, FrozenBatchNorm) and kind is FrozenBatchNorm:
            found[k] = norm.eps
        elif kind is LayerNorm:
            raise Unsupported("normalisation LayerNorm mixes features")
        elif kind is PointwiseBatchNorm:
            raise Unsupported("normalisation PointwiseBatchNorm mixes rows")
        elif kind is not nn.Identity:
            raise Unsupported(f"normalisation {kind.__name__} has no rule for derivatives")
    return found


def _check_shapes(inputs: Jet, features: int, operators: int, rows: int) -> None:
    values, streams = inputs.values, inputs.streams
    if values.ndim != 2 or streams.ndim != 3:
        raise Unsupported("the kernel evaluates one network at a time")
    if (
        values.shape[1] != features
        or len(values) < max(rows, 1)
        or streams.shape[::2] != (operators, features)
        or streams.shape[1] not in (1, rows)
        or streams.dtype != values.dtype
        or streams.device != values.device
    ):
        raise ValueError(
            f"inputs of the shapes {tuple(values.shape)} and {tuple(streams.shape)} for {operators}"
            f" operators at {rows} rows of {features} features"
        )


def _integers(values: Sequence[int]) -> ctypes.Array[ctypes.c_int64]:
    return (ctypes.c_int64 * len(values))(*values)


def _strided(tensor: Tensor) -> tuple[int, ctypes.Array[ctypes.c_int64]]:
    """Address and strides of a tensor of the axes stream, row and feature."""
    return tensor.data_ptr(), _integers(tensor.stride())


def _pointers(addresses: Sequence[int]) -> ctypes.Array[ctypes.c_void_p]:
    return (ctypes.c_void_p * len(addresses))(*addresses)


def _declared(library: ctypes.CDLL) -> ctypes.CDLL:
    """The library, knowing its functions' arguments."""
    pointer, integer = ctypes.c_void_p, ctypes.c_int64
    library.taylor_create.restype = pointer
    library.taylor_create.argtypes = [
        *(integer, pointer, integer, integer, pointer, pointer, integer, integer),
        *(pointer, pointer, pointer, pointer, integer, integer),
    ]
    library.taylor_destroy.restype = None
    library.taylor_destroy.argtypes = [pointer]
    library.taylor_forward.restype = None
    library.taylor_forward.argtypes = [pointer] * 4
    library.taylor_backward.restype = None
    library.taylor_backward.argtypes = [pointer] * 7
    return library
