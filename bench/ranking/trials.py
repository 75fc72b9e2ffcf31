"""What the trials of a ranking have come to, read from their records."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench.ranking.found import Found
from bench.ranking.ranking import Trial
from bench.ranking.tuning import Key, Score, key_of
from bench.store.record import FINAL, Record
from bench.task import SELECTION
from bench.text.errors import BadInput


def lacks_selection(record: Record) -> bool:
    """Whether a finished run was made by code that did not yet keep its loss on held-out data."""
    return record.status == "done" and SELECTION not in record.metrics


def has_ended(record: Record | None) -> bool:
    """Whether a trial says something, if only that it failed.

    One that was interrupted goes on, and one without its loss on held-out data is run again.
    """
    return record is not None and record.status != "interrupted" and not lacks_selection(record)


def refuse_negative(records: Iterable[Record | None]) -> None:
    """Refuse trials whose loss on held-out data is below 0, of which no logarithm can be taken.

    Raises:
        BadInput: The loss of one is.
    """
    for record in records:
        if record is not None and record.status == "done" and not lacks_selection(record):
            _loss(record)


def score(records: Sequence[Record]) -> Score:
    """The score of the trials of one setting.

    Args:
        records: One for each seed, of trials that `has_ended`.

    Raises:
        BadInput: The loss of a trial on held-out data is below 0.
    """
    losses: list[float] = []
    diverged = failed = 0
    for record in records:
        if record.status not in FINAL:
            failed += 1
        elif record.status == "diverged" or (loss := _loss(record)) is None:
            diverged += 1
        else:
            losses.append(loss)
    return Score.of(losses, diverged, failed)


def scores(trials: Iterable[Trial], found: Found) -> dict[Key, Score] | None:
    """The score of each setting of one arm on one case, in the order in which they were tried.

    Args:
        trials: Those of the arm on the case.
        found: The records that there are.

    Returns:
        ``None`` where a trial has not ended.

    Raises:
        BadInput: As of `score`.
    """
    by_setting: dict[Key, list[Record]] = {}
    for trial in trials:
        record = found.get(trial.spec.hash)
        if record is None or not has_ended(record):
            return None
        by_setting.setdefault(key_of(trial.setting), []).append(record)
    return {key: score(of_setting) for key, of_setting in by_setting.items()}


def _loss(record: Record) -> float | None:
    """The loss on held-out data at the end; ``None`` where it is not finite."""
    loss = record.metrics[SELECTION].final
    if loss is not None and loss < 0:
        raise BadInput(
            f"the run {record.spec_hash} has the {SELECTION} {loss:g}, which must be 0 or more"
        )
    return loss
