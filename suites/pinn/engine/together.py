"""Several networks on points of their own, evaluated as one batched network.

Seeds of one problem have the same equations and the same kinds of conditions, and differ in points
and weights. Their tables are stacked, the network's products are batched, and each loss term is
computed once on the rows of all; only the mean over a term's errors is taken seed by seed. So there
are as many kernels as for one seed, which is what a step costs on a GPU.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from bench.training.parameters import FlatParameters
from suites.pinn.backend import dde
from suites.pinn.engine.evaluation import State, TaylorEvaluation, served_rows
from suites.pinn.engine.gradients import Result, StepComputation
from suites.pinn.engine.rows import Selection, Table
from suites.pinn.engine.serving import Rows, Server
from suites.pinn.engine.taylor import Jet, TaylorNetwork, Unsupported
from suites.pinn.engine.terms import Errors, Term, condition_errors, equations


class _Selection:
    """The rows of a term in the stacked tables of all seeds.

    Args:
        positions: Positions of each seed's rows in its own table.
        groups: Parts of a seed's rows; the rows of all seeds come part by part.
        stride: Number of rows of a table.
        device: Device of the tensors that are selected from.
    """

    def __init__(
        self,
        positions: Sequence[np.ndarray],
        groups: Sequence[Sequence[slice]],
        stride: int,
        device: torch.device,
    ) -> None:
        self._same: list[Selection] | None = None
        if all(np.array_equal(positions[0], own) for own in positions):
            # The seed is an axis then: no row has to be gathered.
            self._same = [Selection(positions[0][parts[0]], device) for parts in groups]
            return
        offset = [own + k * stride for k, own in enumerate(positions)]
        ordered = [own[part] for parts in groups for own, part in zip(offset, parts, strict=True)]
        self._flat = Selection(np.concatenate(ordered), device)

    def of(self, table: Tensor) -> Tensor:
        """``(seeds, rows, columns)`` to ``(rows of all, columns)``."""
        columns = table.shape[-1]
        if self._same is None:
            return self._flat.of(table.reshape(-1, columns))
        parts = [part.of(table).reshape(-1, columns) for part in self._same]
        return parts[0] if len(parts) == 1 else torch.cat(parts)


@dataclass(frozen=True)
class _Joint:
    """One term of all seeds.

    Attributes:
        inputs: Rows of all seeds, as a leaf.
        values: Positions of the rows in the tables.
        derivatives: Positions among the rows with derivatives, if the term asks for derivatives.
        errors: From inputs and outputs to errors; each holds those of all seeds, one after another.
        sizes: Number of rows of each error that belong to one seed.
    """

    inputs: Tensor
    values: _Selection
    derivatives: _Selection | None
    errors: Errors
    sizes: list[int]


class TogetherEvaluation:
    """The loss terms of several seeds, from networks with a leading axis.

    Args:
        evaluations: One per seed, of the same problem and the same kind of network.
        product_rows: Rows of a part of a weight's gradient, see `batched_product`; the tables are
            filled up to multiples. ``None``: not in parts.

    Raises:
        Unsupported: The seeds' evaluations are not alike.
    """

    def __init__(
        self, evaluations: Sequence[TaylorEvaluation], product_rows: int | None = None
    ) -> None:
        first = evaluations[0]
        if any(not _alike(first, other) for other in evaluations):
            raise Unsupported("the seeds' loss terms ask for different derivatives")
        self._plan, self._transform = first.plan, first.transform
        tables = [evaluation.table for evaluation in evaluations]
        part = product_rows or 1
        derived = max(table.derivative_rows for table in tables)
        rest = max(len(table.points) - table.derivative_rows for table in tables)
        self._derived, rest = (part * -(-count // part) for count in (derived, rest))
        self._rows = self._derived + rest
        self._inputs = _stacked([e.inputs for e in evaluations], tables, self._derived, rest)
        self._weights = self._stacked_weights(evaluations, tables)
        self._network = TaylorNetwork(first.net, self._plan.operators, self._derived, product_rows)
        self._terms = [self._join(k, evaluations, tables) for k in range(len(tables[0].positions))]

    def _stacked_weights(
        self, evaluations: Sequence[TaylorEvaluation], tables: Sequence[Table]
    ) -> Tensor | None:
        """Weights of the rows in each seed's statistics, 0 of the rows that fill up a table."""
        found = []
        for evaluation, table in zip(evaluations, tables, strict=True):
            if evaluation.weights is None:
                return None
            inner, outer = evaluation.weights.split(
                [table.derivative_rows, len(table.points) - table.derivative_rows]
            )
            found.append(
                torch.cat(
                    [
                        _padded(inner, self._derived),
                        _padded(outer, self._rows - self._derived),
                    ]
                )
            )
        return torch.stack(found)

    def _join(
        self, k: int, evaluations: Sequence[TaylorEvaluation], tables: Sequence[Table]
    ) -> _Joint:
        terms = [evaluation.terms[k] for evaluation in evaluations]
        device = terms[0].inputs.device
        groups = _groups(terms)
        rows = [(k, part) for parts in groups for k, part in enumerate(parts)]
        points = np.concatenate([terms[k].points[part] for k, part in rows])
        inputs = torch.cat([terms[k].inputs.detach()[part] for k, part in rows])
        own = [table.positions[k] for table in tables]
        inner = [p < t.derivative_rows for p, t in zip(own, tables, strict=True)]
        values = [
            np.where(i, p, p - t.derivative_rows + self._derived)
            for i, p, t in zip(inner, own, tables, strict=True)
        ]
        derivatives = None
        if all(i.all() for i in inner):
            derivatives = _Selection(own, groups, self._derived, device)
        return _Joint(
            inputs.requires_grad_(),
            _Selection(values, groups, self._rows, device),
            derivatives,
            _errors(terms, points),
            [part.stop - part.start for part in groups[0]],
        )

    def of(self, state: State) -> Tensor:
        """Loss terms, shape ``(seeds, n_terms)``.

        Args:
            state: Parameters and buffers by name, stacked along the first axis.
        """
        found_jet = self._network(state, self._inputs, weights=self._weights)
        jet = self._transform.rescaled(state, found_jet)
        server = Server()
        found: list[Tensor] = []
        with server.active():
            for term in self._terms:
                rows, given = self._rows_of(term, jet)
                server.about(rows)
                found += [_means(e, term.sizes) for e in term.errors(term.inputs, given)]
        return torch.stack(found, dim=1)

    def _rows_of(self, term: _Joint, jet: Jet) -> tuple[Rows, Tensor]:
        own = term.values.of(jet.values)

        def stream(operator: int) -> Tensor:
            assert term.derivatives is not None
            return term.derivatives.of(jet.streams[:, operator])

        rows = served_rows(term.inputs, own, self._plan, stream)
        return rows, self._transform.then(term.inputs, own)


