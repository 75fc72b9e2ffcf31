"""Runs contracts as their users do: by pytest, from a file with a line for each."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest


class Outcomes:
    """How the tests of some contracts ended: a plugin of pytest's that keeps it."""

    def __init__(self) -> None:
        self._failed: dict[str, list[str]] = {}
        self._passed: dict[str, int] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        name = report.nodeid.split("::")[1]
        if report.failed:
            self._failed.setdefault(name, []).append(report.longrepr.reprcrash.message)
        elif report.when == "call" and report.passed:
            self._passed[name] = self._passed.get(name, 0) + 1

    def expect_failure(self, number: int, message: str) -> None:
        """A test of the contract of that number failed, and says so."""
        said = self._failed.get(f"Test{number}", [])
        assert any(message in text for text in said), said or "nothing failed"

    def expect_passes(self, count: int) -> None:
        """Nothing failed, and the first contract has so many tests that passed."""
        assert self._failed == {}
        assert self._passed["Test0"] == count


class Fault(NamedTuple):
    """A plug-in with a fault.

    Attributes:
        call: The contract that is called with it.
        test: The test that finds it, without ``test_``.
        message: What that says of it.
    """

    call: str
    test: str
    message: str


def run_faults(folder: Path, imports: str, faults: Sequence[Fault]) -> Outcomes:
    """Run the test of each fault that is to find it; see `run_contracts`."""
    return run_contracts(folder, imports, [(one.call, f"test_{one.test}") for one in faults])


def run_contracts(
    folder: Path, imports: str, contracts: Sequence[tuple[str, str | None]]
) -> Outcomes:
    """Collect and run a file of contracts, in this process.

    Args:
        folder: Where to write it.
        imports: Its first line.
        contracts: Calls of contracts, each with the test that is run of it, or ``None`` for all.
    """
    path = folder / "test_plugins.py"
    sys.modules.pop(path.stem, None)
    lines = [f"Test{number} = {call}\n" for number, (call, _) in enumerate(contracts)]
    path.write_text(f"{imports}\n\n{''.join(lines)}")
    selected = [
        f"{path}::Test{number}" + (f"::{test}" if test else "")
        for number, (_, test) in enumerate(contracts)
    ]
    outcomes = Outcomes()
    # Nothing of the tests that this is called from.
    (folder / "none.ini").write_text("[pytest]\n")
    apart = ["--rootdir", str(folder), "-c", str(folder / "none.ini"), "--import-mode=importlib"]
    without = ["-p", "no:cacheprovider", "-p", "no:faulthandler", "-p", "no:xdist"]
    code = pytest.main(["-q", *apart, *without, *selected], plugins=[outcomes])
    assert code in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
    return outcomes
