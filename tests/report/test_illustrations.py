"""What is drawn of a run: made once, kept without pickle, made anew when it must be."""

from __future__ import annotations

import io
import pickle
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from hostile_files import NO_FILES, SAFETENSORS
from sample_records import SPEC, record

from bench.report import illustrations as illustration
from bench.report.illustrations import illustrations
from bench.spec.spec import Spec
from bench.spec.user_code import source_digest
from bench.store.record import Record
from bench.store.store import Store
from bench.store.weights import save_weights
from bench.task import Field, Illustrated, Illustration, Parity

FIELD = Field(
    "u",
    ("x", "t"),
    (0.0, 3.0, 1.0, 2.0),
    "z = 1",
    np.arange(12.0).reshape(3, 4),
    np.arange(12.0).reshape(3, 4) + 0.5,
)
PARITY = Parity("energy", "eV", np.linspace(0, 1, 7), np.linspace(0, 1, 7) ** 2)


class Drawing:
    """A suite that draws what it is given."""

    def __init__(self, *drawn: Illustration) -> None:
        self.drawn: Sequence[Illustration] = drawn
        self.calls: list[tuple[Spec, Mapping[str, Any], torch.device]] = []
        self.deterministic = False
        self.current: Mapping[str, int] = {}

    def versions(self, spec: Spec) -> Mapping[str, int]:
        return self.current

    def illustrate(
        self, spec: Spec, weights: Mapping[str, Any], device: torch.device
    ) -> Sequence[Illustration]:
        self.calls.append((spec, weights, device))
        self.deterministic = torch.are_deterministic_algorithms_enabled()
        torch.rand(3)
        return self.drawn


