"""Factories of modules that take the width: the number of features that the module sees."""

from __future__ import annotations

import inspect
from collections.abc import Callable

#: What the one argument of a factory may be called for it to be given the width.
WIDTH_NAMES = (
    "width",
    "features",
    "num_features",
    "n_features",
    "out_features",
    "channels",
    "num_channels",
    "n_channels",
    "num_parameters",
    "num_neurons",
    "n_neurons",
    "neurons",
    "units",
    "dim",
    "size",
    "normalized_shape",
)


def required_arguments(factory: Callable[..., object]) -> list[str] | None:
    """The names of the arguments that a factory must be given; ``None`` where nobody knows."""
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):  # of a builtin
        return None
    optional = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [
        parameter.name
        for parameter in parameters
        if parameter.default is parameter.empty and parameter.kind not in optional
    ]


def takes_width(factory: Callable[..., object]) -> bool:
    """Whether its one required argument is the width, by its name: one of `WIDTH_NAMES`."""
    required = required_arguments(factory)
    return required is not None and len(required) == 1 and required[0].lower() in WIDTH_NAMES
