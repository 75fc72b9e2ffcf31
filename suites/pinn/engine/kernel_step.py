"""A training step in three parts: the network by the native kernel, the loss, and back.

The loss is a function of the network's outputs, their derivatives and the unknowns of an inverse
problem, and holds no network. Its graph is small, so it compiles in seconds, and one compiled graph
serves all arms and seeds of a problem, whatever their activations and widths.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from bench.training.parameters import FlatParameters
from bench.training.traced import compile_traced
from suites.pinn.engine.evaluation import TaylorEvaluation
from suites.pinn.engine.taylor import Jet

#: From outputs, streams and unknowns to the loss, its terms, and its gradient by each of these.
OutputsLoss = Callable[..., Sequence[Tensor]]


class KernelStep:
    """Loss, terms and gradient of a network that the kernel evaluates.

    Args:
        evaluation: The loss terms, with a kernel.
        weights: Of the terms, ``(n_terms,)``.
        parameters: Of the network, and the unknowns.
        buffers: Whatever else the network has, by name.
    """

    def __init__(
        self,
        evaluation: TaylorEvaluation,
        weights: Tensor,
        parameters: FlatParameters,
        buffers: Mapping[str, Tensor],
    ) -> None:
        assert evaluation.kernel is not None
        self._evaluation = evaluation
        self._kernel = evaluation.kernel
        self._weights = weights
        self._parameters = parameters
        self._buffers = {name: buffer.detach() for name, buffer in buffers.items()}
        self._unknowns = list(evaluation.unknowns.named())
        self._vector: Tensor | None = None
        self._named: Mapping[str, Tensor] = {}
        self._flat = False

    def __call__(self, vector: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Loss, terms ``(n_terms,)`` and gradient ``(n_parameters,)``.

        Args:
            vector: The parameters' vector.
        """
        return self._by(self._loss, vector)

    def compiled(self, vector: Tensor) -> Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]:
        """The same with a compiled loss.

        Raises:
            Exception: Whatever tracing or the compiler raises.
        """
        state = self._state(vector)
        outputs = self._kernel.forward(state)
        unknowns = [state[name] for name in self._unknowns]
        loss = compile_traced(self._loss, outputs.values, outputs.streams, *unknowns)
        return lambda vector: self._by(loss, vector)

    def _by(self, loss: OutputsLoss, vector: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        state = self._state(vector)
        outputs = self._kernel.forward(state)
        unknowns = [state[name] for name in self._unknowns]
        total, terms, values, streams, *others = loss(outputs.values, outputs.streams, *unknowns)
        by = Jet(values, streams)
        if self._flat:
            gradient = self._kernel.backward_flat(state, by)
            if others:
                gradient = torch.cat([gradient, *(other.flatten() for other in others)])
            return total, terms, gradient
        found = self._kernel.backward(state, by)
        found.update(zip(self._unknowns, others, strict=True))
        return total, terms, self._parameters.join([found[name] for name in self._named])

    def _loss(self, values: Tensor, streams: Tensor, *unknowns: Tensor) -> Sequence[Tensor]:
        """See `OutputsLoss`."""
        with torch.enable_grad():
            leaves = [tensor.detach().requires_grad_() for tensor in (values, streams, *unknowns)]
            state = {**self._buffers, **dict(zip(self._unknowns, leaves[2:], strict=True))}
            terms = self._evaluation.of_outputs(state, Jet(leaves[0], leaves[1]))
            loss = (terms * self._weights).sum()
            found = torch.autograd.grad(loss, leaves, materialize_grads=True)
        return loss.detach(), terms.detach(), *found

    def _state(self, vector: Tensor) -> Mapping[str, Tensor]:
        """Parameters, buffers and unknowns by name."""
        if self._vector is None or self._vector.data_ptr() != vector.data_ptr():
            # Views: what an optimiser writes into the vector is in them.
            self._vector, self._named = vector, self._parameters.split(vector)
            # Nothing has to be put into another order.
            self._flat = (*self._kernel.flat, *self._unknowns) == tuple(self._named)
        return {**self._buffers, **self._named}
