"""What the PINN suite runs to answer the questions of `bench.studies.questions`."""

from __future__ import annotations

from collections.abc import Mapping

from bench.arm import BASELINE
from bench.studies.arms import (
    TINY_EPS,
    combinations,
    integrated,
    rescalings,
    under_initializations,
    units,
)
from bench.studies.definition import Part

#: The paper's set-up; what has no options is asked in the standard one.
_PAPER = "--protocol paper"
#: Networks that see their equation and carry a normalisation.
_NORMALIZED = ["fnn-bn", "fnn-ln"]
# The labels are of the order of 1, so that a scale that follows from them tests nothing: C over
# decades, each beside its loss weights alone, which on systems are weights between terms.
_DECADES = ("1e-2", "1e2", "1e4")
_CONTROLLED = rescalings(_DECADES)
_UNITS = [f"{name}={c}" for c in _DECADES for name in ("rescale", "rescale-weights")]
_SCALED = units(_UNITS, [TINY_EPS], [(f"rescale={c}", f"rescale-weights={c}") for c in _DECADES])
_SEPARATE = ["denorm", "rescale=1e2"]
_THREE = ["irelu", *_SEPARATE]
#: Integrated activations and what they integrate, as published and each at its own start.
_INTEGRATED = integrated((), ("featurewise",))
_INITIALIZED = under_initializations(["irelu", "ielu", "isilu"], ["lsuv", "featurewise"])
_CELLS = [BASELINE, "irelu+rescale=1e2", "irelu", "rescale=1e2"]
#: The weights between the terms of a system that C brings, without its change of units.
_CONTROL = "rescale-weights=1e2"
_CONTROLS = ["frozenbn", _CONTROL]

PARTS: Mapping[str, Part] = {
    "paper": Part(
        "pinn",
        [f"{arm}{protocol}" for protocol in ("", f" {_PAPER}") for arm in (*_CELLS, _CONTROL)],
        compare=[
            (f"{one}{protocol}", f"{other}{protocol}")
            for protocol in ("", f" {_PAPER}")
            for one, other in (
                *((arm, BASELINE) for arm in _CELLS[1:]),
                ("rescale=1e2", _CONTROL),
            )
        ],
    ),
    "denormalization": Part("pinn", [BASELINE, "denorm", "frozenbn"], _NORMALIZED),
    "label-rescaling": Part("pinn", _CONTROLLED[0], compare=_CONTROLLED[1]),
    "separate": Part(
        "pinn", [*combinations(_SEPARATE), *_CONTROLS], _NORMALIZED, factors=_SEPARATE
    ),
    "integrated-activations": Part("pinn", _INTEGRATED[0], compare=_INTEGRATED[1]),
    "initialization": Part(
        "pinn", _INITIALIZED[0], compare=_INITIALIZED[1], factors=["irelu", "featurewise"]
    ),
    "units": Part("pinn", _SCALED[0], compare=_SCALED[1]),
    "factorial": Part("pinn", [*combinations(_THREE), *_CONTROLS], _NORMALIZED, factors=_THREE),
}
