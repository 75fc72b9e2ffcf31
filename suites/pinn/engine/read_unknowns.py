"""Trainable tensors of a user's functions that the loss is computed with, and not trained by."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from bench.techniques.graph_leaves import leaves
from bench.text.errors import BadInput
from suites.pinn.engine.reads import Reads
from suites.pinn.engine.unknowns import Held, Unknowns


@contextlib.contextmanager
def reads_of(held: Sequence[Held], data: Any) -> Iterator[Reads]:
    """Note how the trainable tensors among `held` are used inside the context.

    DeepXDE computes the values of conditions and auxiliary variables once for an array of points,
    maybe before: they are computed here again.
    """
    trainable = [one.tensor for one in held if one.tensor.requires_grad]
    reads = Reads(trainable)
    with reads if trainable else contextlib.nullcontext():
        yield reads
    if not trainable:
        return
    drawn = np.random.get_state()
    try:
        with reads:
            _recompute(data)
    finally:
        np.random.set_state(drawn)


def _recompute(data: Any) -> None:
    starts = np.cumsum([0, *data.num_bcs])
    for condition, beg, end in zip(data.bcs, starts, starts[1:], strict=False):
        # `npfunc_range_autocache` around the user's function of the points.
        values = getattr(getattr(condition, "func", None), "__wrapped__", None)
        if values is not None and end > beg:
            with contextlib.suppress(TypeError):  # a function of auxiliary variables, too
                values(data.train_x[beg:end])
    if data.auxiliary_var_fn is not None:
        data.auxiliary_var_fn(data.train_x)


def check_read(
    problem: str, held: Sequence[Held], reads: Reads, reached: Collection[Tensor], said: list[str]
) -> None:
    """Refuse a trainable tensor whose value the loss has, and whose gradient it has not.

    Args:
        problem: The problem, for messages.
        held: The tensors of the user's functions.
        reads: How an evaluation of the loss has used them.
        reached: The leaves of the loss's graph.
        said: Is given a sentence for each tensor that is left out in a part of the loss, or on
            purpose.

    Raises:
        BadInput: There is one; the message names it.
    """
    known = {id(tensor) for tensor in reached}
    frozen: list[str] = []
    for one in held:
        if not one.tensor.requires_grad:
            continue
        number = reads.as_number(one.tensor)
        if any(id(leaf) in known for leaf in leaves(one.tensor)):
            if number:
                said.append(
                    f"the unknown {one.name!r} is also read by {number}, which has no gradient: if"
                    " that is a part of the loss, compute it with the tensor itself"
                )
        elif reads.used(one.tensor):
            reader = reads.reader(one.tensor)
            how = f" by {reader}" if reader else ""
            raise BadInput(
                f"{problem}: the loss does not depend on the trainable tensor {one.name!r}, whose"
                f" value its functions read{how} without a gradient, so it would stay as it is:"
                " compute with the tensor itself by torch's functions (in an OperatorBC, where it"
                f" is in the values of a condition), or, if it is a constant, let it require no"
                " gradient"
            )
        elif reads.used_without_gradient(one.tensor):
            frozen.append(one.name)
    if frozen:
        more = f" (and {len(frozen) - 1} more)" if len(frozen) > 1 else ""
        said.append(
            f"{frozen[0]!r}{more} requires a gradient and is used under torch.no_grad(), so it is"
            " not trained"
        )


def check_built(problem: str, held: Sequence[Held], reads: Reads, trained: Unknowns) -> None:
    """Refuse a tensor of which the function of the data made a number, and which is not trained.

    Args:
        problem: The problem, for messages.
        held: The tensors that the functions can reach.
        reads: How the function of the data has used them.
        trained: The unknowns of the problem.

    Raises:
        BadInput: There is one; the message names it.
    """
    for one in held:
        number = reads.as_number(one.tensor)
        if number and not any(trained.stands_for(leaf) for leaf in leaves(one.tensor)):
            raise BadInput(
                f"{problem}: the trainable tensor {one.name!r} is read by {number} when the data"
                " are made, and the loss does not depend on it, so it would stay as it is: compute"
                " with the tensor itself inside the equation or an OperatorBC, or, if it is a"
                " constant, let it require no gradient"
            )
