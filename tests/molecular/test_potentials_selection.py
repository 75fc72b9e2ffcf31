"""The loss by which the states and settings of a potential are selected."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from molecular_specs import run, specify, task
from strained import write_strained

from suites.molecular.scoring import Predicted
from suites.molecular.task import MolecularTask

OWN = ("--energy-unit", "eV", "--split", "random", "--steps", "4")
ARMS = [
    *("rescale=100", "rescale=auto", "rescale-weights=100", "rescale-weights=auto"),
    *("offset", "no-offset", "standardize", "no-offset+rescale-weights=1e4"),
    *("irelu+featurewise", "frozenbn", "layernorm+rescale=0.01"),
]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Frames with energies, forces and stresses."""
    path: Path = tmp_path_factory.mktemp("strained") / "strained.extxyz"
    write_strained(path)
    return str(path)


def predict_the_same(built: MolecularTask, test_error: float = 0.3) -> None:
    """Whatever the network is, let it predict labels with errors that are known."""

    def predict(part: str) -> Predicted:
        frames = built.parts[part]
        error = test_error if part == "test" else 0.3
        energies = frames.energies + error * np.cos(np.arange(len(frames)))
        forces = frames.forces + error * np.sin(np.arange(frames.forces.size)).reshape(-1, 3)
        stresses = None if frames.stresses is None else frames.stresses + error
        return Predicted(energies, forces, stresses)

    built.scoring.predict = predict  # type: ignore[method-assign]


def by_hand(built: MolecularTask, weights: tuple[float, float], power: int) -> float:
    """Of the validation frames and the errors of `predict_the_same`."""
    frames = built.parts["val"]
    energy = np.abs(0.3 * np.cos(np.arange(len(frames)))) ** power
    force = np.abs(0.3 * np.sin(np.arange(frames.forces.size))) ** power
    return float(weights[0] * energy.mean() + weights[1] * force.mean())


@pytest.mark.parametrize("arm", ["baseline", *ARMS])
@pytest.mark.parametrize(
    ("protocol", "weights", "power"), [("standard", (0.01, 0.99), 2), ("paper", (1.0, 30.0), 1)]
)
def test_the_same_predictions_have_the_same_selection_under_every_technique(
    protocol: str, weights: tuple[float, float], power: int, arm: str
) -> None:
    built = task("schnet:8x1", arm, "--protocol", protocol)
    predict_the_same(built)
    assert built.evaluate().selection == pytest.approx(by_hand(built, weights, power), rel=1e-9)
    assert built.unit("selection") == "weighted"


def test_the_weights_of_a_rescaling_are_in_what_is_minimised_alone() -> None:
    """The network of the control is the baseline's, and so is what it is selected by."""
    plain, control = task("schnet:8x1", "rescale=1"), task("schnet:8x1", "rescale-weights=100")
    one, other = plain.evaluate(), control.evaluate()
    assert other.selection == one.selection
    assert float(control.step()["loss"]) == pytest.approx(float(plain.step()["loss"]) / 1e4)


@pytest.mark.parametrize("weight", ["0.5", "100"])
def test_the_weight_of_stresses_does_not_select(file: str, weight: str) -> None:
    plain = task("schnet:8x2", "baseline", *OWN, problem=file)
    built = task("schnet:8x2", "baseline", *OWN, "--stress-weight", weight, problem=file)
    for one in (plain, built):
        predict_the_same(one)
    wanted, found = plain.evaluate(), built.evaluate()
    assert found.selection == wanted.selection == pytest.approx(by_hand(built, (0.01, 0.99), 2))
    assert found.metrics["heldout_loss"] > wanted.metrics["heldout_loss"]


def test_test_frames_do_not_select() -> None:
    built = task("schnet:8x1")
    predict_the_same(built)
    before = built.evaluate()
    predict_the_same(built, test_error=50.0)
    after = built.evaluate()
    assert after.metrics["MAE_F"] > 100 * before.metrics["MAE_F"]
    assert after.selection == before.selection
    frames = built.split
    assert not np.intersect1d(frames.val, [*frames.test, *frames.train]).size


def test_a_record_has_the_selection(tmp_path: Path) -> None:
    record = run(tmp_path, "schnet:8x1")
    assert record.spec.hash == specify("schnet:8x1").hash
    assert record.metrics["selection"] == record.metrics["heldout_loss"]
    assert record.units["selection"] == "weighted"
