"""DimeNet++: the library's model, triplets, sites, cutoff, atoms in a line.

What it shares with every potential is in test_potentials.py.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import molecule
from ase.neighborlist import neighbor_list
from schnetpack import properties
from schnetpack.atomistic import Forces, PairwiseDistances
from schnetpack.model import NeuralNetworkPotential
from scipy.special import spherical_jn
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from bench.spec.randomness import global_streams, numpy_generator
from bench.techniques.integrated import IReLU
from bench.text.errors import BadInput
from suites.molecular.models.dimenet import (
    DimeNetPlusPlus,
    DimeNetReadout,
    SphericalBasis,
    bessel_zeros,
    triplets,
)
from suites.molecular.models.hooks import activation_sites
from suites.molecular.testing.geometries import BRASS, CPU, METHANOL, batch_of
from suites.molecular.testing.subjects import evaluate, relative_change

HIDDEN, BLOCKS, INT_EMB, BASIS_EMB, OUT_EMB = 8, 2, 6, 4, 8
N_SPHERICAL, N_RADIAL, CUTOFF = 3, 2, 3.5

both_activations = pytest.mark.parametrize("activation", [None, IReLU])


def potential(activation: Callable[[], nn.Module] | None = None) -> NeuralNetworkPotential:
    """A DimeNet++ in float64; the published activation is left if none is given."""
    with global_streams(0, CPU):
        representation = DimeNetPlusPlus(
            HIDDEN,
            BLOCKS,
            CUTOFF,
            int_emb_size=INT_EMB,
            basis_emb_size=BASIS_EMB,
            num_spherical=N_SPHERICAL,
            num_radial=N_RADIAL,
        )
        readout = DimeNetReadout(
            HIDDEN,
            BLOCKS,
            num_radial=N_RADIAL,
            out_emb_channels=OUT_EMB,
            output_initializer="glorot_orthogonal",
        )
        model = NeuralNetworkPotential(
            representation,
            input_modules=[PairwiseDistances()],
            output_modules=[readout, Forces(energy_key="energy", force_key="forces")],
            input_dtype_str="float64",
        )
    for module in activation_sites(model).values():
        if activation is not None:
            module.activation = activation()
    return model.to(torch.float64)


def triplets_by_loop(i: np.ndarray, j: np.ndarray, shifts: np.ndarray) -> set[tuple[int, int]]:
    """Pairs of messages (j→i, k→j), by whole-number shifts of the images."""
    return {
        (ji, kj)
        for ji in range(len(i))
        for kj in range(len(i))
        if i[kj] == j[ji] and (j[kj] != i[ji] or (shifts[ji] + shifts[kj]).any())
    }


# --- the library's model ----------------------------------------------------------------------


def test_energy_and_forces_are_those_of_the_librarys_model(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from torch_geometric.nn.models import dimenet as library

    i, j, shifts = neighbor_list("ijS", METHANOL, CUTOFF)
    # What its model gets from compiled extensions, which are not installed.
    ji, kj = torch.tensor(sorted(triplets_by_loop(i, j, shifts))).T
    receiver, sender = torch.tensor(i), torch.tensor(j)
    ends = (receiver, sender, receiver[ji], sender[ji], sender[kj], kj, ji)
    monkeypatch.setattr(library, "radius_graph", lambda *_, **__: torch.stack([sender, receiver]))
    monkeypatch.setattr(library, "triplets", lambda *_, **__: ends)

    model = potential()
    reference = library.DimeNetPlusPlus(
        HIDDEN, 1, BLOCKS, INT_EMB, BASIS_EMB, OUT_EMB, N_SPHERICAL, N_RADIAL, CUTOFF
    ).double()
    own = {**model.representation.state_dict(), **model.output_modules[0].state_dict()}
    del own["cutoff"]
    own["embedding.emb.weight"] = own["embedding.emb.weight"][:95]
    renamed = {
        key.replace("radial_basis.", "rbf.").replace("embedding.", "emb."): value
        for key, value in own.items()
    }
    reference.load_state_dict(renamed)
    positions = torch.tensor(METHANOL.positions, requires_grad=True)
    expected = reference(torch.tensor(METHANOL.numbers), positions).sum()
    (gradient,) = torch.autograd.grad(expected, positions)

    energies, forces = evaluate(model, [METHANOL], CUTOFF)
    # The library's zeros of the Bessel functions are in float32.
    assert relative_change(energies, expected.detach().reshape(1)) <= 1e-6
    assert relative_change(forces, -gradient) <= 1e-5


def test_spherical_basis_is_the_published_one() -> None:
    envelope = potential().representation.spherical_basis.envelope
    basis = SphericalBasis(7, 6, 5.0, envelope).double()
    d = torch.linspace(0.7, 4.9, 9, dtype=torch.float64)
    cosine = torch.linspace(-1, 1, 9, dtype=torch.float64)
    found = basis(d, cosine, torch.arange(9)).reshape(9, 7, 6)

    x = d.numpy() / 5
    zeros = bessel_zeros(7, 6)
    for order in range(7):
        assert spherical_jn(order, zeros[order]) == pytest.approx(0, abs=1e-12)
        legendre = np.polynomial.legendre.Legendre.basis(order)(cosine.numpy())
        angular = np.sqrt((2 * order + 1) / (4 * np.pi)) * legendre
        for n, zero in enumerate(zeros[order]):
            norm = np.sqrt(2) / abs(spherical_jn(order + 1, zero))
            u = 1 / x - 28 * x**5 + 48 * x**6 - 21 * x**7
            expected = u * norm * spherical_jn(order, zero * x) * angular
            np.testing.assert_allclose(found[:, order, n], expected, rtol=1e-9, atol=1e-11)


def test_without_the_library_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "torch_geometric.nn.models.dimenet", None)
    with pytest.raises(BadInput, match="pip install torch_geometric"):
        DimeNetPlusPlus(HIDDEN, BLOCKS, CUTOFF)
    with pytest.raises(BadInput, match="pip install torch_geometric"):
        DimeNetReadout(HIDDEN, BLOCKS)


# --- triplets ---------------------------------------------------------------------------------


@pytest.mark.parametrize("atoms", [METHANOL, BRASS, molecule("CO2")])
@pytest.mark.parametrize("shuffled", [False, True])
def test_triplets_are_those_of_a_loop(atoms: Atoms, shuffled: bool) -> None:
    i, j, shifts, vectors = neighbor_list("ijSD", atoms, CUTOFF)
    if shuffled:
        order = numpy_generator(0, "pairs").permutation(len(i))
        i, j, shifts, vectors = i[order], j[order], shifts[order], vectors[order]
    ji, kj = triplets(torch.tensor(i), torch.tensor(j), torch.tensor(vectors), len(atoms))
    found = list(zip(ji.tolist(), kj.tolist(), strict=True))

    assert len(found) == len(set(found)) > 0
    assert set(found) == triplets_by_loop(i, j, shifts)
    assert (ji.diff() >= 0).all()


# --- activation sites -------------------------------------------------------------------------


class Called(TorchFunctionMode):
    """Counts the calls of SiLU."""

    silu = 0

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        self.silu += func is functional.silu
        return func(*args, **(kwargs or {}))


def test_activation_sites_hold_every_activation() -> None:
    model = potential()
    blocks = [f"representation.interaction_blocks.{block}.act" for block in range(BLOCKS)]
    outputs = [f"output_modules.0.output_blocks.{block}.act" for block in range(BLOCKS + 1)]
    assert list(activation_sites(model)) == ["representation.embedding.act", *blocks, *outputs]

    counts = []
    for replaced in ([], outputs, list(activation_sites(model))):
        for path in replaced:
            activation_sites(model)[path].activation = IReLU()
        with Called() as called:
            evaluate(model, [METHANOL], CUTOFF)
        counts.append(called.silu)
    # Embedding 2; an interaction block 5 of its own and 3 residual layers of 2; output 3.
    assert counts == [2 + 11 * BLOCKS + 3 * (BLOCKS + 1), 2 + 11 * BLOCKS, 0]


# --- the cutoff -------------------------------------------------------------------------------


def test_forces_and_their_slope_are_continuous_at_the_cutoff() -> None:
    model = potential().eval()

    def forces(distance: float) -> Tensor:
        # The third atom leaves the first one's neighbours, and stays the second one's.
        positions = [[0.0, 0.0, 0.0], [1.2, 0.5, 0.0], [distance, 0.0, 0.0]]
        return evaluate(model, [Atoms("COH", positions=positions)], CUTOFF)[1]

    step = 1e-4
    near = {k: forces(CUTOFF + k * step) for k in (-2, -1, 1, 2)}
    before, after = (near[-1] - near[-2]) / step, (near[2] - near[1]) / step
    scale = float(before.abs().max())

    assert scale > 1e-4
    # Over 3 steps, up to what the slope and its own change allow for.
    assert float((near[1] - near[-1] - 2 * step * before).abs().max()) < 1e-2 * step * scale
    assert float((after - before).abs().max()) < 1e-2 * scale


# --- atoms in a line --------------------------------------------------------------------------


@both_activations
def test_atoms_in_a_line(activation: Callable[[], nn.Module] | None) -> None:
    model = potential(activation)
    atoms = molecule("CO2")
    inputs = batch_of([atoms], CUTOFF)
    result = model(inputs)
    result["forces"].square().sum().backward(retain_graph=True)
    for name, parameter in model.named_parameters():
        assert torch.isfinite(parameter.grad).all(), name
    (bending,) = torch.autograd.grad(result["forces"][0, 0], inputs[properties.R])

    # Across the line the forces vanish, and their slope is that of a bent molecule.
    assert torch.isfinite(bending).all()
    assert result["forces"][:, :2].abs().max() < 1e-12
    step = 1e-5
    bent = atoms.copy()
    bent.positions[0, 0] += step
    slope = evaluate(model, [bent], CUTOFF)[1][0, 0] / step
    assert float(bending[0, 0]) == pytest.approx(float(slope), rel=1e-5)
    assert abs(float(slope)) > 1e-12  # the signal shrinks from one IReLU to the next


# --- precision, elements -----------------------------------------------------------------------


def test_float32_keeps_its_digits_at_short_distances() -> None:
    # Published sizes; closed forms of the Bessel functions in float32 lose 1e-4 here.
    envelope = potential().representation.spherical_basis.envelope
    d, cosine = torch.tensor([0.95], dtype=torch.float64), torch.tensor([0.3]).double()
    double = SphericalBasis(7, 6, 5.0, envelope).double()(d, cosine, torch.tensor([0]))
    single = SphericalBasis(7, 6, 5.0, envelope).float()
    found = single(d.float(), cosine.float(), torch.tensor([0]))

    assert found.dtype == torch.float32
    assert relative_change(found.double(), double) <= 1e-6


def test_the_heaviest_elements_are_known() -> None:
    energies, _ = evaluate(
        potential(), [Atoms([99, 98], positions=[[0, 0, 0], [0, 0, 2.5]])], CUTOFF
    )
    assert torch.isfinite(energies).all()
