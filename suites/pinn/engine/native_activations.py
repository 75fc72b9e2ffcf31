"""Which activations the C++ kernel knows."""

from __future__ import annotations

from torch import nn

#: The modules by the name of their struct in ``native/activations.h``.
_MODULES = {
    "IReLU": "bench.techniques.integrated:IReLU",
    "IntegratedELU": "bench.techniques.integrated:IntegratedELU",
    "IntegratedGELU": "bench.techniques.integrated:IntegratedGELU",
    "IntegratedSiLU": "bench.techniques.integrated:IntegratedSiLU",
    "IntegratedTanh": "bench.techniques.integrated:IntegratedTanh",
    "IntegratedSoftplus": "bench.techniques.integrated:IntegratedSoftplus",
    "Sine": "bench.techniques.elementwise:Sine",
    "SiLU": "bench.techniques.elementwise:SiLU",
    "Softplus": "bench.techniques.elementwise:Softplus",
    "ShiftedSoftplus": "bench.techniques.elementwise:ShiftedSoftplus",
    "Sigmoid": "bench.techniques.elementwise:Sigmoid",
    "Tanh": "torch.nn.modules.activation:Tanh",
    "ReLU": "torch.nn.modules.activation:ReLU",
    "ELU": "torch.nn.modules.activation:ELU",
    "GELU": "torch.nn.modules.activation:GELU",
}
_STRUCTS = {module: struct for struct, module in _MODULES.items()}

#: What the structs take for given, where a module can be set.
_SETTINGS = {"alpha": 1, "inplace": False, "approximate": "none"}


def native_name(module: nn.Module) -> str | None:
    """The struct that computes an activation in ``native/activations.h``, if there is one.

    A subclass may compute something else, and has none. Neither has an ELU or an integrated ELU of
    another α than 1, an approximate GELU, or a module that works in place.
    """
    kind = type(module)
    # By name, so that a run's code has its own activation in it, and no other.
    struct = _STRUCTS.get(f"{kind.__module__}:{kind.__qualname__}")
    if any(getattr(module, name, value) != value for name, value in _SETTINGS.items()):
        return None
    return struct
