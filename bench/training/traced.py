"""A function of tensors as one compiled graph, shared by all that compute the same.

The function, its gradients included, is traced into a graph of plain operators, which inductor
compiles. Every tensor that it refers to (points, labels, weights, buffers) becomes an input of the
graph, so one compiled graph serves all runs of a process that differ in numbers only, and
inductor's cache on disk serves later processes.
"""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, fx
from torch._prims_common import clone_preserve_strides
from torch._subclasses import FakeTensor
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_leaves

from bench.training.cpu_forms import CPU_FORMS

Function = Callable[..., Sequence[Tensor]]

#: Of inductor: it compiles on this core alone, and fuses products with sums.
_OPTIONS = {"compile_threads": 1, "cpp.enable_floating_point_contract_flag": "fast"}

#: Compiled graphs that are kept in a process.
_KEPT = 64


def compile_traced(function: Function, *examples: Tensor) -> Function:
    """The function, compiled by inductor for tensors like the examples.

    Args:
        function: Maps tensors to a sequence of tensors, by operators whose course does not depend
            on values. Tensors that it refers to are read anew at each call, and those that it
            changes in place are changed at each call, but not by compiling.
        examples: Arguments; later ones have the same shapes, strides, dtypes and devices.

    Returns:
        A function of such arguments. Its results are new tensors without a graph.

    Raises:
        Exception: Whatever tracing or the compiler raises.
    """
    graph, constants = _traced(function, examples)
    arguments = [*constants, *examples]
    key = (torch.get_num_threads(), *(_kind(tensor) for tensor in arguments))
    compiled = _compiled(_Graph(graph, arguments, (graph.code, key)))

    def run(*given: Tensor) -> Sequence[Tensor]:
        with torch.no_grad():
            found: Sequence[Tensor] = compiled(*constants, *given)
        return found

    return run


def _traced(function: Function, examples: Sequence[Tensor]) -> tuple[fx.GraphModule, list[Tensor]]:
    """The graph, whose first inputs are the tensors that the function refers to, and these."""
    kept = _Kept()

    def observed(*given: Tensor) -> tuple[Tensor, ...]:
        with kept:
            return tuple(function(*given))

    # Fake tensors have no values that a user's function could carry out of torch and into a
    # constant.
    trace = make_fx(
        observed,
        decomposition_table=CPU_FORMS,
        tracing_mode="fake",
        _allow_non_fake_inputs=True,
    )
    with _quiet():
        try:
            graph = trace(*(example.clone() for example in examples))
        finally:
            kept.restore()
    first = next(iter(graph.graph.nodes))
    constants: dict[str, Tensor] = {}
    inputs: dict[str, fx.Node] = {}
    for node in list(graph.graph.nodes):
        if node.op != "get_attr":
            continue
        if node.target not in inputs:
            with graph.graph.inserting_before(first):
                inputs[node.target] = graph.graph.placeholder(f"constant_{len(constants)}")
            constants[node.target] = getattr(graph, node.target).detach()
        node.replace_all_uses_with(inputs[node.target])
        graph.graph.erase_node(node)
    for name in inputs:
        # The compiler would take a tensor that is changed from here, and not the argument.
        delattr(graph, name)
    graph.recompile()
    return graph, list(constants.values())


class _Kept(TorchDispatchMode):
    """Keeps what is changed in place while a function is traced.

    Tracing by fake tensors still executes what involves none, as a counter's ``add_(1)``.
    """

    def __init__(self) -> None:
        super().__init__()
        self._before: list[tuple[Tensor, Tensor]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        for k, argument in enumerate(func._schema.arguments):
            if argument.is_write:
                given = args[k] if k < len(args) else kwargs.get(argument.name)
                self._keep(given)
        return func(*args, **kwargs)

    def _keep(self, given: Any) -> None:
        with _disable_current_modes():
            for tensor in tree_leaves(given):
                if isinstance(tensor, Tensor) and not isinstance(tensor, FakeTensor):
                    self._before.append((tensor.detach(), tensor.detach().clone()))

    def restore(self) -> None:
        """Undo the changes."""
        for tensor, before in reversed(self._before):
            tensor.copy_(before)
        self._before.clear()


def _kind(tensor: Tensor) -> tuple[Any, ...]:
    return tensor.shape, tensor.stride(), tensor.dtype, tensor.device


class _Graph:
    """A graph to compile; equal to another of the same operators on the same kinds of tensors."""

    def __init__(
        self, graph: fx.GraphModule, arguments: Sequence[Tensor], key: tuple[Any, ...]
    ) -> None:
        self.graph = graph
        self.arguments = list(arguments)
        self._key = key

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Graph) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def compiled(self) -> Function:
        """The function that inductor makes of it."""
        import torch._inductor as inductor

        arguments = self.arguments
        # It is kept as a key, and they are large.
        self.arguments = []
        with _quiet(), torch.no_grad():
            found: Function = inductor.compile(self.graph, list[Any](arguments))
            # C++ is compiled at the first call, which may change what it is given.
            found(*map(clone_preserve_strides, arguments))
        return found


@lru_cache(_KEPT)
def _compiled(graph: _Graph) -> Function:
    return graph.compiled()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Inductor, quiet and with this module's options."""
    import torch._inductor.config as inductor

    # It says at the first use that there is no CUDA.
    logger = logging.getLogger("torch.utils.cpp_extension")
    level = logger.level
    with warnings.catch_warnings(), inductor.patch(_OPTIONS):
        warnings.simplefilter("ignore")
        logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            logger.setLevel(level)
