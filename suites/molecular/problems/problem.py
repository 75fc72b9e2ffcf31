"""What a molecular problem is: where its frames come from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from suites.molecular import units


@dataclass(frozen=True)
class DataOptions:
    """Where files lie, and what they do not say themselves.

    Attributes:
        root: MD17's files.
        energy_unit: Of an own file.
        length_unit: Likewise; Å where neither this nor the file says.
        energy_key: Name of an own file's energies; looked for if not given.
        forces_key: Likewise of its forces.
        force_unit: Unit of an own file's forces; the energies' per length where it is not given.
        stress_key: Name of an own file's stresses, see `suites.molecular.data.stresses`.
        stress_unit: Their unit; without it the energy's per cubed unit of length.
        download: Whether a missing file of MD17 may be downloaded.
        require_labels: Whether a frame without energy or forces is an error.
    """

    root: Path | None = None
    energy_unit: str | None = None
    length_unit: str | None = None
    energy_key: str | None = None
    forces_key: str | None = None
    force_unit: str | None = None
    stress_key: str | None = None
    stress_unit: str | None = None
    download: bool = False
    require_labels: bool = False

    def spelled(self) -> DataOptions:
        """The same with its units by their own names: ``Hartree/Bohr`` for ``hartree / a0``.

        Raises:
            BadInput: A unit is unknown.
        """

        def named(unit: str | None, name: Callable[[str], str]) -> str | None:
            return None if unit is None else name(unit)

        return replace(
            self,
            energy_unit=named(self.energy_unit, units.energy_unit),
            length_unit=named(self.length_unit, units.length_unit),
            force_unit=named(self.force_unit, units.force_unit),
        )


@dataclass(frozen=True)
class Problem:
    """A data set.

    Attributes:
        name: For instance ``xtb-ethanol``.
        summary: One line for ``list``.
        find: The file.
        gap: Frames that are left out between parts of a trajectory, about 100 fs.
        rescale: C of the bare arm ``rescale`` under the protocol ``paper``, in the labels' unit: as
            published, where it was.
        quick_share: Of the steps of the budget ``quick``, where a frame has many more pairs than
            a small molecule.
        energy_unit: ``None`` for an own file, whose unit is asked for.
        sequential: The frames are those of a trajectory, in its order.
        formula: Of the molecule that all frames must be of.
        valence_only: GFN2-xTB's energies, which protocol ``paper`` brings to MD17's magnitude.
        version: Of the problem's definition. Whoever redefines the problem raises it, so that runs
            of the old one are neither found nor compared.
    """

    name: str
    summary: str
    find: Callable[[DataOptions], Path]
    gap: int
    rescale: str
    quick_share: float = 1.0
    energy_unit: str | None = None
    sequential: bool = True
    formula: str | None = None
    valence_only: bool = False
    version: int = 1
