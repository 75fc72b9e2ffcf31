"""How long to train, how large a network, on how many frames."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from suites.molecular.models.catalogue import Architecture, Size


@dataclass(frozen=True)
class Budget:
    """What a budget means for a model.

    Attributes:
        size: Of the network.
        steps: Optimisation steps, or ``None`` for `epochs`.
        epochs: Passes over the training frames.
        frames: Most frames of training, validation and test; ``None``: all of the split's.
        evaluations: How many times the metrics are evaluated.
    """

    size: Size
    steps: int | None
    epochs: int
    frames: tuple[int | None, int | None, int | None]
    evaluations: int


def _smoke(architecture: Architecture, share: float) -> Budget:
    del share
    n_rbf = min(10, architecture.quick.n_rbf)
    size = Size(16, 2, n_rbf=n_rbf, cutoff=5.0, n_filters=16)
    return Budget(size, steps=10, epochs=0, frames=(64, 16, 16), evaluations=1)


def _quick(architecture: Architecture, share: float) -> Budget:
    steps = round(share * architecture.quick_steps)
    return Budget(architecture.quick, steps, epochs=0, frames=(50_000, 1000, 1000), evaluations=5)


#: Of the steps of ``quick``.
_SHORT_SHARE = 0.2


def _short(architecture: Architecture, share: float) -> Budget:
    steps = round(_SHORT_SHARE * share * architecture.quick_steps)
    quick = _quick(architecture, share)
    return replace(quick, steps=steps, frames=(50_000, 50, 50), evaluations=2)


def _paper(architecture: Architecture, share: float) -> Budget:
    del share
    return Budget(
        architecture.paper, steps=None, epochs=50, frames=(None, None, None), evaluations=20
    )


#: Called with the model's architecture and the problem's share of ``quick``'s steps.
BUDGETS: dict[str, Callable[[Architecture, float], Budget]] = {
    "smoke": _smoke,
    "short": _short,
    "quick": _quick,
    "paper": _paper,
}

SUMMARIES = {
    "smoke": "ten steps of small networks, to see that everything runs",
    "short": "a fifth of quick's steps, at most 20 s a run on one core",
    "quick": "small networks, at most 90 s a run on one core",
    "paper": "the published widths, 50 epochs",
}
