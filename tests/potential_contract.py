"""What every interatomic potential must satisfy, as test classes to inherit from.

A test class inherits the contracts that its potentials promise and has a fixture `subject`, which
gives a `Subject`. All geometries go through the suite's own pipeline: `Frames`, `neighbor_pairs`,
`FrameTensors`.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, molecule
from sample_frames import frames_of
from schnetpack import properties
from schnetpack.model import NeuralNetworkPotential
from scipy.spatial.transform import Rotation
from torch import Tensor, nn

from bench.spec.randomness import numpy_generator, torch_generator
from suites.molecular.data.batches import FrameTensors
from suites.molecular.data.neighbors import neighbor_pairs
from suites.molecular.models.potential import ENERGY, FORCES, predict_energies

CPU = torch.device("cpu")


# --- geometries -------------------------------------------------------------------------------


def rattled(atoms: Atoms, stream: str) -> Atoms:
    """A copy whose atoms are moved at random, 0.1 Å along each axis."""
    atoms = atoms.copy()
    atoms.positions += 0.1 * numpy_generator(0, stream).standard_normal((len(atoms), 3))
    return atoms


METHANOL = rattled(molecule("CH3OH"), "methanol")
WATER = rattled(molecule("H2O"), "water")
#: Smaller than the cutoff: an atom neighbours its own images, and another atom several times.
BRASS = rattled(bulk("CuZn", "cesiumchloride", a=2.9), "brass")
FRAMES = [METHANOL, WATER, BRASS]
#: In a line along an axis, in a plane, in a crystal's symmetric places.
SYMMETRIC = [molecule("CO2"), molecule("H2O"), bulk("CuZn", "cesiumchloride", a=2.9)]
#: No two atoms are near.
LONELY = Atoms("O", positions=[[0.0, 0.0, 0.0]])


def batch_of(
    geometries: list[Atoms], cutoff: float, dtype: torch.dtype = torch.float64
) -> dict[str, Tensor]:
    """All geometries in one batch, with the pairs within `cutoff`, in Å."""
    frames = frames_of(geometries)
    tensors = FrameTensors(
        frames, neighbor_pairs(frames, cutoff), frames.energies, frames.forces, CPU, dtype
    )
    return tensors.batch(np.arange(len(frames)))


# --- potentials -------------------------------------------------------------------------------


def evaluate(potential: nn.Module, geometries: list[Atoms], cutoff: float) -> tuple[Tensor, Tensor]:
    """Energies, (frames,), and forces, (atoms, 3), of a batch."""
    found = potential(batch_of(geometries, cutoff))
    return found[ENERGY].detach(), found[FORCES].detach()


def assert_close(found: Tensor, expected: Tensor, rtol: float = 1e-10) -> None:
    """Equal up to `rtol` of the largest number."""
    torch.testing.assert_close(found, expected, rtol=0, atol=rtol * float(expected.abs().max()))


def has_batch_norm(potential: nn.Module) -> bool:
    """Whether training and evaluation mode differ."""
    return any(isinstance(module, nn.BatchNorm1d) for module in potential.modules())


def enliven(potential: NeuralNetworkPotential, geometries: list[Atoms], cutoff: float) -> None:
    """Draw weights with which all layers matter to energies and forces; left in evaluation mode.

    New weights are no test: some layers start from 0, and integrated activations make small
    signals smaller and large ones larger. Here the output of every linear layer reaches 1 on the
    geometries before its bias, no bias is 0, and the statistics of batch norm are those of the
    geometries.
    """
    generator = torch_generator(0, "weights of a test")

    def scale(layer: nn.Linear, inputs: tuple[Tensor, ...]) -> None:
        largest = nn.functional.linear(inputs[0], layer.weight).abs().max()
        if largest > 0:
            layer.weight.div_(largest)

    handles = []
    with torch.no_grad():
        for module in potential.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_normal_(module.weight, generator=generator)
                if module.bias is not None:
                    module.bias.uniform_(0, 0.5, generator=generator)
                handles.append(module.register_forward_pre_hook(scale))
            if isinstance(module, nn.BatchNorm1d):
                module.momentum = 1.0
        predict_energies(potential.train(), batch_of(geometries, cutoff))
    for handle in handles:
        handle.remove()
    potential.eval()


# --- contracts --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Subject:
    """A potential under test, and what may be expected of it.

    Attributes:
        potential: In float64 and evaluation mode; a test may change it. Its forces on `FRAMES`
            are not tiny: see `enliven`.
        cutoff: In Å.
        extensive: The energy is a sum over atoms, not a mean.
        rotation_error: Of energies and forces, relative. Larger than rounding where a model has
            tables in single precision.
        unused: Ends of the names of parameters that nothing depends on.
        irrelevant: Ends of the names of those whose effect vanishes.
    """

    potential: NeuralNetworkPotential
    cutoff: float
    extensive: bool = True
    rotation_error: float = 1e-10
    unused: tuple[str, ...] = ()
    irrelevant: tuple[str, ...] = ()

    def evaluate(self, geometries: list[Atoms]) -> tuple[Tensor, Tensor]:
        """Energies and forces; no test can pass because there are none."""
        energies, forces = evaluate(self.potential, geometries, self.cutoff)
        assert forces.abs().max() > 1e-4, "the forces of this potential are too small for a test"
        return energies, forces


class ForceContract:
    """Forces are those of the energy."""

    def test_forces_are_central_differences_of_the_energy(self, subject: Subject) -> None:
        potential, step = subject.potential, 1e-5
        batch = batch_of(FRAMES, subject.cutoff)
        # Batch norm in training mode: the energies of all frames depend on every atom.
        for training in (False, True) if has_batch_norm(potential) else (False,):
            potential.train(training)
            energies, forces = subject.evaluate(FRAMES)
            expected = torch.zeros_like(forces)
            with torch.no_grad():
                assert_close(predict_energies(potential, dict(batch)), energies)
                for atom, axis in np.ndindex(*forces.shape):
                    sums = []
                    for displacement in (-step, step):
                        positions = batch[properties.R].clone()
                        positions[atom, axis] += displacement
                        moved = {**batch, properties.R: positions}
                        sums.append(predict_energies(potential, moved).sum())
                    expected[atom, axis] = (sums[0] - sums[1]) / (2 * step)
            assert_close(forces, expected, rtol=1e-6)


class InvarianceContract:
    """The energy does not depend on the frame of reference or on the order of atoms."""

    def test_translation(self, subject: Subject) -> None:
        expected = subject.evaluate(FRAMES)
        moved = [atoms.copy() for atoms in FRAMES]
        for atoms in moved:
            atoms.positions += [3.0, -2.0, 1.0]
        for found, before in zip(subject.evaluate(moved), expected, strict=True):
            assert_close(found, before)

    @pytest.mark.parametrize("sign", [1, -1], ids=["rotation", "reflection"])
    def test_rotation_and_reflection(self, subject: Subject, sign: int) -> None:
        energies, forces = subject.evaluate(FRAMES)
        matrix = sign * Rotation.random(random_state=np.random.RandomState(0)).as_matrix()
        turned = [atoms.copy() for atoms in FRAMES]
        for atoms in turned:
            atoms.set_cell(atoms.cell.array @ matrix.T)
            atoms.positions = atoms.positions @ matrix.T
        found = subject.evaluate(turned)
        assert_close(found[0], energies, subject.rotation_error)
        assert_close(found[1], forces @ torch.tensor(matrix.T), subject.rotation_error)

    def test_permutation(self, subject: Subject) -> None:
        energies, forces = subject.evaluate(FRAMES)
        random = numpy_generator(0, "order of atoms")
        orders = [random.permutation(len(atoms)) for atoms in FRAMES]
        assert any((order != np.arange(len(order))).any() for order in orders)
        found = subject.evaluate(
            [atoms[order] for atoms, order in zip(FRAMES, orders, strict=True)]
        )
        first = np.cumsum([0, *(len(atoms) for atoms in FRAMES[:-1])])
        rows = np.concatenate([order + start for order, start in zip(orders, first, strict=True)])
        assert_close(found[0], energies)
        assert_close(found[1], forces[torch.tensor(rows)])


class BatchingContract:
    """A frame's energy and forces are its own; with batch norm, in evaluation mode."""

    def test_a_frame_alone_is_the_frame_in_a_batch(self, subject: Subject) -> None:
        frames = [FRAMES[0], LONELY, *FRAMES[1:], LONELY]
        alone = [evaluate(subject.potential, [atoms], subject.cutoff) for atoms in frames]
        together = subject.evaluate(frames)
        for found, parts in zip(together, zip(*alone, strict=True), strict=True):
            assert_close(found, torch.cat(parts))

    def test_an_atom_without_neighbours_feels_no_force(self, subject: Subject) -> None:
        energies, forces = evaluate(subject.potential, [LONELY], subject.cutoff)
        assert torch.isfinite(energies).all()
        assert (forces == 0).all()


