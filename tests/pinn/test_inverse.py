"""Unknowns of inverse problems: found, named, trained, owned by their run, and scored."""

from __future__ import annotations

import copy
import io
from pathlib import Path
from typing import Any

import inverse_problems
import numpy as np
import pinn_specs
import pytest
import torch
from rich.console import Console
from torch.fx.experimental.proxy_tensor import make_fx

from bench.cli.show import describe
from bench.report.tables import print_tables
from bench.spec.spec import Spec
from bench.store.record import Record
from bench.suite import main
from bench.text.errors import BadInput
from bench.training.stock_speed import relative_difference
from suites.pinn.batch import InTurn, build_together
from suites.pinn.check import build_checked, difference_from_deepxde, stock_loss_and_gradient
from suites.pinn.engine.gradients import TrainingGradient
from suites.pinn.engine.unknowns import Held, Unknowns
from suites.pinn.suite import SUITE
from suites.pinn.task import PINNTask, build
from suites.pinn.trained import solution
from suites.pinn.unknown_metrics import unknown_metrics

CPU = torch.device("cpu")
NAMES = {
    "MODULE": {"C": ()},
    "FACTORY": {"b": (1,), "a": ()},
    "VECTOR": {"k": (2,), "more[0]": ()},
    "ANISOTROPIC": {"D[0]": (), "D[1]": ()},
    "OUTPUT": {"AMPLITUDE": ()},
    "INPUT": {"FREQUENCY": ()},
    "FUNCTION": {
        "FORCE.0.weight": (3, 1),
        "FORCE.0.bias": (3,),
        "FORCE.2.weight": (1, 3),
        "FORCE.2.bias": (1,),
    },
}
each = pytest.mark.parametrize("name", NAMES)


def specify(name: str, arm: str = "baseline", **given: Any) -> Spec:
    return pinn_specs.specify(f"inverse_problems:{name}", arm, **given)


def task(name: str, arm: str = "baseline", **given: Any) -> PINNTask:
    return build(specify(name, arm, **given), CPU)


def values(of: PINNTask) -> dict[str, Any]:
    return {name: value.tolist() for name, value in of.unknowns.state_dict().items()}


def trained(of: PINNTask, steps: int) -> PINNTask:
    for _ in range(steps):
        of.step()
    return of


# --- what is found --------------------------------------------------------------------------------


@each
def test_unknowns_have_the_names_and_shapes_of_the_users_code(name: str) -> None:
    built = task(name)
    assert {n: tuple(v.shape) for n, v in built.unknowns.values.items()} == NAMES[name]
    assert list(built.description["unknowns"]) == list(NAMES[name])
    assert built.description["parameters"] == sum(p.numel() for p in built.net.parameters())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_unknowns_are_of_the_runs_precision(dtype: str) -> None:
    built = trained(task("MODULE", dtype=dtype), 3)
    (value,) = built.unknowns.values.values()
    assert str(value.dtype) == f"torch.{dtype}"
    number = value.item()
    assert (number == float(np.float32(number))) == (dtype == "float32")


@pytest.mark.parametrize("problem", ["advection-1d", "shallow-water-2d"])
def test_a_forward_problem_has_none(problem: str) -> None:
    built = pinn_specs.task(problem)
    assert not built.unknowns
    assert "unknowns" not in built.description
    assert "unknowns" not in built.state_dict()


# --- loss and gradient ----------------------------------------------------------------------------


@each
@pytest.mark.parametrize("arm", ["baseline", "irelu"])
def test_the_engines_gradients_are_deepxdes(name: str, arm: str) -> None:
    built = task(name, arm)
    assert difference_from_deepxde(built) < 1e-10
    gradients = stock_loss_and_gradient(built)[1:]
    by_name = dict(zip(built.parameters.split(built.parameters.vector), gradients, strict=True))
    for unknown in NAMES[name]:
        assert by_name[f"unknowns.{unknown}"].abs().max() > 0
    # Far from where the graph was recorded.
    for value in built.unknowns.values.values():
        value.data.mul_(-3).add_(0.2)
    assert difference_from_deepxde(built) < 1e-10


def test_the_fast_engines_are_chosen_for_unknowns_of_equations() -> None:
    paths = {name: task(name).evaluation.path for name in NAMES}
    assert paths == {
        "MODULE": "taylor",
        "FACTORY": "taylor",
        "VECTOR": "taylor",
        "ANISOTROPIC": "taylor",
        "OUTPUT": "taylor",
        "INPUT": "reverse",
        "FUNCTION": "taylor",
    }


