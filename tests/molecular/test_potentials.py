"""Every model under its published activation and under IReLU keeps the contracts of a potential."""

from __future__ import annotations

import copy
import functools

import pytest
import torch
from potential_contract import (
    CPU,
    FRAMES,
    SYMMETRIC,
    BatchingContract,
    DoubleBackwardContract,
    DtypeContract,
    ForceContract,
    InvarianceContract,
    PeriodicContract,
    SmoothnessContract,
    StateContract,
    Subject,
    enliven,
    evaluate,
    rattled,
)
from schnetpack.model import NeuralNetworkPotential

from bench.spec.randomness import global_streams
from suites.molecular.models.catalogue import ARCHITECTURES, Model, Size
from suites.molecular.models.potential import build_potential

CUTOFF = 3.5
SIZE = Size(16, 2, n_rbf=6, cutoff=CUTOFF, n_filters=8)

#: Published without an envelope.
ABRUPT = ("cgcnn",)
INTENSIVE = ("cgcnn",)
#: Coefficients of its tensor product and spherical harmonics are in float32.
SINGLE_PRECISION_TABLES = ("so3net",)
#: The dipoles after the last interaction interact with nothing.
UNUSED = {"field-schnet": ("dipole_update.1.transform.electric_field.weight",)}
#: The external field is 0.
ZERO_FIELD = ("f2out.electric_field.weight",)
#: What these add, batch norm subtracts.
BEFORE_BATCH_NORM = (
    "interactions.0.linear.bias",
    "interactions.1.linear.bias",
    "node_network.hidden.bias",
    "output_modules.0.network.hidden.bias",
)


@functools.cache
def lively(name: str, activation: str, normalization: str) -> NeuralNetworkPotential:
    """A small potential in float64 whose layers all matter; not to be changed."""
    with global_streams(0, CPU):
        potential = build_potential(
            Model(name, SIZE, published={}), activation, normalization, "all", torch.float64
        )
    enliven(potential, [*FRAMES, *SYMMETRIC], CUTOFF)
    return potential


#: Name, activation and normalisation of what is tested.
Case = tuple[str, str, str]


def cases(*without: str) -> list[Case]:
    """Every model as published and under IReLU, and denormalised where there is batch norm."""
    found = []
    for name, published in ARCHITECTURES.items():
        if name in without:
            continue
        found.append((name, published.activation, published.normalization))
        found.append((name, "irelu", published.normalization))
        if published.normalization == "batchnorm":
            found.append((name, "irelu", "denorm"))
    return found


def subject_of(name: str, activation: str, normalization: str) -> Subject:
    irrelevant = ZERO_FIELD if name == "field-schnet" else ()
    return Subject(
        copy.deepcopy(lively(name, activation, normalization)),
        CUTOFF,
        extensive=name not in INTENSIVE,
        rotation_error=1e-6 if name in SINGLE_PRECISION_TABLES else 1e-10,
        unused=UNUSED.get(name, ()),
        irrelevant=BEFORE_BATCH_NORM if normalization == "batchnorm" else irrelevant,
    )


class TestEveryPotential(
    ForceContract,
    InvarianceContract,
    BatchingContract,
    PeriodicContract,
    DoubleBackwardContract,
    DtypeContract,
    StateContract,
):
    @pytest.fixture(params=cases(), ids="-".join)
    def subject(self, request: pytest.FixtureRequest) -> Subject:
        return subject_of(*request.param)


class TestPotentialsWithAnEnvelope(SmoothnessContract):
    @pytest.fixture(params=cases(*ABRUPT), ids="-".join)
    def subject(self, request: pytest.FixtureRequest) -> Subject:
        return subject_of(*request.param)


@pytest.mark.parametrize("name", ["cgcnn", "forcenet"])
def test_batch_norm_mixes_frames_in_training_and_its_replacements_do_not(name: str) -> None:
    moved = [FRAMES[0], rattled(FRAMES[1], "moved"), *FRAMES[2:]]
    atoms = slice(0, len(FRAMES[0]))

    def change(normalization: str, training: bool) -> float:
        published = ARCHITECTURES[name].activation
        potential = copy.deepcopy(lively(name, published, normalization)).train(training)
        _, before = evaluate(potential, FRAMES, CUTOFF)
        _, after = evaluate(potential, moved, CUTOFF)
        assert before[atoms].abs().max() > 1e-4
        return float((after - before)[atoms].abs().max() / before[atoms].abs().max())

    assert change("batchnorm", training=True) > 1e-3
    assert change("batchnorm", training=False) < 1e-12
    assert change("frozenbn", training=True) < 1e-12
    assert change("layernorm", training=True) < 1e-12
    assert change("denorm", training=True) < 1e-12
