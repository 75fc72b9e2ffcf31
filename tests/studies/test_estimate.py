"""How long a study will take."""

from __future__ import annotations

import contextlib
import functools
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
import toy_suite
from command_server import serve_workers
from sample_records import SPEC, record

from bench.spec.spec import Spec
from bench.spec.training import Training
from bench.store.record import Record, Timing
from bench.studies import measurement
from bench.studies.estimate import Estimate, duration, estimate, seconds_of
from bench.studies.measurement import Parts
from bench.studies.timings import Timings
from bench.training.optimization import Optimization

FULL = msgspec.structs.replace(
    SPEC, axes={"activation": "tanh", "normalization": "denorm", "rescaling": "rescale=1"}
)
SECONDS = Timing(2.0, 90.0, 8.0, 1.0, 1.0, 1.0, 1000)
START = 10.0


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine is that of the sample records."""
    monkeypatch.setattr("bench.studies.timings.processor", {"cpu": "some"}.get)


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


def test_runs_that_failed_or_shared_a_step_or_ran_elsewhere_tell_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    measured = "bench.studies.estimate.measure_all"
    parts = Parts(5.0, 0.0, 0.0, 0.0)
    monkeypatch.setattr(measured, lambda kinds, limit_s: dict.fromkeys(kinds, parts))
    for useless in (
        record(FULL, timing=SECONDS, status="diverged", steps_done=3),
        record(FULL, timing=SECONDS, status="failed"),
        record(FULL, timing=SECONDS, environment={"seeds_together": 3}),
        record(FULL, timing=SECONDS, environment={"cpu": "of another machine"}),
        record(msgspec.structs.replace(FULL, model="fnn:80x6"), timing=SECONDS),
    ):
        said: list[str] = []
        assert estimate([FULL], [useless], 1, said.append).seconds == 5 + START
        assert len(said) == 1


def lasting(spec: Spec, records: Sequence[Record], jobs: int = 1, together: bool = False) -> float:
    seconds = seconds_of([spec], Timings(records, jobs, together), pytest.fail)[spec.hash]
    assert isinstance(seconds, float)
    return seconds


def test_a_run_of_another_length_lasts_its_share() -> None:
    known = [record(FULL, timing=SECONDS)]
    for factor in (0.5, 2):
        training = msgspec.structs.replace(
            FULL.training, steps=int(FULL.training.steps * factor), evaluations=41, lr=0.5
        )
        of_length = msgspec.structs.replace(FULL, training=training)
        assert lasting(of_length, known) == 2 + 90 * factor + 8 * 42 / 21
        # One of the same length knows better.
        equal = record(of_length, timing=Timing(1, 1, 1, 1, 1, 1, 1), steps_done=training.steps)
        assert lasting(of_length, [*known, equal]) == 3


def test_steps_of_another_optimiser_tell_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = "bench.studies.estimate.measure_all"
    monkeypatch.setattr(
        measured, lambda kinds, limit_s: dict.fromkeys(kinds, Parts(1.0, 0.0, 0.0, 3.0))
    )
    mixed = msgspec.structs.replace(FULL, training=Training(steps=10, lbfgs_steps=10))
    known = [record(FULL, timing=SECONDS)]
    assert seconds_of([mixed], Timings(known, 1), lambda _: None) == {mixed.hash: 31.0}
    assert lasting(mixed, [*known, record(mixed, timing=SECONDS, steps_done=20)]) == 100


def test_runs_with_as_many_side_by_side_come_first() -> None:
    def of(jobs: int, train_s: float) -> Record:
        timing = Timing(0.0, train_s, 0.0, 1.0, 1.0, 1.0, 10)
        return record(FULL, timing=timing, environment={"jobs": jobs})

    known = [of(1, 10.0), of(1, 10.0), of(2, 17.0)]
    assert lasting(FULL, known, jobs=2) == 17
    assert lasting(FULL, known, jobs=1) == 10
    assert lasting(FULL, known[:2], jobs=2) == 10


def test_seeds_that_are_trained_together_last_their_share() -> None:
    alone = record(FULL, timing=SECONDS)
    shared = record(FULL, timing=SECONDS, environment={"seeds_together": 5})
    assert lasting(FULL, [alone, shared], together=True) == 20
    assert lasting(FULL, [alone, shared]) == 100
    assert lasting(FULL, [alone], together=True) == 100


def test_arms_that_differ_in_their_normalisation_are_measured_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    measured: list[Spec] = []

    def fake(kinds: Mapping[bytes, Spec], limit_s: float) -> Mapping[bytes, Parts]:
        measured.extend(kinds.values())
        return dict.fromkeys(kinds, Parts(1.0, 0.0, 0.0, 0.0))

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


def measured(spec: Spec) -> Parts:
    return msgspec.convert(measurement.measure(msgspec.to_builtins(spec)), Parts)


def test_steps_are_measured(toy: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOY_DELAY", "0.01")
    parts = measured(toy_spec())
    assert 0.01 < parts.adam_s < 0.1  # a busy machine adds to it
    assert parts.lbfgs_s == 0
    assert 3 < parts.run_s(toy_spec().training) < 30


@pytest.mark.parametrize("slow", [False, True])
@pytest.mark.parametrize("adam", [300, 0])
def test_steps_of_both_optimisers_are_measured(
    toy: None, monkeypatch: pytest.MonkeyPatch, slow: bool, adam: int
) -> None:
    """One of L-BFGS evaluates the loss several times. Adam's may be too slow to be all done."""
    if slow:
        monkeypatch.setenv("TOY_DELAY", "0.05")
        monkeypatch.setattr(measurement, "_STEPPING_S", 0.12)
    stepped: list[str] = []
    for name in ("_adam_step", "_lbfgs_step"):

        def note(self: Optimization, losses: Any, name: str = name, step: Any = None) -> Any:
            stepped.append(name)
            return step(self, losses)

        step = getattr(Optimization, name)
        monkeypatch.setattr(Optimization, name, functools.partialmethod(note, step=step))
    spec = toy_spec()
    training = msgspec.structs.replace(spec.training, steps=adam, lbfgs_steps=20)
    parts = measured(msgspec.structs.replace(spec, training=training))
    assert (parts.adam_s > 0) == ("_adam_step" in stepped) == (adam > 0)
    assert parts.lbfgs_s > 0
    assert stepped.count("_lbfgs_step") > 1


