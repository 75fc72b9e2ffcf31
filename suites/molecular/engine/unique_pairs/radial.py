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
        basis: (U, N), φ(r).
        basis_slope: (U, N), φ'(r), per Å.
        cutoff: (U, 1), the cutoff function f(r).
        cutoff_slope: (U, 1), f'(r), per Å.
    """

    basis: Tensor
    basis_slope: Tensor
    cutoff: Tensor
    cutoff_slope: Tensor


class Filter(NamedTuple):
    """What multiplies an atom's features in a message, of U pairs.

    Attributes:
        value: (U, features), 0 beyond the cutoff.
        slope: (U, features), its derivative by the distance, per Å.
    """

    value: Tensor
    slope: Tensor


def radial(basis: GaussianRBF, cutoff: CosineCutoff, distance: Tensor) -> Radial:
    """The radial functions at (U, 1) distances in Å."""
    difference = distance - basis.offsets
    coefficient = -0.5 / basis.widths.square()
    value = torch.exp(coefficient * difference.square())
    inside = (distance < cutoff.cutoff).to(distance.dtype)
    phase = distance * (math.pi / cutoff.cutoff)
    # Parts of one buffer: a compiler would compute a cosine anew for each feature of a filter.
    values = torch.cat(
        [
            0.5 * (torch.cos(phase) + 1.0) * inside,
            (-0.5 * math.pi / cutoff.cutoff) * torch.sin(phase) * inside,
        ]
    )
    cut, cut_slope = values.split(len(distance))
    return Radial(value, 2.0 * coefficient * difference * value, cut, cut_slope)
