"""The store: whole files or none, and runs found by their names."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sample_records

from bench.files import atomic as files
from bench.files.atomic import write_atomically
from bench.store.record import Metric, Record
from bench.store.store import Store
from bench.text.errors import BadInput


def record(seed: int = 0, **changes: Any) -> Record:
    spec = msgspec.structs.replace(sample_records.SPEC, seed=seed)
    metrics = {"L2RE": Metric(float(seed), None)}
    return sample_records.record(spec, **{"metrics": metrics, **changes})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "results")


# Atomic writes.


def test_a_write_leaves_the_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.bin"
    write_atomically(path, b"one")
    write_atomically(path, b"two")
    assert path.read_bytes() == b"two"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("function", ["replace", "fsync"])
def test_a_crash_in_the_middle_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    path = tmp_path / "file.bin"
    write_atomically(path, b"old")

    def crash(*arguments: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(files.os, function, crash)
    with pytest.raises(OSError, match="no space"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_content_is_complete_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, seen = tmp_path / "file.bin", []
    replace = os.replace

    def look(source: Path, target: Path) -> None:
        seen.append((Path(source).read_bytes(), path.exists()))
        replace(source, target)

    monkeypatch.setattr(files.os, "replace", look)
    write_atomically(path, b"content")
    assert seen == [(b"content", False)]


def test_a_record_that_cannot_be_written_keeps_the_one_before(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write(record(status="interrupted"))

    def crash(*arguments: object) -> None:
        raise OSError("disk")

    with monkeypatch.context() as patch, pytest.raises(OSError):
        patch.setattr(files.os, "replace", crash)
        store.write(record())
    assert store.read(record().spec_hash) == record(status="interrupted")
    assert [p.name for p in store.directory(record().spec_hash).iterdir()] == ["record.json"]


# Reading.


def test_what_is_written_is_read(store: Store) -> None:
    assert store.read(record().spec_hash) is None
    assert store.names() == [] and list(store.records()) == []
    written = [record(seed) for seed in range(3)]
    for one in written:
        store.write(one)
    assert store.read(written[1].spec_hash) == written[1]
    assert list(store.records()) == sorted(written, key=lambda r: r.spec_hash)


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[: len(content) // 2],
        lambda content: b"",
        lambda content: b"\x00" * len(content),
        lambda content: content.replace(b'"done"', b'"finished"'),
        lambda content: content.replace(b'"steps": 1', b'"steps": 2'),
        lambda content: content.replace(b'"schema": 2', b'"schema": 99'),
    ],
    ids=["truncated", "empty", "zeros", "status", "spec", "schema"],
)
def test_a_damaged_record_is_reported_on_one_line_and_treated_as_absent(
    store: Store, capsys: pytest.CaptureFixture[str], damage: Any
) -> None:
    good, bad = record(1), record(2)
    store.write(good)
    store.write(bad)
    path = store.directory(bad.spec_hash) / "record.json"
    content = path.read_bytes()
    path.write_bytes(damage(content))
    assert path.read_bytes() != content
    assert store.read(bad.spec_hash) is None
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1 and err.startswith(f"bench: ignoring {path}: ")
    assert list(store.records()) == [good]


def test_a_directory_in_place_of_the_record(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    (store.directory(record().spec_hash) / "record.json").mkdir(parents=True)
    assert store.read(record().spec_hash) is None
    assert capsys.readouterr().err.count("\n") == 1


def test_a_foreign_directory_is_no_run(store: Store) -> None:
    store.write(record())
    for name in ("notes", "0123456789ABCDEF", ".writable", "0" * 17):
        (store.root / "runs" / name).mkdir()
    assert store.names() == [record().spec_hash]


# Finding.


def test_find_by_prefix(store: Store) -> None:
    for seed in range(3):
        store.write(record(seed))
    name = record(1).spec_hash
    assert store.find(name) == record(1)
    length = next(
        n for n in range(1, 17) if sum(h.startswith(name[:n]) for h in store.names()) == 1
    )
    assert store.find(name[:length]) == record(1)


def test_an_ambiguous_prefix_names_the_runs(store: Store) -> None:
    seeds: dict[str, int] = {}
    for seed in range(17):  # two of 17 share their first digit
        digit = record(seed).spec_hash[0]
        if digit in seeds:
            break
        seeds[digit] = seed
    pair = [record(seeds[digit]), record(seed)]
    for one in pair:
        store.write(one)
    with pytest.raises(BadInput, match=f"'{digit}' is ambiguous") as raised:
        store.find(digit)
    assert all(one.spec_hash in str(raised.value) for one in pair)


@pytest.mark.parametrize("prefix", ["zzzz", "", "/", "..", "../..", "*"])
def test_an_unknown_prefix(store: Store, prefix: str) -> None:
    store.write(record())
    with pytest.raises(BadInput, match="unknown run") as raised:
        store.find(prefix)
    assert repr(prefix) in str(raised.value) and str(store.root) in str(raised.value)


def test_a_mistyped_name_gets_the_nearest(store: Store) -> None:
    store.write(record())
    name = record().spec_hash
    typed = name[:7] + ("0" if name[7] != "0" else "1") + name[8:]
    with pytest.raises(BadInput, match=f"did you mean '{name}'"):
        store.find(typed)


def test_find_in_a_store_that_is_not_there(store: Store) -> None:
    with pytest.raises(BadInput, match="unknown run"):
        store.find("ab")
    assert not store.root.exists()


@pytest.mark.parametrize(
    "name",
    ["../../../etc", "..", "", "/tmp", "0123456789abcde", "0123456789abcdef0", "0123456789ABCDEF",
     "0123456789abcdef/", "0123456789abcde\n", "0123456789abcdef\n", "0123456789abcdeg"],
)  # fmt: skip
def test_names_that_are_no_hash_are_refused_everywhere(store: Store, name: str) -> None:
    outside = store.root.parent / "keep"
    outside.mkdir()
    for use in (store.directory, store.checkpoint, store.weights, store.find_weights, store.read):
        with pytest.raises(BadInput, match="16 hexadecimal digits"):
            use(name)
    assert outside.exists()


# Preparing.


def test_prepare_makes_the_directory_and_leaves_it_empty(store: Store) -> None:
    store.prepare()
    store.prepare()
    assert list((store.root / "runs").iterdir()) == []


def test_a_file_in_the_way_is_bad_input(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for root in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(BadInput, match="cannot write results") as raised:
            Store(root).prepare()
        assert repr(str(root)) in str(raised.value)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_directory_without_permission_is_bad_input(tmp_path: Path) -> None:
    store = Store(tmp_path / "results")
    store.prepare()
    (store.root / "runs").chmod(0o500)
    try:
        with pytest.raises(BadInput, match=r"cannot write results.*Permission denied"):
            store.prepare()
    finally:
        (store.root / "runs").chmod(0o700)


def test_an_error_of_the_system_is_bad_input(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "touch", refuse)
    with pytest.raises(BadInput, match=r"cannot write results.*Permission denied"):
        store.prepare()


def test_a_record_that_is_no_file_or_endless_is_passed_over(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    store.write(record(0))
    paths = []
    for seed in (1, 2):
        store.write(record(seed))
        paths.append(store.directory(record(seed).spec_hash) / "record.json")
        paths[-1].unlink()
    os.mkfifo(paths[0])
    with paths[1].open("wb") as file:
        file.truncate(10**12)  # takes no room
    assert list(store.records()) == [record(0)]
    lines = capsys.readouterr().err.splitlines()
    assert sorted(lines) == sorted(
        [
            f"bench: ignoring {paths[0]}: it is no regular file",
            f"bench: ignoring {paths[1]}: it has 1000000000000 bytes, more than 256000000",
        ]
    )


def test_the_record_of_another_run_is_passed_over(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    store.write(record(0))
    name, other = record(0).spec_hash, record(1).spec_hash
    shutil.copytree(store.directory(name), store.directory(other))
    assert list(store.records()) == [record(0)]
    assert f"it is the record of {name}" in capsys.readouterr().err


# Claims; see test_claims.py for processes and hosts.


def test_one_claim_a_run(store: Store) -> None:
    first, other = store.claim(record(0).spec_hash), store.claim(record(1).spec_hash)
    second = store.claim(record(0).spec_hash)
    assert first.take() and other.take() and not second.take()
    first.release()
    assert second.take()
    second.release()
    other.release()


def test_claims_outlive_the_run_that_they_guard(store: Store) -> None:
    """One inside the run's directory would be removed with it while it is held."""
    name = record().spec_hash
    store.write(record())
    with store.claim(name).held():
        shutil.rmtree(store.directory(name))
        assert not store.claim(name).take()
    assert store.names() == []


def test_two_stores_do_not_share(tmp_path: Path) -> None:
    first, second = Store(tmp_path / "a"), Store(tmp_path / "b")
    first.write(record())
    assert second.read(record().spec_hash) is None
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    assert second.read(record().spec_hash) == record()
    assert msgspec.structs.asdict(record())["seed"] == 0
