"""Points drawn by the residual (RAD), and samplers that draw the same points again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pinn_specs
import pytest
import torch

from bench.text.errors import BadInput
from suites.pinn.adaptive import choose, density, pool_size, residual_sizes
from suites.pinn.backend import dde
from suites.pinn.problems.problem import Problem
from suites.pinn.problems.wrap import wrap
from suites.pinn.task import PINNTask

WIDTH, PLACE = 0.03, 0.3
ANCHORS = np.array([[0.111], [0.222]])


def _peak(x: Any, exp: Any) -> Any:
    return exp(-((x - PLACE) ** 2) / (2 * WIDTH**2))


def _line(sampler: str = "pseudo", kind: type[Any] | None = None, **given: Any) -> Any:
    """u'' = f on (−1, 1), u being a narrow peak."""
    geometry = dde.geometry.Interval(-1, 1)

    def equation(x: Any, y: Any) -> Any:
        scaled = (x - PLACE) ** 2 / WIDTH**2
        return dde.grad.hessian(y, x) - (scaled - 1) / WIDTH**2 * _peak(x, torch.exp)

    given = {"num_domain": 30, "num_boundary": 2, **given}
    return (kind or dde.data.PDE)(
        geometry,
        equation,
        [dde.icbc.DirichletBC(geometry, lambda x: _peak(x, np.exp), lambda _, on: on)],
        train_distribution=sampler,
        **given,
    )


def _wrapped(factory: Any) -> Problem:
    return wrap(
        factory,
        name="peak",
        outputs=["u"],
        losses=["Lf", "LBC"],
        exact=lambda x: _peak(x, np.exp),
        # The residual is in units of 1/width².
        loss_weights={"Lf": WIDTH**4},
    )


def _plane() -> Any:
    """A system of two equations on a disk over time, with an auxiliary variable."""
    space, time = dde.geometry.Disk([0, 0], 1), dde.geometry.TimeDomain(0, 1)
    domain = dde.geometry.GeometryXTime(space, time)

    def equations(x: Any, y: Any, scale: Any) -> Any:
        return [
            dde.grad.jacobian(y, x, i=0, j=2) - y[:, 1:2] * scale,
            dde.grad.jacobian(y, x, i=1, j=2) + y[:, 0:1],
        ]

    return dde.data.TimePDE(
        domain,
        equations,
        [dde.icbc.IC(domain, lambda x: x[:, :1], lambda _, on: on, component=0)],
        num_domain=40,
        num_boundary=10,
        num_initial=20,
        train_distribution="pseudo",
        anchors=np.array([[0.1, 0.2, 0.5]]),
        auxiliary_var_function=lambda x: 1 + x[:, 2:3],
    )


def _front() -> Any:
    """u' is a narrow peak, which most draws of 12 points have one point of, or none."""
    geometry = dde.geometry.Interval(-1, 1)

    def equation(x: Any, y: Any) -> Any:
        return dde.grad.jacobian(y, x) - 10 / torch.cosh((x - PLACE) / 0.05) ** 2

    return dde.data.PDE(
        geometry,
        equation,
        [dde.icbc.DirichletBC(geometry, lambda x: 0 * x, lambda x, on: on and x[0] < 0)],
        num_domain=12,
        num_boundary=2,
        train_distribution="pseudo",
    )


FRONT = wrap(
    _front,
    name="front",
    outputs=["u"],
    losses=["Lf", "LBC"],
    exact=lambda x: 0.5 * (1 + np.tanh((x - PLACE) / 0.05)),
    loss_weights={"Lf": 0.05},
)
PEAK = _wrapped(_line)
ANCHORED = _wrapped(lambda: _line(anchors=ANCHORS, exclusions=np.array([[-1.0]])))
EVEN = _wrapped(lambda: _line("uniform"))
HAMMERSLEY = _wrapped(lambda: _line("Hammersley"))
SYSTEM = wrap(_plane, name="system", outputs=["u", "v"], losses=["Lfu", "Lfv", "LIC"])


