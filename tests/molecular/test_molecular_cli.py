"""The molecular suite's command line: what it refuses, what it records, what it trains."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from molecular_specs import specify, write_alloys

from bench.store.record import Record
from bench.store.store import Store
from bench.suite import main
from bench.text.errors import BadInput
from suites.molecular.data.frames import content_digest
from suites.molecular.data.molecules import SHIPPED, SMILES
from suites.molecular.models.catalogue import MODELS
from suites.molecular.task import build

PROGRAM = [sys.executable, "-m", "bench.suite"]
COMMAND = ["molecular", "--budget", "smoke", "--device", "cpu", "--jobs", "1"]
SMALL = ["--model", "schnet:4x1", "--steps", "2"]

NPZ: dict[str, Any] = {
    "z": np.array([8, 1, 1], dtype=np.uint8),
    "E": np.linspace(-1.0, 1.0, 40),
    "F": np.random.default_rng(0).normal(size=(40, 3, 3)),
    "R": np.random.default_rng(1).normal(size=(40, 3, 3)) + np.arange(3)[:, None],
    "e_unit": np.array("kcal/mol"),
}


def write_water(path: Path, **changed: Any) -> Path:
    np.savez(path, **{**NPZ, **changed})
    return path


def write_without_order(path: Path) -> Path:
    """A revised file without ``old_indices``: frames whose order is lost."""
    names = {"z": "nuclear_charges", "E": "energies", "F": "forces", "R": "coords"}
    np.savez(path, **{names.get(key, key): value for key, value in NPZ.items()})
    return path


def trained(out: Path, *arguments: str) -> Record:
    """The record of one run, from a call of the command line."""
    small = SMALL if "--model" not in arguments else []
    assert main([*COMMAND, *small, "--out", str(out), *arguments]) == 0
    (record,) = Store(out).records()
    return record


# --- a real process ---------------------------------------------------------------------------


def test_a_real_process(tmp_path: Path) -> None:
    arguments = [*COMMAND, "--model", "schnet:8x1", "--arm", "irelu", "--export", "potentials"]
    done = subprocess.run(
        [*PROGRAM, *arguments, "--json"], cwd=tmp_path, capture_output=True, text=True, timeout=180
    )
    assert done.returncode == 0, done.stderr
    baseline, irelu = json.loads(done.stdout)
    assert (baseline["arm"], irelu["arm"]) == ("baseline", "irelu")
    for record in (baseline, irelu):
        assert record["status"] == "done" and record["steps_done"] == 10
        assert record["suite"] == "molecular" and record["problem"] == "xtb-ethanol"
        assert {"schnetpack", "ase", "torch"} <= record["environment"]["versions"].keys()
        assert record["units"]["MAE_F"] == "kcal/mol/Å" and record["units"]["MAE_E_eV"] == "eV"
        assert all(math.isfinite(m["final"]) for m in record["metrics"].values())
    assert len(list((tmp_path / "potentials").iterdir())) == 2
    assert done.stderr.count("bench: wrote") == 2
    assert "Traceback" not in done.stderr and "Warning" not in done.stderr


def test_bad_input_imports_no_torch(tmp_path: Path) -> None:
    """What is refused is refused at once."""
    probe = (
        "import sys\n"
        "from bench.suite import main\n"
        "code = main(sys.argv[1:])\n"
        "print(code, sorted({'torch', 'schnetpack'} & sys.modules.keys()))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe, *COMMAND, "--n-train", "100000"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == "2 []\n"
    assert done.stderr.count("\n") == 1 and "100000" in done.stderr
    assert list(tmp_path.iterdir()) == []


# --- what is refused --------------------------------------------------------------------------

BAD: list[tuple[list[str], list[str]]] = [
    (["--model", "schnett"], ["'schnett'", "did you mean 'schnet'?"]),
    (["--model", "dimenet"], ["did you mean 'dimenet++'?"]),
    (["--model", "schnet:0x2"], ["'schnet:0x2'", "4096"]),
    (["--model", "schnet:99999x2"], ["'schnet:99999x2'", "4096"]),
    (["--model", "schnet:8"], ["'schnet:8'"]),
    (["--model", "schnet:-8x2"], ["'schnet:-8x2'"]),
    (["--problem", "xtb-ethanl"], ["'xtb-ethanl'", "did you mean 'xtb-ethanol'?"]),
    (["--problem", "ethanol"], ["'ethanol'"]),
    (["--problem", "no/such.extxyz"], ["'no/such.extxyz'", "no such file"]),
    (["--problem", "."], ["'.'"]),
    (["--problem", "md17-ethanol"], ["'md17-ethanol'", "--data-root", "xtb-ethanol"]),
    (["--problem", "rmd17-uracil"], ["'rmd17-uracil'", "--data-root"]),
    (["--problem", "md17-ethanol", "--data-root", "no/such"], ["no/such", "does not exist"]),
    (["--problem", "md17-ethanol", "--data-root", "."], ["md17_ethanol.npz"]),
    (["--problem", "md17-ethanol", "--download"], ["--download", "--data-root"]),
    (["--protocol", "standart"], ["'standart'", "did you mean 'standard'?"]),
    (["--scope", "publishd"], ["'publishd'", "did you mean 'published'?"]),
    (["--scope", "publishd", "--arm", "irelu"], ["'publishd'", "did you mean 'published'?"]),
    (["--split", "block"], ["'block'", "did you mean 'blocks'?"]),
    (["--budget", "smok"], ["'smok'", "did you mean 'smoke'?"]),
    (["--energy-unit", "eV"], ["kcal/mol", "eV"]),
    (["--length-unit", "Bohr"], ["--length-unit Bohr", "'xtb-ethanol' is in Å"]),
    (["--problem", "xtb-oxides", "--length-unit", "Bohr"], ["--length-unit Bohr", "in Å"]),
    (["--force-unit", "eV/A"], ["--force-unit eV/Ang", "'xtb-ethanol' is in kcal/mol/Ang"]),
    (["--batch", "65"], ["--batch", "64", "65"]),
    (["--energy-key", "E"], ["--energy-key", "ethanol.npz"]),
    (["--energy-unit", "kcal"], ["'kcal'", "did you mean 'kcal/mol'?"]),
    (["--lbfgs-steps", "5"], ["--lbfgs-steps 5"]),
    (["--batch", "0"], ["--batch", "0"]),
    (["--batch", "1.5"], ["1.5"]),
    (["--ema", "1"], ["--ema", "1"]),
    (["--ema", "-0.1"], ["--ema", "-0.1"]),
    (["--ema", "nan"], ["--ema", "nan"]),
    (["--n-train", "10000"], ["10000"]),
    (["--n-val", "0"], ["0"]),
    (["--n-test", "-3"], ["-3"]),
    (["--gap", "-1"], ["-1"]),
    (["--gap", "400"], ["400"]),
    (["--split", "random", "--gap", "5"], ["gap"]),
    (["--weight-decay", "-1"], ["-1"]),
    (["--arm", "irelu", "--activation", "tanh"], ["tanh"]),
    (["--arm", "irleu"], ["did you mean 'irelu'?"]),
]


def assert_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], named: list[str]
) -> None:
    before = sorted(tmp_path.iterdir())
    small = SMALL if "--model" not in arguments else []
    assert main([*COMMAND, *small, "--out", str(tmp_path / "out"), *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("bench: ") and err.endswith("\n") and err.count("\n") == 1
    for text in named:
        assert text in err
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(("arguments", "named"), BAD, ids=[" ".join(given) for given, _ in BAD])
def test_bad_input(
    arguments: list[str],
    named: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert_refused(tmp_path, capsys, arguments, named)


def test_an_own_file_needs_its_unit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_alloys(tmp_path / "alloys.extxyz", 3)
    problem = ["--problem", str(path)]
    assert_refused(tmp_path, capsys, problem, [str(path), "unit", "eV, meV, kcal/mol"])
    wrong = [*problem, "--energy-unit", "eVV"]
    assert_refused(tmp_path, capsys, wrong, ["'eVV'", "did you mean 'eV'?"])
    force = [*problem, "--energy-unit", "eV", "--force-unit", "eV/Bor"]
    assert_refused(tmp_path, capsys, force, ["'eV/Bor'", "did you mean 'eV/Bohr'?"])


def test_a_file_that_contradicts_the_unit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_water(tmp_path / "water.npz", e_unit=np.array("eV"))
    arguments = ["--problem", str(path), "--energy-unit", "kcal/mol"]
    assert_refused(tmp_path, capsys, arguments, [str(path), "eV", "kcal/mol"])


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"E": np.where(np.arange(40) == 7, np.inf, 0.0)}, "energies of frame 7 are not finite"),
        ({"F": np.zeros((40, 2, 3))}, "forces"),
        ({"E": np.zeros(0), "F": np.zeros((0, 3, 3)), "R": np.zeros((0, 3, 3))}, "no frames"),
    ],
)
def test_a_file_that_cannot_be_trained_on(
    changed: dict[str, Any], named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_water(tmp_path / "water.npz", **changed)
    assert_refused(tmp_path, capsys, ["--problem", str(path)], [str(path), named])


def test_blocks_of_frames_that_are_no_trajectory(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_without_order(tmp_path / "own.npz")
    problem = ["--problem", str(path), "--n-train", "20", "--n-val", "3", "--n-test", "3"]
    assert_refused(tmp_path, capsys, [*problem, "--split", "blocks"], ["blocks", "no trajectory"])
    # Nor does the default ask for them.
    assert trained(tmp_path / "out", *problem).spec.settings["split"]["kind"] == "random"


def test_a_broken_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("broken.npz", "broken.extxyz"):
        path = tmp_path / name
        path.write_text("3\nthis is\nno such file")
        arguments = ["--problem", str(path), "--energy-unit", "eV"]
        assert_refused(tmp_path, capsys, arguments, [str(path)])


# --- what is recorded -------------------------------------------------------------------------


def test_a_record_says_what_was_trained_on(tmp_path: Path) -> None:
    record = trained(tmp_path, "--protocol", "paper")
    settings = record.spec.settings
    assert settings["protocol"] == "paper" and settings["total_energies"] is True
    assert settings["data"] == content_digest(SHIPPED / "ethanol.npz")
    assert settings["file"]["energy_unit"] == "kcal/mol"
    assert settings["split"] == {
        "kind": "blocks",
        "blocks": 20,
        "gap": 4,
        "n_train": 64,
        "n_val": 16,
        "n_test": 16,
    }
    assert (settings["batch"], settings["ema"], settings["scope"]) == (20, 0.0, "published")
    assert settings["size"]["features"] == 4 and settings["size"]["cutoff"] == 5.0
    assert record.spec.axes["rescaling"] == "rescale=1"
    split = record.task["split"]
    assert (split["n_train"], split["n_val"], split["n_test"]) == (64, 16, 16)
    assert split["kind"] == "blocks" and len(split["digest"]) == 16 and split["dropped"] > 0
    assert record.task["scored"] == {"train": 64, "val": 16, "test": 16}
    assert record.task["elements"] == [1, 6, 8]
    assert record.task["scale"] == {"factor": 1.0, "offset": 0.0, "elements": {}}
    assert record.task["source"].endswith("ethanol.npz")
    assert set(record.losses) == {"step", "loss", "MAE_E_batch", "MAE_F_batch"}


DIFFERENT = [
    [],
    ["--protocol", "paper"],
    ["--batch", "5"],
    ["--ema", "0.5"],
    ["--gap", "2"],
    ["--split", "random"],
    ["--n-train", "65"],
    ["--seed", "1"],
    ["--dtype", "float64"],
    ["--activation", "irelu"],
    ["--rescaling", "rescale"],
]


def test_whatever_changes_the_result_is_another_run(tmp_path: Path) -> None:
    for options in DIFFERENT:
        alone = ["--no-baseline"] if "--activation" in options or "--rescaling" in options else []
        assert main([*COMMAND, *SMALL, "--out", str(tmp_path), *options, *alone]) == 0
    assert len(Store(tmp_path).names()) == len(DIFFERENT)


def test_what_changes_nothing_is_the_same_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The standard protocol's own choices, and a scope without a new activation."""
    record = trained(tmp_path)
    for options in (
        ["--arm", "offset"],
        ["--arm", "denorm"],
        ["--scope", "all"],
        ["--split", "blocks", "--gap", "4"],
        ["--batch", "10", "--ema", "0.995", "--weight-decay", "0.01", "--schedule", "cosine"],
    ):
        assert trained(tmp_path, *options) == record, options
        assert "found in the store" in capsys.readouterr().err


