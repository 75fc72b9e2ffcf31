"""asv's result files, as asv itself writes and reads them."""

from __future__ import annotations

import datetime
import itertools
import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from asv import util
from asv.benchmarks import Benchmarks
from asv.results import Results, iter_results
from asv.runner import BenchmarkResult
from asv_checkout import MACHINE

from bench.text.errors import BadInput
from bench.tracking.adoption import adopt
from bench.tracking.configuration import Configuration
from bench.tracking.result_files import files, restore, set_aside_damaged
from bench.tracking.results import lost_value, missing, read, removed

COMMIT = "0123456789abcdef0123456789abcdef01234567"


# What a real run leaves.


def test_values_of_a_run(run: tuple[Configuration, str]) -> None:
    configuration, commit = run
    values = read(configuration.results_dir, "box", commit)
    assert all(value.name == name for name, value in values.items())
    error = {name: value for name, value in values.items() if value.kind == "track"}
    flops = error.pop("suite.track_flops")
    assert flops.value == 12345678 and flops.parameters == () and flops.unit == "unit"
    assert list(error) == [
        "suite.Suite.track_error('fnn baseline', 1)",
        "suite.Suite.track_error('fnn baseline', 2)",
        "suite.Suite.track_error('fnn irelu', 1)",
        "suite.Suite.track_error('fnn irelu', 2)",
    ]
    measured, skipped, failed, last = error.values()
    assert measured.value == 0.25 and last.value == 0.5
    assert skipped.value is not None and math.isnan(skipped.value)
    assert failed.value is None
    assert measured.benchmark == "suite.Suite.track_error"
    assert measured.parameters == ("'fnn baseline'", "1")
    assert {(v.unit, v.version, v.low, v.high) for v in error.values()} == {
        ("kcal/mol", "3", None, None)
    }


def test_times_have_intervals_and_memory_has_none(run: tuple[Configuration, str]) -> None:
    configuration, commit = run
    values = read(configuration.results_dir, "box", commit)
    time, memory = values["suite.time_sum"], values["suite.peakmem_list"]
    assert (time.kind, time.unit) == ("time", "seconds")
    assert (memory.kind, memory.unit) == ("peakmemory", "bytes")
    assert time.value is not None and time.low is not None and time.high is not None
    assert 0 < time.low <= time.value <= time.high
    assert memory.value is not None and memory.value > 1e6
    assert memory.low is None and memory.high is None


def test_a_run_is_measured_and_whole(run: tuple[Configuration, str]) -> None:
    configuration, commit = run
    failed = "suite.Suite.track_error('fnn irelu', 1)"
    assert missing(configuration.results_dir, "box", commit) == {failed}
    assert missing(configuration.results_dir, "box", commit, failures=False) == set()
    assert read(configuration.results_dir, "box", "f" * 40) == {}
    assert read(configuration.results_dir, "other", commit) == {}
    assert len(missing(configuration.results_dir, "other", commit)) == 7
    assert set_aside_damaged(configuration.results_dir) == []


# Results that asv's own classes write.


def benchmark(name: str, *params: list[str], kind: str = "track", version: str = "1") -> Any:
    unit = {"time": "seconds", "track": "1"}[kind]
    names = [f"p{index}" for index in range(len(params))]
    return {
        **{"name": name, "params": list(params), "param_names": names, "type": kind},
        **{"unit": unit, "version": version, "code": "", "timeout": 60},
    }


