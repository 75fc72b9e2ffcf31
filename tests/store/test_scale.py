"""What reads a store does work in proportion to its records, and its pages stay openable."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
from make_store import make_store
from sample_records import record
from sample_study import constant, results
from sample_study import plan as sample_plan

from bench.report import pictures
from bench.report.document import html
from bench.report.results import Results
from bench.report.shortening import MOST_CELLS, shortened, words_of
from bench.report.tabulation import Table
from bench.spec.spec import Spec
from bench.store.record import Metric, Record, decode, decode_drawn, decode_result, encode
from bench.store.store import Decode, Store
from bench.studies.plan import plans
from bench.suite import main

_ARMS, _FEW, _MANY = 5, 300, 1200


def template() -> Record:
    """A record as large as a real one of budget quick."""
    rng = np.random.default_rng(0)
    terms = ("loss", "Lf", "LIC", "LBC")
    metrics = ("L2RE", "MSE", "skill", *terms)
    step = np.arange(0.0, 4000, 20).tolist()
    evaluated = np.arange(0.0, 4001, 400).tolist()
    return record(
        metrics={name: Metric(0.25, 0.125) for name in metrics},
        units=dict.fromkeys(metrics, "1"),
        losses={"step": step, **{n: rng.random(len(step)).tolist() for n in terms}},
        history={
            "step": evaluated,
            "seconds": evaluated,
            **{n: rng.random(len(evaluated)).tolist() for n in metrics},
        },
    )


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Stores of few and of many runs."""
    roots = {runs: tmp_path_factory.mktemp("scale") / "store" for runs in (_FEW, _MANY)}
    for runs, root in roots.items():
        make_store(root, [template()], runs, _ARMS)
    return roots


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[str]]:
    """Files read and specs hashed."""
    found = Counter[str]()
    read_bytes, of_spec = Path.read_bytes, vars(Spec)["hash"].fget

    def counted_read(path: Path) -> bytes:
        found["files"] += path.name == "record.json"
        return read_bytes(path)

    def counted_hash(spec: Spec) -> str:
        found["hashes"] += 1
        return str(of_spec(spec))

    monkeypatch.setattr(Path, "read_bytes", counted_read)
    monkeypatch.setattr(Spec, "hash", property(counted_hash))
    yield found


_COMMANDS = {
    "page": ["report", "--study", "scale"],
    "csv": ["report", "--study", "scale", "--format", "csv"],
    "md": ["report", "--study", "scale", "--format", "md"],
    "page of all": ["report"],
    "csv of all": ["report", "--format", "csv"],
}


@pytest.mark.parametrize("name", _COMMANDS)
def test_a_report_reads_and_hashes_each_run_a_few_times(
    name: str, roots: dict[int, Path], counts: Counter[str], capsys: pytest.CaptureFixture[str]
) -> None:
    seen, seconds = {}, {}
    for runs, root in roots.items():
        counts.clear()
        start = time.process_time()
        assert main([*_COMMANDS[name], "--out", str(root)]) == 0
        seconds[runs] = time.process_time() - start
        seen[runs] = Counter(counts)
    assert "bench: ignoring" not in capsys.readouterr().err
    passes = 2 if name.endswith("all") else 1
    assert {runs: seen[runs]["files"] for runs in roots} == {r: passes * r for r in roots}
    assert seen[_MANY]["hashes"] <= 12 * _MANY
    assert seen[_MANY]["hashes"] <= 1.1 * _MANY / _FEW * seen[_FEW]["hashes"]
    # Generous: the quadratic would take sixteen times as long.
    assert seconds[_MANY] < 8 * seconds[_FEW] + 1


def test_show_reads_one_record(
    roots: dict[int, Path], counts: Counter[str], capsys: pytest.CaptureFixture[str]
) -> None:
    name = Store(roots[_MANY]).names()[7]
    assert main(["show", name, "--out", str(roots[_MANY])]) == 0
    assert capsys.readouterr().out.startswith(name)
    assert counts["files"] == 1


def test_parts_of_a_record_are_as_in_the_whole() -> None:
    whole = template()
    content = encode(whole)
    assert decode_result(content) == msgspec.structs.replace(whole, losses={}, history={})
    drawn = decode_drawn("L2RE")(content)
    assert drawn.losses == {name: whole.losses[name] for name in ("step", "loss")}
    assert drawn.history == {name: whole.history[name] for name in ("step", "seconds", "L2RE")}
    assert decode_result(content.replace(b'"losses"', b'"others"')).metrics == whole.metrics


@pytest.mark.parametrize("read", [decode_result, decode_drawn("L2RE")])
@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"seed": 0', b'"seed": 1'),
        (b'"schema": ', b'"schema": 9'),
        (b"{", b"["),
        (b'"done"', b"1"),
    ],
)
def test_a_part_of_a_damaged_record_is_refused_as_the_whole_is(
    read: Decode, old: bytes, new: bytes
) -> None:
    content = encode(template()).replace(old, new)
    with pytest.raises(ValueError) as of_whole:
        decode(content)
    with pytest.raises(ValueError) as of_part:
        read(content)
    assert str(of_part.value) == str(of_whole.value)


def test_a_page_shows_the_runs_of_the_first_seeds_and_says_how_to_get_all(
    roots: dict[int, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.report.run_table.MOST_CELLS", 3000)
    monkeypatch.setattr("bench.report.shortening.MOST_CELLS", 3000)
    store = Store(roots[_MANY])
    (made,) = plans(store)
    page = html(Results.read(made, store), store)
    shown = 3000 // 15
    assert page.count("<summary>repeat</summary>") == shown
    said = f"The first {shown} of {_MANY} rows; all of them: python -m bench.suite report --study"
    assert said in page
    assert f"{made.key} --format csv --table runs" in page
    highest = (shown - 1) // (_ARMS * 4)
    assert f"--seed {highest} " in page and f"--seed {highest + 1} " not in page


def test_a_page_of_many_seeds_is_no_larger_than_its_limit(tmp_path: Path) -> None:
    seeds = range(MOST_CELLS // 10)
    made = sample_plan(arms=["baseline"], problems=["advection-1d"], seeds=seeds, comparisons=[])
    page = html(Results(made, {}), Store(tmp_path))
    assert len(page) < 4_000_000
    assert f"of {len(seeds)} rows" in page


def test_a_table_that_fits_is_left_as_it_is(tmp_path: Path) -> None:
    table = Table("errors", "", ["a", "b"], [[1, 2]] * (MOST_CELLS // 2), "A note.")
    store = Store(tmp_path)
    assert shortened(table, words_of(sample_plan()), store) is table
    larger = Table("errors", "", ["a", "b"], [*table.rows, [3, 4]], "A note.")
    cut = shortened(larger, words_of(sample_plan()), store)
    assert list(cut.rows) == table.rows
    assert cut.note.startswith(f"A note. The first {MOST_CELLS // 2} of {MOST_CELLS // 2 + 1} rows")
    assert cut.note.endswith(f"--format csv --table errors --out {tmp_path}")


def test_curves_of_many_arms_are_of_the_first_and_the_best(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "MOST_ARMS", 2)
    found = results(constant({"baseline": 0.4, "irelu": 0.5, "lsuv": 0.3, "irelu+lsuv": 0.2}))
    first = next(iter(pictures.curve_pictures(found, pictures.Palette(found.variants))))
    assert "Shown are 2 of 4 arms, the first and those of the least median error." in first.caption
    assert "irelu+lsuv" in first.svg and ">lsuv<" not in first.svg