def test_a_unit_that_the_file_names_itself_is_the_same_run(tmp_path: Path) -> None:
    assert trained(tmp_path, "--energy-unit", "kcal/mol") == trained(tmp_path)


def test_the_bare_rescale_is_as_published_under_the_paper_s_protocol(tmp_path: Path) -> None:
    standard = trained(tmp_path / "standard", "--arm", "rescale", "--no-baseline")
    assert standard.spec.axes["rescaling"] == "rescale=auto"
    paper = ["--protocol", "paper"]
    record = trained(tmp_path / "paper", "--arm", "rescale", "--no-baseline", *paper)
    assert record.spec.axes["rescaling"] == "rescale=1e6"
    assert record.task["scale"]["factor"] == 1e6


def test_the_scope_is_kept_where_it_means_something(tmp_path: Path) -> None:
    arguments = ["--model", "cgcnn:4x1", "--arm", "irelu", "--no-baseline"]
    sites = {}
    for scope in ("published", "all"):
        record = trained(tmp_path / scope, *arguments, "--scope", scope)
        assert record.spec.settings["scope"] == scope
        sites[scope] = record.task["activations"]["IReLU"]
    assert set(sites["published"]) < set(sites["all"])


# --- one's own files --------------------------------------------------------------------------

OWN = ["--energy-unit", "eV", "--split", "random", "--n-train", "40", "--n-val", "6"]
OWN += ["--n-test", "6"]


