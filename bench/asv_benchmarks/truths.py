"""Ground truths, solved anew: how long a solver takes, and which error it estimates of itself."""

from __future__ import annotations

import functools
import os
import tempfile
from typing import TYPE_CHECKING

from .describe import describe
from .profile import cases

if TYPE_CHECKING:
    from suites.pinn.problems.problem import Problem

#: All problems that are solved numerically; a coarse truth takes 0.2 to 0.5 s.
_SOLVED = cases(
    ["shallow-water-2d"],
    ["compressible-flow-1d"],
    ["diffusion-reaction-2d", "diffusion-sorption-1d"],
)


@functools.cache
def _ready(name: str) -> Problem:
    """The problem, after a first solution, which imports the solver."""
    from suites.pinn.problems.catalogue import get_problem

    problem = get_problem(name)
    with _EmptyCache():
        problem.truth(None, 0, fine=False)
    return problem


class _EmptyCache(tempfile.TemporaryDirectory[str]):
    """The suite's disk cache is a new directory from now on."""

    def __init__(self) -> None:
        super().__init__()
        os.environ["DCBENCH_CACHE"] = self.name


class _Solver:
    """A problem whose truth has not been solved yet."""

    version = "1"
    timeout = 300
    param_names = ["problem"]

    def setup(self, problem: str) -> None:
        self.problem = _ready(problem)
        self.cache = _EmptyCache()

    def teardown(self, problem: str) -> None:
        self.cache.cleanup()


class Solution(_Solver):
    """Coarse ground truths, as smoke tests use them."""

    params = [cases(_SOLVED, [], ["advection-1d"])]
    rounds = 1
    repeat = (5, 50, 3.0)

    @describe("ground truth: time of a coarse solution")
    def time_truth(self, problem: str) -> None:
        """The solution and the estimate of its error, written to an empty disk cache."""
        self.problem.truth(None, 0, fine=False)


class Accuracy(_Solver):
    """The error that a solver estimates of itself; ``advection-1d`` has an exact solution."""

    params = [_SOLVED]

    @describe("ground truth: estimated relative L2 error of a coarse solution", "relative error")
    def track_truth_error(self, problem: str) -> float:
        """Largest of the outputs.

        Raises:
            RuntimeError: There is no estimate any more.
        """
        truth = self.problem.truth(None, 0, fine=False)
        if truth is None or truth.reference.error is None:
            raise RuntimeError(f"the truth of {problem} has no estimate of its error")
        return max(truth.reference.error)
