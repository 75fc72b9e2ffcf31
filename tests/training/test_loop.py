"""The training loop on a task small enough to know what must come out."""

from __future__ import annotations

import copy
import math
import os
import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from regression_task import CPU, Regression, interrupt_at, start
from torch import Tensor

from bench.spec.randomness import global_streams
from bench.spec.training import Training
from bench.store import checkpoint
from bench.store.record import Metric
from bench.task import Diagnosis, Evaluation
from bench.training import loop as trainer
from bench.training.loop import Trainer, evaluation_steps, examine
from bench.training.signals import Interruption

# When the metrics are evaluated.


@pytest.mark.parametrize(
    ("training", "steps"),
    [
        (Training(steps=10, evaluations=1), [0, 10]),
        (Training(steps=10, evaluations=5), [0, 2, 4, 6, 8, 10]),
        (Training(steps=10, evaluations=3), [0, 3, 7, 10]),
        (Training(steps=3, evaluations=20), [0, 1, 2, 3]),
        (Training(steps=6, lbfgs_steps=4, evaluations=2), [0, 5, 10]),
        (Training(steps=1, evaluations=1), [0, 1]),
    ],
)
def test_evaluation_steps(training: Training, steps: list[int]) -> None:
    assert evaluation_steps(training) == steps


@pytest.mark.parametrize("steps", [1, 49, 50, 51, 137])
@pytest.mark.parametrize("evaluations", [1, 4, 7])
def test_a_run_does_every_step_once_and_evaluates_when_it_should(
    steps: int, evaluations: int
) -> None:
    training = Training(steps=steps, evaluations=evaluations)
    run = start(training)
    assert run.trainer.run(run.interruption) == ("done", None)
    log = run.trainer.log
    assert run.task.steps_asked == list(range(steps))
    assert log.step == steps and len(log.step_seconds) == steps
    assert log.history["step"] == evaluation_steps(training)
    assert run.task.evaluations == len(log.selection) == len(evaluation_steps(training))
    assert {len(row) for row in log.history.values()} == {len(log.selection)}
    assert log.losses["step"] == list(range(steps))
    assert log.losses["loss"] == log.losses["error"]
    assert log.losses["loss"][0] == log.history["error"][0]
    assert log.metrics()["error"].final == log.history["error"][-1]
    assert run.progress[-1][:2] == (steps, steps)


def test_losses_are_thinned_evenly() -> None:
    run = start(Training(steps=1000, evaluations=1))
    run.trainer.run(run.interruption)
    assert run.trainer.log.losses["step"] == list(range(0, 1000, 5))


# The best state.


def test_the_best_is_chosen_by_the_held_out_loss_and_not_by_the_error() -> None:
    scores = [(0.5, 4.0), (0.9, 1.0), (0.1, 3.0), (0.3, 2.0)]
    run = start(Training(steps=3, evaluations=3), scores=scores)
    run.trainer.run(run.interruption)
    assert run.trainer.log.best_row() == 1
    assert run.trainer.log.metrics()["error"] == Metric(final=0.3, best=0.9)


def test_selections_that_are_not_finite_are_never_the_best() -> None:
    scores = [(0.5, math.nan), (0.4, -math.inf), (0.3, 2.0), (0.2, math.inf)]
    run = start(Training(steps=3, evaluations=3), scores=scores)
    run.trainer.run(run.interruption)
    assert run.trainer.log.metrics()["error"].best == 0.3


def test_without_any_finite_selection_there_is_no_best() -> None:
    run = start(Training(steps=1, evaluations=1), scores=[(0.5, math.nan), (0.4, math.nan)])
    run.trainer.run(run.interruption)
    assert run.trainer.log.best_row() is None
    assert run.trainer.log.metrics()["error"].best is None


def test_the_selection_is_recorded_like_a_metric() -> None:
    scores = [(0.5, 4.0), (0.9, 1.0), (0.1, math.inf), (0.3, 2.0)]
    run = start(Training(steps=3, evaluations=3), scores=scores)
    run.trainer.run(run.interruption)
    log = run.trainer.log
    assert log.history["selection"] == [4.0, 1.0, None, 2.0]
    assert log.metrics()["selection"] == Metric(final=2.0, best=1.0)
    assert log.metrics().keys() == {"error", "bias", "selection"}


