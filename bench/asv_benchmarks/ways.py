"""One training step in the ways that long runs take: the native kernel, padded batches, compiled.

`steps` has the same steps in plain torch.
"""

from __future__ import annotations

from typing import Any

from .counting import count
from .describe import describe
from .profile import cases
from .tasks import built

#: Of a PINN: what compiles for more than some seconds is timed by ``nightly`` alone.
_PINN_WAYS = cases(["kernel"], [], ["inductor", "kernel+inductor"])


class PINNStep:
    """A training step of a PINN, budget ``quick``, in each of its faster ways."""

    version = "1"
    timeout = 600
    param_names = ["problem", "way"]
    params = [cases(["advection-1d"], ["diffusion-reaction-2d"], []), _PINN_WAYS]
    warmup_time = 0.5
    repeat = (10, 200, 2.0)
    rounds = len(cases([0], [], [1]))

    def setup(self, problem: str, way: str) -> None:
        self.task = built("pinn", problem, "fnn baseline", "cpu", way=way)

    @describe("PINN: time of a training step, by way")
    def time_step(self, problem: str, way: str) -> None:
        """Loss, gradients, update of the weights; what compiles has been compiled before."""
        self.task.step()


class MolecularStep:
    """A training step of a potential, budget ``quick``, on padded batches.

    Compiling SchNet's takes a minute, so only ``nightly`` times it.
    """

    version = "1"
    timeout = 600
    param_names = ["network", "way"]
    params = [["schnet baseline"], cases(["padded"], [], ["compiled"])]
    warmup_time = 0.5
    repeat = (10, 200, 2.0)
    rounds = len(cases([0], [], [1]))

    def setup(self, network: str, way: str) -> None:
        self.task = built("molecular", "xtb-ethanol", network, "cpu", way=way)

    @describe("potentials: time of a training step, by way")
    def time_step(self, network: str, way: str) -> None:
        """Next batch, loss, gradients, update of the weights."""
        self.task.step()


class Counts:
    """How much a step in another way computes in torch's operators.

    The native kernel counts as none: what is counted of it is the loss around it. A potential's
    padded step is what is traced and compiled.
    """

    version = "1"
    timeout = 600
    param_names = ["case"]
    params = [
        cases(
            [
                "pinn advection-1d fnn baseline kernel",
                "molecular xtb-ethanol schnet baseline padded",
            ],
            [
                "pinn diffusion-reaction-2d fnn baseline kernel",
                "molecular xtb-ethanol painn baseline padded",
            ],
            [
                "pinn compressible-flow-1d fnn baseline kernel",
                "molecular xtb-ethanol cgcnn baseline padded",
                "molecular xtb-ethanol so3net baseline padded",
                "molecular xtb-ethanol forcenet baseline padded",
                "molecular xtb-ethanol dimenet++ baseline padded",
            ],
        )
    ]

    def setup_cache(self) -> dict[str, Any]:
        """Count all steps in one process."""
        found = {}
        for case in self.params[0]:
            suite, problem, model, arm, way = case.split()
            found[case] = count(built(suite, problem, f"{model} {arm}", "cpu", way=way).step)
        return found

    @describe("ways: operators of a training step", "operators")
    def track_operators(self, counts: dict[str, Any], case: str) -> int:
        """Operators that compute something."""
        return int(counts[case].operators)

    @describe("ways: matrix products of a training step", "FLOP")
    def track_flops(self, counts: dict[str, Any], case: str) -> int:
        """Floating-point operations of torch's matrix products."""
        return int(counts[case].flops)