@pytest.mark.parametrize("name", ["VECTOR", "ANISOTROPIC", "INPUT", "OUTPUT"])
def test_a_traced_computation_depends_on_the_unknowns(name: str) -> None:
    built = task(name)
    gradient = built.gradient
    assert isinstance(gradient, TrainingGradient)
    vector = built.parameters.vector.detach()
    trace = make_fx(
        lambda vector: gradient.functional(vector),
        tracing_mode="fake",
        _allow_non_fake_inputs=True,
    )(vector.clone())
    last = sum(value.numel() for value in built.unknowns.values.values())
    moved = vector.clone()
    moved[-last:] += 0.25
    vector.copy_(moved)
    with torch.no_grad():
        found = trace(moved)
    assert relative_difference(list(found), list(gradient.eager(moved))) < 1e-10


def test_a_network_is_trained_as_it_would_be_by_autograd() -> None:
    built = task("MODULE", steps=3)
    loss = built.loss.weighted(built.evaluation(training=True))
    (value,) = built.unknowns.values.values()
    (by_unknown,) = torch.autograd.grad(loss, [value])
    before = float(value)
    built.step()
    # Adam's first step is the learning rate, against the sign of the gradient.
    assert float(value) - before == pytest.approx(
        -built.spec.training.lr * float(by_unknown.sign()), rel=1e-4
    )


def test_weight_decay_does_not_act_on_unknowns() -> None:
    plain, decayed = (task("MODULE", weight_decay=decay) for decay in (0.0, 0.5))
    plain.step(), decayed.step()
    assert values(plain) == values(decayed)
    assert not torch.equal(plain.net.linears[0].weight, decayed.net.linears[0].weight)


def test_a_compiled_step_depends_on_the_unknowns() -> None:
    built = task("MODULE", model="fnn:8x1", compile="on")
    assert difference_from_deepxde(built) < 1e-10
    assert built.gradient.how["executed"] == "inductor"


@pytest.mark.parametrize("name", ["MODULE", "OUTPUT"])
def test_new_points_keep_the_unknowns(name: str) -> None:
    built = trained(task(name, steps=9, resample=3), 7)
    assert difference_from_deepxde(built) < 1e-10


def test_the_check_of_a_users_problem_leaves_the_unknowns_alone() -> None:
    spec = specify("VECTOR", dtype="float32", check_engine=True)
    built = build_checked(spec, CPU)
    assert built.evaluation.path == "taylor"
    assert built.notes["difference_from_deepxde"] < 1e-10
    assert values(built) == values(build(spec, CPU))


# --- whose they are -------------------------------------------------------------------------------


def test_two_runs_of_a_process_have_unknowns_of_their_own() -> None:
    declared = float(inverse_problems.C)
    specs = [specify("MODULE"), specify("MODULE", "irelu"), specify("MODULE", seed=1)]
    alone = [values(trained(build(spec, CPU), 6)) for spec in specs]
    side_by_side = [build(spec, CPU) for spec in specs]
    for _ in range(6):
        for one in side_by_side:
            one.step()
    assert [values(one) for one in side_by_side] == alone
    assert alone[0] != alone[1]
    assert float(inverse_problems.C) == declared
    assert inverse_problems.C.grad is None


def test_seeds_that_are_built_together_have_unknowns_of_their_own() -> None:
    specs = [specify("FACTORY", seed=seed) for seed in (0, 1)]
    alone = [trained(build(spec, CPU), 4) for spec in specs]
    batch = build_together(specs, CPU)
    assert isinstance(batch, InTurn)
    for _ in range(4):
        batch.step()
    assert [values(one) for one in batch.tasks] == [values(one) for one in alone]
    assert [one.evaluate() for one in batch.tasks] == [one.evaluate() for one in alone]


def test_held_out_terms_are_those_of_the_trained_unknowns() -> None:
    built = task("FACTORY")
    before = built.evaluate().metrics
    built.unknowns.values["b"].data.fill_(50.0)
    built.unknowns.values["a"].data.fill_(5.0)
    after = built.evaluate().metrics
    assert after["heldout_LBC_told"] == after["LBC_told"] == pytest.approx(16.0)
    assert after["heldout_Lf"] > 100 * before["heldout_Lf"]


# --- checkpoints and weights ----------------------------------------------------------------------


@pytest.mark.parametrize("steps", [{"steps": 8}, {"steps": 4, "lbfgs_steps": 4}])
@pytest.mark.parametrize("name", ["MODULE", "VECTOR"])
def test_a_resumed_run_is_an_uninterrupted_one(name: str, steps: dict[str, int]) -> None:
    whole = trained(task(name, **steps), 8)
    first = trained(task(name, **steps), 5)
    second = task(name, **steps)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    trained(second, 3)
    assert values(second) == values(whole)
    assert torch.equal(second.parameters.vector, whole.parameters.vector)
    assert second.evaluate() == whole.evaluate()


def test_lbfgs_moves_the_unknowns() -> None:
    built = trained(task("MODULE", steps=2, lbfgs_steps=5), 2)
    before = values(built)
    trained(built, 5)
    assert values(built) != before


