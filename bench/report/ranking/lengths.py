"""Final errors of an arm at several lengths of training, each a run of its own."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from bench.report.ranking.ranked import Ranked
from bench.report.results import Case


@dataclass(frozen=True)
class Lengths:
    """Final errors of an arm on a case.

    Attributes:
        seeds: The seeds.
        shares: The lengths that were planned, in shares of the budget's steps, increasing.
        steps: (lengths,) their steps of all optimisers.
        errors: (seeds, lengths) final errors: infinite where the run diverged, nan without a
            result.
    """

    seeds: list[int]
    shares: list[float]
    steps: list[int]
    errors: np.ndarray

    @property
    def whole(self) -> int | None:
        """Steps of the whole length; ``None`` where it has no run."""
        return dict(zip(self.shares, self.steps, strict=True)).get(1.0)


def lengths_of(ranked: Ranked, case: Case, arm: str) -> Lengths:
    """The lengths of an arm on a case.

    Where there are several lengths, the seeds are those that are planned at more than one: a seed
    with a single length would only blur where the target is reached. Which these are is part of
    the plan, and no result decides it.
    """
    steps = _steps(ranked, case, arm)
    planned = [set(ranked.by_length[share].runs(case, arm)) for share in steps]
    several = {seed for of_one in planned for seed in of_one if sum(seed in p for p in planned) > 1}
    seeds = sorted(several or {seed for of_one in planned for seed in of_one})
    errors = np.full((len(seeds), len(steps)), math.nan)
    for column, share in enumerate(steps):
        found = ranked.errors(case, share)[arm]
        for row, seed in enumerate(seeds):
            errors[row, column] = found.get(seed, math.nan)
    return Lengths(seeds, list(steps), list(steps.values()), errors)


def _steps(ranked: Ranked, case: Case, arm: str) -> dict[float, int]:
    """The steps of each share; a short budget may round two shares to the same."""
    found: dict[float, int] = {}
    # The whole length first: it is the one that stays.
    for share in sorted(ranked.by_length, key=lambda one: (one != 1.0, one)):
        runs = ranked.by_length[share].runs(case, arm)
        steps = next((run.spec.training.total_steps for run in runs.values()), 0)
        if steps > 0 and steps not in found.values():
            found[share] = steps
    return dict(sorted(found.items(), key=lambda item: item[1]))
