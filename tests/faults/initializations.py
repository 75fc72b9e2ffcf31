"""Initialisations with one fault each, and one without."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Generator, nn

Layers = Sequence[nn.Linear]
Forward = Callable[[], object]


def uniform(layers: Layers, forward: Forward, generator: Generator) -> None:
    """What users write: no fault."""
    for layer in layers:
        nn.init.uniform_(layer.weight, -0.5, 0.5, generator=generator)


def from_torch(layers: Layers, forward: Forward, generator: Generator) -> None:
    for layer in layers:
        nn.init.xavier_normal_(layer.weight)


def from_numpy(layers: Layers, forward: Forward, generator: Generator) -> None:
    uniform(layers, forward, generator)
    layers[0].bias.fill_(np.random.rand())


def always_alike(layers: Layers, forward: Forward, generator: Generator) -> None:
    uniform(layers, forward, Generator().manual_seed(0))


def replaced(layers: Layers, forward: Forward, generator: Generator) -> None:
    for layer in layers:
        weight = torch.rand(layer.weight.shape, generator=generator)
        layer.weight = nn.Parameter(weight.to(layer.weight.dtype))


def one_neuron(layers: Layers, forward: Forward, generator: Generator) -> None:
    uniform(layers, forward, generator)
    layers[1].weight.copy_(layers[1].weight[:1].expand_as(layers[1].weight).clone())


def _deviation(layer: nn.Linear, forward: Forward) -> torch.Tensor:
    found: list[torch.Tensor] = []

    def keep(module: nn.Module, inputs: Any, output: torch.Tensor) -> None:
        found.append(output.std())

    handle = layer.register_forward_hook(keep)
    forward()
    handle.remove()
    return found[0]


def unguarded(layers: Layers, forward: Forward, generator: Generator) -> None:
    """Divides by a deviation that may be 0, and leaves its hook where the network fails."""
    uniform(layers, forward, generator)
    for layer in layers:
        layer.bias.zero_()
        layer.weight.div_(_deviation(layer, forward))


def hooked(layers: Layers, forward: Forward, generator: Generator) -> None:
    uniform(layers, forward, generator)
    layers[0].register_forward_hook(lambda module, inputs, output: None)


def evaluating(layers: Layers, forward: Forward, generator: Generator) -> None:
    uniform(layers, forward, generator)
    for layer in layers:
        layer.eval()


def backward(layers: Layers, forward: Forward, generator: Generator) -> None:
    """Scales by gradients, and does not take them away again."""
    uniform(layers, forward, generator)
    with torch.enable_grad():
        layers[0].weight.square().sum().backward()
