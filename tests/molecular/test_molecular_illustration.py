"""What is drawn of a potential: predicted against reference energies and forces."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from molecular_specs import CPU, run, task, write_alloys

from bench.report.illustrations import illustrations
from bench.store.record import Record
from bench.store.store import Store
from bench.store.weights import load_weights
from bench.task import Parity
from bench.training.device import deterministic
from suites.molecular import task as task_module
from suites.molecular.illustration import illustrate


def unreduced(record: Record, folder: Path) -> list[Parity]:
    weights = load_weights(Store(folder).weights(record.spec_hash))
    with deterministic(CPU):
        return illustrate(record.spec, weights, CPU)


def mean_error(parity: Parity) -> float:
    return float(np.abs(parity.predicted - parity.reference).mean())


@pytest.mark.parametrize(
    ("arguments", "arm", "dtype"),
    [
        (("--ema", "0.9", "--lr", "1e-2"), "baseline", "float32"),
        (("--ema", "0"), "irelu+rescale", "float64"),
        (("--protocol", "paper"), "rescale", "float64"),
    ],
    ids=["averaged", "as trained", "total energies"],
)
def test_its_errors_are_the_record_s(
    arguments: tuple[str, ...], arm: str, dtype: str, tmp_path: Path
) -> None:
    record = run(tmp_path, "schnet:8x2", arm, *arguments, dtype=dtype)
    assert record.status == "done", record.reason
    energy, force = unreduced(record, tmp_path)
    assert (energy.name, energy.unit) == ("energy", "kcal/mol")
    assert (force.name, force.unit) == ("force component", "kcal/mol/Å")
    assert mean_error(energy) == pytest.approx(record.metrics["MAE_E"].final, rel=1e-6)
    assert mean_error(force) == pytest.approx(record.metrics["MAE_F"].final, rel=1e-6)

    test = task("schnet:8x2", arm, *arguments, dtype=dtype).parts["test"]
    np.testing.assert_array_equal(energy.reference, test.energies - test.energies.mean())
    np.testing.assert_array_equal(force.reference, test.forces.ravel())
    for whole, kept in zip((energy, force), illustrations(record, Store(tmp_path)), strict=True):
        assert isinstance(kept, Parity) and kept.reference.dtype == np.float64
        assert (kept.name, kept.unit) == (whole.name, whole.unit)
        np.testing.assert_array_equal(kept.reference, whole.reference)
        np.testing.assert_array_equal(kept.predicted, whole.predicted)


def test_frames_of_different_sizes_in_a_file_of_one_s_own(tmp_path: Path) -> None:
    path = write_alloys(tmp_path / "alloys.xyz")
    options = ("--energy-unit", "eV", "--steps", "3", "--split", "random")
    record = run(tmp_path, "painn:8x2", "baseline", *options, problem=str(path))
    assert record.status == "done", record.reason
    energy, force = illustrations(record, Store(tmp_path))
    assert isinstance(energy, Parity) and isinstance(force, Parity)
    assert (energy.unit, force.unit) == ("eV", "eV/Å")
    assert mean_error(energy) == pytest.approx(record.metrics["MAE_E"].final, rel=1e-6)
    assert mean_error(force) == pytest.approx(record.metrics["MAE_F"].final, rel=1e-6)


def test_it_is_made_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    record = run(tmp_path, "schnet:8x1", "baseline", "--steps", "2")
    built = []

    class Once(task_module.MolecularTask):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments)  # type: ignore[arg-type]
            built.append(self)

    monkeypatch.setattr(task_module, "MolecularTask", Once)
    store = Store(tmp_path)
    assert len(illustrations(record, store)) == len(illustrations(record, store)) == 2
    assert len(built) == 1

    # Weights of another network.
    other = run(tmp_path, "schnet:4x1", "baseline", "--steps", "2")
    store.weights(record.spec_hash).write_bytes(store.weights(other.spec_hash).read_bytes())
    capsys.readouterr()
    assert illustrations(record, store) == []
    assert capsys.readouterr().err.count("\n") == 1
