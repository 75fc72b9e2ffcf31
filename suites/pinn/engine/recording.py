"""Which derivatives the loss terms ask for, found by running them once on made-up numbers."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from suites.pinn.engine.operators import Index, Operator, Plan
from suites.pinn.engine.serving import Column, Rows, Server
from suites.pinn.engine.terms import Term
from suites.pinn.engine.unknowns import Unknowns

#: From a term's inputs and the network's (rescaled) outputs to what the errors are computed from.
Transform = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Recording:
    """The derivatives that one term asked for.

    Attributes:
        columns: Derivatives of single outputs.
        dependence: Gradients of the errors by the derivatives, shape ``(n, len(indices))``: a row
            for each equation, point and output.
        indices: The derivatives that it asked for, of any output.
    """

    columns: frozenset[Column]
    dependence: np.ndarray
    indices: tuple[Index, ...]


#: Sizes of made-up numbers on which shared derivatives are tried.
_SIZES = (1e-3, 1.0, 1e3, 1e6)
_TOLERANCE = 1e-6
#: How far unknowns are moved at least, as a part of their size, to see what they do elsewhere.
_FAR = 1.5


def record(
    terms: Sequence[Term],
    transform: Transform,
    outputs: Sequence[Tensor],
    dtype: torch.dtype,
    unknowns: Unknowns,
) -> list[Recording]:
    """Run each term on random outputs and derivatives, and with other values of the unknowns: what
    of its dependence on the derivatives is no constant must show.

    Args:
        terms: Terms of the data.
        transform: The problem's output transform.
        outputs: The network's own outputs at each term's rows, ``(rows, n_outputs)``. A PDE that is
            defined only for some outputs (a power) may be defined for these.
        dtype: Double precision, except for a PDE that only works in the run's own.
        unknowns: Of an inverse problem.
    """
    draw = _Draw(dtype)
    return [
        _record(term, transform, own, draw, unknowns)
        for term, own in zip(terms, outputs, strict=True)
    ]


class _Draw:
    """Draws numbers of any sign and of different size."""

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype
        self._generator = torch.Generator("cpu").manual_seed(0)

    def __call__(self, like: Tensor, size: float = 1.0) -> Tensor:
        generator, shape = self._generator, like.shape
        numbers = torch.randn(shape, generator=generator, device="cpu", dtype=torch.float64)
        sizes = torch.rand(shape, generator=generator, device="cpu", dtype=torch.float64)
        drawn = size * numbers * 10 ** (3 * sizes - 2)
        return drawn.to(like.device, self.dtype).requires_grad_()


def _errors(
    term: Term, transform: Transform, base: Tensor, provide: Callable[[Column], Tensor]
) -> Sequence[Tensor]:
    """The term's errors for given outputs and derivatives."""
    inputs = term.inputs.detach().to(base.dtype).requires_grad_()
    server = Server()
    with server.active():
        server.about(Rows(inputs, base, provide))
        return term.errors(inputs, transform(inputs, base))


def _record(
    term: Term, transform: Transform, outputs: Tensor, draw: _Draw, unknowns: Unknowns
) -> Recording:
    columns: set[Column] = set()
    found: list[dict[Index, np.ndarray]] = []
    own, drawn = outputs.detach().to(draw.dtype).requires_grad_(), draw(outputs)
    now, moved = unknowns.cast(draw.dtype), unknowns.moved(draw.dtype)

    def run(base: Tensor, values: dict[str, Tensor]) -> None:
        leaves: dict[Index, Tensor] = {}

        def provide(column: Column) -> Tensor:
            columns.add(column)
            output, index = column
            if index not in leaves:
                leaves[index] = draw(base)
            return leaves[index][:, output : output + 1]

        with unknowns.using(values):
            errors = _errors(term, transform, base, provide)
        for error in errors:
            if leaves and error.requires_grad:
                gradients = torch.autograd.grad(
                    error.sum(), list(leaves.values()), retain_graph=True, materialize_grads=True
                )
                found.append(
                    {i: g.double().cpu().numpy() for i, g in zip(leaves, gradients, strict=True)}
                )

    run(own, now)
    run(drawn, moved[0] if moved else now)
    for values in moved:
        run(own, values)
    for values in unknowns.moved(draw.dtype, _FAR):
        # The term may not be defined for values that training need never come to.
        with contextlib.suppress(Exception):
            run(own, values)
    indices = tuple(sorted({index for _, index in columns}))
    zero = np.zeros(tuple(outputs.shape))
    dependence = [
        np.stack([of_error.get(index, zero) for index in indices], axis=-1) for of_error in found
    ]
    rows = [block.reshape(-1, len(indices)) for block in dependence]
    return Recording(
        frozenset(columns), np.concatenate([np.zeros((0, len(indices))), *rows]), indices
    )


def agrees(
    terms: Sequence[Term],
    transform: Transform,
    outputs: Sequence[Tensor],
    plan: Plan,
    unknowns: Unknowns,
) -> bool:
    """Whether a plan's operators give the same errors as the derivatives themselves.

    Gradients at some numbers need not tell what happens at others, so numbers of very different
    size are tried.
    """
    draw = _Draw(torch.float64)
    moved = unknowns.moved(torch.float64) or [unknowns.cast(torch.float64)]
    for term, own in zip(terms, outputs, strict=True):
        for size in _SIZES:
            for base in (own.detach().double().requires_grad_(), draw(own, size)):
                for values in moved:
                    with unknowns.using(values):
                        if not _agree(term, transform, base, plan, partial(draw, size=size)):
                            return False
    return True


def _agree(
    term: Term,
    transform: Transform,
    base: Tensor,
    plan: Plan,
    draw: Callable[[Tensor], Tensor],
) -> bool:
    leaves: dict[Index, Tensor] = {}

    def derivative(index: Index) -> Tensor:
        if index not in leaves:
            leaves[index] = draw(base)
        return leaves[index]

    def of_operator(operator: Operator) -> Tensor:
        total = torch.zeros_like(base)
        for axis, coefficient in enumerate(operator.linear):
            if coefficient:
                total = total + coefficient * derivative((axis,))
        for a, b, coefficient in operator.products:
            axes = [int(np.argmax(plan.operators[k].linear)) for k in (a, b)]
            total = total + coefficient * derivative((min(axes), max(axes)))
        return total

    def served(index: Index) -> Tensor:
        operator = plan.served[index]
        if operator is None:
            return torch.zeros_like(base)
        return of_operator(plan.operators[operator])

    def column(of: Callable[[Index], Tensor]) -> Callable[[Column], Tensor]:
        return lambda column: of(column[1])[:, column[0] : column[0] + 1]

    wanted = _errors(term, transform, base, column(derivative))
    found = _errors(term, transform, base, column(served))
    return all(_same(a.detach(), b.detach()) for a, b in zip(wanted, found, strict=True))


def _same(a: Tensor, b: Tensor) -> bool:
    finite = a.isfinite()
    if not torch.equal(finite, b.isfinite()):
        return False
    a, b = a[finite], b[finite]
    return not len(a) or bool(((a - b).abs() <= _TOLERANCE * a.abs().max()).all())