@pytest.mark.parametrize("name", ["selection", "step", "seconds"])
def test_a_metric_with_a_name_that_the_harness_records_fails_the_run(name: str) -> None:
    class Named(Regression):
        def evaluate(self) -> Evaluation:
            return Evaluation({name: 1.0}, 0.5)

    training = Training(steps=1, evaluations=1)
    run = Trainer(Named(training), training, CPU, lambda state: None, lambda *what: None)
    status, reason = run.run(Interruption())
    assert status == "failed" and reason and f"a metric is called {name!r}" in reason


def test_the_first_of_equal_ones_is_the_best() -> None:
    run = start(Training(steps=2, evaluations=2), scores=[(0.5, 1.0), (0.4, 1.0), (0.3, 1.0)])
    run.trainer.run(run.interruption)
    assert run.trainer.log.best_row() == 0


# Divergence.


@pytest.mark.parametrize("bad", [0, 1, 19, 20, 49, 50, 51, 117])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_divergence_is_found_at_its_step(bad: int, value: float) -> None:
    run = start(
        Training(steps=200, evaluations=4),
        loss_of=lambda step, loss: loss * value if step >= bad else loss,
    )
    status, reason = run.trainer.run(run.interruption)
    assert status == "diverged"
    assert reason == f"the loss was {value} at step {bad}"
    log = run.trainer.log
    assert log.step == bad
    evaluated = [step for step in (0, 50, 100, 150) if step <= bad]
    assert log.history["step"] == [*evaluated, bad]
    final, best = log.metrics()["error"].final, log.metrics()["error"].best
    assert final is None
    assert best is not None and best == min(x for x in log.history["error"] if x is not None)
    assert len(run.task.steps_asked) <= bad + trainer.BLOCK
    assert log.losses["loss"][:bad] == [pytest.approx(x) for x in log.losses["error"][:bad]]
    assert log.losses["loss"][bad] is None


def test_no_losses_are_kept_from_after_the_divergence() -> None:
    run = start(
        Training(steps=100, evaluations=1),
        loss_of=lambda step, loss: loss * math.nan if step >= 7 else loss,
    )
    run.trainer.run(run.interruption)
    assert run.trainer.log.losses["step"] == list(range(8))


def test_a_run_whose_last_step_destroys_the_network_has_diverged() -> None:
    """The loss of a step is the one before it, so the last update shows in no loss."""

    def destroy(step: int, loss: Tensor) -> Tensor:
        # A finite loss with an infinite gradient.
        return loss + (loss - loss.detach()).sqrt() if step == 9 else loss

    run = start(Training(steps=10, evaluations=2), loss_of=destroy)
    status, reason = run.trainer.run(run.interruption)
    assert not all(p.isfinite().all() for p in run.task.net.parameters())
    assert run.trainer.log.metrics()["error"].final is None
    assert status == "diverged"
    assert reason and "step 10" in reason


class _ScaledRegression(Regression):
    """Implements `bench.task.Scaled`."""

    def zero_loss(self) -> float:
        return 2.0


@pytest.mark.parametrize(
    ("factors", "status"),
    [
        ((1e14, 1e12), "diverged"),  # fell, and is worth nothing at the end
        ((1e14, 1.0), "done"),
        ((1e14, 1e17), "diverged"),
        ((1.0, 1e4), "done"),
    ],
)
def test_a_divergence_is_judged_against_a_zero_network_and_not_the_first_loss(
    factors: tuple[float, float], status: str
) -> None:
    first, later = factors
    training = Training(steps=200, lr=1e-9, evaluations=1)
    task = _ScaledRegression(
        training, loss_of=lambda step, loss: loss * (first if step < 60 else later)
    )
    run = Trainer(task, training, CPU, lambda state: None, lambda *what: None)
    found, reason = run.run()
    assert found == status, reason
    assert run.log.start["zero_loss"] == 2.0
    assert (reason is None) == (status == "done")


@pytest.mark.parametrize("zero", [1e-13, 0.0, float("nan"), "refused"])
def test_a_problem_that_0_nearly_solves_is_not_diverged_by_that(zero: float | str) -> None:
    class Nearly(Regression):
        def zero_loss(self) -> float:
            if isinstance(zero, str):
                raise ValueError("u must be positive")
            return zero

    training = Training(steps=200, lr=1e-2, evaluations=1)
    run = Trainer(Nearly(training), training, CPU, lambda state: None, lambda *what: None)
    assert run.run() == ("done", None)


