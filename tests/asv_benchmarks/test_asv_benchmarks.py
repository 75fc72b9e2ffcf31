"""asv's benchmarks: found in every profile, cheap to import, and loud when something is wrong."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from command_server import run

from bench.arm import AXES, Arm
from bench.asv_benchmarks import activations, commands, data, gpu, truths
from bench.asv_benchmarks.counting import Counts, count
from bench.asv_benchmarks.profile import PROFILES, VARIABLE, cases, profile
from bench.asv_benchmarks.runs import SEEDS, median_error
from bench.spec.training import SCHEDULE_NAMES
from bench.techniques.activation import ACTIVATIONS
from bench.text.errors import BadInput
from bench.tracking.configuration import Configuration
from suites.molecular.models import catalogue as molecular_models
from suites.pinn.models import catalogue as pinn_models
from suites.pinn.problems import catalogue as pinn_problems

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "bench" / "asv_benchmarks"
MODULES = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "__init__")

#: Prints, as JSON, what asv finds in a profile.
DISCOVERY = """
import json, sys
from asv_runner._aux import update_sys_path
from asv_runner.discovery import disc_benchmarks
root = sys.argv[1]
update_sys_path(root)
found = []
for benchmark in disc_benchmarks(root):
    found.append({
        "name": benchmark.name,
        "type": benchmark.type,
        "version": benchmark.version,
        "code": benchmark.code,
        "pretty_name": benchmark.pretty_name,
        "unit": benchmark.unit,
        "params": benchmark.params,
        "accepted": benchmark.check(root),
    })
print(json.dumps(found))
"""


def python(script: str, *arguments: str, start: Any = subprocess.run, **variables: str) -> str:
    """Standard output of a script in a new interpreter, away from the checkout."""
    done = start(
        [sys.executable, "-c", script, *arguments],
        capture_output=True,
        text=True,
        cwd="/",
        env={**os.environ, "PYTHONPATH": str(ROOT), **variables},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def discovered() -> dict[str, dict[str, dict[str, Any]]]:
    """What asv finds: profile → name → benchmark."""

    def discover(name: str) -> dict[str, dict[str, Any]]:
        found = json.loads(python(DISCOVERY, str(FOLDER), **{VARIABLE: name}))
        return {benchmark["name"]: benchmark for benchmark in found}

    with ThreadPoolExecutor() as pool:
        return dict(zip(PROFILES, pool.map(discover, PROFILES), strict=True))


# Importing.


def test_importing_the_benchmarks_imports_nothing_heavy() -> None:
    script = f"""
import importlib, sys
sys.path.insert(0, {str(FOLDER.parent)!r})
for name in {MODULES}:
    importlib.import_module("asv_benchmarks." + name)
