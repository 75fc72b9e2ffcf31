"""The traps of DeepXDE that cost days, each with a test that it stays closed."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pinn_specs
import pytest
import torch

from bench.store.store import Store
from bench.training.run import execute
from bench.training.signals import Interruption
from suites.pinn.backend import dde, set_dtype
from suites.pinn.engine.stock import StockEvaluation
from suites.pinn.options import ENGINES
from suites.pinn.problems.advection import Advection1D
from suites.pinn.problems.catalogue import BUILT_IN, get_problem
from suites.pinn.problems.problem import Points
from suites.pinn.problems.wrap import wrap
from suites.pinn.task import PINNTask, build

CPU = torch.device("cpu")


specify = partial(pinn_specs.specify, model="fnn:8x2", dtype="float32", supervised=0.0)
task = partial(pinn_specs.task, model="fnn:8x2", dtype="float32", supervised=0.0)


# --- importing --------------------------------------------------------------------------------


def python(code: str, home: Path, **variables: str) -> str:
    """The standard output of a new interpreter that must not write to stderr."""
    root = Path(__file__).parents[2]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("DDE_")}
    path = os.pathsep.join([*variables.pop("path", "").split(), str(root)])
    environment |= {"HOME": str(home), "PYTHONPATH": path, **variables}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def test_deepxde_is_imported_silently_and_leaves_torch_alone(tmp_path: Path) -> None:
    code = """
import numpy, torch
numpy.random.seed(0), torch.manual_seed(0)
wanted = numpy.random.rand(), torch.rand(()).item()
numpy.random.seed(0), torch.manual_seed(0)
from suites.pinn.backend import dde
assert dde.backend.backend_name == "pytorch"
assert (numpy.random.rand(), torch.rand(()).item()) == wanted
assert torch.get_default_device() == torch.device("cpu")
assert torch.get_default_dtype() == torch.float32
assert torch.is_grad_enabled() and not torch.are_deterministic_algorithms_enabled()
# A default device that was set, even to the CPU, costs time at every operator.
assert not torch.overrides._get_current_function_mode_stack()
print("done")
"""
    assert python(code, tmp_path) == "done\n"
    assert not (tmp_path / ".deepxde").exists()


def test_a_chatty_import_that_sets_a_default_device_is_undone(tmp_path: Path) -> None:
    """What DeepXDE does where there is a GPU, on any machine."""
    (tmp_path / "deepxde.py").write_text(
        "import os, sys, warnings, torch\n"
        "assert os.environ['DDE_BACKEND'] == 'pytorch'\n"
        "print('Using backend: pytorch'); print('again', file=sys.stderr); warnings.warn('and')\n"
        "torch.set_default_device('meta')\n"
    )
    code = """
import torch
from suites.pinn import backend
from suites.pinn.backend import import_deepxde
backend.mend = lambda deepxde: None  # it is not the real one
import_deepxde()
print(torch.zeros(1).device)
torch.set_default_device("meta")
import sys
del sys.modules["deepxde"]
import_deepxde()
print(torch.zeros(1).device)
"""
    assert python(code, tmp_path, path=str(tmp_path)) == "cpu\nmeta\n"


def test_listing_problems_imports_neither_torch_nor_deepxde(tmp_path: Path) -> None:
    code = """
import sys
import suites.pinn.suite, suites.pinn.problems.wrap
from suites.pinn.problems.catalogue import get_problem, problem_summaries
assert len(problem_summaries()) >= 6
for name in problem_summaries():
    assert get_problem(name).terms