@pytest.fixture
def suite(monkeypatch: pytest.MonkeyPatch) -> Iterator[Drawing]:
    """The suite that every record is of."""
    drawing = Drawing(FIELD, PARITY)
    monkeypatch.setattr(illustration, "load_suite", lambda name: drawing)
    yield drawing


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store with the weights of `sample_records.record`."""
    store = Store(tmp_path / "results")
    write_weights(store, 1.0)
    return store


def write_weights(store: Store, value: float, spec: Spec = SPEC) -> None:
    save_weights(store, spec.hash, {"weight": torch.full((2,), value)})


def kept(store: Store) -> Path:
    return store.directory(SPEC.hash) / "illustration.npz"


def assert_same(found: Sequence[Illustration], expected: Sequence[Illustration]) -> None:
    assert [type(one) for one in found] == [type(one) for one in expected]
    for one, other in zip(found, expected, strict=True):
        for name, value in asdict(other).items():
            mine = getattr(one, name)
            assert type(mine) is type(value)
            if isinstance(value, np.ndarray):
                np.testing.assert_array_equal(mine, value)
            else:
                assert mine == value


def test_what_the_suite_draws_is_kept(suite: Drawing, store: Store) -> None:
    state = torch.get_rng_state()
    first = illustrations(record(), store)
    assert_same(first, [FIELD, PARITY])
    ((spec, weights, device),) = suite.calls
    assert spec == SPEC and device == torch.device("cpu") and suite.deterministic
    assert torch.equal(weights["weight"], torch.ones(2))
    assert torch.equal(torch.get_rng_state(), state)

    second = illustrations(record(), store)
    assert len(suite.calls) == 1
    assert_same(second, first)
    for found in (first, second):
        field, parity = found
        assert field.reference.dtype == field.predicted.dtype == np.float32
        assert parity.reference.dtype == parity.predicted.dtype == np.float64


def test_that_there_is_nothing_to_draw_is_kept_too(suite: Drawing, store: Store) -> None:
    suite.drawn = []
    assert illustrations(record(), store) == illustrations(record(), store) == []
    assert len(suite.calls) == 1


@pytest.mark.parametrize("status", ["diverged", "failed", "timeout", "interrupted"])
def test_a_run_that_is_not_done(status: str, suite: Drawing, store: Store) -> None:
    assert illustrations(record(status=status), store) == []
    assert not suite.calls


def test_a_run_without_weights(
    suite: Drawing, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    store.weights(SPEC.hash).unlink()
    assert illustrations(record(), store) == []
    assert not suite.calls and capsys.readouterr().err == ""


def test_a_suite_that_draws_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(illustration, "load_suite", lambda name: object())
    assert illustrations(record(), store) == []
    assert not kept(store).exists() and capsys.readouterr().err == ""


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1
    assert captured.err.startswith("bench: ")
    return captured.err


def assert_refused(
    said: str, path: Path, suite: Drawing, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    assert illustrations(record(), store) == []
    line = one_line(capsys)
    assert str(path) in line and said in line and line[:-1].isprintable()
    assert not suite.calls and not kept(store).exists()


@pytest.mark.parametrize("name", SAFETENSORS)
def test_weights_that_cannot_be_read(
    name: str, suite: Drawing, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    write, said = SAFETENSORS[name]
    path = store.weights(SPEC.hash)
    path.unlink()
    write(path)
    assert_refused(said, path, suite, store, capsys)


@pytest.mark.parametrize("name", NO_FILES)
def test_weights_that_are_no_file(
    name: str, suite: Drawing, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    path = store.weights(SPEC.hash)
    path.unlink()
    NO_FILES[name](path)
    assert_refused("cannot be opened", path, suite, store, capsys)


def older(store: Store, content: bytes) -> Path:
    """The weights' file that earlier code wrote, instead of today's."""
    path = store.weights(SPEC.hash)
    path.unlink()
    path.with_suffix(".pt").write_bytes(content)
    return path.with_suffix(".pt")


def test_weights_of_earlier_code(suite: Drawing, store: Store) -> None:
    content = io.BytesIO()
    torch.save({"weight": torch.full((2,), 3.0)}, content)
    older(store, content.getvalue())
    assert_same(illustrations(record(), store), [FIELD, PARITY])
    ((_, weights, _),) = suite.calls
    assert torch.equal(weights["weight"], torch.full((2,), 3.0))


@pytest.mark.parametrize("content", [b"", b"weights", pickle.dumps(Path("x"), protocol=2)], ids=len)
def test_weights_of_earlier_code_that_cannot_be_read(
    content: bytes, suite: Drawing, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    path = older(store, content)
    assert_refused("is unreadable", path, suite, store, capsys)


def test_a_suite_that_raises(
    suite: Drawing,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def illustrate(*_: Any) -> Any:
        raise RuntimeError("no\nsuch layer")

    monkeypatch.setattr(suite, "illustrate", illustrate)
    assert illustrations(record(), store) == []
    assert "advection-1d" in (line := one_line(capsys)) and "no such layer" in line


def test_a_suite_that_is_not_installed(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    spec = msgspec.structs.replace(SPEC, suite="gone")
    write_weights(store, 1.0, spec)
    assert illustrations(record(spec), store) == []
    assert "gone" in one_line(capsys)


def test_a_definition_that_has_changed(
    suite: Drawing, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    suite.current = {"model": 2}
    assert illustrations(record(), store) == []
    assert "its model has been redefined (version 1, now 2)" in one_line(capsys)
    spec = msgspec.structs.replace(SPEC, versions={"model": 2})
    write_weights(store, 1.0, spec)
    assert len(illustrations(record(spec), store)) == 2


def test_a_user_s_code_that_has_changed(
    suite: Drawing,
    store: Store,
    own_module: Any,
    capsys: pytest.CaptureFixture[str],
) -> None:
    own_module("own_drawn", "Wave = 1\n")
    digest = source_digest("own_drawn:Wave")
    for sources, calls in (({"own_drawn:Wave": digest}, 1), ({"own_drawn:Wave": "0" * 16}, 1)):
        spec = msgspec.structs.replace(SPEC, sources=sources)
        write_weights(store, 1.0, spec)
        illustrations(record(spec), store)
        assert len(suite.calls) == calls
    assert "own_drawn:Wave has changed" in one_line(capsys)


def test_a_store_that_cannot_be_written_to(
    suite: Drawing,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def refuse(*_: Any) -> None:
        raise PermissionError("read-only")

    monkeypatch.setattr(illustration, "write_atomically", refuse)
    assert_same(illustrations(record(), store), [FIELD, PARITY])
    assert "read-only" in one_line(capsys)


# What was kept and is not used.


def assert_made_anew(suite: Drawing, store: Store) -> None:
    calls = len(suite.calls)
    assert_same(illustrations(record(), store), suite.drawn)
    assert len(suite.calls) == calls + 1
    assert_same(illustrations(record(), store), suite.drawn)
    assert len(suite.calls) == calls + 1


def test_that_of_other_weights(suite: Drawing, store: Store) -> None:
    illustrations(record(), store)
    write_weights(store, 2.0)
    suite.drawn = [PARITY]
    assert_made_anew(suite, store)


def test_that_of_another_layout(
    suite: Drawing, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    illustrations(record(), store)
    monkeypatch.setattr(illustration, "_LAYOUT", 2)
    assert_made_anew(suite, store)


def test_damaged_ones(suite: Drawing, store: Store) -> None:
    illustrations(record(), store)
    whole = kept(store).read_bytes()
    flipped = bytearray(whole)
    for k in range(40, len(whole), 50):
        flipped[k] ^= 0xFF
    array = io.BytesIO()
    np.save(array, np.zeros(3))
    for content in (b"", b"nothing", whole[:50], whole[:-1], bytes(flipped), array.getvalue()):
        kept(store).write_bytes(content)
        assert_made_anew(suite, store)


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b'{"layout":1,"weights":"x","items":[{"field":{}}]}']
)
def test_one_that_says_something_else(content: bytes, suite: Drawing, store: Store) -> None:
    np.savez(kept(store), content=np.frombuffer(content, np.uint8))
    assert_made_anew(suite, store)


class Malicious:
    """Unpickling it writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (self.path, "executed")


