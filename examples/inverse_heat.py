"""An inverse problem of your own: how well a rod conducts, from its temperature at a few points.

In this folder:

    python -m bench.suite pinn --problem inverse_heat:problem --arm irelu+featurewise

L-BFGS after Adam (``--lbfgs-steps 500``) settles the diffusivity sooner.
"""

import deepxde as dde
import numpy as np

from suites.pinn import wrap

#: What is looked for, and where the search begins.
diffusivity = dde.Variable(1.0)
TRUE = 0.4


def temperature(x: np.ndarray) -> np.ndarray:
    """The exact solution, of which the labels are taken."""
    return np.exp(-TRUE * np.pi**2 * x[:, 1:2]) * np.sin(np.pi * x[:, 0:1])


def data() -> dde.data.TimePDE:
    """The problem as any DeepXDE script states it."""
    geometry = dde.geometry.GeometryXTime(
        dde.geometry.Interval(0, 1), dde.geometry.TimeDomain(0, 0.5)
    )

    def pde(x, u):
        return dde.grad.jacobian(u, x, j=1) - diffusivity * dde.grad.hessian(u, x, i=0, j=0)

    ends = dde.icbc.DirichletBC(geometry, lambda x: 0, lambda _, on_boundary: on_boundary)
    start = dde.icbc.IC(geometry, temperature, lambda _, on_initial: on_initial)
    measured = np.stack(np.meshgrid([0.25, 0.5], np.linspace(0.05, 0.5, 10)), axis=-1)
    points = measured.reshape(-1, 2)
    return dde.data.TimePDE(
        geometry,
        pde,
        [ends, start, dde.icbc.PointSetBC(points, temperature(points))],
        num_domain=500,
        num_boundary=50,
        num_initial=50,
        train_distribution="pseudo",
    )


problem = wrap(
    data,
    name="inverse-heat",
    outputs=["u"],
    losses=["Lf", "LBC", "LIC", "Ldata"],
    exact=temperature,
    unknowns={"diffusivity": TRUE},
)
