"""Faults, put into commits of a copy of this repository: the nightly must find each, with asv.

And what is no fault must stay green: a commit that changes nothing, and a reordered sum, which
changes the last digits of every training.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest
from toy_repository import tracking_environment

from bench.tracking.results import Value, read

ROOT = Path(__file__).resolve().parents[2]
ERRORS = "metrics.PINN.track_L2RE('advection-1d', 'fnn baseline')"
TIME = "steps.PINNStep.time_step('advection-1d', 'fnn baseline')"
OPERATORS = "steps.PINNCounts.track_operators('advection-1d', 'fnn baseline')"

ROUNDING = "precision.SinglePrecision.track_rounding('pinn advection-1d fnn baseline')"

#: One string of a file for another.
Edit = tuple[str, str, str]

UNCHANGED: Edit = ("suites/pinn/task.py", '"""A PINN, built', '"""A  PINN, built')
#: The mean of the squared residual runs over the points backwards.
REORDERED: Edit = (
    "suites/pinn/engine/terms.py",
    "        points = data.train_x[count:]\n",
    "        points = data.train_x[count:][::-1].copy()\n",
)
WRONG_SIGN: Edit = (
    "suites/pinn/problems/advection.py",
    "return u_t + BETA * u_x",
    "return u_t - BETA * u_x",
)
SLOWER: Edit = (
    "suites/pinn/task.py",
    "        return self.optimization.step(self.losses)",
    "        import time\n\n"
    "        start = time.perf_counter()\n"
    "        found = self.optimization.step(self.losses)\n"
    "        end = 3 * time.perf_counter() - 2 * start\n"
    "        while time.perf_counter() < end:\n"
    "            pass\n"
    "        return found",
)
MORE_OPERATORS: Edit = (
    "suites/pinn/engine/gradients.py",
    "            terms = self.evaluation(training=True)\n",
    "            terms = self.evaluation(training=True)\n"
    "            for _ in range(40):\n"
    "                terms = terms * 1\n",
)


_INSTALL = """
import pathlib, shutil, sys, sysconfig
there = pathlib.Path(sysconfig.get_path("purelib"))
for package in ("bench", "suites"):
    shutil.rmtree(there / package, ignore_errors=True)
    shutil.copytree(pathlib.Path(sys.argv[1], package), there / package)
(there / "borrowed.pth").write_text({packages!r})
"""


class Copy:
    """A copy of the working tree with a history of its own, with a first commit."""

    def __init__(self, root: Path, home: Path) -> None:
        self.root = root
        self._environment = tracking_environment(home)
        listed = self._output("git", "-C", str(ROOT), "ls-files", "-co", "--exclude-standard")
        for name in listed.splitlines():
            if (ROOT / name).is_file():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, root / name)
        self._borrow_packages()
        self.git("init", "-q", "-b", "main")
        self.first = self.commit()

    def _borrow_packages(self) -> None:
        """Install by copying, and take torch and the rest from this environment, not 5 GB anew."""
        path = self.root / "asv.conf.json"
        text = re.sub(r"^\s*//.*$", "", path.read_text(), flags=re.MULTILINE)
        (self.root / "install.py").write_text(
            _INSTALL.format(packages=sysconfig.get_path("purelib"))
        )
        install = "in-dir={env_dir} python {build_dir}/install.py {build_dir}"
        own = {"matrix": {}, "build_command": [], "install_command": [install]}
        path.write_text(json.dumps({**json.loads(text), **own, "uninstall_command": []}))

    def _output(self, *command: str) -> str:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def git(self, *arguments: str) -> str:
        identity = ["-c", "user.name=t", "-c", "user.email=t@localhost"]
        return self._output("git", *identity, "-C", str(self.root), *arguments)

    def commit(self, edit: Edit | None = None) -> str:
        """Commit an edit; the full hash."""
        if edit:
            name, old, new = edit
            text = (self.root / name).read_text()
            assert text.count(old) == 1, f"{name} no longer has {old!r}"
            (self.root / name).write_text(text.replace(old, new))
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "a commit")
        return self.git("rev-parse", "HEAD")

    def night(self, *benchmarks: str) -> tuple[int, str]:
        """Exit code and standard output of a nightly that compares with the first commit."""
        chosen = [word for name in benchmarks for word in ("--bench", f"^{re.escape(name)}$")]
        command = [sys.executable, "-m", "bench.nightly", "--profile", "smoke", "--no-publish"]
        command += ["--base", self.first]
        done = subprocess.run(
            [*command, "--machine", "here", "--rounds", "2", *chosen],
            cwd=self.root,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=540,
        )
        assert done.returncode in (0, 1), done.stderr
        return done.returncode, done.stdout

    def value(self, commit: str, name: str) -> float:
        found: Value = read(self.root / ".asv" / "smoke" / "results", "here", commit)[name]
        assert found.value is not None
        return found.value


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Copy]:
    """With a first commit, which is measured when it is first compared with."""
    folder = tmp_path_factory.mktemp("tracked")
    (folder / "home").mkdir()
    copy = Copy(folder / "copy", folder / "home")
    yield copy
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def on_the_first_commit(copy: Copy) -> Iterator[None]:
    """Each test commits on top of the first."""
    yield
    copy.git("reset", "-q", "--hard", copy.first)


def test_an_unchanged_commit_is_green_and_bitwise_the_same(copy: Copy) -> None:
    unchanged = copy.commit(UNCHANGED)
    code, said = copy.night(ERRORS, TIME, OPERATORS)
    assert (code, said.split(":")[0]) == (0, "Green")
    for name in (ERRORS, OPERATORS):
        assert copy.value(unchanged, name) == copy.value(copy.first, name)


def test_a_reordered_sum_is_green(copy: Copy) -> None:
    reordered = copy.commit(REORDERED)
    code, said = copy.night(ERRORS, ROUNDING, OPERATORS)
    assert (code, said.split(":")[0]) == (0, "Green")
    before, after = copy.value(copy.first, ERRORS), copy.value(reordered, ERRORS)
    assert after == pytest.approx(before, rel=1e-6)
    # It was measured, though a median of three seeds may have the same digits by chance.
    (measured,) = copy.root.glob(".asv/env/*/lib/python*/site-packages/suites/pinn/engine/terms.py")
    assert REORDERED[2] in measured.read_text()


def test_a_wrong_sign_in_a_derivative_is_reported(copy: Copy) -> None:
    copy.commit(WRONG_SIGN)
    code, said = copy.night(ERRORS)
    assert code == 1
    assert f"regression: {ERRORS}" in said


def test_a_step_three_times_slower_is_reported(copy: Copy) -> None:
    slow = copy.commit(SLOWER)
    code, said = copy.night(TIME)
    assert code == 1
    assert f"regression: {TIME}" in said
    ratio = copy.value(slow, TIME) / copy.value(copy.first, TIME)
    assert ratio > 2


def test_more_operators_are_reported_while_the_error_stays(copy: Copy) -> None:
    commit = copy.commit(MORE_OPERATORS)
    code, said = copy.night(OPERATORS, ERRORS)
    assert code == 1
    assert f"regression: {OPERATORS}" in said
    assert copy.value(commit, OPERATORS) > 1.3 * copy.value(copy.first, OPERATORS)
    assert ERRORS not in said