def test_the_parts_of_a_run_add_up() -> None:
    training = Training(steps=100, lbfgs_steps=7, evaluations=4)
    assert Parts(1.0, 2.0, 0.5, 3.0).run_s(training) == 1 + 5 * 2 + 100 * 0.5 + 7 * 3


def test_slow_steps_are_few(toy: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOY_DELAY", "0.5")
    monkeypatch.setattr(measurement, "_STEPPING_S", 0.05)
    start = time.perf_counter()
    assert measured(toy_spec()).run_s(toy_spec().training) > 150  # 300 steps
    assert time.perf_counter() - start < 4  # two steps instead of ten


def test_a_measurement_harms_nothing_else(
    toy: None, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Each failure is said with its reason, and the others have their figures."""
    # A busy machine takes its time.
    monkeypatch.setattr(measurement, "KIND_S", 600.0)
    patient = functools.partial(measurement.measure_all, limit_s=600.0)
    monkeypatch.setattr("bench.studies.estimate.measure_all", lambda kinds, _: patient(kinds))
    monkeypatch.setattr("bench.execution.limited_child.available_memory", lambda: 3 * 2**30)
    specs = [
        toy_spec(fail, str(fail)) for fail in ("print-build", "raise-build", "fill-build", None)
    ]
    found = estimate(specs, [], 1, lambda _: None)
    assert found.known == 2
    assert found.seconds > START
    assert found.text() == f"at least {duration(found.seconds)}, and 2 runs of unknown length"
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


def test_ctrl_c_ends_a_measurement_at_once(
    toy: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """While it hangs, long before its own limit ends it."""
    monkeypatch.setattr(measurement, "KIND_S", 600.0)
    hanging = tmp_path / "hanging"
    monkeypatch.setenv("TOY_HANGING", str(hanging))
    sent: list[float] = []

    def interrupt() -> None:
        deadline = time.monotonic() + 300
        while not hanging.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        sent.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        measurement.measure_all({b"hangs": toy_spec("hang-build")}, 600.0)
    ended = time.monotonic()
    thread.join()
    assert hanging.exists()
    assert ended - sent[0] < 100  # a busy machine, and not the limit of 600 s
    assert not multiprocessing.active_children()


def test_all_measurements_together_have_a_limit_and_are_made_once(
    toy: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds = {b"one": toy_spec(), b"other": toy_spec(model="other")}
    assert set(measurement.measure_all(kinds, 0.0).values()) == {
        "the measurements before it took more than 0 s"
    }
    found = measurement.measure_all(kinds)
    assert all(isinstance(parts, Parts) for parts in found.values())
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
