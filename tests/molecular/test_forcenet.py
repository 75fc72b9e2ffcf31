"""ForceNet-style potential: equations, forces, invariances, batches, batch norm and cutoff."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, molecule
from ase.data import covalent_radii
from ase.neighborlist import neighbor_list
from schnetpack import properties
from schnetpack.atomistic import Forces, PairwiseDistances
from schnetpack.model import NeuralNetworkPotential
from schnetpack.nn import CosineCutoff, Dense, GaussianRBF
from scipy.spatial.transform import Rotation
from torch import Tensor, nn

from bench.streams import global_streams, numpy_generator
from bench.techniques.integrated import IReLU
from bench.techniques.normalization import Normalization
from suites.molecular.models.forcenet import ForceNet, ForceNetDecoder
from suites.molecular.models.nonlinearity import Nonlinearity

FEATURES, INTERACTIONS, N_RBF, CUTOFF = 16, 2, 12, 3.5

both_activations = pytest.mark.parametrize("activation", [None, IReLU])


def rattled(atoms: Atoms, stream: str) -> Atoms:
    """A copy whose atoms are moved at random, 0.1 Å along each axis."""
    atoms = atoms.copy()
    atoms.positions += 0.1 * numpy_generator(0, stream).standard_normal((len(atoms), 3))
    return atoms


ETHANOL = rattled(molecule("CH3CH2OH"), "ethanol")
FRAMES = [
    ETHANOL,
    rattled(molecule("H2O"), "water"),
    rattled(bulk("Cu", cubic=True), "copper"),
    rattled(molecule("CH3CH2OH"), "another ethanol"),
]


def batch(frames: list[Atoms], cutoff: float = CUTOFF) -> dict[str, Tensor]:
    """SchNetPack's batch of the frames, in float64, with pairs up to `cutoff`."""
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


def sites(model: nn.Module) -> dict[str, Any]:
    """Where the activation hook replaces."""
    return {
        path: module
        for path, module in model.named_modules()
        if isinstance(module, Nonlinearity)
        or (isinstance(module, Dense) and not isinstance(module.activation, nn.Identity))
    }


def potential(
    normalization: Normalization = nn.BatchNorm1d,
    activation: Callable[[], nn.Module] | None = None,
    seed: int = 0,
) -> NeuralNetworkPotential:
    """A ForceNet in float64, in training mode; with the published activation if none is given."""
    with global_streams(seed, torch.device("cpu")):
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
    for module in sites(model).values():
        if activation is not None:
            module.activation = activation()
    return model.to(torch.float64)


def evaluated(
    normalization: Normalization = nn.BatchNorm1d,
    activation: Callable[[], nn.Module] | None = None,
) -> NeuralNetworkPotential:
    """The same in evaluation mode, with running statistics of `FRAMES`."""
    model = potential(normalization, activation)
    for _ in range(20):
        model(batch(FRAMES))
    return model.eval()


def run(model: nn.Module, frames: list[Atoms]) -> tuple[Tensor, Tensor]:
    """Energies (frames,) and forces (atoms, 3)."""
    result = model(batch(frames))
    return result["energy"].detach(), result["forces"].detach()


def close(found: Tensor, expected: Tensor, rtol: float = 1e-9) -> None:
    """Equal up to `rtol` of the largest number."""
    torch.testing.assert_close(found, expected, rtol=0, atol=rtol * float(expected.abs().max()))


# --- the equations ----------------------------------------------------------------------------


def test_energy_is_that_of_the_stated_equations() -> None:
    model = potential(nn.Identity).eval()
    inputs = batch([ETHANOL])
    weights = {name: value.numpy() for name, value in model.state_dict().items()}

    def dense(path: str, x: np.ndarray) -> np.ndarray:
        return x @ weights[f"{path}.weight"].T + weights[f"{path}.bias"]

    def swish(x: np.ndarray) -> np.ndarray:
        return x / (1 + np.exp(-x))

    def gaussians(d: float) -> np.ndarray:
        spacing = CUTOFF / (N_RBF - 1)
        return np.exp(-0.5 * ((d - spacing * np.arange(N_RBF)) / spacing) ** 2)

    radii = covalent_radii[ETHANOL.numbers]
    h = weights["representation.embedding.weight"][ETHANOL.numbers]
    for block in range(INTERACTIONS):
        path = f"representation.interactions.{block}"
        x = dense(f"{path}.linear", h)
        m = weights[f"{path}.self_weight"] * x
        for i, j in zip(inputs[properties.idx_i], inputs[properties.idx_j], strict=True):
            d = np.linalg.norm(ETHANOL.positions[j] - ETHANOL.positions[i])
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
    close(run(model, [ETHANOL])[0], expected, rtol=1e-5)


