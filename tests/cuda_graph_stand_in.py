"""A CUDA graph on the CPU: operators are recorded with their memory, and run again on it.

As on a device, a replay reads and writes the tensors of the capture, whatever the function does by
then; results are worthless until the first replay, and every replay of a graph of the same pool
writes over them; a value that is asked for on the host ends the capture.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from bench.training import capture

#: What a device refuses while a stream is capturing: values on the host, and copies from there.
_REFUSED = ("aten::_local_scalar_dense", "aten::nonzero", "aten::lift_fresh", "aten::masked_select")


class _Record(TorchDispatchMode):
    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self._graph = graph

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func.name().partition(".")[0] in _REFUSED:
            message = f"operation not permitted when stream is capturing: {func.name()}"
            raise RuntimeError(message)
        found = func(*args, **kwargs)
        self._graph.tape.append((func, args, kwargs, found))
        return found


class Graph:
    """Stands in for `torch.cuda.CUDAGraph`.

    Attributes:
        replays: How often it was replayed.
    """

    def __init__(self) -> None:
        self.tape: list[tuple[Any, Any, Any, Any]] = []
        self.pool: list[Graph] = [self]
        self.replays = 0

    @torch.no_grad()
    def replay(self) -> None:
        for graph in self.pool:
            graph.spoil()
        self.replays += 1
        for func, args, kwargs, found in self.tape:
            if func._schema.is_mutable:
                func(*args, **kwargs)
            elif own := self._own(args, kwargs, found):
                again = [t for t in tree_leaves(func(*args, **kwargs)) if isinstance(t, Tensor)]
                for old, new in zip(own, again, strict=True):
                    old.copy_(new)

    @torch.no_grad()
    def spoil(self) -> None:
        """Write over the memory of the capture."""
        for func, args, kwargs, found in self.tape:
            if not func._schema.is_mutable:
                for tensor in self._own(args, kwargs, found):
                    tensor.fill_(float("nan") if tensor.is_floating_point() else 0)

    @staticmethod
    def _own(args: Any, kwargs: Any, found: Any) -> list[Tensor]:
        """The results, if they are no views of the arguments."""
        given = {
            tensor.untyped_storage().data_ptr()
            for tensor in tree_leaves((args, kwargs))
            if isinstance(tensor, Tensor)
        }
        results = [t for t in tree_leaves(found) if isinstance(t, Tensor)]
        if any(t.untyped_storage().data_ptr() in given for t in results if t.numel()):
            return []
        return results


class _Stream:
    def __init__(self, device: Any = None) -> None:
        self.device = device

    def wait_stream(self, other: _Stream) -> None:
        pass


class Device:
    """What of `torch.cuda` a capture uses.

    Attributes:
        graphs: All that were captured.
        current: The current stream.
    """

    def __init__(self) -> None:
        self.graphs: list[Graph] = []
        self.current = _Stream()
        self._pools: dict[Any, list[Graph]] = {}

    def set_stream(self, stream: _Stream) -> None:
        self.current = stream

    @contextlib.contextmanager
    def stream(self, stream: _Stream) -> Iterator[None]:
        before, self.current = self.current, stream
        yield
        self.current = before

    @contextlib.contextmanager
    def graph(self, graph: Graph, pool: Any = None, stream: Any = None) -> Iterator[None]:
        self.current = stream  # a capture that fails leaves it so
        with _Record(graph):
            yield
        self.graphs.append(graph)
        if pool is not None:
            graph.pool = self._pools.setdefault(pool, [])
            graph.pool.append(graph)
        graph.spoil()


@contextlib.contextmanager
def stand_in() -> Iterator[Device]:
    """In the body, functions on the CPU are captured."""
    device = Device()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, "current_stream", lambda *_: device.current)
        patch.setattr(torch.cuda, "current_device", lambda: 0)
        patch.setattr(torch.cuda, "set_stream", device.set_stream)
        patch.setattr(torch.cuda, "stream", device.stream)
        patch.setattr(torch.cuda, "graph", device.graph)
        patch.setattr(torch.cuda, "graph_pool_handle", lambda: object())
        patch.setattr(torch.cuda, "Stream", _Stream)
        patch.setattr(torch.cuda, "CUDAGraph", Graph)
        capture._capture_stream.cache_clear()
        try:
            yield device
        finally:
            capture._capture_stream.cache_clear()
