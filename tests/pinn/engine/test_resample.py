"""New collocation points every so many steps."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pinn_specs
import pytest
import torch

from bench.store.store import Store
from bench.training.run import execute
from bench.training.signals import Interruption
from suites.pinn.check import difference_from_deepxde
from suites.pinn.problems.catalogue import BUILT_IN

CPU = torch.device("cpu")


@pytest.mark.parametrize("problem", BUILT_IN)
def test_points_change_when_they_are_due_and_the_conditions_stay(problem: str) -> None:
    task = pinn_specs.task(problem, supervised=0.02, resample=3, steps=20)
    points, conditions = [], task.data.train_x_bc.copy()
    for _ in range(8):
        task.step()
        points.append(task.data.train_x_all.copy())
        assert difference_from_deepxde(task) < 1e-10
    changed = [not np.array_equal(a, b) for a, b in pairwise(points)]
    assert changed == [False, False, True, False, False, True, False]
    assert np.array_equal(task.data.train_x_bc, conditions)


@pytest.mark.parametrize("engine", ["auto", "deepxde"])
@pytest.mark.parametrize("stop", [2, 3, 4, 7])
def test_resumed_is_uninterrupted(engine: str, stop: int) -> None:
    given = {"resample": 3, "steps": 9, "engine": engine}
    whole, first, second = (pinn_specs.task("advection-1d", **given) for _ in range(3))
    for _ in range(9):
        whole.step()
    for _ in range(stop):
        first.step()
    second.load_state_dict(first.state_dict())
    assert second.evaluate().metrics == first.evaluate().metrics
    for _ in range(9 - stop):
        second.step()
    assert torch.equal(second.parameters.vector, whole.parameters.vector)
    assert second.evaluate().metrics == whole.evaluate().metrics


def test_a_run_that_ends_says_nothing_else(tmp_path: Path) -> None:
    spec = pinn_specs.specify("compressible-flow-1d", resample=4)
    record = execute(spec, Store(tmp_path), CPU, 1, lambda *_: None, Interruption())
    assert record.status == "done", record.reason
    assert record.spec.settings["resample"] == 4
    # Held-out points are never drawn anew.
    assert record.task["engine"]["path"] == "taylor"
