"""Training through the command line, as a user does."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

#: Number of seeds; the tracked error is the median over them.
SEEDS = 3


def train(*arguments: str) -> list[dict[str, Any]]:
    """The records of a call of ``python -m bench.suite``, on the CPU.

    Args:
        arguments: Arguments of the command line, without device, store and form of the output.

    Raises:
        RuntimeError: The command failed other than by a run that failed.
    """
    command = [sys.executable, "-m", "bench.suite", *arguments, "--device", "cpu", "--json"]
    done = subprocess.run([*command, "--out", "runs"], capture_output=True, text=True)
    if done.returncode not in (0, 1) or not done.stdout:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr}")
    records: list[dict[str, Any]] = json.loads(done.stdout)
    return records


def median_error(records: Sequence[Mapping[str, Any]], metric: str) -> float:
    """Median over the seeds of a metric at the end of training.

    Args:
        records: Records of one network on one problem, one for each seed.
        metric: Name of the metric.

    Raises:
        RuntimeError: There are not as many runs as seeds, or one did not end as ``done``: asv then
            shows the benchmark as failed, where a NaN would be a benchmark that was skipped.
    """
    if len(records) != SEEDS:
        raise RuntimeError(f"{len(records)} runs instead of {SEEDS}")
    for record in records:
        if record["status"] != "done":
            raise RuntimeError(
                f"{record['problem']} {record['model']} {record['arm']} seed {record['seed']}"
                f" {record['status']}: {record['reason']}"
            )
    return statistics.median(record["metrics"][metric]["final"] for record in records)