def test_energy_of_distant_copies_is_their_sum() -> None:
    model = evaluated()
    distant = ETHANOL.copy()
    distant.positions += 100.0

    close(run(model, [ETHANOL + distant])[0], 2 * run(model, [ETHANOL])[0])


def test_activation_sites_and_normalisation_layers() -> None:
    model = potential()
    interactions = [f"representation.interactions.{block}" for block in range(INTERACTIONS)]

    assert set(sites(model)) == {
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


def test_denormalised_form_has_no_normalisation() -> None:
    names = {type(m).__name__ for m in potential(nn.Identity).modules()}

    assert not {name for name in names if "Norm" in name}


# --- forces and invariances -------------------------------------------------------------------


@both_activations
def test_forces_are_central_differences_of_the_energy(
    activation: Callable[[], nn.Module] | None,
) -> None:
    model = evaluated(activation=activation)
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

    assert forces.abs().max() > 1e-4
    close(forces, expected, rtol=1e-5)


@both_activations
def test_translation_rotation_reflection_and_permutation(
    activation: Callable[[], nn.Module] | None,
) -> None:
    model = evaluated(activation=activation)
    energies, forces = run(model, [ETHANOL])
    turn = Rotation.random(random_state=np.random.RandomState(0)).as_matrix()
    for matrix in (turn, -turn):
        moved = ETHANOL.copy()
        moved.positions = ETHANOL.positions @ matrix.T + [3.0, -2.0, 1.0]
        found = run(model, [moved])
        close(found[0], energies)
        close(found[1], forces @ torch.tensor(matrix.T))

    order = numpy_generator(0, "order").permutation(len(ETHANOL))
    found = run(model, [ETHANOL[order]])
    close(found[0], energies)
    close(found[1], forces[torch.tensor(order)])


# --- batches ----------------------------------------------------------------------------------


def alone_and_together(model: nn.Module) -> tuple[list[Tensor], list[Tensor]]:
    single = [run(model, [frame]) for frame in FRAMES]
    energies, forces = (torch.cat(parts) for parts in zip(*single, strict=True))
    return [energies, forces], list(run(model, FRAMES))


@both_activations
def test_a_frame_alone_is_the_frame_in_a_batch(
    activation: Callable[[], nn.Module] | None,
) -> None:
    for model in (evaluated(activation=activation), potential(nn.Identity, activation)):
        alone, together = alone_and_together(model)
        for found, expected in zip(together, alone, strict=True):
            close(found, expected)


def test_forces_of_one_frame_see_another_through_batch_norm_only() -> None:
    moved = [FRAMES[0], rattled(FRAMES[1], "moved"), *FRAMES[2:]]
    atoms = slice(0, len(FRAMES[0]))

    def change(model: nn.Module) -> float:
        _, before = run(model, FRAMES)
        _, after = run(model, moved)
        return float((after - before)[atoms].abs().max() / before[atoms].abs().max())

    assert change(potential()) > 1e-3
    assert change(potential(nn.LayerNorm)) < 1e-12
    assert change(potential(nn.Identity)) < 1e-12
    assert change(evaluated()) < 1e-12


def test_an_atom_without_neighbours() -> None:
    model = evaluated()
    atom = Atoms("O", positions=[[0.0, 0.0, 0.0]])
    energies, forces = run(model, [atom])

    assert torch.isfinite(energies).all()
    assert (forces == 0).all()
    close(run(model, [ETHANOL, atom])[0][1:], energies)


def test_batch_norm_refuses_a_batch_of_one_atom_in_training() -> None:
    # Documented: one row has no variance.
    with pytest.raises(ValueError, match="more than 1 value"):
        potential()(batch([Atoms("O", positions=[[0.0, 0.0, 0.0]])]))


# --- the cutoff -------------------------------------------------------------------------------


@both_activations
def test_energy_and_forces_are_continuous_at_the_cutoff(
    activation: Callable[[], nn.Module] | None,
) -> None:
    model = evaluated(activation=activation)

    def jumps(distance: float) -> tuple[float, float]:
        sides = [
            Atoms("CO", positions=[[0.0, 0.0, 0.0], [CUTOFF + side * distance, 0.0, 0.0]])
            for side in (-1, 1)
        ]
        energies, forces = run(model, sides)
        return float((energies[1] - energies[0]).abs()), float(
            (forces[2:] - forces[:2]).abs().max()
        )

    # The envelope is quadratic there and its slope linear.
    coarse, fine = jumps(1e-2), jumps(1e-3)
    assert coarse[1] > 1e-9
    assert coarse[0] / fine[0] == pytest.approx(100, rel=0.1)
    assert coarse[1] / fine[1] == pytest.approx(10, rel=0.1)


def test_pairs_beyond_the_cutoff_have_no_influence() -> None:
    model = evaluated()
    found, expected = model(batch(FRAMES, cutoff=1.5 * CUTOFF)), model(batch(FRAMES))

    close(found["energy"].detach(), expected["energy"].detach())
    close(found["forces"], expected["forces"])


# --- training, dtype, storage -----------------------------------------------------------------


@both_activations
@pytest.mark.parametrize("normalization", [nn.BatchNorm1d, nn.Identity])
def test_every_parameter_learns_from_energies_and_forces(
    normalization: Normalization, activation: Callable[[], nn.Module] | None
) -> None:
    model = potential(normalization, activation)
    result = model(batch(FRAMES))
    loss = result["energy"].square().mean() + result["forces"].square().mean()
    loss.backward()

    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        # Batch norm subtracts whatever the bias before it adds.
        if not (normalization is nn.BatchNorm1d and name.endswith("hidden.bias")):
            assert parameter.grad.abs().max() > 0, name


def test_parameter_gradient_of_the_force_loss_is_its_central_difference() -> None:
    model = potential()
    weight = model.representation.interactions[0].filter_network[0].weight

    def loss() -> Tensor:
        return model(batch(FRAMES))["forces"].square().sum()

    (gradient,) = torch.autograd.grad(loss(), weight)
    row, column = divmod(int(gradient.abs().argmax()), weight.shape[1])
    step = 1e-5
    values = []
    for sign in (1, -1):
        with torch.no_grad():
            weight[row, column] += sign * step
        values.append(float(loss().detach()))
        with torch.no_grad():
            weight[row, column] -= sign * step

    expected = (values[0] - values[1]) / (2 * step)
    assert float(gradient[row, column]) == pytest.approx(expected, rel=1e-6)


def test_dtype_follows_the_model() -> None:
    model = evaluated()
    tensors = [*model.parameters(), *model.buffers()]
    assert {t.dtype for t in tensors if t.is_floating_point()} == {torch.float64}
    energies, forces = run(model, FRAMES)
    assert energies.dtype == forces.dtype == torch.float64

    inputs = batch(FRAMES)
    single = {k: v.float() if v.is_floating_point() else v for k, v in inputs.items()}
    result = model.to(torch.float32)(single)
    assert result["energy"].dtype == result["forces"].dtype == torch.float32
    close(result["forces"].double(), forces, rtol=1e-3)


def test_state_dict_round_trip(tmp_path: Path) -> None:
    model = evaluated()
    torch.save(model.state_dict(), tmp_path / "state.pt")
    other = potential(seed=1).eval()
    assert not torch.equal(run(other, FRAMES)[0], run(model, FRAMES)[0])
    other.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))

    for found, expected in zip(run(other, FRAMES), run(model, FRAMES), strict=True):
        assert torch.equal(found, expected)
    assert other.representation.cutoff.item() == CUTOFF
