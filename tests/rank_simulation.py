"""How often statistics of rankings are wrong, by simulation: `python tests/rank_simulation.py`.

Prints the tables of ``docs/science/statistics.md``. The tests run a few of its designs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import product
from typing import Literal, NamedTuple, get_args

import numpy as np
from claim_simulation import heavy, normal, spreads

from bench.statistics.improvement import improvement
from bench.statistics.profiles import profiles
from bench.statistics.ranks import Rank, ranks

Draw = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]


def diverging(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """10 % of the runs diverge, each by itself."""
    return np.where(rng.random(shape) < 0.1, np.inf, normal(rng, shape))


DRAWS: dict[str, Draw] = {"normal": normal, "t₂": heavy, "10 % diverged": diverging}


class Design(NamedTuple):
    problems: int
    seeds: int


DESIGNS = [Design(1, 5), Design(1, 10), Design(5, 5), Design(5, 10)]
#: Rankings of each row, by number of arms: the time goes into pairs of arms.
RANKINGS = {4: 400, 12: 100, 20: 60}


Truth = Literal["equal", "differing", "graded"]


def effects(rng: np.random.Generator, arms: int, problems: int, truth: Truth) -> np.ndarray:
    """(problems, arms) true log errors.

    ``equal``: all the same. ``differing``: the same on average, with a standard deviation of 1 from
    problem to problem. ``graded``: on average in steps of 1, two arms on each, with one of 0.3.
    """
    scale = {"equal": 0.0, "differing": 1.0, "graded": 0.3}[truth]
    around = rng.normal(0, scale, (problems, arms))
    steps = np.arange(arms) // 2 if truth == "graded" else np.zeros(arms)
    return np.asarray(steps + around - around.mean(axis=0))


def drawn(
    rng: np.random.Generator, design: Design, draw: Draw, spread: np.ndarray, truth: np.ndarray
) -> list[np.ndarray]:
    """For each problem (arms, seeds) log errors; all arms share what a seed does to them."""
    problems, arms = truth.shape
    noise = draw(rng, (problems, arms, design.seeds)) * spread[:, None, None]
    return list(noise + rng.normal(0, 0.5, (problems, 1, design.seeds)) + truth[:, :, None])


def is_wrong(found: list[Rank], truth: np.ndarray) -> bool:
    """Whether a true rank is outside its interval: of arms that truly tie each has all the ranks
    that they share, so any significant difference between them is wrong."""
    means = np.round(truth.mean(axis=0), 9)
    return any(
        rank.low > 1 + (means < mean).sum() or rank.high < (means <= mean).sum()
        for rank, mean in zip(found, means, strict=True)
    )


class Row(NamedTuple):
    """Of simulated rankings.

    Attributes:
        wrong: Share with a wrong interval.
        width: Mean width of the intervals, in ranks: 1 is a single rank.
    """

    wrong: float
    width: float


def simulate(
    rng: np.random.Generator,
    design: Design,
    draw: Draw,
    spread: np.ndarray,
    arms: int,
    truth: Truth,
    rankings: int,
) -> Row:
    """Rankings of one design."""
    wrong, widths = 0, []
    for _ in range(rankings):
        of_arms = effects(rng, arms, design.problems, truth)
        found = ranks(drawn(rng, design, draw, spread, of_arms))
        wrong += is_wrong(found, of_arms)
        widths.append(np.mean([rank.high - rank.low + 1 for rank in found]))
    return Row(wrong / rankings, float(np.mean(widths)))


#: What a profile's band and a probability's interval are simulated for.
TAUS = (1.0, 1.5, 3.0)
SHIFTS = (0.0, 0.5, 2.0)
_MANY = 20_000


def profile_coverage(rng: np.random.Generator, design: Design, studies: int) -> dict[float, float]:
    """In how many studies the band of an arm covers its true profile, at each τ: 4 arms."""
    truth = effects(rng, 4, design.problems, "graded")
    spread = np.ones(design.problems)
    population = drawn(rng, Design(design.problems, _MANY), normal, spread, truth)
    within = [values - values.min(axis=0) for values in population]
    true = {
        tau: np.mean([(ratios <= np.log(tau)).mean(axis=1) for ratios in within], axis=0)
        for tau in TAUS
    }
    covered: dict[float, list[bool]] = {tau: [] for tau in TAUS}
    for _ in range(studies):
        found = profiles([np.exp(v) for v in drawn(rng, design, normal, spread, truth)])
        for tau, (arm, profile) in product(TAUS, enumerate(found)):
            step = int(np.searchsorted(profile.taus, tau, side="right")) - 1
            covered[tau].append(bool(profile.low[step] <= true[tau][arm] <= profile.high[step]))
    return {tau: float(np.mean(values)) for tau, values in covered.items()}


def improvement_coverage(
    rng: np.random.Generator, design: Design, shift: float, studies: int
) -> float:
    """In how many studies the interval covers the true probability, for an arm whose errors are
    smaller by so many standard deviations."""
    truth = np.tile([0.0, -shift], (design.problems, 1))
    spread = np.ones(design.problems)
    reference, arm = np.stack(
        drawn(rng, Design(design.problems, _MANY), normal, spread, truth), axis=1
    )
    true = float((arm < np.roll(reference, 1, axis=1)).mean())  # of different seeds
    covered = []
    for _ in range(studies):
        ours = drawn(rng, design, normal, spread, truth)
        found = improvement([values[1] for values in ours], [values[0] for values in ours])
        covered.append(found.low <= true <= found.high)
    return float(np.mean(covered))


def print_ranks(of_arms: Iterable[int]) -> None:
    """The table of ranks, for so many arms."""
    print(
        "| arms | problems × seeds | values | wrong, equal | wrong, differing | wrong, graded"
        " | width, graded |"
    )
    print("|---|---|---|---|---|---|---|")
    for arms, design, (name, draw) in product(of_arms, DESIGNS, DRAWS.items()):
        # Equal spreads are the easy case of several problems.
        of_design = [spread for _, spread in spreads(design.problems)][-2:]
        wrong, width = {}, 0.0
        for truth in get_args(Truth):
            if design.problems == 1 and truth == "differing":  # means that are equal, again
                wrong[truth] = "–"
                continue
            rows = [
                simulate(
                    np.random.default_rng(k), design, draw, spread, arms, truth, RANKINGS[arms]
                )
                for k, spread in enumerate(of_design)
            ]
            wrong[truth] = f"{max(row.wrong for row in rows):.1%}"
            width = float(np.mean([row.width for row in rows]))
        cells = " | ".join(wrong.values())
        head = f"{arms} | {design.problems} × {design.seeds} | {name}"
        print(f"| {head} | {cells} | {width:.1f} |", flush=True)


def print_coverage() -> None:
    """The table of what bands and intervals cover."""
    print("| problems × seeds |", *(f"profile at τ = {tau} |" for tau in TAUS), end=" ")
    print(*(f"improvement, shift {shift} |" for shift in SHIFTS))
    print("|---" * (1 + len(TAUS) + len(SHIFTS)) + "|")
    for problems, seeds in product((1, 5), (5, 10, 20)):
        rng = np.random.default_rng(1)
        design = Design(problems, seeds)
        of_profiles = profile_coverage(rng, design, 200).values()
        of_improvement = [improvement_coverage(rng, design, shift, 400) for shift in SHIFTS]
        cells = " | ".join(f"{share:.1%}" for share in (*of_profiles, *of_improvement))
        print(f"| {problems} × {seeds} | {cells} |", flush=True)


if __name__ == "__main__":
    print_ranks(RANKINGS)
    print()
    print_coverage()
