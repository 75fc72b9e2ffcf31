"""Predicted against reference, and how the errors are distributed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb

from bench.report.figures import style
from bench.report.figures.scale import (
    finite_positive,
    linear_axis,
    linear_limits,
    log_axis,
    log_limits,
    tame,
)
from bench.report.figures.style import Canvas, Legend, Palette, render, wrap
from bench.text.formatting import number

_LEFT, _RIGHT, _BOTTOM, _PANEL = 72.0, 10.0, 46.0, 250.0
_COLUMNS = 4
_BINS, _SHADES, _POINTS = 64, 24, 120
#: What the axis of errors goes beyond the best arm's largest one, at most.
_BEYOND = 1e3
#: A share of the predictions on the axes below which they are moved.
_MOSTLY = 0.5


@style.drawn
def parity(
    name: str,
    unit: str,
    pairs: Sequence[tuple[str, np.ndarray, np.ndarray]],
    palette: Palette,
    slug: str,
) -> str:
    """Draw a histogram of pairs for each arm, and the distributions of their errors.

    Args:
        name: Name of the label that is predicted.
        unit: Unit of the label; may be empty.
        pairs: Label, reference and predicted.
        palette: Gives each label its look.
        slug: The beginning of every id in the figure.
    """
    arms = [(label, *_flat(reference, predicted)) for label, reference, predicted in pairs]
    columns = min(_COLUMNS, len(arms) + 1)
    rows = -(-(len(arms) + 1) // columns)
    size = _PANEL - _LEFT - _RIGHT
    titles = [*(wrap(label, size + 10) for label, _, _ in arms), ["error of each arm"]]
    above = 14 + style.LINE * (max(map(len, titles)) + 1)
    panel_height = above + size + _BOTTOM
    width = columns * _PANEL
    legend = Legend.of([label for label, _, _ in arms], width - 16)
    canvas = Canvas(width, legend.height + rows * panel_height)
    legend.draw(canvas, palette, 8)
    # A prediction may be anywhere.
    limits = linear_limits(np.concatenate([np.zeros(0), *(r for _, r, _ in arms)]), margin=0.05)
    with_unit = f" ({unit})" if unit else ""
    for k, lines in enumerate(titles):
        x, y = k % columns * _PANEL, legend.height + k // columns * panel_height
        canvas.lines(x + _LEFT, y + above - 10 - style.LINE * len(lines), lines, bold=True)
        axes = canvas.axes(x + _LEFT, y + above, size, size)
        axes.grid(True)
        if k < len(arms):
            label, reference, predicted = arms[k]
            said = _histogram(axes, reference, predicted, limits, palette.of(label).colour)
            canvas.axis_names(axes, f"reference{with_unit}", "predicted")
        else:
            _distribution(axes, arms, palette)
            said = "cumulative"
            canvas.axis_names(axes, f"|error|{with_unit}", "share of values")
        canvas.text(x + _LEFT, y + above - 10, said, size=style.SMALL, colour=style.MUTED)
    return render(canvas.figure, f"{name}{with_unit}: predicted against reference", slug)


def _flat(reference: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The pairs with a finite reference, as floats."""
    truth = np.ravel(tame(reference))
    values = np.ravel(tame(predicted))
    keep = np.isfinite(truth)
    return truth[keep], values[keep]


def _histogram(
    axes: Axes,
    reference: np.ndarray,
    predicted: np.ndarray,
    limits: tuple[float, float],
    colour: str,
) -> str:
    """Draw the pairs and the diagonal, and return a note on them.

    Predictions that are mostly off the axes are drawn without their median error, so that their
    shape can be seen: the constant of an energy is often the last thing that a network learns.
    """
    low, high = limits
    finite = np.isfinite(predicted)
    errors = predicted - reference
    inside = (predicted >= low) & (predicted <= high)
    removed = 0.0
    if finite.any() and inside.mean() < _MOSTLY:
        removed = float(np.median(errors[finite]))
        predicted = predicted - removed
        inside = (predicted >= low) & (predicted <= high)
    if inside.any():
        counts, _, _ = np.histogram2d(
            predicted[inside], reference[inside], bins=_BINS, range=[limits, limits]
        )
        depth = np.log1p(counts) / np.log1p(counts.max())
        shades = np.ceil(depth * _SHADES) / _SHADES
        pixels = np.zeros((_BINS, _BINS, 4))
        pixels[..., :3] = to_rgb(colour)
        # Even a single pair is seen.
        pixels[..., 3] = np.where(counts > 0, 0.25 + 0.75 * shades, 0)
        pixels[counts == 0] = 0
        axes.imshow(
            (pixels * 255).round().astype(np.uint8),
            origin="lower",
            extent=(low, high, low, high),
            aspect="auto",
            interpolation="none",
            zorder=2,
        )
    axes.plot([low, high], [low, high], color=style.MUTED, linewidth=1, linestyle=(0, (4, 3)))
    axes.set_xlim(low, high)
    axes.set_ylim(low, high)
    linear_axis(axes.xaxis, 3)
    linear_axis(axes.yaxis, 4)
    if not len(predicted):
        return "no values"
    mean = f"MAE {number(float(np.abs(errors).mean()))}" if finite.all() else "MAE ∞"
    if removed:
        return f"{mean}, drawn {'less' if removed > 0 else 'plus'} {number(abs(removed))}"
    outside = 100 * (1 - inside.mean())
    return f"{mean}, {number(float(outside))} % outside" if outside > 0 else mean


def _distribution(
    axes: Axes, arms: Sequence[tuple[str, np.ndarray, np.ndarray]], palette: Palette
) -> None:
    """Draw, for each arm, the share of values whose error is at most x."""
    errors = [np.sort(np.abs(predicted - truth)) for _, truth, predicted in arms]
    known = [finite_positive(e) for e in errors]
    # The smallest thousandth says nothing and is far below the rest.
    ends = [np.quantile(e, [0.003, 1.0]) for e in known if len(e)]
    low, high = log_limits(np.concatenate(ends) if ends else np.zeros(0))
    if ends:
        high = min(high, _BEYOND * min(float(e[1]) for e in ends))
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.set_ylim(0, 1.02)
    log_axis(axes.xaxis, low, high, 4)
    linear_axis(axes.yaxis, 5)
    for (label, _, _), error in zip(arms, errors, strict=True):
        look = palette.of(label)
        if not len(error):
            continue
        ranks = np.unique(np.linspace(0, len(error) - 1, _POINTS).round().astype(int))
        x = error[ranks]
        usable = np.isfinite(x)
        # An arm that is off by more stands at the border.
        x, share = np.clip(x[usable], low * 1e-3, high), (ranks[usable] + 1) / len(error)
        if not len(x):
            continue
        axes.plot(
            x,
            share,
            color=look.colour,
            linestyle=look.line,
            linewidth=1.5,
            marker=look.marker,
            markevery=max(len(x) // 4, 1),
            markersize=5,
            markeredgewidth=0,
            gid=look.gid,
        )
