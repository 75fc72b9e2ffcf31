"""The loss of a problem before the first step, with the baseline's network."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from bench.arm import BASELINE, Arm
from bench.techniques.offset import NO_OFFSET, label_choices, label_scale
from bench.techniques.rescaling import LabelStatistics
from bench.text.errors import BadInput
from suites.pinn.inspection.shapes import check_network, errors_of
from suites.pinn.models.build import build_network
from suites.pinn.models.catalogue import parse_model
from suites.pinn.problems.problem import Problem


def faults(problem: Problem, data: Any) -> dict[str, str]:
    """Why a problem cannot be trained by any arm: what is not finite with the baseline's network.

    Args:
        problem: The problem.
        data: ``dde.data.PDE`` that has drawn its points.

    Returns:
        Nothing, or sentences by what the network gets, ``raw`` or ``scaled``.

    Raises:
        BadInput: An error of a term is not one value a row, or cannot be computed.
    """
    of_inputs = {"raw": None, "scaled": data.geom}
    found = {inputs: _fault(problem, data, domain) for inputs, domain in of_inputs.items()}
    return {inputs: fault for inputs, fault in found.items() if fault is not None}


def _fault(problem: Problem, data: Any, domain: Any | None) -> str | None:
    model = parse_model("fnn")
    axes = Arm.parse(BASELINE).on(model.choices)
    unit = label_scale(*label_choices(axes, NO_OFFSET), LabelStatistics.of(np.zeros(0), "1"))
    points = torch.as_tensor(data.train_x)
    try:
        net = build_network(model, axes, problem, points, [unit] * len(problem.outputs), domain, 0)
    except BadInput as error:  # a domain that cannot be scaled
        return str(error)
    check_network(problem, points, net)
    for term, errors in errors_of(problem, data, net):
        if not bool(errors.square().mean().isfinite()):
            wrong = int((~errors.isfinite()).sum())
            return (
                f"problem {problem.name!r}: the loss term {term.name!r} is not finite before the"
                f" first step with the baseline's network: {wrong} of {errors.numel()} errors are"
                " NaN or infinite"
            )
    return None
