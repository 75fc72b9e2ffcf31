"""How often statistics of rankings are wrong, by simulation: `python tests/rank_simulation.py`.

Prints the tables of ``docs/science/statistics.md``. The tests run a few of its designs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import product
from typing import Literal, NamedTuple, get_args

import numpy as np
from claim_simulation import heavy, normal, spreads

from bench.statistics.choices import Chance, chance, together
from bench.statistics.claims import claims
from bench.statistics.effects import effect
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


class Optimum(NamedTuple):
    """How a log error depends on the learning rate, the same for all arms: c (rate − optimum)².

    Attributes:
        rates: Number of rates that are tried, a unit apart.
        curvature: c, in standard deviations of the noise of a run.
        off: How far the optimum is from the nearest rate at most, uniformly.
        noisier: Noise of the held-out losses, over that of the errors.
    """

    rates: int
    curvature: float
    off: float = 0.5
    noisier: float = 1.0


#: ``least favourable``: what choices vary most with, on every problem.
OPTIMA = {
    "flat": Optimum(5, 0.2),
    "medium": Optimum(5, 1.0),
    "least favourable": Optimum(3, 1.4, off=0.0),
    "sharp": Optimum(4, 4.0),
}
#: Half of the noise is shared by the arms, or nothing.
SHARED = (0.0, 0.5)
#: Standard deviation of a run, and what an arm that is better multiplies its errors by.
NOISE, GAIN = 0.2, 0.7
#: Seeds that are scored, with settings chosen by two others.
TUNED_DESIGNS = [Design(5, 5), Design(5, 10), Design(5, 20), Design(1, 10)]
TUNED_RANKINGS = {2: 300, 6: 150, 12: 80}
_TRIAL_SEEDS = 2


def tuned(
    rng: np.random.Generator, design: Design, arms: int, optimum: Optimum, shared: float
) -> tuple[list[np.ndarray], list[list[Chance]]]:
    """For each problem (arms, seeds) log errors of equal arms, and the chance of each arm: every
    arm at the rate with the least mean held-out loss of its own trials."""

    def noise(columns: int, rows: int) -> np.ndarray:
        """(arms, rows, columns)"""
        own, common = (rng.standard_normal((n, rows, columns)) for n in (arms, 1))
        return NOISE * (np.sqrt(1 - shared) * own + np.sqrt(shared) * common)

    cases, chances = [], []
    for _ in range(design.problems):
        rates = np.arange(optimum.rates) - optimum.rates // 2
        off = rng.uniform(-optimum.off, optimum.off)
        surface = NOISE * optimum.curvature * (rates - off) ** 2
        lost = noise(_TRIAL_SEEDS, optimum.rates)
        losses = surface[:, None] + optimum.noisier * lost
        chosen = losses.mean(axis=2).argmin(axis=1)
        cases.append(surface[chosen, None] + noise(design.seeds, 1)[:, 0])
        chances.append(
            [chance(*pair) for pair in zip(losses, surface[:, None] + lost, strict=True)]
        )
    return cases, chances


class TunedRow(NamedTuple):
    """Shares of simulated rankings of arms whose settings are chosen by trials.

    Attributes:
        claims: With a claim of an arm that equals the reference, the others being equal or one
            better: the larger share.
        ranks: With a wrong interval of a rank, likewise.
        covered: Of 95 % intervals of equal arms, those that cover 1.
        power: In which the better arm is called better.
    """

    claims: float
    ranks: float
    covered: float
    power: float


def simulate_tuned(
    rng: np.random.Generator,
    design: Design,
    arms: int,
    optimum: Optimum,
    shared: float,
    rankings: int,
) -> TunedRow:
    """Rankings of one design."""
    wrong, covered, power = np.zeros((2, 2)), [], 0
    for _ in range(rankings):
        cases, chances = tuned(rng, design, arms, optimum, shared)
        pairs = [[together([of[0], of[arm]]) for of in chances] for arm in range(1, arms)]
        for better in (0, 1):
            gain = np.where(np.arange(arms) == 1, better * np.log(GAIN), 0.0)
            logs = [values + gain[:, None] for values in cases]
            found = [
                effect([values[arm] - values[0] for values in logs], choices=pairs[arm - 1])
                for arm in range(1, arms)
            ]
            said = [claim.verdict for claim in claims(found)]
            claimed = not {"better", "worse", "mixed"}.isdisjoint(said[better:])
            wrong[better] += claimed, is_wrong(ranks(logs, chances), gain[None])
            if better:
                power += said[0] == "better"
            else:
                covered += [one.low <= 0 <= one.high for one in found]
    of_claims, of_ranks = wrong.max(axis=0) / rankings
    return TunedRow(of_claims, of_ranks, float(np.mean(covered)), power / rankings)


def print_tuned() -> None:
    """The table of rankings with tuned arms: the worst optimum, and the range of the power."""
    print("| arms | problems × seeds | wrong claims | wrong ranks | coverage | ×0.7 is better |")
    print("|---|---|---|---|---|---|")
    for arms, design in product(TUNED_RANKINGS, TUNED_DESIGNS):
        rows = [
            simulate_tuned(
                np.random.default_rng(2), design, arms, optimum, shared, TUNED_RANKINGS[arms]
            )
            for optimum, shared in product(OPTIMA.values(), SHARED)
        ]
        of_claims, of_ranks, _, most = (max(column) for column in zip(*rows, strict=True))
        _, _, covered, least = (min(column) for column in zip(*rows, strict=True))
        head = f"{arms} | {design.problems} × {design.seeds}"
        rest = f"{of_claims:.1%} | {of_ranks:.1%} | {covered:.1%} | {least:.0%} to {most:.0%}"
        print(f"| {head} | {rest} |", flush=True)


#: What a profile's band and a probability's interval are simulated for.
TAUS = (1.0, 1.5, 3.0)
SHIFTS = (0.0, 0.5, 2.0)
OPPOSED = (1.0, 2.0)
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


def shifts(design: Design, shift: float, opposed: bool) -> np.ndarray:
    """(problems, 2) true log errors of a reference and of an arm whose errors are smaller by so
    many standard deviations; if opposed, as much larger on every second problem."""
    signs = np.where(np.arange(design.problems) % 2, -1 if opposed else 1, 1)
    return np.stack([np.zeros(design.problems), -shift * signs], axis=1)


def best_coverage(rng: np.random.Generator, design: Design, shift: float, studies: int) -> float:
    """In how many studies the band at τ = 1 covers the true share, for opposed `shifts`."""
    truth, spread = shifts(design, shift, opposed=True), np.ones(design.problems)
    population = drawn(rng, Design(design.problems, _MANY), normal, spread, truth)
    true = np.mean([values[1] < values[0] for values in population])
    covered = []
    for _ in range(studies):
        found = profiles([np.exp(v) for v in drawn(rng, design, normal, spread, truth)])[1]
        covered.append(found.low[0] <= true <= found.high[0])
    return float(np.mean(covered))


def improvement_coverage(
    rng: np.random.Generator, design: Design, shift: float, studies: int, opposed: bool = False
) -> float:
    """In how many studies the interval covers the true probability, for `shifts`."""
    truth = shifts(design, shift, opposed)
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
    """The tables of what bands and intervals cover: of problems alike, and of opposed ones."""
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
    print()
    print("| problems × seeds |", *(f"profile at τ = 1.0, ±{one} |" for one in OPPOSED), end=" ")
    print(*(f"improvement, ±{one} |" for one in OPPOSED))
    print("|---" * (1 + 2 * len(OPPOSED)) + "|")
    for problems, seeds in product((3, 5), (5, 10)):
        rng = np.random.default_rng(1)
        design = Design(problems, seeds)
        of_best = [best_coverage(rng, design, shift, 300) for shift in OPPOSED]
        of_improvement = [improvement_coverage(rng, design, one, 300, True) for one in OPPOSED]
        cells = " | ".join(f"{share:.1%}" for share in (*of_best, *of_improvement))
        print(f"| {problems} × {seeds} | {cells} |", flush=True)


if __name__ == "__main__":
    print_ranks(RANKINGS)
    print()
    print_tuned()
    print()
    print_coverage()
