"""Radial basis and cutoff of unique pairs, with their slopes by the distance."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from schnetpack.nn import CosineCutoff, GaussianRBF
from torch import Tensor


class Radial(NamedTuple):
    """What filters are made of, of U pairs and N basis functions φ.

    Attributes:
        basis: (2, U, N), φ(r) and φ'(r).
        cutoff: (U, 1), the cutoff function f(r).
        cutoff_slope: (U, 1), f'(r).
    """

    basis: Tensor
    cutoff: Tensor
    cutoff_slope: Tensor


def radial(basis: GaussianRBF, cutoff: CosineCutoff, distance: Tensor) -> Radial:
    """The radial functions at (U, 1) distances in Å, slopes per Å."""
    difference = distance - basis.offsets
    coefficient = -0.5 / basis.widths.square()
    value = torch.exp(coefficient * difference.square())
    slope = 2.0 * coefficient * difference * value
    inside = (distance < cutoff.cutoff).to(distance.dtype)
    phase = distance * math.pi / cutoff.cutoff
    # One buffer: a compiler would compute a cosine anew for each feature that a pair's cutoff
    # multiplies.
    cut = torch.cat(
        [
            0.5 * (torch.cos(phase) + 1.0) * inside,
            (-0.5 * math.pi) / cutoff.cutoff * torch.sin(phase) * inside,
        ]
    )
    count = len(distance)
    return Radial(torch.stack([value, slope]), cut[:count], cut[count:])
