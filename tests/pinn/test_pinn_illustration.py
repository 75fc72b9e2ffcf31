"""What is drawn of a PINN: its outputs beside the ground truth."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pinn_specs import CPU, run, specify, task

from bench.report.illustrations import illustrations
from bench.store.record import Record
from bench.store.store import Store
from bench.store.weights import load_weights
from bench.task import Field
from bench.training.device import deterministic
from suites.pinn import task as task_module
from suites.pinn.check import build_checked
from suites.pinn.illustration import as_grid, fields, illustrate
from suites.pinn.reference.reference import ScatteredReference

ONE_D = ["advection-1d", "compressible-flow-1d", "diffusion-sorption-1d"]
TWO_D = ["diffusion-reaction-2d", "shallow-water-2d"]


def drawn(record: Record, folder: Path) -> list[Field]:
    found = illustrations(record, Store(folder))
    assert all(isinstance(one, Field) for one in found)
    return [one for one in found if isinstance(one, Field)]


def unreduced(record: Record, folder: Path) -> list[Field]:
    weights = load_weights(Store(folder).weights(record.spec_hash))
    with deterministic(CPU):
        return illustrate(record.spec, weights, CPU)


def l2re(field: Field, scored: np.ndarray | slice = slice(None)) -> float:
    """As `suites.pinn.metrics.grid_errors` has it, of the scored rows of the grid (x, t)."""
    exact = field.reference.T.ravel()[scored]
    error = np.linalg.norm(field.predicted.astype(float).T.ravel()[scored] - exact)
    return float(error / np.linalg.norm(exact))


def scored(record: Record) -> np.ndarray | slice:
    """The rows of the grid that the metrics of a run are of: all but held-out labels."""
    score = build_checked(record.spec, CPU).score
    assert score is not None
    return score.scored


@pytest.mark.parametrize("problem", ONE_D)
def test_a_solution_over_space_and_time(problem: str, tmp_path: Path) -> None:
    record = run(tmp_path, problem, dtype="float32", steps=3)
    assert record.status == "done", record.reason
    whole = unreduced(record, tmp_path)
    built = task(problem)
    assert built.truth is not None
    x, t = built.truth.reference.axes  # type: ignore[union-attr]
    for k, field in enumerate(whole):
        assert field.name == built.problem.outputs[k]
        assert field.axes == ("x", "t") and field.at == ""
        assert field.extent == (x[0], x[-1], t[0], t[-1])
        np.testing.assert_array_equal(
            field.reference,
            built.truth.reference.values[..., k].T,  # type: ignore[union-attr]
        )
        name = "L2RE" if len(whole) == 1 else f"L2RE{field.name}"
        assert l2re(field, scored(record)) == pytest.approx(record.metrics[name].final, rel=1e-6)
    assert len(whole) == len(built.problem.outputs)
    for field, kept in zip(whole, drawn(record, tmp_path), strict=True):
        assert kept.reference.shape == kept.predicted.shape
        stride = -(-len(x) // 128)
        np.testing.assert_array_equal(
            kept.predicted, field.predicted[:, ::stride].astype(np.float32)
        )


@pytest.mark.parametrize("problem", TWO_D)
def test_a_solution_over_the_plane_at_the_last_time(problem: str, tmp_path: Path) -> None:
    record = run(tmp_path, problem, "irelu+denorm+rescale", steps=2)
    assert record.status == "done", record.reason
    found = drawn(record, tmp_path)
    built = task(problem, "irelu+denorm+rescale", steps=2)
    assert built.truth is not None
    built.net.load_state_dict(load_weights(Store(tmp_path).weights(record.spec_hash)))
    x, y, t = built.truth.reference.axes  # type: ignore[union-attr]
    points = [[right, up, t[-1]] for up in y for right in x]
    predicted = built.net.eval()(torch.tensor(points, dtype=torch.float64)).detach().numpy()
    assert len(found) == len(built.problem.outputs)
    for k, field in enumerate(found):
        assert field.name == built.problem.outputs[k]
        assert field.axes == ("x", "y") and field.at == f"t = {t[-1]:g}"
        assert field.extent == (x[0], x[-1], y[0], y[-1])
        truth = built.truth.reference.values[:, :, -1, k].T  # type: ignore[union-attr]
        np.testing.assert_allclose(field.reference, truth, rtol=1e-6)
        np.testing.assert_allclose(
            field.predicted, predicted[:, k].reshape(len(y), len(x)), rtol=1e-5, atol=1e-6
        )


def test_the_scales_are_those_of_the_weights(tmp_path: Path) -> None:
    record = run(tmp_path, "advection-1d", "rescale", steps=2, supervised=0.2)
    (rescaled,) = unreduced(record, tmp_path)
    assert l2re(rescaled, scored(record)) == pytest.approx(record.metrics["L2RE"].final, rel=1e-6)
    built = task("advection-1d")
    (plain,) = fields(built)
    weights = built.weights()
    weights["_output_transform.factor"] *= 2
    weights["_output_transform.offset"] += 3
    with deterministic(CPU):
        (found,) = illustrate(built.spec, weights, CPU)
    np.testing.assert_allclose(found.predicted, 2 * plain.predicted + 3, rtol=1e-6)


def test_neither_trained_nor_compiled_nor_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = run(tmp_path, "advection-1d", steps=2)
    built = []

    class Once(task_module.PINNTask):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            built.append(self)

        def step(self) -> Any:
            raise AssertionError("trained")

    monkeypatch.setattr(task_module, "PINNTask", Once)
    first, second = drawn(record, tmp_path), drawn(record, tmp_path)
    assert len(first) == len(second) == len(built) == 1
    np.testing.assert_array_equal(first[0].predicted, second[0].predicted)
    assert built[0].gradient.how["executed"] == "eager"
    assert not built[0].gradient._ready


def test_nothing_of_a_run_that_has_diverged(tmp_path: Path) -> None:
    record = run(tmp_path, "advection-1d", "irelu", lr=1e30, steps=20)
    assert record.status == "diverged"
    assert Store(tmp_path).weights(record.spec_hash).exists()
    assert drawn(record, tmp_path) == []


# A user's problems.

OWN = """
import numpy as np
import deepxde as dde
from suites.pinn.problems.wrap import wrap