# Interruption and resumption.


PLANS = {
    "adam": Training(steps=120, lr=1e-2, evaluations=4, schedule="cosine"),
    "adam then l-bfgs": Training(steps=60, lbfgs_steps=60, lr=1e-2, evaluations=4),
    "l-bfgs": Training(steps=0, lbfgs_steps=120, evaluations=4),
}


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("at", [0, 1, 29, 30, 58, 59, 60, 61, 89, 119])
def test_an_interrupted_run_continues_bitwise(plan: str, at: int, tmp_path: Path) -> None:
    training = PLANS[plan]
    whole = start(training)
    assert whole.trainer.run(whole.interruption)[0] == "done"

    first = start(training)
    interrupt_at(first, at)
    status, reason = first.trainer.run(first.interruption)
    assert status == "interrupted" and reason and "signal 2" in reason
    assert first.trainer.log.step == at + 1
    assert len(first.saved) == 1

    path = tmp_path / "checkpoint.pt"
    checkpoint.save(path, {**first.saved[0], "spec_hash": "s", "made_by": {}})
    state, refused = checkpoint.load(path, "s", {})
    assert state is not None and refused is None
    second = start(training)
    second.trainer.resume(state)
    assert second.trainer.run(second.interruption) == ("done", None)

    assert second.task.steps_asked == list(range(at + 1, 120))
    log, expected = second.trainer.log, whole.trainer.log
    assert log.resumed == 1 and expected.resumed == 0
    assert log.losses == expected.losses
    assert log.selection == expected.selection
    for rows in (log.history, expected.history):
        del rows["seconds"]
    assert log.history == expected.history
    assert log.metrics() == expected.metrics()
    assert len(log.step_seconds) == 120
    for name, value in whole.task.weights().items():
        assert torch.equal(second.task.weights()[name], value)


def test_training_moves_so_that_the_test_above_means_something() -> None:
    for plan in PLANS.values():
        run = start(plan)
        run.trainer.run(run.interruption)
        errors = [x for x in run.trainer.log.history["error"] if x is not None]
        assert errors[-1] < 0.5 * errors[0]
        assert len(set(errors)) == len(errors)


def test_interrupted_twice_continues_bitwise() -> None:
    training = PLANS["adam then l-bfgs"]
    whole = start(training)
    whole.trainer.run(whole.interruption)
    state: dict[str, Any] | None = None
    for at in (20, 70, None):
        run = start(training)
        if state is not None:
            run.trainer.resume(state)
        if at is not None:
            interrupt_at(run, at)
        run.trainer.run(run.interruption)
        state = run.saved[-1] if run.saved else None
    assert run.trainer.log.resumed == 2
    assert run.trainer.log.losses == whole.trainer.log.losses
    assert all(
        torch.equal(run.task.weights()[name], value) for name, value in whole.task.weights().items()
    )


def test_a_checkpoint_is_a_copy_that_later_steps_do_not_change(tmp_path: Path) -> None:
    training = Training(steps=20, evaluations=2)
    task = Regression(training)
    path = tmp_path / "c.pt"
    run = Trainer(
        task, training, CPU, lambda state: checkpoint.save(path, state), lambda *what: None
    )
    run.checkpoint()
    content = path.read_bytes()
    run.run(Interruption())
    assert path.read_bytes() == content
    state = torch.load(path, weights_only=True)
    assert state["log"]["step"] == 0 and state["log"]["losses"] == {}


