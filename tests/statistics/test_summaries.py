"""Summaries of one arm's errors."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from bench.statistics import summaries
from bench.statistics.summaries import summarize

INF = math.inf


def test_a_summary_keeps_diverged_seeds() -> None:
    found = summarize(np.array([0.1, 0.3, INF]))
    assert (found.seeds, found.diverged, found.mean, found.median) == (3, 1, INF, 0.3)
    assert (found.low, found.high) == (0.1, INF)
    assert summarize(np.array([INF, INF])).median == INF
    alone = summarize(np.array([0.2]))
    assert (alone.mean, alone.median) == (0.2, 0.2)
    assert math.isnan(alone.low)


def test_the_median_s_interval_is_of_its_bootstrap() -> None:
    values = np.random.default_rng(2).normal(size=40)
    low, high = stats.bootstrap(
        (values,), np.median, method="percentile", n_resamples=20_000, rng=np.random.default_rng(1)
    ).confidence_interval
    found = summarize(values)
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.1)
    assert found == summarize(values)


def test_many_values_have_fewer_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(summaries, "_MOST_DRAWN", 1)
    values = np.random.default_rng(3).normal(size=2000)
    found = summaries._medians(values, 0)
    assert len(found) == summaries._LEAST_RESAMPLES
    # The standard error of a normal sample's median.
    assert float(found.std()) == pytest.approx(np.sqrt(np.pi / 2 / len(values)), rel=0.15)
