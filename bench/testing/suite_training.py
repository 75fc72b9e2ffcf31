"""The runs of a suite."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import Tensor

from bench.files.tensors import read_tensors
from bench.spec.randomness import global_state, set_global_state
from bench.store import checkpoint
from bench.store.store import Store
from bench.store.weights import load_weights, save_weights
from bench.task import RESERVED, SELECTION
from bench.testing.states import bits, differences
from bench.testing.suite_requests import STEPS, Requests, suite_of
from bench.testing.suite_trace import CPU, Trace, apart, built, evaluated, steps, trained
from bench.text.errors import typed


class TrainingContract(Requests):
    """The spec decides on a run and nothing else is seen in it; it can be stopped and continued."""

    def test_losses_are_numbers_of_the_step(self, token: str) -> None:
        suite = suite_of(token)
        kept: list[tuple[Mapping[str, Tensor], dict[str, float]]] = []
        with built(suite, self.spec(suite)) as task:
            for _ in range(STEPS):
                losses = task.step()
                assert "loss" in losses, (
                    f"suite {token!r}: a step returns {sorted(losses)}, and no 'loss'"
                )
                for name, value in losses.items():
                    _expect_loss(token, name, value)
                kept.append((losses, {name: float(value) for name, value in losses.items()}))
        for returned, read in kept:
            others = sorted(returned.keys() ^ kept[0][0].keys())
            assert not others, f"suite {token!r}: a later step has other loss terms: {others}"
            for name, value in returned.items():
                assert float(value) == read[name], (
                    f"suite {token!r}: a later step changes the {name!r} that an earlier one"
                    " returned; the harness reads it after many steps"
                )

    def test_metrics_are_numbers_with_units(self, token: str) -> None:
        suite = suite_of(token)
        with built(suite, self.spec(suite)) as task:
            found, losses = evaluated(task), task.step()
            for name, value in {**found.metrics, SELECTION: found.selection}.items():
                assert isinstance(value, float), (
                    f"suite {token!r}: the metric {name!r} is {type(value).__name__}, not a float"
                )
            taken = sorted(found.metrics.keys() & set(RESERVED))
            assert not taken, f"suite {token!r}: the harness itself records {taken}"
            for name in (*found.metrics, SELECTION, *losses):
                unit = task.unit(name)
                assert isinstance(unit, str) and unit, (
                    f"suite {token!r}: {name!r} has no unit; that of a plain number is '1'"
                )

    def test_columns_are_metrics(self, token: str) -> None:
        suite = suite_of(token)
        spec = self.spec(suite)
        with built(suite, spec) as task:
            metrics = evaluated(task).metrics
        columns = suite.columns(spec.problem)
        shown = {*columns.main, *columns.further}
        assert columns.main and columns.main[0] in metrics, (
            f"suite {token!r}: arms are compared by the first column,"
            f" {columns.main[:1]}, which is none of the metrics"
        )
        missing = sorted(shown - metrics.keys() - set(self.absent))
        assert not missing, f"suite {token!r}: no run has the columns {missing}: see `absent`"
        strangers = sorted({*columns.scores, *columns.skills} - shown)
        assert not strangers, f"suite {token!r}: the scores {strangers} are no columns"
        assert columns.main[0] not in columns.scores, (
            f"suite {token!r}: arms are compared by {columns.main[0]!r}, of which more is better:"
            " an error is needed there"
        )

    def test_the_spec_decides(self, token: str) -> None:
        """Bitwise, whatever was drawn before."""
        suite = suite_of(token)
        first = trained(suite, self.spec(suite), STEPS)
        torch.manual_seed(999)
        _expect_same(
            f"suite {token!r}: the same spec gives another run: something else than the seed"
            " decides",
            first,
            trained(suite, self.spec(suite), STEPS),
        )

    def test_training_changes_the_weights(self, token: str) -> None:
        suite = suite_of(token)
        with built(suite, self.spec(suite)) as task:
            before = bits(task.weights())
            for _ in range(STEPS):
                task.step()
            after = bits(task.weights())
        assert differences(before, after), f"suite {token!r}: {STEPS} steps change no weight"

    def test_seeds_give_other_runs(self, token: str) -> None:
        suite = suite_of(token)
        first, other = (trained(suite, self.spec(suite, seed=seed), STEPS) for seed in (0, 1))
        assert first.loss(-1) != other.loss(-1) and first.metrics != other.metrics, (
            f"suite {token!r}: seeds 0 and 1 give the same run, whose spread says nothing"
        )

    def test_every_arm_trains(self, token: str) -> None:
        suite = suite_of(token)
        for text in self.arms:
            try:
                trace = trained(suite, self.spec(suite, arm=text), 2)
            except Exception as error:
                raise AssertionError(
                    f"suite {token!r}: the arm {text!r} cannot be trained: {typed(error)}"
                ) from error
            assert trace.loss(0) != trace.loss(1), (
                f"suite {token!r}: under the arm {text!r} a step does not change the loss"
            )

    def test_looking_changes_nothing(self, token: str) -> None:
        """Neither an evaluation nor a diagnosis is seen in training, and a state has one score."""
        suite = suite_of(token)
        with built(suite, self.spec(suite)) as task:
            task.step()
            before = bits(task.state_dict())
            first, again = evaluated(task), evaluated(task)
            changed = differences(before, bits(task.state_dict()))
            assert not changed, f"suite {token!r}: evaluate() changes the state: {changed}"
            unsteady = differences(bits(dict(first.metrics)), bits(dict(again.metrics)))
            assert not unsteady, (
                f"suite {token!r}: evaluating the same state twice gives other metrics: {unsteady}"
            )
            with apart():
                task.diagnose()
            changed = differences(before, bits(task.state_dict()))
            assert not changed, f"suite {token!r}: diagnose() changes the state: {changed}"
        _expect_same(
            f"suite {token!r}: a run that is evaluated and diagnosed before each step is another"
            " one: evaluating changes what training depends on, perhaps a generator or a place in"
            " the data",
            trained(suite, self.spec(suite), STEPS),
            trained(suite, self.spec(suite), STEPS, looking=True),
        )

    def test_a_continued_run_is_the_uninterrupted_one(self, token: str, tmp_path: Path) -> None:
        """Through a file, as after a kill."""
        suite = suite_of(token)
        spec, path = self.spec(suite), tmp_path / "checkpoint.pt"
        whole = trained(suite, spec, STEPS)
        continued = Trace()
        with built(suite, spec) as task:
            steps(task, STEPS // 2, continued)
            state = {"task": task.state_dict(), "generators": global_state(CPU)}
            try:
                checkpoint.save(path, state)
                state = read_tensors(path)
            except Exception as error:
                raise AssertionError(
                    f"suite {token!r}: its state cannot be kept in a file; it may hold tensors,"
                    f" numbers, text, lists and dictionaries: {typed(error)}"
                ) from error
        with built(suite, spec) as task:
            task.load_state_dict(state["task"])
            set_global_state(state["generators"], CPU)
            steps(task, STEPS - STEPS // 2, continued)
        _expect_same(
            f"suite {token!r}: a run that was stopped after {STEPS // 2} steps and continued is"
            " another than the uninterrupted one: its state is not whole",
            whole,
            continued,
        )

    def test_what_a_run_leaves_can_be_written(self, token: str, tmp_path: Path) -> None:
        suite = suite_of(token)
        spec, store = self.spec(suite), Store(tmp_path)
        with built(suite, spec) as task:
            task.step()
            with apart():
                diagnosis = task.diagnose()
            weights = task.weights()
            written = {"description": task.description, "diagnosis": diagnosis.measurements}
        for what, value in written.items():
            try:
                msgspec.json.encode(dict(value))
            except Exception as error:
                raise AssertionError(
                    f"suite {token!r}: the {what} of a task is no JSON: {typed(error)}"
                ) from error
        assert all(isinstance(text, str) for text in diagnosis.warnings), (
            f"suite {token!r}: a warning is no text: {diagnosis.warnings}"
        )
        try:
            save_weights(store, spec.hash, weights)
            read = load_weights(store.weights(spec.hash))
        except Exception as error:
            raise AssertionError(
                f"suite {token!r}: the weights of a task cannot be kept: {typed(error)}"
            ) from error
        lost = differences(bits(weights), bits(read))
        assert not lost, f"suite {token!r}: weights are read back as others: {lost}"


def _expect_loss(token: str, name: str, value: Any) -> None:
    assert isinstance(value, Tensor) and value.ndim == 0, (
        f"suite {token!r}: the loss term {name!r} of a step is no scalar tensor"
    )
    assert not value.requires_grad, (
        f"suite {token!r}: the loss term {name!r} of a step still has its graph: detach it"
    )
    assert value.isfinite(), f"suite {token!r}: the loss term {name!r} is {float(value)} at first"


def _expect_same(failure: str, wanted: Trace, found: Trace) -> None:
    """Two traces, bit for bit.

    Args:
        failure: What it means that they differ.
        wanted: Of the undisturbed run.
        found: Of the other.
    """
    for step, (mine, other) in enumerate(zip(wanted.losses, found.losses, strict=True)):
        changed = differences(bits(mine), bits(other))
        assert not changed, (
            f"{failure} ({changed} of step {step}: {other['loss']:.9g} instead of"
            f" {mine['loss']:.9g})"
        )
    changed = differences(wanted.state, found.state)
    assert not changed, f"{failure} (in its state: {changed})"
    changed = differences(bits(wanted.metrics), bits(found.metrics))
    assert not changed, f"{failure} (in its metrics: {changed})"
