"""`bench.difference`: what differs between two stores, studies or rankings."""

from __future__ import annotations

from pathlib import Path

from bench.api.difference import Difference
from bench.api.results import Results, other_side
from bench.store.store import DEFAULT_OUT, Store


def difference(
    a: Results | Path | str,
    b: Results | Path | str,
    *,
    suite: str | None = None,
    budget: str | None = None,
    store: Path | str = DEFAULT_OUT,
) -> Difference:
    """What differs between two sides: first beside the results, then in them.

    Runs are compared of equal suite, budget, problem, model, arm and seed, whatever else differs:
    that may be the question.

    Args:
        a: One side: results, the folder of a store, ``DIR:NAME``, a study or ranking in it, or the
            name of a study or ranking in `store`.
        b: The other side, likewise.
        suite: Runs of one suite; ``None``: of all.
        budget: Runs of one budget; ``None``: of all.
        store: The store of names without a folder.

    Returns:
        What differs.

    Raises:
        BadInput: There is no such side, or no run in common.
    """
    out = Store(Path(store))
    return Difference.between(other_side(a, out), other_side(b, out), suite, budget)
