"""Real trainings, small: that what should learn learns, and what collapses is called so."""

from __future__ import annotations

import importlib.util
import itertools
import json
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pinn_specs
import pytest
import torch

from bench.cli.show import describe
from bench.store.record import Record
from bench.store.store import Store
from bench.store.weights import load_weights
from bench.suite import main
from suites.pinn.problems.catalogue import BUILT_IN
from suites.pinn.task import PINNTask, build

CPU = torch.device("cpu")


specify = partial(pinn_specs.specify, model="fnn:20x3", dtype="float32")


def run(folder: Path, problem: str, arm: str = "baseline", **given: Any) -> Record:
    return pinn_specs.run(
        folder, problem, arm, **{"model": "fnn:20x3", "dtype": "float32", **given}
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


# --- learning ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def baseline(folder: Path) -> Record:
    return run(folder, "advection-1d", steps=600, lr=5e-3, evaluations=4)


def test_the_baseline_learns_advection(baseline: Record) -> None:
    assert baseline.status == "done", baseline.reason
    error = baseline.history["L2RE"]
    assert error[0] > 0.9
    assert error[-1] < 0.4 * error[0]
    assert baseline.metrics["skill"].final > 0.6
    assert baseline.metrics["heldout_loss"].final < 0.1 * baseline.history["heldout_loss"][0]
    assert baseline.diagnostics["collapsed"] is False
    assert baseline.steps_done == 600
    assert baseline.history["step"] == [0, 150, 300, 450, 600]


def test_the_same_spec_gives_the_same_record(baseline: Record, tmp_path: Path) -> None:
    torch.manual_seed(99)
    again = run(tmp_path, "advection-1d", steps=600, lr=5e-3, evaluations=4)
    assert again.metrics == baseline.metrics
    assert again.losses == baseline.losses


def test_the_saved_weights_are_the_trained_ones(baseline: Record, folder: Path) -> None:
    built = build(baseline.spec, CPU)
    built.net.load_state_dict(load_weights(Store(folder).weights(baseline.spec_hash)))
    metrics = built.evaluate().metrics
    assert metrics["L2RE"] == baseline.metrics["L2RE"].final
    assert metrics["loss"] == baseline.metrics["loss"].final


def test_an_integrated_relu_collapses_under_glorot(tmp_path: Path) -> None:
    record = run(tmp_path, "advection-1d", "irelu", model="fnn:40x6", steps=30)
    assert record.status == "done"
    assert record.diagnostics["collapsed"] is True
    assert record.diagnostics["hidden_signal"][-1] < 1e-6
    (warning,) = (text for text in record.warnings if text.startswith("collapsed"))
    assert "featurewise" in warning


def test_an_integrated_relu_trains_under_featurewise(tmp_path: Path) -> None:
    record = run(tmp_path, "advection-1d", "irelu+featurewise", model="fnn:40x6", steps=200)
    assert record.status == "done"
    assert record.diagnostics["collapsed"] is False
    assert not any(text.startswith("collapsed") for text in record.warnings)
    losses = record.losses["loss"]
    assert losses[-1] < 0.2 * losses[0]
    assert len(record.diagnostics["hidden_signal"]) == 6
    assert min(record.diagnostics["hidden_signal"]) > 1e-2


def test_a_start_that_leaves_all_signal_to_a_few_rows_is_said(tmp_path: Path) -> None:
    concentrated = run(tmp_path, "advection-1d", "irelu+lsuv", model="fnn:40x6", steps=5)
    (text,) = (text for text in concentrated.warnings if text.startswith("concentrated"))
    assert "try the initialisation featurewise" in text
    spread = run(tmp_path, "advection-1d", "irelu+featurewise", model="fnn:40x6", steps=5)
    assert not any(text.startswith("concentrated") for text in spread.warnings)
    shares = [
        record.diagnostics["start"]["concentration"]["energy_in_1_percent"]
        for record in (spread, concentrated)
    ]
    assert shares[0] < 0.2 and shares[1] > 0.5
    lines = describe(spread)
    assert any("rows hold" in line for line in lines)
    assert any("pre-activations of IReLU: 1 ±" in line for line in lines)
    found = spread.task["initialization"]
    assert found["slope"] > 1 and found["layers"] == 7


def test_no_better_than_the_best_constant_is_a_collapse_once_it_was_trained() -> None:
    built = build(specify("advection-1d"), CPU)
    assert built.diagnose().measurements["collapsed"] is False  # nothing was learnt yet
    built.step()
    diagnosis = built.diagnose()
    assert diagnosis.measurements["collapsed"] is True
    assert any("no better than the best constant (skill" in text for text in diagnosis.warnings)


def test_the_loss_of_a_network_of_output_zero_changes_nothing() -> None:
    built = build(specify("advection-1d"), CPU)
    before = built.weights()
    found = built.zero_loss()
    assert all(torch.equal(value, before[name]) for name, value in built.weights().items())
    with torch.no_grad():
        for parameter in built.net.linears[-1].parameters():
            parameter.zero_()
    assert found == built.evaluate().metrics["loss"] > 0


def test_a_network_that_has_died_at_its_relu_is_called_collapsed() -> None:
    """The published output is max(0, u): below 0 everywhere there is no gradient."""
    built = build(specify("diffusion-sorption-1d-relu", "lsuv"), CPU)
    with torch.no_grad():
        built.net.linears[-1].bias.fill_(-1e3)
    diagnosis = built.diagnose()
    assert diagnosis.measurements["collapsed"] is True
    assert diagnosis.measurements["gradient_rms"] == 0
    (warning,) = (text for text in diagnosis.warnings if text.startswith("collapsed"))
    assert "constant" in warning


def test_a_diverged_run_is_a_result(tmp_path: Path) -> None:
    record = run(tmp_path, "advection-1d", "irelu+lsuv", steps=100, lr=100.0)
    assert record.status == "diverged"
    assert "loss was" in record.reason
    assert record.steps_done < 100
    assert record.metrics["L2RE"].final is None
    assert record.history["L2RE"][0] is not None
    assert Store(tmp_path).read(record.spec_hash).status == "diverged"


ARMS = [
    ("fnn:20x3", "irelu+lsuv"),
    ("fnn:20x3", "isilu+lsuv"),
    ("fnn-bn:20x3", "denorm"),
    ("fnn:20x3", "frozenbn"),
    ("fnn-bn:20x3", "baseline"),
    ("fnn-bn-published:20x3", "baseline"),
    ("fnn:20x3", "rescale"),
]


@pytest.mark.parametrize(("model", "arm"), ARMS)
@pytest.mark.parametrize("problem", BUILT_IN)
def test_every_problem_takes_steps_with_every_kind_of_arm(
    problem: str, model: str, arm: str, folder: Path
) -> None:
    record = run(folder, problem, arm, model=model, steps=3)
    assert record.status == "done", record.reason
    assert record.steps_done == 3
    assert [len(values) for values in record.losses.values()] == [3] * len(record.losses)
    for name, values in {**record.losses, **record.history}.items():
        assert None not in values, name
    assert len(set(record.losses["loss"])) == 3
    assert None not in {metric.final for metric in record.metrics.values()}
    # Derivatives through batch norm depend on the very rows.
    through_the_batch = model.startswith("fnn-bn-published")
    assert record.task["engine"]["path"] == ("deepxde" if through_the_batch else "taylor")
    assert record.task["engine"]["executed"] == "eager"


# --- optimisers -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("problem", "factor"), [("advection-1d", 0.4), ("diffusion-reaction-2d", 0.85)]
)
def test_lbfgs_lowers_the_loss(problem: str, factor: float, tmp_path: Path) -> None:
    record = run(tmp_path, problem, steps=20, lbfgs_steps=30, dtype="float64")
    assert record.status == "done", record.reason
    assert record.steps_done == 50
    losses = record.losses["loss"]
    assert len(losses) == 50
    before, after = losses[20], record.metrics["loss"].final
    assert after < factor * before
    # With its line search no iteration goes up.
    assert all(b <= a * (1 + 1e-9) for a, b in itertools.pairwise(losses[20:]))
    assert len(set(losses[20:])) == 30


