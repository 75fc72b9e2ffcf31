"""The ratio of residuals: what it is at its limits, and when it is a warning."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from bench.training.residual_ratio import ratio_of, ratio_warnings, unseen_equation


@pytest.mark.parametrize(
    ("training", "scored", "expected"),
    [
        (0.0, 0.0, 1.0),
        (2.0, 4.0, 0.5),
        (0.0, 1.0, 0.0),
        (math.nan, 1.0, None),
        (1.0, math.inf, None),
    ],
)
def test_a_ratio(training: float, scored: float, expected: float | None) -> None:
    assert ratio_of(training, scored) == expected


@pytest.mark.parametrize(("training", "scored"), [(1.0, 0.0), (1e300, 1e-300)])
def test_an_infinite_ratio_is_a_number_in_a_record(training: float, scored: float) -> None:
    found = ratio_of(training, scored)
    assert found == json.loads(json.dumps(found))
    assert unseen_equation({"residual_ratio": found}) == "2e+308 at the end"


@pytest.mark.parametrize(
    ("diagnostics", "said"),
    [
        ({}, None),  # of earlier code, and of potentials
        ({"residual_ratio": None, "start": {"residual_ratio": None}}, None),
        ({"residual_ratio": 0.1, "start": {"residual_ratio": 10.0}}, None),
        ({"residual_ratio": 0.09, "start": {"residual_ratio": 1.0}}, "0.09 at the end"),
        ({"residual_ratio": 1.0, "start": {"residual_ratio": 3e-31}}, "3e-31 at the start"),
        (
            {"residual_ratio": 0.0, "start": {"residual_ratio": 11.0}},
            "1e+01 at the start and 0 at the end",
        ),
    ],
)
def test_when_a_run_did_not_see_its_equation(diagnostics: dict[str, Any], said: str | None) -> None:
    assert unseen_equation(diagnostics) == said
    assert len(ratio_warnings(diagnostics)) == (said is not None)
