"""Benchmarks of training techniques for derivative-constrained neural networks.

The front door in Python::

    import bench

    results = bench.run("pinn", problems=["advection-1d"], arms=["irelu+featurewise"], seeds=3)
    results.frame()
    results.compare("baseline")
    bench.study("separate", suite="pinn").report("separate.html")
    bench.rank("activation=mine:Snake", suite="pinn", hours=8).answer
    bench.load("bench-results").run("3f64ae8a").network()
    bench.load("bench-results").leaderboard()
    bench.difference("results-of-monday", "results-of-today").frame()

``python -m bench.suite`` is the command line. The harness knows no PDE and no molecule; suites are
found by entry point.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

# Before anything imports NumPy or torch: results must not depend on the number of cores.
for _library in ("OMP", "OPENBLAS", "MKL"):
    os.environ.setdefault(f"{_library}_NUM_THREADS", "1")

if TYPE_CHECKING:
    from bench.api.comparing import difference as difference
    from bench.api.difference import Difference as Difference
    from bench.api.loading import load as load
    from bench.api.ranked import RankingResults as RankingResults
    from bench.api.ranking import rank as rank
    from bench.api.results import Results as Results
    from bench.api.results import TrainedNetwork as TrainedNetwork
    from bench.api.running import run as run
    from bench.api.studying import StudyResults as StudyResults
    from bench.api.studying import study as study
    from bench.text.errors import BadInput as BadInput

#: Where each name is defined; imported when it is first used, since results need pandas.
_HOMES = {
    "run": "bench.api.running",
    "study": "bench.api.studying",
    "rank": "bench.api.ranking",
    "load": "bench.api.loading",
    "difference": "bench.api.comparing",
    "Difference": "bench.api.difference",
    "Results": "bench.api.results",
    "TrainedNetwork": "bench.api.results",
    "RankingResults": "bench.api.ranked",
    "StudyResults": "bench.api.studying",
    "BadInput": "bench.text.errors",
}

__all__ = [
    "BadInput",
    "Difference",
    "RankingResults",
    "Results",
    "StudyResults",
    "TrainedNetwork",
    "difference",
    "load",
    "rank",
    "run",
    "study",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *_HOMES]
