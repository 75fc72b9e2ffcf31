"""Normalisation layers that torch does not have, or whose third derivatives it gets wrong."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn


def none(num_features: int) -> nn.Module:
    """No normalisation: the identity."""
    del num_features
    return nn.Identity()


class LayerNorm(nn.LayerNorm):
    """`torch.nn.LayerNorm` over the last axis, composed of operators with exact derivatives.

    The third derivative of torch's own operator takes mean and deviation for constants (torch
    2.13): a loss with second derivatives by the inputs gets a wrong gradient, by 1 % to 100 %.
    """

    def forward(self, x: Tensor) -> Tensor:
        if len(self.normalized_shape) != 1:
            raise ValueError(f"normalises one axis, not the shape {self.normalized_shape}")
        center = x - x.mean(-1, keepdim=True)
        y = center * torch.rsqrt(center.square().mean(-1, keepdim=True) + self.eps)
        if self.weight is not None:
            y = y * self.weight
        return y if self.bias is None else y + self.bias


class BatchNorm1d(nn.BatchNorm1d):
    """`torch.nn.BatchNorm1d`, composed of operators with exact derivatives.

    As with `LayerNorm`, torch's own operator gives a wrong gradient to a loss with second
    derivatives by the inputs, here by up to 1e-3. Inputs that are no batch of rows in training, and
    a momentum of ``None``, are left to torch.

    Inside `apart_statistics` the running statistics stay as they are, and rows that are padding do
    not count.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        #: Weights of rows, (rows, 1), by their number; ``None``: outside of `apart_statistics`.
        self.weights: Mapping[int, Tensor] | None = None
        #: Running mean and variance as they will be.
        self.updated: tuple[Tensor, Tensor] | None = None

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or x.ndim != 2 or len(x) < 2 or self.momentum is None:
            y: Tensor = super().forward(x)
            return y
        weights = None if self.weights is None else self.weights.get(len(x))
        if weights is None:
            mean = x.mean(0)
            center = x - mean
            var = center.square().mean(0)
            unbiased = var * (len(x) / (len(x) - 1))
        else:
            rows = weights.sum()
            mean = (x * weights).sum(0) / rows
            center = x - mean
            var = (center.square() * weights).sum(0) / rows
            unbiased = var * (rows / (rows - 1))
        if self.num_batches_tracked is not None:
            self._keep(mean.detach(), unbiased.detach(), self.momentum)
        y = center * torch.rsqrt(var + self.eps)
        return y * self.weight + self.bias if self.affine else y

    def _keep(self, mean: Tensor, unbiased: Tensor, momentum: float) -> None:
        """Take statistics of a batch into the running ones."""
        assert self.running_mean is not None and self.running_var is not None
        if self.weights is not None:
            self.updated = (
                self.running_mean.lerp(mean, momentum),
                self.running_var.lerp(unbiased, momentum),
            )
            return
        assert self.num_batches_tracked is not None
        self.running_mean.lerp_(mean, momentum)
        self.running_var.lerp_(unbiased, momentum)
        self.num_batches_tracked.add_(1)


@contextlib.contextmanager
def apart_statistics(
    layers: Sequence[BatchNorm1d], weights: Mapping[int, Tensor]
) -> Iterator[None]:
    """In the body, layers leave their running statistics alone and put new ones in ``updated``.

    Args:
        layers: Batch norms in training mode.
        weights: (rows, 1) of 1 for real rows and 0 for padding, by the number of rows; where a
            number is missing, all rows count.
    """
    try:
        for layer in layers:
            layer.weights, layer.updated = weights, None
        yield
    finally:
        for layer in layers:
            layer.weights = None


