"""The unknowns of a problem, found by walking the graph of its loss."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench.techniques.graph_leaves import leaves, nodes
from bench.text.errors import BadInput, nearest
from bench.text.formatting import number
from bench.training.gradients import training_mode
from suites.pinn.engine.held_tensors import held_tensors, held_values
from suites.pinn.engine.read_unknowns import check_read, reads_of
from suites.pinn.engine.reads import Reads
from suites.pinn.engine.stock import StockEvaluation
from suites.pinn.engine.unknowns import Held, Unknowns

_HINT = "make it with dde.Variable(…) once, outside the equations"


def find_unknowns(
    problem: Any,
    data: Any,
    net: nn.Module,
    device: torch.device,
    dtype: torch.dtype,
    warnings: list[str],
) -> Unknowns:
    """The unknowns that the loss terms of a problem depend on.

    Every tensor outside the network that requires a gradient and that DeepXDE's loss terms are
    computed from is one. Its name is the one that the user's functions have for it
    (`suites.pinn.engine.held_tensors`), or ``unknown1``, ….

    Args:
        problem: A `suites.pinn.problems.problem.Problem`.
        data: ``dde.data.PDE`` that has drawn its points.
        net: The network.
        device: Device of the values.
        dtype: Of the run.
        warnings: Is given a sentence for each tensor that may have been meant as an unknown.

    Raises:
        BadInput: A tensor cannot be trained, or is read without its gradient, or the problem
            declares the true value of none that is trained; the message names it.
    """
    roots = _roots(problem, data)
    held = held_tensors(roots)
    candidates = [one for one in held if one.tensor.requires_grad and one.tensor.is_leaf]
    with _unchanged(net, device):
        stock = StockEvaluation(data, net, device, "")
        network = {id(tensor) for tensor in (*net.parameters(), stock._inputs)}
        try:
            used, others, reads = _tried(stock, Unknowns(candidates, device, dtype), network, held)
        except RuntimeError:
            # A network of the user's that is no unknown may be evaluated in a precision of its own.
            used, others, reads = _tried(stock, Unknowns(candidates, device), network, held)
        reached = [*others, *(one.tensor for one in candidates if one.name in used)]
        check_read(_problem(problem), held, reads, reached, warnings)
        if not used and not others:
            _check_declared(problem, (), held, roots)
            return Unknowns()
        named = [one for one in candidates if one.name in used]
        unnamed = [Held(f"unknown{k + 1}", tensor) for k, tensor in enumerate(others)]
        for one in (*named, *unnamed):
            if one.tensor.dtype.is_complex:
                raise BadInput(
                    f"{_problem(problem)}: the unknown {one.name!r} is of {one.tensor.dtype}, and"
                    " only real numbers are trained"
                )
        unknowns = Unknowns([*named, *unnamed], device, dtype)
        try:
            used, left = _reached(stock, unknowns, network)
            missed = [tensor for tensor in left if any(tensor is other for other in others)]
            again = [tensor for tensor in missed if not _is_computed_before(stock, tensor)]
        except _Freed as error:
            _check_computed(problem, others, held)
            raise BadInput(
                f"{_problem(problem)}: a part of the loss that depends on {_quoted(named)} is"
                " computed once and kept (as the values of a DirichletBC are), so training cannot"
                " change it: compute it inside the equation, or in an OperatorBC"
            ) from error
    if again:
        names = [one.name for one in held if any(one.tensor is tensor for tensor in again)]
        raise BadInput(
            f"{_problem(problem)}: {', '.join(map(repr, names)) or 'an unknown'} is given to a call"
            " in which it cannot be replaced by the value that is trained (a function of torch.jit,"
            " or of a compiled extension): compute with it by torch's own functions, or by a"
            " torch.autograd.Function"
        )
    if missed:
        _check_computed(problem, others, held)
        raise BadInput(
            f"{_problem(problem)}: a tensor of the loss is computed from an unknown once, before"
            " training, which cannot change it: compute it inside the equation"
        )
    lost = [one for one in unnamed if one.name not in used]
    for one in lost:
        _say_remade(problem, one.tensor, warnings)
    if lost:
        still = [one for one in unnamed if one.name in used]
        found = [Held(f"unknown{k + 1}", one.tensor) for k, one in enumerate(still)]
        unknowns = Unknowns([*named, *found], device, dtype)
    _check_declared(problem, list(unknowns.values), held, roots)
    _check_shapes(problem, unknowns)
    return unknowns


def add_heldout(unknowns: Unknowns, problem: Any, data: Any, net: nn.Module) -> None:
    """Let the tensors of a problem's held-out data stand for the same unknowns.

    A factory that makes its unknowns itself makes new ones for them: they are matched by name, else
    by order.

    Raises:
        BadInput: One has no counterpart.
    """
    if not unknowns:
        return
    value = next(iter(unknowns.values.values()))
    own = find_unknowns(problem, data, net, value.device, value.dtype, [])
    free = [name for name in unknowns.values if name not in own.values]
    for tensor, name in own._held:
        match = name if name in unknowns.values else free.pop(0) if free else None
        if match is None or unknowns.values[match].shape != tensor.shape:
            raise BadInput(
                f"{_problem(problem)}: the held-out data depend on the unknown {name!r} of shape"
                f" {tuple(tensor.shape)}, which the training data"
                f" ({', '.join(unknowns.values)}) have no counterpart of"
            )
        unknowns.also(match, tensor)


def _problem(problem: Any) -> str:
    return f"problem {problem.name!r}"


def _roots(problem: Any, data: Any) -> list[Any]:
    """Where a user's functions are: equations and conditions first, so that these give names."""
    return [data.pde, *data.bcs, data.auxiliary_var_fn, *vars(problem).values()]


