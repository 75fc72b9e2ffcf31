"""The initialisation axis.

An initialisation is called with the layers in order of execution, a function that runs the network
on the training data, and a seeded generator; it sets the layers' weights in place.

The initialisation decides whether an integrated activation can be judged at all. A quadratic
activation maps a signal of scale s to s², which over six layers vanishes or explodes doubly
exponentially. A scaling layer by layer that sees the data (`lsuv`) holds the pooled variance alone:
without biases a network of n such layers is homogeneous of degree 2ⁿ in its inputs, and a few rows
hold all of the signal. With biases (`featurewise`) it is held row by row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from bench.techniques.registry import Choice, Registry
from bench.text.errors import BadInput
from bench.text.numbers import parse_real

if TYPE_CHECKING:
    import torch
    from torch import nn

    from bench.techniques.featurewise import Featurewise

Initialization = Callable[
    [Sequence["nn.Linear"], Callable[[], object], "torch.Generator"],
    None,
]

#: Of a pre-activation, in size; beyond them single precision holds no network of several layers.
_MOST_MEAN, _LEAST_STD, _MOST_STD = 100.0, 1e-3, 100.0


def featurewise(value: str | None) -> Featurewise:
    """``featurewise``: mean and deviation by the rule; ``featurewise=MEAN,STD``: by hand.

    Args:
        value: The text after ``=``.

    Raises:
        BadInput: It is not two numbers, or they are out of range.
    """
    given = None if value is None else parse_mean_and_std(value)
    from bench.techniques.featurewise import Featurewise

    return Featurewise(given)


def parse_mean_and_std(value: str) -> tuple[float, float]:
    """The numbers of ``featurewise=MEAN,STD``: a mean of at most 100 in size, and a deviation of
    0.001 to 100."""
    try:
        mean, std = map(parse_real, value.split(","))
    except ValueError:
        mean = std = float("nan")
    if not (abs(mean) <= _MOST_MEAN and _LEAST_STD <= std <= _MOST_STD):
        raise BadInput(
            "featurewise takes the mean (-100 to 100) and the deviation (0.001 to 100) of a"
            f" pre-activation, for instance featurewise=1,0.4; got {value!r}"
        )
    return mean, std


INITIALIZATIONS = Registry(
    "initialization",
    {
        "glorot": Choice("bench.techniques.initializers:glorot_normal", "Glorot normal"),
        "he": Choice("bench.techniques.initializers:he_normal", "He (Kaiming) normal, fan in"),
        "orthogonal": Choice("bench.techniques.initializers:orthogonal", "random orthogonal"),
        "lsuv": Choice(
            "bench.techniques.initializers:lsuv",
            "unit variance of each layer, pooled over rows and features: a quadratic activation may"
            " still leave all signal to a few rows",
        ),
        "featurewise": Choice(
            "bench.techniques.initialization:featurewise",
            "a mean and a deviation for each pre-activation, by weights and biases: those that the"
            " activation needs, or featurewise=MEAN,STD",
            takes_value=True,
        ),
    },
)
