"""What asv measured, value by value."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from asv.results import Results

from bench.tracking.result_files import (
    Benchmark,
    benchmarks_of,
    numbers,
    results_of,
    value_name,
)

#: Kinds of benchmarks that the machine's state moves.
NOISY = ("time", "peakmemory")


@dataclass(frozen=True)
class Value:
    """One measured value of a commit.

    Attributes:
        benchmark: Name of the benchmark.
        parameters: The parameters as asv writes them, ``repr`` of each; empty without parameters.
        value: The value in `unit`. None if the benchmark failed or returned no number, NaN if it
            was skipped.
        low: Lower end of the 99 % confidence interval; None if asv has no finite one.
        high: Upper end of that interval; None if asv has no finite one.
        version: Version of the benchmark when it was measured; None in files of old versions of
            asv.
        unit: ``seconds``, ``bytes``, or what the benchmark says.
        kind: ``time``, ``peakmemory``, ``track``, or another kind of asv's.
    """

    benchmark: str
    parameters: tuple[str, ...]
    value: float | None
    low: float | None
    high: float | None
    version: str | None
    unit: str
    kind: str

    @property
    def name(self) -> str:
        """``benchmark`` or ``benchmark('a', 'b')``, as asv names the entries of its pages."""
        return value_name(self.benchmark, self.parameters)


def is_number(value: Value | None) -> bool:
    """Whether something was measured, and neither failed nor was skipped."""
    return value is not None and value.value is not None and not math.isnan(value.value)


def read(results_dir: Path, machine: str, commit: str) -> dict[str, Value]:
    """All values of a commit, by name.

    Only values that can still be measured are read: benchmarks.json has the benchmark with these
    parameters. A combination of parameters that was not measured is absent, while asv itself shows
    it as failed. After a change of the configuration there are results of several environments;
    then the last measured ones are taken.

    Args:
        results_dir: asv's folder of results.
        machine: asv's name of the machine.
        commit: Full hash.

    Returns:
        The values; none if the commit was not measured.

    Raises:
        BadInput: A file is damaged (`bench.tracking.result_files.set_aside_damaged` says what that
            is), or benchmarks.json is missing.
    """
    measured = results_of(results_dir, machine, commit)
    if not measured:
        return {}
    last = max(measured, key=_started)
    benchmarks = benchmarks_of(results_dir)
    values = (
        value
        for name in last.get_all_result_keys()
        if name in benchmarks
        for value in _values(last, benchmarks[name])
    )
    return {value.name: value for value in values}


def removed(results_dir: Path, machine: str, commit: str) -> set[str]:
    """Names of benchmarks that a commit was measured by and that no longer exist.

    Raises:
        BadInput: A file is damaged, or benchmarks.json is missing.
    """
    present = benchmarks_of(results_dir)
    measured = results_of(results_dir, machine, commit)
    return {name for r in measured for name in r.get_all_result_keys()} - set(present)


def missing(results_dir: Path, machine: str, commit: str, failures: bool = True) -> set[str]:
    """Names of the values that a commit has no result for.

    Args:
        results_dir: asv's folder of results.
        machine: asv's name of the machine.
        commit: Full hash.
        failures: Whether a failure counts as missing too.

    Raises:
        BadInput: A file is damaged, or benchmarks.json is missing.
    """
    benchmarks = benchmarks_of(results_dir)
    found = read(results_dir, machine, commit)
    expected = {
        value_name(name, parameters)
        for name, benchmark in benchmarks.items()
        for parameters in itertools.product(*benchmark["params"])
    }
    return {
        name for name in expected if name not in found or (failures and found[name].value is None)
    }


def _started(result: Results) -> float:
    """When the last of its benchmarks was started, in ms since 1970; -inf where no file says."""
    times = (time for time in result.started_at.values() if time is not None)
    return max(times, default=-math.inf)


def _values(result: Results, benchmark: Benchmark) -> Iterator[Value]:
    name = benchmark["name"]
    measured = numbers(result, name)
    for parameters in itertools.product(*benchmark["params"]):
        if parameters in measured:
            value, low, high = measured[parameters]
            version = result.benchmark_version.get(name)
            unit, kind = benchmark["unit"], benchmark["type"]
            yield Value(name, parameters, value, low, high, version, unit, kind)
