"""Splits: disjoint, with exact gaps, reproducible, nested for learning curves."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest

from bench.text.errors import BadInput
from suites.molecular.data.splits import Split, split_frames

#: (count, blocks, gap)
CUTS = [
    (1000, 20, 0),
    (1000, 20, 1),
    (1000, 20, 10),
    (1000, 20, 24),
    (1013, 20, 7),
    (997, 10, 3),
    (64, 8, 3),
    (10, 3, 1),
    (3, 3, 0),
    (20_000, 50, 100),
]
SEEDS = range(12)


def distance(one: np.ndarray, other: np.ndarray) -> int:
    """Smallest distance in time of two frames of the two sets."""
    return int(np.abs(one[:, None] - other[None, :]).min())


@pytest.mark.parametrize(("count", "blocks", "gap"), CUTS)
def test_blocks_are_disjoint_and_complete(count: int, blocks: int, gap: int) -> None:
    for seed in SEEDS:
        split = split_frames(count, kind="blocks", seed=seed, blocks=blocks, gap=gap)
        rows = np.concatenate([split.train, split.val, split.test])
        assert len(np.unique(rows)) == len(rows)
        assert rows.min() >= 0
        assert rows.max() < count
        assert len(rows) + split.dropped == count
        for part in (split.train, split.val, split.test):
            assert part.dtype == np.int64
            assert len(part)
            assert (np.diff(part) > 0).all()


@pytest.mark.parametrize(("count", "blocks", "gap"), [cut for cut in CUTS if cut[0] < 2000])
def test_the_gap_is_kept(count: int, blocks: int, gap: int) -> None:
    for seed in SEEDS:
        split = split_frames(count, kind="blocks", seed=seed, blocks=blocks, gap=gap)
        assert distance(split.train, split.val) > gap
        assert distance(split.train, split.test) > gap
        assert distance(split.val, split.test) > gap


@pytest.mark.parametrize(("count", "blocks", "gap"), CUTS)
def test_no_frame_is_dropped_without_need(count: int, blocks: int, gap: int) -> None:
    """Every dropped frame is within the gap of a smaller set, whose frames are all kept."""
    for seed in SEEDS:
        split = split_frames(count, kind="blocks", seed=seed, blocks=blocks, gap=gap)
        without = split_frames(count, kind="blocks", seed=seed, blocks=blocks)
        np.testing.assert_array_equal(split.test, without.test)
        role = np.full(count, -1)
        for rank, part in enumerate((without.train, without.val, without.test)):
            role[part] = rank
        kept = np.zeros(count, dtype=bool)
        kept[np.concatenate([split.train, split.val, split.test])] = True
        for frame in np.flatnonzero(~kept):
            near = role[max(0, frame - gap) : frame + gap + 1]
            assert (near > role[frame]).any()
        borders = sum(a != b for a, b in pairwise(role))
        assert split.dropped == borders * gap


@pytest.mark.parametrize("seed", SEEDS)
def test_blocks_are_whole(seed: int) -> None:
    split = split_frames(1000, kind="blocks", seed=seed)
    for part, blocks in ((split.train, 16), (split.val, 2), (split.test, 2)):
        found, counts = np.unique(part // 50, return_counts=True)
        assert len(found) == blocks
        assert (counts == 50).all()


def test_blocks_are_drawn() -> None:
    tests = {tuple(split_frames(100, kind="blocks", seed=seed).test) for seed in range(30)}
    assert len(tests) > 20


@pytest.mark.parametrize("kind", ["blocks", "random"])
@pytest.mark.parametrize("count", [1000, 1019, 99_999])
def test_eighty_ten_ten(kind: str, count: int) -> None:
    split = split_frames(count, kind=kind, seed=3)
    assert len(split.train) == pytest.approx(0.8 * count, rel=0.01)
    assert len(split.val) == pytest.approx(0.1 * count, rel=0.03)
    assert len(split.test) == pytest.approx(0.1 * count, rel=0.03)
    assert split.dropped == 0


def test_random_is_over_all_frames() -> None:
    split = split_frames(2000, kind="random", seed=0)
    rows = np.concatenate([split.train, split.val, split.test])
    np.testing.assert_array_equal(np.sort(rows), np.arange(2000))
    # Most test frames have a neighbour in time to train on: what the blocks are there to prevent.
    neighbours = np.isin(split.test + 1, split.train) | np.isin(split.test - 1, split.train)
    assert neighbours.mean() > 0.8


def same(one: Split, other: Split) -> bool:
    return all(
        np.array_equal(getattr(one, name), getattr(other, name))
        for name in ("train", "val", "test")
    )


@pytest.mark.parametrize("kind", ["blocks", "random"])
def test_the_seed_decides(kind: str) -> None:
    one, again, other = (
        split_frames(500, kind=kind, seed=seed, n_train=50, n_val=9, n_test=8) for seed in (1, 1, 2)
    )
    assert same(one, again)
    assert not same(one, other)
    assert one.summary() == again.summary()
    assert one.summary()["digest"] != other.summary()["digest"]


@pytest.mark.parametrize("kind", ["blocks", "random"])
@pytest.mark.parametrize("seed", range(5))
def test_learning_curves_add_frames(kind: str, seed: int) -> None:
    full = split_frames(1000, kind=kind, seed=seed)
    previous = np.array([], dtype=np.int64)
    for n in (1, 10, 100, 400, len(full.train)):
        split = split_frames(1000, kind=kind, seed=seed, n_train=n)
        assert len(split.train) == n
        assert np.isin(previous, split.train).all()
        assert np.isin(split.train, full.train).all()
        np.testing.assert_array_equal(split.val, full.val)
        np.testing.assert_array_equal(split.test, full.test)
        previous = split.train
    np.testing.assert_array_equal(previous, full.train)


def test_parts_are_taken_from_their_own_frames() -> None:
    full = split_frames(1000, kind="blocks", seed=0, gap=5)
    few = split_frames(1000, kind="blocks", seed=0, gap=5, n_train=100, n_val=20, n_test=30)
    assert (len(few.train), len(few.val), len(few.test)) == (100, 20, 30)
    for name in ("train", "val", "test"):
        assert np.isin(getattr(few, name), getattr(full, name)).all()
    assert few.dropped == full.dropped
    # At random, not the first ones.
    assert few.train.max() > 500


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"n_train": 801}, "801 training frames asked for; there are 800"),
        ({"n_val": 101}, "101 validation frames asked for; there are 100"),
        ({"n_test": 1000}, "1000 test frames asked for; there are 100"),
        ({"n_train": 0}, "0 training frames asked for"),
        ({"n_test": -1}, "-1 test frames asked for"),
    ],
)
def test_more_frames_than_there_are(asked: dict[str, int], message: str) -> None:
    for kind in ("blocks", "random"):
        with pytest.raises(BadInput, match=message):
            split_frames(1000, kind=kind, seed=0, **asked)


@pytest.mark.parametrize(
    ("count", "blocks", "gap"), [(10, 20, 0), (0, 20, 0), (1000, 20, 25), (100, 20, 3)]
)
def test_too_few_frames_for_the_blocks(count: int, blocks: int, gap: int) -> None:
    with pytest.raises(BadInput, match=f"{count} frames in {blocks} blocks .*gap of {gap}"):
        split_frames(count, kind="blocks", seed=0, blocks=blocks, gap=gap)


def test_the_number_of_frames_that_the_error_asks_for_is_enough() -> None:
    with pytest.raises(BadInput, match="at least 140 frames"):
        split_frames(139, kind="blocks", seed=0, gap=3)
    for seed in range(50):
        assert len(split_frames(140, kind="blocks", seed=seed, gap=3).train)


@pytest.mark.parametrize("arguments", [{"blocks": 2}, {"blocks": 0}, {"gap": -1}])
def test_blocks_and_gaps_that_are_none(arguments: dict[str, int]) -> None:
    with pytest.raises(BadInput, match="blocks must be at least 3 and gap at least 0"):
        split_frames(1000, kind="blocks", seed=0, **arguments)


def test_random_needs_three_frames_and_has_no_gap() -> None:
    split = split_frames(3, kind="random", seed=0)
    assert len(split.train) == len(split.val) == len(split.test) == 1
    with pytest.raises(BadInput, match="at least 3 different frames, got 2"):
        split_frames(2, kind="random", seed=0)
    with pytest.raises(BadInput, match="no gap"):
        split_frames(100, kind="random", seed=0, gap=2)


def test_unknown_kind() -> None:
    with pytest.raises(BadInput, match=r"'block'; did you mean 'blocks'"):
        split_frames(100, kind="block", seed=0)


def test_the_summary_is_json_and_complete() -> None:
    split = split_frames(1000, kind="blocks", seed=0, gap=5, n_train=100)
    summary = split.summary()
    assert json.loads(json.dumps(summary)) == summary
    assert summary["kind"] == "blocks"
    assert (summary["blocks"], summary["gap"]) == (20, 5)
    assert summary["n_train"] == 100
    assert summary["dropped"] == split.dropped > 0
    assert len(summary["digest"]) == 16


def test_the_digest_tells_which_set_a_frame_is_in() -> None:
    rows = [np.array([0, 1]), np.array([2]), np.array([3])]
    one = Split("random", rows[0], rows[1], rows[2], 0, 0, 0)
    other = Split("random", rows[0][:1], np.array([1, 2]), rows[2], 0, 0, 0)
    assert one.summary()["digest"] != other.summary()["digest"]
