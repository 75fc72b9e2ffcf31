"""The suite's own problems keep the contract of one."""

from __future__ import annotations

from suites.pinn.problems.catalogue import BUILT_IN, VARIANTS
from suites.pinn.testing import problem_contract

TestProblems = problem_contract(*BUILT_IN, *VARIANTS)
# Solved as for scoring, where that takes seconds.
TestAsScored = problem_contract("advection-1d", "diffusion-sorption-1d", fine=True)
