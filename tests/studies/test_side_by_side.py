"""How much longer steps take beside others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Self

import msgspec
import pytest
import toy_suite
from command_server import serve_workers
from sample_records import SPEC

from bench.execution.limited_child import ChildFailed
from bench.spec.spec import Spec
from bench.studies import side_by_side
from bench.studies.estimate import seconds_of
from bench.studies.measurement import Parts
from bench.studies.side_by_side import slowdown
from bench.studies.timings import Timings


@pytest.fixture(autouse=True)
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    toy_suite.install(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(side_by_side, "_found", {})
    with serve_workers():
        yield


def spec(fail: str | None = None) -> Spec:
    return msgspec.structs.replace(
        SPEC,
        suite="lone",
        problem="sine",
        model="net",
        seed=1,
        settings={"diverge": None, "fail": fail},
    )


class OnOneCore:
    """In the place of `LimitedChild`: those that step at the same time share one core."""

    stepping = 0

    def __init__(self, seconds: float, memory: int) -> None:
        self.answer: float | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        pass

    def begin(self, function: str, *arguments: object) -> None:
        if function.endswith(":step_s"):
            OnOneCore.stepping += 1
            self.answer = 0.01

    def result(self) -> float | None:
        return None if self.answer is None else self.answer * OnOneCore.stepping

    def call(self, function: str, *arguments: object) -> float | None:
        self.begin(function, *arguments)
        answer = self.result()
        OnOneCore.stepping -= 1
        return answer


def test_it_is_the_time_beside_the_others_in_that_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(side_by_side, "LimitedChild", OnOneCore)
    assert slowdown(spec(), 1) == 1
    assert slowdown(spec(), 3) == 3
    monkeypatch.setattr(side_by_side, "LimitedChild", None)
    assert slowdown(spec(), 3) == 3  # measured once


def test_steps_that_wait_hold_each_other_up_little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOY_DELAY", "0.05")
    monkeypatch.setattr(side_by_side, "_STEPPING_S", 0.5)
    monkeypatch.setattr(side_by_side, "KIND_S", 300.0)  # processes start slowly on a busy machine
    assert 1 <= slowdown(spec(), 2) < 3


def test_what_cannot_be_built_is_said() -> None:
    with pytest.raises(ChildFailed, match="it raised RuntimeError: no such thing"):
        slowdown(spec("raise-build"), 2)


def test_it_lengthens_what_was_measured_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = Parts(1.0, 0.0, 2.0, 0.0)
    monkeypatch.setattr(
        "bench.studies.estimate.measure_all", lambda kinds, limit_s: dict.fromkeys(kinds, parts)
    )
    monkeypatch.setattr("bench.studies.estimate.slowdown", lambda spec, jobs: 1.5)
    said: list[str] = []
    assert seconds_of([spec()], Timings([], 2), said.append, beside=True) == {spec().hash: 1.5 * 21}
    assert seconds_of([spec()], Timings([], 2), said.append) == {spec().hash: 21}

    def refuse(spec: Spec, jobs: int) -> float:
        raise ChildFailed("it hangs")

    monkeypatch.setattr("bench.studies.estimate.slowdown", refuse)
    assert seconds_of([spec()], Timings([], 2), said.append, beside=True) == {spec().hash: 21}
    assert said[-1] == (
        "runs side by side may last longer than estimated: not measured, because it hangs"
    )
