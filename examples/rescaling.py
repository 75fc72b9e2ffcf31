"""A rescaling of your own: from the statistics of the labels to a factor.

The network predicts ``label / factor``; every metric is back in the label's unit.

In this folder:

    python -m bench.suite pinn --problem compressible-flow-1d --arm rescaling=rescaling:by_deviation
"""

from bench.techniques.rescaling import LabelStatistics


def by_deviation(labels: LabelStatistics) -> float:
    """Divides by the standard deviation; ``labels`` also has mean, rms, count and unit."""
    return labels.std or 1.0
