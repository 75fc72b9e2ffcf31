"""What the PINN suite runs to answer the questions of `bench.studies.questions`."""

from __future__ import annotations

from collections.abc import Mapping

from bench.arm import BASELINE
from bench.studies.arms import (
    TINY_EPS,
    combinations,
    integrated,
    rescalings,
    under_two_initializations,
    units,
)
from bench.studies.definition import Part

_NORMALIZED = ["fnn-bn"]
_UNDER_LSUV = integrated(("lsuv",), ("denorm", "rescale", "lsuv"))
# A step of the other integrated activations takes three times as long; they are compared under
# LSUV in `integrated-activations`.
_INITIALIZED = under_two_initializations(["irelu"])
# The labels are of the order of 1, so that a scale that follows from them tests nothing: C over
# decades, each beside its loss weights alone, which on systems are weights between terms.
_DECADES = ("1e-2", "1e2", "1e4")
_CONTROLLED = rescalings(_DECADES, "denorm")
_UNITS = [f"{name}={c}" for c in _DECADES for name in ("rescale", "rescale-weights")]
_SCALED = units(_UNITS, [TINY_EPS], [(f"rescale={c}", f"rescale-weights={c}") for c in _DECADES])
_THREE = ["irelu", "denorm", "rescale=1e2"]

PARTS: Mapping[str, Part] = {
    "paper": Part("pinn", [BASELINE, "irelu+denorm+rescale=1e2", "irelu", "rescale=1e2"]),
    "denormalization": Part("pinn", [BASELINE, "denorm", "frozenbn"], _NORMALIZED),
    "label-rescaling": Part("pinn", _CONTROLLED[0], _NORMALIZED, compare=_CONTROLLED[1]),
    "separate": Part(
        "pinn",
        [*combinations(["denorm", "rescale=1e2"]), "frozenbn"],
        _NORMALIZED,
        factors=["denorm", "rescale=1e2"],
    ),
    "integrated-activations": Part("pinn", _UNDER_LSUV[0], _NORMALIZED, compare=_UNDER_LSUV[1]),
    "initialization": Part(
        "pinn", _INITIALIZED[0], compare=_INITIALIZED[1], factors=["irelu", "lsuv"]
    ),
    "units": Part("pinn", _SCALED[0], compare=_SCALED[1]),
    "factorial": Part("pinn", [*combinations(_THREE), "frozenbn"], _NORMALIZED, factors=_THREE),
}
