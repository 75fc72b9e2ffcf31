"""How long runs last that have an object or settings of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from sample_records import SPEC, record

from bench.spec.spec import Spec
from bench.store.record import Timing
from bench.studies.estimate import seconds_of
from bench.studies.measurement import Late, Parts
from bench.studies.timings import Timings

AXES = {"activation": "tanh", "normalization": "denorm"}
OWN = {"mine:Slow": "digest"}


def spec(problem: str = "p", model: str = "net", **changes: Any) -> Spec:
    return msgspec.structs.replace(
        SPEC, **{"problem": problem, "model": model, "axes": AXES, **changes}
    )


def slow(problem: str = "p", model: str = "net", **changes: Any) -> Spec:
    given: dict[str, Any] = {"axes": {**AXES, "activation": "mine:Slow"}, "sources": OWN}
    return msgspec.structs.replace(spec(problem, model), **given | changes)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[Spec]:
    """What is measured, two of a call: own objects take 5 s, own settings 3 s, others 1 s."""
    found: list[Spec] = []
    monkeypatch.setattr("bench.studies.timings.processor", {"cpu": "some"}.get)

    def seconds(of: Spec) -> float:
        return 5.0 if of.sources else 3.0 if of.settings != SPEC.settings else 1.0

    def fake(kinds: Mapping[bytes, Spec], limit_s: float) -> dict[bytes, Parts | str]:
        found.extend(list(kinds.values())[:2])
        return {
            key: Parts(seconds(of), 0.0, 0.0, 0.0) if k < 2 else Late("there was no time")
            for k, (key, of) in enumerate(kinds.items())
        }

    monkeypatch.setattr("bench.studies.estimate.measure_all", fake)
    return found


def lasting(specs: list[Spec], *known: Any) -> list[float | str]:
    found = seconds_of(specs, Timings(known, 1), lambda text: None)
    return [found[one.hash] for one in specs]


def test_an_object_or_settings_of_ones_own_are_measured(measured: list[Spec]) -> None:
    settings = spec(settings={**SPEC.settings, "floor": 2})
    other = spec(axes={**AXES, "activation": "sin"})
    # Wherever the candidate stands, others are not taken to be as slow as it.
    assert lasting([slow(), spec(), settings, other]) == [5, 1, 3, 1]
    assert measured == [spec(), slow(), settings]


def test_of_each_model_once_and_elsewhere_by_the_same_factor(measured: list[Spec]) -> None:
    own = [slow(problem, model) for model in ("net", "wide") for problem in ("p", "q")]
    usual = [spec(problem, model) for model in ("net", "wide") for problem in ("p", "q")]
    timing = Timing(7.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1)
    known = [record(one, timing=timing) for one in usual]
    assert lasting([*usual, *own], *known) == [7.0] * 4 + [5.0] * 4
    assert [(one.problem, one.model) for one in measured] == [("p", "net"), ("p", "wide")]


def test_what_fails_is_no_matter_of_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "bench.studies.estimate.measure_all",
        lambda kinds, limit_s: {
            key: "it raised E: x" if one.sources else Parts(1.0, 0.0, 0.0, 0.0)
            for key, one in kinds.items()
        },
    )
    assert lasting([spec(), slow()]) == [1.0, "it raised E: x"]


def test_an_edited_object_and_settings_of_ones_own_are_not_known_from_others(
    measured: list[Spec],
) -> None:
    timing = Timing(9.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1)
    known = [record(one, timing=timing) for one in (spec(), slow())]
    assert lasting([spec(), slow()], *known) == [9, 9]
    edited = slow(sources={"mine:Slow": "other"})
    settings = spec(settings={**SPEC.settings, "floor": 2})
    assert lasting([spec(), edited, settings], *known) == [9, 5, 3]