def test_an_own_file_is_trained_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_alloys(tmp_path / "alloys.extxyz")
    out = tmp_path / "out"
    record = trained(out, "--problem", str(path), *OWN)
    assert record.problem == "alloys.extxyz" and record.status == "done"
    assert record.spec.settings["data"] == content_digest(path)
    assert record.spec.settings["total_energies"] is False
    assert record.spec.paths["data"] == str(path)
    assert record.units["MAE_F"] == "eV/Å" and record.units["MAE_F_kcal"] == "kcal/mol/Å"
    assert "MAE_F_eV" not in record.metrics
    assert record.metrics["MAE_E_kcal"].final == pytest.approx(
        record.metrics["MAE_E"].final / 0.0433641, rel=1e-5
    )
    assert record.task["elements"] == [29, 79]
    assert record.task["scale"]["elements"].keys() == {"29", "79"}

    # Where it lies does not matter, what is in it does.
    (tmp_path / "moved").mkdir()
    moved = shutil.move(path, tmp_path / "moved" / "alloys.extxyz")
    capsys.readouterr()
    assert main([*COMMAND, *SMALL, "--out", str(out), "--problem", str(moved), *OWN]) == 0
    assert "found in the store" in capsys.readouterr().err
    write_alloys(path, 62)
    assert main([*COMMAND, *SMALL, "--out", str(out), "--problem", str(path), *OWN]) == 0
    assert len(Store(out).names()) == 2


