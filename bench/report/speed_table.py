"""The comparison with stock libraries as a table for a terminal."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence

from bench.training.stock_speed import Speed

#: Widths of the first columns.
_NAME, _PATH = 38, 23
#: Other processes that keep more cores busy than this disturb what is timed.
QUIET = 0.1


def heading(tuned: bool) -> str:
    """The names of the columns.

    Args:
        tuned: Whether there is a column for stock with the suite's choice of products.
    """
    stock = f"{'stock':>8}" + (f" {'stock*':>8}" if tuned else "")
    return (
        f"{'one step, ms':<{_NAME}} {'path':<{_PATH}} {'ours':>8} {stock} {'JAX':>8} {'floor':>7}"
        f" {'stock/ours':>11} {'quartiles':>13} {'JAX/ours':>9} {'ours/floor':>11} {'set-up':>7}"
        f" {'even after':>11} {'difference':>11}"
    )


def line(speed: Speed, tuned: bool) -> str:
    """A row under `heading`."""
    stock = f"{speed.stock_ms:>8.2f}" + (f" {_ms(speed.tuned_stock_ms):>8}" if tuned else "")
    quartiles = f"{speed.ratio_low:.2f}–{speed.ratio_high:.2f}"
    setup = f"{speed.setup_s:.0f} s" if speed.setup_s else ""
    even = f"{speed.break_even_steps} steps" if speed.break_even_steps else ""
    difference = "nan" if speed.difference is None else f"{speed.difference:.0e}"
    return (
        f"{speed.name:<{_NAME}} {speed.path:<{_PATH}} {speed.ours_ms:>8.2f} {stock}"
        f" {_ms(speed.peer_ms):>8} {_ms(speed.floor_ms):>7} {speed.ratio:>10.2f}× {quartiles:>13}"
        f" {_times(speed.peer_ratio):>9} {_times(speed.floor_ratio):>11} {setup:>7} {even:>11}"
        f" {difference:>11}"
    )


def means(speeds: Sequence[Speed], tuned: bool) -> Iterator[str]:
    """Geometric means over the cases of each suite's path."""
    by_path: dict[tuple[str, str], list[Speed]] = {}
    for speed in speeds:
        by_path.setdefault((speed.suite, speed.path), []).append(speed)
    for (_, path), own in by_path.items():
        ratio = statistics.geometric_mean(one.ratio for one in own)
        of_peers = [one.peer_ratio for one in own if one.peer_ratio is not None]
        floors = [one.floor_ratio for one in own if one.floor_ratio is not None]
        blank = " " * (35 + 9 * tuned)
        yield (
            f"{f'geometric mean of {len(own)}':<{_NAME}} {path:<{_PATH}} {blank} {ratio:>10.2f}×"
            f" {'':>13} {_times(_mean(of_peers)):>9} {_times(_mean(floors)):>11}"
        )


def notes(speeds: Sequence[Speed]) -> Iterator[str]:
    """What a reader has to know of the columns."""
    if any(speed.tuned_stock_ms for speed in speeds):
        yield "stock*: the stock library with the suite's choice of matrix products"
    forms = {f"{speed.name}: {speed.peer}" for speed in speeds if speed.peer}
    if forms:
        yield "JAX, one thread, the fastest form of each case: " + "; ".join(sorted(forms))
    for reason in dict.fromkeys(speed.without_peer for speed in speeds if speed.without_peer):
        names = dict.fromkeys(one.name for one in speeds if one.without_peer == reason)
        yield f"{reason} ({', '.join(names)})"
    ways = [
        (f"without {way}: {why}", one.name) for one in speeds for way, why in one.left_out.items()
    ]
    for reason in dict.fromkeys(reason for reason, _ in ways):
        names = dict.fromkeys(name for other, name in ways if other == reason)
        yield f"{reason} ({', '.join(names)})"
    for by in dict.fromkeys(speed.floor_by for speed in speeds if speed.floor_by):
        names = dict.fromkeys(one.name for one in speeds if one.floor_by == by)
        yield f"floor, largest layers: {by} ({', '.join(names)})"


def disturbance(speeds: Sequence[Speed]) -> str | None:
    """A warning where the machine was not quiet."""
    found = [(one.other_cores, one.name) for one in speeds if one.other_cores is not None]
    if not found or max(found)[0] <= QUIET:
        return None
    cores, name = max(found)
    typical = statistics.median(cores for cores, _ in found)
    return (
        f"other processes used {cores:.1f} cores while {name} was timed (median of all:"
        f" {typical:.1f}); trust the ratios, and no time of these"
    )


def _mean(ratios: Sequence[float]) -> float | None:
    return statistics.geometric_mean(ratios) if ratios else None


def _ms(time: float | None) -> str:
    return "" if time is None else f"{time:.2f}"


def _times(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.2f}×"