print(sorted({{"torch", "numpy", "deepxde", "schnetpack", "bench", "suites"}} & set(sys.modules)))
"""
    assert python(script, **{VARIABLE: "nightly"}).strip() == "[]"


# What asv finds.


@pytest.mark.parametrize("name", PROFILES)
def test_asv_accepts_every_benchmark(
    discovered: dict[str, dict[str, dict[str, Any]]], name: str
) -> None:
    found = discovered[name]
    assert all(benchmark["accepted"] for benchmark in found.values())
    assert {benchmark["type"] for benchmark in found.values()} == {"time", "peakmemory", "track"}
    assert set(found) == set(discovered["nightly"])


def test_every_benchmark_has_a_version_that_an_edit_keeps(
    discovered: dict[str, dict[str, dict[str, Any]]],
) -> None:
    # asv's default is a hash of the code.
    hashed = [
        name
        for name, found in discovered["nightly"].items()
        if found["version"] == hashlib.sha256(found["code"].encode()).hexdigest()
    ]
    assert hashed == []


def test_every_benchmark_has_its_own_pretty_name(
    discovered: dict[str, dict[str, dict[str, Any]]],
) -> None:
    pretty = {name: found["pretty_name"] for name, found in discovered["nightly"].items()}
    assert [name for name, text in pretty.items() if not text or ": " not in text] == []
    assert len(set(pretty.values())) == len(pretty)


def test_networks_are_named_as_records_name_them(
    discovered: dict[str, dict[str, dict[str, Any]]],
) -> None:
    """An arm has one canonical name, by which a benchmark finds its records."""
    networks = {
        ast.literal_eval(text)
        for name, benchmark in discovered["nightly"].items()
        if name.startswith(("metrics.", "steps.", "gpu."))
        for text in benchmark["params"][1]
    }
    assert len(networks) > 5
    for network in networks:
        _, arm = network.split()
        assert str(Arm.parse(arm)) == arm


def test_every_tracked_value_has_a_unit(
    discovered: dict[str, dict[str, dict[str, Any]]],
) -> None:
    tracked = [b for b in discovered["nightly"].values() if b["type"] == "track"]
    assert tracked
    assert [b["name"] for b in tracked if b["unit"] == "unit"] == []


def test_a_profile_adds_cases_to_the_one_before(
    discovered: dict[str, dict[str, dict[str, Any]]],
) -> None:
    for name, most in discovered["nightly"].items():
        sizes = []
        for profile_name in PROFILES:
            params = discovered[profile_name][name]["params"]
            sizes.append([len(values) for values in params])
            for values, all_values in zip(params, most["params"], strict=True):
                # The same order, so that asv's pages do not change with the profile.
                assert values == all_values[: len(values)], name
        assert sizes == sorted(sizes), name
    smoke, fast, nightly = (
        sum(len(values) for b in discovered[name].values() for values in b["params"])
        for name in PROFILES
    )
    assert smoke < fast < nightly


# Profiles.


def test_a_profile_has_the_cases_of_those_before_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {}
    for name in PROFILES:
        monkeypatch.setenv(VARIABLE, name)
        found[name] = cases(["a"], ["b", "a"], ["c", "b"])
    assert found == {"smoke": ["a"], "fast": ["a", "b"], "nightly": ["a", "b", "c"]}


def test_the_default_profile_is_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert profile() == "fast"


def test_an_unknown_profile_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "nightley")
    with pytest.raises(ValueError) as caught:
        cases([1], [2], [3])
    assert str(caught.value) == (
        "unknown DCBENCH_PROFILE 'nightley' (allowed: smoke, fast, nightly)"
    )


# Counting.


def test_a_matrix_product_and_a_relu_are_counted_as_by_hand() -> None:
    x, w = torch.ones(3, 4), torch.ones(4, 5)
    assert count(lambda: torch.relu(x @ w)) == Counts(operators=2, flops=2 * 3 * 4 * 5)


def test_a_gradient_is_counted_as_by_hand() -> None:
    x, w = torch.ones(3, 4), torch.ones(4, 5, requires_grad=True)
    # mm, relu, sum; ones_like, threshold_backward, mm.
    expected = Counts(operators=6, flops=2 * 3 * 4 * 5 + 2 * 4 * 3 * 5)
    assert count(lambda: torch.autograd.grad(torch.relu(x @ w).sum(), w)) == expected


def test_views_and_allocations_are_not_counted() -> None:
    x = torch.ones(3, 4)

    def view() -> None:
        x.t(), x.view(12), x[0], x.unsqueeze(0).permute(0, 2, 1), x.expand(2, 3, 4)
        torch.empty(3), torch.empty_like(x)

    assert count(view) == Counts(0, 0)
    assert count(lambda: x.t() + 1) == Counts(1, 0)


def test_what_only_the_first_call_does_is_not_counted() -> None:
    kept: list[torch.Tensor] = []
    x = torch.ones(3)

    def step() -> None:
        if not kept:
            kept.append(x.exp().sin())
        kept[0].cos()

    assert count(step) == Counts(1, 0)


def test_counts_of_a_training_step_are_the_same_in_every_build() -> None:
    script = """
