"""Smooth random initial states that are defined at any point: every grid has the same truth.

Random numbers come from ``numpy.random.default_rng(seed)`` (PCG64, whose stream is fixed by
NumPy's compatibility policy for bit generators); only uniform and normal draws are used.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def _sines(
    x: np.ndarray, amplitudes: np.ndarray, numbers: np.ndarray, phases: np.ndarray
) -> np.ndarray:
    angles = 2.0 * np.pi * np.asarray(x, dtype=float)[..., None] * numbers + phases
    return np.sin(angles) @ amplitudes


def periodic_sines(
    seed: int, terms: int = 2, highest: int = 8
) -> Callable[[np.ndarray], np.ndarray]:
    """A sum of sines with integer wave numbers on the periodic unit interval.

    Σ Aᵢ sin(2π nᵢ x + φᵢ) with nᵢ uniform in 1…`highest`, Aᵢ in (0, 1) and φᵢ in (0, 2π): the
    initial state of PDEBench's advection (Takamoto et al., arXiv 2210.07182, two
    terms) without its occasional absolute value and window, which have kinks.

    Args:
        seed: Seed of the random numbers.
        terms: Number of sines.
        highest: Highest wave number.

    Returns:
        From x of any shape to values of the same shape.
    """
    random = np.random.default_rng(seed)
    numbers = random.integers(1, highest, size=terms, endpoint=True).astype(float)
    amplitudes = random.uniform(size=terms)
    phases = random.uniform(0.0, 2.0 * np.pi, size=terms)
    return lambda x: _sines(x, amplitudes, numbers, phases)


def _unit_wave(random: np.random.Generator, highest: int) -> Callable[[np.ndarray], np.ndarray]:
    """A random periodic wave of zero mean and amplitudes 1/n that add up to 1."""
    numbers = np.arange(1.0, highest + 1.0)
    amplitudes = random.uniform(0.5, 1.0, size=highest) / numbers
    amplitudes /= amplitudes.sum()
    phases = random.uniform(0.0, 2.0 * np.pi, size=highest)
    return lambda x: _sines(x, amplitudes, numbers, phases)


def compressible_state(
    seed: int,
    mach: float = 0.05,
    density_contrast: float = 0.3,
    highest: int = 2,
    gamma: float = 5.0 / 3.0,
) -> Callable[[np.ndarray], np.ndarray]:
    """A random smooth periodic state of the Euler equations on (0, 1), after PDEBench.

    ρ = 1 + c w₁(x), u = M₀ + m a w₂(x), p = 1 + γ m w₃(x) with waves |wᵢ| ≤ 1 of zero mean, the
    sound speed a = √γ at ρ = p = 1 and a mean flow M₀ of Mach 0.2 to 0.4 of either sign: the
    contrast c drifts with the flow while sound of amplitude m crosses it. With the default m no
    shock forms before t = 1 (for seeds 0 to 5 no gradient grows more than threefold); with m = 0.1
    one has formed by then for most seeds. A simple wave of wave number n breaks at
    t = 1 / (π (γ + 1) n m a).

    Args:
        seed: Seed of the random numbers.
        mach: Amplitude m of the sound waves, in Mach number.
        density_contrast: Amplitude c of the density, below 1.
        highest: Highest wave number.
        gamma: Ratio of the specific heats.

    Returns:
        From x of shape ``(m,)`` to (ρ, u, p), shape ``(3, m)``.

    Raises:
        ValueError: The density or the pressure would not stay positive.
    """
    if not (0 <= density_contrast < 1 and 0 <= gamma * mach < 1):
        raise ValueError("density_contrast and gamma * mach must be in [0, 1)")
    random = np.random.default_rng(seed)
    density, velocity, pressure = (_unit_wave(random, highest) for _ in range(3))
    sound = np.sqrt(gamma)
    drift = sound * random.uniform(0.2, 0.4) * (1.0 if random.uniform() < 0.5 else -1.0)

    def state(x: np.ndarray) -> np.ndarray:
        return np.stack(
            [
                1.0 + density_contrast * density(x),
                drift + mach * sound * velocity(x),
                1.0 + gamma * mach * pressure(x),
            ]
        )

    return state


def band_limited_field(seed: int, modes: int = 6) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """A random field on (−1, 1)² with zero mean, unit variance and no flux through the boundary.

    Σ aₘₙ cos(mπ(x+1)/2) cos(nπ(y+1)/2) over 0 < m² + n² ≤ `modes`² with normal aₘₙ, scaled to
    unit variance over the square. It stands in for PDEBench's white noise per grid cell, which
    has no truth that is independent of the grid.

    Args:
        seed: Seed of the random numbers.
        modes: Highest wave number, in half waves across the square.

    Returns:
        From x and y of the same shape (or shapes that broadcast) to values of that shape.

    Raises:
        ValueError: `modes` is below 1.
    """
    if modes < 1:
        raise ValueError(f"modes must be at least 1, not {modes}")
    numbers = np.arange(modes + 1)
    coefficients = np.random.default_rng(seed).normal(size=(modes + 1, modes + 1))
    square = numbers[:, None] ** 2 + numbers**2
    coefficients[(square == 0) | (square > modes**2)] = 0.0
    weight = np.where(numbers == 0, 1.0, 0.5)
    coefficients /= np.sqrt(np.sum(coefficients**2 * weight[:, None] * weight))

    def field(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        along_x = np.cos(0.5 * np.pi * (np.asarray(x, dtype=float)[..., None] + 1.0) * numbers)
        along_y = np.cos(0.5 * np.pi * (np.asarray(y, dtype=float)[..., None] + 1.0) * numbers)
        return np.sum((along_x @ coefficients) * along_y, axis=-1)

    return field
