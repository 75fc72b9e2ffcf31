"""The contract of a problem, for its author's own tests: one line in a file of pytest's.

``test_mine.py``::

    from suites.pinn.testing import problem_contract

    TestHeat = problem_contract("mine:HEAT")

for a problem as ``--problem`` takes it, for instance ``mine.py``::

    import numpy as np
    from suites.pinn import wrap
    from suites.pinn.backend import dde

    def heat():
        space, time = dde.geometry.Interval(0, 1), dde.geometry.TimeDomain(0, 0.5)
        geometry = dde.geometry.GeometryXTime(space, time)

        def pde(x, u):
            return dde.grad.jacobian(u, x, j=1) - 0.2 * dde.grad.hessian(u, x, i=0, j=0)

        conditions = [
            dde.icbc.IC(geometry, lambda x: np.sin(np.pi * x[:, :1]), lambda _, on: on),
            dde.icbc.DirichletBC(geometry, lambda x: 0, lambda _, on: on),
        ]
        return dde.data.TimePDE(
            geometry, pde, conditions, 100, 20, 20, train_distribution="pseudo"
        )

    def exact(x):
        return np.exp(-0.2 * np.pi**2 * x[:, 1:]) * np.sin(np.pi * x[:, :1])

    HEAT = wrap(heat, name="heat", outputs=["T"], losses=["Lf", "LIC", "LBC"], exact=exact)

A test that fails says, for instance: "problem 'mine:HEAT': its truth leaves 0.84 of the equation
'Lf' that a wrong state leaves, and declares a relative error of 0".

What a whole suite must be is in `bench.testing`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from bench.testing.contract import contract_of
from suites.pinn.backend import set_dtype
from suites.pinn.testing.declarations import DeclarationContract
from suites.pinn.testing.engines import EngineContract
from suites.pinn.testing.losses import LossContract
from suites.pinn.testing.subjects import Subject, subject_of
from suites.pinn.testing.truths import TruthContract

__all__ = ["ProblemContract", "Subject", "problem_contract"]


# pytest begins with the last.
class ProblemContract(EngineContract, TruthContract, LossContract, DeclarationContract):
    """What a problem must be; see `problem_contract`."""

    fine: bool

    @pytest.fixture(autouse=True)
    def _double_precision(self) -> Iterator[None]:
        """DeepXDE's, which outlives a test."""
        set_dtype("float64")
        yield
        set_dtype("float32")

    @pytest.fixture
    def subject(self, token: str) -> Subject:
        """The problem, its truth and its data; not to be changed."""
        return subject_of(token, self.fine)


def problem_contract(
    *tokens: str,
    model: str = "fnn:8x3",
    arms: Sequence[str] = ("baseline", "irelu+lsuv"),
    fine: bool = False,
) -> type[ProblemContract]:
    """Tests of a problem: ``TestHeat = problem_contract("mine:HEAT")``.

    It has as many names as losses, each of its kind and output. Its points lie in the domain and
    follow from the seed, as nothing else does. Residuals and errors of conditions are finite
    columns ``(N, 1)``, and each condition compares its own output. The truth solves equations and
    conditions to within its declared error, where it has a closed form or is on a grid. The suite's
    engine agrees with DeepXDE in loss and gradient, in float64.

    Args:
        tokens: Names, or ``module:attribute``, as ``--problem`` takes them.
        model: Network on which the engine is compared with DeepXDE.
        arms: Techniques under which it is.
        fine: Solve for the truth as accurately as scoring needs, which may take minutes, instead
            of as for a smoke test.
    """
    return contract_of(ProblemContract, tokens, model=model, arms=tuple(arms), fine=fine)
