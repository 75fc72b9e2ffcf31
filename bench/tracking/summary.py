"""The findings of a nightly, as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.tracking.comparison import Change, Verdict


@dataclass
class Findings:
    """Everything that the summary says.

    Attributes:
        commit: Short hash and subject of the commit that was judged.
        base: Short hash and subject of the commit that it was compared with; ``None``: there was
            nothing to compare with.
        base_hash: Full hash of the base.
        commit_hash: Full hash of the commit that was judged.
        profile: Profile of the measurement.
        machine: asv's name of the machine.
        distance: Number of commits from the base to the commit.
        measured: Number of values that the commit has.
        changes: Changes of all benchmarks against the base.
        worse: The changes that make the verdict red.
        crept: Changes over several nights, in steps too small to be seen.
        since: Short hash of the commit from which such steps are added up, by name.
        refuted: Names of suspected times that a second measurement did not confirm.
        first_bad: Short hash of the first measured commit that has a regression, by its name.
        notes: Sentences about the machine and the measurement.
        reasons: Last lines of the output of failed benchmarks.
        logs: Folder with asv's output.
        pages: Folder with the pages.
        config: asv's configuration that finds the results.
        accept: Command that accepts the commit as it is.
    """

    commit: str
    commit_hash: str
    profile: str
    machine: str
    base: str | None = None
    base_hash: str | None = None
    distance: int = 0
    measured: int = 0
    changes: Sequence[Change] = ()
    worse: Sequence[Change] = ()
    crept: Sequence[Change] = ()
    since: dict[str, str] = field(default_factory=dict)
    refuted: Sequence[str] = ()
    first_bad: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    logs: Path | None = None
    pages: Path | None = None
    config: Path = Path("asv.conf.json")
    accept: str = ""

    @property
    def red(self) -> bool:
        """Whether something got worse."""
        return bool(self.worse or self.crept)


def markdown(found: Findings) -> str:
    """The summary: the verdict first, then what got worse, better, and what to do."""
    parts = [f"# {_headline(found)}", _compared(found)]
    if found.worse:
        parts += ["## Worse", _table(found.worse, found.first_bad)]
    if found.reasons:
        parts += ["## What failed benchmarks said", *(f"    {line}" for line in found.reasons)]
    if found.crept:
        since = ", ".join(sorted({found.since[change.name] for change in found.crept}))
        parts += [f"## Worse in small steps since {since}", _table(found.crept, {})]
    if found.red:
        parts.append(_how_to_go_on(found))
    better = [c for c in found.changes if c.verdict in (Verdict.IMPROVEMENT, Verdict.FIXED)]
    if better:
        parts += ["## Better", _table(better, {})]
    if found.refuted:
        names = ", ".join(f"`{name}`" for name in found.refuted)
        parts.append(f"Suspected, and not confirmed when measured again in turn: {names}.")
    if found.notes:
        parts += ["## Notes", "\n".join(f"* {note}" for note in found.notes)]
    where = [f"logs in `{found.logs}`"] if found.logs else []
    where += [f"pages in `{found.pages}`"] if found.pages else []
    if where:
        parts.append(f"{'; '.join(where)}.".capitalize())
    return "\n\n".join(parts) + "\n"


def lines(found: Findings) -> Iterable[str]:
    """The same for a terminal: the verdict, and a line for each thing that got worse."""
    yield _headline(found)
    for change in found.worse:
        first = found.first_bad.get(change.name)
        yield f"  {change.describe()}" + (f", first seen in {first}" if first else "")
    for change in found.crept:
        yield f"  {change.describe()}, in small steps since {found.since[change.name]}"
    for reason in found.reasons:
        yield f"    {reason}"


def _headline(found: Findings) -> str:
    if not found.red:
        return f"{'Green' if found.base else 'First measurement'}: {found.commit}"
    count = len({change.name for change in (*found.worse, *found.crept)})
    return f"Red: {count} benchmark{'s' if count > 1 else ''} worse in {found.commit}"


def _compared(found: Findings) -> str:
    what = f"{found.measured} values of profile `{found.profile}` on `{found.machine}`"
    if found.base is None:
        return f"{what}; there is no earlier commit to compare with."
    return f"{what}, compared with {found.base}."


def _table(changes: Iterable[Change], first_bad: dict[str, str]) -> str:
    rows = ["| benchmark | verdict | before → now | first seen |", "|---|---|---|---|"]
    for change in changes:
        what = change.describe().partition(f"{change.name}: ")[2]
        first = first_bad.get(change.name, "")
        cells = (f"`{change.name}`", change.verdict, what, first)
        rows.append(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |")
    return "\n".join(rows)


def _how_to_go_on(found: Findings) -> str:
    parts = []
    regressions = [c for c in found.worse if c.verdict is Verdict.REGRESSION]
    if regressions and found.base_hash:
        # As many commits as there are up to the good one, which asv has to start from.
        range_ = f"'{found.commit_hash[:10]} -{found.distance + 1}'"
        benchmark = regressions[0].name.partition("(")[0]
        parts += [
            "To find the commit, where several are in between:",
            f"    DCBENCH_PROFILE={found.profile} asv --config {found.config} find --skip-save"
            f" --machine {found.machine} {range_} {benchmark}",
        ]
    return "\n\n".join([*parts, "If the change is wanted:", f"    {found.accept}"])
