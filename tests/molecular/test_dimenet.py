"""DimeNet++: the library's model, triplets, forces, invariances, cells, cutoff, atoms in a line."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, molecule
from ase.neighborlist import neighbor_list
from schnetpack import properties
from schnetpack.atomistic import Forces, PairwiseDistances
from schnetpack.model import NeuralNetworkPotential
from scipy.spatial.transform import Rotation
from scipy.special import spherical_jn
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from bench.errors import BadInput
from bench.streams import global_streams, numpy_generator
from bench.techniques.integrated import IReLU
from suites.molecular.models.dimenet import (
    DimeNetPlusPlus,
    DimeNetReadout,
    SphericalBasis,
    bessel_zeros,
    triplets,
)
from suites.molecular.models.nonlinearity import Nonlinearity

HIDDEN, BLOCKS, INT_EMB, BASIS_EMB, OUT_EMB = 8, 2, 6, 4, 8
N_SPHERICAL, N_RADIAL, CUTOFF = 3, 2, 3.5

both_activations = pytest.mark.parametrize("activation", [None, IReLU])


def rattled(atoms: Atoms, stream: str) -> Atoms:
    """A copy whose atoms are moved at random, 0.1 Å along each axis."""
    atoms = atoms.copy()
    atoms.positions += 0.1 * numpy_generator(0, stream).standard_normal((len(atoms), 3))
    return atoms


METHANOL = rattled(molecule("CH3OH"), "methanol")
#: Smaller than the cutoff: an atom neighbours its own images, and another atom several times.
BRASS = rattled(bulk("CuZn", "cesiumchloride", a=2.9), "brass")
FRAMES = [METHANOL, rattled(molecule("H2O"), "water"), BRASS]


def batch(frames: list[Atoms], cutoff: float = CUTOFF) -> dict[str, Tensor]:
    """SchNetPack's batch of the frames, in float64."""
    parts: dict[str, list[np.ndarray]] = {"i": [], "j": [], "offsets": [], "frame": []}
    first = 0
    for frame, atoms in enumerate(frames):
        i, j, shifts = neighbor_list("ijS", atoms, cutoff)
        parts["i"].append(i + first)
        parts["j"].append(j + first)
        parts["offsets"].append(shifts @ atoms.cell.array)
        parts["frame"].append(np.full(len(atoms), frame))
        first += len(atoms)
    arrays = {name: torch.tensor(np.concatenate(part)) for name, part in parts.items()}
    return {
        properties.Z: torch.tensor(np.concatenate([atoms.numbers for atoms in frames])),
        properties.R: torch.tensor(np.concatenate([atoms.positions for atoms in frames])),
        properties.idx_i: arrays["i"],
        properties.idx_j: arrays["j"],
        properties.offsets: arrays["offsets"],
        properties.idx_m: arrays["frame"],
        properties.n_atoms: torch.tensor([len(atoms) for atoms in frames]),
    }


def sites(model: nn.Module) -> dict[str, Nonlinearity]:
    """Where the activation hook replaces."""
    return {path: m for path, m in model.named_modules() if isinstance(m, Nonlinearity)}


def potential(activation: Callable[[], nn.Module] | None = None) -> NeuralNetworkPotential:
    """A DimeNet++ in float64; the published activation is left if none is given."""
    with global_streams(0, torch.device("cpu")):
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
    for module in sites(model).values():
        if activation is not None:
            module.activation = activation()
    return model.to(torch.float64)


def run(model: nn.Module, frames: list[Atoms], cutoff: float = CUTOFF) -> tuple[Tensor, Tensor]:
    """Energies (frames,) and forces (atoms, 3)."""
    result = model(batch(frames, cutoff))
    return result["energy"].detach(), result["forces"].detach()


def close(found: Tensor, expected: Tensor, rtol: float = 1e-9) -> None:
    """Equal up to `rtol` of the largest number."""
    torch.testing.assert_close(found, expected, rtol=0, atol=rtol * float(expected.abs().max()))


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

    energies, forces = run(model, [METHANOL])
    # The library's zeros of the Bessel functions are in float32.
    close(energies, expected.detach().reshape(1), rtol=1e-6)
    close(forces, -gradient, rtol=1e-5)


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
    assert list(sites(model)) == ["representation.embedding.act", *blocks, *outputs]

    counts = []
    for replaced in ([], outputs, list(sites(model))):
        for path in replaced:
            sites(model)[path].activation = IReLU()
        with Called() as called:
            run(model, [METHANOL])
        counts.append(called.silu)
    # Embedding 2; an interaction block 5 of its own and 3 residual layers of 2; output 3.
    assert counts == [2 + 11 * BLOCKS + 3 * (BLOCKS + 1), 2 + 11 * BLOCKS, 0]


# --- forces and invariances -------------------------------------------------------------------


@both_activations
def test_forces_are_central_differences_of_the_energy(
    activation: Callable[[], nn.Module] | None,
) -> None:
    model = potential(activation).eval()
    inputs = batch(FRAMES)
    _, forces = run(model, FRAMES)
    step = 1e-5
    expected = torch.zeros_like(forces)
    for atom, axis in np.ndindex(*forces.shape):
        energies = []
        for sign in (1, -1):
            moved = inputs[properties.R].clone()
            moved[atom, axis] += sign * step
            energies.append(model({**inputs, properties.R: moved})["energy"].sum().detach())
        expected[atom, axis] = (energies[1] - energies[0]) / (2 * step)

    assert forces.abs().max() > 1e-7  # the signal shrinks from one IReLU to the next
    close(forces, expected, rtol=1e-6)


