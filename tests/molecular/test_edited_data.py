"""Frames that were edited: another run, or none."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import molecular_specs
import numpy as np
import pytest

from bench.text.errors import BadInput
from suites.molecular.problems import xtb
from suites.molecular.task import build


def test_an_edited_file_of_those_that_are_shipped_is_another_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(shutil.copy(xtb.SHIPPED / "ethanol.npz", tmp_path))
    monkeypatch.setattr(xtb, "ETHANOL", replace(xtb.ETHANOL, find=lambda options: path))
    before = molecular_specs.specify()
    assert build(before, molecular_specs.CPU).spec == before
    with np.load(path) as file:
        arrays = dict(file)
    arrays["E"][0] += 1e-3
    np.savez(path, **arrays)
    # The spec of before does not train on it, and today's is another one.
    with pytest.raises(BadInput, match="the file has changed since the run was asked for"):
        build(before, molecular_specs.CPU)
    after = molecular_specs.specify()
    assert after.settings["data"] != before.settings["data"]
    assert after.hash != before.hash
