"""How long a study will take."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
import pytest
import toy_suite
from command_server import serve_workers
from sample_records import SPEC, record

from bench.spec.spec import Spec
from bench.store.record import Timing
from bench.studies import measurement
from bench.studies.estimate import Estimate, duration, estimate

FULL = msgspec.structs.replace(
    SPEC, axes={"activation": "tanh", "normalization": "denorm", "rescaling": "rescale=1"}
)
SECONDS = Timing(2.0, 90.0, 8.0, 1.0, 1.0, 1.0, 1000)
START = 10.0


def test_a_run_lasts_as_long_as_those_before_it() -> None:
    known = [record(FULL, timing=SECONDS)]
    specs = [msgspec.structs.replace(FULL, seed=seed) for seed in range(1, 5)]
    assert estimate(specs, known, 1, pytest.fail).seconds == 4 * 100 + START
    assert estimate(specs, known, 2, pytest.fail).seconds == 2 * 100 + START
    one = estimate(specs, known, 16, pytest.fail)
    assert one.seconds == 100 + START  # no sooner than one run
    assert (one.text(), one.reasons()) == ("about 2 min", [])


def test_nothing_to_do_takes_no_time() -> None:
    assert estimate([], [], 2, pytest.fail).seconds == 0


def test_runs_that_failed_or_shared_a_step_tell_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = "bench.studies.estimate.measure_all"
    monkeypatch.setattr(measured, lambda kinds: dict.fromkeys(kinds, 5.0))
    for useless in (
        record(FULL, timing=SECONDS, status="failed"),
        record(FULL, timing=SECONDS, environment={"seeds_together": 3}),
        record(msgspec.structs.replace(FULL, model="fnn:80x6"), timing=SECONDS),
    ):
        said: list[str] = []
        assert estimate([FULL], [useless], 1, said.append).seconds == 5 + START
        assert len(said) == 1


def test_arms_that_differ_in_their_normalisation_are_measured_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    measured: list[Spec] = []

    def fake(kinds: Mapping[bytes, Spec]) -> Mapping[bytes, float]:
        measured.extend(kinds.values())
        return dict.fromkeys(kinds, 1.0)

    monkeypatch.setattr("bench.studies.estimate.measure_all", fake)
    axes = [
        {**FULL.axes, "activation": activation, "normalization": normalization}
        for activation in ("tanh", "irelu")
        for normalization in ("denorm", "batchnorm")
    ]
    specs = [msgspec.structs.replace(FULL, axes=one) for one in axes]
    assert estimate(specs, [], 1, lambda _: None).seconds == 4 + START
    assert [spec.axes["normalization"] for spec in measured] == ["denorm", "batchnorm"]


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    toy_suite.install(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(measurement, "_found", {})
    with serve_workers():
        yield


def toy_spec(fail: str | None = None, model: str = "net") -> Spec:
    return msgspec.structs.replace(
        FULL,
        suite="lone",
        problem="sine",
        model=model,
        seed=1,
        settings={"diverge": None, "fail": fail},
        training=msgspec.structs.replace(FULL.training, steps=300, evaluations=4),
    )


def test_steps_are_measured(toy: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOY_DELAY", "0.01")
    spec = msgspec.to_builtins(toy_spec())
    assert 3 < measurement.measure(spec) < 30  # 300 steps of 10 ms; a busy machine adds to them


def test_slow_steps_are_few(toy: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOY_DELAY", "0.5")
    monkeypatch.setattr(measurement, "_STEPPING_S", 0.05)
    start = time.perf_counter()
    assert measurement.measure(msgspec.to_builtins(toy_spec())) > 150  # 300 steps
    assert time.perf_counter() - start < 4  # two steps instead of ten


def test_a_measurement_harms_nothing_else(
    toy: None, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Each failure is said with its reason, and the others have their figures."""
    monkeypatch.setattr("bench.execution.limited_child.available_memory", lambda: 3 * 2**30)
    specs = [
        toy_spec(fail, str(fail)) for fail in ("print-build", "raise-build", "fill-build", None)
    ]
    found = estimate(specs, [], 1, lambda _: None)
    assert found.known == 2
    assert found.seconds > START
    assert found.text().startswith("at least ")
    assert found.text().endswith(" s, and 2 runs of unknown length")
    assert found.reasons() == [
        f"unknown, because {why}: sine with {model}, 1 run"
        for why, model in (
            ("it raised RuntimeError: no such thing", "raise-build"),
            ("it needs more than 1.5 GiB of memory", "fill-build"),
        )
    ]
    assert "chatter" not in "".join(capfd.readouterr())


def test_a_measurement_that_hangs_ends(toy: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measurement, "KIND_S", 1.0)
    found = measurement.measure_all({b"hangs": toy_spec("hang-build")})
    assert found == {b"hangs": "it takes longer than 1 s"}


def test_ctrl_c_ends_a_measurement_at_once(toy: None) -> None:
    threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT)).start()
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        measurement.measure_all({b"hangs": toy_spec("hang-build")})
    assert time.monotonic() - start < 10
    assert not multiprocessing.active_children()


def test_all_measurements_together_have_a_limit_and_are_made_once(
    toy: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds = {b"one": toy_spec(), b"other": toy_spec(model="other")}
    monkeypatch.setattr(measurement, "ALL_S", 0.0)
    assert set(measurement.measure_all(kinds).values()) == {
        "the measurements before it took more than 0 s"
    }
    monkeypatch.setattr(measurement, "ALL_S", 100.0)
    found = measurement.measure_all(kinds)
    assert all(isinstance(seconds, float) for seconds in found.values())
    monkeypatch.setattr(measurement, "LimitedChild", contextlib.nullcontext)  # starts nothing
    assert measurement.measure_all(kinds) == found


def test_nothing_known_is_said() -> None:
    nothing = Estimate(0.0, 0, {"it raised E: x": [toy_spec(model=str(k)) for k in range(5)]})
    assert nothing.text() == "of unknown length"
    assert nothing.reasons() == [
        "unknown, because it raised E: x: sine with 0, sine with 1, sine with 2 and 2 more, 5 runs"
    ]


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
