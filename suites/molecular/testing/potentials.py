"""The contract of a potential."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from schnetpack import properties
from scipy.spatial.transform import Rotation
from torch import Tensor, nn

from bench.files.tensors import read_tensors
from bench.spec.randomness import numpy_generator, torch_generator
from bench.store import checkpoint
from suites.molecular.models.potential import ENERGY, FORCES
from suites.molecular.testing.geometries import BRASS, FRAMES, LONELY, SYMMETRIC, batch_of
from suites.molecular.testing.subjects import (
    Subject,
    energies_of,
    evaluate,
    has_batch_norm,
    relative_change,
)


class ForceContract:
    """Forces are those of the energy."""

    def test_forces_are_minus_the_gradient_of_the_energy(self, subject: Subject) -> None:
        """By central differences; of batch norm in training mode, all frames depend on an atom."""
        potential, step = subject.potential, 1e-5
        batch = batch_of(FRAMES, subject.cutoff)
        for training in (False, True) if has_batch_norm(potential) else (False,):
            potential.train(training)
            energies, forces = subject.evaluate(FRAMES)
            expected = torch.zeros_like(forces)
            assert relative_change(energies_of(potential, batch), energies) <= 1e-10, (
                f"{subject}: its energies depend on whether forces are asked for"
            )
            for atom, axis in np.ndindex(*forces.shape):
                sums = []
                for displacement in (-step, step):
                    positions = batch[properties.R].clone()
                    positions[atom, axis] += displacement
                    sums.append(energies_of(potential, {**batch, properties.R: positions}).sum())
                expected[atom, axis] = (sums[0] - sums[1]) / (2 * step)
            error = (forces - expected).abs()
            worst = np.unravel_index(int(error.argmax()), error.shape)
            assert error.max() <= 1e-6 * expected.abs().max(), (
                f"{subject}: the force on atom {worst[0]} along {'xyz'[worst[1]]} is"
                f" {float(forces[worst]):.8g}, and −∂E/∂R is {float(expected[worst]):.8g} by finite"
                f" differences, in {'training' if training else 'evaluation'} mode"
            )


class InvarianceContract:
    """The energy does not depend on the frame of reference or on the order of atoms."""

    def test_translation(self, subject: Subject) -> None:
        moved = [atoms.copy() for atoms in FRAMES]
        for atoms in moved:
            atoms.positions += [3.0, -2.0, 1.0]
        subject.expect(subject.evaluate(moved), subject.evaluate(FRAMES), "a translation")

    @pytest.mark.parametrize("sign", [1, -1], ids=["rotation", "reflection"])
    def test_rotation_and_reflection(self, subject: Subject, sign: int) -> None:
        energies, forces = subject.evaluate(FRAMES)
        matrix = sign * Rotation.random(random_state=np.random.RandomState(0)).as_matrix()
        turned = [atoms.copy() for atoms in FRAMES]
        for atoms in turned:
            atoms.set_cell(atoms.cell.array @ matrix.T)
            atoms.positions = atoms.positions @ matrix.T
        subject.expect(
            subject.evaluate(turned),
            (energies, forces @ torch.tensor(matrix.T)),
            "a rotation of atoms and forces" if sign > 0 else "a reflection of atoms and forces",
            subject.rotation_error,
        )

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
        subject.expect(found, (energies, forces[torch.tensor(rows)]), "the order of the atoms")


class BatchingContract:
    """A frame's energy and forces are its own; with batch norm, in evaluation mode."""

    def test_a_frame_alone_is_the_frame_in_a_batch(self, subject: Subject) -> None:
        frames = [FRAMES[0], LONELY, *FRAMES[1:], LONELY]
        alone = [evaluate(subject.potential, [atoms], subject.cutoff) for atoms in frames]
        energies, forces = (torch.cat(parts) for parts in zip(*alone, strict=True))
        subject.expect(subject.evaluate(frames), (energies, forces), "the rest of the batch")

    def test_an_atom_without_neighbours_feels_no_force(self, subject: Subject) -> None:
        energies, forces = evaluate(subject.potential, [LONELY], subject.cutoff)
        assert torch.isfinite(energies).all(), f"{subject}: a lonely atom's energy is {energies}"
        assert (forces == 0).all(), f"{subject}: the force on a lonely atom is {forces.tolist()}"