def _task(name: str, **given: Any) -> PINNTask:
    given = {"resample": 3, "steps": 12, **given}
    return pinn_specs.task(f"{__name__}:{name}", **given)


# --- the density --------------------------------------------------------------------------------


def test_the_density_is_that_of_the_paper() -> None:
    sizes = np.array([0.0, 1.0, 2.0, 5.0])
    for k, c in [(1.0, 1.0), (2.0, 0.5), (0.5, 0.0), (0.0, 1.0)]:
        p = sizes**k / np.mean(sizes**k) + c
        assert np.allclose(density(sizes, k, c), p / p.sum(), atol=1e-12)


def test_the_density_has_no_unit_and_no_overflow() -> None:
    sizes = np.array([0.1, 1.0, 3.0])
    assert np.allclose(density(1e200 * sizes, 3.0, 0.2), density(sizes, 3.0, 0.2))
    assert density(np.zeros(4), 1.0, 1.0).tolist() == [0.25] * 4
    assert density(np.full(4, np.nan), 1.0, 1.0).tolist() == [0.25] * 4
    assert density(np.array([1.0, np.inf, 3.0]), 1.0, 0.0)[1] == pytest.approx(3 / 7)


def test_points_are_chosen_by_the_density() -> None:
    generator = np.random.default_rng(0)
    pool = np.linspace(0, 1, 5000)[:, None]
    p = density(np.exp(-((pool[:, 0] - 0.7) ** 2) / 0.005), 1.0, 0.5)
    found = np.concatenate([choose(pool, p, 50, generator) for _ in range(200)])[:, 0]
    edges = np.linspace(0, 1, 21)
    counts, _ = np.histogram(found, edges)
    expected = len(found) * np.histogram(pool[:, 0], edges, weights=p)[0]
    chi = float(((counts - expected) ** 2 / expected).sum())
    assert chi < 43.8  # of 19 degrees of freedom: 1 in 1000
    assert len(np.unique(choose(pool, p, 4000, generator))) == 4000


def test_a_density_that_is_zero_nearly_everywhere_still_gives_its_points() -> None:
    sizes = np.zeros(100)
    sizes[7] = 1
    pool = np.arange(100.0)[:, None]
    found = choose(pool, density(sizes, 1.0, 0.0), 20, np.random.default_rng(0))
    assert 7 in found and len(np.unique(found)) == 20


# --- in training --------------------------------------------------------------------------------


def test_the_residual_of_a_system_is_the_sum_over_its_equations() -> None:
    task = _task("SYSTEM", sampler="rad")
    points = np.random.default_rng(0).uniform(-0.5, 0.5, (12_345, 3))
    points[:, 2] += 0.5
    sizes = residual_sizes(task.data, task.net, points)
    x = torch.tensor(points[-5:], requires_grad=True)
    y = task.net(x)
    by_time = [
        torch.autograd.grad(y[:, [k]].sum(), x, retain_graph=True)[0][:, [2]] for k in (0, 1)
    ]
    first, second = by_time[0] - y[:, [1]] * (1 + x[:, 2:3]), by_time[1] + y[:, [0]]
    assert np.allclose(sizes[-5:], (first.abs() + second.abs()).detach().numpy()[:, 0], rtol=1e-12)


@pytest.mark.parametrize("engine", ["auto", "deepxde"])
def test_drawn_points_are_where_the_residual_is(engine: str) -> None:
    task = _task("PEAK", sampler="rad", engine=engine, rad_c=0.0, resample=1)
    drawn = []
    for _ in range(12):
        task.step()
        drawn.append(task.data.train_x_all[-30:, 0].copy())
    found = np.concatenate(drawn[1:])
    assert np.mean(np.abs(found - PLACE) < 4 * WIDTH) > 0.8
    assert len(np.unique(found)) > 250


