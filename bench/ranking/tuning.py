"""How an arm is tuned: which settings are tried, and which of them is chosen.

Every arm of a ranking, the reference included, is tuned by this one rule on every problem and
model. What decides is the loss on held-out data; a test error is not even known here.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.ranking.ranking import Setting

#: What is always tuned: the name of the learning rate among the options of training.
RATE = "lr"
#: Between neighbouring learning rates.
FACTOR = 3.0
#: Further rates that are tried at most beyond the first three, in each direction.
FURTHER = 4
#: Of the settings of an arm's first trials.
MOST_SETTINGS = 64

#: A setting as a key: its names and values in the order of the names.
Key = tuple[tuple[str, float | str], ...]


def key_of(setting: Setting) -> Key:
    """The same for equal settings, whatever the order of their names."""
    return tuple(sorted(setting.items()))


@dataclass(frozen=True)
class Score:
    """What the trials of one setting have come to.

    Attributes:
        seeds: Number of trials.
        diverged: How many of them diverged.
        failed: How many ended otherwise without a result.
        loss: Mean over the others of the natural logarithm of the held-out loss at their end;
            infinite where there is no other.
    """

    seeds: int
    diverged: int
    failed: int
    loss: float

    @classmethod
    def of(cls, losses: Sequence[float], diverged: int = 0, failed: int = 0) -> Score:
        """The score of trials.

        Args:
            losses: The finite, non-negative held-out losses of the trials that are done.
            diverged: Number of trials that diverged.
            failed: Number of trials that ended otherwise.
        """
        logs = [math.log(loss) if loss > 0 else -math.inf for loss in losses]
        mean = sum(logs) / len(logs) if logs else math.inf
        return cls(len(losses) + diverged + failed, diverged, failed, mean)

    @property
    def lost(self) -> int:
        """How many trials have no loss."""
        return self.diverged + self.failed


@dataclass(frozen=True)
class Search:
    """The settings that an arm tries on a problem and model.

    The first are all combinations of the values: of the learning rate its untuned one, a third and
    three times of it, unless its values are given; of anything else those that are given. The
    untuned setting is always among them. Then follow, at the best setting so far, the next rates
    below and above, until a rate on either side of the best has been tried, or `FURTHER` more in
    that direction. Values that are given are not added to.

    Attributes:
        untuned: The setting that the protocol, or the arm itself, has without tuning.
        values: The values that are given, by name.
    """

    untuned: Setting
    values: Mapping[str, Sequence[float | str]]

    def first(self) -> list[Setting]:
        """The settings of the first trials, the untuned one first."""
        grid = dict(self.values)
        if RATE not in grid:
            grid[RATE] = [self._rate(rung) for rung in (0, -1, 1)]
        names = list(self.untuned)
        found = [
            dict(zip(names, combination, strict=True))
            for combination in itertools.product(*(grid[name] for name in names))
        ]
        return [self.untuned, *(setting for setting in found if setting != self.untuned)]

    def further(self, scores: Mapping[Key, Score]) -> list[Setting]:
        """The settings to try next; none where the search has ended.

        Args:
            scores: Those of all settings that were tried.
        """
        best = self.best(scores)
        if RATE in self.values or scores[key_of(best)].failed == scores[key_of(best)].seeds:
            return []
        rates = [self._rate(rung) for rung in range(-1 - FURTHER, 2 + FURTHER)]
        at = rates.index(float(best[RATE]))
        near = [rates[k] for k in (at - 1, at + 1) if 0 <= k < len(rates)]
        beside = [{**best, RATE: rate} for rate in near]
        return [setting for setting in beside if key_of(setting) not in scores]

    def best(self, scores: Mapping[Key, Score]) -> Setting:
        """The setting with the fewest lost trials, and of those with the least loss.

        Of equal ones it is the untuned one, or else the one that was tried first. Where every
        trial diverged it is the one of the least rate, so that the search goes down from there.

        Args:
            scores: Those of all settings that were tried, in that order.
        """

        def rank(key: Key) -> tuple[int, float, float, bool]:
            score, setting = scores[key], dict(key)
            hopeless = score.diverged == score.seeds
            rate = float(setting[RATE]) if hopeless else 0.0
            return score.lost, score.loss, rate, setting != self.untuned

        best: Key = min(scores, key=rank)
        return dict(best)

    def at_edge(self, setting: Setting, scores: Mapping[Key, Score]) -> bool:
        """Whether nothing was tried beyond a setting, upwards or downwards in one of its numbers.

        A rate is compared with those beside the same other values; of values that are given, all
        that were tried count. A text has no edge, nor has the one value of a list.

        Args:
            setting: One that was tried.
            scores: Those of all settings that were tried.
        """
        return any(
            isinstance(value, float)
            and len(tried := self._tried(name, setting, scores)) > 1
            and not min(tried) < value < max(tried)
            for name, value in setting.items()
        )

    def _tried(self, name: str, setting: Setting, scores: Mapping[Key, Score]) -> list[float]:
        """The numbers of a name by which `at_edge` judges a setting."""
        every = [dict(key) for key in scores]
        if name not in self.values:
            every = [one for one in every if {**one, name: setting[name]} == setting]
        elif len(self.values[name]) == 1:
            return []
        return [number for one in every if isinstance(number := one[name], float)]

    def _rate(self, rung: int) -> float:
        """The untuned rate times a power of `FACTOR`, to four digits; the untuned one as it is."""
        untuned = float(self.untuned[RATE])
        return float(f"{untuned * FACTOR**rung:.4g}") if rung else untuned
