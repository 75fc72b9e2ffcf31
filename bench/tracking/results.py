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

#: What stands before the names of values whose every change counts: no direction of theirs is good.
_FINGERPRINTS = "fingerprints."

#: Kind and unit of a benchmark that no longer exists, by what its function's name begins with.
_KINDS = {"time": ("time", "seconds"), "peakmem": ("peakmemory", "bytes")}


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

    @property
    def two_sided(self) -> bool:
        """Whether a smaller value is as bad as a larger one: that of a fingerprint is."""
        return self.benchmark.startswith(_FINGERPRINTS)


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


def removed(results_dir: Path, machine: str, commit: str) -> dict[str, Value]:
    """What was measured of a commit and can be measured no more, by name.

    The benchmark is removed or has another name, or it has these parameters no longer.

    Returns:
        The numbers that were measured, without intervals and versions.

    Raises:
        BadInput: A file is damaged, or benchmarks.json is missing.
    """
    benchmarks = benchmarks_of(results_dir)
    found = {}
    for result in results_of(results_dir, machine, commit):
        for benchmark in result.get_all_result_keys():
            present = benchmarks.get(benchmark)
            kept = set(itertools.product(*present["params"])) if present else set()
            kind, unit = _kind_and_unit(benchmark, present)
            for parameters, (number, _, _) in numbers(result, benchmark).items():
                value = Value(benchmark, parameters, number, None, None, None, unit, kind)
                if is_number(value) and (present is None or parameters not in kept):
                    found[value.name] = value
    return found


def lost_value(name: str, number: float) -> Value:
    """A value of a benchmark that no longer exists, by its name with parameters."""
    benchmark = name.partition("(")[0]
    kind, unit = _kind_and_unit(benchmark, None)
    return Value(benchmark, (), number, None, None, None, unit, kind)


def _kind_and_unit(name: str, benchmark: Benchmark | None) -> tuple[str, str]:
    if benchmark is not None:
        return benchmark["type"], benchmark["unit"]
    function = name.rpartition(".")[2]
    return _KINDS.get(function.partition("_")[0], ("track", ""))


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
    found = read(results_dir, machine, commit)
    return {
        name
        for name in expected(results_dir)
        if name not in found or (failures and found[name].value is None)
    }


def expected(results_dir: Path) -> set[str]:
    """Names of all values that can be measured.

    Raises:
        BadInput: benchmarks.json is missing or damaged.
    """
    return {
        value_name(name, parameters)
        for name, benchmark in benchmarks_of(results_dir).items()
        for parameters in itertools.product(*benchmark["params"])
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
