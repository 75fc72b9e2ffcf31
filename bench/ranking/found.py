"""The records that a ranking goes by: those of the store, each read once, and those just made."""

from __future__ import annotations

from collections.abc import Iterable

from bench.store.record import FINAL, Record, decode_result
from bench.store.store import Store


class Found:
    """Records by hash.

    A run of the store that ended without a result is not there, since it is run again; one that
    has just ended so is.

    Args:
        store: The store.
        rerun: Nothing of the store counts.
    """

    def __init__(self, store: Store, rerun: bool = False) -> None:
        self._store = store
        self._rerun = rerun
        self._records: dict[str, Record | None] = {}
        self._made: dict[str, Record] = {}

    def get(self, name: str) -> Record | None:
        """The record of a run, without losses and history; ``None`` where there is none."""
        if name not in self._records:
            record = None if self._rerun else self._store.read(name, decode_result)
            final = record is not None and record.status in FINAL
            self._records[name] = record if final else None
        return self._records[name]

    def has_result(self, name: str) -> bool:
        """Whether the run is done, or diverged."""
        record = self.get(name)
        return record is not None and record.status in FINAL

    def add(self, records: Iterable[Record]) -> None:
        """Take records of runs that have just ended."""
        made = {record.spec_hash: record for record in records}
        self._made.update(made)
        self._records.update(made)

    def made(self) -> list[Record]:
        """The records that were added, each once."""
        return list(self._made.values())
