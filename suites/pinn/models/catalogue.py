"""The PINN suite's models: names, sizes, and what each publishes on every axis."""

from __future__ import annotations

from dataclasses import dataclass

from bench.text.errors import unknown
from bench.text.model_size import parse_size

#: What a model's publication chose on each axis; rescale=1 leaves the labels as they are.
_PUBLISHED = {
    "activation": "tanh",
    "normalization": "denorm",
    "rescaling": "rescale=1",
    "initialization": "glorot",
}


@dataclass(frozen=True)
class Model:
    """A fully connected network.

    Attributes:
        name: ``fnn`` or ``fnn-bn``.
        width: Features of each hidden layer.
        depth: Number of hidden layers.
        published: The choice on each axis that an arm leaves alone.
    """

    name: str
    width: int
    depth: int
    published: dict[str, str]

    def __str__(self) -> str:
        return f"{self.name}:{self.width}x{self.depth}"


MODELS = {
    "fnn": "fully connected, published: 6 hidden layers of 40, tanh, Glorot normal",
    "fnn-bn": "the same with batch norm after each hidden layer",
}

_DEFAULT = "40x6"


def parse_model(text: str) -> Model:
    """The model that ``name`` or ``name:<width>x<depth>`` names.

    Raises:
        BadInput: The name is unknown or the size is wrong.
    """
    name, given, size = text.partition(":")
    if name not in MODELS:
        raise unknown("model", name, MODELS)
    width, depth = parse_size(
        text, size if given else _DEFAULT, "<width>x<depth>", f"{name}:{_DEFAULT}"
    )
    normalization = "batchnorm" if name == "fnn-bn" else "denorm"
    return Model(name, width, depth, published={**_PUBLISHED, "normalization": normalization})
