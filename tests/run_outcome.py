"""What of a finished run only its spec may decide."""

from __future__ import annotations

from typing import Any

from bench.store.record import Record
from bench.store.store import Store
from bench.store.weights import load_weights


def outcome(store: Store, record: Record) -> dict[str, Any]:
    """Equal for two runs of a spec, to the last bit, however often they were interrupted."""
    weights = load_weights(store.weights(record.spec_hash))
    return {
        "hash": record.spec_hash,
        "status": record.status,
        "steps": record.steps_done,
        "metrics": record.metrics,
        "losses": record.losses,
        "history": {k: v for k, v in record.history.items() if k != "seconds"},
        "best": record.best_step,
        "diagnostics": record.diagnostics,
        "weights": {name: value.numpy().tobytes() for name, value in weights.items()},
    }