@pytest.mark.parametrize("name", ["PEAK", "ANCHORED", "EVEN", "SYSTEM"])
def test_all_but_the_points_of_the_domain_stays_as_the_problem_has_it(name: str) -> None:
    task = _task(name, sampler="rad")
    before = {
        "all": task.data.train_x_all.copy(),
        "conditions": task.data.train_x_bc.copy(),
        "heldout": task.heldout_data.train_x.copy(),
    }
    for _ in range(4):
        task.step()
    after = task.data.train_x_all
    assert np.array_equal(task.data.train_x_bc, before["conditions"])
    assert np.array_equal(task.heldout_data.train_x, before["heldout"])
    assert not np.array_equal(after[-20:], before["all"][-20:])
    assert np.isin(before["all"], after).mean() < 0.6
    if task.data.anchors is not None:
        assert {tuple(x) for x in task.data.anchors} <= {tuple(x) for x in after}
    if name == "ANCHORED":
        assert -1 not in after and 1 in after
    assert task.data.geom.__dict__.keys().isdisjoint({"random_points", "uniform_points"})
    assert len(after) == len(before["all"])


def test_both_engines_have_the_same_points() -> None:
    fast, stock = (_task("SYSTEM", sampler="rad", engine=e) for e in ("auto", "deepxde"))
    for _ in range(8):
        fast.step()
        stock.step()
    assert fast.evaluation.path != stock.evaluation.path
    assert np.array_equal(fast.data.train_x_all, stock.data.train_x_all)
    assert torch.allclose(fast.parameters.vector, stock.parameters.vector, rtol=1e-9)


@pytest.mark.parametrize("engine", ["auto", "deepxde"])
@pytest.mark.parametrize("stop", [2, 3, 4, 7])
@pytest.mark.parametrize("name", ["PEAK", "SYSTEM"])
def test_resumed_is_uninterrupted(name: str, engine: str, stop: int) -> None:
    given = {"sampler": "rad", "engine": engine, "dtype": "float32"}
    whole, first, second = (_task(name, **given) for _ in range(3))
    for _ in range(9):
        whole.step()
    for _ in range(stop):
        first.step()
    second.load_state_dict(first.state_dict())
    assert second.evaluate().metrics == first.evaluate().metrics
    for _ in range(9 - stop):
        second.step()
    assert torch.equal(second.parameters.vector, whole.parameters.vector)
    assert np.array_equal(second.data.train_x, whole.data.train_x)
    assert second.evaluate().metrics == whole.evaluate().metrics


def test_an_earlier_state_has_its_own_points() -> None:
    task = _task("PEAK", sampler="rad")
    start, points = task.state_dict(), task.data.train_x.copy()
    for _ in range(5):
        task.step()
    task.load_state_dict(start)
    assert np.array_equal(task.data.train_x, points)


def test_a_seed_is_one_result_and_another_seed_another() -> None:
    def end(seed: int) -> torch.Tensor:
        task = _task("PEAK", sampler="rad", seed=seed)
        for _ in range(7):
            task.step()
        return task.parameters.vector.detach().clone()

    assert torch.equal(end(0), end(0))
    assert not torch.equal(end(0), end(1))


def test_few_points_find_a_steep_front_by_the_residual(tmp_path: Path) -> None:
    def error(**given: Any) -> float:
        found = []
        for seed in range(3):
            record = pinn_specs.run(
                tmp_path,
                f"{__name__}:FRONT",
                model="fnn:16x2",
                protocol="standard",
                dtype="float32",
                steps=500,
                lr=1e-2,
                resample=25,
                seed=seed,
                **given,
            )
            assert record.status == "done", record.reason
            assert record.metrics["L2RE"].final is not None
            found.append(record.metrics["L2RE"].final)
        return float(np.exp(np.mean(np.log(found))))

    # Measured: 0.10 and 0.25.
    assert error(sampler="rad") < 0.7 * error()


def test_the_record_says_how_points_were_drawn(tmp_path: Path) -> None:
    given = {"resample": 2, "sampler": "rad", "rad_k": 2.0, "steps": 4}
    record = pinn_specs.run(tmp_path, f"{__name__}:PEAK", **given)
    assert record.status == "done", record.reason
    assert record.task["resampling"] == {
        "every": 2,
        "sampler": "rad",
        "k": 2.0,
        "c": 1.0,
        "pool": pool_size(30),
    }
    assert {k: record.spec.settings[k] for k in ("sampler", "rad_k")} == {
        "sampler": "rad",
        "rad_k": 2.0,
    }
    assert "rad_c" not in record.spec.settings


