"""How a network of any suite comes to its first weights: the same streams, in the same order."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from bench.spec.randomness import stream_seed, torch_generator
from bench.techniques.initialization import INITIALIZATIONS
from bench.techniques.initializers import initialize
from bench.techniques.norm_layers import measure_frozen_statistics


@contextlib.contextmanager
def drawing_modules(seed: int) -> Iterator[None]:
    """Where modules are made: they draw from torch's global generator, which is lent to them.

    A user's activation or normalisation may have random parameters of its own.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream_seed(seed, "modules"))
        yield


def set_first_weights(
    net: nn.Module,
    linears: Sequence[nn.Linear],
    forward: Callable[[], object],
    initialization: str | None,
    seed: int,
) -> Mapping[str, Any]:
    """Initialise a network, and measure the statistics of its frozen normalisation layers.

    Args:
        net: On its device.
        linears: Its linear layers in the order of execution.
        forward: Runs it on training data.
        initialization: The choice on that axis; ``None``: the weights that it has.
        seed: Of the run.

    Returns:
        JSON values for the record: what the initialisation says of itself in ``report``, if it has
        one.
    """
    report: Mapping[str, Any] = {}
    if initialization is not None:
        chosen = INITIALIZATIONS.get(initialization)
        initialize(
            chosen,
            net,
            list(linears),
            forward,
            torch_generator(seed, "initialization"),
        )
        report = getattr(chosen, "report", report)
    measure_frozen_statistics(net, forward)
    return report
