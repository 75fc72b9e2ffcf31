"""What the PINN suite runs to answer the questions of `bench.studies.questions`."""

from __future__ import annotations

from collections.abc import Mapping

from bench.arm import BASELINE
from bench.studies.arms import (
    SEPARATE,
    THREE,
    TINY_EPS,
    combinations,
    integrated,
    under_two_initializations,
    units,
)
from bench.studies.definition import Part

_NORMALIZED = ["fnn-bn"]
_UNDER_LSUV = integrated(("lsuv",), ("denorm", "rescale", "lsuv"))
# A step of the other integrated activations takes three times as long; they are compared under
# LSUV in `integrated-activations`.
_INITIALIZED = under_two_initializations(["irelu"])
_SCALED = units([f"rescale={c}" for c in ("0.01", "0.1", "10", "100")], [TINY_EPS])

PARTS: Mapping[str, Part] = {
    "paper": Part("pinn", [BASELINE, "irelu+denorm+rescale", "irelu", "rescale"]),
    "denormalization": Part("pinn", [BASELINE, "denorm", "frozenbn"], _NORMALIZED),
    "label-rescaling": Part("pinn", ["denorm", "denorm+rescale"], _NORMALIZED),
    "separate": Part("pinn", [*SEPARATE, "frozenbn"], _NORMALIZED, factors=["denorm", "rescale"]),
    "integrated-activations": Part("pinn", _UNDER_LSUV[0], _NORMALIZED, compare=_UNDER_LSUV[1]),
    "initialization": Part(
        "pinn", _INITIALIZED[0], compare=_INITIALIZED[1], factors=["irelu", "lsuv"]
    ),
    "units": Part("pinn", _SCALED[0], compare=_SCALED[1]),
    "factorial": Part("pinn", [*combinations(THREE), "frozenbn"], _NORMALIZED, factors=THREE),
}
