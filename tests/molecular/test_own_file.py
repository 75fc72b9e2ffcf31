"""A user's own file from the command line: what is refused, said, and scored apart."""

from __future__ import annotations

from pathlib import Path

import ase.io
import ase.units
import molecular_specs
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from emt_frames import frames_from, rattled
from molecular_specs import alloys, specify, task

from bench.store.record import Record
from bench.store.store import Store
from bench.suite import main
from bench.text.errors import BadInput
from suites.molecular.data.splits import split_frames, split_of
from suites.molecular.problems.catalogue import DataOptions, get_problem, load_frames

COMMAND = ["molecular", "--budget", "smoke", "--device", "cpu", "--jobs", "1", "--no-baseline"]
COMMAND += ["--model", "schnet:4x1", "--steps", "2", "--batch", "4", "--evaluations", "1"]
COMMAND += ["--energy-unit", "eV", "--split", "random"]


def write(path: Path, images: list[Atoms], energy: float = 1.0, force: float = 1.0) -> Path:
    """The images as extended XYZ with their labels times a factor."""
    for atoms in images:
        labels = {"energy": energy * atoms.get_potential_energy()}
        labels["forces"] = force * atoms.get_forces()
        atoms.calc = SinglePointCalculator(atoms, **labels)
    ase.io.write(path, images, format="extxyz")
    return path


def with_emt(images: list[Atoms]) -> list[Atoms]:
    frames_from(images)  # attaches the calculators
    return images


def trained(out: Path, path: Path, *arguments: str) -> Record:
    command = [*COMMAND, "--problem", str(path), "--out", str(out), "--arm", "irelu"]
    assert main([*command, *arguments]) == 0
    (record,) = Store(out).records()
    return record


def refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], path: Path, *arguments: str) -> str:
    out = tmp_path / "out"
    command = [*COMMAND, "--problem", str(path), "--out", str(out)]
    assert main([*command, *(arguments or ("--arm", "irelu"))]) == 2
    err = capsys.readouterr().err
    assert err.startswith("bench: ") and err.count("\n") == 1
    assert not out.exists()
    return err


def test_forces_that_are_all_0_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "flat.xyz", with_emt(rattled(20)), force=0.0)
    specify("schnet:4x1", "baseline", "--energy-unit", "eV", problem=str(path))
    assert "flat.xyz: the forces of all 20 frames are exactly 0" in capsys.readouterr().err
    path = write(tmp_path / "some.xyz", with_emt(rattled(20)))
    specify("schnet:4x1", "baseline", "--energy-unit", "eV", problem=str(path))
    assert "exactly 0" not in capsys.readouterr().err


# --- units ------------------------------------------------------------------------------------


def test_a_contradiction_is_said_at_once_and_kept_in_the_record(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "atomic.extxyz", with_emt(rattled(40)), force=ase.units.Bohr)
    record = trained(tmp_path / "out", path)
    (text,) = [text for text in record.warnings if "contradict" in text]
    assert "(--force-unit eV/Bohr)" in text
    # Before the run, once.
    first = capsys.readouterr().err.splitlines()[0]
    assert first == f"bench: {path}: {text}"
    right = trained(tmp_path / "right", path, "--force-unit", "ev/bohr")
    assert not [text for text in right.warnings if "contradict" in text]
    wrong = record.metrics["MAE_F"].final
    assert wrong is not None
    assert right.metrics["MAE_F"].final == pytest.approx(wrong / ase.units.Bohr, rel=0.05)


# --- elements ---------------------------------------------------------------------------------


def one_with_gold(tmp_path: Path, seed: int = 0) -> Path:
    """Frames of copper, and one with gold that falls into the test set of the seed."""
    images = rattled(40)
    for atoms in images:
        atoms.numbers[:] = 29
    images[int(split_frames(40, kind="random", seed=seed).test[0])].numbers[0] = 79
    return write(tmp_path / "gold.extxyz", with_emt(images))


def test_an_element_that_only_test_frames_have_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    err = refused(tmp_path, capsys, one_with_gold(tmp_path))
    assert "no training frame has Au, which 1 of 4 test frames and 0 of 4 validation" in err
    assert "--unseen-elements apart" in err


