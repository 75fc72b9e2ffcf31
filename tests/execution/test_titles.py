"""What runs are called on the terminal."""

from __future__ import annotations

from msgspec.structs import replace
from sample_records import SPEC

from bench.execution.titles import titles


def test_runs_that_differ_in_nothing_that_a_title_has_are_told_apart() -> None:
    rates = [replace(SPEC, training=replace(SPEC.training, lr=lr)) for lr in (1e-3, 3e-3)]
    longer = replace(rates[0], training=replace(rates[0].training, steps=77))
    rescaled = replace(SPEC, axes={**SPEC.axes, "rescaling": "rescale=10"}, seed=5)
    other = replace(rescaled, axes={**SPEC.axes, "rescaling": "rescale=100"})
    found = titles([*rates, longer, rescaled, other, replace(SPEC, seed=9)])
    steps = SPEC.training.steps
    assert list(found.values()) == [
        f"{SPEC.title}, steps {steps}, lr 0.001",
        f"{SPEC.title}, steps {steps}, lr 0.003",
        f"{SPEC.title}, steps 77, lr 0.001",
        f"{rescaled.title}, rescaling rescale=10",
        f"{rescaled.title}, rescaling rescale=100",
        replace(SPEC, seed=9).title,
    ]


def test_a_run_is_named_once() -> None:
    assert titles([SPEC, SPEC]) == {SPEC.hash: SPEC.title}
