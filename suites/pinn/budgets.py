"""How long to train, and on how many points."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench.spec.training import Training
from suites.pinn.models.catalogue import Model
from suites.pinn.problems.problem import Points, Problem


@dataclass(frozen=True)
class Budget:
    """What a budget means for a problem.

    Attributes:
        training: Steps and optimiser.
        points: Collocation points.
        supervised: How many points of the scored grid are labels at most, where the published
            set-up labels a fraction of them; ``None``: that fraction.
        fine_truth: Score against the accurate ground truth.
    """

    training: Training
    points: Points
    supervised: int | None
    fine_truth: bool = True


def _smoke(problem: Problem, model: Model) -> Budget:
    del problem, model
    return Budget(
        Training(steps=10, evaluations=1), Points(64, 32, 32), supervised=64, fine_truth=False
    )


#: Steps, points and labels of ``quick``: what a step costs differs by a factor of ten between the
#: problems, and they are to take about a minute each on one core.
_QUICK: dict[str, tuple[int, Points, int]] = {
    "advection-1d": (4000, Points(domain=1000, boundary=200, initial=256), 0),
    "compressible-flow-1d": (4000, Points(domain=300, boundary=50, initial=100), 0),
    "diffusion-reaction-2d": (1000, Points(domain=400, boundary=100, initial=200), 250),
    "diffusion-sorption-1d": (4000, Points(domain=300, boundary=60, initial=100), 250),
    "shallow-water-2d": (1800, Points(domain=400, boundary=50, initial=300), 500),
}
#: Batch norm makes a step cost two to five times as much. Every arm on such a model has these.
_NORMALIZED_SHARE = 0.5
_QUICK["diffusion-reaction-2d-noise"] = _QUICK["diffusion-reaction-2d"]
_QUICK["diffusion-sorption-1d-relu"] = _QUICK["diffusion-sorption-1d"]


def _quick(problem: Problem, model: Model) -> Budget:
    published = problem.published
    steps, points, labels = _QUICK.get(problem.name, (4000, published.points, 1000))
    if model.choices["normalization"] != "denorm":
        steps = round(_NORMALIZED_SHARE * steps)
    # The published rate, but for the last fifth of the steps: the last iterate at a constant rate
    # scatters by a factor of two, which would be taken for a difference between arms.
    training = Training(steps=steps, schedule="stable-decay", evaluations=10)
    return Budget(training, points, supervised=labels)


def _paper(problem: Problem, model: Model) -> Budget:
    del model
    published = problem.published
    return Budget(
        Training(steps=published.steps, evaluations=20), published.points, supervised=None
    )


BUDGETS: dict[str, Callable[[Problem, Model], Budget]] = {
    "smoke": _smoke,
    "quick": _quick,
    "paper": _paper,
}

SUMMARIES = {
    "smoke": "ten steps, to see that everything runs",
    "quick": "the published optimiser on fewer points, about a minute a run",
    "paper": "the published set-up",
}
