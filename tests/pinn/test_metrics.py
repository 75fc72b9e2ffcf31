"""What is reported: errors on the grid, names of the loss terms, supervised points, warnings."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import numpy as np
import pinn_specs
import pytest
import torch

from bench.text.errors import BadInput
from suites.pinn.metrics import grid_errors
from suites.pinn.problems.catalogue import BUILT_IN, get_problem
from suites.pinn.suite import SUITE
from suites.pinn.task import PINNTask, build

#: Loss terms of each problem: equations, conditions, labels, totals.
TERMS = {
    "advection-1d": ["Lf", "LIC", "LBC"],
    "compressible-flow-1d": [
        *("Lf_mass", "Lf_momentum", "Lf_energy"),
        *("LICp", "LICd", "LICv", "LBCp", "LBCd", "LBCv"),
        *("Lf", "LIC", "LBC"),
    ],
    "diffusion-reaction-2d": [
        *("Lf_u", "Lf_v", "LICu", "LICv", "LBCu", "LBCv", "Ldatau", "Ldatav"),
        *("Lf", "LIC", "LBC", "Ldata"),
    ],
    "diffusion-sorption-1d": [
        *("Lf", "LIC", "LBC_inflow", "LBC_outflow", "Ldata"),
        "LBC",
    ],
    "shallow-water-2d": [
        *("Lf_mass", "Lf_momentum_x", "Lf_momentum_y"),
        *("LICh", "LICu", "LICv", "LBCh", "LBCu", "LBCv", "Ldatah", "Ldatau", "Ldatav"),
        *("Lf", "LIC", "LBC", "Ldata"),
    ],
}

ERRORS = ("MSE", "L2RE", "max_error", "skill")


specify = partial(pinn_specs.specify, model="fnn:8x2")


def task(problem: str, supervised: float | None = None, dtype: str = "float64") -> PINNTask:
    return build(specify(problem, supervised=supervised, dtype=dtype), torch.device("cpu"))


# --- errors on the grid -----------------------------------------------------------------------


def test_errors_of_one_output_by_hand() -> None:
    truth = np.array([[1.0], [2.0], [2.0], [4.0]])
    prediction = np.array([[1.0], [2.0], [4.0], [1.0]])
    # Errors 0, 0, 2, −3; ‖truth‖² = 25; deviations from the mean 2.25: −1.25, −.25, −.25, 1.75.
    assert grid_errors(prediction, truth, ["u"], None) == pytest.approx(
        {
            "MSE": 13 / 4,
            "L2RE": math.sqrt(13) / 5,
            "max_error": 3.0,
            "skill": 1 - math.sqrt(13 / 4.75),
        },
        rel=1e-14,
    )


def test_errors_of_two_outputs_by_hand() -> None:
    truth = np.array([[3.0, 0.0], [4.0, 10.0]])
    prediction = np.array([[3.0, 1.0], [3.0, 8.0]])
    found = grid_errors(prediction, truth, ["p", "d"], None)
    assert set(found) == {f"{error}{name}" for error in ERRORS for name in ("", "p", "d")}
    assert found["MSE"] == pytest.approx(6 / 4)
    assert found["MSEp"] == pytest.approx(1 / 2)
    assert found["MSEd"] == pytest.approx(5 / 2)
    assert found["L2RE"] == pytest.approx(math.sqrt(6 / 125))
    assert found["L2REp"] == pytest.approx(1 / 5)
    assert found["L2REd"] == pytest.approx(math.sqrt(5) / 10)
    assert (found["max_error"], found["max_errorp"], found["max_errord"]) == (2, 1, 2)
    # The best constant is one number for each output: (3.5, 5), not one for both.
    assert found["skill"] == pytest.approx(1 - math.sqrt(6 / 50.5))
    assert found["skilld"] == pytest.approx(1 - math.sqrt(5 / 50))


def test_skill_is_0_for_the_best_constant_and_1_for_the_truth() -> None:
    truth = np.random.default_rng(0).normal(size=(50, 3)) * [1, 10, 100] + [5, 0, -3]
    best = np.broadcast_to(truth.mean(axis=0), truth.shape)
    names = ["a", "b", "c"]
    constant, exact = (grid_errors(p, truth, names, None) for p in (best, truth))
    for name in ("", *names):
        assert constant[f"skill{name}"] == pytest.approx(0, abs=1e-12)
        assert exact[f"skill{name}"] == 1
        assert exact[f"MSE{name}"] == exact[f"L2RE{name}"] == exact[f"max_error{name}"] == 0
    worse = grid_errors(best + 1, truth, names, None)
    assert worse["skill"] < 0


def test_unseen_rows_alone() -> None:
    truth = np.array([[3.0], [100.0], [4.0]])
    prediction = np.array([[4.0], [0.0], [4.0]])
    unseen = np.array([True, False, True])
    found = grid_errors(prediction, truth, ["u"], unseen)
    assert found["L2RE_unseen"] == pytest.approx(1 / 5)
    assert found["L2RE"] > 0.9
    assert "L2RE_unseen" not in grid_errors(prediction, truth, ["u"], None)


def test_predictions_that_are_not_finite_give_errors_that_are_not() -> None:
    truth = np.ones((4, 1)) * [[1], [2], [3], [4]]
    for bad in (np.nan, np.inf):
        prediction = truth.copy()
        prediction[2] = bad
        found = grid_errors(prediction, truth, ["u"], np.array([True] * 4))
        assert not any(math.isfinite(value) for value in found.values())


def test_a_truth_that_is_constant_has_no_skill_and_one_of_zeros_no_relative_error() -> None:
    found = grid_errors(np.ones((3, 2)), np.array([[0.0, 2.0]] * 3), ["u", "v"], None)
    assert math.isnan(found["skillu"]) and math.isnan(found["skillv"])
    assert math.isnan(found["L2REu"]) and found["L2REv"] == pytest.approx(0.5)
    assert found["L2RE"] == pytest.approx(math.sqrt(6 / 12))


def test_errors_of_float32_predictions_are_summed_in_float64() -> None:
    truth = np.full((100_000, 1), 1000.0)
    prediction = (truth + 0.25).astype(np.float32)
    assert grid_errors(prediction, truth, ["u"], None)["MSE"] == pytest.approx(0.0625, rel=1e-12)


# --- loss terms -------------------------------------------------------------------------------


@pytest.mark.parametrize("problem", BUILT_IN)
def test_names_and_totals_of_the_loss_terms(problem: str) -> None:
    built = task(problem)
    before = built.evaluate().metrics
    names = {"loss", *TERMS[problem]}
    errors = {f"{e}{o}" for e in ERRORS for o in ("", *get_problem(problem).outputs)}
    if len(get_problem(problem).outputs) == 1:
        errors = set(ERRORS)
    rest = {name for name in before if name not in errors and not name.startswith("heldout_")}
    assert rest - {"L2RE_unseen"} == names
    for step in (before, {k: float(v) for k, v in built.step().items()}):
        assert names <= set(step)
        for total in ("Lf", "LIC", "LBC", "Ldata"):
            parts = [k for k in TERMS[problem] if k.startswith(total) and k != total]
            if parts:
                assert step[total] == pytest.approx(sum(step[k] for k in parts), rel=1e-12)
        totals = [step[k] for k in ("Lf", "LIC", "LBC", "Ldata") if k in step]
        assert step["loss"] == pytest.approx(sum(totals), rel=1e-12)
    weighted = {name for name in before if built.unit(name) == "weighted"}
    assert weighted == {"loss", "heldout_loss"}
    assert {built.unit(name) for name in set(before) - weighted} == {"1"}


@pytest.mark.parametrize("problem", BUILT_IN)
def test_the_tables_columns_are_metrics(problem: str) -> None:
    metrics = task(problem).evaluate().metrics
    shown = SUITE.columns(problem)
    columns = [*shown.main, *shown.further]
    assert columns[0] == "L2RE" and set(shown.scores) <= set(columns)
    labels = {"L2RE_unseen", *(name for name in columns if name.startswith("Ldata"))}
    assert set(columns) - labels <= set(metrics)
    supervised = task(problem, supervised=0.1).evaluate().metrics
    new = {name for name in supervised.keys() - metrics if not name.startswith("heldout_")}
    assert set(columns) & labels == new | (labels & set(metrics))
    assert len(columns) == len(set(columns))


def test_an_equation_s_loss_is_squared_alone() -> None:
    """Lf of a system is no squared sum, in which residuals could cancel."""
    built = task("compressible-flow-1d")
    metrics = built.evaluate().metrics
    data = built.data
    inputs = torch.tensor(data.train_x, requires_grad=True)
    found = data.pde(inputs, built.net(inputs))
    rows = slice(sum(data.num_bcs), None)
    squares = [float(residual[rows].detach().square().mean()) for residual in found]
    names = ["Lf_mass", "Lf_momentum", "Lf_energy"]
    assert [metrics[name] for name in names] == pytest.approx(squares, rel=1e-12)


# --- held-out loss and supervised points ------------------------------------------------------


def test_the_held_out_loss_has_other_points_and_no_labels() -> None:
    built = task("diffusion-reaction-2d")
    result = built.evaluate()
    held_out = {n.removeprefix("heldout_") for n in result.metrics if n.startswith("heldout_")}
    names = {"Lf_u", "Lf_v", "LICu", "LICv", "LBCu", "LBCv"}
    labels = {"Ldata", "Ldatau", "Ldatav"}
    assert held_out == {"loss", "Lf", "LIC", "LBC", *names, *labels}
    terms = [result.metrics[f"heldout_{name}"] for name in names]
    assert result.metrics["heldout_loss"] == pytest.approx(sum(terms))
    for name in ("Lf_u", "LICu", "LBCv", "Ldatau"):
        assert result.metrics[f"heldout_{name}"] != result.metrics[name]


@pytest.mark.parametrize("fraction", [0.01, 0.2])
@pytest.mark.parametrize("problem", ["advection-1d", "shallow-water-2d"])
def test_supervised_points_are_points_of_the_grid(problem: str, fraction: float) -> None:
    built = task(problem, supervised=fraction)
    reference = built.truth.reference
    grid, targets = reference.points(), reference.targets()
    labels = built.supervised
    assert len(labels.rows) == int(fraction * len(grid))
    assert len(np.unique(labels.rows)) == len(labels.rows)
    np.testing.assert_array_equal(labels.points, grid[labels.rows])
    np.testing.assert_array_equal(labels.values, targets[labels.rows])
    # Drawn from all of it, not from one end.
    assert labels.rows[0] < 0.25 * len(grid) and labels.rows[-1] > 0.75 * len(grid)
    assert built.description["supervised_points"] == len(labels.rows)
    prediction = built.predict()
    metrics = built.evaluate().metrics
    for k, output in enumerate(built.problem.outputs):
        name = "Ldata" if len(built.problem.outputs) == 1 else f"Ldata{output}"
        error = prediction[labels.rows, k] - targets[labels.rows, k]
        assert metrics[name] == pytest.approx(float(np.mean(error**2)), rel=1e-10)
    others = np.setdiff1d(np.arange(len(grid)), [*labels.rows, *built.labels.heldout.rows])
    error, exact = prediction[others] - targets[others], targets[others]
    wanted = np.linalg.norm(error) / np.linalg.norm(exact)
    assert metrics["L2RE_unseen"] == pytest.approx(float(wanted), rel=1e-10)
    assert metrics["L2RE_unseen"] != metrics["L2RE"]
    assert any("L2RE_unseen" in text for text in built.diagnose().warnings)


@pytest.mark.parametrize("problem", ["diffusion-reaction-2d", "diffusion-sorption-1d"])
def test_no_supervised_points_on_request(problem: str) -> None:
    built = task(problem, supervised=0.0)
    assert built.supervised is None
    assert built.description["supervised_points"] == 0
    metrics = built.evaluate().metrics
    assert not any("data" in name or "unseen" in name for name in metrics)
    assert not any("labels" in text for text in built.diagnose().warnings)


@pytest.mark.parametrize(
    ("problem", "fraction"),
    [
        ("advection-1d", 0.0),
        ("compressible-flow-1d", 0.0),
        ("diffusion-reaction-2d", 0.3),
        ("diffusion-sorption-1d", 0.3),
        ("shallow-water-2d", 0.3),
    ],
)
def test_published_supervision(problem: str, fraction: float) -> None:
    assert specify(problem, budget="paper").settings["supervised"]["fraction"] == fraction
    assert specify(problem, budget="paper").settings["supervised"]["most"] is None
    quick = specify(problem, budget="quick").settings["supervised"]
    assert quick["fraction"] == fraction
    assert (quick["most"] or 0) <= 1000
    assert bool(quick["most"]) == ("heldout" in quick) == bool(fraction)
    # What is asked for is meant, whatever the budget's ceiling.
    asked = specify(problem, budget="quick", supervised=0.5).settings["supervised"]
    assert asked == {"fraction": 0.5, "most": None, "heldout": 0.2}


@pytest.mark.parametrize("fraction", [-0.1, 1.0, 7.0, math.nan])
def test_a_fraction_that_is_none_is_refused(fraction: float) -> None:
    with pytest.raises(BadInput, match="--supervised"):
        specify("advection-1d", supervised=fraction)


# --- how well the truth is known --------------------------------------------------------------


def test_a_truth_that_is_hardly_better_than_the_prediction_is_warned_of() -> None:
    built = task("compressible-flow-1d")
    metrics = built.evaluate().metrics
    reference = built.truth.reference
    fine = tuple(metrics[f"L2RE{name}"] / 11 for name in "dvp")
    built.score.truth = replace(built.truth, reference=replace(reference, error=fine))
    assert not any("only known" in text for text in built.diagnose().warnings)
    coarse = (fine[0], metrics["L2REv"] / 9, fine[2])
    built.score.truth = replace(built.truth, reference=replace(reference, error=coarse))
    (warning,) = (text for text in built.diagnose().warnings if "only known" in text)
    assert "of v " in warning and f"{coarse[1]:.1e}" in warning


def test_a_truth_without_an_error_estimate_is_warned_of() -> None:
    built = task("advection-1d")
    assert not any("error estimate" in text for text in built.diagnose().warnings)
    built.score.truth = replace(built.truth, reference=replace(built.truth.reference, error=None))
    assert any("no error estimate" in text for text in built.diagnose().warnings)


def test_the_prediction_is_compared_on_the_whole_grid_and_every_output() -> None:
    built = task("shallow-water-2d", supervised=0.0)
    reference = built.truth.reference
    prediction = built.predict()
    assert prediction.shape == (math.prod(reference.shape), 3)
    metrics = built.evaluate().metrics
    error = prediction - reference.targets()
    assert metrics["MSE"] == pytest.approx(float(np.mean(error**2)), rel=1e-12)
    for k, name in enumerate("huv"):
        assert metrics[f"MSE{name}"] == pytest.approx(float(np.mean(error[:, k] ** 2)), rel=1e-12)
    with torch.no_grad():
        built.net.linears[-1].weight.zero_()
        built.net.linears[-1].bias.copy_(torch.tensor([2.0, 0.0, 0.0], dtype=torch.float64))
    np.testing.assert_allclose(built.predict(), np.broadcast_to([2.0, 0, 0], prediction.shape))
