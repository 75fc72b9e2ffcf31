"""The data of a user's problem are part of a run's name."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import command_server
import h5py
import numpy as np
import pinn_specs
import pytest

from bench.text.errors import BadInput
from suites.pinn.inspection import kept
from suites.pinn.inspection.content import built, held
from suites.pinn.problems.catalogue import get_problem
from suites.pinn.problems.problem import Points
from suites.pinn.task import build

MODULE = """
import pathlib

import deepxde as dde
import h5py
import numpy as np

from suites.pinn import wrap

HERE = pathlib.Path(__file__).parent
{read}

def data():
    return dde.data.PDE(
        dde.geometry.Interval(0, 1),
        lambda x, y: dde.grad.hessian(y, x),
        [dde.icbc.PointSetBC(OBS[:, :1], OBS[:, 1:])],
        num_domain=20,
        train_distribution="pseudo",
    )

problem = wrap(
    data, name="observed", outputs=["u"], losses=["Lf", "Ldata"], reference=(OBS[:, :1], OBS[:, 1:])
)
"""

#: How a module reads its data, and how they are written.
READ = {
    "obs.csv": "OBS = np.loadtxt(HERE / 'obs.csv', delimiter=',')",
    "obs.npz": "OBS = np.load(HERE / 'obs.npz')['obs']",
    "obs.h5": "with h5py.File(HERE / 'obs.h5') as file:\n    OBS = file['obs'][()]",
}


def write(path: Path, factor: float) -> None:
    x = np.linspace(0, 1, 11)[:, None]
    values = np.hstack([x, factor * np.sin(x)])
    if path.suffix == ".csv":
        np.savetxt(path, values, delimiter=",")
    elif path.suffix == ".npz":
        np.savez(path, obs=values)
    else:
        with h5py.File(path, "w") as file:
            file["obs"] = values


def run(folder: Path) -> dict[str, Any]:
    """The record of the baseline, from a new process."""
    asked = "--problem observed:problem --budget smoke --model fnn:4x1 --jobs 1 --device cpu --json"
    done = command_server.run(
        [sys.executable, "-m", "bench.suite", "pinn", *asked.split()],
        cwd=folder,
        env={**os.environ, "DCBENCH_CACHE": str(folder / "cache")},
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr
    (record,) = json.loads(done.stdout)
    return dict(record)


@pytest.mark.parametrize("name", READ)
def test_a_run_on_other_data_is_another_run(name: str, tmp_path: Path) -> None:
    (tmp_path / "observed.py").write_text(MODULE.format(read=READ[name]))
    write(tmp_path / name, 1.0)
    first = run(tmp_path)
    (file,) = (tmp_path / "cache" / "problems").glob("*.json")
    assert name in file.read_text()
    before = file.stat().st_mtime_ns
    # Nothing has changed: the run is found, and the problem is not looked at again.
    assert run(tmp_path) == first
    assert file.stat().st_mtime_ns == before
    write(tmp_path / name, 2.0)
    other = run(tmp_path)
    assert other["spec_hash"] != first["spec_hash"]
    assert other["metrics"]["Ldata"]["final"] != first["metrics"]["Ldata"]["final"]
    assert file.stat().st_mtime_ns != before
    # And back: both are known.
    now = file.stat().st_mtime_ns
    write(tmp_path / name, 1.0)
    if name != "obs.h5":  # h5py writes times
        assert run(tmp_path) == first
        assert file.stat().st_mtime_ns == now


def test_data_that_change_before_a_run_is_built_are_refused(
    tmp_path: Path, own_module: Callable[[str, str], None]
) -> None:
    own_module("changing", MODULE.format(read=READ["obs.csv"]))
    write(tmp_path / "obs.csv", 1.0)
    spec = pinn_specs.specify("changing:problem")
    build(spec, pinn_specs.CPU)
    write(tmp_path / "obs.csv", 2.0)
    with pytest.raises(BadInput, match=r"'changing:problem' have changed .*\(obs.csv\)"):
        build(spec, pinn_specs.CPU)
    # The module in this process still holds the old ones.
    with pytest.raises(BadInput, match="changed since this process imported it"):
        pinn_specs.specify("changing:problem")
    write(tmp_path / "obs.csv", 1.0)
    build(spec, pinn_specs.CPU)
    assert pinn_specs.specify("changing:problem").hash == spec.hash


def test_a_problem_that_is_built_in_has_no_digest_of_its_data() -> None:
    assert "problem_data" not in pinn_specs.specify("advection-1d").settings
    assert kept.inspect_problem("advection-1d", None, 0, "float32") is None


# --- what it covers ---------------------------------------------------------------------------

OWN = """
import deepxde as dde
import numpy as np

from suites.pinn import Problem, Term, wrap
from suites.pinn.problems.truth import Truth
from suites.pinn.reference.reference import ScatteredReference

