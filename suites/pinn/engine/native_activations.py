"""Which activations the C++ kernel knows."""

from __future__ import annotations

from torch import nn

from bench.techniques import elementwise, integrated

#: Modules without anything to set, by the name of their struct in ``native/activations.h``.
_PLAIN: dict[type[nn.Module], str] = {
    integrated.IReLU: "IReLU",
    integrated.IntegratedGELU: "IntegratedGELU",
    integrated.IntegratedSiLU: "IntegratedSiLU",
    integrated.IntegratedTanh: "IntegratedTanh",
    integrated.IntegratedSoftplus: "IntegratedSoftplus",
    elementwise.Sine: "Sine",
    elementwise.SiLU: "SiLU",
    elementwise.Softplus: "Softplus",
    elementwise.ShiftedSoftplus: "ShiftedSoftplus",
    elementwise.Sigmoid: "Sigmoid",
    nn.Tanh: "Tanh",
}


def native_name(module: nn.Module) -> str | None:
    """The struct that computes an activation in ``native/activations.h``, if there is one.

    A subclass may compute something else, and has none. Neither has an ELU or an integrated ELU of
    another α than 1, an approximate GELU, or a module that works in place.
    """
    kind = type(module)
    if kind is nn.ReLU:
        return None if module.inplace else "ReLU"
    if kind is nn.ELU:
        return "ELU" if module.alpha == 1 and not module.inplace else None
    if kind is integrated.IntegratedELU:
        return "IntegratedELU" if module.alpha == 1 else None
    if kind is nn.GELU:
        return "GELU" if module.approximate == "none" else None
    return _PLAIN.get(kind)
