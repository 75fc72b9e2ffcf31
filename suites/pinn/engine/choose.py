"""Which path evaluates the loss of a PINN: every decision on it, in one place.

1. `choose_evaluation`: DeepXDE's own evaluation, Taylor mode, or reverse mode on the points that
   are needed: the cheapest by its count of passes that gives DeepXDE's numbers.
2. `choose_way`: whether the native kernel evaluates the network of a step, and whether a step, or
   its loss, is compiled, by what each saves over the run.

On a CUDA device the kernels of a fast evaluation are always captured (`gradients`).

Nothing is timed: a choice changes the last digits of a result, which must follow from the spec. Two
more decisions are made elsewhere, since they need no network or a whole task: whether seeds are
trained as one model (`suites.pinn.suite.PINNSuite.together`, from the specs, and
`suites.pinn.batch`), and what becomes of a user's own parts that the engine gets wrong
(`suites.pinn.check`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from bench.techniques.norm_layers import pointwise_norms
from bench.text.errors import typed
from bench.training.gradients import training_mode
from suites.pinn.backend import dde
from suites.pinn.engine import choose_cuda
from suites.pinn.engine.evaluation import (
    FastEvaluation,
    OutputTransform,
    ReverseEvaluation,
    TaylorEvaluation,
    identity,
    state_of,
)
from suites.pinn.engine.gradients import missing_ways
from suites.pinn.engine.recording import Recording, Transform, agrees, record
from suites.pinn.engine.stock import LossEvaluation, StockEvaluation
from suites.pinn.engine.taylor import Jet, Unsupported
from suites.pinn.engine.terms import Term, terms_of
from suites.pinn.engine.unknowns import Unknowns
from suites.pinn.models.network import FNN

#: Measured, see docs/measurements/pinn-engine.md: seconds that setting up takes where nothing is
#: cached on disk, and seconds that a step then saves: those of its operators' overhead, and those
#: of each floating-point operation of its products, with the passes over memory between them.
_INDUCTOR_SECONDS, _INDUCTOR_SAVES, _INDUCTOR_SAVES_PER_FLOP = 15.0, 4e-3, 0.8 / 50e9
#: All runs of a machine with the same activation share the kernel's library.
_KERNEL_SECONDS, _KERNEL_SAVES, _KERNEL_SAVES_PER_FLOP = 5.0, 1e-3, 1.5 / 50e9
#: A compiled loss beside the kernel, which all arms of a problem share, and all seeds that have as
#: many points on each side; by loss term.
_LOSS_SECONDS, _LOSS_SAVES_PER_TERM = 6.0, 0.3e-3
#: So many times the seconds to compile a step that no other arm shares must be saved.
_MARGIN = 2.0
#: Seconds to trace a step, and a loss, anew for other points.
_TRACE_SECONDS, _LOSS_TRACE_SECONDS = 2.5, 0.5


class Choice(NamedTuple):
    """A way of a step.

    Attributes:
        way: One of `suites.pinn.engine.gradients.WAYS`.
        why: For the record; ``None``: it follows from the evaluation's own reason.
    """

    way: str
    why: str | None = None


@dataclass(frozen=True)
class Length:
    """How long a run is.

    Attributes:
        steps: Of the run.
        redraws: How many times its points are drawn anew.
    """

    steps: float
    redraws: float = 0.0

    @property
    def graphs(self) -> int:
        """How many graphs are compiled: one more for redrawn points, whose operators may be
        others."""
        return 2 if self.redraws else 1


def choose_evaluation(
    data: Any,
    net: FNN,
    device: torch.device,
    engine: str,
    unknowns: Unknowns | None = None,
) -> LossEvaluation:
    """The fastest evaluation of the data's loss terms that gives the same numbers.

    Args:
        data: ``dde.data.PDE`` that has drawn its points.
        net: The network.
        device: Where it is.
        engine: ``auto``, or ``deepxde`` for DeepXDE's own.
        unknowns: Of an inverse problem.
    """
    unknowns = unknowns or Unknowns()
    if engine == "deepxde":
        return StockEvaluation(data, net, device, unknowns=unknowns)
    try:
        with unknowns.using():
            return _fast_evaluation(data, net, device, unknowns)
    except Unsupported as reason:
        return StockEvaluation(data, net, device, str(reason), unknowns)
    except Exception as error:  # a PDE function may fail in any way on made-up numbers
        return StockEvaluation(data, net, device, typed(error), unknowns)


def choose_way(
    asked: str,
    evaluation: LossEvaluation,
    counts: tuple[int, int],
    device: torch.device,
    length: Length,
    no_kernel: str | None = None,
) -> Choice:
    """The way in which a training step is computed.

    It is decided from counts and not from the clock: it changes the last digits of a result, which
    must not depend on how busy a machine is.

    Args:
        asked: ``on``: the kernel with a compiled loss, where the network has a kernel, and else a
            compiled step. ``off``: plain torch. ``auto``: by what pays. On a GPU replaying
            captured kernels does most of what compiling them is for.
        evaluation: Of the loss terms; DeepXDE's own can neither be compiled nor use the kernel.
        counts: How many parameters are trained, and how many loss terms there are.
        device: Where.
        length: Of the run.
        no_kernel: Why the kernel failed, if it did: then it is chosen among the other ways.
    """
    missing = missing_ways(evaluation)
    if no_kernel is not None:
        missing = {**missing, "kernel": no_kernel}
    if not isinstance(evaluation, FastEvaluation):
        return Choice("inductor" if asked == "on" else "eager")
    if asked != "auto":
        if asked == "off":
            return Choice("eager", "--compile off")
        if "kernel" in missing:
            return Choice("inductor", f"--compile on; no kernel: {missing['kernel']}")
        return Choice("kernel+inductor", "--compile on")
    if device.type != "cpu":
        elements = choose_cuda.hidden_elements(evaluation)
        saved = choose_cuda.saved_by_compiling(length.steps, elements)
        saved -= length.redraws * _TRACE_SECONDS
        why = f"captured kernels are replayed; {_about(saved, 'compiling them')}"
        return Choice("inductor" if choose_cuda.pays(saved) else "eager", why)
    parameters, terms = counts
    flops = 6.0 * evaluation.row_passes * parameters
    if "kernel" in missing:
        saved = saved_by_inductor(length, flops)
        way = "inductor" if saved > _MARGIN * length.graphs * _INDUCTOR_SECONDS else "eager"
        return Choice(way, f"no kernel: {missing['kernel']}; {_about(saved, 'compiling')}")
    saved = saved_by_kernel(length, flops)
    if saved <= _KERNEL_SECONDS:
        return Choice("eager", _about(saved, "the kernel"))
    more = saved_by_compiled_loss(length, terms)
    why = f"{_about(saved, 'the kernel')}, {_about(more, 'compiling the loss')}"
    way = "kernel+inductor" if more > length.graphs * _LOSS_SECONDS else "kernel"
    return Choice(way, why)


def _about(saved: float, what: str) -> str:
    return f"{what} saves about {saved:.2g} s"


def saved_by_inductor(length: Length, flops: float) -> float:
    """Seconds that a compiled step saves over a run.

    Args:
        length: Of the run.
        flops: Floating-point operations of the matrix products of a step.
    """
    a_step = _INDUCTOR_SAVES + _INDUCTOR_SAVES_PER_FLOP * flops
    return length.steps * a_step - length.redraws * _TRACE_SECONDS


def saved_by_kernel(length: Length, flops: float) -> float:
    """Seconds that the native kernel saves over a run; see `saved_by_inductor`."""
    return length.steps * (_KERNEL_SAVES + _KERNEL_SAVES_PER_FLOP * flops)


def saved_by_compiled_loss(length: Length, terms: int) -> float:
    """Seconds that compiling a loss of so many terms saves beside the kernel."""
    return length.steps * _LOSS_SAVES_PER_TERM * terms - length.redraws * _LOSS_TRACE_SECONDS


def _fast_evaluation(
    data: Any, net: FNN, device: torch.device, unknowns: Unknowns
) -> FastEvaluation:
    """The cheaper evaluation of ``dde.data.PDE`` that gives DeepXDE's loss terms.

    Raises:
        Unsupported: Only DeepXDE itself can evaluate this; the message says why.
    """
    kind = type(data)
    if kind.losses is not dde.data.PDE.losses or kind.losses_train is not dde.data.PDE.losses_train:
        raise Unsupported(f"{kind.__name__} computes its own losses")
    points = torch.tensor(data.train_x, device=device)
    # What is drawn to find out must not be missed later.
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        if not rows_are_independent(net, points, pointwise_norms(net)):
            raise Unsupported("the network's rows depend on each other or on chance")
        terms = terms_of(data, device)
        found: list[FastEvaluation] = []
        reasons = []
        for attempt in (_taylor, _reverse):
            try:
                found.append(attempt(data, net, terms, device, unknowns))
            except Exception as error:  # a user's functions may fail in any way on made-up numbers
                reasons.append(_reason(error))
        for evaluation in sorted(found, key=lambda evaluation: evaluation.cost):
            try:
                _try(evaluation)
            except Exception as error:
                reasons.append(_reason(error))
            else:
                return evaluation
    raise Unsupported("; ".join(dict.fromkeys(reasons)))


def _reason(error: Exception) -> str:
    return str(error).splitlines()[0] if isinstance(error, Unsupported) else typed(error)


def _try(evaluation: FastEvaluation) -> None:
    """One loss and gradient."""
    trained = [p for p in evaluation.net.parameters() if p.requires_grad]
    trained += evaluation.unknowns.values.values()
    torch.autograd.grad(evaluation(training=True).sum(), trained, allow_unused=True)


def _taylor(
    data: Any, net: FNN, terms: Sequence[Term], device: torch.device, unknowns: Unknowns
) -> TaylorEvaluation:
    if type(net) is not FNN:
        raise Unsupported(f"{type(net).__name__} is not the suite's own network")
    foreign = [n for n, _ in net.named_parameters() if not n.startswith(("linears.", "norms."))]
    if foreign:
        raise Unsupported(f"{foreign[0]} is trained")
    transform = OutputTransform(net)
    with torch.no_grad():
        with _without_output_transform(net):
            raw = [net(term.inputs) for term in terms]
        none = torch.zeros(0, 0, raw[0].shape[1])
        outputs = [transform.rescaled(state_of(net), Jet(own, none)).values for own in raw]
    recordings, exact = _recorded(terms, transform.then, outputs, unknowns)
    found = TaylorEvaluation(data, net, terms, recordings, device, exact, unknowns)
    if exact and not agrees(terms, transform.then, outputs, found.plan, unknowns):
        found = TaylorEvaluation(data, net, terms, recordings, device, False, unknowns)
    return found


def _reverse(
    data: Any, net: FNN, terms: Sequence[Term], device: torch.device, unknowns: Unknowns
) -> ReverseEvaluation:
    with torch.no_grad():
        outputs = [net(term.inputs) for term in terms]
    recordings, _ = _recorded(terms, identity, outputs, unknowns)
    return ReverseEvaluation(data, net, terms, recordings, device, unknowns=unknowns)


def _recorded(
    terms: Sequence[Term], transform: Transform, outputs: Sequence[Tensor], unknowns: Unknowns
) -> tuple[list[Recording], bool]:
    """What the terms ask for, and whether it was found in double precision."""
    try:
        return record(terms, transform, outputs, torch.float64, unknowns), True
    except RuntimeError:  # something in them only works in the run's own
        return record(terms, transform, outputs, outputs[0].dtype, unknowns), False


@contextlib.contextmanager
def _without_output_transform(net: FNN) -> Iterator[None]:
    transform, net._output_transform = net._output_transform, None
    try:
        yield
    finally:
        net._output_transform = transform


def rows_are_independent(
    net: torch.nn.Module, points: Tensor, apart: Sequence[torch.nn.Module] = ()
) -> bool:
    """Whether an output in training depends on its own row alone, and not on chance.

    Args:
        net: The network.
        points: Its inputs.
        apart: Modules that are asked in evaluation mode, as pointwise batch norm is: what it takes
            from other rows is a constant to every derivative, and known to the evaluation.
    """
    before = {name: buffer.clone() for name, buffer in net.named_buffers()}
    moved = points.clone()
    moved[0] = 2 * moved[0] + 1
    with training_mode(net), torch.no_grad():
        for module in apart:
            module.eval()
        first, again, after = net(points), net(points), net(moved)
        changed = any(not torch.equal(b, before[name]) for name, b in net.named_buffers())
    return _equal(first, again) and _equal(first[1:], after[1:]) and not changed


def _equal(a: Tensor, b: Tensor) -> bool:
    return bool(((a == b) | (a.isnan() & b.isnan())).all())
