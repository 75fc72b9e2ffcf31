"""How much of a tracked error is noise."""

from __future__ import annotations

import dataclasses

import msgspec
import pytest
import torch

from bench import noise
from bench.noise import Training, spreads, train, trainings
from bench.spec.spec import Spec


def test_each_seed_is_repeated_with_changed_digits_and_further_seeds_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    todo = list(trainings(changes=2))
    for name in ("PINN", "Molecular"):
        of_one = [t for t in todo if t.benchmark == name]
        networks = {(t.spec.problem, t.spec.model, t.spec.arm) for t in of_one}
        tracked = [(seed, change) for seed in range(3) for change in range(3)]
        expected = [*tracked, *((seed, 0) for seed in range(3, 9))] * len(networks)
        assert sorted((t.spec.seed, t.change) for t in of_one) == sorted(expected)


def test_the_change_is_of_the_last_digits_and_reaches_the_training() -> None:
    """The spread of an error is rounding's, and a change of the tenth digit is a larger one."""
    first = next(t for t in trainings(changes=1) if t.benchmark == "PINN")
    short = dataclasses.replace(first, spec=_steps(first, 20))
    exact = train(short)
    assert train(short) == exact
    changed = train(dataclasses.replace(short, change=1))
    assert changed != exact
    assert changed == pytest.approx(exact, rel=1e-9)

    state = {"a": torch.ones(1000, dtype=torch.float64), "b": [1], "c": torch.ones(3, dtype=int)}
    found = noise._changed(state, torch.Generator().manual_seed(0))
    assert found["b"] == [1] and torch.equal(found["c"], state["c"])
    off = (found["a"] - 1).abs()
    assert 0 < off.max() < 5 * torch.finfo(torch.float64).eps


def _steps(training: Training, steps: int) -> Spec:
    spec = training.spec
    return msgspec.structs.replace(
        spec, training=msgspec.structs.replace(spec.training, steps=steps)
    )


def test_spreads_by_hand() -> None:
    first = next(t for t in trainings(changes=1) if t.benchmark == "PINN")
    values = {  # seed, change: value
        (0, 0): 1.0, (1, 0): 2.0, (2, 0): 3.0,  # median 2
        (0, 1): 1.0, (1, 1): 2.2, (2, 1): 3.0,  # 10 % more
        (3, 0): 5.0, (4, 0): 5.0, (5, 0): 1.0,  # 150 % more
        (6, 0): 1.0, (7, 0): 1.0, (8, 0): 9.0,  # 50 % less
    }  # fmt: skip
    results = []
    for (seed, change), value in values.items():
        spec = msgspec.structs.replace(first.spec, seed=seed)
        results.append((Training("PINN", ("L2RE",), spec, change), {"L2RE": value}))
    ((name, median, digits, seeds),) = spreads(results)
    assert name.startswith("PINN L2RE advection-1d fnn:40x6 baseline")
    assert (median, digits, seeds) == pytest.approx((2.0, 0.1, 1.5))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--changes", "0"], "--changes must be at least 1, got 0"),
        (["--change", "2"], "unknown option '--change'; did you mean '--changes'?"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert noise.main(arguments) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1) and err.startswith(f"noise: {said}")
