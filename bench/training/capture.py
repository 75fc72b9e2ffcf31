"""A function of tensors as one CUDA graph: its kernels are captured once, then replayed.

Launching the kernels of a training step takes longer than running them, unless the model is large.
A graph is launched as one. What it reads and writes stays where it lay at the capture, so arguments
are copied into buffers of the graph, and results out of its memory.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from bench.text.errors import typed

Function = Callable[..., Sequence[Tensor]]

#: What is set up, chosen or remembered in the first calls is not to be captured.
_WARM_UP = 3


class NotCaptured(Exception):
    """A function cannot be captured; the message says why."""


class Captured:
    """A captured function; see `capture`.

    Attributes:
        buffers: What the graph reads its arguments from, in order. An argument that is written
            there by the caller, and given as the buffer itself, is not copied.
    """

    def __init__(
        self, graph: torch.cuda.CUDAGraph, buffers: Sequence[Tensor], found: Sequence[Tensor]
    ) -> None:
        self.buffers = tuple(buffers)
        self._graph = graph
        self._found = tuple(found)

    def __call__(self, *given: Tensor) -> tuple[Tensor, ...]:
        """The results for these arguments, as new tensors.

        Raises:
            ValueError: An argument is not of the kind that was captured.
        """
        self._fill(given)
        self._graph.replay()
        # The next replay, of this graph or of another in the same pool, writes over them.
        return tuple(tensor.clone() for tensor in self._found)

    def _fill(self, given: Sequence[Tensor]) -> None:
        """Copy the arguments into the buffers, by one kernel for each dtype."""
        copied: dict[torch.dtype, tuple[list[Tensor], list[Tensor]]] = {}
        for buffer, argument in zip(self.buffers, given, strict=True):
            if _kind(argument) != _kind(buffer):
                raise ValueError(f"captured for {_kind(buffer)}, not for {_kind(argument)}")
            if argument.data_ptr() != buffer.data_ptr():
                targets, sources = copied.setdefault(buffer.dtype, ([], []))
                targets.append(buffer)
                sources.append(argument.detach())
        for targets, sources in copied.values():
            torch._foreach_copy_(targets, sources)


def can_capture(device: torch.device) -> bool:
    """Whether functions on this device can be captured."""
    return device.type == "cuda"


def capture(
    function: Function, *examples: Tensor, changed: Sequence[Tensor] = (), pool: Any = None
) -> Captured:
    """The function's kernels captured in a CUDA graph.

    Args:
        function: Maps tensors to a sequence of tensors, all on the current CUDA device, by kernels
            whose course does not depend on values. Tensors that it refers to are read, and
            changed, where they lie: they must not move.
        examples: Arguments; later ones have the same shapes, strides, dtypes and devices.
        changed: Tensors that the function changes in place, as running statistics. They are left
            as they are until the first replay.
        pool: `torch.cuda.graph_pool_handle`, of graphs that share their memory: replayed one after
            the other, they need as much as the largest. ``None``: memory of its own.

    Raises:
        NotCaptured: It waits for the device, copies from the host, or fails.
    """
    buffers = [example.detach().clone() for example in examples]
    before, stream = torch.cuda.current_stream(), _capture_stream(torch.cuda.current_device())
    graph = torch.cuda.CUDAGraph()
    kept = [tensor.detach().clone() for tensor in changed]
    try:
        stream.wait_stream(before)
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UP):
                function(*buffers)
        with torch.cuda.graph(graph, pool=pool, stream=stream):
            found = function(*buffers)
    except Exception as error:
        # What follows from a failed capture hides what made it fail.
        raise NotCaptured(typed(error.__context__ or error)) from error
    finally:
        # A capture that fails leaves its stream current.
        torch.cuda.set_stream(before)
        before.wait_stream(stream)
        with torch.no_grad():
            for tensor, value in zip(changed, kept, strict=True):
                tensor.copy_(value)
    return Captured(graph, buffers, found)


def _kind(tensor: Tensor) -> tuple[Any, ...]:
    return tuple(tensor.shape), tensor.stride(), tensor.dtype, tensor.device


@functools.cache
def _capture_stream(device: int) -> torch.cuda.Stream:
    """One for all captures: cuBLAS keeps a workspace for every stream."""
    return torch.cuda.Stream(device)
