"""The molecular suite's problems: where their frames come from."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from bench.text.errors import BadInput, unknown
from suites.molecular.data.frames import Frames
from suites.molecular.data.molecules import FORMULAS, MD17_FRAMES, SHIPPED


@dataclass(frozen=True)
class DataOptions:
    """Where files lie, and what they do not say themselves.

    Attributes:
        root: MD17's files.
        energy_unit: Of an own file.
        length_unit: Likewise; Å where neither this nor the file says.
        energy_key: Name of an own file's energies, ``energy`` if not given.
        forces_key: Likewise, ``forces``.
        download: Whether a missing file of MD17 may be downloaded.
    """

    root: Path | None = None
    energy_unit: str | None = None
    length_unit: str | None = None
    energy_key: str | None = None
    forces_key: str | None = None
    download: bool = False


@dataclass(frozen=True)
class Problem:
    """A data set.

    Attributes:
        name: For instance ``xtb-ethanol``.
        summary: One line for ``list``.
        find: The file.
        gap: Frames that are left out between parts of a trajectory, about 100 fs.
        rescale: C of the bare arm ``rescale``, in the labels' unit.
        quick_share: Of the steps of the budget ``quick``, where a frame has many more pairs than
            a small molecule.
        energy_unit: ``None`` for an own file, whose unit is asked for.
        sequential: The frames are those of a trajectory, in its order.
        formula: Of the molecule that all frames must be of.
        valence_only: GFN2-xTB's energies, which protocol ``paper`` brings to MD17's magnitude.
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


def _shipped(name: str) -> Callable[[DataOptions], Path]:
    return lambda options: SHIPPED / name


def _md17(molecule: str, revised: bool) -> Callable[[DataOptions], Path]:
    def find(options: DataOptions) -> Path:
        from suites.molecular.data.download import database_path, download_md17
        from suites.molecular.data.md17 import find_md17

        name = f"{'r' if revised else ''}md17-{molecule}"
        if options.root is None:
            raise BadInput(
                f"problem {name!r} needs the published file: --data-root DIR, or --data-root DIR"
                f" --download; without a network there is xtb-{molecule}"
            )
        try:
            return find_md17(options.root, molecule, revised)
        except BadInput:
            downloaded = database_path(molecule, revised, options.root)
            if downloaded.is_file():
                return downloaded
            if not options.download:
                raise
        return download_md17(molecule, revised, options.root)

    return find


def _problems() -> dict[str, Problem]:
    found = {}
    for molecule in FORMULAS:
        found[f"xtb-{molecule}"] = Problem(
            name=f"xtb-{molecule}",
            summary=f"{molecule} at 500 K, 1000 frames by GFN2-xTB, shipped",
            find=_shipped(f"{molecule}.npz"),
            gap=4,
            rescale="rescale=1e6",
            energy_unit="kcal/mol",
            formula=FORMULAS[molecule],
            valence_only=True,
        )
    found["xtb-oxides"] = Problem(
        name="xtb-oxides",
        summary="periodic oxides and adsorbates, 999 frames by GFN1-xTB in eV, shipped",
        find=_shipped("oxides.xyz.gz"),
        gap=0,
        rescale="rescale=1e4",
        quick_share=0.25,
        energy_unit="eV",
        sequential=False,
    )
    for revised, prefix in ((False, "md17"), (True, "rmd17")):
        for molecule in FORMULAS:
            # 100 fs; revised MD17 is 100 000 frames of MD17's.
            gap = math.ceil(200 * 1e5 / MD17_FRAMES[molecule]) if revised else 200
            found[f"{prefix}-{molecule}"] = Problem(
                name=f"{prefix}-{molecule}",
                summary=f"{molecule} by DFT, from the published file in --data-root",
                find=_md17(molecule, revised),
                gap=gap,
                rescale="rescale=1e6",
                energy_unit="kcal/mol",
                formula=FORMULAS[molecule],
            )
    return found


PROBLEMS: Mapping[str, Problem] = _problems()

#: Between parts of an own file's trajectory, whose time step is unknown.
_OWN_GAP = 10


def get_problem(name: str) -> Problem:
    """The problem of that name, or that of one's own file.

    Args:
        name: One of `PROBLEMS`, or the path of a file: it has a dot or a slash.

    Raises:
        BadInput: There is neither.
    """
    if name in PROBLEMS:
        return PROBLEMS[name]
    if "." not in name and "/" not in name:
        raise unknown("problem", name, PROBLEMS)
    path = Path(name)
    # Its name is the problem's, in tables and in reports.
    if not path.name.isprintable():
        raise BadInput(f"problem {name!r}: the file's name has characters that cannot be printed")
    try:
        is_file = path.is_file()
    except OSError:  # a name that no file can have
        is_file = False
    if not is_file:
        raise BadInput(f"problem {name!r}: there is no such file")
    # One C per unit cannot be told before the file is read: the labels' own size.
    return Problem(path.name, "own file", lambda options: path, _OWN_GAP, "rescale=auto")


def load_frames(problem: Problem, options: DataOptions) -> Frames:
    """The frames of a problem, kept for the process's other runs.

    Raises:
        BadInput: The file is missing or wrong.
    """
    path = problem.find(options).resolve()
    unit = problem.energy_unit if options.energy_unit is None else options.energy_unit
    if problem.energy_unit not in (None, unit):
        raise BadInput(f"problem {problem.name!r} is in {problem.energy_unit}, not in {unit}")
    if problem.energy_unit is not None and options.length_unit is not None:
        raise BadInput(f"--length-unit {options.length_unit}: problem {problem.name!r} is in Å")
    asked = replace(options, energy_unit=unit)
    frames = _read(path, asked, problem.sequential, path.stat().st_mtime_ns)
    return frames if problem.formula is None else frames.require_molecule(problem.formula)


@functools.lru_cache(maxsize=4)
def _read(path: Path, options: DataOptions, sequential: bool, modified: int) -> Frames:
    del modified  # part of the key: a file that changed is read again
    if path.suffix == ".npz":
        from suites.molecular.data.md17 import read_npz

        for option in ("length_unit", "energy_key", "forces_key"):
            if getattr(options, option) is not None:
                name = option.replace("_", "-")
                raise BadInput(f"--{name}: {path.name} is an npz file, whose keys and Å are fixed")
        return read_npz(path, options.energy_unit)
    from suites.molecular.data.ase_file import read_ase

    return read_ase(
        path,
        options.energy_unit,
        options.length_unit,
        sequential,
        energy_key=options.energy_key or "energy",
        forces_key=options.forces_key or "forces",
    )
