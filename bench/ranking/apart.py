"""The runs of rankings that are no results of their own: tuning trials, and other lengths."""

from __future__ import annotations

from typing import NamedTuple

from bench.ranking.ranking import TRIAL_SEEDS, Ranking, Setting, rankings
from bench.spec.training_options import TrainingOptions
from bench.store.record import Record
from bench.store.store import Store

#: Of the scored runs that train for the budget's steps.
_WHOLE = 1.0


class Apart(NamedTuple):
    """What a look at all runs of a store leaves out.

    Attributes:
        trials: Hashes of the trials of all rankings.
        lengths: Hashes of the runs that rankings score at another share of the budget's steps.
        retuned: Hashes of scored runs whose arm is called after another value of a technique than
            the one that was chosen. They are results, but only those of their ranking.
    """

    trials: frozenset[str]
    lengths: frozenset[str]
    retuned: frozenset[str]

    def why(self, record: Record) -> str | None:
        """``tuning trials``, ``runs of another length``; ``None`` for a run that is a result.

        A run with a seed of trials is a trial, even where its ranking has gone.
        """
        name = record.spec_hash
        if record.seed in TRIAL_SEEDS or name in self.trials:
            return "tuning trials"
        return "runs of another length" if name in self.lengths else None

    def is_plain(self, record: Record) -> bool:
        """Whether a run may be compared with all others of its store."""
        return self.why(record) is None and record.spec_hash not in self.retuned


def apart(store: Store) -> Apart:
    """The runs of all rankings of a store that are left out.

    A run that one ranking scores at the budget's steps stays, whatever others use it for.
    """
    trials, lengths, scored, retuned = set[str](), set[str](), set[str](), set[str]()
    for ranking in rankings(store):
        trials |= {trial.spec.hash for trial in ranking.trials}
        for length in ranking.lengths:
            names = {run.spec.hash for run in length.runs}
            (scored if length.share == _WHOLE else lengths).update(names)
        retuned |= _retuned(ranking)
    return Apart(frozenset(trials - scored), frozenset(lengths - scored), frozenset(retuned))


def _retuned(ranking: Ranking) -> set[str]:
    """The hashes of scored runs with another value of a technique than their arm's name says."""
    places = {
        (choice.problem, choice.model, choice.arm)
        for choice in ranking.choices
        if _techniques(choice.setting) != _techniques(choice.untuned)
    }
    specs = (run.spec for run in ranking.runs_of(_WHOLE))
    return {spec.hash for spec in specs if (spec.problem, spec.model, spec.arm) in places}


def _techniques(setting: Setting) -> Setting:
    """What of a setting is no option of training."""
    options = {option.name for option in TrainingOptions.declared()}
    return {name: value for name, value in setting.items() if name not in options}
