"""New points for the equations every so many steps."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import nn

from bench.spec.randomness import global_numpy_stream, numpy_generator
from bench.spec.spec import Spec
from suites.pinn.adaptive import (
    check_adaptive,
    choose,
    density,
    drawn_in_the_domain,
    pool_size,
    residual_sizes,
)
from suites.pinn.backend import quiet
from suites.pinn.options import SAMPLERS
from suites.pinn.problems.dde_data import other_points

#: Of the points of a new draw; more that are old ones deserve a warning.
_SAME = 0.5


class Resampling:
    """How a run draws new points for its equations.

    The points of the conditions stay, anchors too, and so do the held-out points.

    Args:
        spec: Of the run.
        data: ``dde.data.PDE`` that has drawn its first points.
        problem: Its name, for messages.

    Attributes:
        adaptive: Whether the points depend on the network (``--sampler rad``), and so belong to the
            state of the run.

    Raises:
        BadInput: Points cannot be drawn by the residual.
    """

    def __init__(self, spec: Spec, data: Any, problem: str) -> None:
        self._every: int | None = spec.settings.get("resample")
        self._seed = spec.seed
        self._k: float = spec.settings.get("rad_k", 1.0)
        self._c: float = spec.settings.get("rad_c", 1.0)
        self._data = data
        self._warnings: dict[str, None] = {}
        self.adaptive = spec.settings.get("sampler", SAMPLERS[0]) == "rad"
        if self.adaptive:
            check_adaptive(data, problem)
        if self._every is not None and spec.training.total_steps <= self._every:
            self._warn(
                f"--resample {self._every} in a run of {spec.training.total_steps} steps: no points"
                " are drawn anew"
            )

    def due(self, step: int) -> bool:
        """Whether there are new points before that step."""
        return self._every is not None and step > 0 and step % self._every == 0

    def last(self, step: int) -> int:
        """The last step before which there were new points, of those before `step`; 0: none."""
        return 0 if self._every is None else max(step - 1, 0) // self._every * self._every

    def redraw(self, step: int, net: nn.Module) -> None:
        """Give the data the points that they have from a step on.

        Args:
            step: The step.
            net: The network as it is then.
        """
        before = self._data.train_x_all
        chosen = self._chosen(step, net) if self.adaptive else None
        self._forget()
        with quiet(), global_numpy_stream(self._seed, f"points of step {step}"):
            if chosen is None:
                self._data.resample_train_points(pde_points=True, bc_points=False)
            else:
                with drawn_in_the_domain(self._data, chosen):
                    self._data.resample_train_points(pde_points=True, bc_points=False)
        if not self.adaptive:
            self._compare(before)

    def _chosen(self, step: int, net: nn.Module) -> np.ndarray:
        """The points of the domain, by the residual."""
        count = self._data.num_domain
        with quiet(), global_numpy_stream(self._seed, f"pool of step {step}"):
            pool = self._data.geom.random_points(pool_size(count), random="pseudo")
        pool = pool.astype(self._data.train_x.dtype)
        sizes = residual_sizes(self._data, net, pool)
        if unknown := int((~np.isfinite(sizes)).sum()):
            self._warn(
                f"--sampler rad: at step {step} the residual was not finite at {unknown} of"
                f" {len(pool)} points, which then count as the largest that was"
            )
        probabilities = density(sizes, self._k, self._c)
        return choose(pool, probabilities, count, numpy_generator(self._seed, f"rad, step {step}"))

    def points(self) -> np.ndarray:
        """The points of the equations, shape ``(n, n_inputs)``."""
        found: np.ndarray = self._data.train_x_all
        return found

    def restore(self, points: np.ndarray) -> bool:
        """Give the data points that they have had; whether they are others than the present."""
        data = self._data
        if np.array_equal(points, data.train_x_all):
            return False
        self._forget()
        data.train_x_all = points
        data.train_x = data.train_y = data.train_aux_vars = None
        data.train_next_batch()
        return True

    def _forget(self) -> None:
        """Drop the matrix of a fractional equation, which DeepXDE keeps of its first points."""
        if hasattr(self._data, "int_mat_train"):
            self._data.int_mat_train = None

    def _compare(self, before: np.ndarray) -> None:
        """Warn of a sampler that draws the same points again."""
        anchors = self._data.anchors
        given = _rows(anchors) if anchors is not None else set()
        new = _rows(self._data.train_x_all) - given
        same = len(new & _rows(before)) / max(len(new), 1)
        if same > _SAME:
            self._warn(
                f"--resample {self._every}: the sampler {self._data.train_distribution!r} draws the"
                f" same points again, {same:.0%} of them; {other_points(self._data)} draws others"
            )

    def _warn(self, warning: str) -> None:
        kind = warning.partition(":")[0]
        if not any(known.startswith(kind) for known in self._warnings):
            self._warnings[warning] = None

    @property
    def warnings(self) -> list[str]:
        """One of each kind."""
        return list(self._warnings)

    def describe(self) -> dict[str, Any]:
        """For the record; nothing where no points are drawn anew."""
        if self._every is None:
            return {}
        found: dict[str, Any] = {"every": self._every, "sampler": "problem"}
        if self.adaptive:
            pool = pool_size(self._data.num_domain)
            found |= {"sampler": "rad", "k": self._k, "c": self._c, "pool": pool}
        return {"resampling": found}


def _rows(points: np.ndarray) -> set[bytes]:
    """Each point once."""
    return {row.tobytes() for row in np.ascontiguousarray(points)}