print(sorted({"torch", "deepxde", "h5py"} & set(sys.modules)))
"""
    assert python(code, tmp_path) == "[]\n"


# --- points -----------------------------------------------------------------------------------


def rows(points: np.ndarray) -> set[tuple[float, ...]]:
    return set(map(tuple, np.asarray(points).tolist()))


def training_points(built: PINNTask) -> np.ndarray:
    return np.asarray(built.data.train_x_all)


@pytest.mark.parametrize("problem", BUILT_IN)
def test_points_depend_on_the_seed_and_on_nothing_else(problem: str) -> None:
    first, again, arm, other = (
        training_points(built)
        for built in (
            task(problem),
            task(problem),
            task(problem, "irelu+batchnorm+lsuv+rescale=2"),
            task(problem, seed=1),
        )
    )
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first, arm)
    assert len(rows(first)) == len(first)
    assert len(rows(first) & rows(other)) < 0.01 * len(first)


@pytest.mark.parametrize("problem", BUILT_IN)
def test_boundary_and_initial_points_depend_on_the_seed_too(problem: str) -> None:
    """The points that the conditions are compared on, one condition after the other."""
    data = [task(problem, seed=seed).data for seed in (0, 1)]
    starts = [np.cumsum([0, *one.num_bcs]) for one in data]
    for k in range(len(data[0].bcs)):
        mine, other = (
            one.train_x[start[k] : start[k + 1]] for one, start in zip(data, starts, strict=True)
        )
        assert len(rows(mine) & rows(other)) < 0.01 * len(mine) + 1


@pytest.mark.parametrize("problem", BUILT_IN)
def test_held_out_points_are_not_training_points(problem: str) -> None:
    spec = specify(problem)
    drawn: list[np.ndarray] = []
    original = get_problem(problem)

    class Spy:
        """The problem, which remembers the points that it draws."""

        def __getattr__(self, name: str) -> Any:
            return getattr(original, name)

        def data(self, *arguments: Any) -> Any:
            data = original.data(*arguments)
            drawn.append(np.asarray(data.train_x_all))
            return data

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("suites.pinn.task.get_problem", lambda name: Spy())
        build(spec, CPU)
    training, held_out = drawn
    assert len(training) == len(held_out)
    assert not rows(training) & rows(held_out)


def _poisson(sampler: str = "pseudo", anchors: np.ndarray | None = None) -> Any:
    geometry = dde.geometry.Interval(-1, 1)
    boundary = dde.icbc.DirichletBC(geometry, lambda x: 0, lambda _, on_boundary: on_boundary)

    def pde(x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return dde.grad.hessian(u, x) + 1

    return dde.data.PDE(geometry, pde, boundary, 32, 2, train_distribution=sampler, anchors=anchors)


def _exact(x: np.ndarray) -> np.ndarray:
    return (1 - x**2) / 2


_NAMES = {"outputs": ["u"], "losses": ["Lf", "LBC"]}
RANDOM = wrap(_poisson, name="random", exact=_exact, **_NAMES)
HAMMERSLEY = wrap(lambda: _poisson("Hammersley"), name="hammersley", exact=_exact, **_NAMES)


@pytest.mark.parametrize("problem", ["compressible-flow-1d", f"{__name__}:RANDOM"])
def test_numpy_s_global_state_is_restored(problem: str) -> None:
    np.random.seed(7)
    before = np.random.get_state()
    task(problem)
    after = np.random.get_state()
    assert before[2] == after[2]
    np.testing.assert_array_equal(before[1], after[1])


@pytest.mark.parametrize("problem", ["advection-1d", f"{__name__}:RANDOM"])
def test_numpy_s_global_state_does_not_matter(problem: str) -> None:
    found = []
    for seed in (1, 2):
        np.random.seed(seed)
        found.append(task(problem).evaluate().metrics)
    assert found[0] == found[1]


def test_hammersley_s_points_are_warned_of_in_the_record(tmp_path: Path) -> None:
    warnings = []
    for name in ("HAMMERSLEY", "RANDOM"):
        spec = specify(f"{__name__}:{name}", steps=2)
        record = execute(spec, Store(tmp_path), CPU, 1, lambda *_: None, Interruption())
        assert record.status == "done", record.reason
        warnings.append([text for text in record.warnings if "sampler" in text])
        assert record.task["sampler"] == {"HAMMERSLEY": "Hammersley", "RANDOM": "pseudo"}[name]
    (text,), none = warnings
    assert "'Hammersley'" in text and "pseudo" in text
    assert none == []


# --- corners ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("problem", "end"), [("diffusion-reaction-2d", 1), ("shallow-water-2d", 2.5)]
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_no_wall_condition_takes_a_corner(problem: str, end: float, dtype: str) -> None:
    set_dtype(dtype)
    built_in = get_problem(problem)
    data = built_in.data(built_in.truth(None, 0, False), Points(4, 4, 4), None)
    ticks = np.linspace(-end, end, 5)
    everywhere = np.array(
        [(a, b, time) for a in ticks for b in ticks for time in (0.0, 0.4)], dtype=dtype
    )
    on_wall = np.isclose(np.abs(everywhere[:, :2]), end)
    walls = [condition for condition in data.bcs if isinstance(condition, dde.icbc.NeumannBC)]
    assert len(walls) == len(built_in.outputs)
    wanted = rows(everywhere[on_wall.sum(axis=1) == 1])
    assert len(wanted) == 4 * 3 * 2
    for condition in walls:
        taken = condition.collocation_points(everywhere)
        assert rows(taken) == wanted
        normals = np.abs(condition.geom.boundary_normal(taken)[:, :2])
        np.testing.assert_allclose(np.sort(normals, axis=1), [[0, 1]] * len(taken))


# --- the cache of derivatives -----------------------------------------------------------------


class _Broken(Exception):
    pass


def _interruptible() -> tuple[Any, dict[str, bool]]:
    """Data whose residual fails on request, after its derivatives have been cached."""
    switch = {"broken": False}
    geometry = dde.geometry.Interval(-1, 1)

    def pde(x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        slope = dde.grad.jacobian(u, x)
        bend = dde.grad.hessian(u, x)
        if switch["broken"]:
            raise _Broken
        return bend + u * slope

    return dde.data.PDE(geometry, pde, [], 16, 2, train_distribution="pseudo"), switch


def _residual(net: torch.nn.Module, points: np.ndarray) -> float:
    """The same loss without DeepXDE's derivatives."""
    x = torch.tensor(points, requires_grad=True)
    u = net(x)
    (slope,) = torch.autograd.grad(u.sum(), x, create_graph=True)
    (bend,) = torch.autograd.grad(slope.sum(), x, create_graph=True)
    return float((bend + u * slope).detach().square().mean())


