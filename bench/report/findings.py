"""What limits a study's answer, in sentences."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

from bench.report.convergence import CONVERGED, LEARNED_NOTHING, learned_nothing, unconverged
from bench.report.results import Case, Results
from bench.statistics.claims import ALPHA, LEAST_SEEDS, LEAST_SEEDS_ALONE
from bench.statistics.effects import ratio
from bench.store.record import FINAL, Record
from bench.studies.catalogue import EVERYTHING
from bench.text.formatting import counted, ended, times_text

#: Error ratios of two problems that are said to differ are this much apart.
_MUCH = 3.0


def limits(results: Results, kind: str = "study", every: Results | None = None) -> list[str]:
    """What a reader must know before believing the answer, each in a sentence.

    Args:
        results: The results.
        kind: What they are of, in a word: in a ``ranking`` ratios are also of equal runs.
        every: All runs that the answer is made from, if there are others.
    """
    return [
        *_learned_nothing(results),
        *_early(results),
        *_unseen(results),
        *_lost(results),
        *_warnings(results),
        *_unfinished(results, kind),
        *_noops(results),
        *_same_runs(results, kind),
        *_spread(results),
        *_multiplicity(results),
        *_few_seeds(results),
        *mixture(list((every or results).records.values())),
    ]


def _learned_nothing(results: Results) -> list[str]:
    """A warning about references that are no better than the best constant or zero forces."""
    found: dict[str, dict[str, None]] = {}
    for comparison in results.comparisons:
        for case in learned_nothing(results, comparison):
            found.setdefault(comparison.reference, {})[case] = None
    return [
        f"{reference} learned nothing on {', '.join(cases)}: a skill of at most"
        f" {LEARNED_NOTHING:g}, or collapsed. There, an arm is compared with no network that could"
        " be used."
        for reference, cases in found.items()
    ]


def _early(results: Results) -> list[str]:
    """A warning about problems on which the reference is no solution yet."""
    found = unconverged(results)
    if not found:
        return []
    where = ", ".join(map(results.title, found))
    references = dict.fromkeys(comparison.reference for comparison in results.comparisons)
    who = "" if len(references) == 1 else "one of "
    return [
        f"On {where} the runs are not converged: the skill of {who}{', '.join(references)} is below"
        f" {CONVERGED:g} (0: the best constant prediction; 1: exact), so that a comparison with it"
        " is of the beginning of training, and a longer run may reverse it."
    ]


def _unseen(results: Results) -> list[str]:
    """Warnings about arms that were trained on another residual than that of what is scored."""
    said = []
    for variant in results.variants:
        where = {case: found for case in results.cases if (found := results.unseen(case, variant))}
        if where:
            cases = "; ".join(
                f"{results.title(case)}: {counted(len(found), 'run')}, for instance {found[0]}"
                for case, found in where.items()
            )
            said.append(
                f"No comparison with {variant} makes a claim: its residual in training is not that"
                f" of the function which is scored. Their ratio on {cases}."
            )
    return said


def _lost(results: Results) -> list[str]:
    """Warnings about arms whose runs diverged or collapsed: see `Results.collapsed`."""
    counts = []
    for variant in results.variants:
        total = sum(len(results.of(case, variant)) for case in results.cases)
        lost = {
            "diverged": sum(results.diverged(case, variant) for case in results.cases),
            "collapsed": sum(results.collapsed(case, variant) for case in results.cases),
        }
        if said := ", ".join(f"{count} {word}" for word, count in lost.items() if count):
            counts.append(f"{variant}: {said} of {total}")
    if not counts:
        return []
    return [
        "Runs without a usable network: those that diverged are counted apart from the ratios,"
        f" those that collapsed count with their error. {'; '.join(counts)}."
    ]


def _warnings(results: Results) -> list[str]:
    """Warnings that runs have in their records, with the number of runs of each arm.

    Those of collapsed runs are left out: `_lost` counts them.
    """
    said: dict[str, Counter[str]] = {}
    totals = Counter[str]()
    for variant in results.variants:
        for case in results.cases:
            for record in results.of(case, variant).values():
                totals[variant] += 1
                counted_there = bool(record.diagnostics.get("collapsed"))
                texts = [
                    text
                    for text in record.warnings
                    if not (counted_there and text.startswith("collapsed"))
                ]
                for text in dict.fromkeys(map(_without_figures, texts)):
                    said.setdefault(text, Counter())[variant] += 1
    return [
        ended(
            f"Runs that say “{text}”: "
            + ", ".join(f"{count} of {totals[name]} of {name}" for name, count in who.items())
        )
        for text, who in said.items()
    ]


def _without_figures(text: str) -> str:
    """A warning's first clause, so that warnings that differ only in their figures become one."""
    clause = re.split(r"[:;(]", text)[0].strip()
    return re.sub(r"(?<![\w.])\d[\d.]*(e[-+]?\d+)?(?!\w)", "…", clause)


def _unfinished(results: Results, kind: str) -> list[str]:
    missing = {status: n for status, n in results.statuses.items() if status not in FINAL}
    said = ", ".join(f"{count} {status}" for status, count in sorted(missing.items()))
    return [f"The {kind} is not finished, and these are left out: {said}."] if said else []


