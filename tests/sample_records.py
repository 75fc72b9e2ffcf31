"""Records for tests that train nothing."""

from __future__ import annotations

from typing import Any

import msgspec

from bench.spec.spec import Spec
from bench.spec.training import Training
from bench.store.record import SCHEMA, Metric, Record, Timing

SPEC = Spec(
    suite="pinn",
    problem="advection-1d",
    model="fnn:40x6",
    arm="baseline",
    axes={"activation": "tanh", "normalization": "denorm"},
    seed=0,
    budget="smoke",
    training=Training(steps=10),
    settings={"points": {"domain": 64, "boundary": 32}, "sample": 0},
)


def record(spec: Spec = SPEC, **changes: Any) -> Record:
    """A finished run's record with the given fields changed."""
    fields: dict[str, Any] = {
        "schema": SCHEMA,
        "spec_hash": spec.hash,
        "suite": spec.suite,
        "problem": spec.problem,
        "model": spec.model,
        "arm": spec.arm,
        "seed": spec.seed,
        "budget": spec.budget,
        "status": "done",
        "metrics": {"L2RE": Metric(0.25, 0.125)},
        "units": {"L2RE": "1"},
        "timing": Timing(1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7),
        "environment": {"cpu": "some", "versions": {"torch": "2.11"}, "commit": None},
        "spec": spec,
        "steps_done": 10,
        "best_step": 5,
        "losses": {"step": [0.0, 5.0], "loss": [1.0, 0.5]},
        "history": {"step": [0.0, 10.0], "L2RE": [1.0, 0.25]},
        "warnings": ["not “plain” ASCII — βu"],
    }
    return Record(**{**fields, **changes})


def of(arm: str, seed: int, error: float | None, status: str = "done", **changes: Any) -> Record:
    """The record of an arm with its final L2RE."""
    spec = msgspec.structs.replace(SPEC, arm=arm, seed=seed, axes={"activation": arm})
    changes = {"metrics": {"L2RE": Metric(error, error)}, "warnings": [], **changes}
    return record(spec, status=status, **changes)
