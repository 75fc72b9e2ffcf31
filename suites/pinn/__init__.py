"""The PINN suite: DeepXDE problems under every arm."""

import os

# Before a user's module imports DeepXDE.
os.environ["DDE_BACKEND"] = "pytorch"

from suites.pinn.problems.problem import Problem, Term
from suites.pinn.problems.wrap import wrap

__all__ = ["Problem", "Term", "wrap"]
