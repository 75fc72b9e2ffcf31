"""The loss terms of a PINN on the points that they need, by the cheaper of two ways."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call

from bench.techniques.graph_leaves import leaves
from bench.techniques.norm_layers import pointwise_norms
from suites.pinn.engine.kernel import KernelNetwork
from suites.pinn.engine.operators import Operator, Plan, plan_operators
from suites.pinn.engine.recording import Recording, Transform
from suites.pinn.engine.rows import Selection, make_table
from suites.pinn.engine.serving import Column, Rows
from suites.pinn.engine.taylor import Jet, TaylorNetwork, Unsupported
from suites.pinn.engine.terms import Term, losses, terms_of
from suites.pinn.engine.unknowns import PREFIX, Unknowns
from suites.pinn.models.input_scaling import InputScaling
from suites.pinn.models.network import FNN, RescaledOutput

State = Mapping[str, Tensor]

#: Bytes of a layer's features that a core's caches keep until the next layer uses them. Compiling
#: takes longer with every block, and gains less.
_BLOCK, _TRACED_BLOCK = 2_200_000, 3_700_000


class FastEvaluation(ABC):
    """Loss terms on a table of the points that are needed.

    Args:
        data: ``dde.data.PDE`` that has drawn its points.
        net: The network.
        terms: Loss terms of the data.
        recordings: The derivatives that each term asks for.
        device: Device of the network and of the points.
        share: Whether to combine derivatives of which only a combination matters.
        unknowns: Of an inverse problem.

    Attributes:
        table: The points.
    """

    path: str

    def __init__(
        self,
        data: Any,
        net: FNN,
        terms: Sequence[Term],
        recordings: Sequence[Recording],
        device: torch.device,
        share: bool = True,
        unknowns: Unknowns | None = None,
    ) -> None:
        self.data = data
        self.unknowns = unknowns or Unknowns()
        self.net = net
        self.terms = terms
        self._recordings = recordings
        self._device = device
        self.table = make_table([t.points for t in terms], [bool(r.columns) for r in recordings])
        self._selections = [Selection(positions, device) for positions in self.table.positions]
        self._points = torch.tensor(self.table.points, device=device)
        self._state = {**state_of(net), **self.unknowns.named()}
        self._prepare(share)

    @abstractmethod
    def _prepare(self, share: bool) -> None:
        """Set up what else a kind of evaluation needs."""

    @property
    @abstractmethod
    def cost(self) -> float:
        """Number of forward passes through the network; each costs two more backward."""

    @property
    def row_passes(self) -> float:
        """Number of rows that pass forward through the network, derivatives included."""
        return len(self._points) + (self.cost - 1) * self.table.derivative_rows

    def of(self, state: State, traced: bool = False) -> Tensor:
        """The loss terms for other parameters and buffers of the same network.

        Args:
            state: Parameters and buffers by name, and the unknowns (`Unknowns.named`).
            traced: Whether the computation is being traced, to be compiled.
        """
        with self.unknowns.using(state):
            return self._of(state, traced)

    @abstractmethod
    def _of(self, state: State, traced: bool) -> Tensor:
        """See `of`, with the unknowns in place."""

    def __call__(self, training: bool) -> Tensor:
        """See `suites.pinn.engine.stock.LossEvaluation`."""
        self.net.train(training)
        return self.of(self._state)

    def describe(self) -> dict[str, Any]:
        """Numbers of rows and of passes."""
        return {
            "path": self.path,
            "rows": len(self._points),
            "derivative_rows": self.table.derivative_rows,
            "passes": self.cost,
        }

    def redrawn(self) -> Self:
        """The evaluation for the points that the data have now.

        Nothing is taken over: at other points other combinations may matter.
        """
        terms = terms_of(self.data, self._device, self.terms)
        return type(self)(
            self.data,
            self.net,
            terms,
            self._recordings,
            self._device,
            share=False,
            unknowns=self.unknowns,
        )


class TaylorEvaluation(FastEvaluation):
    """Implements `suites.pinn.engine.stock.LossEvaluation` with derivatives carried forward.

    Attributes:
        kernel: Computes what the network gives, if not torch; see `with_kernel`.

    Raises:
        Unsupported: The network, or a derivative of third order, has no rule.
    """

    path = "taylor"

    def _prepare(self, share: bool) -> None:
        net, rows = self.net, self.table.derivative_rows
        self.plan = _plan(self._recordings, self._points.shape[1], share)
        self._network = TaylorNetwork(net, self.plan.operators, rows)
        with self.unknowns.using():
            self.inputs = _features(net, self._points, self.plan.operators, rows, self.unknowns)
        self.transform = OutputTransform(net)
        self.kernel: KernelNetwork | None = None
        #: Of the rows in the statistics of pointwise batch norm, ``(rows, 1)``: how often the loss
        #: has each. ``None`` without such a norm.
        self.weights: Tensor | None = None
        if pointwise_norms(net):
            counts = self.table.counts()
            self.weights = self._points.new_tensor(counts / counts.sum()).unsqueeze(-1)

    @property
    def cost(self) -> float:
        """One for the values and one for each operator."""
        return 1.0 + len(self.plan.operators)

    def make_kernel(self, taped: bool = True) -> KernelNetwork:
        """A native kernel for this network, its operators and rows; not compiled yet.

        Args:
            taped: See `KernelNetwork`.

        Raises:
            Unsupported: It has no rule for something, or not on this device.
        """
        rows = self.table.derivative_rows
        return KernelNetwork(self.net, self.plan.operators, self.inputs, rows, taped)

    def with_kernel(self, taped: bool = True) -> Self:
        """The same evaluation, the network's outputs and their derivatives by the native kernel.

        Args:
            taped: See `KernelNetwork`.

        Raises:
            Unsupported: See `make_kernel`.
            bench.training.native.NoLibrary: The kernel cannot be compiled.
        """
        found = copy.copy(self)
        found.kernel = self.make_kernel(taped)
        found.kernel.prepare()
        return found

    def without_kernel(self) -> Self:
        """The same evaluation by torch."""
        found = copy.copy(self)
        found.kernel = None
        return found

    def _of(self, state: State, traced: bool) -> Tensor:
        if self.kernel is not None and not traced:
            return self._of_outputs(state, self.kernel(state))
        weights = self.weights if self.net.training else None
        blocks = self._blocks(_TRACED_BLOCK, 4) if traced else self._blocks(_BLOCK)
        found = self._network(state, self.inputs, 1 if weights is not None else blocks, weights)
        return self._of_outputs(state, found)

    def of_outputs(self, state: State, outputs: Jet) -> Tensor:
        """The loss terms for outputs of the network that are known already.

        Args:
            state: Buffers of the output transform by name, and the unknowns (`Unknowns.named`).
            outputs: Of the network before its output transform, at the rows of `table`.
        """
        with self.unknowns.using(state):
            return self._of_outputs(state, outputs)

    def _of_outputs(self, state: State, outputs: Jet) -> Tensor:
        jet = self.transform.rescaled(state, outputs)
        return losses(self.terms, lambda k: self._rows(k, jet))

    def _blocks(self, size: int, most: int = 1_000_000) -> int:
        """Parts of about `size` bytes of features of a layer, values and derivatives."""
        if self._device.type != "cpu":
            return 1
        total = self.row_passes * self.net.width * self._points.element_size()
        return 1 if total < 2 * size else min(round(total / size), most)

    def _rows(self, k: int, jet: Jet) -> tuple[Rows, Tensor]:
        select, inputs = self._selections[k], self.terms[k].inputs
        outputs = select.of(jet.values)
        rows = served_rows(inputs, outputs, self.plan, lambda s: select.of(jet.streams[s]))
        return rows, self.transform.then(inputs, outputs)


def by_kernel(evaluation: object) -> bool:
    """Whether the native kernel computes what an evaluation's network gives."""
    return isinstance(evaluation, TaylorEvaluation) and evaluation.kernel is not None


