"""What is wrong with the unknowns of a user's problem, said when a run of it is asked for."""

from __future__ import annotations

import torch

from bench.spec.randomness import global_numpy_stream
from bench.text.errors import BadInput
from suites.pinn.backend import dde, quiet
from suites.pinn.engine.find_unknowns import find_unknowns
from suites.pinn.engine.held_tensors import held_tensors, names_in_code
from suites.pinn.engine.read_unknowns import check_built
from suites.pinn.engine.reads import Reads
from suites.pinn.problems.problem import Points, Problem

#: By which a function makes a tensor that can be trained.
_MAKERS = {"Variable", "Parameter", "requires_grad", "requires_grad_"}


def check_unknowns(problem: Problem) -> None:
    """Refuse an inverse problem with an unknown that cannot be trained, or that is not there.

    The problem's data are built once, and its loss is evaluated with a small network; not those of
    a forward problem.

    Args:
        problem: The problem.

    Raises:
        BadInput: See `suites.pinn.engine.find_unknowns.find_unknowns` and
            `suites.pinn.engine.read_unknowns.check_built`.
    """
    if not _may_be_inverse(problem):
        return
    try:
        _find(problem)
    except BadInput:
        raise
    except Exception:  # of whatever else is wrong the run itself says more
        return


def _may_be_inverse(problem: Problem) -> bool:
    """Whether a problem declares unknowns, or its functions see or make a trainable tensor."""
    if problem.unknowns:
        return True
    roots = list(vars(problem).values())
    if any(held.tensor.requires_grad for held in held_tensors(roots)):
        return True
    return bool(_MAKERS & names_in_code(roots))


def _find(problem: Problem) -> None:
    device = torch.device("cpu")
    with quiet(), torch.random.fork_rng([]), global_numpy_stream(0, "check of unknowns"):
        truth = problem.truth(None, 0, False) if problem.takes_labels else None
        held = held_tensors(vars(problem).values())
        with Reads(one.tensor for one in held if one.tensor.requires_grad) as reads:
            data = problem.data(truth, Points(domain=20, boundary=20, initial=20), None)
        points = torch.as_tensor(data.train_x, device=device)
        features = problem.input_transform(points).shape[1]
        net = dde.nn.FNN([features, 8, len(problem.outputs)], "tanh", "Glorot normal")
        net.apply_feature_transform(problem.input_transform)
        net.apply_output_transform(problem.output_transform)
        found = find_unknowns(problem, data, net, device, dde.config.real(torch), [])
        check_built(f"problem {problem.name!r}", held, reads, found)
