"""The errors of the five problems, written by hand for arrays of JAX.

The equations, coefficients and conditions are those of `suites.pinn.problems`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from suites.pinn.peers.derivatives import Asked, Derivatives
from suites.pinn.peers.points import Rows
from suites.pinn.problems.advection import BETA
from suites.pinn.problems.compressible_flow import GAMMA
from suites.pinn.problems.diffusion_reaction import D_U, D_V, K
from suites.pinn.problems.diffusion_sorption import K_F, N_F, POROSITY, RHO_S, D
from suites.pinn.problems.shallow_water import G


class Conditions(NamedTuple):
    """What the conditions compare; see `suites.pinn.peers.points.PeerPoints`.

    Attributes:
        rows: The points of each.
        targets: Of each, shape ``(points,)``.
        normals: Of each, shape ``(n_inputs, points)``.
        opposite: Outputs at the other ends of periods, shape ``(n_outputs, points)``.
    """

    rows: Sequence[Rows]
    targets: Sequence[Array]
    normals: Sequence[Array]
    opposite: Array


#: The errors of each loss term, equations first.
Errors = Callable[[Derivatives, Conditions], list[Array]]


@dataclass(frozen=True)
class Peer:
    """A problem.

    Attributes:
        asked: The derivatives that it needs.
        errors: The errors of its loss terms.
    """

    asked: Asked
    errors: Errors


def _initial(at: Derivatives, given: Conditions) -> list[Array]:
    """Of every output; the first conditions."""
    return [own[given.rows[k]] - given.targets[k] for k, own in enumerate(at.values)]


def _periodic(at: Derivatives, given: Conditions) -> list[Array]:
    """Of every output, after its initial conditions."""
    rows = given.rows[len(at.values) :]
    return [own[rows[k]] - given.opposite[k] for k, own in enumerate(at.values)]


def _no_flow(at: Derivatives, given: Conditions) -> list[Array]:
    """Of every output, after its initial conditions; the first directions are x and y."""
    n = len(at.values)
    along_x, along_y, *_ = at.first
    found = []
    for k, rows, (normal_x, normal_y, _) in zip(
        range(n), given.rows[n:], given.normals[n:], strict=True
    ):
        found.append(along_x[k, rows] * normal_x + along_y[k, rows] * normal_y)
    return found


def _advection(at: Derivatives, given: Conditions) -> list[Array]:
    return [at.first[0][0], *_initial(at, given), *_periodic(at, given)]


def _compressible_flow(at: Derivatives, given: Conditions) -> list[Array]:
    density, velocity, pressure = at.values
    density_x, velocity_x, pressure_x = at.first[0]
    density_t, velocity_t, pressure_t = at.first[1]
    energy = pressure / (GAMMA - 1) + 0.5 * density * velocity**2

    def energy_slope(density_s: Array, velocity_s: Array, pressure_s: Array) -> Array:
        kinetic = 0.5 * density_s * velocity**2 + density * velocity * velocity_s
        return pressure_s / (GAMMA - 1) + kinetic

    energy_x = energy_slope(density_x, velocity_x, pressure_x)
    energy_t = energy_slope(density_t, velocity_t, pressure_t)
    return [
        density_t + density_x * velocity + density * velocity_x,
        density * (velocity_t + velocity * velocity_x) + pressure_x,
        energy_t + velocity_x * (energy + pressure) + velocity * (energy_x + pressure_x),
        *_initial(at, given),
        *_periodic(at, given),
    ]


def _diffusion_reaction(at: Derivatives, given: Conditions) -> list[Array]:
    u, v = at.values
    u_t, v_t = at.first[2]
    u_laplacian, v_laplacian = at.second[0]
    return [
        u_t - D_U * u_laplacian - (u - u**3 - K - v),
        v_t - D_V * v_laplacian - (u - v),
        *_initial(at, given),
        *_no_flow(at, given),
    ]


def _diffusion_sorption(at: Derivatives, given: Conditions) -> list[Array]:
    u, u_x, u_t, u_xx = (one[0] for one in (at.values, *at.first, *at.second))
    power = (jnp.maximum(u, 0) + 1e-6) ** (N_F - 1)
    retardation = 1 + (1 - POROSITY) / POROSITY * RHO_S * K_F * N_F * power
    _, inflow, outflow = given.rows
    return [
        u_t - D / retardation * u_xx,
        *_initial(at, given),
        u[inflow] - given.targets[1],
        u[outflow] + D * u_x[outflow],
    ]


def _shallow_water(at: Derivatives, given: Conditions) -> list[Array]:
    h, u, v = at.values
    h_x, u_x, v_x = at.first[0]
    h_y, u_y, v_y = at.first[1]
    h_t, u_t, v_t = at.first[2]
    return [
        h_t + h_x * u + h * u_x + h_y * v + h * v_y,
        u_t + u * u_x + v * u_y + G * h_x,
        v_t + u * v_x + v * v_y + G * h_y,
        *_initial(at, given),
        *_no_flow(at, given),
    ]


_PLANE = ((1.0, 0.0), (0.0, 1.0))
_SPACE = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))

PEERS: Mapping[str, Peer] = {
    "advection-1d": Peer(Asked(((BETA, 1.0),)), _advection),
    "compressible-flow-1d": Peer(Asked(_PLANE), _compressible_flow),
    "diffusion-reaction-2d": Peer(Asked(_SPACE, ((0, 1),)), _diffusion_reaction),
    "diffusion-sorption-1d": Peer(Asked(_PLANE, ((0,),)), _diffusion_sorption),
    "shallow-water-2d": Peer(Asked(_SPACE), _shallow_water),
}
