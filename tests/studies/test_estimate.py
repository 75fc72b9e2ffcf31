"""How long a study will take."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import msgspec
import pytest
import toy_suite
from sample_records import SPEC, record

from bench.plugins import load_suite
from bench.spec.spec import Spec
from bench.store.record import Timing
from bench.studies.estimate import duration, estimate, measure

FULL = msgspec.structs.replace(
    SPEC, axes={"activation": "tanh", "normalization": "denorm", "rescaling": "rescale=1"}
)
SECONDS = Timing(2.0, 90.0, 8.0, 1.0, 1.0, 1.0, 1000)
START = 10.0


def test_a_run_lasts_as_long_as_those_before_it() -> None:
    known = [record(FULL, timing=SECONDS)]
    specs = [msgspec.structs.replace(FULL, seed=seed) for seed in range(1, 5)]
    assert estimate(specs, known, 1, pytest.fail) == 4 * 100 + START
    assert estimate(specs, known, 2, pytest.fail) == 2 * 100 + START
    assert estimate(specs, known, 16, pytest.fail) == 100 + START  # no sooner than one run


def test_nothing_to_do_takes_no_time() -> None:
    assert estimate([], [], 2, pytest.fail) == 0


def test_runs_that_failed_or_shared_a_step_tell_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.studies.estimate.measure", lambda spec: 5.0)
    for useless in (
        record(FULL, timing=SECONDS, status="failed"),
        record(FULL, timing=SECONDS, environment={"seeds_together": 3}),
        record(msgspec.structs.replace(FULL, model="fnn:80x6"), timing=SECONDS),
    ):
        said: list[str] = []
        assert estimate([FULL], [useless], 1, said.append) == 5 + START
        assert len(said) == 1


def test_arms_that_differ_in_their_normalisation_are_measured_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    measured: list[Spec] = []

    def fake(spec: Spec) -> float:
        measured.append(spec)
        return 1.0

    monkeypatch.setattr("bench.studies.estimate.measure", fake)
    axes = [
        {**FULL.axes, "activation": activation, "normalization": normalization}
        for activation in ("tanh", "irelu")
        for normalization in ("denorm", "batchnorm")
    ]
    specs = [msgspec.structs.replace(FULL, axes=one) for one in axes]
    assert estimate(specs, [], 1, lambda _: None) == 4 + START
    assert [spec.axes["normalization"] for spec in measured] == ["denorm", "batchnorm"]


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    toy_suite.install(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return load_suite("lone")


def toy_spec() -> Spec:
    return msgspec.structs.replace(
        FULL,
        suite="lone",
        problem="sine",
        model="net",
        settings={"diverge": None, "fail": None},
        training=msgspec.structs.replace(FULL.training, steps=300, evaluations=4),
    )


def test_steps_are_measured(toy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOY_DELAY", "0.01")
    assert 3 < measure(toy_spec()) < 6  # 300 steps of 10 ms and a little


def test_what_cannot_be_built_is_unknown(toy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(spec: Spec, device: Any) -> Any:
        raise RuntimeError("no such thing")

    monkeypatch.setattr(type(toy), "build", broken)
    assert measure(toy_spec()) == math.inf
    assert duration(math.inf) == "unknown"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "1 s"),
        (89, "89 s"),
        (90, "2 min"),
        (3600, "60 min"),
        (5400, "1.5 h"),
        (2e5, "2.3 days"),
    ],
)
def test_durations_are_for_people(seconds: float, text: str) -> None:
    assert duration(seconds) == text