from asv_benchmarks.counting import count
from asv_benchmarks.tasks import built
arguments = "pinn", "advection-1d", "fnn baseline", "cpu"
first = built(*arguments)
assert built(*arguments) is first
again = built(*arguments, "float32")  # the default, but another call
assert again is not first
print([tuple(count(task.step)) for task in (first, first, again)])
"""
    path = f"{FOLDER.parent}{os.pathsep}{ROOT}"
    first, second, rebuilt = json.loads(
        python(script, start=run, PYTHONPATH=path).replace("(", "[").replace(")", "]")
    )
    assert first == second == rebuilt
    operators, flops = first
    # Forward and backward of the 4 hidden products alone, 40 × 40 for each of 1000 points.
    assert operators > 100 and flops > 3 * 4 * 2 * 1000 * 40 * 40


# Errors after training.


def record(seed: int, error: float, **changes: Any) -> dict[str, Any]:
    return {
        "problem": "advection-1d",
        "model": "fnn",
        "arm": "irelu",
        "seed": seed,
        "status": "done",
        "reason": None,
        "metrics": {"L2RE": {"final": error}},
        **changes,
    }


def test_the_error_is_the_median_of_the_seeds() -> None:
    records = [record(seed, error) for seed, error in enumerate((0.3, 0.1, 0.2))]
    assert len(records) == SEEDS
    assert median_error(records, "L2RE") == 0.2


@pytest.mark.parametrize(("status", "reason"), [("diverged", "loss NaN"), ("failed", "no memory")])
def test_a_run_that_did_not_end_well_is_an_error_that_names_it(status: str, reason: str) -> None:
    records = [record(0, 0.1), record(1, 0.1, status=status, reason=reason), record(2, 0.1)]
    with pytest.raises(RuntimeError, match=f"advection-1d fnn irelu seed 1 {status}: {reason}"):
        median_error(records, "L2RE")


def test_a_missing_seed_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="2 runs instead of 3"):
        median_error([record(0, 0.1), record(2, 0.1)], "L2RE")


# The benchmarks themselves.


def test_every_activation_is_measured(discovered: dict[str, dict[str, dict[str, Any]]]) -> None:
    benchmark = discovered["nightly"]["activations.Activation.time_evaluations"]
    names = [name.strip("'") for name in benchmark["params"][0]]
    assert sorted(names) == sorted(ACTIVATIONS.names())


def words(cases: list[str]) -> set[str]:
    """Problems, models and techniques of cases, a value as the name that takes it."""
    found = {word for case in cases for word in case.strip("'").split()}
    found |= {part for word in found for part in word.split("+")}
    return found | {word.partition("=")[0] for word in found}


@pytest.mark.parametrize("name", ["fast", "nightly"])
def test_every_technique_problem_and_model_has_a_fingerprint(
    discovered: dict[str, dict[str, dict[str, Any]]], name: str
) -> None:
    techniques = {token for registry in AXES.values() for token in registry.names()}
    of_pinns = words(discovered[name]["fingerprints.PINN.track_loss"]["params"][0])
    problems = {*pinn_problems.BUILT_IN, *pinn_problems.VARIANTS}
    assert {*techniques, *problems, *pinn_models.ARCHITECTURES} <= of_pinns
    of_potentials = words(discovered[name]["fingerprints.Molecular.track_loss"]["params"][0])
    # It takes the statistics of all training rows.
    assert {*techniques, *molecular_models.ARCHITECTURES} - of_potentials == {"pointwise-batchnorm"}
    trained = words(discovered[name]["fingerprints.Training.track_metrics"]["params"][0])
    assert {f"schedule={schedule}" for schedule in SCHEDULE_NAMES} <= trained


def test_every_profile_has_fingerprints_of_every_axis(
    discovered: dict[str, dict[str, dict[str, Any]]],
) -> None:
    for suite in ("PINN", "Molecular"):
        cases = discovered["smoke"][f"fingerprints.{suite}.track_loss"]["params"][0]
        arms = [Arm.parse(case.strip("'").split()[2]) for case in cases]
        assert {axis for arm in arms for axis in arm.choices()} == set(AXES)


def test_a_run_and_a_list_of_runs_end_well() -> None:
    case = "pinn advection-1d fnn baseline"
    benchmark = commands.Run()
    benchmark.setup(case)
    try:
        benchmark.time_run(case)
        (record,) = Path(benchmark.folder.name).glob("**/*.json")
        assert json.loads(record.read_text())["status"] == "done"
        commands.Reading().time_reading(benchmark.folder.name, "runs")
        commands.Reading().time_reading(benchmark.folder.name, "report")
    finally:
        benchmark.teardown(case)
    with pytest.raises(RuntimeError, match=r"ended with 2: .*nosuch"):
        commands._command("pinn", "--arm", "nosuch")


def test_a_checkpoint_is_written_and_continued_from(monkeypatch: pytest.MonkeyPatch) -> None:
    case = "pinn advection-1d fnn baseline"
    benchmark = commands.Checkpoint()
    benchmark.setup(case)
    given: list[Any] = []
    monkeypatch.setattr(benchmark.task, "load_state_dict", given.append)
    try:
        benchmark.time_resume(case)
    finally:
        benchmark.teardown(case)
    (state,) = given
    expected = benchmark.task.state_dict()["net"]
    assert all(torch.equal(state["net"][name], tensor) for name, tensor in expected.items())


def test_what_is_kept_of_each_step_shows_as_growth() -> None:
    script = """
import sys
from asv_benchmarks import memory
from suites.pinn.task import PINNTask

step, kept = PINNTask.step, []

def leaking(self):
    kept.append(bytearray(b"x" * int(sys.argv[1])))
    return step(self)

