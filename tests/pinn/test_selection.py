"""The loss by which states and settings are selected, and the labels that are held out for it."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import inverse_problems
import numpy as np
import pinn_specs
import pytest
import torch
from msgspec.structs import replace

from bench.arm import Arm
from bench.spec.spec import Spec
from bench.spec.training_options import TrainingOptions
from bench.task import Request
from bench.text.errors import BadInput
from suites.pinn.options import PINNOptions
from suites.pinn.problems.truth import Truth
from suites.pinn.reference.reference import ScatteredReference
from suites.pinn.suite import SUITE
from suites.pinn.supervision import draw_labels
from suites.pinn.task import PINNTask, build

CPU = torch.device("cpu")
LABELLED = ["diffusion-sorption-1d", "shallow-water-2d"]

specify = partial(pinn_specs.specify, model="fnn:8x2")
task = partial(pinn_specs.task, model="fnn:8x2")


def without_heldout(spec: Spec) -> Spec:
    """The spec as it was before labels were held out."""
    supervised = {k: v for k, v in spec.settings["supervised"].items() if k != "heldout"}
    return replace(spec, settings={**spec.settings, "supervised": supervised})


def scattered(count: int) -> Truth:
    """A truth at so many points."""
    points = np.arange(count, dtype=float)[:, None]
    return Truth(ScatteredReference(points, points**2, "exact"), None, (0,))


# --- which labels are held out --------------------------------------------------------------------


@pytest.mark.parametrize("problem", LABELLED)
@pytest.mark.parametrize("seed", [0, 1])
def test_held_out_labels_are_other_points_of_the_grid(problem: str, seed: int) -> None:
    built = task(problem, supervised=0.05, seed=seed)
    training, heldout = built.labels.training, built.labels.heldout
    assert not np.intersect1d(training.rows, heldout.rows).size
    assert len(heldout.rows) == round(0.2 * len(training.rows)) == len(np.unique(heldout.rows))
    reference = built.truth.reference
    np.testing.assert_array_equal(heldout.points, reference.points()[heldout.rows])
    np.testing.assert_array_equal(heldout.values, reference.targets()[heldout.rows])
    assert built.description["heldout_labels"] == len(heldout.rows)
    # Drawn from all of it, and anew for every seed.
    assert heldout.rows[0] < 0.5 * len(reference.points()) < heldout.rows[-1]
    other = task(problem, supervised=0.05, seed=seed + 1).labels.heldout
    assert not np.array_equal(heldout.rows, other.rows)


@pytest.mark.parametrize("problem", LABELLED)
def test_held_out_labels_change_nothing_of_training(problem: str) -> None:
    spec = specify(problem, "rescale=auto", supervised=0.05)
    built, before = build(spec, CPU), build(without_heldout(spec), CPU)
    np.testing.assert_array_equal(built.supervised.rows, before.supervised.rows)
    np.testing.assert_array_equal(built.data.train_x, before.data.train_x)
    assert [one.describe() for one in built.scales] == [one.describe() for one in before.scales]
    for _ in range(3):
        mine, other = built.step(), before.step()
        assert {k: float(v) for k, v in mine.items()} == {k: float(v) for k, v in other.items()}
    found, wanted = built.evaluate().metrics, before.evaluate().metrics
    assert before.labels.heldout is None and not any("heldout_Ldata" in name for name in wanted)
    assert "heldout_labels" not in before.description
    kept = {name for name in wanted if "L2RE" not in name and not name.startswith(("MSE", "max_"))}
    for name in kept - {"skill"} - {f"skill{output}" for output in built.problem.outputs}:
        # A batch of other rows may round otherwise.
        assert found[name] == pytest.approx(wanted[name], rel=1e-10), name


@pytest.mark.parametrize(
    ("grid", "fraction", "most", "training", "heldout"),
    [
        (1000, 0.3, None, 300, 60),
        (1000, 0.3, 50, 50, 10),
        (1000, 0.3, 8, 8, 2),
        (1000, 0.3, 1, 1, 1),
        # Half of what is left stays for the scores.
        (1000, 0.9, None, 900, 50),
        (10, 0.8, None, 8, 1),
    ],
)
def test_there_is_a_fifth_of_the_labels_at_least_one_and_scores_are_left(
    grid: int, fraction: float, most: int | None, training: int, heldout: int
) -> None:
    asked = {"fraction": fraction, "most": most, "heldout": 0.2}
    labels = draw_labels(scattered(grid), asked, seed=3)
    assert (len(labels.training.rows), len(labels.heldout.rows)) == (training, heldout)


def test_labels_that_leave_nothing_to_hold_out_are_refused() -> None:
    asked = {"fraction": 0.9, "most": None, "heldout": 0.2}
    with pytest.raises(BadInput, match=r"--supervised 0.9 makes labels of 9 of the 10 points"):
        draw_labels(scattered(10), asked, seed=0)


@pytest.mark.parametrize("problem", LABELLED)
def test_no_score_counts_a_held_out_label(problem: str) -> None:
    built = task(problem, supervised=0.05)
    before, rows = built.evaluate(), built.labels.heldout.rows
    scores = {k: v for k, v in before.metrics.items() if k.startswith(("MSE", "L2RE", "max", "sk"))}
    built.score.targets = built.score.targets.copy()
    built.score.targets[rows] += 1e3
    after = built.evaluate()
    assert {name: after.metrics[name] for name in scores} == scores
    assert after.selection == before.selection
    # As every other point is: by hand, and all of them change with one.
    others = np.setdiff1d(np.arange(len(built.score.targets)), rows)
    error = (built.predict() - built.score.targets)[others]
    assert scores["MSE"] == pytest.approx(float(np.mean(error**2)), rel=1e-12)
    built.score.targets[others[0]] += 1e3
    again = built.evaluate().metrics
    assert all(again[name] != value for name, value in scores.items() if "unseen" not in name)
    (warning,) = (text for text in built.diagnose().warnings if "L2RE_unseen" in text)
    assert f"{len(rows)} more are held-out labels" in warning


# --- what the selection is ------------------------------------------------------------------------


@pytest.mark.parametrize("problem", LABELLED)
def test_the_selection_is_the_sum_of_held_out_terms_of_points_and_labels(problem: str) -> None:
    built = task(problem, "rescale=10", supervised=0.05, protocol="standard")
    result, labels = built.evaluate(), built.labels.heldout
    prediction, outputs = built.predict()[labels.rows], built.problem.outputs
    squares = np.mean((prediction - labels.values) ** 2, axis=0)
    for k, output in enumerate(outputs):
        name = "heldout_Ldata" if len(outputs) == 1 else f"heldout_Ldata{output}"
        assert result.metrics[name] == pytest.approx(squares[k], rel=1e-10)
    # Of sorption the residual is declared in another unit of time; the others have weights of 1.
    unit = built.problem.weights.get("Lf", 1.0)
    assert (unit != 1) == (problem == "diffusion-sorption-1d")
    kinds = [result.metrics[f"heldout_{total}"] for total in ("Lf", "LIC", "LBC")]
    expected = unit * kinds[0] + sum(kinds[1:]) + sum(squares)
    assert result.selection == pytest.approx(expected, rel=1e-10)
    assert built.unit("selection") == "1"


@pytest.mark.parametrize("protocol", ["paper", "standard"])
def test_the_declared_units_select_under_every_protocol(protocol: str) -> None:
    one = task("diffusion-sorption-1d", protocol=protocol, supervised=0.0).evaluate()
    kinds = [one.metrics[f"heldout_{total}"] for total in ("Lf", "LIC", "LBC")]
    expected = 250.0**2 * kinds[0] + sum(kinds[1:])
    assert one.selection == pytest.approx(expected, rel=1e-10)


def test_without_labels_it_is_the_sum_over_points() -> None:
    result = task("advection-1d", weights=["Lf=5"]).evaluate()
    kinds = [result.metrics[f"heldout_{total}"] for total in ("Lf", "LIC", "LBC")]
    assert result.selection == pytest.approx(sum(kinds), rel=1e-12)
    assert result.metrics["heldout_loss"] == pytest.approx(sum(kinds) + 4 * kinds[0], rel=1e-12)


@pytest.mark.parametrize("weights", [["Lf=1"], ["LIC=7", "Ldata=100"], ["Ldata=1e-6"]])
def test_weights_do_not_select(weights: list[str]) -> None:
    """The user's take no part; the problem's own units always do."""
    given = {"protocol": "standard", "supervised": 0.05}
    plain = task("diffusion-sorption-1d", **given)
    weighted = task("diffusion-sorption-1d", weights=weights, **given)
    one, other = plain.evaluate(), weighted.evaluate()
    assert other.selection == one.selection
    assert other.metrics["loss"] != one.metrics["loss"]


@pytest.mark.parametrize("arm", ["rescale-weights=100", "rescale-weights=auto"])
def test_the_weights_of_a_rescaling_do_not_select(arm: str) -> None:
    problem = "diffusion-sorption-1d"
    one = task(problem, supervised=0.05).evaluate()
    other = task(problem, arm, supervised=0.05).evaluate()
    assert other.selection == one.selection
    assert other.metrics["heldout_loss"] != one.metrics["heldout_loss"]


# --- inverse problems -----------------------------------------------------------------------------


def inverse(name: str) -> PINNTask:
    return pinn_specs.task(f"{inverse_problems.__name__}:{name}")


def test_the_truth_of_an_unknown_does_not_select() -> None:
    told, untold = inverse("MODULE"), inverse("UNDECLARED")
    for _ in range(3):
        told.step()
        untold.step()
    one, other = told.evaluate(), untold.evaluate()
    assert "error C" in one.metrics and "error C" not in other.metrics
    assert one.selection == other.selection


def test_a_problem_s_own_observations_select_at_their_own_points() -> None:
    """There are no others: its factory gives the same for training and for the held-out data."""
    metrics = (built := inverse("MODULE")).evaluate().metrics
    assert metrics["heldout_Ldata"] == metrics["Ldata"]
    kinds = [metrics[f"heldout_{total}"] for total in ("Lf", "LBC", "Ldata")]
    assert built.evaluate().selection == pytest.approx(sum(kinds), rel=1e-12)


# --- runs and their names -------------------------------------------------------------------------


def test_runs_without_labels_keep_their_names() -> None:
    """`make bench` ends in this one."""
    spec = SUITE.specify(
        Request(
            *("shallow-water-2d", "fnn", Arm.parse("irelu+featurewise"), 0, "short"),
            *("cpu", "float32", TrainingOptions(), PINNOptions()),
        )
    )
    assert spec.hash.startswith("4ebf416e")
    assert spec.settings["supervised"] == {"fraction": 0.0, "most": None}


def test_runs_with_labels_have_another_name_than_before() -> None:
    spec = specify("diffusion-sorption-1d", supervised=0.05)
    assert spec.hash != without_heldout(spec).hash


def test_a_record_has_the_selection_of_its_best_and_last_state(tmp_path: Path) -> None:
    record = pinn_specs.run(tmp_path, "diffusion-sorption-1d", model="fnn:8x2", supervised=0.05)
    rows, found = record.history["selection"], record.metrics["selection"]
    assert (found.final, found.best) == (rows[-1], min(rows))
    assert record.units["selection"] == "1"
    assert record.best_step == record.history["step"][rows.index(min(rows))]
