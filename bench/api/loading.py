"""`bench.load`: the runs of a store."""

from __future__ import annotations

from pathlib import Path

from bench.api.results import Results
from bench.store.store import DEFAULT_OUT, Store
from bench.text.errors import BadInput


def load(store: Path | str = DEFAULT_OUT) -> Results:
    """Open a store. Its runs are read when they are first asked for.

    Args:
        store: The folder that ``python -m bench.suite … --out`` or `bench.run` wrote to; by default
            ``bench-results``.

    Returns:
        All runs of the store, in the order in which they were started.

    Raises:
        BadInput: There is no store.
    """
    found = Store(Path(store))
    if not (found.root / "runs").is_dir():
        raise BadInput(f"there is no store of results in {str(store)!r}")
    return Results(found)
