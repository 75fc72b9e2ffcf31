"""Speed against a stock library: all sides run in turn in one process, and ratios count."""

from __future__ import annotations

import contextlib
import math
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import numpy as np

from bench.training.other_load import OtherLoad

if TYPE_CHECKING:
    import torch

    from bench.task import Contender, SpeedCase

#: Loss and gradients of a fast path are the stock library's to rounding.
TOLERANCE = 1e-10


#: Forms of a peer's step that are this much slower than its fastest are not timed any further.
_NEAR = 1.25
#: Rounds that decide that.
_FIRST_ROUNDS = 3

Positive = Annotated[float, msgspec.Meta(gt=0)]


class Speed(msgspec.Struct, frozen=True, kw_only=True):
    """Result of a comparison. Times in milliseconds, medians over the rounds.

    Attributes:
        suite: Name of the suite.
        name: What was compared.
        path: How the suite made its step.
        ours_ms: Time of the suite's step.
        stock_ms: Time of the stock library's step.
        ratio: Median over the rounds of stock / ours.
        ratio_low: Lower quartile of that ratio.
        ratio_high: Upper quartile of that ratio.
        difference: Largest relative difference of loss and gradients, in float64; ``None`` where
            one is not a number.
        tuned_stock_ms: Time of the stock library's step with the suite's choice of matrix products,
            where that is another than the library's own.
        tuned_ratio: Median over the rounds of that over ours.
        peer: The fastest form of the step written by hand with another library, if there is one.
        peer_ms: Its time.
        peer_ratio: Median over the rounds of the peer's time over ours.
        peer_difference: As `difference`, of the peer.
        peer_forms: Time of each form that was timed in all rounds.
        without_peer: Why there is no peer, where there could be one.
        left_out: Ways of the suite that this machine does not make, with the reasons.
        floor_ms: Time of the step's matrix products alone by this machine's fastest library, where
            that is known.
        floor_ratio: Median over the rounds of the suite's time over the floor.
        floor_by: Which library that is, for each kind of product of the largest layers.
        setup_s: Seconds before the first step (compiling); no step's time contains them.
        break_even_steps: Number of steps after which the set-up has paid for itself, compared with
            the suite's first way. ``None`` where there is no set-up, or it never pays.
        rounds: How many.
        steps: Steps of each in a round.
        other_cores: How many cores other processes kept busy meanwhile; ``None`` if unknown.
        machine: The processor.
    """

    suite: str = ""
    name: str
    path: str
    ours_ms: Positive
    stock_ms: Positive
    ratio: Positive
    ratio_low: Positive
    ratio_high: Positive
    difference: float | None
    tuned_stock_ms: Positive | None = None
    tuned_ratio: Positive | None = None
    peer: str = ""
    peer_ms: Positive | None = None
    peer_ratio: Positive | None = None
    peer_difference: float | None = None
    peer_forms: dict[str, Positive] = {}
    without_peer: str = ""
    left_out: dict[str, str] = {}
    floor_ms: Positive | None = None
    floor_ratio: Positive | None = None
    floor_by: str = ""
    setup_s: float = 0.0
    break_even_steps: int | None = None
    rounds: int
    steps: int
    other_cores: float | None = None
    machine: str = ""

    @property
    def agrees(self) -> bool:
        """Whether losses and gradients of all sides are the stock library's to rounding."""
        found = [self.difference, self.peer_difference if self.peer else 0.0]
        return all(one is not None and one <= TOLERANCE for one in found)


