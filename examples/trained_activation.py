r"""Activations with parameters of their own, which are trained with the weights.

In this folder:

    python -m bench.suite pinn --problem advection-1d \
        --arm activation=trained_activation:LAAF --arm activation=trained_activation:Snake \
        --arm activation=trained_activation:prelu --arm activation=trained_activation:LazySnake
"""

import torch
from torch.nn.modules.lazy import LazyModuleMixin


class LAAF(torch.nn.Module):
    """tanh(n·a·x) with a trained slope a for each layer and a fixed n: the layer-wise locally
    adaptive activation of A. Jagtap et al. (arXiv 1909.12228), which begins as tanh(x)."""

    def __init__(self, n: float = 10.0) -> None:
        super().__init__()
        self.n = n
        self.a = torch.nn.Parameter(torch.tensor(1 / n))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.n * self.a * x)


class Snake(torch.nn.Module):
    """x + sin²(a·x)/a with an own a for each neuron (Ziyin et al., arXiv 2006.08195).

    It is called with the width of its layer, since its one argument is called ``width``.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.a = torch.nn.Parameter(torch.ones(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.sin(self.a * x) ** 2 / self.a


def prelu(width: int) -> torch.nn.Module:
    """max(0, x) + a·min(0, x) with an own a for each neuron (K. He et al., arXiv 1502.01852).

    ``torch.nn:PReLU`` by itself has one a for each layer. Piecewise linear: see the warning on an
    equation with second derivatives.
    """
    return torch.nn.PReLU(width)


class LazySnake(LazyModuleMixin, torch.nn.Module):
    """`Snake` that takes its width from its first input, as torch's lazy modules do.

    The parameter is there from the beginning, without a shape; one that `forward` makes is refused.
    """

    def __init__(self) -> None:
        super().__init__()
        self.a = torch.nn.UninitializedParameter()

    def initialize_parameters(self, x: torch.Tensor) -> None:
        """Called by torch before the first `forward`."""
        if self.has_uninitialized_params():
            self.a.materialize(x.shape[-1:])
            torch.nn.init.ones_(self.a)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.sin(self.a * x) ** 2 / self.a
