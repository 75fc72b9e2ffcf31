"""Any DeepXDE problem as a problem of the suite."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.text.errors import BadInput
from suites.pinn.problems.dde_kinds import check_kind
from suites.pinn.problems.problem import TOTALS, Kind, Points, Problem, Term
from suites.pinn.problems.term_weights import check_weights
from suites.pinn.problems.truth import Supervised, Truth
from suites.pinn.reference.reference import ScatteredReference

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from torch import Tensor

#: How many points of its geometry an exact solution is compared on.
_TEST_POINTS = 10_000


def wrap(
    factory: Callable[[], Any],
    *,
    name: str,
    outputs: Sequence[str],
    losses: Sequence[str | Term],
    exact: Callable[[np.ndarray], np.ndarray] | None = None,
    reference: tuple[np.ndarray, np.ndarray] | None = None,
    input_transform: Callable[[Tensor], Tensor] | None = None,
    output_transform: Callable[[Tensor, Tensor], Tensor] | None = None,
    residual_scales: Callable[[Sequence[float]], Sequence[float]] | None = None,
    loss_weights: Mapping[str, float] | None = None,
    unknowns: Mapping[str, ArrayLike] | None = None,
) -> Problem:
    """Make a problem of a function that builds a ``dde.data.PDE``, ``TimePDE``, ``IDE``, ``FPDE``
    or ``TimeFPDE``.

    Args:
        factory: Builds the data. It is a function, because data have already drawn their points: it
            is called once for the training points of every seed, and once for the held-out points.
        name: Name in messages. Tables and records show what the command line named.
        outputs: Names of the network's outputs.
        losses: Names of the loss terms in DeepXDE's order, equations first. ``Lf…`` is an equation,
            ``LIC…`` an initial condition, ``LBC…`` a boundary condition, ``Ldata…`` labels. The
            terms of a kind are added up. A `Term` instead of a name also says which output's unit
            an operator condition has.
        exact: The exact solution, from points of shape ``(n, n_inputs)`` to ``(n, n_outputs)``.
            Predictions are compared with it on about 10 000 evenly spaced points of the geometry.
        reference: Instead of `exact`: points and values of a solution, of shapes ``(n, n_inputs)``
            and ``(n, n_outputs)``, all of them finite.
        input_transform: As in ``dde.nn.NN.apply_feature_transform``.
        output_transform: As in ``dde.nn.NN.apply_output_transform``.
        residual_scales: Maps the unit of each output to that of each equation's residual, for
            rescaling. By default they are equal, if there are as many equations as outputs.
        loss_weights: Weights of loss terms by name under the protocol ``standard``; the others have
            1. Metrics are not weighted.
        unknowns: True values of the unknowns of an inverse problem, by name, for their error. An
            unknown is any tensor that requires a gradient and that the loss depends on beside the
            network, as ``dde.Variable``; all are trained, with or without a true value. Its name is
            that of the variable that holds it (`suites.pinn.engine.held_tensors`).

    Raises:
        BadInput: An argument is of the wrong kind.
    """
    return _Wrapped(
        factory,
        name,
        outputs,
        losses,
        exact,
        reference,
        input_transform,
        output_transform,
        residual_scales,
        loss_weights or {},
        unknowns or {},
    )


class _Wrapped(Problem):
    """The problem that `wrap` makes."""

    takes_labels = False
    has_fine_truth = False

    def __init__(
        self,
        factory: Callable[[], Any],
        name: str,
        outputs: Sequence[str],
        losses: Sequence[str | Term],
        exact: Callable[[np.ndarray], np.ndarray] | None,
        reference: tuple[np.ndarray, np.ndarray] | None,
        input_transform: Callable[[Tensor], Tensor] | None,
        output_transform: Callable[[Tensor, Tensor], Tensor] | None,
        residual_scales: Callable[[Sequence[float]], Sequence[float]] | None,
        weights: Mapping[str, float],
        unknowns: Mapping[str, ArrayLike],
    ) -> None:
        if not callable(factory):
            raise BadInput(
                f"wrap({name!r}) takes a function that builds the data, got"
                f" {type(factory).__name__}: an instance has already drawn its points"
            )
        if exact is not None and reference is not None:
            raise BadInput(f"wrap({name!r}) takes exact or reference, not both")
        self.name = name
        self.outputs = tuple(outputs)
        self.terms = tuple(_term(loss, name) for loss in losses)
        _check_totals(self.terms, name)
        check_weights(weights, self.terms, f"wrap({name!r}): loss_weights")
        self.weights = dict(weights)
        self.unknowns = {unknown: _truth(unknown, unknowns[unknown], name) for unknown in unknowns}
        self.has_truth = exact is not None or reference is not None
        self._factory = factory
        self._exact = exact
        self._reference = reference
        self._input_transform = input_transform
        self._output_transform = output_transform
        self._residual_scales = residual_scales

    def own_truth(self, fine: bool) -> Truth | None:
        """The exact solution or the reference data."""
        del fine
        everything = tuple(range(len(self.outputs)))
        if self._reference is not None:
            points, values = (np.asarray(array, dtype=float) for array in self._reference)
            if points.ndim != 2:
                raise BadInput(
                    f"problem {self.name!r}: reference has points of the shape {points.shape}, not"
                    " (n, inputs)"
                )
            values = self._rows(values, len(points), "reference has")
            return Truth(ScatteredReference(points, values, "reference data"), None, everything)
        if self._exact is None:
            return None
        geometry = self._made().geom
        points = np.asarray(geometry.uniform_points(_TEST_POINTS, boundary=True), dtype=float)
        values = self._solution(points)
        solution = ScatteredReference(points, values, "exact solution", (0.0,) * len(everything))
        return Truth(solution, None, everything, exact=self._solution)

    def _solution(self, points: np.ndarray) -> np.ndarray:
        """The user's exact solution, shape ``(n, n_outputs)``."""
        assert self._exact is not None
        values = np.asarray(self._exact(points), dtype=float)
        return self._rows(values, len(points), "exact returns")

    def _rows(self, values: np.ndarray, rows: int, what: str) -> np.ndarray:
        """Values of the truth, a row for each point; ``(n,)`` will do for one output.

        Raises:
            BadInput: They have another shape than ``(rows, outputs)``, or are not finite.
        """
        wanted = (rows, len(self.outputs))
        found = values[:, None] if values.ndim == 1 and len(self.outputs) == 1 else values
        if found.shape != wanted:
            hint = ": it is transposed" if found.T.shape == wanted else ""
            raise BadInput(
                f"problem {self.name!r}: {what} values of the shape {values.shape} for {rows}"
                f" points and the outputs {', '.join(self.outputs)}, not {wanted}{hint}"
            )
        if count := int((~np.isfinite(found)).sum()):
            raise BadInput(
                f"problem {self.name!r}: {what} {count} of {found.size} values that are NaN or"
                " infinite"
            )
        return found

    def data(self, truth: Truth | None, points: Points, supervised: Supervised | None) -> Any:
        """A new problem from the factory, which decides on the points."""
        return self._made()

    def _made(self) -> Any:
        """The user's data, which are of a kind that is known here."""
        data = self._factory()
        check_kind(data, self.name)
        return data

    def input_transform(self, inputs: Tensor) -> Tensor:
        """The user's transform, or none."""
        return self._input_transform(inputs) if self._input_transform else inputs

    def output_transform(self, inputs: Tensor, outputs: Tensor) -> Tensor:
        """The user's transform, or none."""
        return self._output_transform(inputs, outputs) if self._output_transform else outputs

    def residual_scales(self, scales: Sequence[float]) -> Sequence[float] | None:
        """The user's scales, or those of the outputs."""
        if self._residual_scales is not None:
            return self._residual_scales(scales)
        return super().residual_scales(scales)


