"""Any DeepXDE problem as a problem of the suite."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pinn_specs
import pytest
import torch
from torch import Tensor

from bench.spec.spec import Spec
from bench.store.record import Record
from bench.store.store import Store
from bench.suite import main
from bench.text.errors import BadInput
from suites.pinn.backend import dde
from suites.pinn.problems.problem import Term
from suites.pinn.problems.wrap import wrap
from suites.pinn.task import PINNTask, build

CPU = torch.device("cpu")
DIFFUSIVITY = 0.2


# --- problems, as a user would write them -----------------------------------------------------


def _ends(geometry: Any) -> Any:
    return dde.icbc.DirichletBC(geometry, lambda x: 0, lambda _, on_boundary: on_boundary)


def _source(x: Any) -> Any:
    return np.pi**2 * np.sin(np.pi * x)


def poisson() -> Any:
    geometry = dde.geometry.Interval(-1, 1)

    def pde(x: Tensor, u: Tensor) -> Tensor:
        return dde.grad.hessian(u, x) + np.pi**2 * torch.sin(np.pi * x)

    return dde.data.PDE(geometry, pde, _ends(geometry), 32, 2, train_distribution="pseudo")


def poisson_with_auxiliary_source() -> Any:
    geometry = dde.geometry.Interval(-1, 1)

    def pde(x: Tensor, u: Tensor, source: Tensor) -> Tensor:
        return dde.grad.hessian(u, x) + source

    return dde.data.PDE(
        geometry,
        pde,
        _ends(geometry),
        32,
        2,
        train_distribution="pseudo",
        auxiliary_var_function=_source,
    )


def poisson_with_operator() -> Any:
    """The same with u′(1) = −π on the right, written as an operator that uses its points."""
    geometry = dde.geometry.Interval(-1, 1)

    def slope(x: Tensor, u: Tensor, points: np.ndarray) -> Tensor:
        assert points.shape == tuple(x.shape)
        return dde.grad.jacobian(u, x) + np.pi

    conditions = [
        dde.icbc.DirichletBC(geometry, lambda x: 0, lambda x, on: on and np.isclose(x[0], -1)),
        dde.icbc.OperatorBC(geometry, slope, lambda x, on: on and np.isclose(x[0], 1)),
    ]

    def pde(x: Tensor, u: Tensor) -> Tensor:
        return dde.grad.hessian(u, x) + np.pi**2 * torch.sin(np.pi * x)

    return dde.data.PDE(geometry, pde, conditions, 32, 8, train_distribution="pseudo")


def sine(x: np.ndarray) -> np.ndarray:
    return np.sin(np.pi * x)


def heat() -> Any:
    space = dde.geometry.Interval(0, 1)
    geometry = dde.geometry.GeometryXTime(space, dde.geometry.TimeDomain(0, 0.5))

    def pde(x: Tensor, u: Tensor) -> Tensor:
        return dde.grad.jacobian(u, x, j=1) - DIFFUSIVITY * dde.grad.hessian(u, x, i=0, j=0)

    initial = dde.icbc.IC(
        geometry, lambda x: np.sin(np.pi * x[:, :1]), lambda _, on_initial: on_initial
    )
    return dde.data.TimePDE(
        geometry,
        pde,
        [initial, _ends(geometry)],
        num_domain=100,
        num_boundary=20,
        num_initial=20,
        train_distribution="pseudo",
    )


def cooling(x: np.ndarray) -> np.ndarray:
    return np.exp(-DIFFUSIVITY * np.pi**2 * x[:, 1:]) * np.sin(np.pi * x[:, :1])


_GIVEN = np.linspace(-1, 1, 41)[:, None]
_STEADY: dict[str, Any] = {"outputs": ["u"], "losses": ["Lf", "LBC"]}

POISSON = wrap(poisson, name="poisson", exact=sine, **_STEADY)
AUXILIARY = wrap(poisson_with_auxiliary_source, name="auxiliary", exact=sine, **_STEADY)
OPERATOR = wrap(
    poisson_with_operator,
    name="operator",
    outputs=["u"],
    losses=["Lf", "LBC_left", Term("LBC_slope", "boundary", 0)],
    exact=sine,
)
HEAT = wrap(heat, name="heat", outputs=["T"], losses=["Lf", "LIC", "LBC"], exact=cooling)
NO_TRUTH = wrap(poisson, name="no-truth", **_STEADY)
REFERENCE = wrap(poisson, name="reference", reference=(_GIVEN, 2 * sine(_GIVEN)), **_STEADY)
TOO_FEW = wrap(heat, name="too-few", outputs=["T"], losses=["Lf", "LIC"], exact=cooling)
TOO_MANY = wrap(heat, name="too-many", outputs=["T"], losses=["Lf_1", "Lf_2", "LIC", "LBC"])
FLAT = wrap(
    heat, name="flat", outputs=["T"], losses=["Lf", "LIC", "LBC"], exact=lambda x: cooling(x)[:, 0]
)
TRANSFORMED = wrap(
    poisson,
    name="transformed",
    exact=sine,
    output_transform=lambda x, u: u * (1 - x**2),
    **_STEADY,
)
BROKEN = wrap(lambda: 1 / 0, name="broken", **_STEADY)


def specify(name: str, *, model: str = "fnn:20x2", **given: Any) -> Spec:
    return pinn_specs.specify(f"{__name__}:{name}", model=model, dtype="float32", **given)


def run(name: str, folder: Path, *, model: str = "fnn:20x2", **given: Any) -> Record:
    return pinn_specs.run(folder, f"{__name__}:{name}", model=model, dtype="float32", **given)


def task(name: str, **given: Any) -> PINNTask:
    return build(specify(name, **given), CPU)


# --- training ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["POISSON", "AUXILIARY", "OPERATOR", "HEAT"])
def test_training_comes_closer_to_the_exact_solution(name: str, tmp_path: Path) -> None:
    record = run(name, tmp_path, steps=500, lr=5e-3)
    assert record.status == "done", record.reason
    error = record.history["L2RE"]
    assert error[0] > 0.5
    assert error[-1] < 0.2 * error[0]
    assert record.metrics["skill"].final > 0.7
    assert Store(tmp_path).weights(record.spec_hash).exists()


def test_a_record_reads_back_as_it_was_returned(tmp_path: Path) -> None:
    record = run("HEAT", tmp_path, steps=2)
    assert Store(tmp_path).read(record.spec_hash) == record


@pytest.mark.parametrize("name", ["POISSON", "HEAT"])
def test_nothing_is_printed(name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Standard output is the command line's; with --json it must parse."""
    assert run(name, tmp_path, steps=2).status == "done"
    assert capfd.readouterr().out == ""


