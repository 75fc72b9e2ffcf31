"""Training protocols: the loss, what is done to the labels, and the optimiser's settings."""

from __future__ import annotations

from dataclasses import dataclass

from bench.spec.table import Table

#: ε of a loss.
ERRORS = ("MAE", "MSE")


@dataclass(frozen=True)
class Protocol:
    """How a potential is trained.

    The loss is w_E·ε_E + w_F·ε_F of energies per frame and of force components, in the network's
    unit.

    Attributes:
        summary: One line.
        error: ε, one of `ERRORS`.
        energy_weight: w_E.
        force_weight: w_F.
        offset: What the baseline removes from the energies.
        rescale: C of the bare arm ``rescale``; ``None``: the problem's, as published.
        lr: Learning rate of Adam.
        schedule: Of the learning rate.
        weight_decay: Decoupled (AdamW).
        batch: Frames in a batch.
        ema: Decay of the average of the weights that is scored, once warmed up
            (`suites.molecular.averaging`); 0: the weights themselves.
        total_energies: GFN2-xTB's energies are brought to MD17's magnitude.
        version: Of the protocol's definition. Whoever redefines the protocol raises it, so that
            runs of the old one are neither found nor compared.
    """

    summary: str
    error: str
    energy_weight: float
    force_weight: float
    offset: str
    rescale: str | None
    lr: float
    schedule: str
    weight_decay: float
    batch: int
    ema: float
    total_energies: bool
    version: int = 1


STANDARD = Protocol(
    summary="as SchNetPack's users train: mean energy removed, MSE, AdamW, cosine, average",
    error="MSE",
    energy_weight=0.01,
    force_weight=0.99,
    offset="offset",
    rescale="rescale=auto",
    lr=5e-4,
    schedule="cosine",
    weight_decay=0.01,
    batch=10,
    ema=0.995,
    total_energies=False,
    # 2: a rescaling acts on the energies without their reference, and no longer in its place.
    # 3: the average warms up, and no longer holds the starting weights for hundreds of steps.
    version=3,
)

PAPER = Protocol(
    summary="as arXiv 2310.01649: raw energies, MAE_E + 30 MAE_F, Adam 1e-4, batch 20",
    error="MAE",
    energy_weight=1.0,
    force_weight=30.0,
    offset="no-offset",
    rescale=None,
    lr=1e-4,
    schedule="constant",
    weight_decay=0.0,
    batch=20,
    ema=0.0,
    total_energies=True,
)

PROTOCOLS: Table[Protocol] = Table(
    {
        "standard": "suites.molecular.protocols:STANDARD",
        "paper": "suites.molecular.protocols:PAPER",
    }
)


def get_protocol(name: str) -> Protocol:
    """The protocol of that name.

    Raises:
        BadInput: There is none.
    """
    return PROTOCOLS.find("protocol", name)