class SmoothnessContract:
    """Energy and forces are continuous where a pair reaches the cutoff; that asks for an envelope.

    The third atom leaves the first one's neighbours and stays the second one's.
    """

    @staticmethod
    def _leaving(distance: float) -> Atoms:
        return Atoms("COH", positions=[[0.0, 0.0, 0.0], [1.2, 0.5, 0.0], [distance, 0.0, 0.0]])

    def test_energy_and_forces_are_continuous_at_the_cutoff(self, subject: Subject) -> None:
        cutoff, distance = subject.cutoff, 1e-7
        inside, outside = (self._leaving(cutoff + side * distance) for side in (-1, 1))
        pairs = [len(batch_of([atoms], cutoff)[properties.idx_i]) for atoms in (inside, outside)]
        assert pairs == [6, 4]
        before, after = subject.evaluate([inside]), subject.evaluate([outside])
        for found, expected in zip(after, before, strict=True):
            assert_close(found, expected, rtol=1e-5)

    def test_pairs_count_up_to_the_cutoff_and_not_beyond(self, subject: Subject) -> None:
        near, cutoff = self._leaving(subject.cutoff - 0.5), subject.cutoff
        energies, forces = subject.evaluate([near])
        shorter = evaluate(subject.potential, [near], cutoff - 0.6)
        assert (shorter[0] - energies).abs().max() > 1e-4 * energies.abs().max()
        assert (shorter[1] - forces).abs().max() > 1e-4 * forces.abs().max()

        expected = subject.evaluate(FRAMES)
        longer = evaluate(subject.potential, FRAMES, cutoff + 1)
        for found, before in zip(longer, expected, strict=True):
            assert_close(found, before)


