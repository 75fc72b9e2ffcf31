"""MD17 and revised MD17, from the published files."""

from __future__ import annotations

import math
from pathlib import Path

from bench.text.errors import BadInput
from suites.molecular.data import molecules
from suites.molecular.data.molecules import Molecule
from suites.molecular.problems.problem import DataOptions, Problem


def _published(molecule: Molecule) -> Problem:
    return _problem(molecule, revised=False, gap=200)


def _revised(molecule: Molecule) -> Problem:
    # 100 000 frames of MD17's.
    return _problem(molecule, revised=True, gap=math.ceil(200 * 1e5 / molecule.frames))


def _problem(molecule: Molecule, revised: bool, gap: int) -> Problem:
    name = f"{'r' if revised else ''}md17-{molecule.name}"

    def find(options: DataOptions) -> Path:
        from suites.molecular.data.download import database_path, download_md17
        from suites.molecular.data.md17 import find_md17

        if options.root is None:
            raise BadInput(
                f"problem {name!r} needs the published file: --data-root DIR, or --data-root DIR"
                f" --download; without a network there is xtb-{molecule.name}"
            )
        try:
            return find_md17(options.root, molecule.name, revised)
        except BadInput:
            downloaded = database_path(molecule.name, revised, options.root)
            if downloaded.is_file():
                return downloaded
            if not options.download:
                raise
        return download_md17(molecule.name, revised, options.root)

    return Problem(
        name=name,
        summary=f"{molecule.name} by DFT, from the published file in --data-root",
        find=find,
        gap=gap,
        rescale="rescale=1e6",
        energy_unit="kcal/mol",
        formula=molecule.formula,
    )


ASPIRIN = _published(molecules.ASPIRIN)
BENZENE = _published(molecules.BENZENE)
ETHANOL = _published(molecules.ETHANOL)
MALONALDEHYDE = _published(molecules.MALONALDEHYDE)
NAPHTHALENE = _published(molecules.NAPHTHALENE)
SALICYLIC_ACID = _published(molecules.SALICYLIC_ACID)
TOLUENE = _published(molecules.TOLUENE)
URACIL = _published(molecules.URACIL)

REVISED_ASPIRIN = _revised(molecules.ASPIRIN)
REVISED_BENZENE = _revised(molecules.BENZENE)
REVISED_ETHANOL = _revised(molecules.ETHANOL)
REVISED_MALONALDEHYDE = _revised(molecules.MALONALDEHYDE)
REVISED_NAPHTHALENE = _revised(molecules.NAPHTHALENE)
REVISED_SALICYLIC_ACID = _revised(molecules.SALICYLIC_ACID)
REVISED_TOLUENE = _revised(molecules.TOLUENE)
REVISED_URACIL = _revised(molecules.URACIL)