def test_frames_of_unseen_elements_are_scored_apart(tmp_path: Path) -> None:
    path = one_with_gold(tmp_path)
    record = trained(tmp_path / "out", path, "--unseen-elements", "apart")
    assert record.task["scored"] == {"train": 32, "val": 4, "test": 3, "unseen": 1}
    for name in ("MAE_E", "MAE_F", "MAE_F_kcal"):
        assert f"unseen_{name}" in record.metrics
        assert record.units[f"unseen_{name}"] == record.units[name]
    assert record.units["unseen_loss"] == record.units["test_loss"]
    assert any("no training frame has Au" in text for text in record.warnings)
    # The scores are those of the same network without the frame.
    built = task(
        "schnet:4x1", "irelu", *COMMAND[-4:], "--unseen-elements", "apart", problem=str(path)
    )
    energies, _ = built.predict("test")
    kept = np.setdiff1d(built.split.test, built.split.test[:1])
    frames = load_frames(get_problem(str(path)), DataOptions(energy_unit="eV")).select(kept)
    assert 79 not in frames.numbers
    assert built.evaluate().metrics["MAE_E"] == pytest.approx(
        np.abs(energies - frames.energies).mean()
    )


def test_the_choice_changes_no_run_without_such_frames(tmp_path: Path) -> None:
    path = molecular_specs.write_alloys(tmp_path / "alloys.extxyz")
    options = [*COMMAND[-4:], "--batch", "4"]
    one = specify("schnet:4x1", "baseline", *options, problem=str(path))
    other = specify(
        "schnet:4x1", "baseline", *options, "--unseen-elements", "apart", problem=str(path)
    )
    assert one == other and "unseen_elements" not in one.settings
    assert "copies" not in one.settings["split"]


# --- copies -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["random", "blocks"])
def test_all_copies_of_a_frame_are_in_one_part(tmp_path: Path, kind: str) -> None:
    # A walk there and back, which is a trajectory.
    images, steps = rattled(1) * 40, np.random.default_rng(1).normal(0.0, 0.02, (40, 8, 3))
    images = [
        Atoms(a, positions=a.positions + s) for a, s in zip(images, steps.cumsum(0), strict=True)
    ]
    order = np.concatenate([np.arange(40), np.arange(40)[::-1]])
    path = write(tmp_path / "twice.extxyz", with_emt([images[k].copy() for k in order]))
    options = ("--energy-unit", "eV", "--split", kind, *(("--gap", "0") * (kind == "blocks")))
    for seed in range(5):
        spec = specify(
            "schnet:4x1", "baseline", *options, "--batch", "2", problem=str(path), seed=seed
        )
        frames = load_frames(get_problem(str(path)), DataOptions(**spec.settings["file"]))
        split = split_of(frames, seed, {**spec.settings["split"], "n_train": None})
        parts = [set(order[rows]) for rows in (split.train, split.val, split.test)]
        assert all(parts)
        assert not (parts[0] & parts[1] or parts[0] & parts[2] or parts[1] & parts[2])
        if kind == "random":
            assert [len(part) for part in parts] == [32, 4, 4]
    (text,) = frames.warnings
    assert "40 of 80 frames are copies of an earlier one" in text
    assert "energies differ" not in text


def test_copies_with_other_energies_say_so(tmp_path: Path) -> None:
    images = with_emt([*rattled(20), *rattled(2)])
    path = write(tmp_path / "noisy.extxyz", images)
    text = path.read_text().splitlines()
    text[1] = text[1].replace("energy=", "energy=1")  # 10 to 100 eV more
    path.write_text("\n".join(text) + "\n")
    (said,) = load_frames(get_problem(str(path)), DataOptions(energy_unit="eV")).warnings
    assert "2 of 22 frames are copies" in said and "energies differ by up to" in said


def test_two_distinct_frames_are_no_data_set(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "two.extxyz", with_emt(rattled(2) + rattled(2) + rattled(2)))
    assert "at least 3 different frames, got 2" in refused(tmp_path, capsys, path)


# --- labels -----------------------------------------------------------------------------------


def test_standardize_is_refused_where_compositions_explain_the_energies(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = alloys(40)
    for atoms in images:
        energy = -3.7 * (atoms.numbers == 29).sum() - 3.2 * (atoms.numbers == 79).sum()
        atoms.calc.results["energy"] = energy
    ase.io.write(tmp_path / "sums.extxyz", images, format="extxyz")
    path = tmp_path / "sums.extxyz"
    err = refused(tmp_path, capsys, path, "--arm", "standardize")
    assert "2 elements explain those of 32 training frames to rounding" in err
    assert "rescale=1" in err
    with pytest.raises(BadInput, match="explain those"):
        specify("schnet:4x1", "rescale-weights", *COMMAND[-4:], problem=str(path))
    record = trained(tmp_path / "out", path)
    assert record.status == "done" and record.task["scale"]["factor"] == 1.0
