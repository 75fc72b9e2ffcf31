"""What a nightly found, as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.tracking.comparison import Change, Verdict


@dataclass
class Findings:
    """Everything that the summary says.

    Attributes:
        commit: Short hash and subject of what was judged.
        base: The same of what it was compared with; ``None``: nothing to compare with.
        base_hash: Full hash of that.
        commit_hash: Full hash of what was judged.
        profile: What was measured.
        machine: asv's name of the machine.
        measured: How many values the commit has.
        changes: Of all benchmarks, against the base.
        worse: Those that make the verdict red.
        crept: Those that got worse since the reference in steps too small to be seen.
        reference: Short hash and subject of the reference.
        refuted: Names of suspected times that a second measurement did not confirm.
        first_bad: Short hash of the first measured commit that has a regression, by its name.
        notes: Sentences about the machine and the measurement.
        reasons: Last lines of what failed benchmarks said.
        logs: Where asv's output is.
        pages: Where the pages are.
        config: asv's configuration with which the results are found.
    """

    commit: str
    commit_hash: str
    profile: str
    machine: str
    base: str | None = None
    base_hash: str | None = None
    measured: int = 0
    changes: Sequence[Change] = ()
    worse: Sequence[Change] = ()
    crept: Sequence[Change] = ()
    reference: str | None = None
    refuted: Sequence[str] = ()
    first_bad: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    logs: Path | None = None
    pages: Path | None = None
    config: Path = Path("asv.conf.json")

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
        title = f"## Worse in small steps since {found.reference}"
        parts += [title, _table(found.crept, {})]
    if found.worse and found.base_hash:
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
        yield f"  {change.describe()}, in small steps since {found.reference}"
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
    worst = found.worse[0]
    range_ = f"{(found.base_hash or '')[:10]}..{found.commit_hash[:10]}"
    variable = f"DCBENCH_PROFILE={found.profile}"
    config = found.config
    return (
        "To find the commit, where several are in between:\n\n"
        f"    {variable} asv --config {config} find {range_} '{worst.name.partition('(')[0]}$'\n\n"
        "If the change is wanted:\n\n"
        f"    python -m bench.nightly --accept {found.commit_hash[:10]}"
        f" --reason '…' --profile {found.profile} --machine {found.machine}"
    )
