r"""An activation of your own: a function without arguments that returns a module.

In this folder:

    python -m bench.suite pinn --problem advection-1d --arm featurewise \
        --arm activation=snake:Snake+featurewise
"""

import torch


class Snake(torch.nn.Module):
    """x + sin²(x) (Ziyin et al., arXiv 2006.08195)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.sin(x) ** 2
