"""Errors after short trainings: does the code still learn what it learnt?

Trainings are deterministic: the same code gives the same error on the same machine. They are in
double precision: in single precision a reordered sum moves the error of an unstable arm by up to
20 % within 300 steps, while in double precision a change of last digits stays one. So a small
threshold tells a change of the mathematics from one of the rounding. `precision` watches single
precision.

Errors only, no scores: to asv a regression is an upward step. A training that diverges makes its
benchmark fail.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .describe import describe
from .profile import cases
from .runs import SEEDS, median_error, train

#: Records of the seeds by problem and network.
Results = dict[str, dict[str, list[dict[str, Any]]]]


class Trained:
    """Networks that are trained once for all benchmarks of a class.

    asv shares a cache between benchmarks whose ``setup_cache`` is the same line of source, so each
    class has one of its own.

    Attributes:
        suite: Name of the suite.
        params: Problems, and networks: a model and an arm.
        training: Further arguments of the command line.
        metrics: The tracked metrics of a record.
    """

    version = "1"
    timeout = 3600
    param_names = ["problem", "network"]
    suite = ""
    params: list[list[str]] = [[], []]
    training: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()

    @classmethod
    def calls(cls) -> Iterator[list[str]]:
        """Arguments of the command line, without seeds: one call for each model."""
        problems, networks = cls.params
        arms: dict[str, list[str]] = {}
        for network in networks:
            model, arm = network.split()
            arms.setdefault(model, []).append(arm)
        for model, of_model in arms.items():
            chosen = [word for problem in problems for word in ("--problem", problem)]
            chosen += [word for arm in of_model for word in ("--arm", arm)]
            rest = ["--evaluations", "1", "--no-baseline", *cls.training]
            yield [cls.suite, "--model", model, *chosen, *rest]

    @classmethod
    def trained(cls) -> Results:
        """The records of all networks, trained on all problems."""
        found: Results = {}
        for arguments in cls.calls():
            model = arguments[2]
            for record in train(*arguments, "--seeds", str(SEEDS)):
                of_problem = found.setdefault(record["problem"], {})
                of_problem.setdefault(f"{model} {record['arm']}", []).append(record)
        return found


class PINN(Trained):
    """Errors of networks trained on the residual of a PDE, against its ground truth."""

    suite = "pinn"
    params = [
        cases(
            ["advection-1d"],
            ["compressible-flow-1d"],
            ["diffusion-reaction-2d", "diffusion-sorption-1d", "shallow-water-2d"],
        ),
        cases(
            ["fnn baseline"],
            ["fnn irelu+featurewise"],
            [
                "fnn isilu+featurewise",
                "fnn rescale",
                "fnn-bn baseline",
                "fnn-bn irelu+denorm+featurewise",
            ],
        ),
    ]
    training = ("--steps", "100", "--lr", "6e-3", "--dtype", "float64")
    metrics = ("L2RE", "MSE")

    def setup_cache(self) -> Results:
        """Train everything once for all benchmarks of the class."""
        return self.trained()

    @describe("PINN: relative L2 error after 100 steps", "relative error")
    def track_L2RE(self, results: Results, problem: str, network: str) -> float:
        """Relative L2 error on the whole space–time grid, median of the seeds."""
        return median_error(results[problem][network], "L2RE")

    @describe("PINN: mean squared error after 100 steps", "squared error")
    def track_MSE(self, results: Results, problem: str, network: str) -> float:
        """Mean squared error on the whole space–time grid, median of the seeds."""
        return median_error(results[problem][network], "MSE")


def _in_electronvolt(records: list[dict[str, Any]], metric: str) -> float:
    """The median in eV or eV/Å: the converted metric, or the metric itself if labels are in eV."""
    converted = f"{metric}_eV"
    return median_error(records, converted if converted in records[0]["units"] else metric)


class Molecular(Trained):
    """Errors of interatomic potentials on the test frames, protocol ``standard``."""

    # 2: the scored average warms up, so what was trained is scored.
    version = "2"
    suite = "molecular"
    params = [
        cases(["xtb-ethanol"], [], ["xtb-oxides"]),
        cases(
            ["schnet:32x2 baseline"],
            ["cgcnn:32x2 irelu+denorm"],
            [
                *("schnet:32x2 irelu", "painn:32x2 baseline"),
                *("cgcnn:32x2 baseline", "forcenet:32x2 denorm"),
            ],
        ),
    ]
    training = ("--steps", "100", "--lr", "2e-3", "--dtype", "float64")
    metrics = ("MAE_E", "MAE_F")

    def setup_cache(self) -> Results:
        """Train everything once for all benchmarks of the class."""
        return self.trained()

    @describe("potentials: energy MAE after 100 steps", "eV")
    def track_energy_MAE(self, results: Results, problem: str, network: str) -> float:
        """Mean absolute error of the energies, median of the seeds."""
        return _in_electronvolt(results[problem][network], "MAE_E")

    @describe("potentials: force MAE after 100 steps", "eV/Å")
    def track_force_MAE(self, results: Results, problem: str, network: str) -> float:
        """Mean absolute error of the forces, median of the seeds."""
        return _in_electronvolt(results[problem][network], "MAE_F")
