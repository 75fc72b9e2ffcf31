"""How a network's signal is spread over the rows of its data.

A pooled variance says nothing of it: a network whose signal sits in a few rows, as that of many
quadratic layers without biases does, can have unit variance in every layer and nothing to train on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

#: Below it a handful of rows is all that there is.
_FEWEST_ROWS = 20
#: Share of the energy in 1 % of the rows from which on it is said.
_CONCENTRATED = 0.5


def signal_over_rows(hidden: Mapping[str, Tensor], output: Tensor) -> dict[str, Any]:
    """The concentration of a network's signal, and the size of its output over the rows.

    Args:
        hidden: Signals by the name of their layer, each ``(…, rows, features)``.
        output: The network's output before any transform, ``(rows, outputs)``.

    Returns:
        JSON values: ``energy_in_1_percent``, the share of the energy (the sum of squares) in the
        1 % of the rows that have most of it, at least one row, of the layer where that is largest;
        ``layer``, its name, ``output`` for the output; ``output_median`` and ``output_largest``, of
        the output's Euclidean norm over the rows. ``None`` for what is not finite.
    """
    shares = {name: _share(signal) for name, signal in {**hidden, "output": output}.items()}
    worst = max(shares, key=lambda name: math.inf if shares[name] is None else shares[name] or 0.0)
    sizes = _energies(output).sqrt()
    return {
        "energy_in_1_percent": shares[worst],
        "layer": worst,
        "rows": len(sizes),
        "output_median": _finite(sizes.median()),
        "output_largest": _finite(sizes.max()),
    }


def concentration_warning(start: Mapping[str, Any]) -> list[str]:
    """A warning if few rows hold the signal before the first step.

    Args:
        start: The measurements of the start; those of `signal_over_rows` under ``concentration``.
    """
    found = start.get("concentration")
    if not isinstance(found, Mapping) or (found.get("rows") or 0) < _FEWEST_ROWS:
        return []
    share = found.get("energy_in_1_percent")
    if share is None or share <= _CONCENTRATED:
        return []
    return [
        f"concentrated: at the start 1 % of the rows hold {share:.0%} of the energy of"
        f" {_of(found['layer'])}; |output| is {found['output_median']:.1e} in the median row and"
        f" {found['output_largest']:.1e} at most; try the initialisation featurewise"
    ]


def _of(layer: str) -> str:
    return "the output" if layer == "output" else layer


def _energies(signal: Tensor) -> Tensor:
    """Sum of squares of each row."""
    return signal.detach().double().flatten(0, -2).square().sum(dim=-1)


def _share(signal: Tensor) -> float | None:
    energies = _energies(signal)
    most = energies.topk(max(1, round(len(energies) / 100))).values.sum()
    total = energies.sum()
    return _finite(most / total) if total > 0 else 0.0


def _finite(value: Tensor) -> float | None:
    return float(value) if bool(torch.isfinite(value)) else None