def test_a_unit_by_another_spelling_is_the_same_run(tmp_path: Path) -> None:
    path = write_alloys(tmp_path / "alloys.extxyz")
    arguments = ["--problem", str(path), *OWN[2:], "--length-unit"]
    one = [*arguments, "Bohr", "--energy-unit", "eV", "--force-unit", "eV/Bohr"]
    other = [*arguments, "a0", "--energy-unit", "ev", "--force-unit", "ev / A0"]
    record = trained(tmp_path / "out", *one)
    assert trained(tmp_path / "out", *other).spec == record.spec
    assert record.spec.settings["file"]["force_unit"] == "eV/Bohr"
    default = trained(tmp_path / "default", *arguments, "Bohr", "--energy-unit", "eV")
    assert "force_unit" not in default.spec.settings["file"]
    for name in ("MAE_F", "MAE_E"):
        assert record.metrics[name].final == pytest.approx(default.metrics[name].final)


def test_a_file_named_without_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_alloys(tmp_path / "alloys.extxyz")
    monkeypatch.chdir(tmp_path)
    record = trained(tmp_path / "out", "--problem", "alloys.extxyz", *OWN)
    assert record.status == "done" and record.problem == "alloys.extxyz"
    assert record.spec.paths["data"] == str(tmp_path / "alloys.extxyz")


