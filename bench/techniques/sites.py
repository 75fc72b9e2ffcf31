"""Where an activation gets its input: linear layers, what stands behind them, and their paths."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_forward_hook,
    register_module_forward_pre_hook,
)

from bench.techniques.norm_layers import FrozenBatchNorm
from bench.techniques.pre_activations import Function
from bench.text.errors import BadInput

Forward = Callable[[], object]


@dataclass(frozen=True, eq=False)
class Site:
    """A linear layer with a bias, what normalises its output if anything does, and the activation.

    Attributes:
        layer: The layer.
        activation: What is applied to its output, elementwise.
        norm: Stands between the two. Its weight and bias are then what sets the pre-activation.
    """

    layer: nn.Linear
    activation: Function
    norm: Any = None


def find_sites(layers: Sequence[nn.Linear], forward: Forward) -> list[Site]:
    """The layers with a bias and an activation behind it, in the order of execution.

    An activation is what a layer applies to its own output (the attribute ``activation``, as
    SchNetPack's linear layers have it), or the first module that gets the layer's output.

    Args:
        layers: Linear layers.
        forward: Runs the network.

    Raises:
        BadInput: A norm before an activation has no weight and bias.
    """
    found: dict[int, Site] = {}
    #: By the address of a tensor: the layer whose output it is, and the norm behind that.
    waiting: dict[int, tuple[nn.Linear, nn.Module | None, Tensor]] = {}
    wanted = {id(layer): layer for layer in layers}

    def before(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        known = _known(inputs)
        if known is None or id(module) in wanted or _is_norm(module):
            return
        layer, norm, _ = known
        activation = _within(module)
        if id(layer) in found or isinstance(module, nn.Identity | nn.Sequential):
            return
        if _is_elementwise(activation) or acts_by_feature(activation, layer.out_features):
            found[id(layer)] = Site(layer, activation, norm)
        elif norm is None:
            waiting[inputs[0].data_ptr()] = (layer, module, inputs[0])

    def after(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        if id(module) in wanted and isinstance(module, nn.Linear):
            _note_layer(module, output)
            return
        known = _known(inputs)
        if known is None or not isinstance(output, Tensor):
            return
        if _is_norm(module) or known[1] is module:
            waiting[output.data_ptr()] = (known[0], module, output)

    def _note_layer(layer: nn.Linear, output: Tensor) -> None:
        if id(layer) in found or layer.bias is None:
            return
        own = getattr(layer, "activation", None)
        if own is None or isinstance(own, nn.Identity):
            waiting[output.data_ptr()] = (layer, None, output)
            return
        norm, own = getattr(own, "norm", None), _within(own)
        found[id(layer)] = Site(layer, own, norm)

    def _known(inputs: tuple[Any, ...]) -> tuple[nn.Linear, nn.Module | None, Tensor] | None:
        if not inputs or not isinstance(inputs[0], Tensor):
            return None
        known = waiting.get(inputs[0].data_ptr())
        return known if known is not None and known[2].numel() == inputs[0].numel() else None

    handles = [register_module_forward_pre_hook(before), register_module_forward_hook(after)]
    try:
        forward()
    finally:
        for handle in handles:
            handle.remove()
    for site in found.values():
        if site.norm is not None and not _has_affine(site.norm, site.layer.out_features):
            raise BadInput(
                f"featurewise: {type(site.norm).__name__} stands before an activation and has no"
                " weight and bias by which a mean and a deviation could be set"
            )
    return list(found.values())


def longest_paths(sites: Sequence[Site], forward: Forward) -> list[list[Site]]:
    """The longest path of sites through each, where the output of one depends on the other's.

    Args:
        sites: In the order of execution; the parameters of their layers require gradients.
        forward: Runs the network.
    """
    outputs: dict[int, Tensor] = {}

    def keep(module: nn.Module, inputs: object, output: Tensor) -> None:
        outputs.setdefault(id(module), output)

    handles = [site.layer.register_forward_hook(keep) for site in sites]
    with torch.enable_grad():
        try:
            forward()
        finally:
            for handle in handles:
                handle.remove()
        of_sites = [outputs[id(site.layer)] for site in sites]
        sums = [output.sum() for output in of_sites]
    into: list[list[int]] = []
    onward: list[list[int]] = [[k] for k in range(len(sites))]
    needs: list[list[int]] = []
    for k, output in enumerate(of_sites):
        gradients = torch.autograd.grad(
            sums[k], [output, *of_sites[:k]], retain_graph=True, allow_unused=True
        )[1:]
        needs.append([j for j, gradient in enumerate(gradients) if gradient is not None])
        into.append([*max((into[j] for j in needs[k]), key=len, default=[]), k])
    for k in reversed(range(len(sites))):
        for j in needs[k]:
            onward[j] = max(onward[j], [j, *onward[k]], key=len)
    return [[sites[j] for j in [*into[k], *onward[k][1:]]] for k in range(len(sites))]


def _within(module: Any) -> Any:
    """The activation within a module that has one in its attribute ``activation``."""
    while isinstance(module, nn.Module) and callable(getattr(module, "activation", None)):
        module = module.activation
    return module


def _is_norm(module: nn.Module) -> bool:
    return isinstance(module, nn.BatchNorm1d | nn.LayerNorm | FrozenBatchNorm)


def _has_affine(norm: nn.Module, features: int) -> bool:
    pair = getattr(norm, "weight", None), getattr(norm, "bias", None)
    return all(isinstance(one, Tensor) and one.shape == (features,) for one in pair)


def _is_elementwise(function: Function) -> bool:
    """Whether a function keeps the shape and maps each element alone, in the precision it has."""
    parameter = next(function.parameters(), None) if isinstance(function, nn.Module) else None
    like = torch.zeros(()) if parameter is None else parameter
    x = torch.linspace(-2, 2, 35, dtype=like.dtype, device=like.device).reshape(5, 7)
    try:
        whole, turned = function(x.clone()), function(x.T.clone())
        part = function(x[1:3].clone())
    except (RuntimeError, ValueError, TypeError, IndexError):  # of a norm: another width
        return False
    return (
        whole.shape == x.shape
        and torch.allclose(whole, turned.T)
        and torch.allclose(whole[1:3], part)
    )


def acts_by_feature(function: Function, width: int) -> bool:
    """Whether a function of rows of `width` features maps each element alone, and is not affine.

    Such a function has parameters for every feature: an activation has, and so has a norm's scale,
    which is affine.
    """
    x, dtype_of = _rows(width), next(_parameters(function), torch.zeros(()))
    x = x.to(dtype_of.device, dtype_of.dtype)
    changed = x.clone()
    changed[2, width // 2] += 1.5
    try:
        before, after, twice = function(x.clone()), function(changed), function(2 * x - changed)
    except (RuntimeError, ValueError, TypeError, IndexError):
        return False
    if before.shape != x.shape:
        return False
    differs = (after - before).abs() > 1e-6 * before.abs().max()
    differs[2, width // 2] = False
    second = (after - 2 * before + twice)[2, width // 2].abs()
    return not bool(differs.any()) and bool(second > 1e-4 * before.abs().max())


def _rows(width: int) -> Tensor:
    return torch.linspace(-2, 2, 5 * width, dtype=torch.float64).reshape(5, width)


def _parameters(function: Function) -> Iterator[Tensor]:
    if isinstance(function, nn.Module):
        yield from function.parameters()


def is_chain(sites: Sequence[Site], layers: Sequence[nn.Linear]) -> bool:
    """Whether the layers are each other's inputs: a fully connected network."""
    own = any(hasattr(site.layer, "activation") for site in sites)
    *hidden, _ = layers
    return not own and [id(site.layer) for site in sites] == [id(layer) for layer in hidden]
