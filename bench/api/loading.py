"""`bench.load`: what a store has."""

from __future__ import annotations

from pathlib import Path

from bench.api.results import Results
from bench.store.store import DEFAULT_OUT, Store
from bench.text.errors import BadInput


def load(store: Path | str = DEFAULT_OUT) -> Results:
    """The runs that a store has; they are read when they are first asked for.

    Args:
        store: The folder that ``python -m bench.suite … --out`` or `bench.run` wrote to.

    Raises:
        BadInput: There is no store.
    """
    found = Store(Path(store))
    if not (found.root / "runs").is_dir():
        raise BadInput(f"there is no store of results in {str(store)!r}")
    return Results(found)
