"""Validation and test frames in files of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
from molecular_specs import alloys, specify, task

from bench.cli.show import describe
from bench.store.store import Store
from bench.suite import main
from bench.text.errors import BadInput
from suites.molecular.data import parts
from suites.molecular.data.ase_file import read_ase
from suites.molecular.data.frames import content_digest
from suites.molecular.data.parts import joined, named_test_files

UNIT = ["--energy-unit", "eV"]


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """Training, validation, test and far test frames, no two alike."""
    frames, found, first = alloys(60), {}, 0
    for name, count in (("train", 30), ("val", 8), ("test", 12), ("far", 10)):
        found[name] = tmp_path / f"{name}.xyz"
        ase.io.write(found[name], frames[first : first + count], format="extxyz")
        first += count
    return found


def built(files: dict[str, Path], *arguments: str, **given: Any) -> Any:
    return task("schnet:4x1", "baseline", *UNIT, *arguments, problem=str(files["train"]), **given)


def test_each_file_is_its_part(files: dict[str, Path]) -> None:
    separate = ["--val-file", str(files["val"]), "--test-file", str(files["test"])]
    found = built(files, *separate, "--test-file", f"far={files['far']}", seed=3)
    expected = {name: read_ase(path, "eV") for name, path in files.items()}
    assert len(found.training_frames) == 30
    for part, name in (("val", "val"), ("test", "test"), ("test@far", "far")):
        np.testing.assert_array_equal(found.parts[part].positions, expected[name].positions)
        np.testing.assert_array_equal(found.parts[part].energies, expected[name].energies)
    np.testing.assert_array_equal(found.training_frames.positions, expected["train"].positions)
    split = found.description["split"]
    assert (split["kind"], split["n_test"], split["n_further"]) == ("files", 12, {"far": 10})
    # The scores of a further set are those that it has as the only one.
    far = built(files, "--val-file", str(files["val"]), "--test-file", str(files["far"]), seed=3)
    metrics, alone = found.evaluate().metrics, far.evaluate().metrics
    for metric in ("MAE_E", "MAE_F", "RMSE_F", "cos_F"):
        assert metrics[f"{metric}@far"] == alone[metric]
    assert metrics["MAE_F"] != metrics["MAE_F@far"]
    assert found.unit("MAE_F@far") == "eV/Å" and found.unit("cos_F@far") == "1"
    # Training and its held-out loss know nothing of the test sets.
    assert found.scale == far.scale and metrics["val_MAE_F"] == alone["val_MAE_F"]


def test_what_has_no_file_is_drawn_from_the_training_file(files: dict[str, Path]) -> None:
    found = built(files, "--test-file", str(files["test"]))
    assert (len(found.split.train), len(found.split.val), len(found.split.test)) == (27, 3, 12)
    assert found.split.test.min() == 30
    found = built(files, "--val-file", str(files["val"]))
    assert (len(found.split.train), len(found.split.val), len(found.split.test)) == (27, 8, 3)
    assert found.split.val.min() == 30 and found.split.test.max() < 30


def test_sizes_apply_to_every_file(files: dict[str, Path]) -> None:
    both = ["--val-file", str(files["val"]), "--test-file", str(files["test"])]
    found = built(files, *both, "--n-train", "20", "--n-val", "5", "--n-test", "6")
    assert (len(found.split.train), len(found.split.val), len(found.split.test)) == (20, 5, 6)
    fewer = built(files, *both, "--n-test", "4")
    assert set(fewer.split.test) < set(found.split.test)  # a larger number adds frames
    with pytest.raises(BadInput, match="--n-test 13: there are 12 test frames"):
        built(files, *both, "--n-test", "13")
    with pytest.raises(BadInput, match="--n-test 11: there are 10"):
        built(files, *both, "--test-file", f"far={files['far']}", "--n-test", "11")
    for option in (["--split", "random"], ["--gap", "1"]):
        with pytest.raises(BadInput, match=f"{option[0]}.*files of their own"):
            built(files, *both, *option)


def test_the_content_of_every_file_is_part_of_the_run(files: dict[str, Path]) -> None:
    def spec(*tests: str) -> Any:
        words = [word for path in tests for word in ("--test-file", path)]
        return specify("schnet:4x1", "baseline", *UNIT, *words, problem=str(files["train"]))

    one = spec(str(files["test"]))
    assert one.settings["files"] == {"test": [["test", content_digest(files["test"])]]}
    assert len({one.hash, spec().hash, spec(str(files["far"])).hash}) == 3
    moved = files["test"].rename(files["test"].with_name("elsewhere.xyz"))
    assert spec(str(moved)).hash == one.hash
    moved.write_text(files["far"].read_text())
    assert spec(str(moved)).hash == spec(str(files["far"])).hash


def test_a_file_that_changes_before_its_run(files: dict[str, Path]) -> None:
    from molecular_specs import CPU

    from suites.molecular.task import build

    words = [*UNIT, "--test-file", str(files["test"])]
    spec = specify("schnet:4x1", "baseline", *words, problem=str(files["train"]))
    files["test"].write_text(files["far"].read_text())
    with pytest.raises(BadInput, match="test frames 'test' has changed"):
        build(spec, CPU)


def test_frames_that_are_in_two_files_are_said_and_stay(
    files: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = {name: ase.io.read(path, ":") for name, path in files.items()}
    again = tmp_path / "again.xyz"
    both = [*images["test"], *images["train"][3:7], *images["val"][:2]]
    ase.io.write(again, both, format="extxyz")
    words = ["--val-file", str(files["val"]), "--test-file", str(again), "--n-test", "18"]
    found = built(files, *words)
    expected = [
        f"{again}: 4 of the 18 test frames are also training frames, of {files['train']}",
        f"{again}: 2 of the 18 test frames are also validation frames, of {files['val']}",
    ]
    said = capsys.readouterr().err
    assert len(found.warnings) == 2
    for text, warning in zip(expected, found.warnings, strict=True):
        assert warning.startswith(text) and text in said
    assert (len(found.split.train), len(found.split.test)) == (30, 18)
    assert built(files, "--test-file", str(files["test"])).warnings == ()


def test_only_the_training_frames_of_the_split_are_known(
    files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = {name: ase.io.read(path, ":") for name, path in files.items()}
    again = tmp_path / "again.xyz"
    ase.io.write(again, [*images["test"], *images["train"]], format="extxyz")
    words = ["--val-file", str(files["val"]), "--test-file", str(again)]
    found = built(files, *words, "--n-train", "10", "--n-test", "42")
    (text,) = found.warnings
    assert text.startswith(f"{again}: 10 of the 42 test frames are also training frames")
    # Validation frames that are drawn from the training file are no training frames.
    found = built(files, "--test-file", str(again), "--n-test", "42")
    first, second = found.warnings
    assert "27 of the 42 test frames are also training" in first
    assert "3 of the 42 test frames are also validation" in second
    # Looked for once, however many runs ask.
    monkeypatch.setattr(parts, "first_copies", None)
    specify("schnet:4x1", "irelu", *UNIT, *words, problem=str(files["train"]), seed=5)


def test_validation_frames_of_unseen_elements_are_left_out(
    files: dict[str, Path], tmp_path: Path
) -> None:
    images = ase.io.read(files["val"], ":")
    images[0].numbers[0] = 78
    platinum = tmp_path / "platinum.xyz"
    ase.io.write(platinum, images, format="extxyz")
    words = ["--val-file", str(platinum), "--test-file", str(files["test"])]
    (text,) = built(files, *words, "--unseen-elements", "apart").warnings
    assert text.endswith(": left out of the validation frames") and "unseen_MAE" not in text


def test_copies_within_the_training_file_stay_together_beside_a_test_file(
    files: dict[str, Path], tmp_path: Path
) -> None:
    images = ase.io.read(files["train"], ":")
    twice = tmp_path / "twice.xyz"
    ase.io.write(twice, [*images, *images], format="extxyz")
    for seed in range(5):
        found = built({**files, "train": twice}, "--test-file", str(files["test"]), seed=seed)
        train, val = (set(rows % 30) for rows in (found.split.train, found.split.val))
        assert len(train) == 27 and len(val) == 3 and not train & val


def test_each_test_set_is_looked_at_for_unseen_elements(
    files: dict[str, Path], tmp_path: Path
) -> None:
    images = ase.io.read(files["far"], ":")
    for atoms in images[:3]:
        atoms.numbers[0] = 78
    platinum = tmp_path / "platinum.xyz"
    ase.io.write(platinum, images, format="extxyz")
    words = ["--test-file", f"near={files['test']}", "--test-file", f"far={platinum}"]
    with pytest.raises(BadInput, match=r"Pt, which 0 of 12 test .* 3 of 10 frames of 'far' have"):
        built(files, *words)
    found = built(files, *words, "--unseen-elements", "apart")
    assert len(found.parts["test@far"]) == 7 and "unseen" not in found.parts
    assert any("left out of the further test sets" in text for text in found.warnings)
    found = built(files, "--test-file", str(platinum), "--unseen-elements", "apart")
    assert len(found.parts["test"]) == 7 and len(found.parts["unseen"]) == 3


def test_what_contradicts_itself_in_a_test_file_is_said_of_it(
    files: dict[str, Path], tmp_path: Path
) -> None:
    images = ase.io.read(files["test"], ":")
    images.append(images[0])
    again = tmp_path / "again.xyz"
    ase.io.write(again, images, format="extxyz")
    found = built(files, "--test-file", str(again))
    (text,) = found.warnings
    assert text.startswith(f"{again}: 1 of 13 frames are copies")


def test_stresses_of_several_files_stay_with_their_frames(
    files: dict[str, Path], tmp_path: Path
) -> None:
    images = alloys(12)
    for k, atoms in enumerate(images):
        if k % 2:
            atoms.calc.results["stress"] = np.arange(6.0) + k
    strained = tmp_path / "strained.xyz"
    ase.io.write(strained, images, format="extxyz")
    found = built(files, "--test-file", str(files["far"]), "--test-file", f"s={strained}")
    assert not found.training_frames.stressed.any()
    part = found.parts["test@s"]
    assert part.stressed.tolist() == [k % 2 == 1 for k in range(12)]
    np.testing.assert_allclose(part.stresses[1::2, 0, 0], np.arange(1, 12, 2))
    metrics = found.evaluate().metrics
    assert metrics["MAE_stress@s"] > 0 and "MAE_stress" not in metrics
    assert found.unit("MAE_stress@s") == "eV/Å³"


def test_names_of_test_sets() -> None:
    found = named_test_files(["a=x/one.xyz", "two.extxyz.gz"])
    assert found == {"a": Path("x/one.xyz"), "two": Path("two.extxyz.gz")}
    assert named_test_files(["x/a=b.xyz"]) == {"test": Path("x/a=b.xyz")}
    with pytest.raises(BadInput, match="two test sets are called 'one'"):
        named_test_files(["one.xyz", "x/one.xyz"])
    with pytest.raises(BadInput, match="name 'a b'"):
        named_test_files(["a b=one.xyz"])


def test_files_that_do_not_fit_each_other(files: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no such file"):
        built(files, "--test-file", str(tmp_path / "none.xyz"))
    water = read_ase(files["train"], "kcal/mol")
    with pytest.raises(BadInput, match=r"kcal/mol.* in eV"):
        joined([read_ase(files["train"], "eV"), water])
    with pytest.raises(BadInput, match="protocol 'paper' changes the energies of xtb-ethanol"):
        specify("schnet:4x1", "baseline", "--protocol", "paper", "--test-file", str(files["test"]))


def renamed(source: Path, path: Path, energy: str, forces: str) -> Path:
    """The frames of a file with their labels under other names."""
    images = ase.io.read(source, ":")
    for atoms in images:
        atoms.info[energy] = atoms.get_potential_energy()
        atoms.arrays[forces] = atoms.get_forces()
        atoms.calc = None
    ase.io.write(path, images, format="extxyz")
    return path


@pytest.mark.parametrize("option", ["--test-file", "--val-file"])
def test_a_file_with_the_labels_of_another_method_is_refused(
    files: dict[str, Path], tmp_path: Path, option: str
) -> None:
    other = renamed(files["test"], tmp_path / "xtb.xyz", "energy_xtb", "forces_xtb")
    with pytest.raises(BadInput, match=r"xtb\.xyz: without .* 'energy' and 'forces'.*energy_xtb"):
        built(files, option, str(other))
    # The other way round, and where both have the names.
    train = renamed(files["train"], tmp_path / "train_xtb.xyz", "energy_xtb", "forces_xtb")
    with pytest.raises(BadInput, match=r"without .* 'energy_xtb' and 'forces_xtb'"):
        built({**files, "train": train}, option, str(files["test"]))
    found = built({**files, "train": train}, option, str(other))
    part = "val" if option == "--val-file" else "test:test"
    reading = found.description["reading"]
    assert reading["energy_key"] == reading["others"][part]["energy_key"] == "energy_xtb"


def test_an_npz_file_beside_another_is_read_by_its_usual_names(
    files: dict[str, Path], tmp_path: Path
) -> None:
    frames = read_ase(files["test"], "eV")
    one = frames.select(np.flatnonzero(frames.n_atoms == 4))
    arrays = {"R": one.positions.reshape(-1, 4, 3), "Z": one.numbers.reshape(-1, 4)}
    labels = {"E": one.energies, "F": one.forces.reshape(-1, 4, 3)}
    np.savez(tmp_path / "usual.npz", **arrays, **labels)
    found = built(files, "--test-file", str(tmp_path / "usual.npz"))
    np.testing.assert_array_equal(found.parts["test"].energies, one.energies)
    np.savez(tmp_path / "xtb.npz", **arrays, **{f"{k}_xtb": v for k, v in labels.items()})
    with pytest.raises(BadInput, match=r"xtb\.npz"):
        built(files, "--test-file", str(tmp_path / "xtb.npz"))


def test_the_command_line_trains_shows_and_repeats(
    files: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = [
        "molecular",
        "--budget",
        "smoke",
        "--device",
        "cpu",
        "--jobs",
        "1",
        "--out",
        str(out),
    ]
    command += ["--model", "schnet:4x1", "--steps", "2", "--problem", str(files["train"]), *UNIT]
    command += ["--test-file", f"near={files['test']}", "--test-file", f"far={files['far']}"]
    assert main(command) == 0
    assert "MAE_F@far" in capsys.readouterr().out
    (record,) = Store(out).records()
    assert record.status == "done"
    assert any(line.startswith("MAE_F@far ") for line in describe(record))
    assert record.spec.paths["test_file:near"] == str(files["test"])
    assert main(command) == 0
    assert "found in the store" in capsys.readouterr().err
