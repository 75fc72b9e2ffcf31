r"""A normalisation of your own: called with the number of features, returns a module.

In this folder:

    python -m bench.suite pinn --problem advection-1d --model fnn-bn --arm denorm \
        --arm normalization=normalization:RMSNorm
"""

import torch


class RMSNorm(torch.nn.Module):
    """Divides each row by its root mean square (Zhang and Sennrich, arXiv 1910.07467).

    It treats every row by itself, so that the residual of a PDE stays the point's own.
    """

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.gain = torch.nn.Parameter(torch.ones(num_features))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.gain * x * torch.rsqrt((x**2).mean(dim=-1, keepdim=True) + 1e-6)
