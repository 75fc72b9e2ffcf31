"""How long to train, and on how many points."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from suites.pinn.models.catalogue import Model
from suites.pinn.problems.problem import Points, Problem

#: Of the budget ``smoke``.
SMOKE_POINTS = Points(64, 32, 32)


@dataclass(frozen=True)
class Budget:
    """What a budget means for a problem.

    Attributes:
        steps: Of Adam.
        evaluations: How many times the metrics are evaluated.
        points: Collocation points.
        supervised: How many points of the scored grid are labels at most, where the protocol labels
            the published fraction of them; ``None``: that fraction.
        fine_truth: Score against the accurate ground truth.
    """

    steps: int
    evaluations: int
    points: Points
    supervised: int | None
    fine_truth: bool = True


def _smoke(problem: Problem, model: Model) -> Budget:
    del problem, model
    return Budget(10, 1, SMOKE_POINTS, supervised=64, fine_truth=False)


#: Steps, points and labels of ``quick``: what a step costs differs by a factor of ten between the
#: problems, and a run is to take 90 seconds on one core at most.
_QUICK: dict[str, tuple[int, Points, int]] = {
    "advection-1d": (8000, Points(domain=1000, boundary=200, initial=256), 0),
    "compressible-flow-1d": (8000, Points(domain=300, boundary=50, initial=100), 0),
    "diffusion-reaction-2d": (6000, Points(domain=400, boundary=100, initial=200), 250),
    "diffusion-sorption-1d": (8000, Points(domain=300, boundary=60, initial=100), 250),
    "shallow-water-2d": (6000, Points(domain=400, boundary=50, initial=300), 500),
}
#: Shares of these steps by the model's own normalisation: every arm on the model has them. Through
#: batch norm DeepXDE itself takes the derivatives, which costs three to ten times as much.
_SHARES = {"denorm": 1.0, "batchnorm": 0.15}
_NORMALIZED_SHARE = 0.5
_QUICK["diffusion-reaction-2d-noise"] = _QUICK["diffusion-reaction-2d"]
_QUICK["diffusion-sorption-1d-relu"] = _QUICK["diffusion-sorption-1d"]

#: Of the steps of ``quick``.
_SHORT_SHARE = 0.2


def _quick(problem: Problem, model: Model) -> Budget:
    published = problem.published
    steps, points, labels = _QUICK.get(problem.name, (4000, published.points, 1000))
    share = _SHARES.get(model.choices["normalization"], _NORMALIZED_SHARE)
    return Budget(round(share * steps), 10, points, supervised=labels)


def _short(problem: Problem, model: Model) -> Budget:
    quick = _quick(problem, model)
    return replace(quick, steps=round(_SHORT_SHARE * quick.steps), evaluations=5)


def _paper(problem: Problem, model: Model) -> Budget:
    del model
    published = problem.published
    return Budget(published.steps, 20, published.points, supervised=None)


BUDGETS: dict[str, Callable[[Problem, Model], Budget]] = {
    "smoke": _smoke,
    "short": _short,
    "quick": _quick,
    "paper": _paper,
}

SUMMARIES = {
    "smoke": "ten steps, to see that everything runs",
    "short": "a fifth of quick's steps, at most 20 s a run on one core",
    "quick": "fewer points than published, at most 90 s a run on one core",
    "paper": "the published steps and points",
}