@pytest.mark.parametrize("where", ["content", "array_0", "all"])
def test_pickled_objects_are_never_loaded(
    where: str, suite: Drawing, store: Store, tmp_path: Path
) -> None:
    illustrations(record(), store)
    written = tmp_path / "written"
    evil = np.array([Malicious(written)], dtype=object)
    if where == "all":
        kept(store).write_bytes(pickle.dumps(Malicious(written)))
    else:
        with np.load(kept(store)) as file:
            arrays = dict(file)
        assert where in arrays
        np.savez(kept(store), **{**arrays, where: evil})
    assert_made_anew(suite, store)
    assert not written.exists()
    # Whoever unpickles it would have executed it.
    pickle.loads(pickle.dumps(evil))
    assert written.read_text() == "executed"


# What is left out.


def drawn(suite: Drawing, store: Store, *what: Illustration) -> list[Illustration]:
    suite.drawn = what
    return illustrations(record(), store)


@pytest.mark.parametrize(
    ("shape", "kept_shape"),
    [
        ((128, 128), (128, 128)),
        ((129, 1), (65, 1)),
        ((1, 300), (1, 100)),
        ((101, 1024), (101, 128)),
        ((512, 127), (128, 127)),
    ],
)
def test_a_field_is_strided(
    shape: tuple[int, int], kept_shape: tuple[int, int], suite: Drawing, store: Store
) -> None:
    rows, columns = (np.arange(float(count)) for count in shape)
    whole = Field(
        "v",
        ("x", "y"),
        (0.0, columns[-1], 0.0, rows[-1]),
        "",
        np.add.outer(1e4 * rows, columns),
        np.add.outer(-1e4 * rows, columns),
    )
    (found,) = drawn(suite, store, whole)
    assert isinstance(found, Field)
    assert found.reference.shape == found.predicted.shape == kept_shape
    left, right, bottom, top = found.extent
    # The extent is where the values that are kept are.
    expected = np.add.outer(
        1e4 * np.linspace(bottom, top, kept_shape[0]), np.linspace(left, right, kept_shape[1])
    )
    np.testing.assert_allclose(found.reference, expected, rtol=1e-6)


@pytest.mark.parametrize(("count", "kept_count"), [(20_000, 20_000), (20_001, 10_001), (1, 1)])
def test_a_parity_is_strided(count: int, kept_count: int, suite: Drawing, store: Store) -> None:
    values = np.arange(float(count))
    (found,) = drawn(suite, store, Parity("energy", "eV", values, -values))
    assert found.reference.shape == (kept_count,)
    np.testing.assert_array_equal(found.predicted, -found.reference)
    assert len(np.unique(np.diff(found.reference))) <= 1


def test_the_protocol_is_what_the_suites_have() -> None:
    from bench.plugins import load_suite

    assert isinstance(load_suite("pinn"), Illustrated)
    assert isinstance(load_suite("molecular"), Illustrated)


def test_reading_needs_no_torch(suite: Drawing, store: Store, tmp_path: Path) -> None:
    illustrations(record(), store)
    store.write(record())
    script = f"""
import sys
from pathlib import Path
from bench.report.illustrations import illustrations
from bench.store.store import Store
store = Store(Path({str(store.root)!r}))
(record,) = store.records()
print(len(illustrations(record, store)), "torch" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.split() == ["2", "False"]


def test_a_record_of_a_run_that_is_labelled_otherwise(suite: Drawing, store: Store) -> None:
    other: Record = record(arm="other")
    illustrations(record(), store)
    assert_same(illustrations(other, store), [FIELD, PARITY])
    assert len(suite.calls) == 1
