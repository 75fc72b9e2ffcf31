"""`bench.run` and `bench.load`: the command line's results, as Python objects."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import toy_suite

import bench
from bench.arm import AXES, LATER_AXES
from bench.store.record import Record
from bench.store.store import Store
from bench.suite import main
from suites.pinn.suite import SUITE

SMALL: dict[str, Any] = {"models": "fnn:8x2", "budget": "smoke", "device": "cpu", "jobs": 1}


@pytest.fixture(scope="module")
def pinn(tmp_path_factory: pytest.TempPathFactory, session_environment: None) -> bench.Results:
    """Two arms and three seeds, of twelve steps."""
    store = tmp_path_factory.mktemp("api") / "store"
    return bench.run(
        "pinn",
        problems="advection-1d",
        arms=["irelu+lsuv"],
        seeds=3,
        steps=12,
        evaluations=3,
        store=store,
        **SMALL,
    )


def test_it_is_the_command_lines_result(
    pinn: bench.Results, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["pinn", "--problem", "advection-1d", "--arm", "irelu+lsuv", "--seeds", "3"]
    command += ["--steps", "12", "--evaluations", "3", "--model", "fnn:8x2", "--budget", "smoke"]
    command += ["--device", "cpu", "--jobs", "1"]
    assert main([*command, "--json", "--out", str(tmp_path)]) == 0
    theirs = json.loads(capsys.readouterr().out)
    assert [r["spec_hash"] for r in theirs] == [record.spec_hash for record in pinn]
    for record, other in zip(pinn, theirs, strict=True):
        assert record.metrics["L2RE"].final == other["metrics"]["L2RE"]["final"]


def test_a_row_a_run(pinn: bench.Results) -> None:
    frame = pinn.frame()
    assert len(frame) == len(pinn) == 6
    assert list(frame["arm"]) == ["baseline"] * 3 + ["irelu+lsuv"] * 3
    assert set(frame["seed"]) == {0, 1, 2} and frame["seed"].dtype == "int64"
    assert isinstance(frame["problem"].dtype, pd.CategoricalDtype)
    assert all(frame[axis].notna().all() for axis in AXES if axis not in LATER_AXES)
    assert frame["offset"].isna().all()
    assert frame["L2RE"].dtype == "float64" and np.isfinite(frame["L2RE"]).all()
    records = list(pinn)
    assert list(frame["L2RE"]) == [record.metrics["L2RE"].final for record in records]
    units = frame.attrs["units"]
    assert units["L2RE"] == "1" and units["loss"] == "weighted" and units["train_s"] == "s"
    assert units.keys() >= set(records[0].metrics)


def test_curves_are_long(pinn: bench.Results) -> None:
    curves = pinn.curves("L2RE", "Lf")
    assert set(curves["metric"]) == {"L2RE", "Lf"}
    assert len(curves) == 6 * 2 * 4  # before the first step, and three times
    one = curves[(curves["run"] == next(iter(pinn)).spec_hash) & (curves["metric"] == "L2RE")]
    assert list(one["step"]) == [0, 4, 8, 12]
    assert one["seconds"].is_monotonic_increasing and one["seconds"].iloc[0] == 0
    assert one["value"].iloc[-1] == next(iter(pinn)).metrics["L2RE"].final
    assert set(pinn.curves()["metric"]) >= {"MSE", "heldout_loss"}
    with pytest.raises(bench.BadInput, match="unknown metric 'L2R'; did you mean 'L2RE'"):
        pinn.curves("L2R")


def test_runs_of_two_protocols_are_told_apart_in_a_frame(tmp_path: Path) -> None:
    found = {}
    for protocol in ("standard", "paper"):
        results = bench.run(
            "pinn",
            problems=["advection-1d"],
            models="fnn:4x1",
            budget="smoke",
            steps=1,
            protocol=protocol,
            device="cpu",
            jobs=1,
            store=tmp_path,
        )
        row = results.frame().iloc[0]
        found[protocol] = (row["settings"], row["schedule"])
    assert json.loads(found["standard"][0])["protocol"] == "standard"
    assert found["standard"][0] != found["paper"][0]
    assert [schedule for _, schedule in found.values()] == ["warmup-stable-decay", "constant"]


def test_a_comparison_is_that_of_the_report(
    pinn: bench.Results, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = pinn.compare("baseline")
    (row,) = frame.to_dict("records")
    assert (row["arm"], row["reference"], row["metric"]) == ("irelu+lsuv", "baseline", "L2RE")
    errors = pinn.frame().pivot(index="seed", columns="arm", values="L2RE")
    ratios = (errors["irelu+lsuv"] / errors["baseline"]).to_numpy()
    assert row["pairs"] == 3 and min(ratios) <= row["ratio"] <= max(ratios)
    assert row["wins"] == (ratios < 1).sum() and row["low"] <= row["ratio"] <= row["high"]
    assert row["verdict"] == "undecided"
    (other,) = pinn.compare("irelu+lsuv").to_dict("records")
    assert other["ratio"] == pytest.approx(1 / row["ratio"])
    assert pinn.report(tmp_path / "page.html").read_text().startswith("<!doctype html>")
    with pytest.raises(bench.BadInput, match="unknown arm among the runs: 'irelu'"):
        pinn.compare("irelu")
    with pytest.raises(bench.BadInput, match="unknown metric 'L3'"):
        pinn.compare(metric="L3")


def test_a_store_is_loaded(pinn: bench.Results) -> None:
    root = pinn._store.root
    loaded = bench.load(root)
    assert {r.spec_hash for r in loaded} == {r.spec_hash for r in pinn}
    # Read in part at first, whole where it is asked for.
    assert len(loaded.curves("L2RE")) == len(pinn.curves("L2RE"))
    run = loaded.run(next(iter(pinn)).spec_hash[:8])
    assert run.metrics["L2RE"] == next(iter(pinn)).metrics["L2RE"].final
    with pytest.raises(bench.BadInput, match="there is no store"):
        bench.load(root / "nowhere")
    with pytest.raises(bench.BadInput, match="unknown run 'zz'"):
        loaded.run("zz")


def test_one_run_of_a_large_store_is_found_without_reading_the_others(
    pinn: bench.Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded, read = bench.load(pinn._store.root), []
    original = Store.read
    monkeypatch.setattr(Store, "read", lambda *given: read.append(given[1]) or original(*given))
    name = next(iter(pinn)).spec_hash
    loaded.run(name)
    assert read == [name]


def test_the_trained_network_is_a_function_of_points(pinn: bench.Results) -> None:
    for run in pinn.runs():
        network = run.network()
        from pinn_specs import CPU

        from suites.pinn.task import build

        task = build(run.record.spec, CPU)
        points = task.truth.reference.points()
        predicted = network(points)
        assert predicted.shape == (len(points), 1)
        exact = task.truth.reference.targets()
        error = np.linalg.norm(predicted - exact) / np.linalg.norm(exact)
        assert error == pytest.approx(run.metrics["L2RE"], rel=1e-5)
        assert network.outputs == ("u",) and network.inputs == 2
        for bad in (points[:, :1], points[0], points.T):
            with pytest.raises(bench.BadInput, match=r"points have the shape \(n, 2\)"):
                network(bad)


def test_a_potential_is_a_function_of_atoms(tmp_path: Path) -> None:
    from ase.build import molecule

    from suites.molecular.calculator import PotentialCalculator

    results = bench.run(
        "molecular",
        models="schnet:8x1",
        budget="smoke",
        device="cpu",
        jobs=1,
        store=tmp_path / "store",
        export=tmp_path / "exported",
    )
    (run,) = results.runs()
    potential = run.network()
    atoms = molecule("CH3CH2OH")
    energy, forces = potential(atoms)
    (exported,) = (tmp_path / "exported").iterdir()
    atoms.calc = PotentialCalculator(exported)
    assert energy == pytest.approx(atoms.get_potential_energy(), rel=1e-12)
    np.testing.assert_allclose(forces, atoms.get_forces(), rtol=0, atol=1e-12)
    with pytest.raises(bench.BadInput, match="knows the elements"):
        potential(molecule("SO2"))
    Path(str(run._store.find_weights(run.record.spec_hash))).unlink()
    with pytest.raises(bench.BadInput, match="has no weights"):
        bench.load(tmp_path / "store").run(run.record.spec_hash).network()


BAD: list[tuple[dict[str, Any], str]] = [
    ({"suite": "pin"}, "unknown suite 'pin'; did you mean 'pinn'"),
    ({"epochs": 3}, "unknown argument 'epochs': it is called 'steps' here"),
    ({"stepss": 3}, "unknown argument 'stepss'; did you mean 'steps'"),
    ({"steps": "3"}, "steps must be a whole number, got '3'"),
    ({"steps": 0}, "nothing to train"),
    ({"problems": "xtb-ethanol"}, "problem 'xtb-ethanol' is in the suite 'molecular'"),
    ({"models": "schnet"}, "model 'schnet' is in the suite 'molecular'"),
    ({"problems": "advection"}, "did you mean 'advection-1d'"),
    ({"arms": "ireluu"}, "did you mean 'irelu'"),
    ({"seeds": 0}, "--seeds must be from 1"),
    ({"seeds": [-1]}, "--seed must be 0 or more"),
    ({"seeds": "three"}, "seed must be a whole number"),
    ({"budget": "quik"}, "did you mean 'quick'"),
    ({"compile": "maybe"}, "unknown compile 'maybe' (allowed: auto, off, on)"),
    ({"device": "gpu"}, "unknown device 'gpu'; did you mean 'cuda'"),
    ({"device": "cuda:"}, "unknown device 'cuda:'"),
    ({"dtype": "float16"}, "unknown dtype 'float16'; did you mean 'float"),
    ({"jobs": 0}, "--jobs takes 'auto' or a number of at least 1"),
    ({"jobs": 1.5}, "--jobs takes 'auto' or a number of at least 1, got '1.5'"),
    ({"timeout": -1}, "--timeout must be positive"),
    ({"store": ""}, "store must be a path"),
    ({"activation": "snake"}, "unknown activation 'snake'"),
    ({"activation": "mine.Snake"}, "written module:attribute, 'mine:Snake'"),
    ({"activation": "./mine:Snake"}, "written module:attribute, 'mine:Snake'"),
    ({"activation": "mine.py:Snake"}, "written module:attribute, 'mine:Snake'"),
    ({"activation": "sub/mine.py:Snake"}, "written module:attribute, 'sub.mine:Snake'"),
    ({"activation": "mine.py"}, "written module:attribute"),
    ({"activation": "torch.nn.functional:tanh"}, "is a function of a tensor, and must be what"),
    ({"normalization": "layernom"}, "did you mean 'layernorm'"),
    ({"arms": "mine:Snake"}, "say which axis 'mine:Snake' is on"),
    ({"arms": "irelu+mine.Snake"}, "activation=mine:Snake"),
]


@pytest.mark.parametrize(("given", "said"), BAD, ids=lambda case: str(case)[:50])
def test_bad_input_is_one_line_and_writes_nothing(
    given: dict[str, Any], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    call: dict[str, Any] = {"suite": "pinn", "problems": "advection-1d", **SMALL, **given}
    with pytest.raises(bench.BadInput) as raised:
        bench.run(**call)
    assert said in str(raised.value) and "\n" not in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_an_instance_is_no_factory(own_module: Callable[[str, str], None]) -> None:
    own_module(
        "own_instances", "import torch\nACTIVATION = torch.nn.Tanh()\nNORM = torch.nn.LayerNorm(8)"
    )
    for axis, name in (("activation", "ACTIVATION"), ("normalization", "NORM")):
        with pytest.raises(bench.BadInput, match="is a module, and must be what makes one"):
            bench.run("pinn", **SMALL, **{axis: f"own_instances:{name}"})


@pytest.fixture
def toys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    toy_suite.use(tmp_path, monkeypatch)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_results_are_found_and_said_in_one_line(
    toys: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = bench.run("lone", seeds=3, jobs=1, steps=5)
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("done in") == 3
    again = bench.run("lone", seeds=[0, 2], jobs=1, steps=5)
    assert "[2/2] 2 runs found in the store" in capsys.readouterr().err
    assert [r.spec_hash for r in again] == [list(first)[k].spec_hash for k in (0, 2)]
    bench.run("lone", seeds=3, jobs=1, steps=5, progress=False)
    assert capsys.readouterr().err == ""


def test_a_run_that_diverged_or_failed_is_a_row(toys: Path) -> None:
    results = bench.run("lone", seeds=3, jobs=1, diverge=2, fail="oom", baseline=True)
    frame = results.frame()
    assert list(frame["status"]) == ["done", "out-of-memory", "diverged"]
    assert np.isnan(frame["error"].iloc[2])
    with pytest.raises(bench.BadInput, match="gives no networks"):
        results.runs()[2].network()


def test_an_interruption_is_a_keyboard_interrupt_and_the_same_call_continues(
    toys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = bench.run("lone", jobs=1, store="whole")
    monkeypatch.setenv("TOY_INTERRUPT", "0@60")
    with pytest.raises(KeyboardInterrupt, match="the same call continues"):
        bench.run("lone", jobs=1)
    monkeypatch.delenv("TOY_INTERRUPT")
    (record,) = bench.run("lone", jobs=1)
    assert record.resumed == 1 and record.metrics == next(iter(whole)).metrics


@pytest.mark.parametrize("jobs", [1, 2])
def test_who_calls_outlives_an_interruption_in_a_long_step(toys: Path, jobs: int) -> None:
    """A notebook's kernel has more than the runs to lose."""
    (toys / "script.py").write_text(
        "import bench\n"
        "try:\n"
        f"    bench.run('lone', seeds=2, jobs={jobs}, fail='hang')\n"
        "except KeyboardInterrupt:\n"
        "    print('alive', len(bench.load()))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "script.py"],
        cwd=toys,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert "seed 0: done" in process.stderr.readline()
    time.sleep(3)  # into the step of seed 1 that does not end
    process.send_signal(signal.SIGINT)
    if jobs == 1:
        time.sleep(4)  # longer than a command would wait
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0 and out.startswith("alive ")


def test_a_script_needs_no_main_guard(toys: Path) -> None:
    """Workers are processes of their own; they must not run the script again."""
    (toys / "script.py").write_text(
        "import bench\n"
        "results = bench.run('lone', seeds=3, jobs=2, steps=5)\n"
        "print(len(results), set(results.frame()['status']))\n"
    )
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=toys, capture_output=True, text=True, timeout=120
    )
    assert done.stdout == "3 {'done'}\n", done.stderr


def test_import_bench_is_light() -> None:
    probe = (
        "import sys, bench; dir(bench); bench.BadInput\n"
        "print(sorted({'torch', 'pandas', 'numpy', 'deepxde', 'schnetpack'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_what_is_not_there_is_said_as_python_says_it() -> None:
    with pytest.raises(AttributeError, match="no attribute 'rnu'"):
        bench.rnu  # noqa: B018
    assert {"run", "study", "load"} <= set(dir(bench))
    assert SUITE.options.declared() and isinstance(Record.__doc__, str)
