"""Faults, put into commits of a copy of this repository: the nightly must find each, with asv.

And what is no fault must stay green: a commit that changes nothing, and a reordered sum, which
changes the last digits of every training. Without commits and asv, the same faults are found in
what the benchmarks measure.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_server import run
from toy_repository import tracking_environment

from bench.tracking.comparison import compare
from bench.tracking.configuration import Configuration
from bench.tracking.results import Value, read

ROOT = Path(__file__).resolve().parents[2]
ERRORS = "metrics.PINN.track_L2RE('advection-1d', 'fnn baseline')"
TIME = "steps.PINNStep.time_step('advection-1d', 'fnn baseline')"
OPERATORS = "steps.PINNCounts.track_operators('advection-1d', 'fnn baseline')"

SCHEDULE = (
    "fingerprints.Training.track_metrics('pinn advection-1d fnn baseline steps=8 schedule=cosine')"
)
EVALUATION = "commands.Evaluation.time_evaluation('pinn advection-1d fnn baseline')"
START = "startup.CommandLine.time_command('list')"
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
    "        result = self.gradient(self.parameters.vector.detach())\n",
    "        import time\n\n"
    "        start = time.perf_counter()\n"
    "        result = self.gradient(self.parameters.vector.detach())\n"
    "        end = 4 * time.perf_counter() - 3 * start\n"
    "        while time.perf_counter() < end:\n"
    "            pass\n",
)
MORE_OPERATORS: Edit = (
    "suites/pinn/engine/gradients.py",
    "            terms = self.evaluation(training=True)\n",
    "            terms = self.evaluation(training=True)\n"
    "            for _ in range(40):\n"
    "                terms = terms * 1\n",
)


#: A name, a docstring and the order of imports: nothing that is computed.
RENAMED: Edit = (
    "bench/training/optimization.py",
    "def exponential(progress: float) -> float:\n"
    '    """From 1 to 0.01."""\n'
    "    return 0.01**progress\n",
    "from collections.abc import Iterable, Iterator  # noqa: E402, F401\n\n\n"
    "def exponential(part: float) -> float:\n"
    '    """From 1 down to 0.01."""\n'
    "    return 0.01**part\n",
)
LOWER_RATE: Edit = (
    "bench/training/optimization.py",
    "return 0.5 * (1 + math.cos(math.pi * progress))",
    "return 0.499 * (1 + math.cos(math.pi * progress))",
)
SLOWER_EVALUATION: Edit = (
    "suites/pinn/task.py",
    "        training = self.evaluation(training=False).detach()\n",
    "        __import__('time').sleep(0.3)\n"
    "        training = self.evaluation(training=False).detach()\n",
)
SLOWER_START: Edit = (
    "bench/suite.py",
    "from __future__ import annotations\n",
    "from __future__ import annotations\n\n__import__('time').sleep(1.0)\n",
)


_INSTALL = """
import pathlib, shutil, sys, sysconfig
there = pathlib.Path(sysconfig.get_path("purelib"))
for package in ("bench", "suites"):
    shutil.rmtree(there / package, ignore_errors=True)
    shutil.copytree(pathlib.Path(sys.argv[1], package), there / package)
(there / "borrowed.pth").write_text({packages!r})
"""


def changed(text: str, edit: Edit) -> str:
    """The content of the edit's file with it."""
    name, old, new = edit
    assert text.count(old) == 1, f"{name} no longer has {old!r}"
    return text.replace(old, new)


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
            path = self.root / edit[0]
            path.write_text(changed(path.read_text(), edit))
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
def copied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Copy]:
    """With a first commit, which is measured when it is first compared with."""
    folder = tmp_path_factory.mktemp("tracked")
    (folder / "home").mkdir()
    copy = Copy(folder / "copy", folder / "home")
    yield copy
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def copy(copied: Copy) -> Iterator[Copy]:
    """Each test commits on top of the first."""
    yield copied
    copied.git("reset", "-q", "--hard", copied.first)


# By the nightly.


@pytest.mark.slow
def test_an_unchanged_commit_is_green_and_bitwise_the_same(copy: Copy) -> None:
    unchanged = copy.commit(UNCHANGED)
    code, said = copy.night(ERRORS, TIME, OPERATORS)
    assert (code, said.split(":")[0]) == (0, "Green")
    for name in (ERRORS, OPERATORS):
        assert copy.value(unchanged, name) == copy.value(copy.first, name)


@pytest.mark.slow
def test_a_reordered_sum_is_green(copy: Copy) -> None:
    reordered = copy.commit(REORDERED)
    code, said = copy.night(ERRORS, ROUNDING, OPERATORS)
    assert (code, said.split(":")[0]) == (0, "Green")
    before, after = copy.value(copy.first, ERRORS), copy.value(reordered, ERRORS)
    assert after == pytest.approx(before, rel=1e-6)
    # It was measured, though a median of three seeds may have the same digits by chance.
    (measured,) = copy.root.glob(".asv/env/*/lib/python*/site-packages/suites/pinn/engine/terms.py")
    assert REORDERED[2] in measured.read_text()


@pytest.mark.slow
def test_a_wrong_sign_in_a_derivative_is_reported(copy: Copy) -> None:
    copy.commit(WRONG_SIGN)
    code, said = copy.night(ERRORS)
    assert code == 1
    assert f"regression: {ERRORS}" in said


@pytest.mark.slow
def test_a_step_three_times_slower_is_reported(copy: Copy) -> None:
    slow = copy.commit(SLOWER)
    code, said = copy.night(TIME)
    assert code == 1
    assert f"regression: {TIME}" in said
    ratio = copy.value(slow, TIME) / copy.value(copy.first, TIME)
    assert ratio > 2


