"""Loss and gradients of a batch as one function of tensors, which can be traced and compiled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import schnetpack.properties as structure
import torch
from schnetpack.model import NeuralNetworkPotential
from torch import Tensor, nn

from bench.training.parameters import FlatParameters
from bench.training.traced import Function, compile_traced
from suites.molecular.data.static_batches import Layout, StaticBatch
from suites.molecular.engine.prediction import PaddedPotential, StaticPotential
from suites.molecular.loss import WHOLE, EnergyForceLoss


class Result(NamedTuple):
    """What a training step needs of a batch.

    Attributes:
        terms: Loss terms in the labels' unit, ``loss`` among them, by name.
        gradient: Of the loss, by the parameters' vector.
        statistics: Running mean and variance of each batch norm as they will be.
    """

    terms: dict[str, Tensor]
    gradient: Tensor
    statistics: list[Tensor]


class StepFunction:
    """The loss of a potential in training mode, and its gradients.

    Args:
        net: The potential.
        parameters: Those of it that are trained.
        loss: Of predictions.
        potential: Predicts by the weights of `net`; ``None``: by its modules.
    """

    def __init__(
        self,
        net: NeuralNetworkPotential,
        parameters: FlatParameters,
        loss: EnergyForceLoss,
        potential: PaddedPotential | None = None,
    ) -> None:
        self._potential = potential or StaticPotential(net)
        self._loss = loss
        self._parameters = parameters
        self._terms = ("loss", *loss.names)
        # A graph with numbers in it would serve no other rescaling, nor another seed's.
        self._factors = parameters.vector.new_tensor(loss.factors)
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
        """What `function` takes: the parameters' vector, and the tensors of a batch."""
        return [self._parameters.vector.detach(), *batch.tensors.values()]

    def result(self, found: Sequence[Tensor]) -> Result:
        """What the function returns, by name."""
        terms = len(self._terms)
        return Result(
            dict(zip(self._terms, found, strict=False)), found[terms], list(found[terms + 1 :])
        )

    def function(self, batch: StaticBatch) -> Function:
        """Terms, gradient and statistics of parameters and the tensors of a batch like this."""
        layout, keys = batch.layout, list(batch.tensors)

        def run(vector: Tensor, *tensors: Tensor) -> list[Tensor]:
            net = self._potential.net.train()
            parameters = {
                name: part.detach().requires_grad_()
                for name, part in self._parameters.split(vector).items()
            }
            given = StaticBatch(layout, dict(zip(keys, tensors, strict=True)))
            with torch.enable_grad(), _parameters_replaced(net, parameters):
                terms = self._losses(given)
                gradients = torch.autograd.grad(
                    terms["loss"], list(parameters.values()), materialize_grads=True
                )
            statistics = [tensor for norm in self._potential.norms for tensor in norm.updated or ()]
            for norm in self._potential.norms:
                norm.updated = None  # while tracing it has no values
            gradient = self._parameters.join(gradients)
            found = [*(terms[name] for name in self._terms), gradient, *statistics]
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
            self._factors.unbind(),
        )


@contextmanager
def _parameters_replaced(net: nn.Module, tensors: Mapping[str, Tensor]) -> Iterator[None]:
    """A network with other tensors in its parameters' places, wherever it uses them.

    `torch.func.functional_call` leaves its own tensors in a module that a network uses twice.

    Args:
        net: The network.
        tensors: By the names of its parameters.
    """
    given = {id(net.get_parameter(name)): tensor for name, tensor in tensors.items()}
    places: list[tuple[dict[str, Any], str, nn.Parameter | None]] = [
        (module._parameters, name, parameter)
        for module in net.modules()
        for name, parameter in module._parameters.items()
        if id(parameter) in given
    ]
    try:
        for of_module, name, parameter in places:
            of_module[name] = given[id(parameter)]
        yield
    finally:
        for of_module, name, parameter in places:
            of_module[name] = parameter