class PeriodicContract:
    """A crystal's energy does not depend on the choice of the cell."""

    @pytest.mark.parametrize("repeats", [(2, 1, 1), (1, 2, 2)])
    def test_repeated_cell(self, subject: Subject, repeats: tuple[int, int, int]) -> None:
        energies, forces = subject.evaluate([BRASS])
        count = int(np.prod(repeats))
        found = evaluate(subject.potential, [BRASS.repeat(repeats)], subject.cutoff)
        # An intensive energy is that of one cell, and one atom moves it the less.
        of_energy, of_forces = (count, 1.0) if subject.extensive else (1, 1 / count)
        assert_close(found[0], of_energy * energies)
        assert_close(found[1], of_forces * forces.repeat(count, 1))

    def test_atoms_may_lie_in_any_cell(self, subject: Subject) -> None:
        expected = subject.evaluate([BRASS])
        wrapped = BRASS.copy()
        wrapped.positions += np.array([[1, 0, -2], [0, 3, 0]]) @ BRASS.cell.array
        for found, before in zip(subject.evaluate([wrapped]), expected, strict=True):
            assert_close(found, before)


class DoubleBackwardContract:
    """A loss on energies and forces can be differentiated by the parameters."""

    @staticmethod
    def _loss(potential: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        found = potential(dict(batch))
        # Labels of another size, so that the two terms do not vanish together.
        return (found[ENERGY] - 1).square().mean() + found[FORCES].square().mean()

    def test_every_parameter_has_a_finite_gradient(self, subject: Subject) -> None:
        potential = subject.potential.train()
        self._loss(potential, batch_of(FRAMES, subject.cutoff)).backward()
        without, vanishing = set(), set()
        for name, parameter in potential.named_parameters():
            if parameter.grad is None:
                without.add(name)
                continue
            assert torch.isfinite(parameter.grad).all(), name
            if parameter.grad.abs().max() < 1e-8:
                vanishing.add(name)
        assert all(name.endswith(subject.unused) for name in without), without
        assert all(name.endswith(subject.irrelevant) for name in vanishing), vanishing

    def test_gradients_are_central_differences_of_the_loss(self, subject: Subject) -> None:
        potential, batch = subject.potential.train(), batch_of(FRAMES, subject.cutoff)
        parameters = list(potential.parameters())
        gradients = torch.autograd.grad(
            self._loss(potential, batch), parameters, materialize_grads=True
        )
        generator, step = torch_generator(0, "directions"), 1e-6
        for _ in range(3):
            direction = [
                torch.randn(p.shape, dtype=p.dtype, generator=generator) for p in parameters
            ]
            slope = sum((d * g).sum() for d, g in zip(direction, gradients, strict=True))
            losses = []
            for change in (step, -2 * step, step):
                losses.append(self._loss(potential, batch).detach())
                with torch.no_grad():
                    for parameter, d in zip(parameters, direction, strict=True):
                        parameter.add_(d, alpha=change)
            difference = (losses[1] - losses[2]) / (2 * step)
            size = torch.cat([g.flatten() for g in gradients]).norm()
            assert size > 1e-3
            assert abs(float(difference - slope)) < 1e-5 * float(size)

    def test_gradients_are_finite_where_atoms_are_in_symmetric_places(
        self, subject: Subject
    ) -> None:
        loss = self._loss(subject.potential.train(), batch_of(SYMMETRIC, subject.cutoff))
        loss.backward()
        assert torch.isfinite(loss)
        for name, parameter in subject.potential.named_parameters():
            assert parameter.grad is None or torch.isfinite(parameter.grad).all(), name


class DtypeContract:
    """Single precision differs from double by its rounding."""

    @staticmethod
    def _dtypes(potential: nn.Module) -> set[torch.dtype]:
        tensors = [*potential.parameters(), *potential.buffers()]
        return {tensor.dtype for tensor in tensors if tensor.is_floating_point()}

    def test_single_precision_agrees_with_double(self, subject: Subject) -> None:
        expected = subject.evaluate(FRAMES)
        assert self._dtypes(subject.potential) == {torch.float64}
        single = subject.potential.to(torch.float32)
        assert self._dtypes(single) == {torch.float32}
        found = single(batch_of(FRAMES, subject.cutoff, torch.float32))
        for key, double in zip((ENERGY, FORCES), expected, strict=True):
            assert double.dtype == torch.float64
            assert found[key].dtype == torch.float32
            assert_close(found[key].detach().double(), double, rtol=1e-4)


class StateContract:
    """A state dictionary is the whole state."""

    def test_round_trip_through_a_file(self, subject: Subject, tmp_path: Path) -> None:
        expected = subject.evaluate(FRAMES)
        torch.save(subject.potential.state_dict(), tmp_path / "state.pt")
        other = copy.deepcopy(subject.potential)
        with torch.no_grad():
            for tensor in other.state_dict().values():
                if tensor.is_floating_point():
                    tensor.mul_(1.01)
        changed, _ = evaluate(other, FRAMES, subject.cutoff)
        assert (changed - expected[0]).abs().max() > 1e-3

        other.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
        for found, before in zip(evaluate(other, FRAMES, subject.cutoff), expected, strict=True):
            assert torch.equal(found, before)
