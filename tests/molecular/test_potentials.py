"""Every model under its published activation and under IReLU keeps the contract of a potential."""

from __future__ import annotations

import pytest

from suites.molecular.models.catalogue import ARCHITECTURES
from suites.molecular.testing import potential_contract
from suites.molecular.testing.geometries import FRAMES, rattled
from suites.molecular.testing.subjects import evaluate, make_potential

CUTOFF = 3.5
#: As published, and under IReLU.
ARMS = ("baseline", "irelu")
#: Those that promise everything.
PLAIN = ("schnet", "painn", "dimenet++")
#: What these add, batch norm subtracts.
BEFORE_BATCH_NORM = (
    "interactions.0.linear.bias",
    "interactions.1.linear.bias",
    "node_network.hidden.bias",
    "output_modules.0.network.hidden.bias",
)

TestPlain = potential_contract(*PLAIN, arms=ARMS)
TestSO3net = potential_contract(
    "so3net",
    arms=ARMS,
    # Coefficients of its tensor product and spherical harmonics are in float32.
    rotation_error=1e-6,
)
TestFieldSchNet = potential_contract(
    "field-schnet",
    arms=ARMS,
    # The dipoles after the last interaction interact with nothing.
    unused=("dipole_update.1.transform.electric_field.weight",),
    # The external field is 0.
    irrelevant=("f2out.electric_field.weight",),
)
# Published without an envelope, and with the mean over atoms.
TestCGCNN = potential_contract(
    "cgcnn", arms=ARMS, smooth=False, extensive=False, irrelevant=BEFORE_BATCH_NORM
)
TestCGCNNWithoutBatchNorm = potential_contract(
    "cgcnn", arms=["irelu+denorm"], smooth=False, extensive=False
)
TestForceNet = potential_contract("forcenet", arms=ARMS, irrelevant=BEFORE_BATCH_NORM)
TestForceNetWithoutBatchNorm = potential_contract("forcenet", arms=["irelu+denorm"])


def test_no_model_is_left_out() -> None:
    assert {*PLAIN, "so3net", "field-schnet", "cgcnn", "forcenet"} == ARCHITECTURES.keys()


@pytest.mark.parametrize("name", ["cgcnn", "forcenet"])
def test_batch_norm_mixes_frames_in_training_and_its_replacements_do_not(name: str) -> None:
    moved = [FRAMES[0], rattled(FRAMES[1], "moved"), *FRAMES[2:]]
    atoms = slice(0, len(FRAMES[0]))

    def change(normalization: str, training: bool) -> float:
        potential = make_potential(name, normalization, CUTOFF, drawn=True).train(training)
        _, before = evaluate(potential, FRAMES, CUTOFF)
        _, after = evaluate(potential, moved, CUTOFF)
        assert before[atoms].abs().max() > 1e-4
        return float((after - before)[atoms].abs().max() / before[atoms].abs().max())

    assert change("batchnorm", training=True) > 1e-3
    assert change("batchnorm", training=False) < 1e-12
    assert change("frozenbn", training=True) < 1e-12
    assert change("layernorm", training=True) < 1e-12
    assert change("denorm", training=True) < 1e-12
