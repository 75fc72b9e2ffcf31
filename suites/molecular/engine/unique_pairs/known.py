"""Which modules are known well enough to be computed in another form."""

from __future__ import annotations

import copy
from collections.abc import Iterable

import torch
from schnetpack.nn import Dense
from torch import nn

#: Sizes of the inputs by which an activation is tried: it may couple large ones alone.
_SCALES = (1e-2, 1.0, 30.0, 1e3)


class Obstacle(Exception):
    """Why a potential has no form on unique pairs."""


def require(module: object, known: type) -> None:
    """Raises Obstacle unless the module is of this very class: a subclass may do anything."""
    if type(module) is not known:
        raise Obstacle(f"{type(module).__name__} is not SchNetPack's or torch's {known.__name__}")


def require_dense(layers: Iterable[nn.Module], *, of_pairs: bool = False) -> list[Dense]:
    """The layers, if each is SchNetPack's.

    Args:
        layers: Linear layers with activations, which act on each row alone, or on rows of atoms.
        of_pairs: Their rows are pairs. Then their activations must act on each element alone:
            a statistic of rows counts a unique pair once, and its tangent would be needed.

    Raises:
        Obstacle: One is not, or an activation does not.
    """
    found: list[Dense] = []
    for layer in layers:
        require(layer, Dense)
        assert isinstance(layer, Dense)
        if of_pairs and not _acts_by_element(layer.activation, layer):
            name = type(layer.activation).__name__
            raise Obstacle(f"{name} couples elements of the features of pairs")
        found.append(layer)
    return found


def _acts_by_element(activation: object, layer: Dense) -> bool:
    """Whether a change of some elements leaves the others exactly as they are."""
    if isinstance(activation, nn.Identity):
        return True
    tried = copy.deepcopy(activation)
    assert callable(tried)
    weight = layer.weight
    width = layer.out_features
    grid = torch.linspace(-3.0, 3.0, 6 * width, dtype=weight.dtype, device=weight.device)
    grid = grid.view(6, width)
    chosen = torch.arange(6 * width, device=weight.device).view(6, width) % 3 == 1
    for scale in _SCALES:
        x = scale * grid
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            before = tried(x.clone())
            after = tried(torch.where(chosen, x + 1.5 * scale, x))
        if before.shape != x.shape:
            return False
        # Large inputs may overflow.
        same = (before == after) | (before.isnan() & after.isnan())
        if not bool(same[~chosen].all()):
            return False
    return True