class Folder:
    """A results folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        util.write_json(str(path / "box" / "machine.json"), dict(MACHINE), 1)

    def has(self, *benchmarks: Any) -> None:
        """Say which benchmarks there are now."""
        table = {one["name"]: one for one in benchmarks}
        util.write_json(str(self.path / "benchmarks.json"), table, Benchmarks.api_version)

    def add(
        self,
        results: dict[str, tuple[Any, list[Any]]],
        commit: str = COMMIT,
        env: str = "env",
        day: int = 1,
    ) -> Path:
        """Save results: benchmark and a value, or a list of samples, for each combination."""
        result = Results(dict(MACHINE), {}, commit, 0, "3.12", env, {})
        for one, values in results.values():
            samples = [value if isinstance(value, list) else None for value in values]
            number = [1 if isinstance(value, list) else None for value in values]
            result.add_result(
                one,
                BenchmarkResult(values, samples, number, 0, "", None),
                started_at=datetime.datetime(2026, 1, day, tzinfo=datetime.UTC),
            )
        result.save(str(self.path))
        return self.path / "box" / f"{commit[:8]}-{env}.json"

    def of(self, commit: str = COMMIT) -> dict[str, float | None]:
        return {name: value.value for name, value in read(self.path, "box", commit).items()}


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "results")


def test_removed_benchmarks_and_parameters_are_not_read(folder: Folder) -> None:
    old = benchmark("m.track_a", ["'x'", "'y'"])
    gone = benchmark("m.track_gone")
    folder.add({"a": (old, [1.0, 2.0]), "gone": (gone, [3.0])})
    folder.has(old, gone)
    assert folder.of() == {"m.track_a('x')": 1.0, "m.track_a('y')": 2.0, "m.track_gone": 3.0}
    folder.has(benchmark("m.track_a", ["'y'", "'z'"]))
    # 'z' was never measured: it is absent, which asv does not tell from a failure.
    assert folder.of() == {"m.track_a('y')": 2.0}
    folder.has(benchmark("m.track_a"))
    assert folder.of() == {}


def test_parameters_that_a_commit_lacks_are_absent_where_all_others_failed(folder: Folder) -> None:
    folder.add({"a": (benchmark("m.track_a", ["1", "2"]), [None, None])})
    folder.has(benchmark("m.track_a", ["2", "3"]))
    assert folder.of() == {"m.track_a(2)": None}


def test_failed_is_none_and_skipped_is_nan(folder: Folder) -> None:
    one = benchmark("m.track_a", ["1", "2", "3", "4"])
    folder.has(one)
    folder.add({"a": (one, [None, math.nan, 0, "text"])})
    failed, skipped, zero, text = folder.of().values()
    assert failed is None and zero == 0.0 and text is None
    assert skipped is not None and math.isnan(skipped)


def test_the_interval_is_asvs_and_a_single_sample_has_none(folder: Folder) -> None:
    one = benchmark("m.time_a", ["1", "2"], kind="time")
    folder.has(one)
    path = folder.add({"a": (one, [[float(n) for n in range(1, 21)], [5.0]])})
    many, single = read(folder.path, "box", COMMIT).values()
    stored = json.loads(path.read_text())["results"]["m.time_a"]
    assert (many.value, many.low, many.high) == (10.5, stored[5][0], stored[6][0])
    assert many.low is not None and many.high is not None and 1 <= many.low < 10 < many.high <= 20
    assert math.isinf(stored[5][1])
    assert (single.value, single.low, single.high) == (5.0, None, None)


def test_the_version_is_that_of_the_measurement(folder: Folder) -> None:
    folder.add({"a": (benchmark("m.track_a", version="1"), [1.0])})
    folder.has(benchmark("m.track_a", version="2"))
    assert read(folder.path, "box", COMMIT)["m.track_a"].version == "1"


def test_of_several_environments_the_last_measured_counts(folder: Folder) -> None:
    one = benchmark("m.track_a")
    folder.has(one)
    for env, day, value in [("a", 2, 1.0), ("b", 3, 2.0), ("c", 1, 3.0)]:
        folder.add({"a": (one, [value])}, env=env, day=day)
    assert folder.of() == {"m.track_a": 2.0}


def test_commits_are_told_apart_by_the_full_hash(folder: Folder) -> None:
    one = benchmark("m.track_a")
    folder.has(one)
    alike = COMMIT[:8] + "f" * 32
    folder.add({"a": (one, [1.0])})
    folder.add({"a": (one, [2.0])}, commit=alike, env="other")
    folder.add({}, commit="e" * 40)
    assert folder.of() == {"m.track_a": 1.0} and folder.of(alike) == {"m.track_a": 2.0}


def test_reading_needs_whole_files(folder: Folder) -> None:
    one = benchmark("m.track_a")
    path = folder.add({"a": (one, [1.0])})
    with pytest.raises(BadInput, match=r"benchmarks\.json is missing"):
        folder.of()
    folder.has(one)
    path.write_text(path.read_text()[:-1])
    with pytest.raises(BadInput, match=f"{path.name} is damaged"):
        folder.of()


def test_what_is_missing_is_what_has_no_number(folder: Folder) -> None:
    one, two = benchmark("m.track_a", ["'x'", "'y'", "'z'"]), benchmark("m.track_b")
    folder.has(one, two)
    folder.add({"a": (one, [1.0, None, math.nan])})
    assert missing(folder.path, "box", COMMIT) == {"m.track_a('y')", "m.track_b"}
    assert missing(folder.path, "box", COMMIT, failures=False) == {"m.track_b"}


def test_benchmarks_that_are_there_no_more_are_named(folder: Folder) -> None:
    one, two = benchmark("m.track_a"), benchmark("m.track_b")
    folder.has(two)
    folder.add({"a": (one, [1.0]), "b": (two, [1.0])})
    found = removed(folder.path, "box", COMMIT)
    assert {name: value.value for name, value in found.items()} == {"m.track_a": 1.0}
    assert removed(folder.path, "box", "f" * 40) == {}


def test_parameters_that_are_there_no_more_are_named(folder: Folder) -> None:
    folder.add({"a": (benchmark("m.track_a", ["'x'", "'y'", "'z'"]), [1.0, 2.0, None])})
    folder.has(benchmark("m.track_a", ["'y'"]))
    found = removed(folder.path, "box", COMMIT)
    # What failed was no measurement.
    assert {name: value.value for name, value in found.items()} == {"m.track_a('x')": 1.0}


@pytest.mark.parametrize(
    ("name", "kind", "unit"),
    [
        ("steps.PINNStep.time_step('a', 'b')", "time", "seconds"),
        ("steps.PINNMemory.peakmem_step", "peakmemory", "bytes"),
        ("metrics.PINN.track_MSE('a')", "track", ""),
    ],
)
def test_a_lost_value_is_known_by_its_name(name: str, kind: str, unit: str) -> None:
    value = lost_value(name, 2.0)
    assert (value.kind, value.unit, value.value) == (kind, unit, 2.0)


def test_named_values_are_taken_over_with_their_statistics(folder: Folder, tmp_path: Path) -> None:
    """The rest of the file stays, and asv reads it as its own."""
    time = benchmark("m.time_a", ["'x'", "'y'"], kind="time")
    track = benchmark("m.track_b", ["'x'", "'y'"])
    folder.has(time, track)
    slow, quick = [3.0 + 0.01 * k for k in range(9)], [1.0 + 0.01 * k for k in range(9)]
    path = folder.add({"a": (time, [slow, slow]), "b": (track, [1.0, 2.0])})
    other = Folder(tmp_path / "again")
    other.has(time, track)
    # As asv writes a run of one combination of two: the other is skipped.
    other.add({"a": (time, [math.nan, quick]), "b": (track, [7.0, 8.0])})
    adopt(folder.path, other.path, "box", COMMIT, {"m.time_a('y')", "m.track_b('x')"})
    values = read(folder.path, "box", COMMIT)
    assert {name: value.value for name, value in values.items()} == pytest.approx(
        {"m.time_a('x')": 3.04, "m.time_a('y')": 1.04, "m.track_b('x')": 7.0, "m.track_b('y')": 2.0}
    )
    taken = read(other.path, "box", COMMIT)["m.time_a('y')"]
    assert values["m.time_a('y')"] == taken
    assert values["m.time_a('x')"].low == pytest.approx(3.0, abs=0.02)
    assert Results.load(str(path)).get_result_stats("m.time_a", time["params"])[1]["repeat"] == 9
    assert set_aside_damaged(folder.path) == []


def test_nothing_is_taken_over_of_another_commit_or_machine(folder: Folder, tmp_path: Path) -> None:
    one = benchmark("m.track_a")
    folder.has(one)
    path = folder.add({"a": (one, [1.0])})
    other = Folder(tmp_path / "again")
    other.has(one)
    other.add({"a": (one, [2.0])}, commit="f" * 40)
    before = path.read_bytes()
    adopt(folder.path, other.path, "box", COMMIT, {"m.track_a"})
    assert path.read_bytes() == before


def test_files_are_put_back_as_they_were(folder: Folder) -> None:
    one = benchmark("m.track_a")
    folder.has(one)
    path = folder.add({"a": (one, [1.0])})
    kept = files(folder.path, "box", COMMIT)
    folder.add({"a": (one, [None])})
    assert folder.of() == {"m.track_a": None}
    restore(kept)
    assert list(kept) == [path] and folder.of() == {"m.track_a": 1.0}


# Damaged files.


@pytest.fixture
def warnings(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What asv warns of while it loads results."""
    seen: list[str] = []
    monkeypatch.setattr("asv.results.log.warning", seen.append)
    yield seen