def eps_warnings(built: PINNTask) -> list[str]:
    return [text for text in built.diagnose().warnings if "eps" in text]


def test_an_eps_above_the_gradients_is_warned_of() -> None:
    (text,) = eps_warnings(build(specify("advection-1d", eps=1.0), CPU))
    assert "--eps" in text
    assert eps_warnings(build(specify("advection-1d"), CPU)) == []


def test_an_eps_above_the_gradients_is_a_smaller_step() -> None:
    """So a rescaling that shrinks the gradients is told apart from a technique."""
    changes = []
    for eps in (1e-8, 1.0):
        built = build(specify("advection-1d", eps=eps), CPU)
        weight = built.net.linears[1].weight
        before = weight.detach().clone()
        built.step()
        changes.append(float((weight.detach() - before).abs().mean()))
    assert changes[0] == pytest.approx(1e-3, rel=0.05)
    assert changes[1] < 0.2 * changes[0]


def test_the_gradient_is_measured_against_eps(baseline: Record) -> None:
    built = build(specify("advection-1d", dtype="float64"), CPU)
    found = built.diagnose().measurements
    built.step()
    gradient = built.parameters.vector.grad
    assert found["gradient_rms"] == pytest.approx(float(gradient.square().mean().sqrt()))
    assert found["adam_eps"] == baseline.diagnostics["adam_eps"] == 1e-8


# --- files of PDEBench ------------------------------------------------------------------------