# --- what is asked for --------------------------------------------------------------------------


def test_what_is_not_given_is_not_in_the_spec() -> None:
    plain = pinn_specs.specify(resample=3)
    assert pinn_specs.specify(resample=3, sampler="problem", rad_k=1.0, rad_c=1.0) == plain
    assert pinn_specs.specify(resample=3, sampler="rad").hash != plain.hash


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"sampler": "rad"}, "--sampler rad draws new points: it needs --resample N"),
        ({"resample": 3, "sampler": "rat"}, "unknown sampler 'rat'.*did you mean 'rad'"),
        ({"resample": 3, "rad_k": 2.0}, "--rad-k 2.0 is of --sampler rad"),
        ({"resample": 3, "sampler": "rad", "rad_c": -1.0}, "--rad-c must be a number from 0"),
        ({"resample": 3, "sampler": "rad", "rad_k": np.nan}, "--rad-k must be a number from 0"),
    ],
)
def test_wrong_options_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        pinn_specs.specify(**given)


def _own_points() -> Any:
    class Own(dde.data.PDE):
        def train_points(self) -> Any:
            return super().train_points()

    return _line(kind=Own)


CLOUD = np.linspace(-1, 1, 50)[:, None]
NO_DOMAIN = _wrapped(lambda: _line(num_domain=0, anchors=ANCHORS))
OWN_POINTS = _wrapped(_own_points)
NO_EQUATION = wrap(
    lambda: dde.data.PDE(
        dde.geometry.Interval(0, 1), None, [dde.icbc.PointSetBC(ANCHORS, ANCHORS)], num_domain=5
    ),
    name="fit",
    outputs=["u"],
    losses=["Ldata"],
)
GIVEN = wrap(
    lambda: dde.data.PDE(
        dde.geometry.PointCloud(CLOUD),
        lambda x, y: dde.grad.jacobian(y, x),
        [dde.icbc.PointSetBC(ANCHORS, ANCHORS)],
        num_domain=5,
    ),
    name="cloud",
    outputs=["u"],
    losses=["Lf", "Ldata"],
)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("NO_DOMAIN", "draws no points in its domain"),
        ("OWN_POINTS", "draws its points by Own.train_points"),
        ("NO_EQUATION", "has no equation"),
        ("GIVEN", "has a PointCloud"),
    ],
)
def test_without_points_of_a_sampler_it_is_refused(name: str, reason: str) -> None:
    with pytest.raises(BadInput, match=f"--sampler rad: problem '[a-z]+' {reason}"):
        _task(name, sampler="rad")
    _task(name)


# --- the same points again ----------------------------------------------------------------------


@pytest.mark.parametrize(("name", "share"), [("HAMMERSLEY", "100%"), ("EVEN", "100%")])
def test_a_sampler_that_draws_the_same_points_says_so(
    name: str, share: str, tmp_path: Path
) -> None:
    record = pinn_specs.run(tmp_path, f"{__name__}:{name}", resample=2, steps=6)
    said = [warning for warning in record.warnings if warning.startswith("--resample 2")]
    assert len(said) == 1 and share in said[0] and "train_distribution='pseudo'" in said[0]


@pytest.mark.parametrize("name", ["PEAK", "ANCHORED", "SYSTEM"])
def test_a_sampler_that_draws_others_does_not(name: str, tmp_path: Path) -> None:
    record = pinn_specs.run(tmp_path, f"{__name__}:{name}", resample=2, steps=6)
    assert not [warning for warning in record.warnings if "--resample" in warning]


def test_a_run_that_ends_before_the_first_draw_says_so(tmp_path: Path) -> None:
    record = pinn_specs.run(tmp_path, f"{__name__}:PEAK", resample=6, steps=6)
    assert "--resample 6 in a run of 6 steps: no points are drawn anew" in record.warnings
