"""PINNs with pointwise batch norm: one function, its own derivatives, and the gradient by θ."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pinn_specs
import pytest
import torch
from torch import Tensor

import bench
from bench.techniques.norm_layers import pointwise_norms
from bench.text.errors import BadInput
from bench.training.residual_ratio import LOW
from suites.pinn.backend import dde
from suites.pinn.batch import Batched, build_together
from suites.pinn.check import difference_from_deepxde
from suites.pinn.engine.stock import StockEvaluation
from suites.pinn.engine.together import TogetherEvaluation
from suites.pinn.models import catalogue
from suites.pinn.problems.advection import Advection1D
from suites.pinn.task import PINNTask, build

CPU = torch.device("cpu")


def task(
    problem: str = "advection-1d", arm: str = "baseline", model: str = "fnn-bn:8x3", **given: Any
) -> PINNTask:
    return pinn_specs.task(problem, arm, model=model, **given)


def trained(built: PINNTask, steps: int) -> PINNTask:
    for _ in range(steps):
        built.step()
    return built


def derivatives(built: PINNTask, x: Tensor, rows: slice = slice(None)) -> list[Tensor]:
    """u at all points of `x`, and by autograd of its sum u_x and u_xt, at some rows."""
    u = built.net(x)[:, :1]
    (first,) = torch.autograd.grad(u.sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(first[:, 0].sum(), x)
    return [part.detach()[rows] for part in (u, first, second)]


# --- derivatives ------------------------------------------------------------------------------


def test_derivatives_in_training_are_those_of_the_function_that_is_scored() -> None:
    """Autograd of the sum over coupled rows against each row alone, at the statistics kept."""
    built = trained(task(), 3)
    x = torch.tensor(built.data.train_x).requires_grad_()
    built.net.train()
    in_training = derivatives(built, x)
    built.evaluate()
    built.net.eval()
    some = slice(0, 5)
    alone = x.detach()[some].requires_grad_()
    for mine, wanted in zip(in_training, derivatives(built, alone), strict=True):
        torch.testing.assert_close(mine[some], wanted, rtol=1e-9, atol=1e-11)


def test_derivatives_of_the_streams_are_autograd_s_at_kept_statistics() -> None:
    built = trained(task("diffusion-reaction-2d"), 2)
    assert built.evaluation.path == "taylor"
    built.evaluate()
    wanted = StockEvaluation(built.data, built.net, CPU)(training=False)
    for training in (True, False):
        found = built.evaluation(training=training)
        torch.testing.assert_close(found, wanted, rtol=1e-10, atol=0)


# --- the gradient by the parameters -----------------------------------------------------------


@pytest.mark.parametrize("engine", ["auto", "deepxde"])
@pytest.mark.parametrize("problem", ["advection-1d", "diffusion-sorption-1d"])
def test_the_gradient_goes_through_the_statistics(problem: str, engine: str) -> None:
    """Against central differences of the loss along random directions, in double precision."""
    built = trained(task(problem, engine=engine), 2)
    vector = built.parameters.vector.detach()
    gradient = built.gradient(vector).gradient
    generator = torch.Generator().manual_seed(0)
    for _ in range(3):
        direction = torch.randn(vector.shape, generator=generator, dtype=vector.dtype)
        direction /= direction.norm()
        before, losses = vector.clone(), []
        for step in (-1e-5, 1e-5):
            vector.copy_(before + step * direction)
            losses.append(built.loss.weighted(built.evaluation(training=True)).item())
        vector.copy_(before)
        wanted = (losses[1] - losses[0]) / 2e-5
        assert float(gradient @ direction) == pytest.approx(
            wanted, rel=1e-5, abs=1e-6 * float(gradient.norm())
        )
    # With the statistics as constants it is another one, so that the test can fail.
    built.net.keep_statistics(torch.tensor(built.data.train_x))
    loss = built.loss.weighted(built.evaluation(training=False))
    plain = built.parameters.join(torch.autograd.grad(loss, built.parameters.parameters))
    assert (plain - gradient).norm() > 1e-2 * gradient.norm()


def test_the_engine_serves_it_and_leaves_the_rest_to_deepxde(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Third(Advection1D):
        def data(self, *arguments: Any) -> Any:
            data = super().data(*arguments)
            data.pde = lambda x, u: (
                dde.grad.jacobian(dde.grad.hessian(u, x, i=0, j=0), x, j=0)
                + dde.grad.jacobian(u, x, j=1)
            )
            return data

    assert difference_from_deepxde(task("shallow-water-2d", "isilu", supervised=0.05)) < 1e-10
    monkeypatch.setattr("suites.pinn.task.get_problem", lambda name: Third())
    built = task()
    assert built.evaluation.path == "deepxde"
    assert "reverse mode gathers no statistics" in built.evaluation.describe()["reason"]


# --- whose statistics -------------------------------------------------------------------------


def test_the_statistics_are_of_all_rows_as_often_as_the_loss_has_them() -> None:
    built = task("diffusion-reaction-2d", supervised=0.05)
    x = built.data.train_x
    unique = np.unique(x, axis=0)
    assert len(unique) < len(x)  # initial points are in three terms
    trained(built, 1)
    built.evaluate()
    layer, norm = built.net.linears[0], pointwise_norms(built.net)[0]
    with torch.no_grad():
        all_rows, each_once = (layer(torch.tensor(rows)) for rows in (x, unique))
    torch.testing.assert_close(norm.mean, all_rows.mean(0), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(norm.var, all_rows.var(0, correction=0), rtol=1e-10, atol=1e-12)
    assert not torch.allclose(norm.mean, each_once.mean(0), rtol=1e-3)
    # The engine, which has each point once, weighs it.
    counts = built.evaluation.weights.squeeze(1) * len(x)
    points, times = np.unique(x, axis=0, return_counts=True)
    of_table = {
        tuple(p): float(n) for p, n in zip(built.evaluation.table.points, counts, strict=True)
    }
    assert [of_table[tuple(p)] for p in points] == pytest.approx(times.tolist())


def test_new_points_have_new_statistics() -> None:
    built = task("diffusion-sorption-1d", resample=2)
    other = task("diffusion-sorption-1d", resample=2, engine="deepxde")
    for _ in range(5):
        mine, wanted = built.step(), other.step()
        assert float(mine["loss"]) == pytest.approx(float(wanted["loss"]), rel=1e-8)
    np.testing.assert_array_equal(built.data.train_x, other.data.train_x)
    assert built.evaluate().metrics == pytest.approx(other.evaluate().metrics, rel=1e-6)


def test_it_is_scored_with_the_statistics_of_the_weights_that_are_scored() -> None:
    built = trained(task("compressible-flow-1d"), 5)
    metrics = built.evaluate().metrics
    in_training = built.evaluation(training=True)
    for term, value in zip(built.loss.terms, in_training.tolist(), strict=True):
        assert metrics[term.name] == pytest.approx(value, rel=1e-9), term.name
    kept = [norm.mean.clone() for norm in pointwise_norms(built.net)]
    trained(built, 5).evaluate()
    now = [norm.mean for norm in pointwise_norms(built.net)]
    assert not any(torch.equal(a, b) for a, b in zip(kept, now, strict=True))


# --- training ---------------------------------------------------------------------------------


def test_a_stopped_run_goes_on_bitwise() -> None:
    whole = trained(task(), 6)
    state = copy.deepcopy(trained(task(), 3).state_dict())
    resumed = task()
    resumed.load_state_dict(state)
    trained(resumed, 3)
    assert resumed.evaluate().metrics == whole.evaluate().metrics
    for name, value in whole.weights().items():
        assert torch.equal(resumed.weights()[name], value), name


def test_it_trains_and_is_not_frozen_batch_norm() -> None:
    pointwise, frozen = (task(arm=arm, model="fnn-bn:20x3") for arm in ("baseline", "frozenbn"))
    before = pointwise.evaluate().metrics
    # They start as one function, and part at the first gradient, which goes through the statistics.
    assert frozen.evaluate().metrics == pytest.approx(before, rel=1e-8)
    trained(pointwise, 400), trained(frozen, 400)
    after = pointwise.evaluate().metrics
    assert after["Lf"] < 0.2 * before["Lf"] and after["L2RE"] < 0.6 * before["L2RE"]
    assert after["L2RE"] != pytest.approx(frozen.evaluate().metrics["L2RE"], rel=0.01)


@pytest.mark.parametrize("problem", ["diffusion-sorption-1d", "diffusion-reaction-2d"])
def test_seeds_together_have_each_its_own_statistics(problem: str) -> None:
    specs = [
        pinn_specs.specify(problem, model="fnn-bn:8x3", seed=seed, supervised=0.02)
        for seed in range(3)
    ]
    batch, alone = build_together(specs, CPU), [build(spec, CPU) for spec in specs]
    assert isinstance(batch, Batched), batch.tasks[0].gradient.how
    for _ in range(4):
        together, apart = batch.step(), [built.step() for built in alone]
        for name, values in together.items():
            assert values.tolist() == pytest.approx([float(o[name]) for o in apart], rel=1e-8)
    for mine, own in zip(batch.tasks, alone, strict=True):
        assert mine.evaluate().metrics == pytest.approx(own.evaluate().metrics, rel=1e-6)
    # After an evaluation, which leaves the networks in evaluation mode, steps are still training.
    joint = TogetherEvaluation([built.evaluation for built in alone])
    state = {
        name: torch.stack([dict(built.net.named_parameters())[name] for built in alone])
        for name, _ in alone[0].net.named_parameters()
    }
    buffers = {
        name: torch.stack([dict(built.net.named_buffers())[name] for built in alone])
        for name, _ in alone[0].net.named_buffers()
    }
    wanted = torch.stack([built.evaluation(training=True) for built in alone])
    torch.testing.assert_close(joint.of({**state, **buffers}), wanted, rtol=1e-9, atol=1e-12)


# --- does it see its equation -----------------------------------------------------------------


def test_every_record_says_how_the_training_residual_relates_to_the_scored_one(
    tmp_path: Path,
) -> None:
    blind = pinn_specs.run(tmp_path, "advection-1d", model="fnn-bn-published:8x2", steps=3)
    seeing = pinn_specs.run(tmp_path, "advection-1d", model="fnn-bn:8x2", steps=3)
    plain = pinn_specs.run(tmp_path, "advection-1d", "denorm", model="fnn-bn:8x2", steps=3)
    for record, text in ((blind, "ratio"), (seeing, ""), (plain, "")):
        found = [record.diagnostics, record.diagnostics["start"]]
        ratios = [measured["residual_ratio"] for measured in found]
        warned = [said for said in record.warnings if "residual in training" in said]
        if text:
            assert max(ratios) < 1e-20 < LOW
            (warning,) = warned
            assert "at the start and" in warning and "no comparison" in warning
        else:
            assert ratios == pytest.approx([1, 1], rel=1e-6) and warned == []


def test_a_trained_network_has_the_statistics_that_it_was_scored_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it was trained with labels, which what rebuilds it does not have."""
    record = pinn_specs.run(
        tmp_path, "diffusion-reaction-2d", model="fnn-bn:8x2", steps=5, supervised=0.05
    )
    run = bench.load(tmp_path).run(record.spec_hash)
    built = build(record.spec, CPU)
    reference, scored = built.truth.reference, built.score.scored
    predicted, exact = run.network()(reference.points())[scored], reference.targets()[scored]
    error = np.linalg.norm(predicted - exact) / np.linalg.norm(exact)
    assert error == pytest.approx(record.metrics["L2RE"].final, rel=1e-9)
    monkeypatch.setattr(catalogue, "FNN_BN", replace(catalogue.FNN_BN, version=3))
    with pytest.raises(BadInput, match="its model has been redefined"):
        run.network()