def _alike(a: TaylorEvaluation, b: TaylorEvaluation) -> bool:
    """Whether the same derivatives are computed for both; coefficients differ by rounding."""
    if a.plan.served != b.plan.served or len(a.plan.operators) != len(b.plan.operators):
        return False
    for one, other in zip(a.plan.operators, b.plan.operators, strict=True):
        pairs = [[(i, j) for i, j, _ in operator.products] for operator in (one, other)]
        if pairs[0] != pairs[1]:
            return False
        mine, theirs = (
            [*operator.linear, *(c for *_, c in operator.products)] for operator in (one, other)
        )
        if not np.allclose(mine, theirs, rtol=1e-9, atol=0):
            return False
    return True


def _stacked(jets: Sequence[Jet], tables: Sequence[Table], derived: int, rest: int) -> Jet:
    """The inputs of all seeds; a shorter table is filled up with rows that no term asks for."""
    values, streams = [], []
    for jet, table in zip(jets, tables, strict=True):
        inner, outer = jet.values[: table.derivative_rows], jet.values[table.derivative_rows :]
        values.append(torch.cat([_padded(inner, derived), _padded(outer, rest)]))
        one_for_all = jet.streams.shape[-2] == 1
        streams.append(jet.streams if one_for_all else _padded(jet.streams, derived))
    return Jet(torch.stack(values), torch.stack(streams))


