"""Which split a run of an own file gets, and what is said of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from molecular_specs import specify, task

from bench.spec.spec import Spec
from bench.text.errors import BadInput


def write_walk(path: Path, count: int, shuffled: bool = False) -> Path:
    """A random walk of water in MD17's layout, in its order or not."""
    random = np.random.default_rng(0)
    steps = random.normal(0.0, 0.02, (count, 3, 3))
    positions = 3.0 * np.eye(3) + np.cumsum(steps, axis=0)
    order = random.permutation(count) if shuffled else np.arange(count)
    np.savez(
        path,
        z=np.array([8, 1, 1]),
        E=random.normal(size=count),
        F=random.normal(size=(count, 3, 3)),
        R=positions[order],
        e_unit=np.array("kcal/mol"),
    )
    return path


def spec(path: Path, *arguments: str, **given: Any) -> Spec:
    return specify("schnet:4x1", "baseline", *arguments, problem=str(path), **given)


def test_a_long_trajectory_is_cut_into_blocks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_walk(tmp_path / "w.npz", 420)
    split = spec(path).settings["split"]
    assert (split["kind"], split["blocks"], split["gap"]) == ("blocks", 20, 10)
    assert f"{path}: a split by blocks: it is a trajectory" in capsys.readouterr().err
    # Said once, however many runs are asked for.
    spec(path, seed=1)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("count", [39, 200, 300, 419])
def test_a_short_trajectory_is_split_at_random_with_a_warning(
    count: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_walk(tmp_path / "w.npz", count)
    assert spec(path).settings["split"]["kind"] == "random"
    said = capsys.readouterr().err
    assert f"{count} frames are less than the 420 of 20 blocks" in said and "--split blocks" in said


@pytest.mark.parametrize("count", [12, 39, 300])
def test_blocks_that_are_asked_for_get_the_gap_that_fits(
    count: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_walk(tmp_path / "w.npz", count)
    built = task("schnet:4x1", "baseline", "--split", "blocks", problem=str(path))
    split = built.split
    assert split.kind == "blocks" and split.gap < 10
    assert f"{split.gap} frames left out between blocks instead of 10" in capsys.readouterr().err
    for one, other in ((split.train, split.test), (split.train, split.val)):
        assert np.abs(one[:, None] - other).min() > split.gap


def test_a_gap_that_is_asked_for_gets_the_blocks_that_fit(tmp_path: Path) -> None:
    path = write_walk(tmp_path / "w.npz", 300)
    split = spec(path, "--gap", "12").settings["split"]
    assert (split["blocks"], split["gap"]) == (12, 12)
    with pytest.raises(BadInput, match=r"--gap 50: .* at most 49"):
        spec(path, "--gap", "50")
    assert spec(path, "--gap", "49").settings["split"]["blocks"] == 3
    with pytest.raises(BadInput, match="100 blocks"):
        spec(path, "--gap", "12", "--blocks", "100")


@pytest.mark.parametrize("options", [["--split", "blocks"], ["--gap", "3"], ["--blocks", "5"]])
def test_what_is_no_trajectory_has_no_blocks(options: list[str], tmp_path: Path) -> None:
    path = write_walk(tmp_path / "w.npz", 500, shuffled=True)
    with pytest.raises(BadInput, match=f"{options[0]}.* is no trajectory: neighbouring .*ratio"):
        spec(path, *options)
    assert spec(path).settings["split"]["kind"] == "random"


def test_few_frames_are_said_and_no_option_is_blamed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_walk(tmp_path / "few.npz", 5)
    settings = spec(path).settings
    assert settings["batch"] == settings["split"]["n_train"] == 3
    said = capsys.readouterr().err
    assert "of 5 frames one is held out for each of validation and test" in said
    assert "batches of all 3 training frames, which are fewer than the 10 of" in said
    with pytest.raises(BadInput, match="--batch must be from 1 to 3"):
        spec(path, "--batch", "10")
    with pytest.raises(BadInput, match="at least 3 different frames, got 2"):
        spec(write_walk(tmp_path / "two.npz", 2))


@pytest.mark.parametrize(("option", "most"), [("--n-train", 32), ("--n-val", 4), ("--n-test", 4)])
def test_sizes_that_are_asked_for_are_named(option: str, most: int, tmp_path: Path) -> None:
    path = write_walk(tmp_path / "w.npz", 40)
    spec(path, option, str(most))
    with pytest.raises(BadInput, match=f"{option} {most + 1}: there are {most} "):
        spec(path, option, str(most + 1))


def test_shipped_problems_keep_their_splits() -> None:
    expected = {"kind": "blocks", "blocks": 20, "gap": 4, "n_train": 64, "n_val": 16, "n_test": 16}
    assert specify().settings["split"] == expected
    oxides = specify(problem="xtb-oxides").settings
    assert oxides["split"] == {"kind": "random", "n_train": 64, "n_val": 16, "n_test": 16}
    assert "references" not in oxides and "files" not in oxides
    assert oxides["file"] == dict.fromkeys(oxides["file"], None) | {"energy_unit": "eV"}
