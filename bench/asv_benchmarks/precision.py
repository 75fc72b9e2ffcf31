"""What single precision costs: a loss of digits shows here long before an error shows it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from .describe import describe
from .profile import cases
from .tasks import built


class SinglePrecision:
    """Metrics of an untrained network, in single and in double precision of the same weights."""

    version = "1"
    timeout = 600
    param_names = ["case"]
    params = [
        cases(
            ["pinn advection-1d fnn baseline", "molecular xtb-ethanol schnet:32x2 baseline"],
            ["pinn diffusion-sorption-1d fnn baseline"],
            [
                "pinn compressible-flow-1d fnn baseline",
                "pinn shallow-water-2d fnn baseline",
                "molecular xtb-aspirin painn:32x2 baseline",
                "molecular xtb-oxides cgcnn:32x2 baseline",
            ],
        )
    ]

    def setup_cache(self) -> dict[str, float]:
        """Evaluate all cases in one process."""
        found = {}
        for case in self.params[0]:
            suite, problem, model, arm = case.split()
            found[case] = rounding(suite, problem, model, arm)
        return found

    @describe("single precision: largest relative difference of a metric", "relative difference")
    def track_rounding(self, found: dict[str, float], case: str) -> float:
        """Largest relative difference of a metric or loss term to double precision."""
        return found[case]


def rounding(
    suite: str,
    problem: str,
    model: str,
    arm: str,
    change: Callable[[dict[str, Any]], dict[str, Any]] = dict,
) -> float:
    """Largest |single − double| / |double| over the metrics of a task.

    Args:
        suite: Name of the suite.
        problem: Name of the problem.
        model: Name and size of the model.
        arm: Name of the arm.
        change: Changes the state in double precision that both tasks start from.

    Raises:
        RuntimeError: A metric is not finite.
    """
    network = f"{model} {arm}"
    double = built(suite, problem, network, "cpu", "float64")
    single = built(suite, problem, network, "cpu", "float32")
    start = double.state_dict()
    double.load_state_dict(change(start))
    single.load_state_dict(_single(double.state_dict()))
    exact = double.evaluate().metrics
    rounded = single.evaluate().metrics
    found = [abs(rounded[name] / value - 1) for name, value in exact.items() if value]
    if not all(map(math.isfinite, found)):
        raise RuntimeError(f"{problem} {network}: a metric is not finite")
    return max(found)


def _single(state: Any) -> Any:
    """A state dict in single precision."""
    import torch

    if isinstance(state, dict):
        return {name: _single(value) for name, value in state.items()}
    if isinstance(state, torch.Tensor) and state.dtype == torch.float64:
        return state.float()
    return state
