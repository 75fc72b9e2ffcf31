"""The PINN suite: DeepXDE problems under every arm."""

import os

# Before a user's module imports DeepXDE.
os.environ["DDE_BACKEND"] = "pytorch"

from suites.pinn.problem import Term
from suites.pinn.wrap import wrap

__all__ = ["Term", "wrap"]
