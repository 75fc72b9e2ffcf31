"""Points where the residual is large: residual-based adaptive distribution (RAD).

C. Wu, M. Zhu, Q. Tan, Y. Kartha, L. Lu, arXiv 2207.10289, algorithm 2 and equation 2.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import nn

from bench.text.errors import BadInput
from suites.pinn.backend import dde
from suites.pinn.engine.terms import equations

#: Points of the pool for each that is drawn, and at most: as published, 100 000 for some thousand.
_POOL, _MOST = 50, 100_000
#: Points whose residuals are computed at a time.
_ROWS = 10_000
#: Of the mean density: without it and with c = 0, too few points of the pool may have any.
_LEAST = 1e-12


def check_adaptive(data: Any, problem: str) -> None:
    """Refuse data of which no points can be drawn by the residual.

    Args:
        data: DeepXDE's data of the problem.
        problem: Its name, for the message.

    Raises:
        BadInput: The data have no equation, no residual at a point alone, or no points drawn by
            their geometry.
    """
    kind = type(data)
    reason = None
    if data.pde is None:
        reason = "has no equation"
    elif isinstance(data, (dde.data.IDE, dde.data.FPDE)):
        reason = f"is a dde.data.{kind.__name__}, whose residual at a point needs other points"
    elif kind.train_points not in (dde.data.PDE.train_points, dde.data.TimePDE.train_points):
        reason = f"draws its points by {kind.__name__}.train_points"
    elif not data.num_domain:
        reason = "draws no points in its domain (num_domain=0)"
    elif isinstance(data.geom, dde.geometry.PointCloud):
        reason = "has a PointCloud, of which all points are given"
    if reason is not None:
        raise BadInput(
            f"--sampler rad: problem {problem!r} {reason}; --sampler problem draws as the problem"
            " does"
        )


def pool_size(count: int) -> int:
    """How many points a pool has from which `count` are drawn."""
    return max(min(_POOL * count, _MOST), 2 * count)


def residual_sizes(data: Any, net: nn.Module, points: np.ndarray) -> np.ndarray:
    """ε(x) = Σ_k |r_k(x)|, the sum over the equations in the problem's units.

    Args:
        data: DeepXDE's data, for the equations.
        net: The network, which is evaluated as it predicts.
        points: Shape ``(n, n_inputs)``.

    Returns:
        Shape ``(n,)``, in double precision.
    """
    device = next(net.parameters()).device
    net.eval()
    found = []
    for start in range(0, len(points), _ROWS):
        part = points[start : start + _ROWS]
        extra = []
        if data.auxiliary_var_fn is not None:
            known = data.auxiliary_var_fn(part).astype(part.dtype)
            extra = [torch.as_tensor(known, device=device)]
        inputs = torch.tensor(part, device=device).requires_grad_()
        # DeepXDE keeps derivatives from call to call.
        dde.grad.clear()
        residuals = equations(data.pde, extra)(inputs, net(inputs))
        sizes = [r.detach().abs().reshape(len(part), -1).sum(dim=1) for r in residuals]
        found.append(torch.stack(sizes).sum(dim=0).double().cpu().numpy())
    dde.grad.clear()
    return np.concatenate(found)


def density(sizes: np.ndarray, k: float, c: float) -> np.ndarray:
    """p ∝ εᵏ/E[εᵏ] + c over a pool, E being the mean over it.

    A residual that is not finite counts as the largest that is.

    Args:
        sizes: ε at each point, shape ``(n,)``.
        k: The larger, the more the points gather where the residual is large; 0: everywhere alike.
        c: The larger, the more evenly the points are spread.

    Returns:
        The probabilities, shape ``(n,)``, of sum 1.
    """
    finite = np.isfinite(sizes)
    largest = sizes[finite].max(initial=0.0)
    if not largest:
        return np.full(len(sizes), 1 / len(sizes))
    # Relative to the largest, so that no power of it overflows.
    powers = np.where(finite, sizes / largest, 1.0) ** k
    found = powers / powers.mean() + c + _LEAST
    return np.asarray(found / found.sum())


def choose(
    pool: np.ndarray, probabilities: np.ndarray, count: int, generator: np.random.Generator
) -> np.ndarray:
    """Points of a pool, each at most once.

    Args:
        pool: Shape ``(n, n_inputs)``.
        probabilities: Of each, shape ``(n,)``.
        count: How many to choose.
        generator: Where the chance is from.
    """
    return pool[generator.choice(len(pool), count, replace=False, p=probabilities)]


@contextlib.contextmanager
def drawn_in_the_domain(data: Any, points: np.ndarray) -> Iterator[None]:
    """The next time that the data draw points in their domain, they get these.

    Anchors, excluded points, and what the data draw on the boundary are theirs.
    """
    geometry = data.geom
    waiting = [points]

    def serve(draw: Any) -> Any:
        return lambda *args, **kwargs: waiting.pop() if waiting else draw(*args, **kwargs)

    with (
        mock.patch.object(geometry, "random_points", serve(geometry.random_points)),
        mock.patch.object(geometry, "uniform_points", serve(geometry.uniform_points)),
    ):
        yield
    assert not waiting