def _noops(results: Results) -> list[str]:
    """Warnings about techniques that a model already has: the arm is then only what remains."""
    found: dict[str, set[str]] = {}
    for spec in results.plan.specs:
        for noop in spec.noops:
            found.setdefault(noop, set()).add(spec.model)
    return [
        f"{noop} changes nothing on {', '.join(sorted(models))}: there, an arm with it is the rest"
        " of the arm."
        for noop, models in found.items()
    ]


def _same_runs(results: Results, kind: str) -> list[str]:
    what = "there the ratio is 1" if kind == "ranking" else "left out of their comparison"
    found: dict[tuple[str, str], list[Case]] = {}
    for comparison in results.comparisons:
        if comparison.noops:
            found[comparison.variant, comparison.reference] = list(comparison.noops)
    return [
        f"{variant} is the same run as {reference} on {', '.join(map(results.title, cases))}:"
        f" {what}."
        for (variant, reference), cases in found.items()
    ]


def _spread(results: Results) -> list[str]:
    """Warnings where one number stands for cases that differ much."""
    said = []
    for comparison in results.comparisons:
        middles = {case: one.estimate for case, one in comparison.on.items() if one.counts}
        if comparison.claim.verdict == "undecided" or len(middles) < 2:
            continue
        least, most = min(middles, key=middles.__getitem__), max(middles, key=middles.__getitem__)
        if middles[most] - middles[least] > math.log(_MUCH):
            each = ", ".join(
                f"{times_text(ratio(middles[case]))} on {results.title(case)}"
                for case in (least, most)
            )
            said.append(
                f"{comparison.variant} against {comparison.reference} differs between problems:"
                f" {each}."
            )
    return said


def _multiplicity(results: Results) -> list[str]:
    compared = [c for c in results.comparisons if c.effect.pairs and not c.unseen]
    if not compared:
        return []
    said = (
        f"Claims are made at {ALPHA:.0%}, so a 95 % interval may exclude 1 and nothing be claimed."
    )
    size = max(c.claim.family for c in compared)
    if size > 1:
        said += (
            f" Those of the {size} comparisons are corrected for their number (Holm); their"
            " intervals are not."
        )
    return [said]


def _few_seeds(results: Results) -> list[str]:
    compared = [c for c in results.comparisons if c.effect.pairs]
    few = sum(not c.claim.enough for c in compared if not c.unseen)
    said = []
    if few:
        said.append(
            f"{counted(few, 'comparison')} with too few seeds (a claim needs {LEAST_SEEDS} on each"
            f" of at least three problems, {LEAST_SEEDS_ALONE} where there are fewer problems or"
            " several claims): no claim is made, whatever the figures are."
        )
    undeclared = results.plan.study == EVERYTHING
    if exploratory := [c.name for c in compared if c.claim.exploratory]:
        which = ended(f"Exploratory: {', '.join(exploratory)}")
        said.append(
            f"{which} Several comparisons make claims only with {LEAST_SEEDS_ALONE} seeds on each"
            " problem" + ("." if undeclared else "; with fewer the first one alone does.")
        )
    return said


def _differ_in_code(records: Sequence[Record]) -> bool:
    """Whether a definition that several records depend on is not the same for all."""
    digests: dict[str, set[str]] = {}
    for record in records:
        code = record.environment.get("code")
        # Earlier code had one digest for all that there is.
        for name, digest in code.items() if isinstance(code, dict) else [("", str(code))]:
            digests.setdefault(name, set()).add(str(digest))
    several = any(len(found) > 1 for found in digests.values())
    return several or ("" in digests and len(digests) > 1)


def _package_versions(records: Sequence[Record]) -> str:
    """``torch 2.10 (15 runs), 2.11 (5 runs)``; empty if each package has one version."""
    found: dict[str, Counter[str]] = {}
    for record in records:
        versions = record.environment.get("versions")
        for name, version in versions.items() if isinstance(versions, dict) else ():
            found.setdefault(str(name), Counter())[str(version)] += 1
    return "; ".join(
        f"{name} "
        + ", ".join(f"{version} ({counted(n, 'run')})" for version, n in sorted(counts.items()))
        for name, counts in sorted(found.items())
        if len(counts) > 1
    )


def mixture(records: Sequence[Record]) -> list[str]:
    """Warnings about records that were made under different conditions."""
    said = []
    codes = Counter(str(record.environment.get("commit"))[:8] for record in records)
    if _differ_in_code(records):
        each = ", ".join(f"{count} by {commit}" for commit, count in sorted(codes.items()))
        said.append(f"The runs were made by different code: {each}.")
    if several := _package_versions(records):
        said.append(f"The runs were made with different versions of packages: {several}.")
    if len({record.seeds_together for record in records}) > 1:
        said.append(
            "Some seeds were trained together as one model: their times are a seed's share, and do"
            " not compare with those of seeds trained alone."
        )
    places = Counter(str(r.environment.get("gpu") or r.environment.get("cpu")) for r in records)
    if len(places) > 1:
        each = ", ".join(f"{count} on {place}" for place, count in sorted(places.items()))
        said.append(f"The runs were made on different devices, so times do not compare: {each}.")
    beside = Counter(record.environment.get("jobs", 1) for record in records)
    if len(beside) > 1:
        each = ", ".join(f"{n} with {jobs}" for jobs, n in sorted(beside.items(), key=str))
        said.append(
            "The runs were made with different numbers of jobs at once, so times compare only"
            f" between runs with as many: {each}."
        )
    return said
