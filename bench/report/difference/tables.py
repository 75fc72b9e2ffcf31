"""The tables of a difference, and what is said of it in sentences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench.report.answer import remarks
from bench.report.difference.conditions import unit_of
from bench.report.difference.results import Difference, is_equal
from bench.report.ratios import case_ratio, interval, main_ratio
from bench.report.results import Case, Comparison
from bench.report.step_times import memory_mb, ratio_of, step_ms
from bench.report.tabulation import Cell, Table
from bench.statistics.claims import ALPHA, LEAST_SEEDS_ALONE
from bench.text.formatting import counted

#: The tables, and those that say something of more than a run.
NAMES = ("conditions", "arms", "verdicts", "problems", "runs")
SUMMARIES = NAMES[:-1]

_EQUAL = "equal to the last bit"


def difference_tables(found: Difference, names: Iterable[str]) -> dict[str, Table]:
    """The tables among `NAMES` that are asked for and have rows, by name."""
    builders = {
        "conditions": _conditions,
        "arms": _arms,
        "verdicts": _verdicts,
        "problems": _problems,
        "runs": _runs,
    }
    tables = {name: builders[name](found) for name in NAMES if name in set(names)}
    return {name: table for name, table in tables.items() if table.rows}


def lines(found: Difference) -> list[str]:
    """The answer in sentences: how many runs are equal, and which verdicts are not."""
    runs = len(found.pairs)
    extent = f"{counted(runs, 'run')} on {counted(len(found.cases), 'case')}"
    if found.equal == runs:
        said = [f"A and B are {_EQUAL}: {counted(runs, 'run')}."]
    elif found.equal:
        said = [f"A and B have {extent} in common; {_EQUAL}: {found.equal} of {runs}."]
    else:
        said = [f"A and B have {extent} in common; none is {_EQUAL}."]
    if not found.conditions:
        said.append("Specs, units, code, versions and machine are the same.")
    changed = [
        f"{one.variant}: {one.outcome} in A, {other.outcome} in B"
        for one, other in found.verdicts
        if one.outcome != other.outcome
    ]
    if changed:
        said.append(f"Verdicts against the baseline that differ: {'; '.join(changed)}.")
    elif found.verdicts:
        said.append("No verdict against the baseline differs.")
    return said


def notes(found: Difference) -> list[str]:
    """What limits the answer: redefinitions, and runs without a partner."""
    said = []
    if redefined := [one for one in found.conditions if one.kind == "definition"]:
        what = ", ".join(one.what.removeprefix("version of ") for one in redefined)
        said.append(f"Redefined between A and B, so that the ratios are of two things: {what}.")
    if units := [one for one in found.conditions if one.kind == "units"]:
        what = ", ".join(f"{one.what.removeprefix('unit of ')} ({one.a}, {one.b})" for one in units)
        said.append(f"Units differ between A and B, and such pairs have no ratio: {what}.")
    for why, counts in found.left_out.items():
        said.append(f"Runs without a partner ({why}): {counts[0]} of A, {counts[1]} of B.")
    return said


def _conditions(found: Difference) -> Table:
    pairs = len(found.pairs)
    rows: list[list[Cell]] = [
        [one.kind, one.what, one.a, one.b, f"{one.pairs} of {pairs}"] for one in found.conditions
    ]
    return Table(
        "conditions", "What differs beside the results", ["kind", "what", "A", "B", "runs"], rows
    )


def _arms(found: Difference) -> Table:
    rows: list[list[Cell]] = [_arm(found, comparison) for comparison in found.comparisons]
    family = max((c.claim.family for c in found.comparisons), default=1)
    return Table(
        "arms",
        f"B over A ({found.sides[0].main_metric})",
        [
            "arm",
            "B is",
            "error ratio",
            "low",
            "high",
            "problems",
            "pairs",
            "equal",
            "diverged in A",
            "diverged in B",
            "ms/step ×",
            "memory ×",
            "note",
        ],
        rows,
        "error ratio: geometric mean over the problems, with each model, of the error in B over the"
        " one in A of the same seed; below 1 B's error is smaller. low, high: 95 % interval for"
        f" other seeds on these problems. Claims are made at {ALPHA:.0%}"
        + (
            f", corrected for {family} arms (Holm)"
            if family > 1
            else f"; of several arms those with {LEAST_SEEDS_ALONE} seeds on each problem may claim"
        )
        + ". equal: pairs with every metric equal to the last bit. ms/step ×, memory ×: of B over"
        " A, whatever machines they ran on.",
    )


def _arm(found: Difference, comparison: Comparison) -> list[Cell]:
    arm, pairs = comparison.variant, found.of_arm(comparison.variant)
    equal = sum(map(is_equal, pairs))
    swapped = [(pair.b, pair.a) for pair in pairs]
    compared = comparison.effect.pairs > 0
    units = any(one.kind == "units" for one in found.conditions)
    return [
        arm,
        _EQUAL if equal == len(pairs) else comparison.outcome if compared else "no claim",
        main_ratio(comparison) if compared else None,
        *interval(comparison),
        comparison.effect.problems,
        len(pairs),
        equal,
        sum(pair.a.status == "diverged" for pair in pairs),
        sum(pair.b.status == "diverged" for pair in pairs),
        ratio_of(swapped, step_ms),
        ratio_of(swapped, memory_mb),
        "" if equal == len(pairs) else _note(comparison, units),
    ]


def _note(comparison: Comparison, units: bool) -> str:
    """Why nothing is claimed."""
    if not comparison.effect.pairs:
        return "no pair has equal units" if units else "no pair has both errors"
    if comparison.unseen:
        return f"{' and '.join(comparison.unseen)} did not see the equation"
    if comparison.claim.exploratory:
        return f"exploratory: several arms need {LEAST_SEEDS_ALONE} seeds to claim"
    if comparison.effect.pairs and not comparison.claim.enough:
        return "too few seeds for a claim"
    return ""


def _verdicts(found: Difference) -> Table:
    a, b = found.sides
    rows: list[list[Cell]] = []
    for one, other in found.verdicts:
        rows.append(
            [
                one.variant,
                one.outcome,
                main_ratio(one),
                *interval(one),
                other.outcome,
                main_ratio(other),
                *interval(other),
                "yes" if one.outcome != other.outcome else "no",
                "; ".join(_of_sides(remarks(a, one), remarks(b, other))),
            ]
        )
    return Table(
        "verdicts",
        "Against the baseline, in A and in B",
        [
            "arm",
            "in A",
            "ratio in A",
            "low in A",
            "high in A",
            "in B",
            "ratio in B",
            "low in B",
            "high in B",
            "differs",
            "note",
        ],
        rows,
        "Of the runs that both have. On either side the arms are one family.",
    )


def _of_sides(a: Sequence[str], b: Sequence[str]) -> list[str]:
    """What is said of both sides, then what is said of one."""
    only = [
        f"{side}: {text}"
        for side, own, other in (("A", a, b), ("B", b, a))
        for text in own
        if text not in other
    ]
    return [*(text for text in a if text in b), *only]


def _problems(found: Difference) -> Table:
    a, b = found.sides
    rows: list[list[Cell]] = []
    for comparison in found.comparisons:
        arm = comparison.variant
        for case in found.cases:
            if not (a.of(case, arm) and b.of(case, arm)):
                continue
            metric = a.metric(case)
            compared = case in comparison.by_case
            diverged = (a.diverged(case, arm), b.diverged(case, arm))
            rows.append(
                [
                    case.problem,
                    case.model,
                    arm,
                    metric,
                    _units(found, arm, case),
                    a.median(case, arm, metric),
                    b.median(case, arm, metric),
                    case_ratio(comparison, case) if compared else None,
                    len(comparison.by_case[case]) if compared else 0,
                    *(reversed(comparison.lost[case]) if compared else diverged),
                ]
            )
    rows.sort(key=lambda row: (str(row[0]), str(row[1]), found.arms.index(str(row[2]))))
    header = ["problem", "model", "arm", "metric", "unit", "median in A", "median in B"]
    return Table(
        "problems",
        "Problem by problem",
        [*header, "error ratio", "seeds", "diverged in A", "diverged in B"],
        rows,
    )


def _units(found: Difference, arm: str, case: Case) -> str:
    """The unit of the main error; that of A and that of B where they differ."""
    metric = found.sides[0].metric(case)
    each = [side.of(case, arm).values() for side in found.sides]
    units = ["/".join(sorted({unit_of(r, metric) for r in records})) for records in each]
    said = ["" if unit == "1" else unit for unit in units]
    return said[0] if units[0] == units[1] else f"{units[0]} in A, {units[1]} in B"


def _runs(found: Difference) -> Table:
    rows: list[list[Cell]] = []
    for pair in found.pairs:
        metric = found.columns[pair.a.problem].main[0]
        values = [record.metrics.get(metric) for record in pair]
        rows.append(
            [
                pair.a.problem,
                pair.a.model,
                pair.a.arm,
                pair.a.seed,
                pair.a.spec_hash,
                pair.b.spec_hash,
                pair.a.status,
                pair.b.status,
                metric,
                *(None if value is None else value.final for value in values),
                "yes" if is_equal(pair) else "no",
            ]
        )
    header = ["problem", "model", "arm", "seed", "run of A", "run of B", "status in A"]
    return Table("runs", "Runs", [*header, "status in B", "metric", "in A", "in B", "equal"], rows)
