"""The molecular suite's problems: by their names, and of one's own files."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path

from bench.spec.table import Table
from bench.text.errors import BadInput, unknown
from suites.molecular.data.frames import Frames
from suites.molecular.data.stresses import NO_STRESS
from suites.molecular.problems.problem import DataOptions, Problem

PROBLEMS: Table[Problem] = Table(
    {
        "xtb-aspirin": "suites.molecular.problems.xtb:ASPIRIN",
        "xtb-benzene": "suites.molecular.problems.xtb:BENZENE",
        "xtb-ethanol": "suites.molecular.problems.xtb:ETHANOL",
        "xtb-malonaldehyde": "suites.molecular.problems.xtb:MALONALDEHYDE",
        "xtb-naphthalene": "suites.molecular.problems.xtb:NAPHTHALENE",
        "xtb-salicylic-acid": "suites.molecular.problems.xtb:SALICYLIC_ACID",
        "xtb-toluene": "suites.molecular.problems.xtb:TOLUENE",
        "xtb-uracil": "suites.molecular.problems.xtb:URACIL",
        "xtb-oxides": "suites.molecular.problems.xtb:OXIDES",
        "md17-aspirin": "suites.molecular.problems.md17:ASPIRIN",
        "md17-benzene": "suites.molecular.problems.md17:BENZENE",
        "md17-ethanol": "suites.molecular.problems.md17:ETHANOL",
        "md17-malonaldehyde": "suites.molecular.problems.md17:MALONALDEHYDE",
        "md17-naphthalene": "suites.molecular.problems.md17:NAPHTHALENE",
        "md17-salicylic-acid": "suites.molecular.problems.md17:SALICYLIC_ACID",
        "md17-toluene": "suites.molecular.problems.md17:TOLUENE",
        "md17-uracil": "suites.molecular.problems.md17:URACIL",
        "rmd17-aspirin": "suites.molecular.problems.md17:REVISED_ASPIRIN",
        "rmd17-benzene": "suites.molecular.problems.md17:REVISED_BENZENE",
        "rmd17-ethanol": "suites.molecular.problems.md17:REVISED_ETHANOL",
        "rmd17-malonaldehyde": "suites.molecular.problems.md17:REVISED_MALONALDEHYDE",
        "rmd17-naphthalene": "suites.molecular.problems.md17:REVISED_NAPHTHALENE",
        "rmd17-salicylic-acid": "suites.molecular.problems.md17:REVISED_SALICYLIC_ACID",
        "rmd17-toluene": "suites.molecular.problems.md17:REVISED_TOLUENE",
        "rmd17-uracil": "suites.molecular.problems.md17:REVISED_URACIL",
    }
)

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
    options = options.spelled()
    unit = problem.energy_unit if options.energy_unit is None else options.energy_unit
    if problem.energy_unit not in (None, unit):
        raise BadInput(f"problem {problem.name!r} is in {problem.energy_unit}, not in {unit}")
    if problem.energy_unit is not None and options.length_unit is not None:
        raise BadInput(f"--length-unit {options.length_unit}: problem {problem.name!r} is in Å")
    for option in ("energy_key", "forces_key"):
        if problem.energy_unit is not None and getattr(options, option) is not None:
            name = option.replace("_", "-")
            raise BadInput(f"--{name}: the keys of {path.name}, {problem.name}, are fixed")
    if problem.energy_unit is not None and options.force_unit is not None:
        raise BadInput(
            f"--force-unit {options.force_unit}: problem {problem.name!r} is in"
            f" {problem.energy_unit}/Ang"
        )
    asked = replace(options, energy_unit=unit)
    modified = path.stat().st_mtime_ns
    if problem.energy_unit is None:
        frames = _read_own(path, asked, problem.sequential, modified)
    else:
        frames = _read(path, asked, problem.sequential, modified)
    return frames if problem.formula is None else frames.require_molecule(problem.formula)


def load_file(path: Path, options: DataOptions) -> Frames:
    """The frames of a further file of a problem, examined, kept for the process's other runs.

    It need not have the stresses that are asked for.

    Raises:
        BadInput: The file is missing or wrong.
    """
    if not path.is_file():
        raise BadInput(f"{path}: there is no such file")
    return _read_own(path.resolve(), options.spelled(), True, path.stat().st_mtime_ns, False)


@functools.lru_cache(maxsize=8)
def _read_own(
    path: Path, options: DataOptions, sequential: bool, modified: int, stress: bool = True
) -> Frames:
    """The frames of a user's own file, examined: nobody has looked at it yet."""
    from suites.molecular.data.examined import examined

    frames = _read(path, options, sequential, modified, stress)
    return examined(frames, options.length_unit, options.force_unit)


@functools.lru_cache(maxsize=8)
def _read(
    path: Path, options: DataOptions, sequential: bool, modified: int, stress: bool = True
) -> Frames:
    del modified  # part of the key: a file that changed is read again
    if path.suffix == ".npz":
        from suites.molecular.data.md17 import read_npz

        without = options.stress_key == NO_STRESS
        of_stress = ("stress_key", "stress_unit") if stress and not without else ()
        for option in ("length_unit", *of_stress):
            if getattr(options, option) is not None:
                name = option.replace("_", "-")
                raise BadInput(f"--{name}: {path.name} is an npz file, in Å and without stresses")
        return read_npz(
            path,
            options.energy_unit,
            options.energy_key,
            options.forces_key,
            options.force_unit,
            options.require_labels,
            leave_stresses=without,
        )
    from suites.molecular.data.ase_file import read_ase

    return read_ase(
        path,
        options.energy_unit,
        options.length_unit,
        sequential,
        energy_key=options.energy_key,
        forces_key=options.forces_key,
        force_unit=options.force_unit,
        stress_key=options.stress_key,
        stress_unit=options.stress_unit,
        require_stress=stress,
        require_labels=options.require_labels,
    )