def served_rows(
    inputs: Tensor, outputs: Tensor, plan: Plan, stream: Callable[[int], Tensor]
) -> Rows:
    """A term's rows, whose derivatives are the streams of a plan.

    Args:
        inputs: Shape ``(rows, n_inputs)``.
        outputs: Shape ``(rows, n_outputs)``.
        plan: Says which operator serves a derivative.
        stream: Gives an operator of the outputs at the rows, ``(rows, n_outputs)``.
    """
    selected: dict[int, Tensor] = {}

    def provide(column: Column) -> Tensor:
        output, index = column
        operator = plan.served[index]
        if operator is None:
            return torch.zeros_like(outputs[:, :1])
        if operator not in selected:
            selected[operator] = stream(operator)
        return selected[operator][:, output : output + 1]

    return Rows(inputs, outputs, provide)


class ReverseEvaluation(FastEvaluation):
    """The evaluation by reverse mode, for any network whose rows are independent.

    Derivatives of every order work.

    Raises:
        Unsupported: The network has norms by the statistics of all training rows.
    """

    path = "reverse"

    def _prepare(self, share: bool) -> None:
        del share  # a pass of reverse mode gives all derivatives of an output
        if pointwise_norms(self.net):
            raise Unsupported("reverse mode gathers no statistics of all rows")
        self._passes = _prefixes(self._recordings)
        self._inputs = self._points[: self.table.derivative_rows].clone().requires_grad_()
        self._rest = self._points[self.table.derivative_rows :]

    @property
    def cost(self) -> float:
        """A derivative of a derivative passes through both."""
        return 1.0 + _REVERSE * sum(3.0 ** len(index) for _, index in self._passes)

    def _of(self, state: State, traced: bool) -> Tensor:
        del traced
        of_net = {name: value for name, value in state.items() if not name.startswith(PREFIX)}
        derived = functional_call(self.net, of_net, (self._inputs,))
        outputs = derived
        if len(self._rest):
            rest = functional_call(self.net, of_net, (self._rest,))
            outputs = torch.cat([derived, rest])
        gradients: dict[Column, Tensor] = {}

        def derivative(column: Column) -> Tensor:
            output, index = column
            if not index:
                return derived[:, output : output + 1]
            *before, last = index
            prefix = (output, tuple(before))
            if prefix not in gradients:
                parent = derivative(prefix)
                (gradients[prefix],) = torch.autograd.grad(
                    parent,
                    self._inputs,
                    torch.ones_like(parent),
                    create_graph=True,
                    materialize_grads=True,
                )
            return gradients[prefix][:, last : last + 1]

        def rows(k: int) -> tuple[Rows, Tensor]:
            select, own = self._selections[k], self._selections[k].of(outputs)
            return Rows(self.terms[k].inputs, own, lambda c: select.of(derivative(c))), own

        return losses(self.terms, rows)