class PeriodicContract:
    """A crystal's energy does not depend on the choice of the cell."""

    @pytest.mark.parametrize("repeats", [(2, 1, 1), (1, 2, 2)])
    def test_repeated_cell(self, subject: Subject, repeats: tuple[int, int, int]) -> None:
        energies, forces = subject.evaluate([BRASS])
        count = int(np.prod(repeats))
        found = evaluate(subject.potential, [BRASS.repeat(repeats)], subject.cutoff)
        # An intensive energy is that of one cell, and one atom moves it the less.
        of_energy, of_forces = (count, 1.0) if subject.extensive else (1, 1 / count)
        subject.expect(
            found,
            (of_energy * energies, of_forces * forces.repeat(count, 1)),
            f"describing a crystal by {count} cells, of an"
            f" {'extensive' if subject.extensive else 'intensive'} energy,",
        )

    def test_atoms_may_lie_in_any_cell(self, subject: Subject) -> None:
        wrapped = BRASS.copy()
        wrapped.positions += np.array([[1, 0, -2], [0, 3, 0]]) @ BRASS.cell.array
        subject.expect(
            subject.evaluate([wrapped]), subject.evaluate([BRASS]), "moving atoms by whole cells"
        )


class SmoothnessContract:
    """Energy and forces are continuous where a pair reaches the cutoff; that asks for an envelope.

    The third atom leaves the first one's neighbours and stays the second one's.
    """

    def test_pairs_count_up_to_the_cutoff_and_not_beyond(self, subject: Subject) -> None:
        near, cutoff = _leaving(subject.cutoff - 0.5), subject.cutoff
        energies, forces = subject.evaluate([near])
        shorter = evaluate(subject.potential, [near], cutoff - 0.6)
        for found, before in zip(shorter, (energies, forces), strict=True):
            assert relative_change(found, before) > 1e-4, (
                f"{subject}: pairs of {cutoff - 0.5:g} Å do not count, its cutoff is {cutoff:g} Å"
            )
        subject.expect(
            evaluate(subject.potential, FRAMES, cutoff + 1),
            subject.evaluate(FRAMES),
            f"being given the pairs beyond its cutoff of {cutoff:g} Å",
        )

    def test_energy_and_forces_are_continuous_at_the_cutoff(self, subject: Subject) -> None:
        cutoff, distance = subject.cutoff, 1e-7
        inside, outside = (_leaving(cutoff + side * distance) for side in (-1, 1))
        pairs = [len(batch_of([atoms], cutoff)[properties.idx_i]) for atoms in (inside, outside)]
        assert pairs == [6, 4]
        subject.expect(
            subject.evaluate([outside]),
            subject.evaluate([inside]),
            f"a pair that crosses the cutoff of {cutoff:g} Å by {2 * distance:g} Å",
            rtol=1e-5,
        )