def _truth(unknown: str, value: ArrayLike, name: str) -> np.ndarray:
    """The true value of an unknown.

    Raises:
        BadInput: It is no finite number or array of numbers.
    """
    try:
        found = np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        found = np.array(np.nan)
    if not np.isfinite(found).all():
        raise BadInput(
            f"wrap({name!r}): the true value of the unknown {unknown!r} must be a finite number or"
            f" an array of them, got {value!r}"
        )
    return found


def _term(loss: str | Term, name: str) -> Term:
    if isinstance(loss, Term):
        return loss
    kinds: list[Kind] = [kind for kind, total in TOTALS.items() if loss.startswith(total)]
    if not kinds:
        raise BadInput(
            f"wrap({name!r}): the loss name {loss!r} begins with none of"
            f" {', '.join(TOTALS.values())}"
        )
    return Term(loss, kinds[0])


def _check_totals(terms: Sequence[Term], name: str) -> None:
    """Refuse a term that has the name of its kind's sum beside others of the kind."""
    for kind, total in TOTALS.items():
        of_kind = [term.name for term in terms if term.kind == kind]
        if len(of_kind) > 1 and total in of_kind:
            raise BadInput(
                f"wrap({name!r}): {total!r} is the name of the sum of {', '.join(of_kind)}: give"
                f" the term another one, as {total + '1'!r}"
            )
