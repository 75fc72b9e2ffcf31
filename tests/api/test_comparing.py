"""Differences and leaderboards as data frames."""

from __future__ import annotations

from pathlib import Path

import pytest
from stored_runs import factors, filled, ranked, specs

import bench
from bench.text.errors import BadInput

ERRORS = factors({"baseline": 1.0, "irelu": 0.5})


@pytest.fixture
def one(tmp_path: Path) -> Path:
    store = filled(tmp_path / "one", specs(["baseline", "irelu"]), ERRORS)
    ranked(store, {"baseline": 1e-3, "irelu": 3e-3}, ERRORS)
    return store.root


@pytest.fixture
def two(tmp_path: Path) -> Path:
    errors = factors({"baseline": 0.6, "irelu": 0.5})
    return filled(tmp_path / "two", specs(["baseline", "irelu"]), errors).root


def test_a_difference_as_frames(one: Path, two: Path, tmp_path: Path) -> None:
    found = bench.load(one).difference(two)
    frame = found.frame().set_index("arm")
    assert frame.loc["baseline", "error ratio"] == pytest.approx(0.6)
    assert frame.loc["irelu", "B is"] == "equal to the last bit"
    assert not found.equal
    assert len(found.runs()) == 30
    assert found.conditions().empty
    assert list(found.verdicts()["differs"]) == ["no"]
    assert "15 of 30" in str(found)
    assert found.report(tmp_path / "page.html").is_file()


def test_sides_in_every_form(one: Path, two: Path) -> None:
    assert bench.difference(one, bench.load(one)).equal
    assert bench.difference(f"{one}:night", f"{one}:night").equal
    assert bench.load(one).difference("night").conditions()["what"].tolist() == ["learning rate"]
    assert bench.difference("night", two, store=one).frame()["pairs"].tolist() == [15, 15]
    with pytest.raises(BadInput, match="did you mean 'night'"):
        bench.difference("nigth", two, store=one)


def test_a_leaderboard_as_a_frame(one: Path) -> None:
    frame = bench.load(one).leaderboard()
    assert frame["arm"].tolist() == ["irelu", "irelu"]
    assert frame["tuned"].tolist() == [False, True]
    assert frame["ratio"].to_numpy() == pytest.approx([0.5, 0.5], rel=0.05)
    (left_out,) = frame.attrs["left_out"].values()
    assert left_out["tuning trials"] == 24
    with pytest.raises(BadInput, match="did you mean 'quick'"):
        bench.load(one).leaderboard(budget="quik")
