"""Checkpoint files: read back whole, refused otherwise, never run."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from regression_task import interrupt_at, start

from bench.spec.training import Training
from bench.store import checkpoint

PRESENT = {"code": {"a:b": "0123"}, "versions": {"torch": "2.11", "other": None}}


@pytest.fixture
def written(tmp_path: Path) -> Path:
    run = start(Training(steps=20, lbfgs_steps=20, evaluations=2))
    interrupt_at(run, 30)
    run.trainer.run(run.interruption)
    path = tmp_path / "checkpoint.pt"
    checkpoint.save(path, {**run.saved[0], "spec_hash": "mine", "made_by": PRESENT})
    return path


def test_no_checkpoint_is_no_refusal(tmp_path: Path) -> None:
    assert checkpoint.load(tmp_path / "none.pt", "mine", PRESENT) == (None, None)


def test_a_checkpoint_is_read_back(written: Path) -> None:
    state, refused = checkpoint.load(written, "mine", PRESENT)
    assert refused is None and state is not None
    assert state["log"]["step"] == 31


@pytest.mark.parametrize(
    ("spec_hash", "changed", "says"),
    [
        ("other", {}, "the checkpoint is of another spec: starting anew"),
        ("mine", {"code": {"a:b": "1"}}, "the checkpoint at step 31 is of other code"),
        ("mine", {"versions": {"torch": "2"}}, "the checkpoint at step 31 is of other versions"),
        ("mine", {"code": {}, "versions": {}}, "is of other code and versions: starting anew"),
    ],
)
def test_a_checkpoint_of_something_else_is_refused(
    written: Path, spec_hash: str, changed: dict[str, Any], says: str
) -> None:
    state, refused = checkpoint.load(written, spec_hash, {**PRESENT, **changed})
    assert state is None
    assert refused is not None and says in refused


@pytest.mark.parametrize("keep", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_checkpoint_is_refused(written: Path, keep: float) -> None:
    content = written.read_bytes()
    written.write_bytes(content[: int(keep * len(content))])
    state, refused = checkpoint.load(written, "mine", PRESENT)
    assert state is None
    assert refused and refused.startswith("the checkpoint is damaged")


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_file_that_is_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    for content in (b"text", b"\x80\x04", b"PK\x03\x04 no zip"):
        path.write_bytes(content)
        state, refused = checkpoint.load(path, "mine", PRESENT)
        assert state is None and refused and "is damaged" in refused
    checkpoint.save(path, [1, 2, 3])  # type: ignore[arg-type]
    assert checkpoint.load(path, "mine", PRESENT)[1] == (
        "the checkpoint is of another spec: starting anew"
    )


def test_a_checkpoint_names_no_code_but_torchs_tensors(written: Path) -> None:
    import pickletools

    with zipfile.ZipFile(written) as archive:
        name = next(name for name in archive.namelist() if name.endswith("data.pkl"))
        operations = list(pickletools.genops(archive.read(name)))
    imported = {
        str(argument) for operation, argument, _ in operations if "GLOBAL" in operation.name
    }
    assert imported
    assert all(
        text.startswith(("torch._utils ", "torch ", "collections OrderedDict")) for text in imported
    ), imported


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_malicious_checkpoint_does_not_run(tmp_path: Path) -> None:
    trace = tmp_path / "executed"

    class Malicious:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (trace,))

    path = tmp_path / "checkpoint.pt"
    state = {"spec_hash": "mine", "made_by": PRESENT, "task": Malicious()}
    for content in ("torch", "pickle"):
        if content == "torch":
            torch.save(state, path)
        else:
            path.write_bytes(pickle.dumps(state))
        loaded, refused = checkpoint.load(path, "mine", PRESENT)
        assert loaded is None
        assert refused and "is damaged" in refused
        assert not trace.exists()
    pickle.loads(path.read_bytes())  # so the file is one that would
    assert trace.exists()