def test_the_exact_solution_is_compared_on_the_whole_geometry() -> None:
    built = task("HEAT")
    points = built.truth.reference.points()
    assert 5_000 < len(points) < 20_000
    assert points.min(axis=0).tolist() == [0, 0]
    assert points.max(axis=0).tolist() == pytest.approx([1, 0.5], abs=0.02)
    np.testing.assert_allclose(built.truth.reference.targets(), cooling(points))
    assert built.description["truth"]["method"] == "exact solution"
    assert list(built.description["truth"]["L2RE"]) == [0.0]


def test_an_exact_solution_may_be_flat() -> None:
    assert task("FLAT").evaluate().metrics == task("HEAT").evaluate().metrics


def test_auxiliary_variables_are_those_of_the_points() -> None:
    mine, wanted = (task(name).evaluate().metrics for name in ("AUXILIARY", "POISSON"))
    for name in ("Lf", "heldout_Lf", "L2RE"):
        assert mine[name] == pytest.approx(wanted[name], rel=1e-5)


def test_the_user_s_output_transform_is_applied() -> None:
    built = task("TRANSFORMED")
    x = torch.tensor([[-1.0], [0.3], [1.0]])
    found = built.net(x).flatten().tolist()
    assert found[0] == found[2] == 0 != found[1]
    assert built.evaluate().metrics["LBC"] == 0


def test_seeds_and_held_out_points_differ() -> None:
    first, again = task("HEAT"), task("HEAT")
    assert np.array_equal(first.data.train_x, again.data.train_x)
    metrics = first.evaluate().metrics
    assert metrics["heldout_Lf"] != metrics["Lf"]


# --- truths -----------------------------------------------------------------------------------


def test_without_a_truth_there_are_only_losses_and_a_warning(tmp_path: Path) -> None:
    record = run("NO_TRUTH", tmp_path, steps=3)
    assert record.status == "done", record.reason
    names = ["loss", "Lf", "LBC"]
    assert set(record.metrics) == {*names, *(f"heldout_{name}" for name in names), "selection"}
    assert any("no ground truth" in text for text in record.warnings)
    assert record.task["truth"] is None


def test_reference_data_are_compared_at_their_points(tmp_path: Path) -> None:
    built = task("REFERENCE")
    with torch.no_grad():
        prediction = built.net(torch.tensor(_GIVEN, dtype=torch.float32)).numpy()
    wanted = np.mean((prediction - 2 * sine(_GIVEN)) ** 2)
    assert built.evaluate().metrics["MSE"] == pytest.approx(wanted, rel=1e-5)
    record = run("REFERENCE", tmp_path, steps=2)
    assert any("no error estimate" in text for text in record.warnings)


# --- mistakes ---------------------------------------------------------------------------------


def test_an_instance_is_refused() -> None:
    with pytest.raises(BadInput, match=r"'mine'.*function.*already drawn") as caught:
        wrap(poisson(), name="mine", exact=sine, **_STEADY)
    assert "\n" not in str(caught.value)


def test_exact_and_reference_are_refused_together() -> None:
    with pytest.raises(BadInput, match="exact or reference"):
        wrap(poisson, name="mine", exact=sine, reference=(_GIVEN, sine(_GIVEN)), **_STEADY)