X = np.linspace(0, 1, 11)[:, None]

def make({arguments}):
    table = np.arange(5.0) + {table}

    def pde(x, y):
        return dde.grad.hessian(y, x) + {factor} * table[2]

    def factory():
        g = dde.geometry.Interval(0, 1)
        return dde.data.PDE(
            g, pde, [dde.icbc.DirichletBC(g, lambda x: {value}, lambda x, on: on)],
            num_domain=10, num_boundary=4, train_distribution="pseudo", anchors=X[:3] + {anchor},
        )

    return wrap(
        factory, name="own", outputs=["u"], losses=["Lf", "LBC"], reference=(X, X + {reference})
    )

problem = make()

class Mine(Problem):
    name = "mine"
    outputs = ("u",)
    terms = (Term("Lf", "residual"), Term("LBC", "boundary", 0))
    takes_labels = False

    def own_truth(self, fine):
        return Truth(ScatteredReference(X, X + {reference}, "data"), None, (0,))

    def data(self, truth, points, supervised):
        return problem.data(truth, points, supervised)
"""
PARTS = {"arguments": "", "table": 0, "factor": 1, "value": 0.0, "anchor": 0, "reference": 0}
COUNT = iter(range(1000))


def digest(own_module: Callable[[str, str], None], attribute: str = "problem", **parts: Any) -> str:
    """Of the module with other parts, from a new process."""
    name = f"own_data_{next(COUNT)}"
    own_module(name, OWN.format(**{**PARTS, **parts}))
    found = kept.inspect_problem(f"{name}:{attribute}", None, 0, "float32")
    assert found is not None and found.warnings == [] and found.unfit == {}
    return found.digest


def test_the_digest_is_that_of_what_is_built(own_module: Callable[[str, str], None]) -> None:
    changes: list[dict[str, Any]] = [
        {},
        {"table": 1},
        {"value": 1.0},
        {"anchor": 0.01},
        {"reference": 1},
        {"arguments": "unused=1"},
    ]
    found = [digest(own_module, **change) for change in changes]
    assert digest(own_module) == found[0]
    assert len(set(found)) == len(found) - 1 and found[-1] == found[0]


def test_problems_that_are_classes_are_covered(own_module: Callable[[str, str], None]) -> None:
    first = digest(own_module, "Mine")
    assert digest(own_module, "Mine") == first
    assert digest(own_module, "Mine", reference=1) != first
    assert digest(own_module, "Mine", table=1) != first


def test_collocation_points_are_not_covered(own_module: Callable[[str, str], None]) -> None:
    own_module("own_points", OWN.format(**PARTS))
    problem = get_problem("own_points:problem")
    one, other = (problem.data(None, Points(20, 10, 10), None) for _ in range(2))
    assert not np.array_equal(one.train_x_all, other.train_x_all)
    assert built(problem, None, one) == built(problem, None, other)
    assert held(problem, one) == held(problem, other)


UNSEEDED = """
import deepxde as dde
import numpy as np

from suites.pinn import wrap

GENERATOR = np.random.default_rng()

def factory():
    g = dde.geometry.Interval(0, 1)
    return dde.data.PDE(
        g, lambda x, y: dde.grad.hessian(y, x),
        [dde.icbc.DirichletBC(g, lambda x: 0, lambda x, on: on)],
        num_domain=10, num_boundary=4, train_distribution="pseudo",
        anchors=GENERATOR.random((3, 1)),
    )

problem = wrap(factory, name="own", outputs=["u"], losses=["Lf", "LBC"])
"""


def test_a_generator_that_nobody_seeds_is_told_of(
    own_module: Callable[[str, str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    own_module("unseeded", UNSEEDED)
    first = pinn_specs.specify("unseeded:problem")
    (line,) = capsys.readouterr().err.splitlines()
    assert "'unseeded:problem' draws other numbers" in line and "(anchors, points)" in line
    assert pinn_specs.specify("unseeded:problem", "irelu").settings == first.settings
    assert capsys.readouterr().err == ""


# --- modules that misbehave -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import time\ntime.sleep(60)\n", "because it takes longer than 3 s"),
        ("import os\nos._exit(7)\n", "because its process ended with exit code 7"),
        ("import sys\nsys.exit('no')\n", "SystemExit: no"),
        ("import os\nos.kill(os.getpid(), 11)\n", "was killed by signal 11"),
    ],
)
def test_a_module_that_hangs_or_ends_is_refused(
    source: str,
    words: str,
    own_module: Callable[[str, str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = f"misbehaving_{len(source)}"
    own_module(name, source)
    monkeypatch.setattr(kept, "SECONDS", 3.0)
    start = time.monotonic()
    with pytest.raises(BadInput, match=f"{name}.*{words}"):
        pinn_specs.specify(f"{name}:problem")
    assert time.monotonic() - start < 30
    assert name not in sys.modules


START = """
import deepxde as dde
import numpy as np
import torch

