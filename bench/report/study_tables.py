"""The tables of a study's report."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable

from bench.report.convergence import learned_nothing
from bench.report.ratios import compact, interval, main_ratio
from bench.report.results import Comparison, Results
from bench.report.start import measured_slope, signal_at_start
from bench.report.tabulation import Cell, Table
from bench.statistics.claims import Verdict
from bench.store.gc_pause import uncollected
from bench.store.record import Record
from bench.task import PublishedFigures, Suite

#: Builders by the name of their table; one that has no rows is left out of a report.
Builder = Callable[[Results, Suite], Table]


@uncollected()
def study_tables(results: Results, suite: Suite, names: Iterable[str]) -> dict[str, Table]:
    """The tables among `NAMES` that are asked for and have rows, by name."""
    asked = set(names)
    builders = zip(NAMES, BUILDERS, strict=True)
    built = [builder(results, suite) for name, builder in builders if name in asked]
    return {table.name: table for table in built if table.rows}


def effects_table(results: Results, suite: Suite) -> Table:
    """Each comparison in the main error."""
    del suite
    rows = [_effect_row(results, comparison) for comparison in results.comparisons]
    noted = any(row[-1] for row in rows)
    return Table(
        "effects",
        f"Error ratios ({results.main_metric})",
        [
            "comparison",
            "verdict",
            "error ratio",
            "low",
            "high",
            "low (problems like these)",
            "high (problems like these)",
            "problems",
            "better on",
            "worse on",
            "diverges on",
            "wins",
            "ties",
            "losses",
            "diverged",
            "pairs",
            "seeds needed",
            *(["note"] if noted else []),
        ],
        rows if noted else [row[:-1] for row in rows],
        "error ratio: geometric mean over the problems, with each model, of the arm's error over"
        " its reference's; below 1 the arm's error is smaller. Problems on which at least half of"
        " the seeds of one side diverge are left out of it, and counted instead. low, high: 95 %"
        " interval for other seeds on these problems, and for other problems like these, which"
        " fails where one problem in ten is of another kind. diverged: pairs in which the arm has"
        " no network and the reference has. problems: those on which the two differ. seeds needed:"
        " per problem, for a claim in four of five such studies if the estimate is true.",
    )


def _effect_row(results: Results, comparison: Comparison) -> list[Cell]:
    found, claim = comparison.effect, comparison.claim
    head: list[Cell] = [comparison.name, comparison.outcome]
    if not found.pairs:
        return [*head, *[None] * 15, ""]
    nothing = learned_nothing(results, comparison)
    return [
        *head,
        main_ratio(comparison),
        *interval(comparison),
        *interval(comparison, like=True),
        found.problems,
        *(claim.outcomes.count(word) for word in ("better", "worse", "diverges")),
        found.wins,
        found.ties,
        found.losses,
        found.diverged,
        found.pairs,
        claim.seeds_needed,
        f"the reference learned nothing on {', '.join(nothing)}" if nothing else "",
    ]


def factorial_table(results: Results, suite: Suite) -> Table:
    """Main effects and interactions."""
    del suite
    unseen = results.factorial_unseen
    runs = sum(errors.size for errors in results.factorial_errors.values())
    rows: list[list[Cell]] = []
    for term in results.factorial:
        main = len(term.factors) == 1
        verdict = term.verdict if main else _interaction(term.verdict)
        if term.exploratory:
            verdict = "exploratory"
        rows.append(
            [
                " × ".join(term.factors),
                "no claim" if unseen else verdict,
                "main effect" if main else "interaction",
                *term.effect.ratios,
                f"{term.diverged} of {runs}" if term.diverged else "",
            ]
        )
    reason = (
        f" No claim: the residual of {', '.join(unseen)} in training is not that of the function"
        " which is scored."
    )
    cases = ", ".join(map(results.title, results.factorial_errors))
    return Table(
        "factorial",
        f"Main effects and interactions ({results.main_metric})",
        ["factor", "verdict", "kind", "ratio", "low", "high", "diverged"],
        rows,
        "A main effect is the error ratio of a factor averaged over the others' levels; an"
        " interaction is by how much the ratio of one changes when the other is on (1: they"
        " multiply). A diverged run is entered with the worst error of its problem, which is a"
        f" guess, so that nothing is claimed where there is one. Over {cases}."
        + (reason if unseen else ""),
    )


def _interaction(verdict: Verdict) -> str:
    return {"better": "help each other", "worse": "hinder each other"}.get(verdict, verdict)


def metrics_table(results: Results, suite: Suite) -> Table:
    """Each comparison in every error and loss term."""
    del suite
    rows: list[list[Cell]] = []
    for metric in results.errors_shown:
        of_metric = [results.compare(*pair, metric) for pair in results.plan.comparisons]
        if any(comparison.effect.pairs for comparison in of_metric):
            rows.append([metric, *map(compact, of_metric)])
    return Table(
        "metrics",
        "Ratios in every metric",
        ["metric", *(f"{one} / {other}" for one, other in results.plan.comparisons)],
        rows,
        "As above, over the problems that have the metric. Loss terms are on the training points: a"
        " network that has collapsed can have a small one.",
    )


def names_table(results: Results, suite: Suite) -> Table:
    """The arms that have short names."""
    del suite
    rows: list[list[Cell]] = [[name, arm] for name, arm in results.plan.names.items()]
    return Table("names", "Short names of arms", ["name", "arm"], rows)


def errors_table(results: Results, suite: Suite) -> Table:
    """Each arm on each case in the main error."""
    del suite
    rows: list[list[Cell]] = []
    for case, variant in results.ended:
        found = results.summary(case, variant, results.metric(case))
        twin = results.twin(case, variant)
        rows.append(
            [
                case.problem,
                case.model,
                variant,
                found.median,
                found.mean,
                found.low,
                found.high,
                found.seeds,
                found.diverged,
                results.collapsed(case, variant),
                _milliseconds(results.of(case, variant).values()),
                f"the same run as {twin}" if twin else "",
            ]
        )
    unit = results.unit(results.main_metric)
    noted = any(row[-1] for row in rows)
    return Table(
        "errors",
        f"{results.main_metric}{f' ({unit})' if unit else ''} of each arm on each problem",
        [
            "problem",
            "model",
            "arm",
            "median",
            "mean",
            "low",
            "high",
            "seeds",
            "diverged",
            "collapsed",
            "ms/step",
            *(["note"] if noted else []),
        ],
        rows if noted else [row[:-1] for row in rows],
        "ms/step: a seed's share where several were trained together. low, high: 95 % bootstrap"
        " interval of the median over seeds; below six seeds no interval of a single problem can be"
        " a 95 % one, and it is the range of the seeds.",
    )


def _milliseconds(records: Iterable[Record]) -> float | None:
    times = [
        r.timing.step_ms_median / r.seeds_together
        for r in records
        if r.timing.step_ms_median is not None
    ]
    return statistics.median(times) if times else None


def values_table(results: Results, suite: Suite) -> Table:
    """Medians of all metrics."""
    del suite
    rows: list[list[Cell]] = []
    for case, variant in results.ended:
        medians = [results.median(case, variant, metric) for metric in results.metrics]
        rows.append([case.problem, case.model, variant, *medians])
    units = {name: results.unit(name) for name in results.metrics}
    return Table(
        "values",
        "Medians of every metric",
        [
            "problem",
            "model",
            "arm",
            *(f"{n} ({units[n]})" if units[n] else n for n in results.metrics),
        ],
        rows,
    )


def start_table(results: Results, suite: Suite) -> Table:
    """How the networks of each arm started: medians over the seeds."""
    del suite
    rows: list[list[Cell]] = []
    for case, variant in results.ended:
        records = list(results.of(case, variant).values())
        found = [signal for record in records if (signal := signal_at_start(record)) is not None]
        if not found:
            continue
        rows.append(
            [
                case.problem,
                case.model,
                variant,
                _median(signal.share for signal in found),
                _median(signal.median for signal in found),
                _median(signal.largest for signal in found),
                _median(map(measured_slope, records)),
            ]
        )
    return Table(
        "start",
        "How each arm starts",
        [
            "problem",
            "model",
            "arm",
            "energy in 1 %",
            "median output",
            "largest output",
            "slope",
        ],
        rows,
        "Before the first step, on the training data, medians over seeds. energy in 1 %: share of"
        " the sum of squares in the 1 % of the rows that have most of it, in the layer where it is"
        " largest; near 1 a few rows are all there is to train on. output: its norm over the rows."
        " slope: of the correlation map through all layers, where featurewise measured it.",
    )


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def published_table(results: Results, suite: Suite) -> Table:
    """The arms beside published figures, where there are some."""
    rows: list[list[Cell]] = []
    source = ""
    if isinstance(suite, PublishedFigures):
        source = suite.published_source
        for case, variant in results.ended:
            first = next(iter(results.runs(case, variant).values()))
            for figure in suite.published(first.spec):
                here = results.median(case, variant, figure.metric)
                what = (case.problem, case.model, variant, figure.metric)
                rows.append([*what, here, figure.value, figure.unit, figure.data])
    return Table(
        "published",
        "Beside the published figures",
        ["problem", "model", "arm", "metric", "here", "published", "unit", "published for"],
        rows,
        f"Published: {source} Data, widths and training length differ from those here unless the"
        " problem is md17-… under the budget paper: compare directions, not figures.",
    )


def runs_table(results: Results, suite: Suite) -> Table:
    """Every run with all its metrics and the command that repeats it."""
    del suite
    metrics = results.metrics
    rows: list[list[Cell]] = []
    for run in results.plan.runs:
        spec, record = run.spec, results.records.get(run.spec.hash)
        row: list[Cell] = [spec.hash, spec.problem, spec.model, spec.arm, spec.seed]
        if record is None:
            row += ["waiting", None, *[None] * len(metrics), *[None] * 5, run.command]
        else:
            finals = [record.metrics.get(name) for name in metrics]
            environment = record.environment
            row += [
                record.status,
                record.reason,
                *(None if value is None else value.final for value in finals),
                record.steps_done,
                record.timing.train_s,
                record.timing.step_ms_median,
                str(environment.get("gpu") or environment.get("cpu")),
                environment.get("commit"),
                run.command,
            ]
        rows.append(row)
    return Table(
        "runs",
        "Runs",
        [
            "run",
            "problem",
            "model",
            "arm",
            "seed",
            "status",
            "reason",
            *metrics,
            "steps",
            "train_s",
            "step_ms",
            "device",
            "commit",
            "command",
        ],
        rows,
    )


#: The tables that `study_tables` can have.
BUILDERS: tuple[Builder, ...] = (
    names_table,
    effects_table,
    factorial_table,
    metrics_table,
    errors_table,
    values_table,
    start_table,
    published_table,
    runs_table,
)

#: Their names, and of those that say something of more than a run.
NAMES = tuple(builder.__name__.removesuffix("_table") for builder in BUILDERS)
SUMMARIES = tuple(name for name in NAMES if name != "runs")