@pytest.mark.parametrize("bad", ["pde", "f", "lic", "", "BC"])
def test_a_loss_name_that_says_no_kind_is_refused(bad: str) -> None:
    with pytest.raises(BadInput, match="Lf, LIC, LBC, Ldata") as caught:
        wrap(poisson, name="mine", outputs=["u"], losses=[bad, "LBC"])
    assert repr(bad) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("TOO_FEW", "names 1 conditions (LIC) but has 2"),
        ("TOO_MANY", "names 2 equations (Lf_1, Lf_2) but has 1"),
    ],
)
def test_a_wrong_number_of_loss_names_is_refused(name: str, message: str) -> None:
    with pytest.raises(BadInput) as caught:
        task(name)
    assert message in str(caught.value)


def test_a_factory_that_fails_is_refused_with_its_line() -> None:
    with pytest.raises(BadInput, match=r"be built: ZeroDivisionError: .*test_wrap.py, line \d+"):
        specify("BROKEN")


# --- the command line -------------------------------------------------------------------------

_MODULE = """
import numpy as np
from suites.pinn.backend import dde
from suites.pinn.problems.wrap import wrap

def decay():
    time = dde.geometry.TimeDomain(0, 1)
    start = dde.icbc.IC(time, lambda x: 1.0, lambda _, on_initial: on_initial)
    def ode(t, u):
        return dde.grad.jacobian(u, t) + u
    return dde.data.PDE(time, ode, [start], 16, 2, train_distribution="pseudo")

DECAY = wrap(decay, name="decay", outputs=["u"], losses=["Lf", "LIC"], exact=lambda t: np.exp(-t))
INSTANCE = 3
"""


def test_a_module_s_attribute_on_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "decay_problem.py").write_text(_MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    common = ["--budget", "smoke", "--model", "fnn:8x2", "--jobs", "1", "--device", "cpu"]
    command = ["pinn", "--problem", "decay_problem:DECAY", "--out", "results", *common]
    assert main([*command, "--arm", "irelu+lsuv", "--json"]) == 0
    records = json.loads(capsys.readouterr().out)
    assert [r["arm"] for r in records] == ["baseline", "irelu+lsuv"]
    assert {r["problem"] for r in records} == {"decay_problem:DECAY"}
    assert all(np.isfinite(r["metrics"]["L2RE"]["final"]) for r in records)
    assert main(command) == 0
    assert "L2RE" in capsys.readouterr().out
    for bad, text in (("INSTANCE", "suites.pinn.wrap"), ("DECAI", "DECAY")):
        assert main(["pinn", "--problem", f"decay_problem:{bad}", *common]) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.count("\n") == 1 and text in captured.err


def test_a_term_has_not_the_name_of_a_sum() -> None:
    """`LBC` was the sum of LBC1 and LBC2 in one problem, and the first of two in another."""
    with pytest.raises(BadInput, match=r"'LBC' is the name of the sum of LBC, LBC_right.*'LBC1'"):
        wrap(heat, name="two", outputs=["u"], losses=["Lf", "LBC", "LBC_right"])
    assert wrap(heat, name="one", outputs=["u"], losses=["Lf", "LIC", "LBC"]).terms


def test_weights_are_given_by_name() -> None:
    with pytest.raises(BadInput, match=r"loss_weights is a mapping of names.*'LBC': 10.*got list"):
        wrap(
            heat,
            name="listed",
            outputs=["u"],
            losses=["Lf", "LIC", "LBC"],
            loss_weights=[1, 1, 10],  # type: ignore[arg-type]
        )


NOTHING_KNOWN = wrap(heat, name="nothing", outputs=["u"], losses=["Lf", "LIC", "LBC"])


def test_without_anything_true_arms_are_not_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Their training residuals were."""
    problem = ["--problem", f"{__name__}:NOTHING_KNOWN", "--model", "fnn:8x2", "--steps", "5"]
    common = [*problem, "--device", "cpu", "--jobs", "1", "--out", str(tmp_path)]
    assert main(["pinn", "--arm", "irelu", *common]) == 0
    assert "vs baseline" not in capsys.readouterr().out
    assert main(["study", "separate", "--suite", "pinn", *common]) == 2
    assert "nothing true is known of" in capsys.readouterr().err


def test_a_solution_of_tensors_can_be_differentiated(tmp_path: Path) -> None:
    import bench

    results = bench.run(
        "pinn",
        problems=[f"{__name__}:NOTHING_KNOWN"],
        models=["fnn:8x2"],
        steps=5,
        store=tmp_path,
        device="cpu",
        jobs=1,
    )
    solution = results.runs()[0].network()
    points = torch.rand(7, 2, requires_grad=True)
    values = solution(points)
    (slope,) = torch.autograd.grad(values.sum(), points)
    step = torch.tensor([[1e-2, 0.0]])
    with torch.no_grad():
        there = (solution(points + step) - solution(points - step)) / 2e-2
    assert slope[:, :1] == pytest.approx(there, abs=1e-3)
    assert solution(points.detach().numpy()) == pytest.approx(values.detach().numpy(), abs=1e-6)
