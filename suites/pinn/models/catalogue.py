"""The PINN suite's models: names, sizes, and what each publishes on every axis."""

from __future__ import annotations

from dataclasses import dataclass

from bench.spec.table import Table
from bench.text.errors import unknown
from bench.text.model_size import parse_size


@dataclass(frozen=True)
class Architecture:
    """What a model's publication chose.

    Attributes:
        summary: One line for ``list``.
        activation: After each hidden layer.
        normalization: ``denorm`` where it has no normalisation layer.
        rescaling: ``rescale=1`` leaves the labels as they are.
        initialization: Of all layers.
        norm_last: Whether the normalisation stands after the activation and not before it.
        version: Of the model's definition. Whoever redefines the model raises it, so that runs of
            the old one are neither found nor compared.
    """

    summary: str
    activation: str = "tanh"
    normalization: str = "denorm"
    rescaling: str = "rescale=1"
    initialization: str = "glorot"
    norm_last: bool = False
    version: int = 1

    def choices(self) -> dict[str, str]:
        """The choice on each axis."""
        return {
            "activation": self.activation,
            "normalization": self.normalization,
            "rescaling": self.rescaling,
            "initialization": self.initialization,
        }


FNN = Architecture("fully connected, published: 6 hidden layers of 40, tanh, Glorot normal")
FNN_BN = Architecture(
    "the same with pointwise batch norm before each activation",
    normalization="pointwise-batchnorm",
    version=2,
)
FNN_LN = Architecture("the same with layer norm before each activation", normalization="layernorm")
#: The published network with batch norm, an exhibit and no control. After the activation, the sum
#: over the rows of what batch norm gives is constant, and with it Σ y, so that every derivative by
#: automatic differentiation through the batch is 0: the network is trained on its initial and
#: boundary values and never sees its equation.
FNN_BN_PUBLISHED = Architecture(
    "as published: batch norm after each activation, which never sees its equation; an exhibit",
    normalization="batchnorm",
    norm_last=True,
)

ARCHITECTURES: Table[Architecture] = Table(
    {
        "fnn": "suites.pinn.models.catalogue:FNN",
        "fnn-bn": "suites.pinn.models.catalogue:FNN_BN",
        "fnn-ln": "suites.pinn.models.catalogue:FNN_LN",
        "fnn-bn-published": "suites.pinn.models.catalogue:FNN_BN_PUBLISHED",
    }
)

#: Name and one-line summary of each.
MODELS = {name: architecture.summary for name, architecture in ARCHITECTURES.items()}


@dataclass(frozen=True)
class Model:
    """A fully connected network.

    Attributes:
        name: One of `ARCHITECTURES`.
        width: Features of each hidden layer.
        depth: Number of hidden layers.
        choices: The choice on each axis that an arm leaves alone.
        norm_last: Whether the normalisation stands after the activation.
    """

    name: str
    width: int
    depth: int
    choices: dict[str, str]
    norm_last: bool = False

    def __str__(self) -> str:
        return f"{self.name}:{self.width}x{self.depth}"


_DEFAULT = "40x6"


def parse_model(text: str) -> Model:
    """The model that ``name`` or ``name:<width>x<depth>`` names.

    Raises:
        BadInput: The name is unknown or the size is wrong.
    """
    name, given, size = text.partition(":")
    if name not in ARCHITECTURES:
        raise unknown("model", name, ARCHITECTURES)
    width, depth = parse_size(
        text, size if given else _DEFAULT, "<width>x<depth>", f"{name}:{_DEFAULT}"
    )
    architecture = ARCHITECTURES[name]
    return Model(name, width, depth, architecture.choices(), architecture.norm_last)