def writers() -> ModuleType:
    """The tests of the reader, for their functions that write files."""
    path = Path(__file__).with_name("test_pdebench.py")
    described = importlib.util.spec_from_file_location("pdebench_writers", path)
    module = importlib.util.module_from_spec(described)
    described.loader.exec_module(module)
    return module


COMMAND = ["pinn", "--budget", "smoke", "--model", "fnn:8x2", "--jobs", "1", "--device", "cpu"]


def test_a_pdebench_file_is_the_truth(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root, out = tmp_path / "data", tmp_path / "out"
    root.mkdir()
    writers().write_advection(root)
    command = [*COMMAND, "--problem", "advection-1d", "--data-root", str(root), "--out", str(out)]
    hashes = set()
    for sample in (0, 2):
        assert main([*command, "--sample", str(sample), "--json"]) == 0
        (record,) = json.loads(capsys.readouterr().out)
        assert record["status"] == "done"
        assert math.isfinite(record["metrics"]["L2RE"]["final"])
        assert record["task"]["truth"]["grid"] == [64, 21]
        assert f"sample {sample}" in record["task"]["truth"]["method"]
        assert any("no error estimate" in text for text in record["warnings"])
        hashes.add(record["spec_hash"])
    assert len(hashes) == 2
    # Where the file lies does not matter, what is in it does.
    moved = tmp_path / "moved" / "1D" / "Advection" / "Train"
    moved.mkdir(parents=True)
    next(root.iterdir()).rename(moved / "1D_Advection_Sols_beta0.1.hdf5")
    command[command.index(str(root))] = str(tmp_path / "moved")
    assert main([*command, "--json"]) == 0
    (record,) = json.loads(capsys.readouterr().out)
    assert record["spec_hash"] in hashes


def test_the_initial_condition_is_the_file_s(tmp_path: Path) -> None:
    module = writers()
    module.write_advection(tmp_path)
    spec = specify("advection-1d", model="fnn:8x2", data_root=tmp_path, sample=1)
    built = build(spec, CPU)
    data = built.data
    x = data.train_x[: data.num_bcs[0]]
    with torch.no_grad():
        error = built.net(torch.tensor(x)).numpy()[:, 0] - module.wave(1, x[:, 0], x[:, 1])
    assert built.evaluate().metrics["LIC"] == pytest.approx((error**2).mean(), rel=1e-4)


@pytest.mark.parametrize("problem", BUILT_IN)
def test_a_missing_file_is_one_line(
    problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = [*COMMAND, "--problem", problem, "--data-root", str(tmp_path), "--out", str(out)]
    assert main(command) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("bench: ") and captured.err.count("\n") == 1
    assert str(tmp_path) in captured.err
    assert not out.exists()


def test_a_random_activation_of_ones_own_is_reproducible(
    tmp_path: Path, own_module: Callable[[str, str], None]
) -> None:
    own_module(
        "noisy",
        """
import torch

class Noisy(torch.nn.Module):
    def forward(self, x):
        noise = torch.rand_like(x) if self.training else 0.5
        return torch.tanh(x) * (0.5 + noise)
""",
    )
    arm = "activation=noisy:Noisy"
    first, second = (run(tmp_path / k, "advection-1d", arm, steps=30) for k in ("a", "b"))
    assert first.status == "done", first.reason
    assert first.metrics == second.metrics
    other = run(tmp_path / "c", "advection-1d", arm, steps=30, seed=1)
    assert other.metrics != first.metrics


def test_a_diagnosis_of_the_start_is_kept(baseline: Record) -> None:
    start = baseline.diagnostics["start"]
    assert start["gradient_rms"] > 0
    assert len(start["layer_gradient_rms"]) == 4
    assert start["gradient_rms"] != baseline.diagnostics["gradient_rms"]


def test_one_dead_output_of_a_system_is_called_collapsed() -> None:
    built = build(specify("shallow-water-2d"), CPU)
    with torch.no_grad():
        built.net.linears[-1].weight[1].zero_()
    (warning,) = (t for t in built.diagnose().warnings if t.startswith("collapsed"))
    assert "prediction of u is constant" in warning


def test_a_layer_without_gradient_is_called_collapsed() -> None:
    built = build(specify("advection-1d"), CPU)
    built.net.linears[-1].weight.data.mul_(1e-12)
    built.net.linears[-1].bias.data.zero_()
    diagnosis = built.diagnose()
    # The first layers' gradients pass through the tiny last one, whose own is ordinary.
    first, *_, last = diagnosis.measurements["layer_gradient_rms"]
    assert first < 1e-6 * last
    assert diagnosis.measurements["collapsed"] is True


def test_a_start_that_overflows_says_why_the_run_diverged(tmp_path: Path) -> None:
    record = run(tmp_path, "diffusion-sorption-1d", "irelu", model="fnn:40x6")
    assert record.status == "diverged"
    assert any(text.startswith("exploded") and "featurewise" in text for text in record.warnings)
