"""ForceNet-style potential: its equations, its sites, and what its batch norm refuses.

What it shares with every potential is in test_potentials.py.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ase.data import covalent_radii
from schnetpack import properties
from schnetpack.atomistic import Forces, PairwiseDistances
from schnetpack.model import NeuralNetworkPotential
from schnetpack.nn import CosineCutoff, GaussianRBF
from torch import nn

from bench.spec.randomness import global_streams
from bench.techniques.normalization import Normalization
from suites.molecular.models.forcenet import ForceNet, ForceNetDecoder
from suites.molecular.models.hooks import activation_sites
from suites.molecular.testing.geometries import CPU, LONELY, METHANOL, batch_of
from suites.molecular.testing.subjects import evaluate, relative_change

FEATURES, INTERACTIONS, N_RBF, CUTOFF = 16, 2, 12, 3.5


def potential(normalization: Normalization = nn.BatchNorm1d) -> NeuralNetworkPotential:
    """A ForceNet in float64, in training mode."""
    with global_streams(0, CPU):
        model = NeuralNetworkPotential(
            ForceNet(
                FEATURES,
                INTERACTIONS,
                GaussianRBF(N_RBF, CUTOFF),
                CosineCutoff(CUTOFF),
                normalization,
            ),
            input_modules=[PairwiseDistances()],
            output_modules=[ForceNetDecoder(FEATURES, normalization), Forces()],
            input_dtype_str="float64",
        )
    return model.to(torch.float64)


def test_energy_is_that_of_the_stated_equations() -> None:
    model = potential(nn.Identity).eval()
    inputs = batch_of([METHANOL], CUTOFF)
    weights = {name: value.numpy() for name, value in model.state_dict().items()}

    def dense(path: str, x: np.ndarray) -> np.ndarray:
        return x @ weights[f"{path}.weight"].T + weights[f"{path}.bias"]

    def swish(x: np.ndarray) -> np.ndarray:
        return x / (1 + np.exp(-x))

    def gaussians(d: float) -> np.ndarray:
        spacing = CUTOFF / (N_RBF - 1)
        return np.exp(-0.5 * ((d - spacing * np.arange(N_RBF)) / spacing) ** 2)

    radii = covalent_radii[METHANOL.numbers]
    h = weights["representation.embedding.weight"][METHANOL.numbers]
    for block in range(INTERACTIONS):
        path = f"representation.interactions.{block}"
        x = dense(f"{path}.linear", h)
        m = weights[f"{path}.self_weight"] * x
        for i, j in zip(inputs[properties.idx_i], inputs[properties.idx_j], strict=True):
            d = np.linalg.norm(METHANOL.positions[j] - METHANOL.positions[i])
            shifts = (0.0, radii[i], radii[j], radii[i] + radii[j])
            e = np.concatenate([gaussians(d - shift) for shift in shifts])
            f = np.concatenate([dense(f"{path}.edge_linear", e), h[i], h[j]])
            f = swish(dense(f"{path}.filter_network.0", f))
            f = swish(dense(f"{path}.filter_network.1", f))
            f = dense(f"{path}.filter_network.2", f)
            m[i] += f * 0.5 * (1 + np.cos(np.pi * d / CUTOFF)) * x[j]
        m = swish(dense(f"{path}.node_network.hidden", m))
        h = h + dense(f"{path}.node_network.linear", m)
    h = swish(dense("representation.output", h))
    h = swish(dense("output_modules.0.network.hidden", h))
    expected = torch.tensor(dense("output_modules.0.network.linear", h).sum(axis=0))

    # The buffers of Gaussians and radii come from float32.
    assert relative_change(evaluate(model, [METHANOL], CUTOFF)[0], expected) <= 1e-5


def test_activation_sites_and_normalisation_layers() -> None:
    model = potential()
    interactions = [f"representation.interactions.{block}" for block in range(INTERACTIONS)]

    assert set(activation_sites(model)) == {
        *(f"{path}.filter_network.{layer}" for path in interactions for layer in (0, 1)),
        *(f"{path}.node_network.nonlinearity" for path in interactions),
        "representation.output",
        "output_modules.0.network.nonlinearity",
    }
    norms = {path for path, m in model.named_modules() if isinstance(m, nn.BatchNorm1d)}
    assert norms == {
        *(f"{path}.node_network.norm" for path in interactions),
        "output_modules.0.network.norm",
    }


def test_batch_norm_refuses_a_batch_of_one_atom_in_training() -> None:
    # Documented: one row has no variance.
    with pytest.raises(ValueError, match="more than 1 value"):
        evaluate(potential(), [LONELY], CUTOFF)
