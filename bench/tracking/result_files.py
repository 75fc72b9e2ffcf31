"""asv's files: read whole or not at all, put back, and set aside if they are damaged."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
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

#: What reading a file of another form raises somewhere in asv.
_DAMAGE = (util.UserError, ValueError, TypeError, KeyError, IndexError, AttributeError)


def benchmarks_of(results_dir: Path) -> dict[str, Benchmark]:
    """The benchmarks that exist, by name.

    Raises:
        BadInput: benchmarks.json is missing or damaged.
    """
    return load(_benchmarks, results_dir / "benchmarks.json")


def results_of(results_dir: Path, machine: str, commit: str) -> list[Results]:
    """What was measured of a commit, in each environment.

    Args:
        results_dir: asv's folder of results.
        machine: asv's name of the machine.
        commit: Full hash.

    Raises:
        BadInput: A file is damaged.
    """
    paths = sorted((results_dir / machine).glob(f"{commit[:8]}*.json"))
    found = [load(_result, path) for path in paths]
    return [result for result in found if result.commit_hash == commit]


def numbers(
    result: Results, name: str
) -> dict[tuple[str, ...], tuple[float | None, float | None, float | None]]:
    """Value and interval for each combination of parameters that a result has.

    Args:
        result: What was measured of a commit.
        name: Name of a benchmark that was.

    Returns:
        Value and both ends of its interval, ``None`` as for `bench.tracking.results.Value`.
    """
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


def value_name(benchmark: str, parameters: Sequence[str]) -> str:
    """``benchmark`` or ``benchmark('a', 'b')``, as asv names the entries of its pages."""
    return f"{benchmark}({', '.join(parameters)})" if parameters else benchmark


def files(results_dir: Path, machine: str, commit: str) -> dict[Path, bytes]:
    """The result files of a commit, for `restore` to put back."""
    paths = (results_dir / machine).glob(f"{commit[:8]}-*.json")
    return {path: path.read_bytes() for path in paths}


def restore(kept: Mapping[Path, bytes]) -> None:
    """Write files as they were."""
    for path, content in kept.items():
        write_atomically(path, content)


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


def load[T](read: Callable[[Path], T], path: Path) -> T:
    """What a function makes of a file.

    Raises:
        BadInput: The file is missing, or the function finds it damaged.
    """
    try:
        return read(path)
    except FileNotFoundError:
        raise BadInput(f"{path} is missing") from None
    except _DAMAGE as error:
        raise BadInput(f"{path} is damaged: {error}") from error


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
        numbers(result, name)
    return result