def measure(
    case: SpeedCase, rounds: int, steps: int, device: torch.device, suite: str = ""
) -> list[Speed]:
    """Time a case: a result for each contender.

    In a round each side runs `steps` steps; the order alternates, so that a slow phase of the
    machine meets all. A first round is not counted. The suite's steps use the products of
    `own_product_library`, as its runs do. The stock library's use torch's default, and, where that
    is another, it is timed with the suite's as well.

    Args:
        case: The case that is compared.
        rounds: How many.
        steps: Steps of each in a round.
        device: The device of all. The clock is read only after the device has finished.
        suite: Name of the suite, for the results.
    """
    from bench.training import products

    peers = _fastest(case.peers, steps, device)
    default = "mkl"
    chosen = products.own_product_library() if device.type == "cpu" else default
    sides = [
        *((c.step, c.runs, chosen) for c in case.contenders),
        *((c.step, c.runs, default) for c in peers),
        (case.stock, 1, default),
    ]
    if chosen != default:
        sides.append((case.stock, 1, chosen))
    if case.floor is not None:
        sides.append((case.floor.step, 1, default))
    times: list[list[float]] = [[] for _ in sides]
    with OtherLoad() as others:
        for round_ in range(-1, rounds):
            order = range(len(sides)) if round_ % 2 == 0 else reversed(range(len(sides)))
            for k in order:
                step, runs, library = sides[k]
                with products.products_by(library):
                    seconds = _time(step, steps, device) / runs
                if round_ >= 0:
                    times[k].append(seconds)
    ours, rest = times[: len(case.contenders)], times[len(case.contenders) :]
    of_peers, (stock, *more) = rest[: len(peers)], rest[len(peers) :]
    floor = more.pop() if case.floor else None
    tuned = more.pop() if more else None
    forms = dict(zip((peer.path for peer in peers), map(_ms, of_peers), strict=True))
    peer = min(range(len(peers)), key=lambda k: forms[peers[k].path]) if peers else None
    found: list[Speed] = []
    for contender, own in zip(case.contenders, ours, strict=True):
        ratios = _ratios(stock, own)
        low, high = np.quantile(ratios, [0.25, 0.75]).tolist()
        saved_ms = found[0].ours_ms - _ms(own) if found else 0.0
        even = contender.setup_s and saved_ms > 0
        found.append(
            Speed(
                suite=suite,
                name=case.name,
                path=contender.path,
                ours_ms=_ms(own),
                stock_ms=_ms(stock),
                ratio=statistics.median(ratios),
                ratio_low=low,
                ratio_high=high,
                difference=_number(contender.difference),
                tuned_stock_ms=_ms(tuned) if tuned else None,
                tuned_ratio=statistics.median(_ratios(tuned, own)) if tuned else None,
                peer="" if peer is None else peers[peer].path,
                peer_ms=None if peer is None else _ms(of_peers[peer]),
                peer_ratio=None
                if peer is None
                else statistics.median(_ratios(of_peers[peer], own)),
                peer_difference=None if peer is None else _number(peers[peer].difference),
                peer_forms=forms,
                without_peer=case.without_peer,
                left_out=dict(case.left_out),
                floor_ms=_ms(floor) if floor else None,
                floor_ratio=statistics.median(_ratios(own, floor)) if floor else None,
                floor_by=case.floor.by if case.floor else "",
                setup_s=contender.setup_s,
                break_even_steps=math.ceil(1e3 * contender.setup_s / saved_ms) if even else None,
                rounds=rounds,
                steps=steps,
                other_cores=others.cores,
                machine=processor(),
            )
        )
    return found


def _fastest(peers: Sequence[Contender], steps: int, device: torch.device) -> Sequence[Contender]:
    """The forms of a peer's step that may be its fastest, by a few rounds of their own."""
    if len(peers) < 2:
        return peers
    times = {
        peer.path: min(_time(peer.step, steps, device) for _ in range(_FIRST_ROUNDS))
        for peer in peers
    }
    return [peer for peer in peers if times[peer.path] <= _NEAR * min(times.values())]


def processor() -> str:
    """The name of this machine's CPU."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _ms(seconds: Sequence[float]) -> float:
    return 1e3 * statistics.median(seconds)


def _ratios(theirs: Sequence[float], ours: Sequence[float]) -> list[float]:
    """Of each round."""
    return [a / b for a, b in zip(theirs, ours, strict=True)]


def _number(difference: float) -> float | None:
    return None if math.isnan(difference) else difference


def _time(step: Callable[[], object], steps: int, device: torch.device) -> float:
    """Seconds of one step."""
    _wait(device)
    start = time.perf_counter()
    for _ in range(steps):
        step()
    _wait(device)
    return (time.perf_counter() - start) / steps


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        import torch

        torch.cuda.synchronize(device)


def relative_difference(ours: Sequence[torch.Tensor], stock: Sequence[torch.Tensor]) -> float:
    """Largest ‖ours − stock‖ / ‖stock‖ of corresponding tensors; NaN where one has NaN.

    A tensor whose norm is below a thousandth of the largest one's is compared with that: a bias
    before a batch norm has a gradient of rounding errors alone.
    """
    sizes = [float(theirs.norm()) for theirs in stock]
    floor = 1e-3 * max(sizes)
    found = []
    for mine, theirs, size in zip(ours, stock, sizes, strict=True):
        difference = float((mine - theirs).norm())
        found.append(difference / max(size, floor) if difference and floor else difference)
    return math.nan if any(map(math.isnan, found)) else max(found)