class TrainingContract:
    """A loss on energies and forces can be differentiated by the parameters."""

    def test_every_parameter_has_a_finite_gradient(self, subject: Subject) -> None:
        potential = subject.potential.train()
        _loss(potential, batch_of(FRAMES, subject.cutoff)).backward()
        for name, parameter in potential.named_parameters():
            if parameter.grad is None:
                assert name.endswith(subject.unused), f"{subject}: nothing depends on {name}"
                continue
            assert torch.isfinite(parameter.grad).all(), (
                f"{subject}: the gradient of a loss on forces by {name} is not finite"
            )
            assert parameter.grad.abs().max() >= 1e-8 or name.endswith(subject.irrelevant), (
                f"{subject}: the gradient of a loss on forces by {name} vanishes"
            )

    def test_gradients_are_central_differences_of_the_loss(self, subject: Subject) -> None:
        potential, batch = subject.potential.train(), batch_of(FRAMES, subject.cutoff)
        parameters = list(potential.parameters())
        gradients = torch.autograd.grad(_loss(potential, batch), parameters, materialize_grads=True)
        size = float(torch.cat([g.flatten() for g in gradients]).norm())
        assert size > 1e-3, f"{subject}: its gradients are too small for a test, {size:.2g}"
        generator, step = torch_generator(0, "directions"), 1e-6
        for _ in range(3):
            direction = [
                torch.randn(p.shape, dtype=p.dtype, generator=generator) for p in parameters
            ]
            slope = float(sum((d * g).sum() for d, g in zip(direction, gradients, strict=True)))
            losses = []
            for change in (step, -2 * step, step):
                losses.append(_loss(potential, batch).detach())
                with torch.no_grad():
                    for parameter, d in zip(parameters, direction, strict=True):
                        parameter.add_(d, alpha=change)
            difference = float(losses[1] - losses[2]) / (2 * step)
            assert abs(difference - slope) < 1e-5 * size, (
                f"{subject}: the gradient of a loss on energies and forces is {slope:.8g} along a"
                f" direction of the parameters, and {difference:.8g} by finite differences"
            )

    def test_gradients_are_finite_where_atoms_are_in_symmetric_places(
        self, subject: Subject
    ) -> None:
        loss = _loss(subject.potential.train(), batch_of(SYMMETRIC, subject.cutoff))
        loss.backward()
        assert torch.isfinite(loss), f"{subject}: a loss on atoms in a line or plane is {loss}"
        for name, parameter in subject.potential.named_parameters():
            assert parameter.grad is None or torch.isfinite(parameter.grad).all(), (
                f"{subject}: the gradient by {name} is not finite where atoms are in a line, in a"
                " plane, or in a crystal's symmetric places"
            )


class DtypeContract:
    """Single precision differs from double by its rounding."""

    def test_single_precision_agrees_with_double(self, subject: Subject) -> None:
        expected = subject.evaluate(FRAMES)
        for dtype in (torch.float64, torch.float32):
            potential = subject.potential.to(dtype)
            tensors = [*potential.named_parameters(), *potential.named_buffers()]
            others = [n for n, t in tensors if t.is_floating_point() and t.dtype != dtype]
            assert not others, f"{subject}: {others} stay in another precision than {dtype}"
        found = potential(batch_of(FRAMES, subject.cutoff, torch.float32))
        for key, double in zip((ENERGY, FORCES), expected, strict=True):
            assert double.dtype == torch.float64, f"{subject}: {key} of float64 are {double.dtype}"
            single = found[key].detach()
            assert single.dtype == torch.float32, f"{subject}: {key} of float32 are {single.dtype}"
            change = relative_change(single.double(), double)
            assert change <= 1e-4, (
                f"{subject}: in single precision its {key} are off by {change:.2g} of the largest"
            )


class StateContract:
    """A state dictionary is the whole state."""

    def test_round_trip_through_a_file(self, subject: Subject, tmp_path: Path) -> None:
        expected = subject.evaluate(FRAMES)
        checkpoint.save(tmp_path / "state.pt", dict(subject.potential.state_dict()))
        other = subject.another()
        changed, _ = evaluate(other, FRAMES, subject.cutoff)
        assert relative_change(changed, expected[0]) > 1e-6, (
            f"{subject}: another one, with weights of another seed, has the same energies"
        )
        other.load_state_dict(read_tensors(tmp_path / "state.pt"))
        subject.expect(
            evaluate(other, FRAMES, subject.cutoff), expected, "restoring it by its state", rtol=0
        )


def _leaving(distance: float) -> Atoms:
    """Three atoms, of which one is so far from the first and nearer to the second."""
    return Atoms("COH", positions=[[0.0, 0.0, 0.0], [1.2, 0.5, 0.0], [distance, 0.0, 0.0]])


def _loss(potential: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    found = potential(dict(batch))
    # Labels of another size, so that the two terms do not vanish together.
    loss: Tensor = (found[ENERGY] - 1).square().mean() + found[FORCES].square().mean()
    return loss