@contextlib.contextmanager
def _unchanged(net: nn.Module, device: torch.device) -> Iterator[None]:
    """Leave the network's buffers and torch's generators as they are."""
    before = {name: buffer.clone() for name, buffer in net.named_buffers()}
    with torch.random.fork_rng([device] if device.type == "cuda" else []), training_mode(net):
        try:
            yield
        finally:
            for name, buffer in net.named_buffers():
                buffer.data.copy_(before[name])


class _Freed(Exception):
    """A part of the graph is that of an earlier evaluation."""


def _reached(
    stock: StockEvaluation, unknowns: Unknowns, network: set[int]
) -> tuple[set[str], list[Tensor]]:
    """The unknowns that the loss terms depend on, and whatever else outside the network.

    The gradient is taken as in a step, which frees the graph.

    Raises:
        _Freed: A part of the loss was computed before.
    """
    with unknowns.using():
        loss = stock(training=True).sum()
    found = [leaf for leaf in leaves(loss) if id(leaf) not in network]
    if found:
        try:
            torch.autograd.grad(loss, found, allow_unused=True)
        except RuntimeError as error:
            if "second time" not in str(error):
                raise
            raise _Freed from error
    own = {id(value) for value in unknowns.values.values()}
    return unknowns.names_of(found), [leaf for leaf in found if id(leaf) not in own]


def _tried(
    stock: StockEvaluation, unknowns: Unknowns, network: set[int], held: Sequence[Held]
) -> tuple[set[str], list[Tensor], Reads]:
    """`_reached`, and how the user's own tensors are read."""
    # The replacements around, so that it is the user's tensors that are seen.
    with unknowns.using(), reads_of(held, stock.data) as reads:
        used, others = _reached(stock, unknowns, network)
    return used, others, reads


def _is_computed_before(stock: StockEvaluation, leaf: Tensor) -> bool:
    """Whether evaluations share what is computed from a leaf, which is then kept from before."""
    losses = [stock(training=True).sum() for _ in range(2)]
    first, second = ([node for node in nodes(loss) if _is_of(node, leaf)] for loss in losses)
    return any(a is b for a in first for b in second)


def _is_of(node: Any, leaf: Tensor) -> bool:
    """Whether a node of a graph has the leaf as an input."""
    following = [one for one, _ in node.next_functions if one is not None]
    return any(getattr(one, "variable", None) is leaf for one in following)


def _check_computed(problem: Any, others: Sequence[Tensor], held: Sequence[Held]) -> None:
    """Refuse a tensor that was computed from one of `others`, whose first value it keeps.

    Raises:
        BadInput: With the name of that tensor.
    """
    for one in held:
        if not one.tensor.is_leaf and any(a is b for a in leaves(one.tensor) for b in others):
            raise BadInput(
                f"{_problem(problem)}: {one.name!r} is computed from an unknown once, before"
                " training, which cannot change it: compute it inside the equation"
            )


def _quoted(held: Sequence[Held]) -> str:
    return ", ".join(repr(one.name) for one in held) or "an unknown"


def _say_remade(problem: Any, tensor: Tensor, warnings: list[str]) -> None:
    """A tensor that every evaluation makes anew keeps its value.

    Raises:
        BadInput: It is a single number, as ``dde.Variable(0.3)`` makes it.
    """
    if tensor.ndim == 0:
        raise BadInput(
            f"{_problem(problem)}: a trainable tensor of value {number(tensor.item())} is made anew"
            f" whenever the loss is evaluated, so it cannot be trained: {_HINT}"
        )
    warnings.append(
        f"a tensor of shape {tuple(tensor.shape)} that requires a gradient is made anew whenever"
        f" the loss is evaluated, so it is not trained; if it is an unknown, {_HINT}"
    )


def _check_declared(
    problem: Any, found: Sequence[str], held: Sequence[Held], roots: Sequence[Any]
) -> None:
    """Refuse a true value of something that is not trained.

    Raises:
        BadInput: With the reason, or the unknowns that there are and the nearest of them.
    """
    for name in problem.unknowns:
        if name in found:
            continue
        said = f"{_problem(problem)} declares the true value of {name!r}, which"
        tensor = next((one.tensor for one in held if one.name == name), None)
        values: Mapping[str, Any] = held_values(roots) if tensor is None else {}
        if name in values:
            raise BadInput(
                f"{said} is the {type(values[name]).__name__} {values[name]}, and no tensor that"
                f" can be trained: {_HINT}"
            )
        if tensor is None:
            these = f"unknowns: {', '.join(found)}" if found else "it has no unknowns"
            raise BadInput(f"{said} is none of its unknowns{nearest(name, found)} ({these})")
        if not tensor.is_floating_point():
            raise BadInput(f"{said} is a tensor of {tensor.dtype} and cannot be trained: {_HINT}")
        if not tensor.requires_grad:
            raise BadInput(f"{said} does not require a gradient: {_HINT}")
        if not tensor.is_leaf:
            raise BadInput(
                f"{said} is computed from other tensors before training, which cannot change it:"
                " compute it inside the equation"
            )
        raise BadInput(f"{said} the loss does not depend on")


def _check_shapes(problem: Any, unknowns: Unknowns) -> None:
    for name, truth in problem.unknowns.items():
        value, given = unknowns.values[name], np.shape(truth)
        if given != tuple(value.shape) and not (np.size(truth) == value.numel() == 1):
            raise BadInput(
                f"{_problem(problem)} declares a true value of shape {given} for the unknown"
                f" {name!r} of shape {tuple(value.shape)}"
            )
