"""The table of points, and how a loss term takes its rows from it."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from torch import Tensor

from suites.pinn.engine.rows import Selection, Table, make_table

CPU = torch.device("cpu")

IN_ONE_PIECE = np.arange(3, 9)
IN_FOUR_PIECES = np.array([7, 8, 9, 0, 1, 5, 5, 6])
IN_MANY_PIECES = np.array([9, 0, 4, 4, 2, 7, 8, 1])
POSITIONS = [IN_ONE_PIECE, IN_FOUR_PIECES, IN_MANY_PIECES, np.array([6])]


def pick(table: Table, k: int) -> np.ndarray:
    """The rows of a term, by its selection."""
    return Selection(table.positions[k], CPU).of(torch.tensor(table.points)).numpy()


def assert_table(terms: list[np.ndarray], derived: list[bool]) -> Table:
    """Each term gets its points, each as often as in one term, those with derivatives first."""
    table = make_table(terms, derived)
    assert table.points.dtype == terms[0].dtype
    for k, term in enumerate(terms):
        if len(term):
            assert np.array_equal(pick(table, k), term), k
    most: Counter[bytes] = Counter()
    for term in terms:
        most |= Counter(point.tobytes() for point in term)
    assert Counter(point.tobytes() for point in table.points) == most
    positions = [p for p, of_term in zip(table.positions, derived, strict=True) if of_term]
    needed = np.unique(np.concatenate([np.empty(0, int), *positions]))
    assert np.array_equal(needed, np.arange(table.derivative_rows))
    return table


def pieces(positions: np.ndarray) -> int:
    return 1 + int((np.diff(positions) != 1).sum())


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


# --- the table ----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_inputs", [1, 2, 3])
@pytest.mark.parametrize("seed", range(20))
def test_every_term_gets_its_points(seed: int, n_inputs: int, dtype: type) -> None:
    """Points that terms share, that stand twice in a term, in any order."""
    rng = np.random.default_rng(seed)
    pool = rng.normal(size=(12, n_inputs)).astype(dtype)
    sizes = rng.integers(1, 15, size=rng.integers(1, 5))
    terms = [pool[rng.integers(0, len(pool), size=size)] for size in sizes]
    assert_table(terms, (rng.random(len(terms)) < 0.5).tolist())


def test_points_as_deepxde_has_them_are_few_pieces(rng: np.random.Generator) -> None:
    """The equations hold at the points of the conditions, too."""
    inside, walls, start = (rng.random((n, 2)) for n in (50, 20, 10))
    terms = [np.concatenate([inside, start, walls]), walls, start]
    table = assert_table(terms, [True, False, False])
    assert len(table.points) == table.derivative_rows == 80
    assert [pieces(positions) <= 4 for positions in table.positions] == [True] * 3


def test_points_that_are_scattered_among_the_equations_are_one_piece(
    rng: np.random.Generator,
) -> None:
    points = rng.random((40, 2))
    table = assert_table([points, points[3::5], points[1::5]], [True, False, False])
    assert [pieces(positions) for positions in table.positions[1:]] == [1, 1]


def test_labels_among_the_points_of_the_equations(rng: np.random.Generator) -> None:
    inside, more = rng.random((40, 2)), rng.random((5, 2))
    labels = np.concatenate([inside[[30, 3, 17]], more])
    table = assert_table([inside, labels], [True, False])
    assert (len(table.points), table.derivative_rows) == (45, 40)


def test_a_point_that_any_term_derives_at_has_derivatives(rng: np.random.Generator) -> None:
    shared, own = rng.random((6, 2)), rng.random((4, 2))
    table = assert_table([np.concatenate([own, shared]), shared[::-1]], [False, True])
    assert (len(table.points), table.derivative_rows) == (10, 6)


def test_no_term_derives(rng: np.random.Generator) -> None:
    points = rng.random((5, 2))
    assert assert_table([points, points[::2]], [False, False]).derivative_rows == 0


def test_a_term_may_have_no_points(rng: np.random.Generator) -> None:
    points = rng.random((5, 2))
    table = assert_table([points, points[:0], points[3:]], [False, True, True])
    assert [len(positions) for positions in table.positions] == [5, 0, 2]


def test_a_coincidence_of_two_draws_changes_no_shape(rng: np.random.Generator) -> None:
    """So that one compiled loss serves both."""
    inside, walls = rng.random((50, 2)), rng.random((20, 2))
    found = []
    for first in (rng.random(2), inside[7]):
        drawn = np.concatenate([first[None], inside])
        own = [np.concatenate([drawn, walls]), drawn, walls]
        table = assert_table(own, [True, False, False])
        assert (len(table.points), table.derivative_rows) == (71, 71)
        found.append(table.positions)
    assert all(map(np.array_equal, *found))


def test_points_that_differ_in_the_last_digit_are_two() -> None:
    points = np.array([[0.1, 0.2], [0.1, np.nextafter(0.2, 1)]])
    assert len(assert_table([points, points[1:]], [True, False]).points) == 2


# --- the selection ------------------------------------------------------------------------------


@pytest.mark.parametrize("positions", POSITIONS)
@pytest.mark.parametrize("lead", [(), (3,), (2, 3)])
def test_rows_of_a_table_with_leading_axes(positions: np.ndarray, lead: tuple[int, ...]) -> None:
    table = torch.randn(*lead, 10, 4)
    found = Selection(positions, CPU).of(table)
    assert torch.equal(found, table[..., torch.tensor(positions), :])


@pytest.mark.parametrize("positions", POSITIONS)
@pytest.mark.parametrize("lead", [(), (3,)])
def test_gradients_come_back_to_their_rows(positions: np.ndarray, lead: tuple[int, ...]) -> None:
    """Those of a point that is taken twice add up."""
    table = torch.randn(*lead, 10, 4, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(*lead, len(positions), 4, dtype=torch.float64)
    (found,) = torch.autograd.grad(Selection(positions, CPU).of(table), table, weights)
    wanted = torch.zeros_like(table)
    wanted.index_add_(-2, torch.tensor(positions), weights)
    torch.testing.assert_close(found, wanted, rtol=1e-15, atol=1e-15)


def test_one_piece_is_not_copied() -> None:
    table: Tensor = torch.randn(10, 4)
    found = Selection(IN_ONE_PIECE, CPU).of(table)
    table[4] = 7.0
    assert torch.equal(found[1], table[4])
