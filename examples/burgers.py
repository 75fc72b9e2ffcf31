"""A DeepXDE problem of your own: Burgers' equation with a travelling shock.

In this folder:

    python -m bench.suite pinn --problem burgers:problem --arm irelu+featurewise
"""

import deepxde as dde
import numpy as np

from suites.pinn import wrap


def data() -> dde.data.TimePDE:
    """The problem as any DeepXDE script states it."""
    geometry = dde.geometry.GeometryXTime(
        dde.geometry.Interval(-1, 1), dde.geometry.TimeDomain(0, 1)
    )

    def pde(x, u):
        u_t, u_x = dde.grad.jacobian(u, x, j=1), dde.grad.jacobian(u, x, j=0)
        return u_t + u * u_x - 0.05 * dde.grad.hessian(u, x, i=0, j=0)

    walls = dde.icbc.DirichletBC(geometry, wave, lambda _, on_boundary: on_boundary)
    start = dde.icbc.IC(geometry, wave, lambda _, on_initial: on_initial)
    return dde.data.TimePDE(
        geometry,
        pde,
        [walls, start],
        num_domain=1000,
        num_boundary=100,
        num_initial=100,
        train_distribution="pseudo",
    )


def wave(x: np.ndarray) -> np.ndarray:
    """A travelling viscous shock, which is an exact solution."""
    return 0.5 - 0.5 * np.tanh((x[:, 0:1] - 0.5 * x[:, 1:2]) / 0.2)


problem = wrap(data, name="burgers", outputs=["u"], losses=["Lf", "LBC", "LIC"], exact=wave)
