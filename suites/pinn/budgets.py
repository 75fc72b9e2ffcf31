"""How long to train, and on how many points."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench.spec import Training
from suites.pinn.problem import Points, Problem


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


def _smoke(problem: Problem) -> Budget:
    del problem
    return Budget(
        Training(steps=10, evaluations=1), Points(64, 32, 32), supervised=64, fine_truth=False
    )


def _quick(problem: Problem) -> Budget:
    del problem
    return Budget(
        Training(steps=2000, evaluations=10),
        Points(domain=1000, boundary=200, initial=256),
        supervised=1000,
    )


def _paper(problem: Problem) -> Budget:
    published = problem.published
    return Budget(
        Training(steps=published.steps, evaluations=20), published.points, supervised=None
    )


BUDGETS: dict[str, Callable[[Problem], Budget]] = {
    "smoke": _smoke,
    "quick": _quick,
    "paper": _paper,
}

SUMMARIES = {
    "smoke": "ten steps, to see that everything runs",
    "quick": "fewer points than published, enough steps to tell arms apart: minutes",
    "paper": "the published set-up",
}
