"""The contract of a potential, for its author's own tests: one line in a file of pytest's.

``test_mine.py``::

    from suites.molecular.testing import potential_contract

    TestMine = potential_contract("mine:make_potential", cutoff=5.0)
    TestSchNet = potential_contract("schnet", arms=["baseline", "activation=mine:Snake"])

``mine.make_potential()`` returns what SchNetPack calls a `NeuralNetworkPotential`: a module that
maps a batch, a dictionary with the names of `schnetpack.properties`, to one with ``energy``,
``(frames,)``, and ``forces``, ``(atoms, 3)``. The second line tests one of the suite's own models
under a technique of one's own. A test that fails says, for instance: "potential
'mine:make_potential': a rotation of atoms and forces changes its forces, by 0.13 of the largest".

What a whole suite must be is in `bench.testing`.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from bench.arm import BASELINE
from bench.testing.contract import contract_of
from suites.molecular.testing.potentials import (
    BatchingContract,
    DtypeContract,
    ForceContract,
    InvarianceContract,
    PeriodicContract,
    SmoothnessContract,
    StateContract,
    TrainingContract,
)
from suites.molecular.testing.subjects import Subject, make_potential

__all__ = ["PotentialContract", "Subject", "potential_contract"]


# pytest begins with the last.
class PotentialContract(
    StateContract,
    DtypeContract,
    TrainingContract,
    PeriodicContract,
    BatchingContract,
    InvarianceContract,
    ForceContract,
):
    """What a potential must be; see `potential_contract`."""

    cutoff: float
    extensive: bool
    rotation_error: float
    unused: tuple[str, ...]
    irrelevant: tuple[str, ...]
    drawn: bool

    @pytest.fixture
    def subject(self, token: str, arm: str) -> Subject:
        """The potential; a test may change it."""
        return Subject(
            token if arm == BASELINE else f"{token} {arm}",
            make_potential(token, arm, self.cutoff, self.drawn),
            lambda: make_potential(token, arm, self.cutoff, drawn=False, seed=1),
            self.cutoff,
            extensive=self.extensive,
            rotation_error=self.rotation_error,
            unused=self.unused,
            irrelevant=self.irrelevant,
        )


class _SmoothPotentialContract(SmoothnessContract, PotentialContract):
    """The same for a potential with an envelope."""


def potential_contract(
    *tokens: str,
    cutoff: float = 3.5,
    arms: Sequence[str] = (BASELINE,),
    smooth: bool = True,
    extensive: bool = True,
    rotation_error: float = 1e-10,
    unused: Sequence[str] = (),
    irrelevant: Sequence[str] = (),
    draw_weights: bool = True,
) -> type[PotentialContract]:
    """Tests of a potential: ``TestMine = potential_contract("mine:make_potential", cutoff=5.0)``.

    Forces are −∂E/∂R by finite differences. Energy and forces do not depend on translation,
    rotation, reflection, the order of atoms, the rest of a batch, or the choice of a crystal's
    cell, and are continuous at the cutoff. A loss on both has its gradient by every parameter,
    finite also where atoms are in symmetric places. Single precision agrees with double, and a
    state is whole.

    Args:
        tokens: Models of the suite, with a size if wanted (``schnet:16x2``), or
            ``module:attribute`` of what makes a potential.
        cutoff: In Å, of the pairs that the potential is given; of the suite's models their own.
        arms: Techniques that the suite's models are tested under.
        smooth: It has an envelope: energy and forces are continuous at the cutoff.
        extensive: Its energy is a sum over atoms, not a mean.
        rotation_error: Allowed change by a rotation, relative to the largest energy and force.
        unused: Ends of the names of parameters that nothing depends on.
        irrelevant: Ends of the names of parameters whose gradient vanishes.
        draw_weights: Draw weights with which all layers matter. A new network may be none to test
            on: layers that start from 0 hide what they do. Leave trained weights alone with
            ``False``.
    """
    tests = contract_of(
        _SmoothPotentialContract if smooth else PotentialContract,
        tokens,
        cutoff=cutoff,
        extensive=extensive,
        rotation_error=rotation_error,
        unused=tuple(unused),
        irrelevant=tuple(irrelevant),
        drawn=draw_weights,
    )
    return pytest.mark.parametrize("arm", arms)(tests)
