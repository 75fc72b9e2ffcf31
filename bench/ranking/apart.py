"""The runs of rankings that are no results of their own: tuning trials, and other lengths."""

from __future__ import annotations

from typing import NamedTuple

from bench.ranking.ranking import TRIAL_SEEDS, rankings
from bench.store.record import Record
from bench.store.store import Store

#: Of the scored runs that train for the budget's steps.
_WHOLE = 1.0


class Apart(NamedTuple):
    """What a look at all runs of a store leaves out.

    Attributes:
        trials: Hashes of the trials of all rankings.
        lengths: Hashes of the runs that rankings score at another share of the budget's steps.
    """

    trials: frozenset[str]
    lengths: frozenset[str]

    def why(self, record: Record) -> str | None:
        """What such runs are called if this one is left out: ``tuning trials``, or ``runs of another length``.

        A run with a seed of trials is one, even where its ranking has gone.
        """
        name = record.spec_hash
        if record.seed in TRIAL_SEEDS or name in self.trials:
            return "tuning trials"
        return "runs of another length" if name in self.lengths else None


def apart(store: Store) -> Apart:
    """The runs of all rankings of a store that are left out.

    A run that one ranking scores at the budget's steps stays, whatever others use it for.
    """
    trials, lengths, scored = set(), set(), set()
    for ranking in rankings(store):
        trials |= {trial.spec.hash for trial in ranking.trials}
        for length in ranking.lengths:
            names = {run.spec.hash for run in length.runs}
            (scored if length.share == _WHOLE else lengths).update(names)
    return Apart(frozenset(trials - scored), frozenset(lengths - scored))
