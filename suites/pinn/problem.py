"""What a PINN problem is: equations, conditions, names of its loss terms, ground truth."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from suites.pinn.backend import dde
from suites.pinn.reference.reference import Reference, ScatteredReference

if TYPE_CHECKING:
    from torch import Tensor

#: DeepXDE's default (Hammersley) draws about the same points for every seed; this one draws from
#: NumPy's global generator, which the task seeds.
SAMPLER = "pseudo"

Kind = Literal["residual", "initial", "boundary", "data"]

#: What the terms of a kind add up to.
TOTALS: dict[Kind, str] = {
    "residual": "Lf",
    "initial": "LIC",
    "boundary": "LBC",
    "data": "Ldata",
}


@dataclass(frozen=True)
class Term:
    """One loss term, in DeepXDE's order: equations first, then conditions.

    Attributes:
        name: As in the literature, for instance ``LICp``. The terms of a kind add up to ``Lf``,
            ``LIC``, ``LBC`` or ``Ldata``.
        kind: What it comes from.
        output: The output whose unit a condition has; ``None`` for equations.
    """

    name: str
    kind: Kind
    output: int | None = None


@dataclass(frozen=True)
class Points:
    """Numbers of collocation points."""

    domain: int
    boundary: int
    initial: int


@dataclass(frozen=True)
class Published:
    """The published set-up of a problem.

    Attributes:
        points: Collocation points.
        steps: Adam steps.
        supervised: Fraction of the solution's grid points that are given as labels.
    """

    points: Points = Points(domain=1000, boundary=1000, initial=5000)
    steps: int = 15_000
    supervised: float = 0.0


@dataclass(frozen=True)
class Truth:
    """The ground truth and the initial state that belongs to it.

    Attributes:
        reference: The solution on a grid.
        initial: Initial state at points of shape ``(n, n_space)``: shape ``(n, n_outputs)``;
            ``None`` where the problem has its own.
        outputs: The network outputs that the columns of the reference are.
        bounds: Lower and upper bound of each input where the data decide them.
        digest: Digest of the data of a file.
    """

    reference: Reference | ScatteredReference
    initial: Callable[[np.ndarray], np.ndarray] | None
    outputs: tuple[int, ...]
    bounds: tuple[tuple[float, float], ...] | None = None
    digest: str | None = None


@dataclass(frozen=True)
class Supervised:
    """Labels at points of the solution.

    Attributes:
        points: Shape ``(n, n_inputs)``.
        values: Shape ``(n, len(outputs))``.
        outputs: The network outputs that they are labels of.
        rows: Their rows in ``Reference.points()``.
    """

    points: np.ndarray
    values: np.ndarray
    outputs: tuple[int, ...]
    rows: np.ndarray


class Problem(ABC):
    """A learning task with a ground truth.

    Attributes:
        name: Name on the command line.
        outputs: Names of the network's outputs.
        terms: Loss terms in DeepXDE's order, without those of supervised points.
        published: The published set-up.
        takes_labels: Whether `data` makes use of supervised points.
    """

    name: str
    outputs: tuple[str, ...]
    terms: tuple[Term, ...]
    published: Published = Published()
    takes_labels: bool = True

    @abstractmethod
    def truth(self, data_root: Path | None, sample: int, fine: bool) -> Truth | None:
        """The ground truth.

        Args:
            data_root: Directory with PDEBench's files, or ``None`` for the embedded truth.
            sample: Which sample of a PDEBench file.
            fine: Solve as accurately as scoring needs; otherwise, for smoke tests, fast.

        Returns:
            ``None`` where a user's problem has none.

        Raises:
            BadInput: A file is missing or wrong.
        """

    @abstractmethod
    def data(self, truth: Truth | None, points: Points, supervised: Supervised | None) -> Any:
        """A new ``dde.data.PDE`` or ``TimePDE`` that has drawn its points."""

    def output_transform(self, inputs: Tensor, outputs: Tensor) -> Tensor:
        """Applied to the network's outputs in their own units; the identity by default."""
        del inputs
        return outputs

    def residual_scales(self, scales: Sequence[float]) -> Sequence[float] | None:
        """The unit of each equation's residual, given each output's.

        Args:
            scales: C_i of every output.

        Returns:
            S_k of every equation, or ``None`` where the problem does not say.
        """
        return scales if len(scales) == self.n_equations else None

    @property
    def n_equations(self) -> int:
        """Number of equations."""
        return sum(term.kind == "residual" for term in self.terms)

    def data_terms(self, outputs: Sequence[int]) -> tuple[Term, ...]:
        """The loss terms of supervised points."""
        if len(outputs) == 1:
            return (Term("Ldata", "data", outputs[0]),)
        return tuple(Term(f"Ldata{self.outputs[i]}", "data", i) for i in outputs)


def time_pde(
    geometry: Any,
    pde: Callable[[Tensor, Tensor], Any],
    conditions: Sequence[Any],
    points: Points,
    supervised: Supervised | None,
) -> Any:
    """A ``dde.data.TimePDE`` on freshly drawn points, with the supervised points as conditions.

    Args:
        geometry: ``dde.geometry.GeometryXTime``.
        pde: Residuals, as DeepXDE defines them.
        conditions: Initial and boundary conditions, in the order of the problem's terms.
        points: How many points to draw.
        supervised: Labels, or ``None``.
    """
    labels = []
    if supervised is not None:
        labels = [
            dde.icbc.PointSetBC(supervised.points, supervised.values[:, [k]], component=output)
            for k, output in enumerate(supervised.outputs)
        ]
    return dde.data.TimePDE(
        geometry,
        pde,
        [*conditions, *labels],
        num_domain=points.domain,
        num_boundary=points.boundary,
        num_initial=points.initial,
        train_distribution=SAMPLER,
    )


def initial_condition(geometry: Any, truth: Truth, output: int) -> Any:
    """``dde.icbc.IC`` of one output: the truth's initial state."""
    initial = truth.initial
    assert initial is not None

    def value(x: np.ndarray) -> np.ndarray:
        return initial(x[:, :-1])[:, [output]]

    return dde.icbc.IC(geometry, value, lambda _, on_initial: on_initial, component=output)
