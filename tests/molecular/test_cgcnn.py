"""CGCNN: its equations, forces, invariances, batches, and what its batch norm and cutoff do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
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
from schnetpack.nn import Dense, GaussianRBF
from scipy.spatial.transform import Rotation
from torch import Tensor, nn

from bench.streams import global_streams, numpy_generator
from bench.techniques.integrated import IReLU
from bench.techniques.normalization import Normalization
from suites.molecular.models.cgcnn import CGCNN, CGCNNReadout
from suites.molecular.models.nonlinearity import Nonlinearity

FEATURES, INTERACTIONS, LAYERS, N_RBF, CUTOFF = 16, 2, 2, 12, 3.5

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


def batch(frames: list[Atoms]) -> dict[str, Tensor]:
    """SchNetPack's batch of the frames, in float64."""
    parts: dict[str, list[np.ndarray]] = {"i": [], "j": [], "offsets": [], "frame": []}
    first = 0
    for frame, atoms in enumerate(frames):
        i, j, shifts = neighbor_list("ijS", atoms, CUTOFF)
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
    """A CGCNN in float64, in training mode; with the published activation if none is given."""
    with global_streams(seed, torch.device("cpu")):
        model = NeuralNetworkPotential(
            CGCNN(FEATURES, INTERACTIONS, GaussianRBF(N_RBF, CUTOFF), CUTOFF, normalization),
            input_modules=[PairwiseDistances()],
            output_modules=[CGCNNReadout(FEATURES, FEATURES, LAYERS), Forces()],
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


def test_energy_is_that_of_the_published_equations() -> None:
    model = potential(nn.Identity).eval()
    inputs = batch([ETHANOL])
    weights = {name: value.numpy() for name, value in model.state_dict().items()}

    def dense(path: str, x: np.ndarray) -> np.ndarray:
        return x @ weights[f"{path}.weight"].T + weights[f"{path}.bias"]

    def softplus(x: np.ndarray) -> np.ndarray:
        return np.log1p(np.exp(x))

    spacing = CUTOFF / (N_RBF - 1)
    x = weights["representation.embedding.weight"][ETHANOL.numbers]
    for block in range(INTERACTIONS):
        path = f"representation.interactions.{block}"
        received = np.zeros_like(x)
        for i, j in zip(inputs[properties.idx_i], inputs[properties.idx_j], strict=True):
            d = np.linalg.norm(ETHANOL.positions[j] - ETHANOL.positions[i])
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
    close(run(model, [ETHANOL])[0], expected, rtol=1e-6)


def test_energy_of_a_frame_of_copies_is_that_of_one() -> None:
    model = evaluated()
    distant = ETHANOL.copy()
    distant.positions += 100.0

    close(run(model, [ETHANOL + distant])[0], run(model, [ETHANOL])[0])


def test_activation_sites_and_normalisation_layers() -> None:
    model = potential()

    assert set(sites(model)) == {
        *(
            f"representation.interactions.{block}.{site}_nonlinearity"
            for block in range(INTERACTIONS)
            for site in ("message", "update")
        ),
        *(f"output_modules.0.hidden.{layer}" for layer in range(LAYERS)),
    }
    norms = {path for path, m in model.named_modules() if isinstance(m, nn.BatchNorm1d)}
    assert norms == {f"representation.interactions.{block}.norm" for block in range(INTERACTIONS)}


def test_denormalised_form_keeps_only_the_layer_norm() -> None:
    kept = [m for m in potential(nn.Identity).modules() if type(m).__name__.endswith("Norm")]

    assert len(kept) == INTERACTIONS
    assert all(isinstance(m, nn.LayerNorm) for m in kept)


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


def test_a_batch_without_pairs_leaves_the_running_statistics() -> None:
    model = potential()
    atom = Atoms("O", positions=[[0.0, 0.0, 0.0]])
    run(model, [atom])

    norm = model.representation.interactions[0].norm
    assert (norm.running_mean == 0).all()
    assert (norm.running_var == 1).all()


# --- the cutoff -------------------------------------------------------------------------------


def test_energy_jumps_at_the_cutoff() -> None:
    # Documented: the published form has no envelope.
    model = evaluated()

    def jump(distance: float) -> float:
        sides = [
            Atoms("CO", positions=[[0.0, 0.0, 0.0], [CUTOFF + side * distance, 0.0, 0.0]])
            for side in (-1, 1)
        ]
        energies, _ = run(model, sides)
        return float((energies[1] - energies[0]).abs())

    assert jump(1e-8) > 1e-3
    assert jump(1e-8) == pytest.approx(jump(1e-6), rel=1e-3)


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
        if not (normalization is nn.BatchNorm1d and name.endswith("interactions.0.linear.bias")):
            assert parameter.grad.abs().max() > 0, name


def test_parameter_gradient_of_the_force_loss_is_its_central_difference() -> None:
    model = potential()
    weight = model.representation.interactions[0].linear.weight

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
