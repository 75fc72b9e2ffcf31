"""Weight initialisations: data-free ones, and layer-sequential unit variance (LSUV)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Generator, Tensor, nn

_TOLERANCE = 1e-3
_ITERATIONS = 10


def _fill(layers: Sequence[nn.Linear], generator: Generator, draw: Callable[..., Tensor]) -> None:
    for layer in layers:
        # Drawn on the CPU so that the weights do not depend on the device.
        weight = torch.empty(layer.weight.shape, dtype=layer.weight.dtype, device="cpu")
        draw(weight, generator=generator)
        with torch.no_grad():
            layer.weight.copy_(weight)
            if layer.bias is not None:
                layer.bias.zero_()


def glorot_normal(
    layers: Sequence[nn.Linear], forward: Callable[[], object], generator: Generator
) -> None:
    """Glorot normal weights and zero biases (Glorot and Bengio, AISTATS 2010)."""
    del forward
    _fill(layers, generator, nn.init.xavier_normal_)


def he_normal(
    layers: Sequence[nn.Linear], forward: Callable[[], object], generator: Generator
) -> None:
    """He normal weights with gain √2 over the fan-in, zero biases (arXiv 1502.01852)."""
    del forward

    def draw(weight: Tensor, generator: Generator) -> Tensor:
        return nn.init.kaiming_normal_(weight, nonlinearity="relu", generator=generator)

    _fill(layers, generator, draw)


def orthogonal(
    layers: Sequence[nn.Linear], forward: Callable[[], object], generator: Generator
) -> None:
    """Random (semi-)orthogonal weights, zero biases (Saxe et al., arXiv 1312.6120)."""
    del forward
    _fill(layers, generator, nn.init.orthogonal_)


def lsuv(layers: Sequence[nn.Linear], forward: Callable[[], object], generator: Generator) -> None:
    """Layer-sequential unit variance (Mishkin and Matas, arXiv 1511.06422).

    The weights begin as Glorot normal. Then, layer by layer in order of execution, they are divided
    by the standard deviation of the layer's linear output on the training points until it is 1. The
    variance is pooled over rows and features. Biases stay 0. The last layer is not scaled, so that
    the network's output keeps the size that the published initialisation gives to a unit signal.

    What it does not hold is the distribution of the signal over rows and features. Six quadratic
    layers without biases are homogeneous of degree 64 in the inputs: the pooled variance can be 1
    while 1 % of the rows has nearly all of it. `bench.techniques.featurewise` holds both.

    Args:
        layers: Linear layers in order of execution, the output layer last.
        forward: Runs the network on the training points. The caller restores the buffers that this
            changes (statistics of batch norm): see `initialize`.
        generator: Seeded CPU generator.
    """
    glorot_normal(layers, forward, generator)
    deviation = 0.0

    def measure(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal deviation
        assert isinstance(module, nn.Linear)
        # Not the output itself: SchNetPack's linear layers apply their activation to it.
        linear = nn.functional.linear(inputs[0], module.weight, module.bias)
        deviation = float(linear.double().std(correction=0))

    for layer in layers[:-1]:
        handle = layer.register_forward_hook(measure)
        try:
            for _ in range(_ITERATIONS):
                forward()
                if deviation == 0 or abs(deviation - 1) < _TOLERANCE:
                    break
                with torch.no_grad():
                    layer.weight.div_(deviation)
        finally:
            handle.remove()


def initialize(
    initialization: Callable[[Sequence[nn.Linear], Callable[[], object], Generator], None],
    model: nn.Module,
    layers: Sequence[nn.Linear],
    forward: Callable[[], object],
    generator: Generator,
) -> None:
    """Apply an initialisation and restore every buffer that its forward passes changed."""
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    with torch.no_grad():
        initialization(layers, forward, generator)
        for name, buffer in model.named_buffers():
            buffer.copy_(buffers[name])
