"""The findings of a nightly, as Markdown and as lines for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

from bench.tracking.comparison import Change, Verdict
from bench.tracking.findings import Findings


def markdown(found: Findings) -> str:
    """The summary: the verdict first, then what got worse, better, and what to do."""
    judgement, creeping = found.judgement, found.creeping
    parts = [f"# {_headline(found)}", _compared(found)]
    if judgement.worse:
        parts += ["## Worse", _table(judgement.worse, judgement.first_bad)]
    if found.reasons:
        parts += ["## What failed benchmarks said", *(f"    {line}" for line in found.reasons)]
    if creeping.worse:
        since = ", ".join(sorted({creeping.since[change.name] for change in creeping.worse}))
        parts += [f"## Worse in small steps since {since}", _table(creeping.worse)]
    if found.red:
        parts.append(_how_to_go_on(found))
    better = [c for c in judgement.changes if c.verdict in (Verdict.IMPROVEMENT, Verdict.FIXED)]
    if better:
        parts += ["## Better", _table(better)]
    if judgement.refuted:
        names = ", ".join(f"`{name}`" for name in judgement.refuted)
        parts.append(f"Suspected, and not confirmed when measured again in turn: {names}.")
    if found.notes:
        parts += ["## Notes", "\n".join(f"* {note}" for note in found.notes)]
    where = f"logs in `{found.logs}`" + (f"; pages in `{found.pages}`" if found.pages else "")
    parts.append(f"{where[:1].upper()}{where[1:]}.")
    return "\n\n".join(parts) + "\n"


def lines(found: Findings) -> Iterator[str]:
    """The same for a terminal: the verdict, and a line for each thing that got worse."""
    yield _headline(found)
    for change in found.judgement.worse:
        first = found.judgement.first_bad.get(change.name)
        yield f"  {change.describe()}" + (f", first seen in {first}" if first else "")
    for change in found.creeping.worse:
        yield f"  {change.describe()}, in small steps since {found.creeping.since[change.name]}"
    for reason in found.reasons:
        yield f"    {reason}"


def _headline(found: Findings) -> str:
    if not found.red:
        return f"{'Green' if found.base_title else 'First measurement'}: {found.title}"
    count = len({change.name for change in found.worse})
    return f"Red: {count} benchmark{'s' if count > 1 else ''} worse in {found.title}"


def _compared(found: Findings) -> str:
    what = f"{found.measured} values of profile `{found.profile}` on `{found.machine}`"
    if found.base_title is None:
        return f"{what}; there is no earlier commit to compare with."
    return f"{what}, compared with {found.base_title}."


def _table(changes: Iterable[Change], first_bad: Mapping[str, str] = MappingProxyType({})) -> str:
    rows = ["| benchmark | verdict | before → now | first seen |", "|---|---|---|---|"]
    for change in changes:
        what = change.describe().partition(f"{change.name}: ")[2]
        first = first_bad.get(change.name, "")
        cells = (f"`{change.name}`", change.verdict, what, first)
        rows.append(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |")
    return "\n".join(rows)


def _how_to_go_on(found: Findings) -> str:
    parts = []
    judgement = found.judgement
    regressions = [c for c in judgement.worse if c.verdict is Verdict.REGRESSION]
    if regressions and judgement.base:
        # As many commits as there are up to the good one, which asv has to start from.
        range_ = f"'{found.commit[:10]} -{judgement.distance + 1}'"
        benchmark = regressions[0].name.partition("(")[0]
        parts += [
            "To find the commit, where several are in between:",
            f"    DCBENCH_PROFILE={found.profile} asv --config {found.config} find --skip-save"
            f" --machine {found.machine} {range_} {benchmark}",
        ]
    return "\n\n".join([*parts, "If the change is wanted:", f"    {found.accept}"])
