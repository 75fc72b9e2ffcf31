"""What the trials of a ranking have come to, read from their records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from bench.ranking.ranking import Trial
from bench.ranking.tuning import Key, Score, key_of
from bench.store.record import FINAL, Record
from bench.text.errors import BadInput

#: The metric by which settings are selected: the loss on held-out data in the labels' own units.
SELECTION = "selection"


def lacks_selection(record: Record) -> bool:
    """Whether a finished run was made by code that did not yet keep its loss on held-out data."""
    return record.status == "done" and SELECTION not in record.metrics


def has_ended(record: Record) -> bool:
    """Whether a trial says something: it is no part of a run that was interrupted."""
    return record.status != "interrupted"


def score(records: Sequence[Record]) -> Score:
    """The score of the trials of one setting.

    Args:
        records: One for each seed, of trials that `has_ended`.

    Raises:
        BadInput: A record has no loss on held-out data, or one below 0.
    """
    losses: list[float] = []
    diverged = failed = 0
    for record in records:
        if record.status not in FINAL:
            failed += 1
        elif record.status == "diverged":
            diverged += 1
        elif (loss := _loss(record)) is None:
            diverged += 1
        else:
            losses.append(loss)
    return Score.of(losses, diverged, failed)


def scores(trials: Iterable[Trial], records: Mapping[str, Record]) -> dict[Key, Score] | None:
    """The score of each setting of one arm on one case, in the order in which they were tried.

    Args:
        trials: Those of the arm on the case.
        records: What there is, by hash.

    Returns:
        ``None`` where a trial has not ended.

    Raises:
        BadInput: As of `score`.
    """
    by_setting: dict[Key, list[Record]] = {}
    for trial in trials:
        record = records.get(trial.spec.hash)
        if record is None or not has_ended(record):
            return None
        by_setting.setdefault(key_of(trial.setting), []).append(record)
    return {key: score(of_setting) for key, of_setting in by_setting.items()}


def _loss(record: Record) -> float | None:
    """The loss on held-out data at the end; ``None`` where it is not finite."""
    if lacks_selection(record):
        raise BadInput(
            f"the run {record.spec_hash} has no {SELECTION!r}, by which settings are selected"
        )
    loss = record.metrics[SELECTION].final
    if loss is not None and loss < 0:
        raise BadInput(
            f"the run {record.spec_hash} has the {SELECTION} {loss:g}, which must be 0 or more"
        )
    return loss
