"""The normalisation axis.

A normalisation is called with the number of features and returns a `torch.nn.Module` that maps
``(rows, features)`` to the same shape.

Batch norm couples the rows: in training mode ∂yᵢ/∂xⱼ ≠ 0 for i ≠ j, so a PDE residual or a force
by automatic differentiation is not the pointwise one. `PointwiseBatchNorm` and `FrozenBatchNorm`
are variants that keep it pointwise: the statistics of the one follow the parameters, those of the
other are measured once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from bench.techniques.registry import Choice, Registry
from bench.text.errors import BadInput

if TYPE_CHECKING:
    import torch

Normalization = Callable[[int], "torch.nn.Module"]

NORMALIZATIONS = Registry(
    "normalization",
    {
        "denorm": Choice("bench.techniques.norm_layers:none", "no normalisation layers"),
        "batchnorm": Choice(
            "bench.techniques.norm_layers:BatchNorm1d",
            "batch normalisation, with derivatives through the batch",
        ),
        "pointwise-batchnorm": Choice(
            "bench.techniques.norm_layers:PointwiseBatchNorm",
            "batch norm by the statistics of all training rows, constants to a derivative",
        ),
        "layernorm": Choice("bench.techniques.norm_layers:LayerNorm", "layer normalisation"),
        "frozenbn": Choice(
            "bench.techniques.norm_layers:FrozenBatchNorm",
            "batch norm whose statistics are measured once and then kept",
        ),
    },
)


def make_normalization(token: str, num_features: int) -> torch.nn.Module:
    """A new normalisation layer for `num_features` features.

    Raises:
        BadInput: The token is unknown, it names something that is no factory of modules, or the
            module changes the shape or the dtype of its input, or makes parameters in its forward
            pass.
    """
    import torch

    from bench.techniques.registered import check_registered

    factory = NORMALIZATIONS.get(token)
    if isinstance(factory, torch.nn.Module):
        raise BadInput(
            f"normalization {token!r} is a module, and must be what makes one: name the class, or a"
            " function of the number of features"
        )
    module = factory(num_features)
    if not isinstance(module, torch.nn.Module):
        raise BadInput(
            f"normalization {token!r} returned {type(module).__name__}, not a torch.nn.Module"
        )
    probe = torch.zeros(3, num_features, dtype=next(module.parameters(), torch.zeros(1)).dtype)
    found = check_registered(
        f"normalization {token!r}",
        module.eval(),
        lambda: module(probe),
        "make it in __init__, which gets the number of features",
    )
    shape, wanted = tuple(found.shape), tuple(probe.shape)
    if shape != wanted:
        raise BadInput(f"normalization {token!r} maps the shape {wanted} to {shape}")
    if found.dtype != probe.dtype:
        raise BadInput(f"normalization {token!r} maps {probe.dtype} to {found.dtype}")
    return module.train()
