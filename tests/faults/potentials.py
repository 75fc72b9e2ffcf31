"""Potentials with one fault each, and one without: sums over pairs of atoms."""

from __future__ import annotations

import torch
from schnetpack import properties
from torch import Tensor, nn

CUTOFF = 3.5
Batch = dict[str, Tensor]


class Pairs(nn.Module):
    """What users write without SchNetPack's classes: no fault."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(100, 6)
        self.hidden = nn.Linear(12, 16)
        self.read_out = nn.Linear(16, 1)
        self.alone = nn.Linear(6, 1)

    def displacements(self, batch: Batch, positions: Tensor) -> Tensor:
        i, j = batch[properties.idx_i], batch[properties.idx_j]
        return positions[j] - positions[i] + batch[properties.offsets]

    def envelope(self, distances: Tensor) -> Tensor:
        x = (distances / CUTOFF).clamp(max=1)
        return (1 - x) ** 3 * (1 + 3 * x)

    def features(self, displacements: Tensor) -> Tensor:
        distances = displacements.norm(dim=1, keepdim=True)
        centres = torch.arange(1, 7, dtype=distances.dtype) / 2
        return torch.exp(-((distances - centres) ** 2))

    def of_atoms(self, batch: Batch, positions: Tensor) -> Tensor:
        i, j = batch[properties.idx_i], batch[properties.idx_j]
        elements = self.embedding(batch[properties.Z])
        displacements = self.displacements(batch, positions)
        inputs = torch.cat([self.features(displacements), elements[i] * elements[j]], dim=1)
        pairs = self.read_out(torch.tanh(self.hidden(inputs)))[:, 0]
        pairs = pairs * self.envelope(displacements.norm(dim=1))
        return self.alone(elements)[:, 0].index_add(0, i, pairs)

    def energies(self, batch: Batch, positions: Tensor) -> Tensor:
        frames = len(batch[properties.n_atoms])
        empty = torch.zeros(frames, dtype=positions.dtype)
        return empty.index_add(0, batch[properties.idx_m], self.of_atoms(batch, positions))

    def forces(self, energies: Tensor, positions: Tensor) -> Tensor:
        found = torch.autograd.grad(
            energies.sum(), positions, create_graph=True, materialize_grads=True
        )
        return -found[0]

    def forward(self, batch: Batch) -> Batch:
        positions = batch[properties.R].detach().requires_grad_()
        energies = self.energies(batch, positions)
        return {"energy": energies, "forces": self.forces(energies, positions)}


def trained() -> nn.Module:
    """Without a fault, with weights that are not to be drawn anew."""
    potential = Pairs()
    nn.init.uniform_(potential.read_out.weight, 0.5, 1)
    return potential


class LargeForces(Pairs):
    def forces(self, energies: Tensor, positions: Tensor) -> Tensor:
        return 1.01 * super().forces(energies, positions)


class DetachedForces(Pairs):
    def forces(self, energies: Tensor, positions: Tensor) -> Tensor:
        return super().forces(energies, positions).detach()


class Anchored(Pairs):
    """Bound to a place."""

    def of_atoms(self, batch: Batch, positions: Tensor) -> Tensor:
        return super().of_atoms(batch, positions) + 0.01 * positions.square().sum(dim=1)


class Directed(Pairs):
    """Knows an axis."""

    def features(self, displacements: Tensor) -> Tensor:
        found = super().features(displacements)
        return torch.cat([found[:, 1:], displacements[:, :1] ** 2 / 10], dim=1)


class Ordered(Pairs):
    """The first atom of a batch counts more."""

    def of_atoms(self, batch: Batch, positions: Tensor) -> Tensor:
        found = super().of_atoms(batch, positions)
        return torch.cat([1.5 * found[:1], found[1:]])


class Batched(Pairs):
    """Energies are centred over the batch."""

    def energies(self, batch: Batch, positions: Tensor) -> Tensor:
        found = super().energies(batch, positions)
        return found - 0.1 * found.mean()


class Windy(Pairs):
    """A force that comes from nowhere."""

    def of_atoms(self, batch: Batch, positions: Tensor) -> Tensor:
        return super().of_atoms(batch, positions) + 0.1 * positions[:, 0]


class Mean(Pairs):
    def energies(self, batch: Batch, positions: Tensor) -> Tensor:
        return super().energies(batch, positions) / batch[properties.n_atoms]


class Compressed(Pairs):
    """Images are nearer than they are."""

    def displacements(self, batch: Batch, positions: Tensor) -> Tensor:
        return super().displacements(batch, positions) - 0.1 * batch[properties.offsets]


class Abrupt(Pairs):
    def envelope(self, distances: Tensor) -> Tensor:
        return torch.ones_like(distances)


class ShortSighted(Pairs):
    def envelope(self, distances: Tensor) -> Tensor:
        return super().envelope(1.5 * distances)


class FarSighted(Pairs):
    def envelope(self, distances: Tensor) -> Tensor:
        return super().envelope(distances / 1.5)


class Unused(Pairs):
    def __init__(self) -> None:
        super().__init__()
        self.more = nn.Parameter(torch.ones(()))


class Vanishing(Unused):
    def of_atoms(self, batch: Batch, positions: Tensor) -> Tensor:
        return super().of_atoms(batch, positions) + 0 * self.more


class Rooted(Pairs):
    """A root that has no derivative where a pair lies in a plane."""

    def features(self, displacements: Tensor) -> Tensor:
        return super().features(displacements) + displacements.square().sqrt().sum(1, True) / 10


class Infinite(Pairs):
    """A parameter that starts where its root has no derivative."""

    def __init__(self) -> None:
        super().__init__()
        self.more = nn.Parameter(torch.zeros(()))

    def energies(self, batch: Batch, positions: Tensor) -> Tensor:
        return super().energies(batch, positions) * (1 + self.more.sqrt())


class Single(Pairs):
    def forward(self, batch: Batch) -> Batch:
        return {name: values.float() for name, values in super().forward(batch).items()}


class Cancelling(Pairs):
    """Loses its digits."""

    def energies(self, batch: Batch, positions: Tensor) -> Tensor:
        return (super().energies(batch, positions) + 1e5) - 1e5


class Stuck(Pairs):
    """A table that stays in single precision."""

    table: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("table", torch.ones(3))

    def _apply(self, function, recurse=True):  # type: ignore[no-untyped-def]
        super()._apply(function, recurse)
        self.table = self.table.float()
        return self


class Forgetful(Pairs):
    """Its scale is no part of its state."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = float(1 + torch.rand(()))

    def energies(self, batch: Batch, positions: Tensor) -> Tensor:
        return self.scale * super().energies(batch, positions)


class Constant(Pairs):
    """Weights do not matter."""

    def energies(self, batch: Batch, positions: Tensor) -> Tensor:
        frames = len(batch[properties.n_atoms])
        repulsion = self.envelope(self.displacements(batch, positions).norm(dim=1))
        of_pairs = batch[properties.idx_m][batch[properties.idx_i]]
        return torch.zeros(frames, dtype=positions.dtype).index_add(0, of_pairs, repulsion)
