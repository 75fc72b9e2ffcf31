"""What a PINN problem is: equations, conditions, names of its loss terms, ground truth."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from bench.text.errors import BadInput
from suites.pinn.problems.pdebench_file import PDEBenchFile
from suites.pinn.problems.truth import Supervised, Truth

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from torch import Tensor

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
        kind: What the term comes from.
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
class PublishedSetup:
    """The published set-up of a problem.

    Attributes:
        points: Collocation points.
        steps: Adam steps.
        supervised: Fraction of the solution's grid points that are given as labels.
    """

    points: Points = Points(domain=1000, boundary=1000, initial=5000)
    steps: int = 15_000
    supervised: float = 0.0


class Problem(ABC):
    """A learning task with a ground truth.

    Attributes:
        name: Name on the command line.
        outputs: Names of the network's outputs.
        terms: Loss terms in DeepXDE's order, without those of supervised points.
        published: The published set-up.
        file: PDEBench's file of the problem, if it has one.
        takes_labels: Whether `data` makes use of supervised points.
        weights: Weights of loss terms under the protocol ``standard``, by name; the others have 1.
            The problem's docstring says where each is from. Metrics are not weighted.
        has_truth: Whether there is a ground truth of the solution.
        has_fine_truth: Whether `own_truth` depends on its argument.
        unknowns: True values of the unknowns of an inverse problem, by name, where they are known.
        version: Of the problem's definition. Whoever redefines the problem (its equations,
            conditions, constants, ground truth) raises it, so that runs of the old one are neither
            found nor compared.
    """

    name: str
    outputs: tuple[str, ...]
    terms: tuple[Term, ...]
    published: PublishedSetup = PublishedSetup()
    file: PDEBenchFile | None = None
    takes_labels: bool = True
    has_truth: bool = True
    has_fine_truth: bool = True
    weights: Mapping[str, float] = MappingProxyType({})
    unknowns: Mapping[str, ArrayLike] = MappingProxyType({})
    version: int = 1

    def truth(self, data_root: Path | None, sample: int, fine: bool) -> Truth | None:
        """The ground truth.

        Args:
            data_root: Folder with PDEBench's files; ``None``: the problem's own truth.
            sample: Index of the sample in a PDEBench file.
            fine: See `own_truth`.

        Returns:
            The truth; ``None`` where a user's problem has none.

        Raises:
            BadInput: A file is missing or wrong, or the problem has none.
        """
        if data_root is None:
            return self.own_truth(fine)
        if self.file is None:
            raise BadInput(f"--data-root: problem {self.name!r} has no PDEBench file")
        # Imported here: a problem can be listed without h5py.
        from suites.pinn.problems.pdebench import pdebench_truth

        return pdebench_truth(data_root, self.file, sample)

    @abstractmethod
    def own_truth(self, fine: bool) -> Truth | None:
        """The ground truth that needs no file.

        Args:
            fine: Solve as accurately as scoring needs; otherwise fast, for smoke tests.
        """

    @property
    def truth_definition(self) -> str:
        """Where `own_truth` is defined, as `suites.pinn.reference.cache.cached` wants to know."""
        kind = next(kind for kind in type(self).__mro__ if "own_truth" in vars(kind))
        return f"{kind.__module__}:{kind.__qualname__}.own_truth"

    @abstractmethod
    def data(self, truth: Truth | None, points: Points, supervised: Supervised | None) -> Any:
        """A new ``dde.data.PDE`` or ``TimePDE`` that has drawn its points.

        Args:
            truth: The ground truth, if there is one.
            points: How many points to draw.
            supervised: Labels that become conditions after the problem's own, if any: once those
                of training, once those that are held out.
        """

    def input_transform(self, inputs: Tensor) -> Tensor:
        """Transform the network's inputs: ``(rows, n_inputs)`` to ``(rows, n_features)``."""
        return inputs

    def output_transform(self, inputs: Tensor, outputs: Tensor) -> Tensor:
        """Transform the network's outputs, in their own units; by default they stay as they are."""
        del inputs
        return outputs

    def residual_scales(self, scales: Sequence[float]) -> Sequence[float] | None:
        """The unit of each equation's residual, from the units of the outputs.

        Args:
            scales: The unit C_i of every output.

        Returns:
            The unit S_k of every equation; ``None`` where the problem does not say.
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
