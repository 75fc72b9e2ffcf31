"""How often claims are wrong, by simulation: `python tests/claim_simulation.py`.

Prints the table of ``docs/science/statistics.md``. The tests run a few of its designs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from bench.statistics.claims import claims
from bench.statistics.effects import effect

Draw = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]


def normal(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.standard_normal(shape)


def heavy(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Student's t with two degrees of freedom: no variance."""
    return rng.standard_t(2, shape)


def outliers(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """15 % of the values are ten times as far out, to either side."""
    return normal(rng, shape) * np.where(rng.random(shape) < 0.15, 10, 1)


def one_sided(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """15 % of the values are 8 higher; the mean is 0."""
    return normal(rng, shape) + np.where(rng.random(shape) < 0.15, 8, 0) - 0.15 * 8


def diverging(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """10 % of the runs of either side diverge, by themselves."""
    arm, reference = rng.random(shape) < 0.1, rng.random(shape) < 0.1
    lost = np.select([arm & reference, arm, reference], [np.nan, np.inf, -np.inf], 0.0)
    return normal(rng, shape) + lost


DRAWS: dict[str, Draw] = {
    "normal": normal,
    "t₂": heavy,
    "15 % outliers": outliers,
    "10 % diverged": diverging,
    "15 % one-sided": one_sided,
}


class Wrong(NamedTuple):
    """Shares of studies.

    Attributes:
        wrong: In which an arm that equals the reference is called better or worse.
        mixed: In which one is called mixed.
        silent: In which no arm may claim.
    """

    wrong: float
    mixed: float
    silent: float


class Design(NamedTuple):
    """Problems and seeds, and whether a family of 20 arms may claim."""

    problems: int
    seeds: int
    family: bool


DESIGNS = [
    Design(5, 3, False),
    Design(20, 3, False),
    Design(1, 5, True),
    Design(5, 5, True),
    Design(20, 5, True),
    Design(1, 10, True),
    Design(5, 10, True),
]


def spreads(problems: int) -> Iterator[tuple[str, np.ndarray]]:
    """Standard deviations within the problems: equal, from 0.03 to 1, one large."""
    yield "equal", np.ones(problems)
    if problems > 1:
        yield "0.03 to 1", np.geomspace(0.03, 1, problems)
        yield "one of 1, others 0.03", np.r_[1.0, np.full(problems - 1, 0.03)]


def coverage(
    rng: np.random.Generator, design: Design, draw: Draw, spread: np.ndarray, studies: int
) -> float:
    """In how many studies the 95 % interval covers the truth; the problems' means differ.

    Studies without an interval cover nothing.
    """
    means = rng.normal(0, 0.3, design.problems)
    covered = []
    for _ in range(studies):
        values = draw(rng, (design.problems, design.seeds)) * spread[:, None]
        found = effect(list(values + means[:, None]))
        counted = [
            mean for mean, one in zip(means, found.on, strict=True) if one.counts and one.pairs > 1
        ]
        truth = float(np.mean(counted)) if counted else np.nan
        covered.append(found.low <= truth <= found.high)
    return float(np.mean(covered))


def wrong(
    rng: np.random.Generator,
    design: Design,
    draw: Draw,
    spread: np.ndarray,
    studies: int,
    arms: int,
) -> Wrong:
    """What is said of arms that equal their references."""
    found = np.zeros(3)
    for _ in range(studies):
        values = draw(rng, (arms, design.problems, design.seeds)) * spread[:, None]
        said = claims([effect(list(of_arm)) for of_arm in values])
        found += [
            any(claim.verdict in ("better", "worse") for claim in said),
            any(claim.verdict == "mixed" for claim in said),
            all(claim.exploratory or not claim.enough for claim in said),
        ]
    return Wrong(*(found / studies))


def main() -> None:
    print(
        "| problems × seeds | values | spread | coverage | wrong, 1 arm | wrong, 20 arms"
        " | mixed, 20 arms |"
    )
    print("|---|---|---|---|---|---|---|")
    for design in DESIGNS:
        for name, draw in DRAWS.items():
            for width, spread in spreads(design.problems):
                rng = np.random.default_rng(0)
                cover = coverage(rng, design, draw, spread, 1000)
                alone = wrong(rng, design, draw, spread, 1000, 1)
                family = wrong(rng, design, draw, spread, 200, 20) if design.family else None
                many = "–" if family is None else f"{family.wrong:.1%}"
                mixed = "–" if family is None else f"{family.mixed:.1%}"
                head = f"{design.problems} × {design.seeds} | {name} | {width}"
                rest = f"{alone.wrong:.1%} | {many} | {mixed}"
                print(f"| {head} | {cover:.1%} | {rest} |", flush=True)


if __name__ == "__main__":
    main()
