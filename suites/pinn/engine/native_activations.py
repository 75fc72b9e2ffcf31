"""Which activations have a form in `suites/pinn/engine/native/activations.h`."""

from __future__ import annotations

from torch import nn

from bench.techniques.integrated import IReLU

_NAMES: dict[type[nn.Module], str] = {nn.Tanh: "Tanh", IReLU: "IReLU"}


def native_name(module: nn.Module) -> str | None:
    """The name of an activation's native form; ``None`` if it has none."""
    return _NAMES.get(type(module))
