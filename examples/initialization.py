"""An initialisation of your own: sets the weights of the linear layers in place.

In this folder:

    python -m bench.suite pinn --problem advection-1d --arm initialization=initialization:uniform
"""

from collections.abc import Callable, Sequence

import torch


def uniform(
    layers: Sequence[torch.nn.Linear],
    forward: Callable[[], object],
    generator: torch.Generator,
) -> None:
    """Uniform weights of variance 1 / fan-in, zero biases.

    Args:
        layers: In order of execution, the output layer last.
        forward: Runs the network on the training points, for rules that need to see the data.
        generator: Seeded from the run's seed: draw from it, and from nothing else.
    """
    del forward
    for layer in layers:
        bound = (3 / layer.in_features) ** 0.5
        torch.nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
        torch.nn.init.zeros_(layer.bias)
