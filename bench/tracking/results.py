"""asv's result files, read value by value and kept whole."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asv import util
from asv.benchmarks import Benchmarks
from asv.machine import Machine
from asv.results import Results

from bench.files.atomic import write_atomically
from bench.text.errors import BadInput

#: A benchmark, as benchmarks.json describes it.
Benchmark = Mapping[str, Any]

#: Columns of a result file that have an entry for each combination of parameters.
_PER_VALUE = (
    "result",
    "stats_ci_99_a",
    "stats_ci_99_b",
    "stats_q_25",
    "stats_q_75",
    "stats_number",
    "stats_repeat",
    "samples",
)

#: Kinds of benchmarks that the machine's state moves.
NOISY = ("time", "peakmemory")

#: What reading a file of another form raises somewhere in asv.
_DAMAGE = (util.UserError, ValueError, TypeError, KeyError, IndexError, AttributeError)


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
        if not self.parameters:
            return self.benchmark
        return f"{self.benchmark}({', '.join(self.parameters)})"


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
        BadInput: A file is damaged, see `set_aside_damaged`, or benchmarks.json is missing.
    """
    measured = [r for r in _results(results_dir, machine, commit[:8]) if r.commit_hash == commit]
    if not measured:
        return {}
    last = max(measured, key=_started)
    benchmarks = _loaded(_benchmarks, results_dir / "benchmarks.json")
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
    present = _loaded(_benchmarks, results_dir / "benchmarks.json")
    measured = [r for r in _results(results_dir, machine, commit[:8]) if r.commit_hash == commit]
    return {name for r in measured for name in r.get_all_result_keys()} - set(present)


def adopt(results_dir: Path, others: Path, machine: str, commit: str, names: set[str]) -> None:
    """Take values of a commit from another folder of results, whole or not at all.

    Args:
        results_dir: The folder that is changed; it has results of the commit.
        others: The folder that they are taken from.
        machine: asv's name of the machine.
        commit: Full hash.
        names: Names of the values, see `Value.name`.

    Raises:
        BadInput: A file is damaged.
    """
    for path in sorted((others / machine).glob(f"{commit[:8]}-*.json")):
        target = results_dir / machine / path.name
        taken, kept = _loaded(_rows, path), _loaded(_rows, target)
        for benchmark, new in taken["results"].items():
            old = kept["results"].get(benchmark)
            if old is None:
                continue
            where = {n: k for k, n in enumerate(_entries(benchmark, old))}
            for k, name in enumerate(_entries(benchmark, new)):
                if name in names and name in where:
                    for column in _PER_VALUE:
                        of_new = (new.get(column) or {k: None})[k]
                        of_old = old.get(column) or [None] * len(where)
                        of_old[where[name]] = of_new
                        old[column] = of_old
        columns = kept["result_columns"]
        rows = {name: [row.get(c) for c in columns] for name, row in kept["results"].items()}
        content = {**kept, "results": rows}
        write_atomically(target, json.dumps(content).encode())


def _rows(path: Path) -> dict[str, Any]:
    """A result file, each of its rows by column."""
    content: dict[str, Any] = json.loads(path.read_bytes())
    columns = content["result_columns"]
    # asv leaves out what is empty at the end of a row.
    content["results"] = {
        name: dict(zip(columns, row, strict=False)) for name, row in content["results"].items()
    }
    return content


def _entries(benchmark: str, row: Mapping[str, Any]) -> list[str]:
    """Names of a row's values."""
    parameters = row.get("params") or []
    return [
        f"{benchmark}({', '.join(combination)})" if combination else benchmark
        for combination in itertools.product(*parameters)
    ]


def files(results_dir: Path, machine: str, commit: str) -> dict[Path, bytes]:
    """The result files of a commit, for `restore` to put back."""
    paths = (results_dir / machine).glob(f"{commit[:8]}-*.json")
    return {path: path.read_bytes() for path in paths}


def restore(kept: Mapping[Path, bytes]) -> None:
    """Write files as they were."""
    for path, content in kept.items():
        write_atomically(path, content)


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
    benchmarks = _loaded(_benchmarks, results_dir / "benchmarks.json")
    found = read(results_dir, machine, commit)
    expected = {
        f"{name}({', '.join(parameters)})" if parameters else name
        for name, benchmark in benchmarks.items()
        for parameters in itertools.product(*benchmark["params"])
    }
    return {
        name for name in expected if name not in found or (failures and found[name].value is None)
    }


