"""Initialisation feature by feature: each pre-activation gets a mean and a deviation over the data.

P. Krähenbühl et al. (arXiv 1511.06856) and T. Salimans and D. Kingma (arXiv 1602.07868, section 3)
set the scale of every feature from data, by its weights and its bias, to mean 0 and deviation 1.
Which mean and deviation an activation needs is `bench.techniques.pre_activations`'.

Without biases a network of n quadratic layers is homogeneous of degree 2ⁿ in its inputs, so that a
few rows hold all of the signal whatever the scale of the weights. A mean that is not 0 prevents it.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.nn.modules.module import (
    register_module_forward_pre_hook,
)

from bench.techniques.norm_layers import FrozenBatchNorm
from bench.techniques.pre_activations import (
    Function,
    PreActivation,
    by_measurement,
    relative_distance,
)
from bench.techniques.sites import (
    Forward,
    Site,
    acts_by_feature,
    find_sites,
    is_chain,
    longest_paths,
)
from bench.text.errors import BadInput

#: Deviation of the network's output. With labels of deviation 1 the first error is then that of a
#: zero network but for a quarter, while the gradients of the hidden layers are as large as any.
OUTPUT_STD = 0.5
#: A feature that varies by fewer units of rounding than this is constant over the data.
_ROUNDING = 10
#: How far a neighbour is, in distances of rows, where the slope is measured in single precision.
_NEAR = 1e-3


class Featurewise:
    """Gives every feature's pre-activation a mean and a deviation over the training points.

    The weights of each linear layer with a bias and an activation behind it, and of the output
    layer, are drawn standard normal. Then, layer by layer in the order of execution, each row is
    rescaled and its bias set, such that over the data the feature has the mean and the deviation
    asked for; the output has mean 0 and deviation `OUTPUT_STD`. All of it is done in one forward
    pass. Other linear layers stay as they are.

    A feature that is constant over the data has no deviation to set. Its row is divided by the root
    of the number of inputs, and its bias makes it the mean.

    Where a norm stands before the activation, it undoes any scale of the weights. Its own weight
    and bias are set instead, and the layer gives it features of mean 0 and deviation 1.

    Args:
        given: Mean and deviation by hand; ``None``: those of the rule, for each activation.

    Attributes:
        report: After a call, JSON values for the record: ``pre_activations`` (of each activation
            its ``mean`` and ``std``, and by the rule the ``slope`` of random chains as deep and
            wide as the longest path through it), ``layers`` that were set and those ``left``,
            ``constant_features``, and the ``slope`` that this network has on its data (``None``
            where its layers are no chain).
    """

    def __init__(self, given: tuple[float, float] | None = None) -> None:
        self._given = None if given is None else PreActivation(*given, slope=float("nan"))
        self.report: dict[str, Any] = {}

    def __call__(self, layers: Sequence[nn.Linear], forward: Forward, generator: Generator) -> None:
        """Set the weights.

        Args:
            layers: Linear layers in order of execution, the output layer last.
            forward: Runs the network on the training points.
            generator: Seeded CPU generator.

        Raises:
            BadInput: There is no linear layer with a bias and an activation; a norm before an
                activation has no weight and bias; a signal is not finite; or nothing follows from
                the rule for an activation.
        """
        with torch.no_grad(), _measuring():
            sites = find_sites(layers, forward)
            if not sites:
                raise BadInput(
                    "featurewise sets linear layers that have a bias and an activation behind them,"
                    " and this network has none"
                )
            wanted = self._wanted(sites, layers, forward)
            output = layers[-1] if all(site.layer is not layers[-1] for site in sites) else None
            if output is not None and output.bias is None:
                output = None
            drawn = [site.layer for site in sites] + ([] if output is None else [output])
            for layer in drawn:
                # On the CPU so that the weights do not depend on the device.
                weight = torch.empty(layer.weight.shape, dtype=layer.weight.dtype, device="cpu")
                layer.weight.copy_(weight.normal_(generator=generator))
            constant = _set(sites, wanted, output, forward)
            slope = _measured_slope(sites, layers, forward)
        distinct = {
            (_name(s.activation), one.mean, one.std, one.slope): None
            for s, one in zip(sites, wanted, strict=True)
        }
        self.report = {
            "pre_activations": [
                {"activation": name, "mean": mean, "std": std}
                | ({} if self._given else {"slope": of_shape})
                for name, mean, std, of_shape in distinct
            ],
            "layers": len(drawn),
            "left": len(layers) - len(drawn),
            "constant_features": constant,
            "slope": slope,
        }

    def _wanted(
        self, sites: Sequence[Site], layers: Sequence[nn.Linear], forward: Forward
    ) -> list[PreActivation]:
        """By the rule, of a chain as deep and wide as the longest path through each site."""
        if self._given is not None:
            return [self._given] * len(sites)
        paths = [sites] * len(sites) if is_chain(sites, layers) else longest_paths(sites, forward)
        shapes = [
            (path[0].layer.in_features, tuple(each.layer.out_features for each in path))
            for path in paths
        ]
        return [
            _by_rule(site.activation, site.layer.out_features, *shape)
            for site, shape in zip(sites, shapes, strict=True)
        ]


_RULED: dict[Any, PreActivation] = {}


def _by_rule(
    activation: Function, width: int, inputs: int, widths: tuple[int, ...]
) -> PreActivation:
    """See `by_measurement`; equal activations are measured once a process.

    Args:
        activation: Of features that are `width` in number.
        width: Of the layer before it.
        inputs: Of the whole path.
        widths: Of all layers of the path.
    """
    key: Any = (activation, inputs, widths)
    function = activation
    if isinstance(activation, nn.Module):
        module = copy.deepcopy(activation).double().cpu().eval()
        state = {name: tensor.tolist() for name, tensor in module.state_dict().items()}
        key = (type(module), repr(module), repr(state), inputs, widths)
        function = of_one_feature(module, width)
    if key not in _RULED:
        _RULED[key] = by_measurement(function, inputs, widths)
    return _RULED[key]


def of_one_feature(module: nn.Module, width: int) -> Function:
    """An activation as a function of a tensor of any shape.

    That is what it is, but for one with parameters for every feature, which must be equal.

    Args:
        module: In float64, on the CPU.
        width: Size of the last axis of what it gets.

    Raises:
        BadInput: Its features begin with different parameters: no one mean and deviation follow.
    """
    if not acts_by_feature(module, width) or all(p.numel() == 1 for p in module.parameters()):
        return module
    with torch.no_grad():
        columns = module(torch.linspace(-3, 3, 61, dtype=torch.float64)[:, None].repeat(1, width))
    if not torch.allclose(columns, columns[:, :1].expand_as(columns), rtol=1e-9, atol=1e-12):
        raise BadInput(
            f"featurewise: the features of {_name(module)} begin with different parameters, so no"
            " one mean and deviation follow; give them, featurewise=MEAN,STD"
        )

    def function(x: Tensor) -> Tensor:
        flat = x.reshape(-1)
        rows = nn.functional.pad(flat, (0, -len(flat) % width)).reshape(-1, width)
        found: Tensor = module(rows)
        return found.reshape(-1)[: len(flat)].reshape(x.shape)

    return function


def _name(activation: Function) -> str:
    if isinstance(activation, nn.Module):
        return type(activation).__name__
    return str(getattr(activation, "__name__", type(activation).__name__))


@contextlib.contextmanager
def _measuring() -> Iterator[None]:
    """Frozen norms measure in the body, as they will once the weights are set."""
    met: dict[int, tuple[FrozenBatchNorm, bool]] = {}

    def measure(module: nn.Module, inputs: object) -> None:
        if isinstance(module, FrozenBatchNorm):
            met.setdefault(id(module), (module, module.measuring))
            module.measuring = True

    handle = register_module_forward_pre_hook(measure)
    try:
        yield
    finally:
        handle.remove()
        for module, before in met.values():
            module.measuring = before


def _set(
    sites: Sequence[Site],
    wanted: Sequence[PreActivation],
    output: nn.Linear | None,
    forward: Forward,
) -> int:
    """Scale each row and set its bias, in one forward pass. Returns how many are constant."""
    constant = 0
    done: set[int] = set()
    unit = PreActivation(0.0, 1.0, 1.0)
    pairs = list(zip(sites, wanted, strict=True))
    linears = [(site.layer, unit if site.norm is not None else one) for site, one in pairs]
    if output is not None:
        linears.append((output, replace(unit, std=OUTPUT_STD)))

    def linear(layer: nn.Linear, inputs: tuple[Tensor, ...], target: PreActivation) -> None:
        nonlocal constant
        if id(layer) in done:
            return
        done.add(id(layer))
        weight = layer.weight.double()
        factor, shift, still = _affine(
            inputs[0].double().flatten(0, -2) @ weight.T,
            target,
            torch.finfo(layer.weight.dtype).eps,
            layer.in_features**-0.5,
        )
        layer.weight.copy_(weight * factor[:, None])
        layer.bias.copy_(shift)
        constant += still

    def norm(module: Any, output: Tensor, target: PreActivation) -> Tensor:
        nonlocal constant
        if id(module) in done:
            return output
        done.add(id(module))
        eps = torch.finfo(output.dtype).eps
        factor, shift, still = _affine(output.double().flatten(0, -2), target, eps, 1.0)
        constant += still
        module.weight.copy_(factor)
        module.bias.copy_(shift)
        changed: Tensor = output * module.weight + module.bias
        return changed

    handles = [
        layer.register_forward_pre_hook(
            lambda module, inputs, target=target: linear(module, inputs, target)
        )
        for layer, target in linears
    ]
    for site, target in pairs:
        if site.norm is not None:
            site.norm.weight.fill_(1)
            site.norm.bias.zero_()
            handles.append(
                site.norm.register_forward_hook(
                    lambda module, _, found, target=target: norm(module, found, target)
                )
            )
    try:
        forward()
    finally:
        for handle in handles:
            handle.remove()
    return constant


def _affine(
    features: Tensor, target: PreActivation, eps: float, of_constant: float
) -> tuple[Tensor, Tensor, int]:
    """Factor and shift of each feature, and how many features are constant.

    Args:
        features: Shape ``(rows, features)``, float64.
        target: Mean and deviation that they are to have.
        eps: Rounding of what they were computed from.
        of_constant: The factor of a feature that is constant.
    """
    std, mean = torch.std_mean(features, dim=0, correction=0)
    if not bool(std.isfinite().all()):
        raise BadInput("featurewise: the signal is not finite on the training points")
    still = std <= _ROUNDING * eps * features.abs().amax(dim=0)
    factor = torch.where(still, of_constant, target.std / std)
    return factor, target.mean - mean * factor, int(still.sum())


def _measured_slope(
    sites: Sequence[Site], layers: Sequence[nn.Linear], forward: Forward
) -> float | None:
    """Slope of the correlation map from the first pre-activation to what the output layer gets.

    Each row goes a short way in the direction between two others. The first layer is linear, so
    that its output moves as it does when the inputs move. ``None`` where the layers are not each
    other's inputs.
    """
    if not is_chain(sites, layers):
        return None
    first, last = sites[0], layers[-1]
    moved, order = False, Generator().manual_seed(0)
    seen: list[Tensor] = []

    def start(module: nn.Module, inputs: object, output: Tensor) -> Tensor:
        changed = output
        if moved:
            one, other = (output[torch.randperm(len(output), generator=order)] for _ in range(2))
            changed = output + _NEAR * (one - other)
        seen.append(changed.to(torch.float64, copy=True))
        return changed

    def end(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        seen.append(inputs[0].to(torch.float64, copy=True))

    at: nn.Module = first.layer if first.norm is None else first.norm
    handles = [at.register_forward_hook(start), last.register_forward_pre_hook(end)]
    try:
        forward()
        moved = True
        forward()
    finally:
        for handle in handles:
            handle.remove()
    before, after, before_near, after_near = seen
    slope = relative_distance(after, after_near) / relative_distance(before, before_near)
    return float(slope) if bool(slope.isfinite()) else None
