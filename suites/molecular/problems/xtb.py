"""Frames by extended tight binding, which are shipped."""

from __future__ import annotations

from suites.molecular.data import molecules
from suites.molecular.data.molecules import SHIPPED, Molecule
from suites.molecular.problems.problem import Problem


def _molecule(molecule: Molecule) -> Problem:
    path = SHIPPED / f"{molecule.name}.npz"
    return Problem(
        name=f"xtb-{molecule.name}",
        summary=f"{molecule.name} at 500 K, 1000 frames by GFN2-xTB, shipped",
        find=lambda options: path,
        gap=4,
        rescale="rescale=1e6",
        energy_unit="kcal/mol",
        formula=molecule.formula,
        valence_only=True,
    )


ASPIRIN = _molecule(molecules.ASPIRIN)
BENZENE = _molecule(molecules.BENZENE)
ETHANOL = _molecule(molecules.ETHANOL)
MALONALDEHYDE = _molecule(molecules.MALONALDEHYDE)
NAPHTHALENE = _molecule(molecules.NAPHTHALENE)
SALICYLIC_ACID = _molecule(molecules.SALICYLIC_ACID)
TOLUENE = _molecule(molecules.TOLUENE)
URACIL = _molecule(molecules.URACIL)

OXIDES = Problem(
    name="xtb-oxides",
    summary="periodic oxides and adsorbates, 999 frames by GFN1-xTB in eV, shipped",
    find=lambda options: SHIPPED / "oxides.xyz.gz",
    gap=0,
    rescale="rescale=1e4",
    quick_share=0.2,
    energy_unit="eV",
    sequential=False,
)