def set_aside_damaged(results_dir: Path) -> list[Path]:
    """Rename damaged files, so that asv can go on.

    asv writes its files in place: a killed run can leave half a file, on which later runs stop.
    Every ``.json`` file below the folder that is not a whole result file, machine.json or
    benchmarks.json of asv's present format gets the name NAME.damaged, or NAME.damaged.1 and so on.
    The next ``asv run`` writes machine.json and benchmarks.json anew.

    No asv may write at the same time.

    Returns:
        The new paths, in the order of the old ones.
    """
    damaged = []
    for path in sorted(results_dir.rglob("*.json")):
        if path.is_file() and not _is_whole(path):
            damaged.append(path.rename(_free_name(path)))
    return damaged


def _free_name(path: Path) -> Path:
    first = path.with_name(f"{path.name}.damaged")
    numbered = (first.with_name(f"{first.name}.{number}") for number in itertools.count(1))
    return next(name for name in itertools.chain([first], numbered) if not name.exists())


def _is_whole(path: Path) -> bool:
    try:
        {"machine.json": _machine, "benchmarks.json": _benchmarks}.get(path.name, _result)(path)
    except _DAMAGE:
        return False
    return True


def _machine(path: Path) -> str:
    name = util.load_json(str(path), Machine.api_version)["machine"]
    if not isinstance(name, str):
        raise TypeError(f"a machine is named {name!r}")
    return name


def _benchmarks(path: Path) -> dict[str, Benchmark]:
    benchmarks: dict[str, Benchmark] = util.load_json(str(path), Benchmarks.api_version)
    for name, benchmark in benchmarks.items():
        list(itertools.product(*benchmark["params"]))
        if benchmark["name"] != name or not all(key in benchmark for key in ("type", "unit")):
            raise ValueError(f"not the description of {name}")
    return benchmarks


def _result(path: Path) -> Results:
    result = Results.load(str(path))
    if not isinstance(result.commit_hash, str) or not isinstance(result.params["machine"], str):
        raise ValueError("of no commit or no machine")
    # Loading looks at the file's outer form only.
    for name in result.get_all_result_keys():
        _measured(result, name)
    return result


def _loaded[T](load: Callable[[Path], T], path: Path) -> T:
    try:
        return load(path)
    except FileNotFoundError:
        raise BadInput(f"{path} is missing") from None
    except _DAMAGE as error:
        raise BadInput(f"{path} is damaged: {error}") from error


def _results(results_dir: Path, machine: str, prefix: str = "") -> Iterator[Results]:
    for path in sorted((results_dir / machine).glob(f"{prefix}*.json")):
        if path.name != "machine.json":
            yield _loaded(_result, path)


def _started(result: Results) -> float:
    """When the last of its benchmarks was started, in ms since 1970; -inf where no file says."""
    times = (time for time in result.started_at.values() if time is not None)
    return max(times, default=-math.inf)


def _measured(
    result: Results, name: str
) -> dict[tuple[str, ...], tuple[float | None, float | None, float | None]]:
    """Value and interval for each combination of parameters that the file has."""
    parameters = result.get_result_params(name)
    values = result.get_result_value(name, parameters)
    statistics = result.get_result_stats(name, parameters)
    return {
        combination: (_number(value), *_interval(of_value or {}))
        for combination, value, of_value in zip(
            itertools.product(*parameters), values, statistics, strict=True
        )
    }


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _interval(statistics: Mapping[str, float]) -> tuple[float | None, float | None]:
    low, high = statistics.get("ci_99_a"), statistics.get("ci_99_b")
    # A single sample has an infinite one, which asv ignores when it compares.
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return None, None
    return low, high


def _values(result: Results, benchmark: Benchmark) -> Iterator[Value]:
    name = benchmark["name"]
    measured = _measured(result, name)
    for parameters in itertools.product(*benchmark["params"]):
        if parameters in measured:
            value, low, high = measured[parameters]
            version = result.benchmark_version.get(name)
            unit, kind = benchmark["unit"], benchmark["type"]
            yield Value(name, parameters, value, low, high, version, unit, kind)
