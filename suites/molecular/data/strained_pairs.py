"""Whether stresses are those of the energies, by pairs of frames whose cells differ a little.

Of two frames s C of the same atoms, with fractional positions s and lattice vectors in the rows of
C, the energies differ by the work of the forces and of the stress,

    E_b − E_a ≈ −½ Σ (F_a + F_b)·(s_b − s_a) C̄ + ½ (V_a σ_a + V_b σ_b) : C̄⁻¹ (C_b − C_a),

the trapezoidal rule with the mean cell C̄, exact for a harmonic potential. What the forces leave of
the difference tells the stress's unit and sign.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from suites.molecular.data.frames import Frames, atom_rows
from suites.molecular.data.sampled_groups import sampled_groups

#: Frames that are looked at, at most, and their atoms: each is compared with every other.
_FRAMES = 300
_MOST_ATOMS = 50_000
#: Pairs of each frame.
_NEAREST = 3
#: Strains between two frames: less tells nothing of the stress, more is not linear.
_STRAINS = (1e-4, 0.15)
#: Largest RMS displacement in Å that the forces at both ends describe.
_MOVED = 0.3
#: Length in Å by which a strain displaces neighbours.
_BOND = 2.0
#: Fewest pairs, least correlation and largest relative standard error of a factor that is one.
_PAIRS = 8
_CORRELATION = 0.7
_ERROR = 0.2
#: What the median of the pairs and the line through them may differ by: else a few pairs decide.
_AGREED = 1.6
#: A factor that is farther than this from 1 is no error of the trapezoidal rule. Units differ by
#: more: GPa and eV/Å³ by 160, kcal/mol and eV by 23, Å³ and Bohr³ by 7.
_TOLERANCE = 2.0


def stress_factor(frames: Frames) -> tuple[float, int] | None:
    """What the stresses are of those that the energies' differences say, and of how many pairs.

    1 where they belong together; None where no or too few frames tell, or forces and energies
    contradict each other so that nothing does.
    """
    work, rest = _works(frames)
    some = (work != 0) & (rest != 0)
    work, rest = work[some], rest[some]
    if len(work) < _PAIRS:
        return None
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        correlation = work @ rest / np.sqrt((work @ work) * (rest @ rest))
        error = np.sqrt((1.0 / correlation**2 - 1.0) * _NEAREST / len(work))
        # The errors of the rule are in the rest, which is therefore fitted as a line of the work.
        line = work @ work / (work @ rest)
        # The largest differences, which the errors of the rule and of rounded labels change least.
        large = np.argsort(-np.abs(rest))[: max(_PAIRS, len(rest) // 2)]
        factor = float(np.median(work[large] / rest[large]))
    # Not a number where labels are as large as numbers can be.
    if not (abs(correlation) >= _CORRELATION and error <= _ERROR):
        return None
    if not 1 / _AGREED <= factor / line <= _AGREED:
        return None
    near_one = 1 / _TOLERANCE < factor < _TOLERANCE
    return (1.0 if near_one else factor), len(work)


def stress_warnings(frames: Frames) -> list[str]:
    """A sentence if the stresses are not those of the energies.

    Args:
        frames: The frames as they were read.
    """
    found = stress_factor(frames)
    if found is None or found[0] == 1.0:
        return []
    return [
        f"energies and stresses contradict each other: the stresses are {found[0]:.3g} times what"
        f" the energies of {found[1]} pairs of similar frames ask for; if they have another unit,"
        " give it by --stress-unit (eV/Ang^3, GPa, kbar); the sign is that of (1/V) dE/dstrain"
    ]


def _works(frames: Frames) -> tuple[np.ndarray, np.ndarray]:
    """(pairs,) the work of the stresses, and what the forces leave of the energies' differences."""
    work, rest = [], []
    seen: set[tuple[int, int]] = set()
    for rows in _alike(frames):
        atoms = atom_rows(frames.first, rows)
        positions, forces = (
            array[atoms].reshape(len(rows), -1, 3) for array in (frames.positions, frames.forces)
        )
        cells, energies = frames.cells[rows], frames.energies[rows]
        inverse = np.linalg.inv(cells)
        fractional = positions @ inverse
        assert frames.stresses is not None
        stresses = frames.stresses[rows] * np.abs(np.linalg.det(cells))[:, None, None]
        for a in range(len(rows)):
            size = np.linalg.norm(inverse[a] @ (cells - cells[a]), axis=(1, 2))
            near = np.flatnonzero((size >= _STRAINS[0]) & (size <= _STRAINS[1]))
            # Of cells that are near, the mean is one too.
            mean = (cells[near] + cells[a]) / 2
            strain = np.linalg.solve(mean, cells[near] - cells[a])
            moved = fractional[near] - fractional[a]
            moved = (moved - np.round(moved)) @ mean
            moved -= moved.mean(axis=1, keepdims=True)
            apart = np.sqrt((moved**2).mean(axis=(1, 2)))
            # The error of the rule is of third order; it hides a work of first order in the strain.
            error = np.hypot(apart, _BOND * size[near]) ** 3 / size[near]
            error[apart > _MOVED] = np.inf
            for k in np.argsort(error)[: min(_NEAREST, int(np.isfinite(error).sum()))]:
                b = int(near[k])
                key = (int(rows[min(a, b)]), int(rows[max(a, b)]))
                if key in seen:
                    continue
                seen.add(key)
                of_forces = -0.5 * ((forces[a] + forces[b]) * moved[k]).sum()
                work.append(0.5 * ((stresses[a] + stresses[b]) * strain[k]).sum())
                rest.append(energies[b] - energies[a] - of_forces)
    return np.array(work), np.array(rest)


def _alike(frames: Frames) -> list[np.ndarray]:
    """Rows of frames with stresses and equal atoms: the largest groups, `_FRAMES` in all."""
    groups: dict[bytes, list[int]] = defaultdict(list)
    for row in np.flatnonzero(frames.stressed):
        groups[frames.numbers[frames.first[row] : frames.first[row + 1]].tobytes()].append(int(row))
    return sampled_groups(groups.values(), frames.n_atoms, _FRAMES, _MOST_ATOMS, least=2)
