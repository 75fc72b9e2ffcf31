"""One training step on the CPU: its time, its memory, and counts that no machine changes.

A count has no noise. It shows that a step got heavier even if the noise of times hides it.
"""

from __future__ import annotations

from typing import Any

from .counting import count
from .describe import describe
from .profile import cases
from .tasks import built

_PINN_PROBLEMS = cases(
    ["advection-1d"],
    ["diffusion-reaction-2d"],
    ["compressible-flow-1d", "diffusion-sorption-1d", "shallow-water-2d"],
)
_PINN_NETWORKS = cases(["fnn baseline"], [], ["fnn irelu", "fnn-bn baseline"])
_MOLECULAR_PROBLEMS = cases(["xtb-ethanol"], [], ["xtb-oxides"])
_MOLECULAR_NETWORKS = cases(
    ["schnet baseline"],
    [],
    [
        *("painn baseline", "cgcnn baseline", "schnet irelu", "so3net baseline"),
        *("forcenet baseline", "dimenet++ baseline"),
    ],
)

Counts = dict[tuple[str, str], Any]


def _counts(suite: str, problems: list[str], networks: list[str]) -> Counts:
    return {
        (problem, network): count(built(suite, problem, network, "cpu").step)
        for problem in problems
        for network in networks
    }


class _Step:
    """A task that is stepped; a subclass says which, and what is measured."""

    version = "1"
    timeout = 300
    param_names = ["problem", "network"]
    warmup_time = 0.5
    #: Few samples first, more as long as they are quick: a step takes 5 to 100 ms.
    repeat = (10, 200, 2.0)
    rounds = len(cases([0], [], [1]))
    suite = ""

    def setup(self, problem: str, network: str) -> None:
        self.task = built(self.suite, problem, network, "cpu")


class PINNStep(_Step):
    """A training step of a PINN, budget ``quick``."""

    params = [_PINN_PROBLEMS, _PINN_NETWORKS]
    suite = "pinn"

    @describe("PINN: time of a training step")
    def time_step(self, problem: str, network: str) -> None:
        """Loss, gradients, update of the weights."""
        self.task.step()


class MolecularStep(_Step):
    """A training step of a potential, budget ``quick``."""

    params = [_MOLECULAR_PROBLEMS, _MOLECULAR_NETWORKS]
    suite = "molecular"

    @describe("potentials: time of a training step")
    def time_step(self, problem: str, network: str) -> None:
        """Next batch, loss, gradients, update of the weights."""
        self.task.step()


class PINNMemory(_Step):
    """A process that trains a PINN, budget ``quick``."""

    params = [cases(["diffusion-reaction-2d"], [], ["advection-1d"]), ["fnn baseline"]]
    suite = "pinn"

    @describe("PINN: peak memory of a training process")
    def peakmem_step(self, problem: str, network: str) -> None:
        """Peak resident memory, Python and torch included."""
        self.task.step()


class MolecularMemory(_Step):
    """A process that trains a potential, budget ``quick``."""

    params = [["xtb-ethanol"], cases(["schnet baseline"], [], ["painn baseline"])]
    suite = "molecular"

    @describe("potentials: peak memory of a training process")
    def peakmem_step(self, problem: str, network: str) -> None:
        """Peak resident memory, Python and torch included."""
        self.task.step()


class PINNCounts:
    """How much a training step of a PINN computes."""

    version = "1"
    timeout = 600
    param_names = ["problem", "network"]
    params = [
        cases(
            ["advection-1d"],
            ["compressible-flow-1d", "diffusion-reaction-2d", "shallow-water-2d"],
            ["diffusion-sorption-1d"],
        ),
        _PINN_NETWORKS,
    ]

    def setup_cache(self) -> Counts:
        """Count all steps in one process."""
        return _counts("pinn", *self.params)

    @describe("PINN: operators of a training step", "operators")
    def track_operators(self, counts: Counts, problem: str, network: str) -> int:
        """Operators that compute something: what a GPU would launch a kernel for."""
        return counts[problem, network].operators

    @describe("PINN: matrix products of a training step", "FLOP")
    def track_flops(self, counts: Counts, problem: str, network: str) -> int:
        """Floating-point operations of the matrix products."""
        return counts[problem, network].flops


class MolecularCounts:
    """How much a training step of a potential computes."""

    version = "1"
    timeout = 600
    param_names = ["problem", "network"]
    params = [
        _MOLECULAR_PROBLEMS,
        cases(
            ["schnet baseline"],
            ["painn baseline", "cgcnn baseline"],
            ["schnet irelu", "so3net baseline", "forcenet baseline", "dimenet++ baseline"],
        ),
    ]

    def setup_cache(self) -> Counts:
        """Count all steps in one process."""
        return _counts("molecular", *self.params)

    @describe("potentials: operators of a training step", "operators")
    def track_operators(self, counts: Counts, problem: str, network: str) -> int:
        """Operators that compute something: what a GPU would launch a kernel for."""
        return counts[problem, network].operators

    @describe("potentials: matrix products of a training step", "FLOP")
    def track_flops(self, counts: Counts, problem: str, network: str) -> int:
        """Floating-point operations of the matrix products."""
        return counts[problem, network].flops
