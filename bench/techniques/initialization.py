"""The initialisation axis.

An initialisation is called with the layers in order of execution, a function that runs the network
on the training data, and a seeded generator; it sets the layers' weights in place.

The initialisation decides whether an integrated activation can be judged at all. A quadratic
activation maps a signal of scale s to s², which over six layers vanishes or explodes doubly
exponentially. Only a scaling layer by layer that sees the data (`lsuv`) holds it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from bench.techniques.registry import Choice, Registry

if TYPE_CHECKING:
    import torch
    from torch import nn

Initialization = Callable[
    [Sequence["nn.Linear"], Callable[[], object], "torch.Generator"],
    None,
]

INITIALIZATIONS = Registry(
    "initialization",
    {
        "glorot": Choice("bench.techniques.initializers:glorot_normal", "Glorot normal"),
        "he": Choice("bench.techniques.initializers:he_normal", "He (Kaiming) normal, fan in"),
        "orthogonal": Choice("bench.techniques.initializers:orthogonal", "random orthogonal"),
        "lsuv": Choice(
            "bench.techniques.initializers:lsuv",
            "layer-sequential unit variance, measured on the training points",
        ),
    },
)
