"""ASE's calculator for an exported potential."""

from __future__ import annotations

from pathlib import Path

from suites.molecular.export import load_potential
from suites.molecular.exported import ExportedPotential
from suites.molecular.loaded_calculator import LoadedCalculator


class PotentialCalculator(LoadedCalculator):
    """A trained potential of a file or in memory; see `LoadedCalculator`.

    Energies in eV, forces in eV/Å and, of structures that are periodic along all three lattice
    vectors, stresses in eV/Å³.

    Args:
        potential: A file that ``python -m bench.suite molecular --export`` wrote, or what
            `suites.molecular.export.load_potential` returned.
        device: The device on which the network runs.
        own_code: See `suites.molecular.export.load_potential`.

    Raises:
        BadInput: The file is wrong.
    """

    def __init__(
        self,
        potential: ExportedPotential | Path | str,
        device: str = "cpu",
        own_code: bool = False,
    ) -> None:
        if not isinstance(potential, ExportedPotential):
            potential = load_potential(Path(potential), own_code)
        super().__init__(potential, device)
