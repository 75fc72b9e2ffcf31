"""A ranking as one figure: an arm a row."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from bench.report.figures import intervals, style
from bench.report.figures.style import Canvas, render, text_width, wrap
from bench.text.formatting import ratio_text, times_text

#: Of a column of text, in px.
_LEAST, _WIDEST_TEXT = 40.0, 130.0
_ERRORS, _TIMES, _COUNT = 190.0, 110.0, 44.0
_MARK, _GAP = 18.0, 12.0
_TOP, _BOTTOM, _PADDING = 46.0, 44.0, 12.0
#: The columns of counts, as `RankRow` names them.
_COUNTED = ("better", "worse", "diverged")


@dataclass(frozen=True)
class RankRow:
    """An arm of a ranking.

    Attributes:
        label: The arm.
        verdict: ``better``, ``worse``, ``equivalent``, ``mixed``, ``undecided``; ``reference``.
        rank: Its rank, 1 for the best; NaN for none.
        rank_low: The best rank that the data allow; NaN for none.
        rank_high: The worst one.
        ratio: The arm's error over the reference's; infinite or NaN where there is none.
        low: Lower end of the ratio's interval; NaN for none.
        high: Upper end.
        time: The arm's steps to the target over the reference's, or a bound of them; NaN for none.
        bound: What is known of `time` where an arm has not reached the target: that it is ``more``,
            or, where the reference has not, that it is ``less``; empty: `time` itself.
        better: Problems on which the arm is better; ``None`` where nothing may be claimed.
        worse: Problems on which it is worse.
        diverged: Problems on which it diverges.
        lost: Shown instead of the ratio, where diverged runs leave none.
        remark: Shown after the ratio: of how many problems it is, how many runs diverged.
        time_low: Lower end of the interval of `time`; NaN for none.
        time_high: Upper end.
        time_said: Shown instead of `time` and its bound.
    """

    label: str
    verdict: str
    rank: float
    rank_low: float
    rank_high: float
    ratio: float
    low: float
    high: float
    time: float
    bound: Literal["", "more", "less"] = ""
    better: int | None = 0
    worse: int | None = 0
    diverged: int | None = 0
    lost: str = ""
    remark: str = ""
    time_low: float = math.nan
    time_high: float = math.nan
    time_said: str = ""


@style.drawn
def ranks(
    rows: Sequence[RankRow],
    metric: str,
    slug: str,
    time_name: str = "steps to target",
    counted: str = "problems",
) -> str:
    """Draw a ranking, best first as given.

    Args:
        rows: The arms, from top to bottom.
        metric: The error that the ratios are of.
        slug: The beginning of every id in the figure.
        time_name: What the ratios of times are of.
        counted: What an arm is better or worse on.
    """
    errors = [wrap(_error_text(row), _WIDEST_TEXT) for row in rows]
    times = [wrap(_time_text(row), _WIDEST_TEXT) for row in rows]
    columns = _Columns.of(rows, errors, times)
    names = [wrap(row.label, columns.room) for row in rows]
    heights = [
        _PADDING + style.LINE * max(map(len, lines))
        for lines in zip(names, errors, times, strict=True)
    ]
    height = max(sum(heights), 1.0)
    canvas = Canvas(columns.width, _TOP + height + _BOTTOM)
    error_axes = canvas.axes(columns.errors, _TOP, _ERRORS, height)
    ends = [end for row in rows for end in (row.low, row.high)]
    intervals.ratio_axes(
        error_axes, *intervals.limits([row.ratio for row in rows], ends), height, 4
    )
    time_axes = canvas.axes(columns.times, _TOP, _TIMES, height)
    ends = [end for row in rows for end in (row.time_low, row.time_high)]
    intervals.ratio_axes(time_axes, *intervals.limits([row.time for row in rows], ends), height, 3)
    _heads(canvas, columns, metric, time_name, counted)
    top = 0.0
    for row, name, error, time, tall in zip(rows, names, errors, times, heights, strict=True):
        middle = top + tall / 2
        mark = intervals.mark_of(row.verdict)
        intervals.draw(error_axes, row.ratio, row.low, row.high, middle, mark)
        if row.bound and math.isfinite(row.time):
            intervals.draw_bound(time_axes, row.time, middle, mark, row.bound == "more")
        else:
            intervals.draw(time_axes, row.time, row.time_low, row.time_high, middle, mark)
        if top:
            canvas.line([0, columns.width], [_TOP + top] * 2, color=style.GRID, linewidth=0.8)
        _texts(canvas, columns, row, name, error, time, _TOP + middle)
        top += tall
    return render(canvas.figure, f"Ranking of {len(rows)} arms by {metric}", slug)


@dataclass(frozen=True)
class _Columns:
    """Left edges of the columns, in px.

    `rank` is the middle of its own; `room` is the width that names have.
    """

    name: float
    rank: float
    errors: float
    error_text: float
    times: float
    time_text: float
    counts: float
    width: float
    room: float

    @classmethod
    def of(
        cls,
        rows: Sequence[RankRow],
        errors: Sequence[Sequence[str]],
        times: Sequence[Sequence[str]],
    ) -> _Columns:
        """Names get what room there is, in a figure that is no wider than all."""

        def widest(texts: Iterable[str]) -> float:
            return _GAP + max([_LEAST, *map(text_width, texts)])

        verdicts = _MARK + widest(row.verdict for row in rows)
        names = widest(row.label for row in rows)
        ranks = widest(_rank_text(row) for row in rows)
        error_texts = widest(line for lines in errors for line in lines)
        time_texts = widest(line for lines in times for line in lines)
        others = verdicts + ranks + error_texts + time_texts
        others += _ERRORS + _TIMES + 2 * _GAP + len(_COUNTED) * _COUNT
        names = max(min(names, style.WIDEST - others), _LEAST)
        errors_at = verdicts + names + ranks
        error_text = errors_at + _ERRORS + _GAP
        times_at = error_text + error_texts
        time_text = times_at + _TIMES + _GAP
        return cls(
            name=verdicts,
            rank=verdicts + names + (ranks - _GAP) / 2,
            errors=errors_at,
            error_text=error_text,
            times=times_at,
            time_text=time_text,
            counts=time_text + time_texts,
            width=others + names,
            room=names - _GAP,
        )


def _heads(canvas: Canvas, columns: _Columns, metric: str, time_name: str, counted: str) -> None:
    below = canvas.height - 10
    for x, width, what in (
        (columns.errors, _ERRORS, f"error ratio, {metric}"),
        (columns.times, _TIMES, f"ratio of {time_name}"),
    ):
        canvas.text(x + width / 2, below, what, colour=style.MUTED, align="center")
    canvas.text(columns.name, 32, "arm", colour=style.MUTED)
    canvas.text(columns.rank, 32, "rank", colour=style.MUTED, align="center")
    canvas.text(columns.errors, 32, "← better", colour=style.MUTED)
    canvas.text(columns.errors + _ERRORS, 32, "worse →", colour=style.MUTED, align="right")
    canvas.text(columns.times, 32, "← faster", colour=style.MUTED)
    canvas.text(columns.times + _TIMES, 32, "slower →", colour=style.MUTED, align="right")
    middle = columns.counts + len(_COUNTED) * _COUNT / 2
    canvas.text(middle, 14, f"{counted} on which it is", colour=style.MUTED, align="center")
    for k, what in enumerate(_COUNTED):
        x = columns.counts + (k + 0.5) * _COUNT
        canvas.text(x, 32, what, colour=style.MUTED, align="center", size=style.SMALL)


def _texts(
    canvas: Canvas,
    columns: _Columns,
    row: RankRow,
    name: Sequence[str],
    error: Sequence[str],
    time: Sequence[str],
    y: float,
) -> None:
    mark = intervals.mark_of(row.verdict)
    how = intervals.marker_style(mark, mark.marker, mark.filled)
    canvas.line([_MARK / 2], [y], markersize=7, **how)
    claims = row.verdict in ("better", "worse")
    canvas.text(_MARK, y, row.verdict, colour=mark.colour, bold=claims)
    canvas.lines(columns.name, y - style.LINE * (len(name) - 1) / 2, name)
    canvas.text(columns.rank, y, _rank_text(row), align="center")
    canvas.lines(columns.error_text, y - style.LINE * (len(error) - 1) / 2, error)
    canvas.lines(columns.time_text, y - style.LINE * (len(time) - 1) / 2, time)
    for k, what in enumerate(_COUNTED):
        count = None if row.verdict == "reference" and what != "diverged" else getattr(row, what)
        x = columns.counts + (k + 0.5) * _COUNT
        canvas.text(
            x, y, "–" if count is None else str(count), align="center", bold=bool(count),
            colour=style.INK if count else style.MUTED,
        )  # fmt: skip


def _rank_text(row: RankRow) -> str:
    if math.isnan(row.rank):
        return "–"
    if math.isnan(row.rank_low) or math.isnan(row.rank_high):
        return f"{row.rank:g}"
    return f"{row.rank:g} [{row.rank_low:g}, {row.rank_high:g}]"


def _error_text(row: RankRow) -> str:
    if row.lost:
        return row.lost
    remark = f" {row.remark}" if row.remark else ""
    if row.verdict == "reference":
        return "×1"
    if math.isnan(row.ratio):
        return "–"
    if math.isnan(row.low) or math.isnan(row.high):
        return f"{times_text(row.ratio)}{remark}"
    return f"{times_text(row.ratio)} [{ratio_text(row.low)}, {ratio_text(row.high)}]{remark}"


def _time_text(row: RankRow) -> str:
    if row.time_said:
        return row.time_said
    if math.isnan(row.time):
        return "–"
    sign = {"": "", "more": "> ", "less": "< "}[row.bound]
    return sign + times_text(row.time)