@pytest.mark.parametrize("name", ["OUTPUT", "INPUT"])
def test_a_solution_is_rebuilt_with_the_trained_unknowns(name: str) -> None:
    spec = specify(name)
    built = trained(build(spec, CPU), 5)
    found = solution(spec, built.weights(), CPU)
    assert {n: v.tolist() for n, v in found.unknowns.items()} == values(built)
    assert built.score is not None
    points = built.score.truth.reference.points()
    np.testing.assert_array_equal(found(points), built.predict())


# --- what is reported -----------------------------------------------------------------------------


def test_values_and_errors_are_metrics() -> None:
    built = task("VECTOR")
    built.unknowns.values["k"].data.copy_(torch.tensor([1.5, 1.2]))
    metrics = built.evaluate().metrics
    assert metrics["unknown k[0]"] == pytest.approx(1.5)
    assert metrics["unknown k[1]"] == pytest.approx(1.2)
    assert metrics["error k"] == pytest.approx(1.3)
    assert metrics["unknown more[0]"] == pytest.approx(0.1)
    assert "error more[0]" not in metrics
    assert built.unit("unknown more[0]") == "1"


def test_an_unknown_of_many_elements_is_its_root_mean_square() -> None:
    value = torch.linspace(-1, 1, 40)
    found = unknown_metrics(Unknowns([Held("k", value)]), {"k": 2 * value.numpy()})
    root = float(value.double().square().mean().sqrt())
    assert found == {"unknown k (rms)": pytest.approx(root), "error k": pytest.approx(0.5)}


@pytest.fixture(scope="module")
def recovered(tmp_path_factory: pytest.TempPathFactory) -> Record:
    folder = tmp_path_factory.mktemp("runs")
    return pinn_specs.run(
        folder,
        "inverse_problems:MODULE",
        model="fnn:16x2",
        steps=200,
        lr=0.01,
        lbfgs_steps=150,
        evaluations=4,
    )


def test_a_coefficient_is_recovered(recovered: Record) -> None:
    assert recovered.status == "done"
    assert recovered.metrics["unknown C"].final == pytest.approx(1.0, rel=0.02)
    error, solution_error = (recovered.metrics[name].final for name in ("error C", "L2RE"))
    assert error is not None and error < 0.02
    assert solution_error is not None and solution_error < 0.02
    history = recovered.history["unknown C"]
    assert history[0] == pytest.approx(0.3, rel=1e-6)
    assert history[-1] == recovered.metrics["unknown C"].final
    assert recovered.task["unknowns"] == {
        "C": {"shape": [], "start": pytest.approx(0.3), "truth": 1.0}
    }


def test_values_are_shown_and_errors_compared(recovered: Record) -> None:
    columns = SUITE.columns("inverse_problems:MODULE")
    assert columns.main.index("L2RE") < columns.main.index("error C")
    assert columns.values_of(recovered.metrics) == ["unknown C"]
    assert not any(name.startswith("unknown") for name in (*columns.main, *columns.further))
    assert any(line.startswith("unknown C ") for line in describe(recovered))
    console = Console(record=True, width=200, file=io.StringIO())
    print_tables([recovered], SUITE.columns, lambda _: {}, console)
    shown = console.export_text()
    assert "error C" in shown and "unknown C" in shown


def test_without_a_known_solution_arms_are_compared_by_the_unknowns() -> None:
    (warning,) = (w for w in task("NO_SOLUTION").diagnose().warnings if "truth" in w)
    assert warning == "no ground truth of the solution: only loss terms and unknowns are reported"
    assert SUITE.columns("inverse_problems:NO_SOLUTION").main[0] == "error C"
    assert SUITE.columns("inverse_problems:UNDECLARED").main[0] == "L2RE"


# --- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("MISSPELT", ["'c'", "did you mean 'C'?", "unknowns: C"]),
        ("MISSHAPEN", ["(2,)", "'C'", "()"]),
        ("INTEGER", ["'WHOLE'", "int64"]),
        ("CONSTANT", ["'FROZEN'", "does not require a gradient"]),
        ("PLAIN", ["'NUMBER'", "float 0.5"]),
        ("IDLE", ["'UNUSED'", "does not depend on"]),
    ],
)
def test_a_declared_unknown_that_is_not_trained_is_refused_when_asked_for(
    name: str, words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["pinn", "--problem", f"inverse_problems:{name}", "--out", str(tmp_path / "runs")]
    assert main([*arguments, "--budget", "smoke", "--device", "cpu"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    for word in words:
        assert word in line
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("COMPUTED", ["'SQUARED'", "once, before training"]),
        ("REMADE", ["0.5", "made anew"]),
        ("KEPT", ["'C'", "computed once and kept"]),
    ],
)
def test_what_cannot_be_trained_is_an_error_that_names_it(name: str, words: list[str]) -> None:
    with pytest.raises(BadInput) as error:
        task(name)
    for word in words:
        assert word in str(error.value)
