"""Rescalings with one fault each, and one without."""

from __future__ import annotations

import random

from bench.techniques.rescaling import LabelStatistics, Scale


def by_deviation(labels: LabelStatistics) -> Scale:
    """What users write: no fault."""
    return Scale(factor=labels.std or 1.0)


def centring(labels: LabelStatistics) -> Scale:
    return Scale(factor=labels.std or 1.0, offset=labels.mean)


def unguarded(labels: LabelStatistics) -> Scale:
    return Scale(factor=labels.std)


def inverse(labels: LabelStatistics) -> Scale:
    return Scale(factor=1 / labels.rms)


def drawn(labels: LabelStatistics) -> Scale:
    return Scale(factor=1 + random.random())


def huge(labels: LabelStatistics) -> Scale:
    return Scale(factor=1e45)
