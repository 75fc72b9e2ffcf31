"""How much of an arm's error is luck of the trials by which its setting was chosen.

The same choice holds for all seeds that are scored, so that no number of them averages it away.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

#: Of all settings of which each neighbour of the best is worse, a choice by a mean of noise with
#: the variance v has an error of variance 0.47 v at most: where the neighbours are worse by 1.4 √v.
_LEAST_FAVOURABLE = 0.5
#: Settings with the least losses between which the choice is made in earnest.
_NEAR = 3


class Chance(NamedTuple):
    """Of a log error, the variance that other trials would give it.

    Attributes:
        variance: Its estimate; 0 where there is nothing to choose, nan where it cannot be told.
        freedom: Degrees of freedom of the estimate; infinite where nothing was estimated.
    """

    variance: float
    freedom: float


#: Nothing was chosen.
NO_CHANCE = Chance(0.0, np.inf)


def chance(losses: np.ndarray, errors: np.ndarray) -> Chance:
    """The chance in the choice of one arm on one case.

    It is the larger one of two numbers. The first is what was seen: each seed of the trials alone
    would have chosen a setting; the variance of the log errors there, over the number of seeds, as
    of any mean. Two seeds often agree by luck, so the second is what was to be feared: the largest
    variance that a choice between neighbouring settings can have, for the noise that the errors
    have at the best settings: half the variance of a mean over the seeds. What a seed does to all
    settings alike is no noise here, since it changes no choice.

    The second is right where held-out losses, by which settings are chosen, are no noisier than the
    errors are, for the same difference between settings; where they are, only the first tells.

    Args:
        losses: (settings, seeds) natural logs of the held-out losses of the trials; +inf where a
            trial was lost, nan where there is none.
        errors: (settings, seeds) natural logs of their test errors, likewise.
    """
    order = _order(losses)
    whole = [k for k in order if np.isfinite(errors[k]).all() and np.isfinite(losses[k]).all()]
    if len(whole) == 1 and np.isposinf(np.delete(losses, whole, axis=0)).all():
        return NO_CHANCE  # all other settings, if there are any, were lost for every seed
    near, seeds = errors[whole[:_NEAR]], losses.shape[1]
    if len(near) < 2 or seeds < 2:
        return Chance(np.nan, np.nan)
    noise = near - near.mean(axis=0) - near.mean(axis=1, keepdims=True) + near.mean()
    freedom = (len(near) - 1) * (seeds - 1)
    feared = _LEAST_FAVOURABLE * float((noise**2).sum()) / freedom / seeds
    alone = [_order(losses[:, [seed]])[0] for seed in range(seeds)]
    at_these = [float(errors[k][np.isfinite(errors[k])].mean()) for k in alone if k in whole]
    seen = float(np.var(at_these, ddof=1)) / seeds if len(at_these) > 1 else 0.0
    return Chance(max(seen, feared), float(freedom))


def together(chances: Sequence[Chance]) -> Chance:
    """The chance in a difference of arms, by Satterthwaite's degrees of freedom.

    An arm of which it cannot be told has as much as the others on average.
    """
    known = [one for one in chances if not np.isnan(one.variance)]
    if not known:
        return Chance(np.nan, np.nan) if chances else NO_CHANCE
    variance = sum(one.variance for one in known)
    if variance == 0:
        return Chance(0.0, min(one.freedom for one in known))
    of_square = sum(one.variance**2 / one.freedom for one in known)
    return Chance(variance * len(chances) / len(known), variance**2 / of_square)


def filled(chances: Sequence[Chance]) -> list[Chance]:
    """The chances of several cases; one that cannot be told is as large as the others' mean."""
    known = [one for one in chances if not np.isnan(one.variance)]
    if not known or len(known) == len(chances):
        return list(chances)
    every = together(known)
    mean = Chance(every.variance / len(known), every.freedom)
    return [mean if np.isnan(one.variance) else one for one in chances]


def _order(losses: np.ndarray) -> list[int]:
    """Settings by their lost trials, then by the mean loss of the others; as they are chosen."""
    finite = np.isfinite(losses)
    sums = np.where(finite, losses, 0.0).sum(axis=1)
    counts = finite.sum(axis=1)
    means = np.where(counts > 0, sums / np.maximum(counts, 1), np.inf)
    return [int(k) for k in np.lexsort((means, (~finite).sum(axis=1)))]