@pytest.mark.slow
def test_more_operators_are_reported_while_the_error_stays(copy: Copy) -> None:
    commit = copy.commit(MORE_OPERATORS)
    code, said = copy.night(OPERATORS, ERRORS)
    assert code == 1
    assert f"regression: {OPERATORS}" in said
    assert copy.value(commit, OPERATORS) > 1.3 * copy.value(copy.first, OPERATORS)
    assert ERRORS not in said


@pytest.mark.slow
def test_a_lower_rate_is_a_change_of_a_fingerprint(copy: Copy) -> None:
    copy.commit(LOWER_RATE)
    code, said = copy.night(SCHEDULE)
    assert code == 1
    assert f"changed: {SCHEDULE}" in said
    assert "schedule=constant" not in said


@pytest.mark.slow
def test_a_new_name_is_no_change_of_a_fingerprint(copy: Copy) -> None:
    renamed = copy.commit(RENAMED)
    code, said = copy.night(SCHEDULE)
    assert (code, said.split(":")[0]) == (0, "Green")
    assert copy.value(renamed, SCHEDULE) == copy.value(copy.first, SCHEDULE)


# By what the benchmarks measure.

#: Prints the values of benchmarks of the path, measured as asv does, but of one seed, in this
#: process.
MEASURE = """
import ast, contextlib, importlib, io, json, sys, time

for name in [name for name in sys.modules if name.partition(".")[0] in ("bench", "suites")]:
    del sys.modules[name]
from asv_benchmarks import metrics, runs
from bench.suite import main

def train(*arguments):
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        assert main([*arguments, "--device", "cpu", "--jobs", "1", "--json", "--out", "runs"]) == 0
    return json.loads(printed.getvalue())

metrics.SEEDS = runs.SEEDS = 1
metrics.train = train

def value(name):
    path, _, rest = name.partition("(")
    module, suite, method = path.split(".")
    parameters = ast.literal_eval(f"({rest[:-1]},)")
    benchmark = getattr(importlib.import_module(f"asv_benchmarks.{module}"), suite)()
    if hasattr(benchmark, "setup_cache"):
        parameters = benchmark.setup_cache(), *parameters
    if hasattr(benchmark, "setup"):
        benchmark.setup(*parameters)
    if method.startswith("track_"):
        return getattr(benchmark, method)(*parameters)
    took = []
    for _ in range(60 if module == "steps" else 4):
        start = time.perf_counter()
        getattr(benchmark, method)(*parameters)
        took.append(time.perf_counter() - start)
    return min(took)

print(json.dumps({name: value(name) for name in sys.argv[1:]}))
"""


def values(folder: Path, edit: Edit | None, *names: str) -> dict[str, Value]:
    """What benchmarks measure of a copy of the code with an edit."""
    for package in ("bench", "suites"):
        shutil.copytree(ROOT / package, folder / package)
    if edit:
        path = folder / edit[0]
        path.write_text(changed(path.read_text(), edit))
    done = run(
        [sys.executable, "-c", MEASURE, *names],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": f"{folder}{os.pathsep}{folder / 'bench'}",
            "DCBENCH_PROFILE": "smoke",
        },
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    return {name: measured(name, number) for name, number in found.items()}


def measured(name: str, number: float) -> Value:
    benchmark, _, parameters = name.partition("(")
    return Value(
        benchmark=benchmark,
        parameters=tuple(re.findall(r"'[^']*'", parameters)),
        value=number,
        low=None,
        high=None,
        version="1",
        unit="1",
        kind="time" if name in (TIME, EVALUATION, START) else "track",
    )


@pytest.fixture(scope="module")
def unchanged(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Value]:
    """Of this code."""
    folder = tmp_path_factory.mktemp("base")
    names = (ERRORS, TIME, OPERATORS, ROUNDING, SCHEDULE, EVALUATION, START)
    return values(folder, None, *names)


@pytest.mark.parametrize(
    ("edit", "verdicts"),
    [
        (UNCHANGED, {ERRORS: "same", OPERATORS: "same"}),
        (REORDERED, {ERRORS: "same", ROUNDING: "same", OPERATORS: "same"}),
        (WRONG_SIGN, {ERRORS: "regression"}),
        (SLOWER, {TIME: "regression"}),
        (MORE_OPERATORS, {OPERATORS: "regression", ERRORS: "same"}),
        (RENAMED, {SCHEDULE: "same", ERRORS: "same"}),
        (LOWER_RATE, {SCHEDULE: "changed"}),
        (SLOWER_EVALUATION, {EVALUATION: "regression"}),
        (SLOWER_START, {START: "regression"}),
    ],
    ids=[
        *("unchanged", "reordered", "wrong sign", "slower", "more operators"),
        *("renamed", "lower rate", "slower evaluation", "slower start"),
    ],
)
def test_what_the_benchmarks_measure_shows_it(
    tmp_path: Path, unchanged: dict[str, Value], edit: Edit, verdicts: dict[str, str]
) -> None:
    found = values(tmp_path, edit, *verdicts)
    base = {name: unchanged[name] for name in verdicts}
    changes = compare(base, found, Configuration.load(ROOT).thresholds)
    assert {change.name: change.verdict.value for change in changes} == verdicts
    if edit in (UNCHANGED, RENAMED):
        assert found == base
    if edit is REORDERED:
        assert found[ERRORS].value == pytest.approx(base[ERRORS].value, rel=1e-6)
        assert found != base  # it was measured
    for name, least in ((TIME, 2), (OPERATORS, 1.3)):
        if verdicts.get(name) == "regression":
            assert found[name].value > least * base[name].value
