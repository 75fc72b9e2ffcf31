"""How large a page becomes whose runs have long, noisy histories and predictions of fields."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import numpy as np
import pytest
from sample_ranking import falling, ranking, write
from sample_ranking_figures import large_results
from sample_study import constant, plan, results

from bench.report import document, pictures, room
from bench.report.pictures import Picture
from bench.report.ranking import document as of_ranking
from bench.report.ranking.findings import Findings
from bench.report.ranking.ranked import Ranked
from bench.report.shortening import (
    MOST_BYTES,
    MOST_CELLS,
    MOST_POINTS,
    curve_points,
    field_pixels,
    outputs_drawn,
)
from bench.store.record import Record
from bench.store.store import Store
from bench.task import Field, Illustration

ARMS = ["baseline", *(f"activation=mine.own:Snake{k}+featurewise" for k in range(11))]


@pytest.fixture
def predicted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every run predicts two fields, whose errors are noise: nothing takes more bytes."""
    truth = np.add.outer(np.sin(np.linspace(0, 9, 128)), np.linspace(0, 1, 128))

    def illustrations(record: Record, store: Store) -> list[Illustration]:
        del store
        rng = np.random.default_rng(record.seed)
        noisy = truth + 0.1 * rng.normal(size=truth.shape)
        return [Field(name, ("x", "t"), (0, 1, 0, 1), "", truth, noisy) for name in "uv"]

    monkeypatch.setattr(pictures, "illustrations", illustrations)


def study_page(problems: int, store: Store) -> str:
    return document.html(large_results(12, problems, 10), store)


def night_page(problems: int, store: Store) -> str:
    """The page of a ranking whose curves are as long and as noisy as real ones."""
    rng = np.random.default_rng(0)
    made = ranking(arms=ARMS, problems=[f"problem-number-{k}" for k in range(problems)],
                   seeds=range(10))  # fmt: skip
    levels = {arm: 0.4 * (1 + 0.1 * k) for k, arm in enumerate(ARMS)}
    write(made, store, falling(levels, spread=0.1))
    findings = Findings(Ranked.read(made, store))

    def noisy(end: float, points: int) -> list[float | None]:
        found = np.geomspace(1.0, end, points) * np.exp(rng.normal(scale=0.2, size=points))
        return list(map(float, found))

    records = findings.ranked.scored.records
    for name, one in list(records.items()):
        end = one.metrics["L2RE"].final or 1.0
        steps = [50.0 * k for k in range(101)]
        history = {"step": steps, "seconds": noisy(10.0, 101), "L2RE": noisy(end, 101)}
        losses = {"step": [5.0 * k for k in range(1000)], "loss": noisy(end, 1000)}
        records[name] = msgspec.structs.replace(one, history=history, losses=losses)  # type: ignore[index]
    return of_ranking.html(findings, store)


#: A figure of predictions, and a row of the table of runs, which has so many columns.
_PREDICTION = r'<figure data-name="[^"]*: u".*?</figure>'
_RUN = r"<tr><td>[0-9a-f]{8}</td>.*</tr>"
_COLUMNS = 15

PAGES = {"study": study_page, "ranking": night_page}


@pytest.mark.parametrize("kind", PAGES)
def test_twelve_problems_leave_room_for_predictions(
    kind: str, predicted: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Two problems, drawn as on a page of twelve, show what one more takes."""
    monkeypatch.setattr(pictures, "curve_points", lambda _, arms: curve_points(12, arms))
    monkeypatch.setattr(pictures, "field_pixels", lambda _: field_pixels(12))
    monkeypatch.setattr(pictures, "outputs_drawn", lambda _: outputs_drawn(12))
    texts = [PAGES[kind](k, Store(tmp_path / str(k))) for k in (1, 2)]
    parts = [re.findall(_PREDICTION, text, re.DOTALL) for text in texts]
    assert [len(found) for found in parts] == [1, 2]
    rows = re.findall(_RUN, texts[1])
    assert len(rows) == 2 * 12 * 10
    row = len("".join(rows).encode()) / len(rows)
    one, two = (
        len(re.sub(_RUN, "", re.sub(_PREDICTION, "", text, flags=re.DOTALL)).encode())
        for text in texts
    )
    # The table of runs has one size of its own.
    whole = one + 11 * (two - one) + row * MOST_CELLS / _COLUMNS
    assert whole + 4 * len(parts[0][0].encode()) < MOST_BYTES


@pytest.mark.slow
@pytest.mark.parametrize("kind", PAGES)
def test_a_page_of_twelve_problems_is_small(kind: str, predicted: None, tmp_path: Path) -> None:
    text = PAGES[kind](12, Store(tmp_path))
    assert len(text.encode()) <= MOST_BYTES
    shown = len(set(re.findall(r'data-name="(problem-number-\d+: u)"', text)))
    (said,) = re.findall(r"(\d+) figures? of predictions left out", text) or ["0"]
    assert shown > 0
    assert shown + int(said) == 12


@pytest.mark.parametrize("size", [1, 400_000])
def test_figures_without_room_are_left_out_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    found = results(constant({"baseline": 0.4, "irelu": 0.2}), plan(["baseline", "irelu"]))
    figures = [Picture(f"p{k}", f"<svg>{'x' * size}</svg>", "") for k in range(10)]
    store = Store(tmp_path)
    monkeypatch.setattr(document, "prediction_pictures", lambda *_: iter(figures))
    text = document.html(found, store)
    shown = text.count('<figure data-name="p')
    assert len(text.encode()) <= MOST_BYTES
    assert (shown == 10) == ("of predictions left out" not in text) == (size == 1)
    if shown < 10:
        assert f"{10 - shown} figures of predictions left out" in text


def test_curves_give_way_as_a_page_grows() -> None:
    points = [curve_points(cases, 12) for cases in (1, 4, 12, 40)]
    assert points[0] == MOST_POINTS and points == sorted(points, reverse=True)
    assert curve_points(0, 0) == MOST_POINTS
    assert field_pixels(12) < field_pixels(1) and outputs_drawn(12) < outputs_drawn(1)
    assert room.MOST_BYTES == 3_000_000