@pytest.mark.parametrize("fails", [False, True])
def test_losses_are_those_of_the_present_weights(fails: bool) -> None:
    set_dtype("float64")
    torch.manual_seed(0)
    data, switch = _interruptible()
    net = dde.nn.FNN([1, 8, 8, 1], "tanh", "Glorot normal")
    evaluation = StockEvaluation(data, net, CPU)
    found = []
    for _ in range(3):
        for training in (True, False):
            if fails:
                switch["broken"] = True
                with pytest.raises(_Broken):
                    evaluation(training)
                switch["broken"] = False
            (loss,) = evaluation(training).tolist()
            assert loss == pytest.approx(_residual(net, data.train_x), rel=1e-12)
            found.append(loss)
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.mul_(1.5).add_(0.1)
    assert len(set(np.round(found, 12))) == 3


@pytest.mark.parametrize("engine", ENGINES)
def test_a_task_that_failed_in_a_step_goes_on_as_if_it_had_not(
    engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = task("advection-1d")
    broken = False

    class Problem(Advection1D):
        def data(self, *given: Any) -> Any:
            data = super().data(*given)
            pde = data.pde

            def interrupted(x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
                found = pde(x, u)
                if broken:
                    raise _Broken
                return found

            data.pde = interrupted
            return data

    monkeypatch.setattr("suites.pinn.task.get_problem", lambda name: Problem())
    built = task("advection-1d", engine=engine)
    for _ in range(3):
        broken = True
        with pytest.raises(_Broken):
            built.step()
        broken = False
        mine, wanted = built.step(), other.step()
        assert {k: float(v) for k, v in mine.items()} == pytest.approx(
            {k: float(v) for k, v in wanted.items()}, rel=1e-5
        )


def test_deepxde_can_be_used_inside_a_device_context_and_outside_again() -> None:
    """A default device that is set inside of one would outlive it."""
    for device in ("cpu", "meta", "cpu", "meta", "cpu"):
        with torch.device(device):
            assert dde.config.real(torch) in (torch.float32, torch.float64)
            assert torch.zeros(1).device.type == device
        assert dde.grad is not None
        assert torch.zeros(1).device.type == "cpu"