def cut(source: Path, names: Iterator[Path]) -> list[Path]:
    """Every prefix of a file, the whole one last."""
    content = source.read_bytes()
    paths = list(itertools.islice(names, len(content) + 1))
    for length, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content[:length])
    return paths


def test_every_prefix_of_a_result_file_is_whole_or_set_aside(
    run: tuple[Configuration, str], tmp_path: Path, warnings: list[str]
) -> None:
    configuration, commit = run
    (source,) = (configuration.results_dir / "box").glob(f"{commit[:8]}-*.json")
    results = tmp_path / "results"
    shutil.copytree(configuration.results_dir, results)
    (results / "box" / source.name).unlink()
    paths = cut(source, (results / "box" / f"{n:08x}-env.json" for n in itertools.count()))
    assert len(list(iter_results(str(results)))) == 1 and len(warnings) == len(paths) - 1
    warnings.clear()

    damaged = set_aside_damaged(results)
    assert damaged == [path.with_name(f"{path.name}.damaged") for path in paths[:-1]]
    assert [path.stat().st_size for path in damaged] == list(range(len(damaged)))
    assert [loaded.commit_hash for loaded in iter_results(str(results))] == [commit]
    assert warnings == []
    assert set_aside_damaged(results) == []


@pytest.mark.parametrize("name", ["benchmarks.json", "box/machine.json"])
def test_every_prefix_of_asvs_other_files_is_whole_or_set_aside(
    run: tuple[Configuration, str], tmp_path: Path, name: str
) -> None:
    source = run[0].results_dir / name
    paths = cut(source, (tmp_path / f"{n:05}" / source.name for n in itertools.count()))
    damaged = set_aside_damaged(tmp_path)
    assert damaged == [path.with_name(f"{path.name}.damaged") for path in paths[:-1]]
    assert paths[-1].read_bytes() == source.read_bytes()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 300,
        b"\xff\xfe{}",
        b"[]",
        b"3",
        b"{}",
        b'{"version": "2", "commit_hash": "a"}',
    ],
)
@pytest.mark.parametrize("name", ["box/01234567-env.json", "box/machine.json", "benchmarks.json"])
def test_what_asv_never_wrote_is_set_aside(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    (damaged,) = set_aside_damaged(tmp_path)
    assert damaged == path.with_name(f"{path.name}.damaged")
    assert damaged.read_bytes() == content and not path.exists()


@pytest.mark.parametrize(
    "change",
    [
        {"version": 1},
        {"version": 3},
        {"params": []},
        {"commit_hash": None},
        {"results": {"m.track_a": [1.0, [], "1"]}},
        {"result_columns": ["result", "params", "version", "unheard"]},
    ],
)
def test_a_result_file_of_another_form_is_set_aside(folder: Folder, change: Any) -> None:
    one = benchmark("m.track_a")
    folder.has(one)
    path = folder.add({"a": (one, [1.0])})
    content = json.loads(path.read_text())
    assert content["version"] == 2 and set(change) <= set(content)
    assert set_aside_damaged(folder.path) == []
    path.write_text(json.dumps({**content, **change}))
    assert [found.name for found in set_aside_damaged(folder.path)] == [f"{path.name}.damaged"]


def test_nothing_that_was_set_aside_is_overwritten(folder: Folder) -> None:
    path = folder.path / "box" / "01234567-env.json"
    for content in ["first", "second", "third"]:
        path.write_text(content)
        set_aside_damaged(folder.path)
    names = [f"{path.name}.damaged{suffix}" for suffix in ("", ".1", ".2")]
    assert [(path.parent / name).read_text() for name in names] == ["first", "second", "third"]
    assert set_aside_damaged(folder.path / "nowhere") == []
