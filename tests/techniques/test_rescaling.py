"""Rescalings: the contract, the scale that known labels get, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from bench.techniques.offset import label_choices, label_scale
from bench.techniques.rescaling import LabelStatistics, Scale, make_scale
from bench.testing import rescaling_contract
from bench.text.errors import BadInput

LABELS = LabelStatistics(mean=-97_000.0, std=4.0, rms=97_000.5, count=1000, unit="kcal/mol")
ZEROS = LabelStatistics(mean=0.0, std=0.0, rms=0.0, count=10, unit="1")
EQUAL = LabelStatistics(mean=7.0, std=0.0, rms=7.0, count=10, unit="1")

TestContract = rescaling_contract(
    "rescale=1e6", "rescale=0.25", "rescale=auto", "rescale-weights=1e6", "rescale-weights=auto"
)


@pytest.mark.parametrize(
    ("token", "scale"),
    [
        ("rescale=1e6", Scale(1e6, 0.0)),
        ("rescale=0.25", Scale(0.25, 0.0)),
        ("rescale=1", Scale()),
        ("rescale=auto", Scale(97_000.5, 0.0)),
        ("rescale-weights=100", Scale(1.0, 0.0, 100.0)),
        ("rescale-weights=auto", Scale(1.0, 0.0, 97_000.5)),
    ],
)
def test_known_statistics(token: str, scale: Scale) -> None:
    assert make_scale(token, LABELS) == scale


@pytest.mark.parametrize(
    ("token", "scale"),
    [
        ("rescale=1", Scale(1.0, -97_000.0)),
        ("rescale=1e6", Scale(1e6, -97_000.0)),
        ("rescale=auto", Scale(4.0, -97_000.0)),
        ("rescale-weights=auto", Scale(1.0, -97_000.0, 4.0)),
    ],
)
def test_a_rescaling_acts_on_what_the_offset_leaves(token: str, scale: Scale) -> None:
    assert label_scale("offset", token, LABELS) == scale


def test_records_from_before_the_offset_axis_are_read() -> None:
    assert label_choices({"rescaling": "standardize"}, "no-offset") == ("offset", "rescale=auto")
    assert label_choices({"rescaling": "offset"}, "no-offset") == ("offset", "rescale=1")
    assert label_choices({"rescaling": "rescale=5"}, "offset") == ("offset", "rescale=5")
    own = {"rescaling": "rescale=5", "offset": "no-offset"}
    assert label_choices(own, "offset") == ("no-offset", "rescale=5")


def test_the_loss_s_unit_is_the_network_s_unless_it_has_its_own() -> None:
    assert Scale(5.0).unit == 5.0 and Scale(1.0, 0.0, 5.0).unit == 5.0
    assert Scale(5.0, 2.0).describe() == {"factor": 5.0, "offset": 2.0}
    assert Scale(loss_unit=5.0).describe()["loss_unit"] == 5.0


@pytest.mark.parametrize(
    ("offset", "token", "labels", "scale"),
    [
        ("no-offset", "rescale=auto", ZEROS, Scale(1.0, 0.0)),
        ("offset", "rescale=auto", ZEROS, Scale(1.0, 0.0)),
        ("no-offset", "rescale=auto", EQUAL, Scale(7.0, 0.0)),
        ("offset", "rescale=auto", EQUAL, Scale(1.0, 7.0)),
        ("offset", "rescale=1", EQUAL, Scale(1.0, 7.0)),
        ("no-offset", "rescale=100", ZEROS, Scale(100.0, 0.0)),
    ],
)
def test_labels_that_do_not_vary(
    offset: str, token: str, labels: LabelStatistics, scale: Scale
) -> None:
    assert label_scale(offset, token, labels) == scale


@pytest.mark.parametrize("value", [0.1, 1 / 3, -97_000.3, 1e-12])
@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_equal_labels_have_no_deviation_from_rounding(value: float, kind: type) -> None:
    labels = np.full(1001, value, dtype=kind).astype(float)
    found = LabelStatistics.of(labels, "1")
    assert found.std == 0 and found.rms == pytest.approx(abs(value), rel=1e-6)
    assert label_scale("offset", "rescale=auto", found).factor == 1.0


def test_labels_of_few_digits_that_differ_have_a_deviation() -> None:
    for labels in ([0.0, 0.1], [1.0, 2.0], [0.25, 0.5], [5e-324, 0.0, 1.0]):
        found = LabelStatistics.of(np.array(labels), "1")
        assert found.std == np.std(labels)
    tiny = LabelStatistics.of(1e-30 * np.array([1.0, -2.0]), "1")
    assert tiny.std == pytest.approx(1.5e-30)


@pytest.mark.parametrize("value", ["0", "-2", "nan", "inf", "x", ""])
def test_a_constant_must_be_positive_and_finite(value: str) -> None:
    with pytest.raises(BadInput, match="positive") as raised:
        make_scale(f"rescale={value}", LABELS)
    assert repr(value) in str(raised.value)


def test_the_bare_name_is_for_the_suite_to_replace() -> None:
    with pytest.raises(BadInput, match="rescale takes a positive number"):
        make_scale("rescale", LABELS)


def test_auto_of_labels_that_are_not_finite_is_refused() -> None:
    broken = LabelStatistics(math.nan, math.nan, math.inf, 3, "1")
    with pytest.raises(BadInput, match="rescaling 'rescale=auto'"):
        make_scale("rescale=auto", broken)
    with pytest.raises(BadInput, match="offset 'offset' returned nan"):
        label_scale("offset", "rescale=1", broken)


OWN = """
from bench.techniques.rescaling import Scale
def per_label(labels): return Scale(labels.std / 2)
def number(labels): return labels.std / 2
def centred(labels): return Scale(labels.std, labels.mean)
def word(labels): return "2"
def nothing(labels): return None
def zero(labels): return Scale(factor=0.0)
def negative(labels): return Scale(factor=-1.0)
def infinite(labels): return Scale(factor=float("inf"))
def nan(labels): return float("nan")
def text(labels): return Scale(factor="3")
"""


@pytest.fixture
def own(own_module: Callable[[str, str], None]) -> str:
    own_module("own_rescalings", OWN)
    return "own_rescalings"


def test_ones_own_rescaling_sees_the_statistics(own: str) -> None:
    for name in ("per_label", "number"):
        assert make_scale(f"{own}:{name}", LABELS) == Scale(2.0)
        assert label_scale("offset", f"{own}:{name}", LABELS) == Scale(2.0, -97_000.0)


def test_ones_own_rescaling_that_returns_an_offset_is_told_the_axis(own: str) -> None:
    with pytest.raises(BadInput, match=r"-97000.*the axis 'offset'") as raised:
        make_scale(f"{own}:centred", LABELS)
    assert "\n" not in str(raised.value)


def test_ones_own_offset_is_a_finite_number(own: str) -> None:
    assert label_scale(f"{own}:number", "rescale=1", LABELS) == Scale(1.0, 2.0)
    for name in ("nothing", "word", "nan"):
        with pytest.raises(BadInput, match=f"{own}:{name}.*not a finite number"):
            label_scale(f"{own}:{name}", "rescale=1", LABELS)


@pytest.mark.parametrize("name", ["word", "nothing", "zero", "negative", "infinite", "nan", "text"])
def test_ones_own_rescaling_that_returns_nonsense_is_refused(own: str, name: str) -> None:
    with pytest.raises(BadInput, match=f"{own}:{name}") as raised:
        make_scale(f"{own}:{name}", LABELS)
    assert "not a factor > 0" in str(raised.value)
