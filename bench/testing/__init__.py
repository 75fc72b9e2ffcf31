'''Contracts for a plug-in's own tests: what this package tests its own techniques and suites by.

A contract is one line in a file that pytest collects. ``test_mine.py``::

    from bench.testing import (
        activation_contract,
        initialization_contract,
        normalization_contract,
        rescaling_contract,
        suite_contract,
    )

    TestSnake = activation_contract("mine:Snake")
    TestHinge = activation_contract("mine:Hinge", kinks=(-1.0, 1.0), derivatives=2)
    TestRootMeanSquare = normalization_contract("mine:RootMeanSquare")
    TestRenorm = normalization_contract("mine:Renorm", coupled=True)
    TestIdentityLike = initialization_contract("mine:identity_like")
    TestByDeviation = rescaling_contract("mine:by_deviation")
    TestSuite = suite_contract("mine.suite:SUITE", problem="small", model="net:8x2")

with the names as on the command line: those of entry points, or ``module:attribute``. For instance
``mine.py``::

    import torch

    class Snake(torch.nn.Module):
        """x + sin²(ax)/a with a trained a; L. Ziyin et al., arXiv 2006.08195."""

        def __init__(self):
            super().__init__()
            self.a = torch.nn.Parameter(torch.ones(()))

        def forward(self, x):
            return x + torch.sin(self.a * x) ** 2 / self.a

``pytest test_mine.py`` then runs 16 tests of it, and one that fails says what is wrong in the words
of the field: "activation 'mine:Snake': its second derivative at x = 1.2123 is 0 by automatic
differentiation, and 0.8467 by finite differences of its first derivative".

A class may test several at once, ``activation_contract("mine:Snake", "mine:Swoosh")``. Contracts of
problems and potentials come with the suites that know them: `suites.pinn.testing` and
`suites.molecular.testing`.
'''

from __future__ import annotations

try:
    import pytest as _pytest  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "bench.testing makes tests for pytest, which is not installed: pip install pytest"
    ) from error

from bench.testing.activations import activation_contract
from bench.testing.initializations import initialization_contract
from bench.testing.normalizations import normalization_contract
from bench.testing.rescalings import rescaling_contract
from bench.testing.suites import suite_contract

__all__ = [
    "activation_contract",
    "initialization_contract",
    "normalization_contract",
    "rescaling_contract",
    "suite_contract",
]
