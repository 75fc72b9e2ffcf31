"""The files of a run: that of the problem, and those of validation and test frames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.spec.spec import Spec
from bench.text.errors import BadInput
from suites.molecular.data.frames import Frames
from suites.molecular.data.label_keys import MissingLabel, energy_family, forces_family
from suites.molecular.data.parts import PartFiles, named_test_files
from suites.molecular.options import MolecularOptions
from suites.molecular.problems.catalogue import (
    DataOptions,
    Problem,
    get_problem,
    load_file,
    load_frames,
)
from suites.molecular.references import REFERENCES, isolated_references

#: Options about an own file, named as the fields of `DataOptions`.
_FILE_OPTIONS = ("energy_unit", "length_unit", "energy_key", "forces_key")
#: Those that are in the spec only where they are given: runs from before keep their names.
_LATER_OPTIONS = ("force_unit", "stress_key", "stress_unit")
#: What the keys of `Spec.paths` of test files begin with; the name of the set follows.
_TEST = "test_file:"


def asked_frames(problem: Problem, options: MolecularOptions) -> tuple[Frames, PartFiles]:
    """The frames that are asked for.

    Raises:
        BadInput: A file is missing or wrong, or an option does not suit it.
    """
    if options.download and options.data_root is None:
        raise BadInput("--download needs --data-root DIR, where the file is to be kept")
    data = _asked(options)
    frames = load_frames(problem, data)
    tests = named_test_files(options.test_file)
    if tests or options.val_file is not None:
        reading = replace(data, **file_settings(frames, options))
        return frames, _part_files(frames, reading, options.val_file, tests)
    return frames, PartFiles()


def _asked(options: MolecularOptions) -> DataOptions:
    """How files are read, with the units by their own names."""
    return DataOptions(
        options.data_root,
        download=options.download,
        require_labels=options.require_labels,
        **{name: getattr(options, name) for name in (*_FILE_OPTIONS, *_LATER_OPTIONS)},
    ).spelled()


def file_settings(frames: Frames, options: MolecularOptions) -> dict[str, Any]:
    """What the spec says of reading the file: options, and what stands in their place.

    What a file says itself, or what is found in it, may be given without another run. ``energy``
    and ``forces`` are what is meant where no name is given.
    """
    data = _asked(options)
    file = {name: getattr(data, name) for name in _FILE_OPTIONS}
    file["energy_unit"] = frames.energy_unit
    if frames.reading is not None:
        for name, usual in (("energy_key", "energy"), ("forces_key", "forces")):
            found = getattr(frames.reading, name)
            file[name] = file[name] if found == usual else found
    later = {name: getattr(data, name) for name in _LATER_OPTIONS}
    return {**file, **{name: value for name, value in later.items() if value is not None}}


def references_setting(frames: Frames, options: MolecularOptions) -> dict[str, Any]:
    """What the spec says of isolated atoms: nothing where the file has none.

    Raises:
        BadInput: Their energies contradict each other, or there are none and they are asked for.
    """
    there = frames.reading is not None and frames.reading.isolated
    if not there:
        if options.references == REFERENCES[0]:
            raise BadInput(
                f"--references {REFERENCES[0]}: {frames.source} has no isolated atoms (allowed:"
                f" {REFERENCES[1]})"
            )
        return {}
    if options.references == REFERENCES[1]:
        return {"references": REFERENCES[1]}
    found = isolated_references(frames)
    return {"references": {str(element): energy for element, energy in found.items()}}


def references_sentence(frames: Frames, setting: Mapping[str, Any]) -> list[str]:
    """What a user should know of the isolated atoms of a file."""
    from ase.data import chemical_symbols

    found = setting.get("references")
    if found is None or frames.reading is None:
        return []
    count = len(frames.reading.isolated)
    if isinstance(found, str):
        return [f"{frames.source}: {count} isolated atoms are left out (--references {found})"]
    without = sorted({int(z) for z in frames.numbers} - {int(z) for z in found})
    fitted = ", ".join(chemical_symbols[z] for z in without)
    atoms = "isolated atoms are no frames but the reference energies of"
    if count == 1:
        atoms = "isolated atom is no frame but the reference energy of"
    return [
        f"{frames.source}: {count} {atoms}"
        f" {', '.join(chemical_symbols[int(z)] for z in found)}, which an offset removes"
        f"{f'; fitted for {fitted}' if fitted else ''} (--references fitted fits all)"
    ]


def built_frames(spec: Spec) -> tuple[Frames, PartFiles]:
    """The frames of a spec.

    Raises:
        BadInput: A file is missing or wrong, or has changed since the run was asked for.
    """
    settings, paths = spec.settings, spec.paths
    root, own = paths.get("data_root"), paths.get("data")
    data = DataOptions(Path(root) if root else None, **settings["file"])
    frames = load_frames(get_problem(own or spec.problem), data)
    val = paths.get("val_file")
    tests = {k.removeprefix(_TEST): Path(v) for k, v in paths.items() if k.startswith(_TEST)}
    # As the spec orders them, which a stored mapping may not.
    names = [name for name, _ in settings.get("files", {}).get("test", [])]
    tests = {name: tests[name] for name in names}
    files = _part_files(frames, data, Path(val) if val else None, tests)
    if frames.digest != settings["data"]:
        raise BadInput(f"{frames.source}: the file has changed since the run was asked for")
    for name, digest in _digests(files.digests()).items():
        if digest != _digests(settings["files"])[name]:
            raise BadInput(f"the file of {name} has changed since the run was asked for")
    return frames, files


def part_paths(options: MolecularOptions) -> dict[str, str]:
    """`Spec.paths` of the files of validation and test frames."""
    found = {} if options.val_file is None else {"val_file": str(options.val_file.resolve())}
    tests = named_test_files(options.test_file)
    return {**found, **{f"{_TEST}{name}": str(path.resolve()) for name, path in tests.items()}}


def _digests(files: Mapping[str, Any]) -> dict[str, str]:
    val = {"validation frames": files["val"]} if "val" in files else {}
    return {**val, **{f"test frames {name!r}": digest for name, digest in files.get("test", [])}}


def _part_files(
    training: Frames, data: DataOptions, val: Path | None, tests: Mapping[str, Path]
) -> PartFiles:
    return PartFiles(
        None if val is None else _by_the_names_of(training, val, data),
        {name: _by_the_names_of(training, path, data) for name, path in tests.items()},
    )


def _by_the_names_of(training: Frames, path: Path, data: DataOptions) -> Frames:
    """The frames of another file, whose labels have the names of those of the training file.

    Where one of the two is an npz file, whose usual names are others, ``energy`` and ``E`` are one.

    Raises:
        BadInput: It has no such labels, or `load_file` refuses it.
    """
    names = ("E", "F")
    if training.reading is not None:
        names = (training.reading.energy_key, training.reading.forces_key)
    said = f"{path}: without the labels of the training file, {names[0]!r} and {names[1]!r}"
    usual = _usual(*names)
    if not usual or ".npz" not in (path.suffix, Path(training.source).suffix):
        data = replace(data, energy_key=names[0], forces_key=names[1])
    try:
        found = load_file(path, data)
    except MissingLabel as error:
        raise BadInput(f"{said}, by which it is read too: {error}") from error
    if found.reading is not None:
        theirs = (found.reading.energy_key, found.reading.forces_key)
        if theirs != names and not (usual and _usual(*theirs)):
            raise BadInput(
                f"{said}; it has {theirs[0]!r} and {theirs[1]!r} (--energy-key and --forces-key say"
                " which names all files have)"
            )
    return found


def _usual(energy: str, forces: str) -> bool:
    """Whether names say no more than that they are an energy and forces."""
    return (energy_family(energy), forces_family(forces)) == ("", "")