def _padded(rows: Tensor, count: int) -> Tensor:
    return pad(rows, (0, 0, 0, count - rows.shape[-2]))


def _groups(terms: Sequence[Term]) -> list[list[slice]]:
    """Parts of each seed's rows that belong together: one, or the two sides of a period."""
    sizes = [len(term.points) for term in terms]
    if type(terms[0].condition) is dde.icbc.PeriodicBC:
        return [[slice(0, n // 2) for n in sizes], [slice(n // 2, n) for n in sizes]]
    return [[slice(0, n) for n in sizes]]


def _errors(terms: Sequence[Term], points: np.ndarray) -> Errors:
    """The function that computes a term's errors on the rows of all seeds.

    Raises:
        Unsupported: The errors of a row may depend on other rows.
    """
    condition, kinds = terms[0].condition, dde.icbc
    kind = type(condition)
    if condition is None:
        extra = [torch.cat(own) for own in zip(*(term.extra for term in terms), strict=True)]
        return equations(terms[0].pde, extra)
    row_by_row = (kinds.IC, kinds.DirichletBC, kinds.NeumannBC, kinds.RobinBC, kinds.OperatorBC)
    if kind in row_by_row or kind is kinds.PeriodicBC:
        return condition_errors(condition, points)
    if kind in (kinds.PointSetBC, kinds.PointSetOperatorBC) and condition.batch_size is None:
        values = torch.cat([_values(term) for term in terms])
        if kind is kinds.PointSetOperatorBC:
            return lambda x, y: [condition.func(x, y, points) - values]
        # A list would be copied to the device at each call, which a CUDA graph cannot.
        columns = torch.as_tensor(np.atleast_1d(condition.component), device=values.device)
        return lambda x, y: [y.index_select(1, columns) - values]
    raise Unsupported(f"the condition {kind.__name__} is not known to act row by row")


def _values(term: Term) -> Tensor:
    """The labels of a point set, one row per point."""
    assert term.condition is not None
    values: Tensor = term.condition.values
    return (
        values.expand(len(term.points), -1) if values.ndim else values.expand(len(term.points), 1)
    )


def _means(errors: Tensor, sizes: Sequence[int]) -> Tensor:
    """Mean squared error of each seed, shape ``(seeds,)``."""
    squared = errors.square()
    if len(set(sizes)) == 1:
        return squared.reshape(len(sizes), -1).mean(dim=1)
    return torch.stack([part.mean() for part in squared.split(list(sizes))])


class TogetherGradient(StepComputation):
    """The computation of a training step of several seeds: loss, terms and gradient of each.

    Args:
        evaluation: The loss terms.
        weights: Weights of the terms, ``(seeds, n_terms)``.
        parameters: Layout of one seed's parameters in its vector.
        buffers: Buffers by name, stacked.
        compile: Whether to compile.
        insist: Whether compiling may not fail.
    """

    def __init__(
        self,
        evaluation: TogetherEvaluation,
        weights: Tensor,
        parameters: FlatParameters,
        buffers: Mapping[str, Tensor],
        compile: bool,
        insist: bool = False,
    ) -> None:
        super().__init__(fast=True, compiled=compile, insist=insist)
        self._evaluation = evaluation
        self._weights = weights
        self._parameters = parameters
        self._buffers = buffers

    def eager(self, vector: Tensor) -> Result:
        """On the vectors, ``(seeds, n_parameters)``, too: the networks are evaluated as one."""
        return self.functional(vector)

    def functional(self, vector: Tensor) -> Result:
        """Loss ``(seeds,)``, terms ``(seeds, n_terms)``, gradient ``(seeds, n_parameters)``."""
        with torch.enable_grad():
            named = {
                name: part.detach().requires_grad_()
                for name, part in self._parameters.split(vector).items()
            }
            terms = self._evaluation.of({**named, **self._buffers})
            loss = (terms * self._weights).sum(dim=1)
            # No seed's loss depends on another's parameters.
            found = torch.autograd.grad(loss.sum(), list(named.values()), materialize_grads=True)
        return Result(loss.detach(), terms.detach(), self._parameters.join(found))
