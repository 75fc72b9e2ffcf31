"""A potential under test: how it is made, and how what it gives is compared."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from ase import Atoms
from schnetpack.model import NeuralNetworkPotential
from torch import Tensor, nn

from bench.arm import BASELINE, Arm
from bench.spec.randomness import global_streams, torch_generator
from bench.spec.user_code import is_reference, load, users_code
from suites.molecular.models.catalogue import Size, parse_model
from suites.molecular.models.potential import ENERGY, FORCES, build_potential, predict_energies
from suites.molecular.testing.geometries import CPU, FRAMES, SYMMETRIC, batch_of

#: Of the suite's models where a name has no size; small, since every contract is tested on it.
_FEATURES, _INTERACTIONS, _N_RBF, _N_FILTERS = 16, 2, 6, 8


@dataclass(frozen=True)
class Subject:
    """A potential, and what may be expected of it.

    Attributes:
        name: For messages.
        potential: In float64 and evaluation mode; a test may change it.
        another: Makes another one, with weights of another seed.
        cutoff: In Å.
        extensive: The energy is a sum over atoms, not a mean.
        rotation_error: Of energies and forces, relative. Larger than rounding where a model has
            tables in single precision.
        unused: Ends of the names of parameters that nothing depends on.
        irrelevant: Ends of the names of those whose effect vanishes.
    """

    name: str
    potential: nn.Module
    another: Callable[[], nn.Module]
    cutoff: float
    extensive: bool = True
    rotation_error: float = 1e-10
    unused: tuple[str, ...] = ()
    irrelevant: tuple[str, ...] = ()

    def evaluate(self, geometries: Sequence[Atoms]) -> tuple[Tensor, Tensor]:
        """Energies, ``(frames,)``, and forces, ``(atoms, 3)``, of a batch.

        No test can pass because there are no forces.
        """
        energies, forces = evaluate(self.potential, geometries, self.cutoff)
        assert forces.abs().max() > 1e-4, (
            f"{self}: its forces are at most {float(forces.abs().max()):.2g}: too small for a test"
        )
        return energies, forces

    def expect(
        self,
        found: tuple[Tensor, Tensor],
        wanted: tuple[Tensor, Tensor],
        failure: str,
        rtol: float = 1e-10,
    ) -> None:
        """Energies and forces are as wanted, up to `rtol` of the largest.

        Args:
            found: Both.
            wanted: Both.
            failure: What has an effect on them that should have none.
            rtol: Allowed difference.
        """
        for what, mine, other in zip(("energies", "forces"), found, wanted, strict=True):
            change = relative_change(mine, other)
            assert change <= rtol, (
                f"{self}: {failure} changes its {what}, by {change:.2g} of the largest"
            )

    def __str__(self) -> str:
        return f"potential {self.name!r}"


def evaluate(
    potential: nn.Module, geometries: Sequence[Atoms], cutoff: float
) -> tuple[Tensor, Tensor]:
    """Energies, ``(frames,)``, and forces, ``(atoms, 3)``, of a batch, without a graph.

    Args:
        potential: In float64.
        geometries: The structures.
        cutoff: Of the pairs that it is given, in Å.
    """
    found = potential(batch_of(geometries, cutoff))
    return found[ENERGY].detach(), found[FORCES].detach()


def energies_of(potential: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    """Energies, ``(frames,)``, without a graph, and without forces where that is possible."""
    if isinstance(potential, NeuralNetworkPotential):
        with torch.no_grad():
            alone: Tensor = predict_energies(potential, dict(batch))
        return alone
    found: Tensor = potential(dict(batch))[ENERGY].detach()
    return found


def relative_change(found: Tensor, wanted: Tensor) -> float:
    """Largest difference, as a part of the largest number."""
    assert found.shape == wanted.shape, f"shapes {tuple(found.shape)} and {tuple(wanted.shape)}"
    largest = float(wanted.abs().max())
    difference = float((found - wanted).abs().max())
    return difference / largest if largest else difference


def has_batch_norm(potential: nn.Module) -> bool:
    """Whether training and evaluation mode differ."""
    return any(isinstance(module, nn.BatchNorm1d) for module in potential.modules())


def draw_weights(potential: nn.Module, geometries: Sequence[Atoms], cutoff: float) -> None:
    """Draw weights with which all layers matter to energies and forces; left in evaluation mode.

    New weights are no test: some layers start from 0, and integrated activations make small
    signals smaller and large ones larger. Here the output of every linear layer reaches 1 on the
    geometries before its bias, no bias is 0, and the statistics of batch norm are those of the
    geometries.

    Args:
        potential: Changed in place.
        geometries: The structures.
        cutoff: Of the pairs, in Å.
    """
    generator = torch_generator(0, "weights of a test")

    def scale(layer: nn.Linear, inputs: tuple[Tensor, ...]) -> None:
        with torch.no_grad():
            largest = nn.functional.linear(inputs[0], layer.weight).abs().max()
            if largest > 0:
                layer.weight.div_(largest)

    handles = []
    with torch.no_grad():
        for module in potential.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_normal_(module.weight, generator=generator)
                if module.bias is not None:
                    module.bias.uniform_(0, 0.5, generator=generator)
                handles.append(module.register_forward_pre_hook(scale))
            if isinstance(module, nn.BatchNorm1d):
                module.momentum = 1.0
    energies_of(potential.train(), batch_of(geometries, cutoff))
    for handle in handles:
        handle.remove()
    potential.eval()


def make_potential(token: str, arm: str, cutoff: float, drawn: bool, seed: int = 0) -> nn.Module:
    """A new copy of a potential in float64, in evaluation mode.

    Args:
        token: One of the suite's models, with a size if wanted, or ``module:attribute`` of what
            makes a potential: a function without arguments, or a class.
        arm: Techniques that are applied to one of the suite's models.
        cutoff: In Å.
        drawn: Whether its weights are those of `draw_weights`.
        seed: Of its first weights.

    Raises:
        BadInput: There is no such model, technique or attribute, or it makes no module.
    """
    return copy.deepcopy(_made(token, arm, cutoff, drawn, seed))


@functools.cache
def _made(token: str, arm: str, cutoff: float, drawn: bool, seed: int) -> nn.Module:
    with global_streams(seed, CPU):
        if is_reference(token):
            assert arm == BASELINE, f"arms are applied to the suite's models, not to {token!r}"
            with users_code(f"potential {token!r} cannot be made"):
                potential = load(token)()
                if not isinstance(potential, nn.Module):
                    raise TypeError(f"{type(potential).__name__} is no torch.nn.Module")
        else:
            size = Size(_FEATURES, _INTERACTIONS, _N_RBF, cutoff, _N_FILTERS)
            model = parse_model(token, size, offset="no-offset")
            axes = Arm.parse(arm).on(model.choices)
            potential = build_potential(
                model, axes["activation"], axes["normalization"], "all", torch.float64
            )
    potential = potential.double().eval()
    if drawn:
        draw_weights(potential, [*FRAMES, *SYMMETRIC], cutoff)
    return potential
