"""Findings of rankings with made-up records."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sample_ranking import Scores, Trials, falling, ranking, write

from bench.report.ranking.findings import Findings
from bench.report.ranking.ranked import Ranked
from bench.store.record import Record, decode, encode
from bench.store.store import Store

ERRORS = {"baseline": 0.4, "irelu": 0.2, "lsuv": 0.4}


@pytest.fixture
def find(tmp_path: Path) -> Callable[..., Findings]:
    """The findings of a ranking with made-up records, each of which `edited` may change."""

    def of(
        scores: Scores | None = None,
        trials: Trials | None = None,
        edited: Callable[[Record], Record] | None = None,
        **changes: Any,
    ) -> Findings:
        costs = {k: changes.pop(k) for k in ("step_ms", "memory_mb") if k in changes}
        made = changes.pop("made", None) or ranking(**changes)
        store = Store(tmp_path / "store")
        write(made, store, scores or falling(ERRORS), trials, **costs)
        for path in store.root.rglob("record.json") if edited else []:
            path.write_bytes(encode(edited(decode(path.read_bytes()))))
        return Findings(Ranked.read(made, store))

    return of