class OutputTransform:
    """The output transform of a network in its two parts: a change of unit, then the problem's."""

    def __init__(self, net: FNN) -> None:
        transform = net._output_transform
        rescaled = isinstance(transform, RescaledOutput)
        self._plain = not rescaled or transform.plain
        self.then: Transform = transform.then if rescaled else transform or identity

    def rescaled(self, state: State, jet: Jet) -> Jet:
        """The network's outputs in the problem's units."""
        if self._plain:
            return jet
        factor, offset = (state[f"_output_transform.{name}"] for name in ("factor", "offset"))
        factor, offset = factor.unsqueeze(-2), offset.unsqueeze(-2)
        return Jet(jet.values * factor + offset, jet.streams * factor.unsqueeze(-3))


def identity(inputs: Tensor, outputs: Tensor) -> Tensor:
    """The output transform of a problem that has none."""
    del inputs
    return outputs


#: What a pass of reverse mode costs beside one of Taylor mode: it is differentiated twice.
_REVERSE = 1.15


def _plan(recordings: Sequence[Recording], n_inputs: int, share: bool) -> Plan:
    """The operators of all terms together."""
    indices = sorted({index for of_term in recordings for index in of_term.indices})
    highest = max((len(index) for index in indices), default=0)
    if highest > 2:
        raise Unsupported(f"a derivative of order {highest} is asked for")
    blocks = []
    for of_term in recordings:
        block = np.zeros((len(of_term.dependence), len(indices)))
        block[:, [indices.index(index) for index in of_term.indices]] = of_term.dependence
        blocks.append(block)
    return plan_operators(np.concatenate(blocks), indices, n_inputs, share=share)


def _features(
    net: FNN, points: Tensor, operators: Sequence[Operator], rows: int, unknowns: Unknowns
) -> Jet:
    """The network's inputs after its input transform, and the operators on them.

    They are the same in every step, so autograd differentiates any transform once.
    """
    linear = torch.tensor([operator.linear for operator in operators], dtype=points.dtype)
    linear = linear.to(points.device).reshape(len(operators), points.shape[1])
    if net._input_transform is None:
        return Jet(points, linear.unsqueeze(1))
    if isinstance(net._input_transform, InputScaling):  # affine: one row stands for all
        scaling = net._input_transform
        return Jet(scaling(points), (linear * scaling.factor).unsqueeze(1))
    x = points[:rows].clone().requires_grad_()
    features = net._input_transform(x)
    if any(p.requires_grad for p in _parameters_of(net._input_transform)):
        raise Unsupported("the input transform is trained")
    if unknowns.names_of(leaves(features)):
        raise Unsupported("the input transform depends on an unknown")

    def by(direction: Tensor, y: Tensor) -> Tensor:
        if not y.requires_grad:  # a constant
            return torch.zeros_like(y)
        (gradient,) = torch.autograd.grad(
            y, x, torch.ones_like(y), create_graph=True, materialize_grads=True
        )
        return gradient @ direction

    columns = []
    for feature in features.unbind(1):
        of_feature = []
        for operator, direction in zip(operators, linear, strict=True):
            derivative = by(direction, feature)
            for a, b, coefficient in operator.products:
                derivative = derivative + coefficient * by(linear[b], by(linear[a], feature))
            of_feature.append(derivative.detach())
        columns.append(torch.stack(of_feature) if of_feature else x.new_zeros(0, rows))
    with torch.no_grad():
        return Jet(net._input_transform(points).detach(), torch.stack(columns, dim=-1))


def _parameters_of(transform: Any) -> list[Tensor]:
    return list(transform.parameters()) if isinstance(transform, torch.nn.Module) else []


def _prefixes(recordings: Sequence[Recording]) -> set[Column]:
    """The derivatives that reverse mode differentiates to give the recorded ones."""
    return {
        (output, index[:k])
        for of_term in recordings
        for output, index in of_term.columns
        for k in range(len(index))
    }


def state_of(net: torch.nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by name."""
    return {**dict(net.named_parameters()), **dict(net.named_buffers())}
