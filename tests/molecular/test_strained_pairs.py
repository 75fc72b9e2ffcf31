"""Stresses that contradict the energies, told by pairs of frames before anything is trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import units
from molecular_specs import run
from strained import write_strained

from suites.molecular.data.ase_file import read_ase
from suites.molecular.data.examined import examined
from suites.molecular.data.frames import Frames
from suites.molecular.data.strained_pairs import stress_factor
from suites.molecular.stress_check import unchecked_stress


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Frames:
    return read_ase(write_strained(tmp_path_factory.mktemp("cu") / "cu.extxyz", 40), "eV")


def scaled(frames: Frames, factor: float) -> Frames:
    assert frames.stresses is not None
    return replace(frames, stresses=factor * frames.stresses)


@pytest.mark.parametrize("factor", [1.0, -1.0, 1 / units.GPa, units.GPa, units.Bohr**3])
def test_the_factor_is_found(frames: Frames, factor: float) -> None:
    found = stress_factor(scaled(frames, factor))
    assert found is not None and found[1] > 40
    assert found[0] == pytest.approx(factor, rel=0.3)
    said = examined(scaled(frames, factor), None, None).warnings
    assert len(said) == (factor != 1.0)
    assert all("energies and stresses contradict" in text for text in said)


def test_a_turn_of_the_axes_changes_nothing(frames: Frames) -> None:
    turn, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))
    assert frames.stresses is not None
    turned = replace(
        frames,
        positions=frames.positions @ turn,
        forces=frames.forces @ turn,
        cells=frames.cells @ turn,
        stresses=-turn.T @ frames.stresses @ turn,
    )
    assert stress_factor(turned) == pytest.approx(stress_factor(scaled(frames, -1.0)))


def test_images_of_atoms_change_nothing(frames: Frames) -> None:
    moved = frames.positions.reshape(len(frames), -1, 3).copy()
    moved[::2, 1] += frames.cells[::2, 0]
    there = scaled(replace(frames, positions=moved.reshape(-1, 3)), -1.0)
    assert stress_factor(there) == pytest.approx(stress_factor(scaled(frames, -1.0)))


def test_cells_that_lie_opposite_are_no_pair(frames: Frames) -> None:
    """Their mean has no volume."""
    cells = frames.cells.copy()
    cells[0] = -cells[1]
    found = stress_factor(replace(frames, cells=cells))
    assert found is not None and found[0] == 1.0


@pytest.mark.parametrize("kind", ["unrelated", "one cell", "few"])
def test_nothing_is_said_where_nothing_tells(frames: Frames, kind: str) -> None:
    random = np.random.default_rng(0)
    changed = {
        "unrelated": replace(frames, stresses=random.normal(size=(len(frames), 3, 3))),
        "one cell": replace(frames, cells=np.tile(frames.cells[:1], (len(frames), 1, 1))),
        "few": frames.select(np.arange(3)),
    }[kind]
    assert stress_factor(changed) is None
    assert not any("stresses" in text for text in examined(changed, None, None).warnings)
    (said,) = unchecked_stress(changed, 1.0)
    assert "could not be checked" in said
    assert unchecked_stress(changed, 0.0) == []


def test_a_run_that_trains_on_wrong_stresses_says_so(tmp_path: Path) -> None:
    path = write_strained(tmp_path / "cu.extxyz", 40)
    own = ("--energy-unit", "eV", "--split", "random", "--stress-weight", "1", "--steps", "4")
    wrong = run(tmp_path, "schnet:4x1", "baseline", *own, "--stress-unit", "GPa", problem=str(path))
    assert any("energies and stresses contradict" in text for text in wrong.warnings)
    right = run(tmp_path, "schnet:4x1", "baseline", *own, problem=str(path))
    assert not any("stresses" in text for text in right.warnings)
