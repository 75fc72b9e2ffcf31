"""The names under which a file keeps its energies and forces.

Programs and data sets name them as they like: ``energy`` and ``forces`` (ASE), ``REF_energy`` and
``REF_forces`` (MACE), ``dft_energy`` and ``dft_forces`` (GAP), ``energy_xtb``, ``Energy``, ``E``.
A pair is found by itself where it is unmistakable; where it is not, the user names it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from bench.files.untrusted import shortened
from bench.text.errors import BadInput

#: What an energy is called, longest first; what else is in the name says whose energy it is.
_ENERGY = ("energies", "energy")
_FORCES = ("forces", "force")
#: The same, as a whole name or behind or before an underscore.
_SHORT_ENERGY, _SHORT_FORCES = "e", "f"

#: Parts of the names of energies that are none of the whole frame, or no labels.
_OTHER_ENERGIES = re.compile(
    "above|(?:^|_)per_|activation|adsor|affinity|atom|attach|barrier|bind|bond|band|cleav|cohes|conf_|config"
    "|correct|coul|defect|delta|detach|diff|disp|dissoc|elec_|embed|entrop|err|excit|exfol|fermi"
    "|formation|fragment|free|gap|homo|hull|hydrat|interact|ioni[sz]|isolat|kin|lattice|lumo|mace_|max"
    "|mean|min|mix|monomer|nuc|offset|old_|peratom|pred|react|reference|relative|relax|reorg|repuls"
    "|segreg|shift|singlet|site|smear|solv|stack|std|strain|sublim|surface|thermal|triplet"
    "|uncert|unit|vacancy|var|vaporiz|vdw|vib|weight|xc|zero|zpe"
)
_OTHER_FORCES = re.compile(
    "config|const|disp|delta|diff|err|gap_|mace_|max|mean|min|norm|old_|pred|std|uncert|unit|var|vdw"
    "|weight"
)

_OTHER_STRESSES = re.compile(
    "atom|calc|config|delta|diff|err|gap_|kin|mace_|max|mean|min|mises|norm|old_|pred|std|uncert|unit|var|vdw"
    "|weight"
)

#: What says by which method an energy was computed, and so leaves it a total energy: such a name
#: may stand beside forces that are called otherwise. Any other must be named.
_METHODS = re.compile(
    "^(ref|dft|xtb|gfn|scf|qm|qc|hf|mp2|cc|pbe|r2?scan|scan|b3lyp|b97|wb97|blyp|lda|gga|vasp|aims|castep"
    "|qe|cp2k|orca|gaussian|psi4|md|y|label|target|true|train|data|uncorrected|corrected)"
)

#: Share of the frames with the most frequent pair from which another pair is a candidate.
_FREQUENT = 0.5


class MissingLabel(BadInput):
    """Frames have no label of a name."""


class Keys(NamedTuple):
    """Names of energies and forces, and the names that were passed over though they would do."""

    energy: str
    forces: str
    passed: tuple[str, ...] = ()


def find_keys(
    source: str,
    labels: Sequence[Mapping[str, Any]],
    sizes: Sequence[int],
    energy_key: str | None,
    forces_key: str | None,
) -> Keys:
    """The names of energies and forces in frames.

    Names that were given stand. Otherwise ``energy`` and ``forces`` come first, then the one pair
    that is called alike (``REF_energy`` and ``REF_forces``; of the pairs that at least half as many
    frames have as the most frequent one), then the only energy, if its name says no more than a
    method, and the only forces.
    ``free_energy``, which is not the potential energy where electrons are smeared, comes last.

    Args:
        source: The file, for messages.
        labels: What each frame has, by name.
        sizes: Number of atoms of each frame.
        energy_key: The name of the energies, if it was given.
        forces_key: Likewise.

    Raises:
        BadInput: There is no candidate, or there are several.
    """
    energies: Counter[str] = Counter()
    forces: Counter[str] = Counter()
    for found, size in zip(labels, sizes, strict=True):
        for key, value in found.items():
            shape = np.shape(value)
            # ASE's ``energies`` are the atoms'.
            single = np.size(value) == 1 and key != "energies"
            if key == "energy" or (single and _is_number(value)):
                energies[key] += 1
            if key == "forces" or (shape == (size, 3) and _is_number(value)):
                forces[key] += 1
    there = {key: None for found in labels[:1] for key in map(str, found)}
    return choose_keys(source, energies, forces, energy_key, forces_key, there)


def choose_keys(
    source: str,
    energies: Mapping[str, int],
    forces: Mapping[str, int],
    energy_key: str | None,
    forces_key: str | None,
    there: Iterable[str],
) -> Keys:
    """As `find_keys`, among names.

    Args:
        source: The file, for messages.
        energies: How many frames have a number of each name.
        forces: How many frames have a vector for each atom of each name.
        energy_key: The name of the energies, if it was given.
        forces_key: Likewise.
        there: All names, for messages.

    Raises:
        BadInput: There is no candidate, or there are several.
    """
    of_energy = {key: energies[key] for key in energies if energy_family(key) is not None}
    of_forces = {key: forces[key] for key in forces if forces_family(key) is not None}
    if energy_key is not None:
        of_energy = {energy_key: energies.get(energy_key, 0)}
    if forces_key is not None:
        of_forces = {forces_key: forces.get(forces_key, 0)}
    missing = {
        what: option
        for what, option, candidates in (
            ("energy", "--energy-key", of_energy),
            ("forces", "--forces-key", of_forces),
        )
        if not candidates
    }
    if missing:
        names = shortened(", ".join(sorted(there))) or "no labels"
        text = f"{source}: frame 0 has no {' and no '.join(missing)} under a name that is known"
        text += f"; it has {names}: {' NAME and '.join(missing.values())} NAME says which it is"
        if not forces:
            text += ". Potentials are trained on energies and forces, and nothing in this file has"
            text += " three numbers for each atom"
        raise BadInput(text)
    energy, forces_name = _chosen(source, of_energy, of_forces, energy_key is not None)
    if energy_key is not None or forces_key is not None:
        return Keys(energy, forces_name)
    chosen = (energy, forces_name, "free_energy")
    return Keys(energy, forces_name, tuple(k for k in (*of_energy, *of_forces) if k not in chosen))


def energy_family(key: str) -> str | None:
    """What a name says beside that it is an energy (``ref_`` of ``REF_energy``); None if none."""
    if key.lower() == "free_energy":
        return "free_energy"
    return _family(key, _ENERGY, _SHORT_ENERGY, _OTHER_ENERGIES)


def forces_family(key: str) -> str | None:
    """What a name says beside that it is forces (``ref_`` of ``REF_forces``); None if none."""
    return _family(key, _FORCES, _SHORT_FORCES, _OTHER_FORCES)


def stress_family(key: str) -> str | None:
    """What a name says beside that it is a stress (``ref_`` of ``REF_stress``); None if none."""
    # ASE's ``stresses`` are the atoms'.
    if "stresses" in str(key).lower():
        return None
    return _family(key, ("stress",), "", _OTHER_STRESSES)


def virial_family(key: str) -> str | None:
    """What a name says beside that it is a virial (``ref_`` of ``REF_virials``); None if none."""
    return _family(key, ("virials", "virial"), "", _OTHER_STRESSES)


def _family(key: str, words: Sequence[str], short: str, others: re.Pattern[str]) -> str | None:
    name = str(key).lower()
    for word in words:
        if word in name:
            rest = name.replace(word, "", 1).replace("total", "").replace("potential", "")
            return None if others.search(rest) else rest.strip("_- ")
    return "" if name == short else None


def _chosen(
    source: str, energies: dict[str, int], forces: dict[str, int], given: bool
) -> tuple[str, str]:
    """The names that belong together; the energy's may be `given`."""
    pairs = {
        (energy, force): min(energies[energy], forces[force])
        for energy in energies
        for force in forces
        if energy_family(energy) == forces_family(force)
    }
    most = max(pairs.values(), default=0)
    frequent = [pair for pair, count in pairs.items() if count >= _FREQUENT * most]
    if ("energy", "forces") in frequent:
        return "energy", "forces"
    if len(frequent) == 1:
        return frequent[0]
    if len(frequent) > 1:
        named = ", ".join(f"{energy} with {force}" for energy, force in sorted(frequent))
        raise _ambiguous(source, "labels", named)
    last = [key for key in energies if key.lower() == "free_energy"]
    own = [key for key in energies if key not in last] or last
    energy = _only(source, own, "energy", "energies")
    family = energy_family(energy)
    if not given and family not in ("", "free_energy") and not _METHODS.search(family or ""):
        raise BadInput(
            f"{source}: {shortened(energy)!r} may be no total energy, and no forces are called like"
            f" it (the forces: {shortened(', '.join(sorted(forces)))}): --energy-key NAME says"
            " which name the energies have"
        )
    return energy, _only(source, list(forces), "forces", "forces")


def _only(source: str, keys: list[str], usual: str, what: str) -> str:
    if usual in keys:
        return usual
    if len(keys) > 1:
        raise _ambiguous(source, what, ", ".join(sorted(keys)))
    return keys[0]


def _ambiguous(source: str, what: str, named: str) -> BadInput:
    return BadInput(
        f"{source}: several {what}: {shortened(named)}; --energy-key and --forces-key say which"
    )


def _is_number(value: Any) -> bool:
    return np.asarray(value).dtype.kind in "fiu"
