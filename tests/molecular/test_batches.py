"""Batches against those of SchNetPack's own database and loader, and their order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import schnetpack.properties as structure
import torch
from ase import Atoms
from ase.build import bulk, fcc111, molecule
from schnetpack.data import AtomsLoader
from schnetpack.data.atoms import ASEAtomsData
from schnetpack.transform import ASENeighborList, CastTo32, MatScipyNeighborList
from torch import Tensor

from bench.spec.randomness import numpy_generator
from bench.text.errors import BadInput
from suites.molecular.data.batches import Batches, FrameTensors
from suites.molecular.data.frames import Frames
from suites.molecular.data.neighbors import Pairs, neighbor_pairs
from suites.molecular.testing.geometries import frames_of

CUTOFF = 5.0
CPU = torch.device("cpu")
ROWS = np.array([3, 0, 4])


def displaced(atoms: Atoms, seed: int) -> Atoms:
    atoms.positions += np.random.default_rng(seed).normal(0, 0.1, atoms.positions.shape)
    return atoms


def mixed() -> list[Atoms]:
    """Molecules, a crystal smaller than the cutoff, a slab and an atom without neighbours."""
    made = [
        molecule("CH3CH2OH"),
        Atoms("He", [[0, 0, 0]]),
        molecule("H2O"),
        bulk("MgO", "rocksalt", 4.2),
        fcc111("Al", (2, 1, 2), vacuum=6.0),
    ]
    return [displaced(atoms, seed) for seed, atoms in enumerate(made)]


def one_molecule() -> list[Atoms]:
    return [displaced(molecule("CH3CH2OH"), seed) for seed in range(6)]


def labelled(structures: list[Atoms]) -> Frames:
    """The structures with random labels."""
    random = np.random.default_rng(7)
    frames = frames_of(structures)
    energies = random.normal(0, 10, len(frames))
    return replace(frames, energies=energies, forces=random.normal(0, 1, frames.forces.shape))


def tensors_of(frames: Frames, dtype: torch.dtype = torch.float64) -> FrameTensors:
    pairs = neighbor_pairs(frames, CUTOFF)
    return FrameTensors(frames, pairs, frames.energies, frames.forces, CPU, dtype)


def schnetpack_batch(
    path: Path, atoms: list[Atoms], frames: Frames, transforms: list[torch.nn.Module]
) -> dict[str, Tensor]:
    """What SchNetPack's loader makes of the frames `ROWS` of its own database."""
    data = ASEAtomsData.create(
        str(path / "frames.db"),
        distance_unit="Ang",
        property_unit_dict={"energy": "eV", "forces": "eV/Ang"},
        transforms=transforms,
    )
    labels = [
        {
            "energy": frames.energies[k : k + 1],
            "forces": frames.forces[frames.first[k] : frames.first[k + 1]],
        }
        for k in range(len(frames))
    ]
    data.add_systems(labels, atoms)
    return next(iter(AtomsLoader(data.subset(ROWS.tolist()), batch_size=len(ROWS))))


