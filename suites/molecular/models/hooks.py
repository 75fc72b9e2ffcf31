"""The hooks: they find a network's activations and normalisation layers, and replace them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from schnetpack.nn import Dense
from torch import Tensor, nn

from bench.techniques.activation import make_activations
from bench.techniques.norm_layers import FrozenBatchNorm
from bench.techniques.normalization import make_normalization
from suites.molecular.models.nonlinearity import Nonlinearity


class Normalized(nn.Module):
    """An activation behind a normalisation layer, which sees rows of features.

    Args:
        norm: Maps (rows, features) to the same.
        activation: The activation that follows.
    """

    def __init__(self, norm: nn.Module, activation: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.norm = norm
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        rows = self.norm(x.reshape(-1, x.shape[-1])).reshape(x.shape)
        result: Tensor = self.activation(rows)
        return result


def activation_sites(model: nn.Module) -> dict[str, Any]:
    """The modules with an activation in their attribute ``activation``, by path.

    Those are SchNetPack's linear layers that have one, and `Nonlinearity`. Gates are neither, nor
    is an ``activation`` that a module stores without using it (`schnetpack.representation.SO3net`).
    """
    return {
        path: module
        for path, module in model.named_modules()
        if isinstance(module, Nonlinearity)
        or (isinstance(module, Dense) and not isinstance(module.activation, nn.Identity))
    }


def replace_activations(model: nn.Module, token: str, within: Sequence[str] = ()) -> None:
    """Put a new activation at every site.

    Args:
        model: The network; changed in place.
        token: Choice of activation.
        within: Beginnings of the paths of the sites to change; empty: all.

    Raises:
        BadInput: The token names nothing that can be used, or something that takes the width, and
            a site has several.
    """
    sites = [
        module
        for path, module in activation_sites(model).items()
        if not within or path.startswith(tuple(within))
    ]
    made = make_activations(token, [width_of(site) for site in sites])
    for site, activation in zip(sites, made, strict=True):
        site.activation = activation


def width_of(site: Any) -> int | None:
    """Size of the last axis of what a site's activation gets; ``None`` if there are several."""
    found: int | None = site.width if isinstance(site, Nonlinearity) else site.out_features
    return found


def own_activation(site: Any) -> Any:
    """The activation of a site without the normalisation before it."""
    activation = site.activation
    return activation.activation if isinstance(activation, Normalized) else activation


def insert_normalization(model: nn.Module, token: str, excluded: Sequence[str]) -> None:
    """Put a normalisation layer before the activation of every atom-wise hidden layer.

    Args:
        model: The network, without any; changed in place.
        token: Choice of normalisation.
        excluded: Fragments of the paths of layers that stay as they are.

    Raises:
        BadInput: The token names nothing that can be used.
    """
    for path, module in activation_sites(model).items():
        if isinstance(module, Dense) and not any(fragment in path for fragment in excluded):
            norm = make_normalization(token, module.out_features)
            module.activation = Normalized(norm, module.activation)


class ForwardTrace:
    """The modules that a forward pass really executed, in order.

    Attributes:
        linears: Linear layers.
        activations: Name of each activation and the paths of the modules that applied it.
        normalizations: Name of each normalisation, and the paths of its layers.
    """

    def __init__(self) -> None:
        self.linears: list[nn.Linear] = []
        self.activations: dict[str, list[str]] = {}
        self.normalizations: dict[str, list[str]] = {}


@contextlib.contextmanager
def trace_forward(model: nn.Module) -> Iterator[ForwardTrace]:
    """Observe the forward passes of the body; each module is noted once."""
    found = ForwardTrace()
    sites = activation_sites(model)
    seen: set[str] = set()

    def note(path: str, module: Any) -> None:
        if path in seen:
            return
        seen.add(path)
        if isinstance(module, nn.Linear):
            found.linears.append(module)
        if path in sites:
            found.activations.setdefault(activation_name(module.activation), []).append(path)
        if _normalizes(path, module):
            found.normalizations.setdefault(type(module).__name__, []).append(path)

    handles = [
        module.register_forward_hook(lambda owner, _, __, path=path: note(path, owner))
        for path, module in model.named_modules()
        if path in sites or isinstance(module, nn.Linear) or _normalizes(path, module)
    ]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def _normalizes(path: str, module: nn.Module) -> bool:
    """Whether a module is a normalisation layer: a known one, or a user's at a place for one."""
    if isinstance(module, (nn.BatchNorm1d, nn.LayerNorm, FrozenBatchNorm)):
        return True
    place = path.rpartition(".")[2] in ("norm", "normalization")
    return place and not isinstance(module, nn.Identity)


def activation_name(activation: Any) -> str:
    """Name of a function, or of a module's class."""
    if isinstance(activation, Normalized):
        return activation_name(activation.activation)
    if isinstance(activation, nn.Module):
        return type(activation).__name__
    return str(getattr(activation, "__name__", type(activation).__name__))
