"""What ``report A B`` compares: the runs of a store, of a study or of a ranking."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.plugins import load_suite
from bench.ranking.ranking import rankings
from bench.report.whole_store import results_of_store
from bench.spec.spec import Spec
from bench.store.gc_pause import uncollected
from bench.store.record import Record, decode_result
from bench.store.store import Store
from bench.studies.plan import Plan, columns_of, plans
from bench.task import Columns
from bench.text.errors import BadInput, nearest, unknown


@dataclass(frozen=True)
class Side:
    """One of two things that are compared.

    Attributes:
        name: As it was asked for.
        records: Of its runs, each under the arm by which it was planned.
        columns: The metrics of each problem, by suite.
        chosen: Whether somebody chose its runs, so that all of them belong together. A store may
            have runs of several kinds.
    """

    name: str
    records: Sequence[Record]
    columns: Mapping[str, Mapping[str, Columns]]
    chosen: bool

    def of(self, suite: str | None, budget: str | None) -> Side:
        """Only the runs of a suite and a budget; ``None``: of all."""
        records = [
            record
            for record in self.records
            if suite in (None, record.suite) and budget in (None, record.budget)
        ]
        return Side(self.name, records, self.columns, self.chosen)


def read_side(name: str, out: Store) -> Side:
    """The runs that a name stands for.

    Args:
        name: The directory of a store; ``DIR:NAME``, a study or a ranking of another store; or the
            name or key of a study or ranking of `out`.
        out: The store of names without a directory.

    Raises:
        BadInput: It is none of these, has no runs, or is the name of several studies or rankings of
            one suite and budget.
    """
    if _is_store(Path(name)):
        return side_of_store(Store(Path(name)), name)
    folder, colon, inside = name.rpartition(":")
    if colon and _is_store(Path(folder)):
        return _of_plans(Store(Path(folder)), inside, name)
    if colon or "/" in name or Path(name).is_dir():
        path = Path(folder if colon else name)
        raise BadInput(f"there is no store of results in {str(path)!r}{_near(path)}")
    if not _is_store(out.root):
        raise BadInput(
            f"{name!r} is no store of results, and there is none in {str(out.root)!r} that could"
            " have a study of that name"
        )
    return _of_plans(out, name, name)


def side_of_store(store: Store, name: str) -> Side:
    """All runs of a store, but for trials of rankings and their runs of other lengths.

    Raises:
        BadInput: It has none.
    """
    read = results_of_store(store, None, None)
    records = [
        record
        for of_suite in read.by_suite.values()
        for record in of_suite
        if record.spec_hash not in read.retuned
    ]
    return side_of_records(records, name)


def side_of_records(records: Sequence[Record], name: str) -> Side:
    """Runs of which nobody says that they belong together.

    Args:
        records: Of the runs.
        name: What the side is called.
    """
    problems: dict[str, dict[str, None]] = {}
    for record in records:
        problems.setdefault(record.suite, {})[record.problem] = None
    columns = {suite: columns_of(load_suite(suite), sorted(of)) for suite, of in problems.items()}
    return Side(name, records, columns, chosen=False)


def _of_plans(store: Store, asked: str, name: str) -> Side:
    """The runs of a study or ranking of a store."""
    # As the study was run: a file's study is called after it.
    asked = Path(asked).stem if asked.endswith(".toml") else asked
    ranked = {ranking.key: ranking for ranking in rankings(store)}
    known: list[tuple[str, str, Plan]] = [(plan.study, plan.key, plan) for plan in plans(store)]
    known += [(ranking.name, key, ranking.plan()) for key, ranking in ranked.items()]
    found = [(key, plan) for called, key, plan in known if asked in (called, key)]
    # What has the key itself is meant, whatever else is called so.
    found = [(key, plan) for key, plan in found if key == asked] or found
    _refuse_several(found, name)
    if not found:
        names = {called for called, _, _ in known} | {key for _, key, _ in known}
        raise unknown(f"study or ranking in {str(store.root)!r}:", asked, names)
    columns: dict[str, dict[str, Columns]] = {}
    for _, plan in found:
        columns.setdefault(plan.suite, {}).update(plan.columns)
    specs = [spec for _, plan in found for spec in plan.specs]
    return Side(name, list(_records(store, specs)), columns, chosen=True)


def _refuse_several(found: Sequence[tuple[str, Plan]], name: str) -> None:
    """Refuse a name that several studies or rankings of one suite and budget have.

    Their runs are of other protocols, settings or rates, and would be pooled.
    """
    keys: dict[tuple[str, str], list[str]] = {}
    for key, plan in found:
        keys.setdefault((plan.suite, plan.budget), []).append(key)
    for (suite, budget), several in sorted(keys.items()):
        if len(several) > 1:
            raise BadInput(
                f"{name!r} is {len(several)} studies or rankings of {suite} at budget {budget},"
                f" name one by its key: {', '.join(sorted(several))}"
            )


def _records(store: Store, specs: Iterable[Spec]) -> Iterable[Record]:
    with uncollected():
        for spec in specs:
            record = store.read(spec.hash, decode_result)
            if record is not None:
                yield record.labelled(spec)


def _is_store(path: Path) -> bool:
    return (path / "runs").is_dir()


def _near(path: Path) -> str:
    """The store beside it whose name is like its own."""
    try:
        beside = sorted(p.name for p in path.parent.iterdir() if _is_store(p))
    except OSError:
        return ""
    return nearest(path.name, beside)
