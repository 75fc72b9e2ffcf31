"""Loss and gradients of a batch as one function of tensors, which can be traced and compiled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import schnetpack.properties as structure
import torch
from schnetpack.model import NeuralNetworkPotential
from torch import Tensor, nn
from torch.func import functional_call

from bench.training.traced import Function, compile_traced
from suites.molecular.data.static_batches import Layout, StaticBatch
from suites.molecular.engine.prediction import PaddedPotential, StaticPotential
from suites.molecular.loss import WHOLE, EnergyForceLoss


class Result(NamedTuple):
    """What a training step needs of a batch.

    Attributes:
        terms: Loss terms in the labels' unit, ``loss`` among them, by name.
        gradients: Of the loss, by each parameter.
        statistics: Running mean and variance of each batch norm as they will be.
    """

    terms: dict[str, Tensor]
    gradients: list[Tensor]
    statistics: list[Tensor]


class StepFunction:
    """The loss of a potential in training mode, and its gradients.

    Args:
        net: The potential.
        parameters: Those that are trained.
        loss: Of predictions.
        potential: Predicts by the weights of `net`; ``None``: by its modules.
    """

    def __init__(
        self,
        net: NeuralNetworkPotential,
        parameters: Sequence[Tensor],
        loss: EnergyForceLoss,
        potential: PaddedPotential | None = None,
    ) -> None:
        self._potential = potential or StaticPotential(net)
        self._loss = loss
        of_net = {id(parameter): name for name, parameter in net.named_parameters()}
        self._names = [of_net[id(parameter)] for parameter in parameters]
        self._parameters = list(parameters)
        self._terms = ("loss", *loss.names)
        self._caller = _Caller(net)
        self._compiled: dict[Layout, Function] = {}

    def __call__(self, batch: StaticBatch) -> Result:
        """Of a batch, by autograd."""
        return self.result(self.function(batch)(*self.arguments(batch)))

    def compiled(self, batch: StaticBatch) -> Result:
        """Of a batch, compiled when a batch of its shape is first met.

        Raises:
            Exception: Whatever tracing or the compiler raises.
        """
        arguments = self.arguments(batch)
        if batch.layout not in self._compiled:
            self._compiled[batch.layout] = compile_traced(self.function(batch), *arguments)
        return self.result(self._compiled[batch.layout](*arguments))

    @property
    def net(self) -> nn.Module:
        """The network."""
        return self._potential.net

    def knows(self, batch: StaticBatch) -> bool:
        """Whether a batch of this shape was compiled."""
        return batch.layout in self._compiled

    def keep(self, result: Result) -> None:
        """Take the statistics of a batch into the batch norms' running ones."""
        norms = self._potential.norms
        if not norms:
            return
        buffers: list[Tensor] = []
        for norm in norms:
            assert norm.running_mean is not None and norm.running_var is not None
            assert norm.num_batches_tracked is not None
            buffers += (norm.running_mean, norm.running_var)
            norm.num_batches_tracked.add_(1)
        torch._foreach_copy_(buffers, result.statistics)

    def arguments(self, batch: StaticBatch) -> list[Tensor]:
        """What `function` takes: parameters, and the tensors of a batch."""
        return [*(p.detach() for p in self._parameters), *batch.tensors.values()]

    def result(self, found: Sequence[Tensor]) -> Result:
        """What the function returns, by name."""
        terms, parameters = len(self._terms), len(self._parameters)
        return Result(
            dict(zip(self._terms, found, strict=False)),
            list(found[terms : terms + parameters]),
            list(found[terms + parameters :]),
        )

    def function(self, batch: StaticBatch) -> Function:
        """Terms, gradients and statistics of parameters and the tensors of a batch like this."""
        layout, keys = batch.layout, list(batch.tensors)
        count = len(self._parameters)

        def run(*tensors: Tensor) -> list[Tensor]:
            self._potential.net.train()
            parameters = [tensor.detach().requires_grad_() for tensor in tensors[:count]]
            given = StaticBatch(layout, dict(zip(keys, tensors[count:], strict=True)))
            with torch.enable_grad():
                terms = self._caller.call(
                    lambda: self._losses(given), dict(zip(self._names, parameters, strict=True))
                )
                gradients = torch.autograd.grad(terms["loss"], parameters, materialize_grads=True)
            statistics = [tensor for norm in self._potential.norms for tensor in norm.updated or ()]
            for norm in self._potential.norms:
                norm.updated = None  # while tracing it has no values
            found = [*(terms[name] for name in self._terms), *gradients, *statistics]
            return [tensor.detach() for tensor in found]

        return run

    def _losses(self, batch: StaticBatch) -> dict[str, Tensor]:
        layout, tensors = batch
        predicted = self._potential(batch, self._loss.has_stress)
        stresses = None
        if predicted.stresses is not None:
            stresses = predicted.stresses, tensors[structure.stress]
        return self._loss(
            predicted.energies - tensors[structure.energy],
            predicted.forces - tensors[structure.forces],
            WHOLE,
            stresses,
            None if layout.same_size else tensors["atom_mask"],
        )


class _Caller(nn.Module):
    """Calls a function of a network with other parameters in their places.

    Args:
        net: The network.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, function: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
        return function()

    def call(
        self, function: Callable[[], dict[str, Tensor]], parameters: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        """The function's result while the network has these parameters, by name."""
        named = {f"net.{name}": parameter for name, parameter in parameters.items()}
        found: dict[str, Tensor] = functional_call(self, named, (function,))
        return found
