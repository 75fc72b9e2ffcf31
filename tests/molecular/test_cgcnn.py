"""CGCNN: its equations, its sites, and what its batch norm and cutoff do.

What it shares with every potential is in test_potentials.py.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ase import Atoms
from schnetpack import properties
from schnetpack.atomistic import Forces, PairwiseDistances
from schnetpack.model import NeuralNetworkPotential
from schnetpack.nn import GaussianRBF
from torch import nn

from bench.spec.randomness import global_streams
from bench.techniques.normalization import Normalization
from suites.molecular.models.cgcnn import CGCNN, CGCNNReadout
from suites.molecular.models.hooks import activation_sites
from suites.molecular.testing.geometries import CPU, FRAMES, LONELY, METHANOL, batch_of
from suites.molecular.testing.subjects import evaluate, relative_change

FEATURES, INTERACTIONS, LAYERS, N_RBF, CUTOFF = 16, 2, 2, 12, 3.5


def potential(normalization: Normalization = nn.BatchNorm1d) -> NeuralNetworkPotential:
    """A CGCNN in float64, in training mode."""
    with global_streams(0, CPU):
        model = NeuralNetworkPotential(
            CGCNN(FEATURES, INTERACTIONS, GaussianRBF(N_RBF, CUTOFF), CUTOFF, normalization),
            input_modules=[PairwiseDistances()],
            output_modules=[CGCNNReadout(FEATURES, FEATURES, LAYERS), Forces()],
            input_dtype_str="float64",
        )
    return model.to(torch.float64)


def test_energy_is_that_of_the_published_equations() -> None:
    model = potential(nn.Identity).eval()
    inputs = batch_of([METHANOL], CUTOFF)
    weights = {name: value.numpy() for name, value in model.state_dict().items()}

    def dense(path: str, x: np.ndarray) -> np.ndarray:
        return x @ weights[f"{path}.weight"].T + weights[f"{path}.bias"]

    def softplus(x: np.ndarray) -> np.ndarray:
        return np.log1p(np.exp(x))

    spacing = CUTOFF / (N_RBF - 1)
    x = weights["representation.embedding.weight"][METHANOL.numbers]
    for block in range(INTERACTIONS):
        path = f"representation.interactions.{block}"
        received = np.zeros_like(x)
        for i, j in zip(inputs[properties.idx_i], inputs[properties.idx_j], strict=True):
            d = np.linalg.norm(METHANOL.positions[j] - METHANOL.positions[i])
            e = np.exp(-0.5 * ((d - spacing * np.arange(N_RBF)) / spacing) ** 2)
            z = dense(f"{path}.linear", np.concatenate([x[i], x[j], e]))
            received[i] += softplus(z[FEATURES:]) / (1 + np.exp(-z[:FEATURES]))
        deviation = received - received.mean(axis=1, keepdims=True)
        x = softplus(x + deviation / np.sqrt((deviation**2).mean(axis=1, keepdims=True) + 1e-5))
    y = x.mean(axis=0)
    for layer in range(LAYERS):
        y = softplus(dense(f"output_modules.0.hidden.{layer}", y))
    expected = torch.tensor(dense("output_modules.0.linear", y))

    # The Gaussians' buffers come from float32.
    assert relative_change(evaluate(model, [METHANOL], CUTOFF)[0], expected) <= 1e-6


def test_activation_sites_and_normalisation_layers() -> None:
    model = potential()

    assert set(activation_sites(model)) == {
        *(
            f"representation.interactions.{block}.{site}_nonlinearity"
            for block in range(INTERACTIONS)
            for site in ("message", "update")
        ),
        *(f"output_modules.0.hidden.{layer}" for layer in range(LAYERS)),
    }
    norms = {path for path, m in model.named_modules() if isinstance(m, nn.BatchNorm1d)}
    assert norms == {f"representation.interactions.{block}.norm" for block in range(INTERACTIONS)}


def test_a_batch_without_pairs_leaves_the_running_statistics() -> None:
    model = potential()
    evaluate(model, [LONELY], CUTOFF)

    norm = model.representation.interactions[0].norm
    assert (norm.running_mean == 0).all()
    assert (norm.running_var == 1).all()


def test_energy_jumps_at_the_cutoff() -> None:
    # Documented: the published form has no envelope.
    model = potential()
    for _ in range(20):
        evaluate(model, FRAMES, CUTOFF)  # running statistics
    model.eval()

    def jump(distance: float) -> float:
        sides = [
            Atoms("CO", positions=[[0.0, 0.0, 0.0], [CUTOFF + side * distance, 0.0, 0.0]])
            for side in (-1, 1)
        ]
        energies, _ = evaluate(model, sides, CUTOFF)
        return float((energies[1] - energies[0]).abs())

    assert jump(1e-8) > 1e-3
    assert jump(1e-8) == pytest.approx(jump(1e-6), rel=1e-3)