class _KeptStatistics(nn.Module):
    """Trained affine parameters, and the statistics of evaluation as buffers.

    Args:
        num_features: Size of the last axis.
        eps: Added to the variance, as in `torch.nn.BatchNorm1d`.
    """

    mean: Tensor
    var: Tensor

    def __init__(self, num_features: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.measuring = False
        self.weight = nn.Parameter(torch.ones(num_features))
        self.bias = nn.Parameter(torch.zeros(num_features))
        self.register_buffer("mean", torch.zeros(num_features))
        self.register_buffer("var", torch.ones(num_features))

    def _normalized(self, x: Tensor, mean: Tensor, var: Tensor) -> Tensor:
        return (x - mean) * torch.rsqrt(var + self.eps) * self.weight + self.bias


class FrozenBatchNorm(_KeptStatistics):
    """Batch norm whose statistics are measured once, after initialisation, and then kept.

    The affine parameters are trained. Rows do not influence each other, so derivatives with
    respect to the input are pointwise, unlike those of `torch.nn.BatchNorm1d` in training mode.

    Args:
        num_features: Size of the last axis.
        eps: Added to the variance, as in `torch.nn.BatchNorm1d`.

    Shape:
        ``(rows, num_features)`` to the same.
    """

    def forward(self, x: Tensor) -> Tensor:
        if self.measuring:
            var, mean = torch.var_mean(x.detach(), dim=0, correction=0)
            self.mean.copy_(mean)
            self.var.copy_(var)
        return self._normalized(x, self.mean, self.var)


class PointwiseBatchNorm(_KeptStatistics):
    """Batch norm by the statistics of all training rows, constants to a derivative by the input.

    They are functions of the network's parameters all the same, and the gradient of a loss goes
    through them. So the network is one function of a point, whose derivatives are its own, unlike
    with `torch.nn.BatchNorm1d` (S. Ioffe and C. Szegedy, arXiv 1502.03167) in training mode; and
    its statistics follow the parameters, unlike those of `FrozenBatchNorm`.

    In training the network says what the training rows are, by `measuring` or `statistics_of`. In
    evaluation the statistics are those that `keep` kept.

    Args:
        num_features: Size of the last axis.
        eps: Added to the variance, as in `torch.nn.BatchNorm1d`.

    Shape:
        ``(rows, num_features)`` to the same.

    Raises:
        RuntimeError: In training, outside of `measuring` and `statistics_of`.
    """

    def __init__(self, num_features: int, eps: float = 1e-5) -> None:
        super().__init__(num_features, eps)
        self.statistics: tuple[Tensor, Tensor] | None = None

    def forward(self, x: Tensor) -> Tensor:
        if self.measuring:
            mean = x.mean(0)
            self.statistics = mean, (x - mean).square().mean(0)
        if self.statistics is None and self.training:
            raise RuntimeError(
                "pointwise batch norm in training needs the statistics of all training rows, and"
                " this network does not gather them"
            )
        return self._normalized(x, *(self.statistics or (self.mean, self.var)))

    def keep(self) -> None:
        """Make the statistics that were measured those of evaluation."""
        assert self.statistics is not None
        with torch.no_grad():
            self.mean.copy_(self.statistics[0])
            self.var.copy_(self.statistics[1])


def pointwise_norms(net: nn.Module) -> list[PointwiseBatchNorm]:
    """The layers of a network whose statistics are those of all training rows."""
    return [layer for layer in net.modules() if isinstance(layer, PointwiseBatchNorm)]


@contextlib.contextmanager
def measuring(layers: Sequence[PointwiseBatchNorm]) -> Iterator[None]:
    """In the body, layers normalise by the statistics of the rows that they are given."""
    try:
        for layer in layers:
            layer.measuring = True
        yield
    finally:
        for layer in layers:
            layer.measuring, layer.statistics = False, None


@contextlib.contextmanager
def statistics_of(
    layers: Sequence[PointwiseBatchNorm], forward: Callable[[], object]
) -> Iterator[None]:
    """In the body, layers normalise by their statistics over the rows of a forward pass.

    The statistics have their graph to the parameters. For derivatives by the input to take them for
    constants, the pass is to be of detached points.

    Args:
        layers: All layers of the kind in a network.
        forward: Runs the network on the training rows.
    """
    with measuring(layers):
        forward()
        for layer in layers:
            layer.measuring = False
        yield


def measure_frozen_statistics(model: nn.Module, forward: Callable[[], object]) -> None:
    """Set the statistics of every `FrozenBatchNorm` in `model` from one forward pass.

    Args:
        model: The network.
        forward: Runs `model` on the training points; layers are measured in order of execution,
            each on the output of the ones already measured.
    """
    layers = [layer for layer in model.modules() if isinstance(layer, FrozenBatchNorm)]
    if not layers:
        return
    for layer in layers:
        layer.measuring = True
    try:
        with torch.no_grad():
            forward()
    finally:
        for layer in layers:
            layer.measuring = False