def zero(inputs, outputs):
    return outputs

def problem(geometry, values=None, points=None, timed=False):
    def factory():
        if timed:
            domain = dde.geometry.GeometryXTime(geometry(), dde.geometry.TimeDomain(0, 2))
            return dde.data.TimePDE(domain, zero, [], num_domain=20)
        return dde.data.PDE(geometry(), zero, [], num_domain=20)
    reference = None if points is None else (points, 1 + points.sum(axis=1, keepdims=True))
    told = {"exact": values, "reference": reference}
    return wrap(factory, name="own", outputs=["w"], losses=["Lf"], **told)

def total(points):
    return points @ np.array([100.0, 10.0, 1.0, 0.1])[: points.shape[1]]

def interval():
    return dde.geometry.Interval(-1, 1)

def rectangle():
    return dde.geometry.Rectangle([0, 1], [1, 3])

line = problem(interval, total)
line_in_time = problem(interval, total, timed=True)
plane = problem(rectangle, total)
plane_in_time = problem(rectangle, total, timed=True)
disk = problem(lambda: dde.geometry.Disk([0, 0], 1), total)
box = problem(lambda: dde.geometry.Cuboid([0, 0, 0], [1, 1, 1]), total)
box_in_time = problem(lambda: dde.geometry.Cuboid([0, 0, 0], [1, 1, 1]), total, timed=True)
unknown = problem(rectangle)
random = np.random.default_rng(0)
scattered = problem(rectangle, points=random.random((50, 2)))
grid = np.stack(np.meshgrid(np.linspace(0, 1, 5), np.linspace(1, 3, 4)), axis=-1).reshape(-1, 2)
shuffled = problem(rectangle, points=random.permutation(grid))
stretched = problem(rectangle, points=grid ** 2)
"""


@pytest.mark.parametrize("name", ["line_in_time", "plane", "plane_in_time", "shuffled"])
def test_a_user_s_problem_on_a_grid(name: str, own_module: Callable[[str, str], None]) -> None:
    own_module("own_fields", OWN)
    built = task(f"own_fields:{name}", dtype="float32", model="fnn:8x2")
    (field,) = fields(built)
    assert field.name == "w"
    assert field.axes == ("x", "t" if name == "line_in_time" else "y")
    assert field.at == ("t = 2" if name == "plane_in_time" else "")
    left, right, bottom, top = field.extent
    expected = (-1, 1, 0, 2) if name == "line_in_time" else (0, 1, 1, 3)
    assert field.extent == pytest.approx(expected)
    rows, columns = field.reference.shape
    x, y = np.meshgrid(np.linspace(left, right, columns), np.linspace(bottom, top, rows))
    truth = x + y + 1 if name == "shuffled" else 100 * x + 10 * y
    np.testing.assert_allclose(
        field.reference, truth + (2 if field.at else 0), rtol=1e-4, atol=1e-4
    )
    at = [np.full(x.size, 2.0)] if field.at else []
    points = np.stack([x.ravel(), y.ravel(), *at], axis=-1)
    predicted = built.net(torch.tensor(points, dtype=torch.float32)).detach().numpy()
    np.testing.assert_allclose(field.predicted, predicted.reshape(rows, columns), atol=1e-5)


@pytest.mark.parametrize(
    "name", ["line", "disk", "box", "box_in_time", "unknown", "scattered", "stretched"]
)
def test_a_user_s_problem_that_is_not_drawn(
    name: str, own_module: Callable[[str, str], None]
) -> None:
    own_module("own_fields", OWN)
    assert fields(task(f"own_fields:{name}", dtype="float32", model="fnn:8x2")) == []


def test_points_that_are_met_twice_are_no_grid() -> None:
    points = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 0.0]])
    assert as_grid(ScatteredReference(points, np.zeros((4, 1)), "")) is None


def test_a_user_s_problem_is_drawn_from_the_store(
    tmp_path: Path, own_module: Callable[[str, str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    own_module("own_fields", OWN)
    record = run(tmp_path, "own_fields:plane", steps=2)
    (field,) = drawn(record, tmp_path)
    whole = unreduced(record, tmp_path)[0]
    assert l2re(whole) == pytest.approx(record.metrics["L2RE"].final, rel=1e-6)
    assert max(field.reference.shape) <= 128
    (Store(tmp_path).directory(record.spec_hash) / "illustration.npz").unlink()
    Path("own_fields.py").write_text(OWN + "\n# edited\n")
    capsys.readouterr()
    assert drawn(record, tmp_path) == []
    assert "own_fields:plane has changed" in capsys.readouterr().err
    assert specify("own_fields:plane", steps=2).hash != record.spec_hash
