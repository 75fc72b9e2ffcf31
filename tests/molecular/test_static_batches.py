"""Padded batches: the same frames, pairs and triplets as in SchNetPack's batches."""

from __future__ import annotations

import time

import numpy as np
import pytest
import schnetpack.properties as structure
import torch
from potential_frames import KINDS, labelled

from suites.molecular.data.batches import FrameTensors
from suites.molecular.data.frames import Frames
from suites.molecular.data.neighbors import Pairs, neighbor_pairs
from suites.molecular.data.pair_tables import pair_tables
from suites.molecular.data.static_batches import TRIPLETS, UNIQUE, StaticBatch, StaticFrames
from suites.molecular.models.dimenet import triplets

CPU = torch.device("cpu")
CUTOFF = 4.0


def loaded(frames: Frames, cutoff: float = CUTOFF) -> tuple[FrameTensors, StaticFrames]:
    pairs = neighbor_pairs(frames, cutoff)
    labels = frames.energies, frames.forces
    plain = FrameTensors(frames, pairs, *labels, CPU, torch.float64)
    static = StaticFrames(
        frames, pairs, *labels, cutoff, CPU, torch.float64, needs=(UNIQUE, TRIPLETS)
    )
    return plain, static


def vectors(batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """(pairs, 3) of directed pairs."""
    r, i, j = batch[structure.R], batch[structure.idx_i], batch[structure.idx_j]
    return r[j] - r[i] + batch[structure.offsets]


def as_rows(*columns: torch.Tensor) -> list[tuple[float, ...]]:
    """The rows of the columns side by side, rounded, in order."""
    joined = torch.cat([c.double().reshape(len(c), -1) for c in columns], dim=1)
    return sorted(tuple(np.round(row, 9) + 0.0) for row in joined.numpy())


ROWS = np.array([7, 2, 11, 3])


@pytest.fixture(params=KINDS)
def pair_of_batches(request: pytest.FixtureRequest) -> tuple[dict[str, torch.Tensor], StaticBatch]:
    plain, static = loaded(labelled(request.param))
    return plain.batch(ROWS), static.batch(ROWS)


def test_real_rows_are_those_of_a_batch(
    pair_of_batches: tuple[dict[str, torch.Tensor], StaticBatch],
) -> None:
    plain, (layout, padded) = pair_of_batches
    atoms = padded["atom_mask"] == 1
    for key in (structure.R, structure.Z, structure.forces, structure.idx_m):
        assert torch.equal(padded[key][atoms], plain[key])
    for key in (structure.energy, structure.cell):
        assert torch.equal(padded[key], plain[key])
    real = padded["pair_mask"] == 1
    found = (padded[structure.idx_i][real], padded[structure.idx_j][real], vectors(padded)[real])
    expected = (plain[structure.idx_i], plain[structure.idx_j], vectors(plain))
    assert as_rows(*found) == as_rows(*expected)
    assert len(padded[structure.Z]) == layout.atoms
    assert len(real) == layout.pairs
    # Padding stays beyond the cutoff, so that no distance is 0.
    assert (vectors(padded)[~real].norm(dim=1) > CUTOFF).all()


def test_slots_are_the_pairs_of_each_atom(
    pair_of_batches: tuple[dict[str, torch.Tensor], StaticBatch],
) -> None:
    layout, padded = pair_of_batches[1]
    mask = padded["slot_mask"] == 1
    atom = torch.arange(layout.atoms)[:, None].expand_as(mask)
    real = torch.nonzero(padded["pair_mask"]).squeeze(1)
    for slots, key in (("slots", structure.idx_i), ("back_slots", structure.idx_j)):
        assert torch.equal(padded[slots][mask].sort().values, real)
        assert torch.equal(padded[key][padded[slots][mask]], atom[mask])
    forward, back = vectors(padded)[padded["slots"]], vectors(padded)[padded["back_slots"]]
    torch.testing.assert_close(forward[mask], -back[mask], rtol=0, atol=1e-12)
    if layout.grid:
        assert torch.equal(padded["slots"][mask], torch.arange(layout.pairs).view_as(mask)[mask])
    frame = padded["frame_slot_mask"] == 1
    own = torch.arange(layout.frames)[:, None].expand_as(frame)
    assert torch.equal(padded[structure.idx_m][padded["frame_slots"][frame]], own[frame])


def test_unique_pairs_are_half_of_the_pairs(
    pair_of_batches: tuple[dict[str, torch.Tensor], StaticBatch],
) -> None:
    plain, (_, padded) = pair_of_batches
    real = padded["unique_mask"] == 1
    first, second = padded["first"], padded["second"]
    r = padded[structure.R][second] - padded[structure.R][first] + padded["offset"]
    both = [torch.cat([a[real], b[real]]) for a, b in ((first, second), (second, first), (r, -r))]
    assert as_rows(*both) == as_rows(plain[structure.idx_i], plain[structure.idx_j], vectors(plain))
    assert (r[~real].norm(dim=1) > CUTOFF).all()
    mask, sign = padded["slot_mask"] == 1, padded["slot_sign"]
    assert torch.equal(sign.abs(), padded["slot_mask"])
    atom = torch.arange(len(mask))[:, None].expand_as(mask)
    pair, other = padded["slot_pair"], padded["slot_other"]
    assert torch.equal(torch.where(sign > 0, first[pair], second[pair])[mask], atom[mask])
    assert torch.equal(torch.where(sign > 0, second[pair], first[pair])[mask], other[mask])
    in_slots = (sign[..., None] * r[pair])[mask]
    torch.testing.assert_close(in_slots, vectors(padded)[padded["slots"]][mask], rtol=0, atol=1e-12)


def test_triplets_are_those_of_dimenet(
    pair_of_batches: tuple[dict[str, torch.Tensor], StaticBatch],
) -> None:
    plain, (_, padded) = pair_of_batches
    r = vectors(plain)
    ji, kj = triplets(plain[structure.idx_i], plain[structure.idx_j], r, len(plain[structure.Z]))
    i, j = padded[structure.idx_i], padded[structure.idx_j]
    real = padded["triplet_mask"] == 1
    own, other = padded["ji"][real], padded["kj"][real]
    s = vectors(padded)
    found = as_rows(i[own], j[own], j[other], s[own], s[other])
    of_plain = plain[structure.idx_i], plain[structure.idx_j]
    assert found == as_rows(of_plain[0][ji], of_plain[1][ji], of_plain[1][kj], r[ji], r[kj])
    for name in ("ji", "kj"):
        mask = padded[f"{name}_mask"] == 1
        members = padded[f"{name}_slots"][mask]
        assert torch.equal(members.sort().values, torch.nonzero(real).squeeze(1))
        pair = torch.arange(len(mask))[:, None].expand_as(mask)
        assert torch.equal(padded[name][members], pair[mask])


def test_molecules_of_one_kind_have_one_shape_without_padding() -> None:
    frames = labelled("molecule")
    _, static = loaded(frames, cutoff=20.0)
    found = {static.layout(np.array(rows)) for rows in ([0, 1], [5, 3], [7, 7])}
    (layout,) = found
    assert layout.full and layout.same_size and layout.triplet_grid
    assert layout.pairs == layout.atoms * layout.slots == 2 * 9 * 8


@pytest.mark.parametrize("kind", ["mixture", "periodic"])
def test_a_mixture_has_few_shapes_and_little_padding(kind: str) -> None:
    plain, static = loaded(labelled(kind))
    random = np.random.default_rng(0)
    shapes, real, padded = set(), 0, 0
    for _ in range(200):
        rows = random.permutation(len(static))[:10]
        layout = static.layout(rows)
        shapes.add(layout)
        real += len(plain.batch(rows)[structure.idx_i])
        padded += layout.pairs
    assert len(shapes) <= 4
    assert padded < 1.4 * real


def test_a_list_without_reverse_pairs_is_refused() -> None:
    frames = labelled("molecule")
    pairs = neighbor_pairs(frames, CUTOFF)
    last = len(pairs.idx_i) - 1
    first = np.minimum(pairs.first, last)
    short = Pairs(first, pairs.idx_i[:-1], pairs.idx_j[:-1], pairs.offsets[:-1])
    with pytest.raises(ValueError, match="reverse"):
        pair_tables(frames, short, CUTOFF)


def test_frames_of_single_atoms_have_no_pairs() -> None:
    plain, static = loaded(labelled("atoms"))
    rows = np.array([0, 1])
    layout, padded = static.batch(rows)
    assert not padded["slot_mask"].any() and not padded["pair_mask"].any()
    assert torch.equal(padded[structure.R], plain.batch(rows)[structure.R])
    assert layout.frames == 2


def test_a_batch_takes_little_time() -> None:
    _, static = loaded(labelled("molecule"), cutoff=20.0)
    rows = np.arange(10)
    static.batch(rows)
    times = []
    for _ in range(50):
        start = time.thread_time()
        static.batch(rows)
        times.append(time.thread_time() - start)
    assert min(times) < 1e-3