def test_checkpoints_are_written_when_their_time_has_come(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(trainer, "_CHECKPOINT_SECONDS", 0.0)
    run = start(Training(steps=150, evaluations=1))
    run.trainer.run(run.interruption)
    assert [state["log"]["step"] for state in run.saved] == [50, 100, 150]
    monkeypatch.setattr(trainer, "_CHECKPOINT_SECONDS", 1e6)
    run = start(Training(steps=150, evaluations=1))
    run.trainer.run(run.interruption)
    assert run.saved == []


def test_an_interruption_lets_the_step_end() -> None:
    """A real signal in the middle of a step."""
    run = start(Training(steps=50, evaluations=1))
    run.task.before_step = lambda step: os.kill(os.getpid(), signal.SIGINT) if step == 4 else None
    with run.interruption:
        status, _ = run.trainer.run(run.interruption)
    assert status == "interrupted"
    assert run.trainer.log.step == run.task.optimization.steps_done == 5


@pytest.fixture
def usual_interrupt() -> Iterator[None]:
    """Python's own handler, also where the tests were started in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_the_second_signal_acts_as_usual(usual_interrupt: None) -> None:
    before = signal.getsignal(signal.SIGINT)
    with Interruption() as interruption:
        os.kill(os.getpid(), signal.SIGINT)
        assert interruption.signal == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)
    assert signal.getsignal(signal.SIGINT) is before


# The clock.


def test_the_training_time_leaves_the_evaluations_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that goes on where the task waits, and nowhere else."""
    now = [100.0]

    def wait(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(time, "sleep", wait)
    run = start(
        Training(steps=20, evaluations=10),
        evaluate_seconds=3.0,
        before_step=lambda step: time.sleep(0.25),
    )
    run.trainer.run(run.interruption)
    timing = run.trainer.log.timing(build_s=1.5)
    assert timing.build_s == 1.5
    assert timing.evaluate_s == pytest.approx(11 * 3.0)
    assert timing.train_s == pytest.approx(20 * 0.25)
    assert timing.train_s == pytest.approx(sum(run.trainer.log.step_seconds))
    assert run.trainer.log.history["seconds"][0] == 0.0
    assert run.trainer.log.history["seconds"][-1] == pytest.approx(timing.train_s)


def test_step_times_leave_the_warm_up_out() -> None:
    run = start(
        Training(steps=40, evaluations=1),
        before_step=lambda step: time.sleep(0.05 if step == 0 else 0.002),
    )
    run.trainer.run(run.interruption)
    timing = run.trainer.log.timing(0.0)
    assert timing.steps_timed == 30
    assert timing.step_ms_median is not None and 2.0 <= timing.step_ms_median < 50.0
    assert timing.step_ms_p10 is not None and timing.step_ms_p90 is not None
    assert timing.step_ms_p10 <= timing.step_ms_median <= timing.step_ms_p90


def test_there_are_no_step_times_without_steps() -> None:
    timing = trainer.Log().timing(0.25)
    assert (timing.train_s, timing.steps_timed, timing.step_ms_median) == (0, 0, None)


# A diagnosis.


class Undiagnosable(Regression):
    def diagnose(self) -> Diagnosis:
        raise RuntimeError("no idea")


def test_a_diagnosis_that_fails_costs_a_warning_and_not_the_run() -> None:
    training = Training(steps=5, evaluations=1)
    trainer = Trainer(Undiagnosable(training), training, CPU, lambda _: None, lambda *_: None)
    assert trainer.run(Interruption()) == ("done", None)
    assert examine(trainer.task).warnings == ["the diagnosis failed: RuntimeError: no idea"]


# The global generators.


def test_training_continues_the_global_generators_and_evaluation_does_not_touch_them() -> None:
    class Drawing(Regression):
        drawn: list[float]

        def step(self) -> Mapping[str, Tensor]:
            self.drawn.append(float(torch.rand(1)) + float(np.random.random()))
            return super().step()

        def evaluate(self) -> Evaluation:
            torch.rand(3), np.random.random(3)
            return super().evaluate()

    training = Training(steps=12, evaluations=4)
    saved: list[dict[str, Any]] = []

    def train(stop_at: int | None, state: dict[str, Any] | None) -> list[float]:
        task = Drawing(training)
        task.drawn = []
        interruption = Interruption()

        def stop(step: int, *_: Any) -> None:
            if step == stop_at:
                interruption.signal = 2

        trainer = Trainer(task, training, CPU, lambda s: saved.append(copy.deepcopy(s)), stop)
        with global_streams(7, CPU):
            if state is not None:
                trainer.resume(state)
            trainer.run(interruption)
        return task.drawn

    whole = train(None, None)
    begun = train(6, None)
    assert len(begun) == 6
    assert begun + train(None, saved[-1]) == whole
    assert len(set(whole)) == 12