def test_md17_is_read_from_the_data_root(tmp_path: Path) -> None:
    root = tmp_path / "data"
    root.mkdir()
    with np.load(SHIPPED / "ethanol.npz") as shipped:
        published = {key: shipped[key][:40] for key in ("E", "F", "R")}
        np.savez(root / "md17_ethanol.npz", z=shipped["z"], **published)
    arguments = ["--problem", "md17-ethanol", "--data-root", str(root), "--gap", "0"]
    numbers = ["--n-train", "20", "--n-val", "2", "--n-test", "2", "--protocol", "paper"]
    record = trained(tmp_path / "out", *arguments, *numbers)
    assert record.problem == "md17-ethanol"
    assert record.spec.settings["data"] == content_digest(root / "md17_ethanol.npz")
    # DFT's energies are total already.
    assert record.spec.settings["total_energies"] is False
    assert record.spec.paths == {"data_root": str(root)}


def test_another_molecule_under_the_name_of_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "data"
    root.mkdir()
    write_water(root / "md17_ethanol.npz")
    arguments = ["--problem", "md17-ethanol", "--data-root", str(root)]
    assert_refused(tmp_path, capsys, arguments, ["md17_ethanol.npz", "of H2O, not of C2H6O"])


# --- lists ------------------------------------------------------------------------------------


def test_list_names_everything(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--json"]) == 0
    suite = json.loads(capsys.readouterr().out)["suites"]["molecular"]
    assert suite["models"].keys() == MODELS.keys()
    for prefix in ("xtb", "md17", "rmd17"):
        assert {f"{prefix}-{name}" for name in SMILES} <= suite["problems"].keys()
    assert "xtb-oxides" in suite["problems"]
    # Nobody can take the one for the other.
    assert "GFN2-xTB" in suite["problems"]["xtb-ethanol"]
    assert "DFT" in suite["problems"]["md17-ethanol"]


def test_help_names_the_options(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        main(["molecular", "--help"])
    assert raised.value.code == 0
    out = capsys.readouterr().out
    options = ["protocol", "scope", "batch", "ema", "split", "gap", "n-train", "n-val", "n-test"]
    options += ["data-root", "download", "energy-unit", "export"]
    assert all(f"--{name} " in out or f"--{name}\n" in out for name in options)


def test_two_files_of_one_name_are_not_one_row(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [*OWN]
    for folder, count in (("one", 60), ("other", 61)):
        (tmp_path / folder).mkdir()
        path = write_alloys(tmp_path / folder / "alloys.extxyz", count)
        arguments += ["--problem", str(path)]
    assert_refused(tmp_path, capsys, arguments, ["two problems are called 'alloys.extxyz'"])


def test_a_small_own_file_is_enough_for_smoke(tmp_path: Path) -> None:
    path = write_alloys(tmp_path / "alloys.extxyz")
    arguments = ["--problem", str(path), "--energy-unit", "eV", "--split", "random"]
    record = trained(tmp_path / "out", *arguments)
    assert record.task["split"]["n_train"] == 48


def test_a_file_that_changes_before_its_run_is_not_taken_for_the_other(tmp_path: Path) -> None:
    path = write_alloys(tmp_path / "alloys.extxyz")
    spec = specify("schnet:4x1", "baseline", *OWN, problem=str(path))
    write_alloys(path, 62)
    with pytest.raises(BadInput, match="has changed since"):
        build(spec, torch.device("cpu"))


@pytest.mark.parametrize("arguments", [["--scope", "all"], ["--energy-unit", "kcal/mol"]])
def test_what_means_the_same_is_one_run(arguments: list[str]) -> None:
    asked = specify("schnet:4x1", "irelu", *arguments)
    assert asked.hash == specify("schnet:4x1", "irelu").hash
    elsewhere = specify("cgcnn:4x1", "irelu", "--scope", "all")
    assert elsewhere.hash != specify("cgcnn:4x1", "irelu").hash
