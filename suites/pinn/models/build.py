"""A network of the suite, with its first weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from bench.techniques.networks import drawing_modules, set_first_weights
from bench.techniques.rescaling import Scale
from suites.pinn.models.catalogue import Model
from suites.pinn.models.input_scaling import scaling_of
from suites.pinn.models.network import FNN, RescaledOutput
from suites.pinn.problems.problem import Problem


def build_network(
    model: Model,
    axes: Mapping[str, str],
    problem: Problem,
    points: Tensor,
    scales: Sequence[Scale],
    domain: Any | None,
    seed: int,
) -> FNN:
    """The initialised network, on the device of the points.

    Args:
        model: Its size.
        axes: The arm's choice on every axis.
        problem: For its outputs and transforms.
        points: Training points, shape ``(n, inputs)``, by which it is initialised.
        scales: C_i and b_i of every output.
        domain: DeepXDE's geometry, over which the inputs are scaled to [−1, 1] unless the problem
            has a feature transform of its own; ``None``: raw coordinates.
        seed: Of the run.

    Raises:
        BadInput: The domain cannot be scaled.
    """
    features = problem.input_transform(points)
    with drawing_modules(seed):
        net = FNN(
            features.shape[1],
            len(problem.outputs),
            model.width,
            model.depth,
            axes["activation"],
            axes["normalization"],
            model.norm_last,
        ).to(points.device)
    if features is not points:
        net.apply_feature_transform(problem.input_transform)
    elif domain is not None:
        net.apply_feature_transform(scaling_of(domain, problem.name, points).to(points.device))
    net.initialized = set_first_weights(
        net, list(net.linears), lambda: net(points), axes["initialization"], seed
    )
    net.keep_statistics(points)
    net.apply_output_transform(RescaledOutput(scales, problem.output_transform).to(points.device))
    return net
