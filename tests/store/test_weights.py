"""The weights of a run: written as safetensors, read also as torch's files of earlier code."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

import pytest
import torch
from hostile_files import NO_FILES, SAFETENSORS

from bench.files.atomic import CannotWrite
from bench.store import weights as module
from bench.store.store import Store
from bench.store.weights import load_weights, save_weights

RUN = "0123456789abcdef"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "results")


@pytest.fixture
def older(store: Store) -> Path:
    """What earlier code wrote."""
    path = store.directory(RUN) / "weights.pt"
    path.parent.mkdir(parents=True)
    torch.save({"layer": torch.zeros(2)}, path)
    return path


def test_what_is_saved_is_found_and_read(store: Store) -> None:
    assert store.find_weights(RUN) is None
    save_weights(store, RUN, {"layer": torch.ones(2), "count": torch.tensor(3)})
    path = store.find_weights(RUN)
    assert path == store.directory(RUN) / "weights.safetensors"
    found = load_weights(path)
    assert torch.equal(found["layer"], torch.ones(2)) and int(found["count"]) == 3
    assert list(store.directory(RUN).iterdir()) == [path]


def test_older_ones_are_found_and_read(store: Store, older: Path) -> None:
    assert store.find_weights(RUN) == older
    assert torch.equal(load_weights(older)["layer"], torch.zeros(2))


def test_new_ones_take_the_place_of_older_ones(store: Store, older: Path) -> None:
    save_weights(store, RUN, {"layer": torch.ones(2)})
    assert store.find_weights(RUN) == store.weights(RUN)
    assert not older.exists()


def test_where_both_are_left_the_new_ones_are_found(store: Store, older: Path) -> None:
    """By a process that was killed between the two."""
    content = older.read_bytes()
    save_weights(store, RUN, {"layer": torch.ones(2)})
    older.write_bytes(content)
    assert store.find_weights(RUN) == store.weights(RUN)


def test_older_ones_stay_where_new_ones_cannot_be_written(
    store: Store, older: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("bench.files.atomic.os.fsync", full)
    with pytest.raises(CannotWrite, match=r"weights\.safetensors: No space left"):
        save_weights(store, RUN, {"layer": torch.ones(2)})
    assert list(store.directory(RUN).iterdir()) == [older]


def test_leftovers_of_both_are_tidied(store: Store, older: Path) -> None:
    for name in ("weights.pt", "weights.safetensors"):
        (store.directory(RUN) / f".{name}.0123.tmp").touch()
    store.tidy(RUN)
    assert list(store.directory(RUN).iterdir()) == [older]


@pytest.mark.parametrize("name", SAFETENSORS)
def test_files_that_are_something_else(name: str, store: Store) -> None:
    write, said = SAFETENSORS[name]
    path = store.weights(RUN)
    path.parent.mkdir(parents=True)
    write(path)
    with pytest.raises(ValueError, match=re.escape(said)):
        load_weights(path)


@pytest.mark.parametrize("name", NO_FILES)
def test_what_is_no_file(name: str, store: Store) -> None:
    path = store.weights(RUN)
    path.parent.mkdir(parents=True)
    NO_FILES[name](path)
    with pytest.raises(ValueError, match="no regular file"):
        load_weights(path)


@pytest.mark.parametrize("content", [[torch.zeros(2)], {"layer": 1.0}, torch.zeros(2)], ids=str)
def test_older_files_that_are_no_weights(content: object, older: Path) -> None:
    torch.save(content, older)
    with pytest.raises(ValueError, match="something else than tensors by name"):
        load_weights(older)


def test_older_files_are_read_without_pickle(older: Path) -> None:
    torch.save({"layer": Path("x")}, older)
    with pytest.raises(ValueError, match="no tensor and no plain value"):
        load_weights(older)


@pytest.mark.parametrize("name", ["weights.pt", "weights.safetensors"])
def test_a_file_that_is_too_large(
    name: str, store: Store, older: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = older.with_name(name)
    path.write_bytes(bytes(100))
    monkeypatch.setattr(module, "MAX_WEIGHTS_BYTES", 99)
    with pytest.raises(ValueError, match="100 bytes, more than 99"):
        load_weights(path)
