"""Training protocols: what enters the network, the loss's weights, labels, and the rate."""

from __future__ import annotations

from dataclasses import dataclass

from bench.spec.spec import Spec
from bench.spec.table import Table


@dataclass(frozen=True)
class Protocol:
    """How a PINN is trained.

    Attributes:
        summary: One line.
        lr: Learning rate of Adam.
        schedule: Of the learning rate.
        scaled_inputs: The network's inputs are scaled to [−1, 1] over the problem's domain, where
            the problem has no feature transform of its own.
        weighted: The loss terms have the problem's own weights (`Problem.weights`); otherwise each
            has 1.
        labels: The published fraction of the solution's grid points is given as labels.
        version: Of the protocol's definition. Whoever redefines the protocol raises it, so that
            runs of the old one are neither found nor compared.
    """

    summary: str
    lr: float
    schedule: str
    scaled_inputs: bool
    weighted: bool
    labels: bool
    version: int = 1


STANDARD = Protocol(
    summary="inputs in [-1, 1], warm-up and decay of the rate, the problem's weights, no labels",
    lr=1e-3,
    schedule="warmup-stable-decay",
    scaled_inputs=True,
    weighted=True,
    labels=False,
)

PAPER = Protocol(
    summary="as arXiv 2310.01649: raw coordinates, constant rate, weights 1, published labels",
    lr=1e-3,
    schedule="constant",
    scaled_inputs=False,
    weighted=False,
    labels=True,
)

PROTOCOLS: Table[Protocol] = Table(
    {
        "standard": "suites.pinn.protocols:STANDARD",
        "paper": "suites.pinn.protocols:PAPER",
    }
)

#: Runs from before there were protocols keep their names: this one is not in a spec's settings.
UNNAMED = "paper"


def get_protocol(name: str) -> Protocol:
    """The protocol of that name.

    Raises:
        BadInput: There is none.
    """
    return PROTOCOLS.find("protocol", name)


def protocol_name(spec: Spec) -> str:
    """The name of a spec's protocol."""
    return str(spec.settings.get("protocol", UNNAMED))
