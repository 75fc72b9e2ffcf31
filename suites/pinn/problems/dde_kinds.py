"""Which of DeepXDE's data a problem may be made of."""

from __future__ import annotations

from typing import Any

from bench.text.errors import BadInput
from suites.pinn.backend import dde

#: What may be built.
_ALLOWED = "dde.data.PDE, TimePDE, IDE, FPDE, TimeFPDE, or a class of these"

#: Values at points, and nothing else: PDE does that, too, and has conditions and held-out points.
_FITS = (
    "fits values without an equation; dde.data.PDE(geometry, None, [dde.icbc.PointSetBC(points,"
    " values)], num_domain=1) does the same here"
)
_OPERATOR = "trains an operator (DeepONet), which is a network of functions and not of points"
_FIDELITY = "needs a network of several fidelities (dde.nn.MfNN)"
_NO_PYTORCH = "has no PyTorch in DeepXDE"

#: Why DeepXDE's other data are no problems here.
_REFUSED = {
    "Function": _FITS,
    "DataSet": _FITS,
    "Constraint": _NO_PYTORCH,
    "FuncConstraint": _NO_PYTORCH,
    "MfFunc": _FIDELITY,
    "MfDataSet": _FIDELITY,
    "PDEOperator": _OPERATOR,
    "PDEOperatorCartesianProd": _OPERATOR,
    "Quadruple": _OPERATOR,
    "QuadrupleCartesianProd": _OPERATOR,
    "Triple": _OPERATOR,
    "TripleCartesianProd": _OPERATOR,
}


def check_kind(data: Any, problem: str) -> None:
    """Refuse what is no equation for one network, which nothing here can train or score.

    Args:
        data: What the problem has built.
        problem: Its name, for the message.

    Raises:
        BadInput: It is none of the allowed data, or its order α of a fractional derivative is
            trained: its quadrature would keep the first α.
    """
    if not isinstance(data, dde.data.PDE):
        raise BadInput(f"problem {problem!r} builds {_named(data)}: it takes {_ALLOWED}")
    if isinstance(data, dde.data.FPDE) and dde.backend.is_tensor(data.alpha):
        raise BadInput(
            f"problem {problem!r}: alpha of its {type(data).__name__} is a tensor, and would stay"
            " as it is; it takes a number"
        )


def _named(data: Any) -> str:
    """The kind of what was built, and why it is not allowed if that is known."""
    for kind in type(data).__mro__:
        if kind.__module__.startswith("deepxde.") and kind.__name__ in _REFUSED:
            return f"dde.data.{kind.__name__}, which {_REFUSED[kind.__name__]}"
    return f"{type(data).__module__}.{type(data).__qualname__}".removeprefix("builtins.")
