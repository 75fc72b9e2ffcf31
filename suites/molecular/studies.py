"""What the molecular suite runs to answer the questions of `bench.studies.questions`."""

from __future__ import annotations

from collections.abc import Mapping

from bench.arm import BASELINE
from bench.studies.arms import (
    INTEGRATED,
    SEPARATE,
    THREE,
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
#: Networks that carry batch norm.
_NORMALIZED = ["cgcnn", "forcenet"]
_TWO_MODELS = ["schnet", "cgcnn"]
_MOLECULES = [
    "xtb-aspirin",
    "xtb-benzene",
    "xtb-ethanol",
    "xtb-malonaldehyde",
    "xtb-naphthalene",
    "xtb-salicylic-acid",
    "xtb-toluene",
    "xtb-uracil",
]
_TWO_MOLECULES = ["xtb-ethanol", "xtb-benzene"]
_SQUARED = "--loss MSE"
#: Integrated activations and what they integrate, as published and each at its own start.
_INTEGRATED = integrated((), ("featurewise",))
_INITIALIZED = under_initializations([*INTEGRATED], ["lsuv", "featurewise"])
_CONTROLLED = rescalings([""], "denorm")
_SCALED = units(
    ["rescale=1e3", "rescale=1e6", "rescale-weights=1e6"],
    [TINY_EPS, _SQUARED],
    [("rescale=1e6", "rescale-weights=1e6")],
)

PARTS: Mapping[str, Part] = {
    "paper": Part(
        "molecular",
        [
            BASELINE,
            "irelu+denorm+rescale",
            "irelu",
            "rescale",
            "irelu+rescale",
            "denorm+rescale",
        ],
        ["schnet", "cgcnn", "forcenet", "dimenet++"],
        _MOLECULES,
        _PAPER,
    ),
    "denormalization": Part(
        "molecular", [BASELINE, "denorm", "frozenbn"], _NORMALIZED, _TWO_MOLECULES
    ),
    "label-rescaling": Part(
        "molecular",
        _CONTROLLED[0],
        ["schnet", *_NORMALIZED],
        _TWO_MOLECULES,
        compare=_CONTROLLED[1],
    ),
    "separate": Part(
        "molecular",
        [*SEPARATE, "frozenbn"],
        _NORMALIZED,
        _TWO_MOLECULES,
        factors=["denorm", "rescale"],
    ),
    "integrated-activations": Part(
        "molecular",
        _INTEGRATED[0],
        _TWO_MODELS,
        _TWO_MOLECULES,
        compare=_INTEGRATED[1],
    ),
    "initialization": Part(
        "molecular",
        _INITIALIZED[0],
        _TWO_MODELS,
        _TWO_MOLECULES,
        compare=_INITIALIZED[1],
        factors=["irelu", "featurewise"],
    ),
    "units": Part(
        "molecular",
        _SCALED[0],
        ["schnet"],
        _TWO_MOLECULES,
        _PAPER,
        compare=_SCALED[1],
        factors=["rescale=1e6", TINY_EPS, _SQUARED],
    ),
    "factorial": Part(
        "molecular",
        [*combinations(THREE), "frozenbn"],
        _NORMALIZED,
        _TWO_MOLECULES,
        factors=THREE,
    ),
}
