"""Seeds together as on a CUDA device, on the CPU: weights' gradients in parts, traced, compiled."""

from __future__ import annotations

import math

import pinn_specs
import pytest
import torch
from torch import Tensor

from bench.training import traced
from suites.pinn import batch as module
from suites.pinn.batch import Batched, build_together
from suites.pinn.engine import choose_cuda
from suites.pinn.engine.choose import Length, choose_way
from suites.pinn.problems.catalogue import BUILT_IN

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
SEEDS = 3
ARMS = ["baseline", "irelu+lsuv+rescale", "isilu+layernorm", "frozenbn"]


@pytest.fixture
def in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A smoke budget's tables are small."""
    monkeypatch.setattr(module, "rows_of_a_product", lambda _: 8)


def together(problem: str, arm: str, **given: object) -> Batched:
    given = {"model": "fnn:8x2", **given}
    asked = [
        pinn_specs.specify(problem, arm, seed=seed, supervised=0.02, **given)
        for seed in range(SEEDS)
    ]
    found = build_together(asked, CPU)
    assert isinstance(found, Batched), found.tasks[0].gradient.how
    return found


def agree(found: tuple[Tensor, ...], wanted: tuple[Tensor, ...], rel: float) -> None:
    for mine, theirs in zip(found, wanted, strict=True):
        assert float((mine - theirs).norm() / theirs.norm()) < rel


@pytest.mark.usefixtures("in_parts")
@pytest.mark.parametrize("arm", ARMS)
@pytest.mark.parametrize("problem", BUILT_IN)
def test_the_traced_graph_computes_what_the_eager_step_does(problem: str, arm: str) -> None:
    batch = together(problem, arm)
    graph, constants = traced._traced(batch.gradient.functional, [batch.vector])
    products = [n for n in graph.graph.nodes if "bmm" in str(n.target)]
    assert products
    vector = 1.01 * batch.vector
    agree(graph(*constants, vector), batch.gradient.eager(vector), 1e-12)
    # And what each seed does alone, without parts.
    for k, task in enumerate(batch.tasks):
        with torch.no_grad():
            task.parameters.vector.copy_(vector[k])
        own = task.gradient.eager(task.parameters.vector)
        agree(tuple(part[k] for part in batch.gradient.eager(vector)), own, 1e-10)


@pytest.mark.usefixtures("in_parts")
@pytest.mark.parametrize(
    ("problem", "arm"),
    [
        ("advection-1d", "irelu+lsuv"),
        *(
            pytest.param(problem, arm, marks=pytest.mark.slow)
            for problem in BUILT_IN
            for arm in ("baseline", "isilu+layernorm")
        ),
    ],
)
def test_compiled_it_computes_the_same(problem: str, arm: str) -> None:
    batch = together(problem, arm, compile="on")
    for factor in (1.0, 1.01):
        vector = factor * batch.vector
        agree(batch.gradient(vector), batch.gradient.eager(vector), 1e-12)
    assert batch.gradient.how["executed"] == "inductor"


def test_it_is_compiled_on_a_gpu_where_that_pays_and_not_before() -> None:
    elements = choose_cuda.hidden_elements(pinn_specs.task().evaluation)
    task = pinn_specs.task(model="fnn:16x3")
    assert choose_cuda.hidden_elements(task.evaluation) == 2 * elements

    def pays(steps: float, elements: float) -> bool:
        return choose_cuda.pays(choose_cuda.saved_by_compiling(steps, elements))

    assert pays(1e6, 3.6e6) and not pays(1e5, 3.6e6)
    # Eight seeds pay eight times sooner.
    assert pays(1e5, 8 * 3.6e6)

    def way(asked: str, steps: float, redraws: float = 0) -> str:
        length = Length(steps, redraws)
        return choose_way(asked, task.evaluation, (1, 1), CUDA, length).way

    assert [way("auto", steps) for steps in (1, 1e4, 1e9)] == ["eager", "eager", "inductor"]
    assert way("auto", 1e9, redraws=1e6) == "eager"


def test_seeds_on_a_gpu_are_compiled_by_the_elements_of_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    batch = together("advection-1d", "baseline")
    evaluations = [task.evaluation for task in batch.tasks]
    asked: list[float] = []
    monkeypatch.setattr(
        module,
        "saved_by_compiling",
        lambda steps, elements: asked.append(elements) or math.inf,
    )
    assert not module._is_compiled(batch.tasks, evaluations) and not asked
    for task in batch.tasks:
        task.device = CUDA
    assert module._is_compiled(batch.tasks, evaluations)
    assert asked == [sum(choose_cuda.hidden_elements(own) for own in evaluations)]


def test_only_a_gpu_sums_in_parts() -> None:
    assert choose_cuda.rows_of_a_product(CPU) is None
    assert choose_cuda.rows_of_a_product(CUDA)