@both_activations
def test_translation_rotation_reflection_and_permutation(
    activation: Callable[[], nn.Module] | None,
) -> None:
    model = potential(activation).eval()
    turn = Rotation.random(random_state=np.random.RandomState(0)).as_matrix()
    for atoms in (METHANOL, BRASS):
        energies, forces = run(model, [atoms])
        for matrix in (turn, -turn):
            moved = atoms.copy()
            moved.set_cell(atoms.cell.array @ matrix.T)
            moved.positions = atoms.positions @ matrix.T + [3.0, -2.0, 1.0]
            found = run(model, [moved])
            close(found[0], energies)
            close(found[1], forces @ torch.tensor(matrix.T))

        order = numpy_generator(0, "order").permutation(len(atoms))
        found = run(model, [atoms[order]])
        close(found[0], energies)
        close(found[1], forces[torch.tensor(order)])


@both_activations
def test_a_frame_alone_is_the_frame_in_a_batch(
    activation: Callable[[], nn.Module] | None,
) -> None:
    model = potential(activation)
    frames = [*FRAMES, Atoms("O", positions=[[0.0, 0.0, 0.0]])]
    single = [run(model, [frame]) for frame in frames]
    energies, forces = (torch.cat(parts) for parts in zip(*single, strict=True))
    together = run(model, frames)

    close(together[0], energies)
    close(together[1], forces)
    assert (forces[-1] == 0).all()


@pytest.mark.parametrize("repeats", [(2, 1, 1), (1, 2, 2)])
def test_energy_of_a_repeated_cell_is_that_of_its_parts(repeats: tuple[int, int, int]) -> None:
    model = potential().eval()
    count = int(np.prod(repeats))
    energies, forces = run(model, [BRASS])
    larger = run(model, [BRASS.repeat(repeats)])

    assert forces.abs().max() > 1e-4
    close(larger[0], count * energies)
    close(larger[1], forces.repeat(count, 1))


# --- the cutoff -------------------------------------------------------------------------------


def test_pairs_beyond_the_cutoff_add_nothing() -> None:
    model = potential(IReLU).eval()
    expected = run(model, FRAMES)
    found = run(model, FRAMES, cutoff=CUTOFF + 1)

    assert len(batch(FRAMES, CUTOFF + 1)[properties.idx_i]) > len(batch(FRAMES)[properties.idx_i])
    close(found[0], expected[0])
    close(found[1], expected[1])


def test_forces_and_their_slope_are_continuous_at_the_cutoff() -> None:
    model = potential().eval()

    def forces(distance: float) -> Tensor:
        # The third atom leaves the first one's neighbours, and stays the second one's.
        positions = [[0.0, 0.0, 0.0], [1.2, 0.5, 0.0], [distance, 0.0, 0.0]]
        return run(model, [Atoms("COH", positions=positions)])[1]

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
    inputs = batch([atoms])
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
    slope = run(model, [bent])[1][0, 0] / step
    assert float(bending[0, 0]) == pytest.approx(float(slope), rel=1e-5)
    assert abs(float(slope)) > 1e-12  # the signal shrinks from one IReLU to the next


# --- training ---------------------------------------------------------------------------------


@both_activations
def test_every_parameter_learns_from_forces(activation: Callable[[], nn.Module] | None) -> None:
    model = potential(activation)
    model(batch(FRAMES))["forces"].square().mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().max() > 0, name


def test_parameter_gradient_of_the_force_loss_is_its_central_difference() -> None:
    model = potential()
    for weight in (
        model.representation.radial_basis.freq,
        model.representation.interaction_blocks[0].lin_sbf1.weight,
    ):

        def loss() -> Tensor:
            return model(batch(FRAMES))["forces"].square().sum()

        (gradient,) = torch.autograd.grad(loss(), weight)
        entry = int(gradient.abs().argmax())
        step = 1e-5
        values = []
        for change in (step, -2 * step):
            with torch.no_grad():
                weight.view(-1)[entry] += change
            values.append(float(loss().detach()))
        expected = (values[0] - values[1]) / (2 * step)
        assert float(gradient.view(-1)[entry]) == pytest.approx(expected, rel=1e-6)


def test_float32_keeps_its_digits_at_short_distances() -> None:
    # Published sizes; closed forms of the Bessel functions in float32 lose 1e-4 here.
    envelope = potential().representation.spherical_basis.envelope
    d, cosine = torch.tensor([0.95], dtype=torch.float64), torch.tensor([0.3]).double()
    double = SphericalBasis(7, 6, 5.0, envelope).double()(d, cosine, torch.tensor([0]))
    single = SphericalBasis(7, 6, 5.0, envelope).float()
    found = single(d.float(), cosine.float(), torch.tensor([0]))

    assert found.dtype == torch.float32
    close(found.double(), double, rtol=1e-6)


def test_the_heaviest_elements_are_known() -> None:
    energies, _ = run(potential(), [Atoms([99, 98], positions=[[0, 0, 0], [0, 0, 2.5]])])
    assert torch.isfinite(energies).all()