PINNTask.step = leaking
print(memory.Growth().track_growth("pinn advection-1d fnn baseline"))
"""
    path = f"{ROOT}{os.pathsep}{FOLDER.parent}"
    sound, leaky = (float(python(script, size, PYTHONPATH=path)) for size in ("0", "400000"))
    threshold = Configuration.load(ROOT).thresholds.of("memory.Growth.track_growth('a')")
    assert 1 <= sound < 1 + threshold < leaky


def test_an_order_is_evaluated_up_to_its_derivative(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.linspace(-2, 2, 5).requires_grad_()
    found: list[torch.Tensor] = []
    grad = torch.autograd.grad

    def keep(*arguments: Any, **options: Any) -> tuple[torch.Tensor, ...]:
        result = grad(*arguments, **options)
        found.extend(result)
        return result

    monkeypatch.setattr(torch.autograd, "grad", keep)
    for order, expected in (
        ("value", []),
        ("first derivative", [3 * x**2]),
        ("second derivative", [3 * x**2, 6 * x]),
    ):
        found.clear()
        activations._ORDERS[order](lambda x: x**3, x)
        assert len(found) == len(expected)
        assert all(torch.allclose(f, e) for f, e in zip(found, expected, strict=True))


def test_a_file_is_read_anew_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    benchmark = data.Reading()
    own = benchmark.setup_cache()
    for file in ("xtb-ethanol", *own):
        for content in (None, b"damaged"):
            benchmark.setup(own, file)
            copy = next(Path(benchmark.directory.name).iterdir())
            if content is None:
                benchmark.time_read(own, file)
            else:
                copy.write_bytes(content)
                with pytest.raises(BadInput, match=str(copy)):
                    benchmark.time_read(own, file)
            benchmark.teardown(own, file)
            assert not copy.exists()


def test_a_truth_is_solved_anew_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DCBENCH_CACHE", os.environ["DCBENCH_CACHE"])
    benchmark = truths.Solution()
    seen = []
    for _ in range(2):
        benchmark.setup("shallow-water-2d")
        cache = Path(os.environ["DCBENCH_CACHE"])
        assert list(cache.iterdir()) == []
        benchmark.time_truth("shallow-water-2d")
        assert [path.suffix for path in cache.iterdir() if path.suffix != ".lock"] == [".npz"]
        benchmark.teardown("shallow-water-2d")
        assert not cache.exists()
        seen.append(cache)
    assert seen[0] != seen[1]


# On a GPU.


@pytest.mark.parametrize("benchmark", [gpu.PINN, gpu.Molecular])
def test_without_a_driver_the_gpu_is_skipped(
    benchmark: type[gpu._Step], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu, "DRIVER_FILES", (tmp_path / "version", tmp_path / "nvidiactl"))
    with pytest.raises(NotImplementedError, match="no NVIDIA driver"):
        benchmark().setup("advection-1d", "fnn baseline")


@pytest.mark.parametrize("benchmark", [gpu.PINN, gpu.Molecular])
def test_a_driver_without_a_device_is_a_failure(
    benchmark: type[gpu._Step], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "nvidiactl").touch()
    monkeypatch.setattr(gpu, "DRIVER_FILES", (tmp_path / "version", tmp_path / "nvidiactl"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(RuntimeError, match="PyTorch finds no CUDA device") as caught:
        benchmark().setup("advection-1d", "fnn baseline")
    # asv takes a NotImplementedError, which is a RuntimeError, for a benchmark to be skipped.
    assert not isinstance(caught.value, NotImplementedError)


def test_kernels_are_counted_without_copies_and_annotations(tmp_path: Path) -> None:
    trace = tmp_path / "trace.json"
    names = ("kernel", "gpu_memcpy", "kernel", "gpu_memset", "gpu_user_annotation", "cpu_op")
    events: list[dict[str, str]] = [{"ph": "X", "cat": name} for name in names] + [{"ph": "M"}]
    trace.write_text(json.dumps({"traceEvents": events}))
    assert gpu.kernels_in(trace) == 2


def test_a_trace_without_kernels_is_a_failure(tmp_path: Path) -> None:
    trace = tmp_path / "trace.json"
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
        torch.ones(3).exp()
    profiler.export_chrome_trace(str(trace))
    with pytest.raises(RuntimeError, match="saw no kernel"):
        gpu.kernels_in(trace)


@pytest.mark.gpu
@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("PINN", ("advection-1d", "fnn baseline")),
        ("Molecular", ("xtb-ethanol", "schnet baseline")),
    ],
)
def test_a_step_on_the_gpu_is_measured(name: str, parameters: tuple[str, str]) -> None:
    # A process of its own, because a task's context stays open until the end.
    script = f"""
from asv_benchmarks import gpu
measured = gpu.{name}()
measured.setup(*{parameters})
measured.time_step(*{parameters})
print(measured.track_peak_memory(*{parameters}), end=" ")
print(*(measured.track_kernels(*{parameters}) for _ in range(2)))
"""
    output = python(script, PYTHONPATH=f"{FOLDER.parent}{os.pathsep}{ROOT}")
    memory, kernels, again = map(int, output.split())
    assert memory > 1e5
    assert kernels == again > 100