def in_order(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """The batch with its pairs sorted."""
    names = (structure.idx_i, structure.idx_j, structure.offsets)
    idx_i, idx_j, offsets = (batch[name] for name in names)
    keys = np.round(offsets.double().numpy(), 3).T
    order = torch.from_numpy(np.lexsort((*keys, idx_j.numpy(), idx_i.numpy())))
    return batch | {name: batch[name][order] for name in names}


@pytest.mark.parametrize("make", [one_molecule, mixed])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("neighbor_list", [ASENeighborList, MatScipyNeighborList])
def test_a_batch_is_that_of_schnetpack(
    tmp_path: Path, make: Callable[[], list[Atoms]], dtype: torch.dtype, neighbor_list: type
) -> None:
    atoms = make()
    frames = labelled(atoms)
    cast = [CastTo32()] if dtype == torch.float32 else []
    transforms = [neighbor_list(cutoff=CUTOFF), *cast]
    expected = in_order(schnetpack_batch(tmp_path, atoms, frames, transforms))
    batch = in_order(tensors_of(frames, dtype).batch(ROWS))
    # Indices of atoms within their frames, which SchNetPack's loader adds and no model reads.
    assert set(expected) - set(batch) == {structure.lidx_i, structure.lidx_j}
    assert set(batch) <= set(expected)
    assert len(batch[structure.idx_i]) > 100
    for key, tensor in batch.items():
        assert tensor.dtype == expected[key].dtype, key
        assert tensor.shape == expected[key].shape, key
        if key == structure.offsets:
            torch.testing.assert_close(tensor, expected[key], rtol=1e-6, atol=1e-9)
        else:
            assert torch.equal(tensor, expected[key]), key


@pytest.mark.parametrize("make", [one_molecule, mixed])
def test_a_frame_may_come_twice_and_in_any_order(make: Callable[[], list[Atoms]]) -> None:
    tensors = tensors_of(labelled(make()))
    rows = np.array([4, 1, 4])
    batch = tensors.batch(rows)
    alone = [tensors.batch(np.array([row])) for row in rows]
    starts = np.cumsum([0, *(int(each[structure.n_atoms]) for each in alone)])[:-1].tolist()
    for key, tensor in batch.items():
        parts = [each[key] for each in alone]
        if key in (structure.idx_i, structure.idx_j):
            parts = [part + start for part, start in zip(parts, starts, strict=True)]
        elif key == structure.idx_m:
            parts = [part + k for k, part in enumerate(parts)]
        assert torch.equal(tensor, torch.cat(parts)), key


def test_frames_of_one_size_may_differ_in_their_atoms() -> None:
    atoms = [displaced(molecule(name), 0) for name in ("H2O", "CO2", "O3", "HCN")]
    batch = tensors_of(labelled(atoms)).batch(np.array([3, 1]))
    assert batch[structure.Z].tolist() == [*atoms[3].numbers, *atoms[1].numbers]
    np.testing.assert_array_equal(batch[structure.R][3:].numpy(), atoms[1].positions)


def test_labels_are_those_given_and_not_those_of_the_frames() -> None:
    frames = labelled(mixed())
    # float32 resolves 0.03 near such energies, but the labels have lost their offset before.
    raw = replace(frames, energies=frames.energies - 4e5)
    pairs = neighbor_pairs(frames, CUTOFF)
    energies, forces = (raw.energies + 4e5) / 2, raw.forces / 2
    batch = FrameTensors(raw, pairs, energies, forces, CPU, torch.float32).batch(ROWS)
    np.testing.assert_allclose(batch["energy"].numpy(), frames.energies[ROWS] / 2, rtol=1e-6)
    expected = frames.forces[: frames.first[1]] / 2
    found = batch["forces"][batch[structure.idx_m] == 1]
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("make", [one_molecule, mixed])
def test_a_batch_may_be_changed_in_place(make: Callable[[], list[Atoms]]) -> None:
    frames = labelled(make())
    pairs = neighbor_pairs(frames, CUTOFF)
    energies, forces = frames.energies.copy(), frames.forces.copy()
    tensors = FrameTensors(frames, pairs, energies, forces, CPU, torch.float64)
    everything = np.arange(len(frames))
    before = tensors.batch(everything)
    kept = {key: tensor.clone() for key, tensor in before.items()}
    before[structure.R].requires_grad_()
    for key, tensor in before.items():
        if tensor.dtype == torch.bool:
            tensor.logical_not_()
        elif key != structure.R:
            others = {name: other.clone() for name, other in before.items() if name != key}
            tensor.add_(1)
            for name, other in others.items():
                assert torch.equal(before[name], other), f"{key} and {name} share memory"
    with torch.no_grad():
        before[structure.R].zero_()
    # Nor does it matter what becomes of the arrays that it was made from.
    energies += 1
    forces += 1
    frames.positions[:] = 0
    pairs.idx_i[:] = 0
    after = tensors.batch(everything)
    assert not after[structure.R].requires_grad
    for key, tensor in after.items():
        assert torch.equal(tensor, kept[key]), key


def test_no_pairs_at_all() -> None:
    tensors = tensors_of(labelled([Atoms("He", [[0, 0, 0]]), Atoms("He", [[1, 0, 0]])]))
    batch = tensors.batch(np.array([1, 0]))
    assert len(tensors) == 2
    assert batch[structure.idx_i].shape == batch[structure.idx_j].shape == (0,)
    assert batch[structure.offsets].shape == (0, 3)
    assert batch[structure.R].tolist() == [[1, 0, 0], [0, 0, 0]]


def test_labels_of_another_shape_are_refused() -> None:
    frames = labelled(mixed())
    pairs = neighbor_pairs(frames, CUTOFF)

    def make(pairs: Pairs, energies: np.ndarray, forces: np.ndarray) -> FrameTensors:
        return FrameTensors(frames, pairs, energies, forces, CPU, torch.float64)

    others = neighbor_pairs(frames.select(np.array([0, 1])), CUTOFF)
    with pytest.raises(ValueError, match="the shapes of energies"):
        make(pairs, frames.energies[:, None], frames.forces)
    with pytest.raises(ValueError, match="the shapes of energies"):
        make(pairs, frames.energies, frames.forces[1:])
    with pytest.raises(ValueError, match="the shapes of energies"):
        make(others, frames.energies, frames.forces)


@pytest.mark.gpu
@pytest.mark.parametrize("make", [one_molecule, mixed])
def test_a_batch_on_the_gpu_is_that_of_the_cpu(make: Callable[[], list[Atoms]]) -> None:
    frames = labelled(make())
    pairs = neighbor_pairs(frames, CUTOFF)
    device = torch.device("cuda")
    on_gpu = FrameTensors(frames, pairs, frames.energies, frames.forces, device, torch.float64)
    expected = tensors_of(frames).batch(ROWS)
    for key, tensor in on_gpu.batch(ROWS).items():
        assert tensor.device.type == "cuda", key
        assert torch.equal(tensor.cpu(), expected[key]), key


# --- the order --------------------------------------------------------------------------------


def test_an_epoch_visits_each_row_at_most_once_and_drops_the_last_partial_batch() -> None:
    batches = Batches(count=23, size=5, seed=0)
    epochs = [np.concatenate([batches.next() for _ in range(4)]) for _ in range(3)]
    for epoch, rows in enumerate(epochs):
        assert len(set(rows.tolist())) == 20
        assert set(rows.tolist()) <= set(range(23))
        expected = numpy_generator(0, f"shuffling/{epoch}").permutation(23)[:20]
        np.testing.assert_array_equal(rows, expected)
    assert not np.array_equal(epochs[0], epochs[1])


def test_all_rows_are_seen_where_the_size_divides_their_number() -> None:
    batches = Batches(count=20, size=5, seed=0)
    for _ in range(2):
        assert sorted(np.concatenate([batches.next() for _ in range(4)]).tolist()) == [*range(20)]


def test_a_size_above_the_number_of_rows_is_that_number() -> None:
    batches = Batches(count=3, size=20, seed=0)
    assert sorted(batches.next().tolist()) == sorted(batches.next().tolist()) == [0, 1, 2]


def test_the_order_depends_on_the_seed_alone() -> None:
    first = [Batches(50, 10, seed).next().tolist() for seed in (0, 0, 1)]
    assert first[0] == first[1] != first[2]


@pytest.mark.parametrize("steps", [0, 1, 4, 5, 11])
def test_resumed_batches_are_those_of_the_uninterrupted_run(steps: int) -> None:
    whole, interrupted, resumed = (Batches(23, 5, seed=3) for _ in range(3))
    for _ in range(steps):
        whole.next()
        interrupted.next()
    state = interrupted.state_dict()
    assert all(type(value) is int for value in state.values())
    for _ in range(3):
        interrupted.next()
    resumed.load_state_dict(state)
    for _ in range(10):
        np.testing.assert_array_equal(resumed.next(), whole.next())


@pytest.mark.parametrize(("count", "size"), [(0, 5), (5, 0), (5, -1)])
def test_batches_of_nothing_are_refused(count: int, size: int) -> None:
    with pytest.raises(BadInput, match=r"frames to train on|batch size"):
        Batches(count, size, seed=0)
