"""DeepXDE's ``jacobian`` and ``hessian``, answered from derivatives that are known already.

A PDE function asks for the derivatives of the network's outputs, or of what it has computed from
them, by the network's inputs. The first are served; the others follow by the chain rule from the
gradient of the computation, which involves no network.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from unittest import mock

import torch
from torch import Tensor

from suites.pinn.backend import dde
from suites.pinn.engine.operators import Index

#: A derivative of one of the network's outputs: the output, and what it is derived by.
Column = tuple[int, Index]

#: Gives a derivative at a term's rows, shape ``(rows, 1)``.
Provide = Callable[[Column], Tensor]


class Rows:
    """The rows of one loss term, and their derivatives.

    Args:
        inputs: Inputs, shape ``(rows, n_inputs)``: a leaf that requires a gradient, so that a PDE's
            own functions of the coordinates can be differentiated.
        outputs: Outputs of the network, ``(rows, n_outputs)``.
        provide: Gives the derivatives of the outputs.
    """

    def __init__(self, inputs: Tensor, outputs: Tensor, provide: Provide) -> None:
        self.inputs = inputs
        self._provide = provide
        #: Tensors whose derivatives are served, with what their columns are.
        self._served: list[tuple[Tensor, list[Column]]] = []
        #: Those that a computation can begin with: each column of a derivative once.
        self._sources: list[tuple[Tensor, list[Column]]] = []
        self._entries: dict[Column, Tensor] = {}
        self._computed: list[tuple[Tensor, dict[tuple[int, int | None], Tensor]]] = []
        columns: list[Column] = [(output, ()) for output in range(outputs.shape[1])]
        self._served.append((outputs, columns))
        self._sources.append((outputs, columns))

    def jacobian(self, ys: Tensor, i: int | None, j: int | None) -> Tensor:
        """∂ysᵢ/∂xⱼ as ``dde.grad.jacobian`` gives it: ``(rows, 1)``, or without `j` the whole row.

        Raises:
            ValueError: An index is out of range, or missing.
        """
        i = self._check(ys, i, j)
        columns = next((columns for tensor, columns in self._served if tensor is ys), None)
        if columns is not None:
            output, index = columns[i]
            if j is not None:
                return self._entry(output, (*index, j))
            row: list[Column] = [(output, (*index, k)) for k in range(self.inputs.shape[1])]
            return self._serve(torch.cat([self._entry(*column) for column in row], dim=1), row)
        known = next((found for tensor, found in self._computed if tensor is ys), None)
        if known is None:
            known = {}
            self._computed.append((ys, known))
        if (i, j) not in known:
            known[i, j] = self._chain_rule(ys, i, j)
        return known[i, j]

    def hessian(self, ys: Tensor, component: int, i: int, j: int) -> Tensor:
        """∂²ys_component/∂xᵢ∂xⱼ as ``dde.grad.hessian`` gives it: ``(rows, 1)``."""
        return self.jacobian(self.jacobian(ys, component, i), 0, j)

    def _check(self, ys: Tensor, i: int | None, j: int | None) -> int:
        """The component, after the checks that DeepXDE makes."""
        n_outputs, n_inputs = ys.shape[1], self.inputs.shape[1]
        if i is None and j is None and (n_inputs > 1 or n_outputs > 1):
            raise ValueError("i and j cannot be both None.")
        if i is None and n_outputs > 1:
            raise NotImplementedError("Reverse-mode autodiff doesn't support computing a column.")
        i = i or 0
        if not 0 <= i < n_outputs:
            raise ValueError(f"i={i} is not valid.")
        if j is not None and not 0 <= j < n_inputs:
            raise ValueError(f"j={j} is not valid.")
        return i

    def _serve(self, tensor: Tensor, columns: list[Column]) -> Tensor:
        self._served.append((tensor, columns))
        return tensor

    def _entry(self, output: int, index: Index) -> Tensor:
        """∂^index of one output, always the same tensor."""
        column = (output, tuple(sorted(index)))
        if column not in self._entries:
            entry = self._serve(self._provide(column), [column])
            self._sources.append((entry, [column]))
            self._entries[column] = entry
        return self._entries[column]

    def _chain_rule(self, ys: Tensor, i: int, j: int | None) -> Tensor:
        """Derivative of a value that was computed from inputs, outputs and their derivatives."""
        y = ys[:, i : i + 1] if ys.shape[1] > 1 else ys
        # A derivative that is served as 0 has no graph.
        sources = [source for source in self._sources if source[0].requires_grad]
        if not y.requires_grad:
            width = self.inputs.shape[1] if j is None else 1
            return torch.zeros_like(self.inputs[:, :1]).expand(-1, width)
        explicit, *partials = torch.autograd.grad(
            y,
            [self.inputs, *(tensor for tensor, _ in sources)],
            torch.ones_like(y),
            create_graph=True,
            allow_unused=True,
        )
        axes: Sequence[int] = range(self.inputs.shape[1]) if j is None else [j]
        found = []
        for axis in axes:
            terms = [] if explicit is None else [explicit[:, axis : axis + 1]]
            for partial, (_, columns) in zip(partials, sources, strict=True):
                if partial is not None:
                    terms += [
                        partial[:, k : k + 1] * self._entry(output, (*index, axis))
                        for k, (output, index) in enumerate(columns)
                    ]
            found.append(sum(terms[1:], start=terms[0]) if terms else torch.zeros_like(y))
        return found[0] if j is not None else torch.cat(found, dim=1)


class _Cache:
    """Takes the place in which DeepXDE keeps its derivatives."""

    def __init__(self, answer: Callable[..., Tensor]) -> None:
        self._answer = answer

    def __call__(self, ys: Tensor, xs: Tensor, **which: Any) -> Tensor:
        return self._answer(ys, xs, **which)

    def clear(self) -> None:
        """Forget everything, so that nothing is kept from one evaluation to the next."""


class Server:
    """Answers ``dde.grad.jacobian`` and ``hessian``, however they were imported."""

    def __init__(self) -> None:
        self._rows: Rows | None = None

    @contextlib.contextmanager
    def active(self) -> Iterator[None]:
        """Answer in place of DeepXDE inside the context."""
        reverse: Any = dde.gradients.gradients_reverse
        with (
            mock.patch.object(reverse.jacobian, "_Jacobians", _Cache(self._jacobian)),
            mock.patch.object(reverse.hessian, "_Hessians", _Cache(self._hessian)),
        ):
            try:
                yield
            finally:
                self._rows = None

    def about(self, rows: Rows) -> None:
        """Set the rows that the next questions are about."""
        self._rows = rows

    def _of(self, xs: Tensor) -> Rows:
        if self._rows is None or xs is not self._rows.inputs:
            raise ValueError("a derivative by something else than the inputs was asked for")
        return self._rows

    def _jacobian(
        self, ys: Tensor, xs: Tensor, i: int | None = None, j: int | None = None
    ) -> Tensor:
        return self._of(xs).jacobian(ys, i, j)

    def _hessian(
        self, ys: Tensor, xs: Tensor, component: int = 0, i: int = 0, j: int = 0
    ) -> Tensor:
        return self._of(xs).hessian(ys, component, i, j)