from suites.pinn import wrap

def factory():
    g = dde.geometry.Interval(0, 1e4)
    return dde.data.PDE(
        g, lambda x, y: {residual}, [dde.icbc.DirichletBC(g, {function}, lambda x, on: on)],
        num_domain=10, num_boundary=4, train_distribution="pseudo",
    )

problem = wrap(factory, name="own", outputs=["u"], losses=["Lf", "LBC"])
"""


@pytest.mark.parametrize("protocol", ["standard", "paper"])
def test_a_loss_that_is_not_finite_at_the_start_is_refused(
    protocol: str, own_module: Callable[[str, str], None]
) -> None:
    name = f"nan_{protocol}"
    source = START.format(residual="dde.grad.hessian(y, x)", function="lambda x: np.sqrt(x - 5)")
    own_module(name, source)
    with pytest.raises(BadInput, match=r"'LBC' is not finite before the first step.* NaN"):
        pinn_specs.specify(f"{name}:problem", protocol=protocol)


def test_an_arm_that_overflows_is_not_the_problem_s_fault(
    tmp_path: Path, own_module: Callable[[str, str], None]
) -> None:
    own_module("overflowing", START.format(residual="y", function="lambda x: 0"))
    record = pinn_specs.run(
        tmp_path, "overflowing:problem", "irelu", dtype="float32", model="fnn:40x6", steps=2
    )
    baseline = pinn_specs.run(
        tmp_path, "overflowing:problem", dtype="float32", model="fnn:40x6", steps=2
    )
    assert (record.status, baseline.status) == ("diverged", "done"), record.reason


# --- what else a problem asks for -------------------------------------------------------------

GLOB = (
    "import os\n"
    "PLACE = pathlib.Path(os.environ.get('MY_DATA', HERE / 'data'))\n"
    "OBS = np.vstack([np.loadtxt(one, delimiter=',', ndmin=2) for one in sorted({listed})])"
)
LISTED = {
    "glob": "PLACE.glob('*.csv')",
    "glob.glob": "__import__('glob').glob(str(PLACE / '*.csv'))",
    "listdir": "PLACE / name for name in os.listdir(PLACE)",
}


def look(name: str) -> kept.Inspection:
    """In a process that has not imported the problem, as each command is one."""
    kept._mine.clear()
    found = kept.inspect_problem(f"{name}:problem", None, 0, "float32")
    assert found is not None
    return found


@pytest.mark.parametrize("listed", LISTED)
def test_a_new_file_and_another_folder_are_other_data(
    listed: str,
    tmp_path: Path,
    own_module: Callable[[str, str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("MY_DATA", raising=False)
    name = f"listing_{sorted(LISTED).index(listed)}"
    own_module(name, MODULE.format(read=GLOB.format(listed=LISTED[listed])))
    for k, folder in enumerate(("data", "other")):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder / "a.csv", 1.0 + k)
    first = look(name)
    assert first.all_seen and first.holds and look(name) == first
    monkeypatch.setenv("MY_DATA", str(tmp_path / "other"))
    assert not first.holds
    other = look(name)
    monkeypatch.delenv("MY_DATA")
    assert look(name) == first
    write(tmp_path / "data" / "b.csv", 3.0)
    assert not first.holds
    more = look(name)
    assert len({first.digest, other.digest, more.digest}) == 3


def test_a_file_that_is_looked_for(tmp_path: Path, own_module: Callable[[str, str], None]) -> None:
    read = "OBS = np.ones((3, 2)) * (2 if (HERE / 'double').exists() else 1)"
    own_module("looking", MODULE.format(read=read))
    first = look("looking")
    assert first.all_seen and first.holds
    (tmp_path / "double").touch()
    assert not first.holds
    assert look("looking").digest != first.digest


def test_variables_that_are_not_asked_for(
    own_module: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    own_module("indifferent", MODULE.format(read="OBS = np.ones((3, 2))"))
    first = look("indifferent")
    assert not [name for name in first.surroundings if name.startswith("variable")]
    monkeypatch.setenv("MY_DATA", "other")
    assert first.holds


def test_data_that_a_run_was_not_asked_for_are_refused(
    tmp_path: Path, own_module: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MY_DATA", raising=False)
    own_module("elsewhere", MODULE.format(read=GLOB.format(listed=LISTED["glob"])))
    for k, folder in enumerate(("data", "other")):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder / "a.csv", 1.0 + k)
    # Nothing is kept: the spec suffices.
    monkeypatch.setattr(kept, "_write", lambda *_: None)
    spec = pinn_specs.specify("elsewhere:problem", seed=3, dtype="float32")
    build(spec, pinn_specs.CPU)
    sys.modules.pop("elsewhere")
    get_problem.cache_clear()
    kept._mine.clear()
    monkeypatch.setenv("MY_DATA", str(tmp_path / "other"))
    words = r"'elsewhere:problem' are not those .* \(values of the truth, labels of Ldata\)"
    with pytest.raises(BadInput, match=words):
        build(spec, pinn_specs.CPU)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("budget", ["smoke", "short"])
def test_what_is_built_is_compared_in_each_precision(
    dtype: str, budget: str, own_module: Callable[[str, str], None]
) -> None:
    name = f"precise_{dtype}_{budget}"
    exact = OWN.replace("reference=(X, X + {reference})", "exact=lambda x: np.sin(9 * x)")
    own_module(name, exact.format(**PARTS))
    spec = pinn_specs.specify(f"{name}:problem", seed=5, dtype=dtype, budget=budget)
    assert set(spec.settings["problem_built"]) == {
        "anchors",
        "precision",
        "points of the truth",
        "values of the truth",
    }
    build(spec, pinn_specs.CPU)


def test_what_a_seed_draws_is_not_compared(own_module: Callable[[str, str], None]) -> None:
    own_module("seeded", UNSEEDED.replace("GENERATOR.random((3, 1))", "np.random.random((3, 1))"))
    spec = pinn_specs.specify("seeded:problem", seed=5)
    assert spec.settings["problem_built"] == {"precision": "float64"}
    build(spec, pinn_specs.CPU)


# --- noise at import --------------------------------------------------------------------------

NOISE = {
    "numpy": "np.random.randn(5, 2)",
    "python": "np.array([[__import__('random').random() for _ in 'ab'] for _ in range(5)])",
    "torch": "__import__('torch').randn(5, 2).numpy()",
}


@pytest.mark.parametrize("generator", NOISE)
def test_noise_of_an_import_is_the_same_in_each_process(
    generator: str, own_module: Callable[[str, str], None]
) -> None:
    name = f"noisy_{generator}"
    own_module(name, MODULE.format(read=f"OBS = {NOISE[generator]}"))
    before = np.random.get_state()[1]
    spec = pinn_specs.specify(f"{name}:problem")
    assert np.array_equal(np.random.get_state()[1], before)
    # The labels in this process are those of the child.
    build(spec, pinn_specs.CPU)
    first = look(name).digest
    (path,) = {kept._path(kept._key(f"{name}:problem", None, 0, "float32"))}
    path.unlink()
    assert look(name).digest == first


def test_noise_of_an_unseeded_generator_is_refused(
    own_module: Callable[[str, str], None],
) -> None:
    own_module("unrepeatable", MODULE.format(read="OBS = np.random.default_rng().random((5, 2))"))
    spec = pinn_specs.specify("unrepeatable:problem")
    with pytest.raises(BadInput, match=r"labels of Ldata.*generator of its own without a seed"):
        build(spec, pinn_specs.CPU)


# --- files that a problem writes --------------------------------------------------------------

COUNTER = (
    "CALLS = HERE / 'calls.txt'\n"
    "CALLS.write_text(str(int(CALLS.read_text() if CALLS.exists() else 0) + 1))\n"
    "OBS = np.ones((3, 2))"
)
LOG = (
    "(HERE / 'seen.txt').open('a+').write('seen')\n"
    "SEEN = (HERE / 'seen.txt').read_text()\n"
    "OBS = np.ones((3, 2))"
)


@pytest.mark.parametrize(("name", "read"), [("calls", COUNTER), ("seen", LOG)])
def test_a_file_that_a_problem_writes_is_no_data(
    name: str,
    read: str,
    tmp_path: Path,
    own_module: Callable[[str, str], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    own_module(f"writing_{name}", MODULE.format(read=read))
    (tmp_path / f"{name}.txt").write_text("0")
    specs = []
    for _ in range(2):
        kept._mine.clear()
        get_problem.cache_clear()
        sys.modules.pop(f"writing_{name}", None)
        spec = pinn_specs.specify(f"writing_{name}:problem")
        assert f"writes files that it reads ({name}.txt)" in capsys.readouterr().err
        build(spec, pinn_specs.CPU)
        build(spec, pinn_specs.CPU)
        specs.append(spec)
    assert specs[0].hash == specs[1].hash


def test_a_cache_that_changes_is_no_other_data(
    tmp_path: Path, own_module: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DCBENCH_CACHE", str(tmp_path / "own"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    (tmp_path / "caches").mkdir()
    file = tmp_path / "caches" / "fonts.txt"
    file.write_text("a")
    read = "(HERE / 'caches' / 'fonts.txt').read_text()\nOBS = np.ones((3, 2))"
    own_module("caching", MODULE.format(read=read))
    first = look("caching")
    file.write_text("b")
    assert first.changed == [] and look("caching").digest == first.digest
