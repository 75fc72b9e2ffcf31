"""The nightly on a toy repository with an asv that starts no process.

It measures what `toy_repository` says, in this process, and keeps it in files that asv's own
classes write. `main` is that of `bench.nightly`.
"""

from __future__ import annotations

import ast
import datetime
import itertools
import math
import os
import re
import statistics
import sys
import traceback
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

from asv import util
from asv.benchmarks import Benchmarks
from asv.machine import Machine
from asv.results import Results
from asv.runner import BenchmarkResult

from bench import nightly
from bench.tracking.asv_commands import Asv
from bench.tracking.commits import Repository

_COMMON = {"version": "1", "code": "", "timeout": 60}
ERRORS = {
    **{"name": "errors.Errors.track_error", "params": [["'a'", "'b'"]], "param_names": ["case"]},
    **{"type": "track", "unit": "1", **_COMMON},
}
TIMES = {
    **{"name": "times.Times.time_call", "params": [], "param_names": []},
    **{"type": "time", "unit": "seconds", **_COMMON},
}
#: Samples of a time in a round.
_REPEAT = 5


class QuickAsv(Asv):
    """Finds and measures the benchmarks of a toy repository."""

    def introduce_machine(self) -> None:
        """It needs no introduction."""

    def discover(self, commit: str) -> None:
        """They are always the same."""
        with self._said("discover"):
            self._describe()

    def measure(self, commit: str, regex: str) -> None:
        """Those that match and have not succeeded before."""
        with self._said(f"{commit[:8]} {regex}") as log:
            self._describe()
            self._measure(commit, [regex], 1, log, again=False)

    def measure_in_turn(self, commits: Sequence[str], names: Sequence[str], rounds: int) -> None:
        """Those of these names."""
        with self._said("in turn") as log:
            self._describe()
            for commit in commits:
                regexes = [f"^{re.escape(name)}$" for name in names]
                self._measure(commit, regexes, rounds, log, again=True)

    def publish(self) -> None:
        """Without pages."""

    def _said(self, title: str) -> Any:
        print(f"nightly: {title} …", file=sys.stderr)
        self.logs.mkdir(parents=True, exist_ok=True)
        return (self.logs / f"{len(list(self.logs.iterdir())):03}.log").open("w")

    def _describe(self) -> None:
        table = {one["name"]: one for one in (ERRORS, TIMES)}
        util.write_json(str(self.results_dir / "benchmarks.json"), table, Benchmarks.api_version)
        path = self.results_dir / self._machine / "machine.json"
        util.write_json(str(path), {"machine": self._machine}, Machine.api_version)

    def _measure(
        self, commit: str, regexes: Sequence[str], rounds: int, log: Any, again: bool
    ) -> None:
        path = self.results_dir / self._machine / f"{commit[:8]}-toy.json"
        machine = {"machine": self._machine}
        results = Results(machine, {}, commit, 0, "3.12", "toy", {})
        if path.exists():
            results = Results.load(str(path))
        code: dict[str, Any] = {}
        exec(Repository(self._configuration.root).git("show", f"{commit}:toy.py"), code)  # noqa: S102
        for benchmark, measure in ((ERRORS, _error), (TIMES, _time)):
            names = list(_names(benchmark))
            chosen = [any(re.search(regex, name) for regex in regexes) for name in names]
            had = results.get_all_result_keys()
            if not any(chosen) or (
                not again
                and benchmark["name"] in had
                and None not in results.get_result_value(benchmark["name"], benchmark["params"])
            ):
                continue
            samples = [
                _tried(lambda name=name, measure=measure: measure(code, name, rounds), log)
                if wanted
                else [math.nan]
                for name, wanted in zip(names, chosen, strict=True)
            ]
            is_time = benchmark["type"] == "time"
            result = BenchmarkResult(
                [found and statistics.median(found) for found in samples],
                [found if is_time else None for found in samples],
                [1 if is_time and found else None for found in samples],
                0 if all(samples) else 1,
                "",
                None,
            )
            now = datetime.datetime.now(datetime.UTC)
            results.add_result(benchmark, result, started_at=now)
        results.save(str(self.results_dir))


def _names(benchmark: dict[str, Any]) -> Iterator[str]:
    for parameters in itertools.product(*benchmark["params"]):
        name: str = benchmark["name"]
        yield f"{name}({', '.join(parameters)})" if parameters else name


def _error(code: dict[str, Any], name: str, rounds: int) -> list[float]:
    if code["FAILS"]:
        raise RuntimeError("training diverged at step 7")
    return [code["ERROR"] * (2 if "'b'" in name else 1)]


def _time(code: dict[str, Any], name: str, rounds: int) -> list[float]:
    """As long as the code says, in a process of its own for each round, as far as it can see."""
    found: list[float] = []
    for _ in range(rounds):
        with mock.patch.object(os, "getpid", return_value=uuid.uuid4().int):
            found += [code["seconds"]() for _ in range(_REPEAT)]
    return found


def _tried(measure: Callable[[], list[float]], log: Any) -> list[float] | None:
    try:
        return measure()
    except Exception:
        log.write(traceback.format_exc())
        return None


def main() -> int:
    """The nightly's command line, in the toy repository that is the present folder."""
    text = (Path("benchmarks") / "errors.py").read_text()
    (cases,) = re.findall(r"^    params = (.*)$", text, flags=re.MULTILINE)
    ERRORS["params"] = [[repr(case) for case in ast.literal_eval(cases)]]
    with mock.patch("bench.tracking.parts.Asv", QuickAsv):
        return nightly.main()
