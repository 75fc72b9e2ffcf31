"""The notebooks run, and what is stored of them is what they are."""

from __future__ import annotations

import importlib.util
import re
import tempfile
from pathlib import Path
from types import ModuleType

import nbformat
import pytest
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("notebooks", ROOT / "docs" / "notebooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def shown(cell: NotebookNode) -> str:
    """The text of a cell's outputs."""
    texts = [output.get("text", "") for output in cell.outputs]
    texts += [
        data
        for output in cell.outputs
        for kind, data in output.get("data", {}).items()
        if kind.startswith("text/")
    ]
    return "\n".join(texts)


@pytest.mark.slow
@each_notebook
def test_it_runs_and_what_is_stored_is_what_ran(path: Path) -> None:
    stored, now = nbformat.read(path, as_version=4), script().executed(path)
    assert [c.source for c in stored.cells] == [c.source for c in now.cells]
    assert [c.execution_count for c in cells(stored)] == [c.execution_count for c in cells(now)]
    for then, again in zip(cells(stored), cells(now), strict=True):
        kinds = [
            [(o.output_type, o.get("name"), sorted(o.get("data", {}))) for o in cell.outputs]
            for cell in (then, again)
        ]
        assert kinds[0] == kinds[1], then.source


@each_notebook
def test_what_is_stored_is_clean(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    for cell in cells(notebook):
        assert cell.execution_count
        assert [o.output_type for o in cell.outputs if o.output_type == "error"] == []
        assert [o.name for o in cell.outputs if o.get("name") == "stderr"] == []
        text = shown(cell)
        assert "warning" not in text.lower()
        folders = (ROOT, Path.home(), Path(tempfile.gettempdir()))
        assert [folder for folder in folders if f"{folder}/" in text] == []


@each_notebook
def test_its_pictures_are_described(path: Path) -> None:
    drawn = [
        cell
        for cell in cells(nbformat.read(path, as_version=4))
        if any("image/png" in output.get("data", {}) for output in cell.outputs)
    ]
    assert drawn
    assert [cell.source for cell in drawn if not cell.metadata.get("alt")] == []


@each_notebook
def test_progress_is_shown_by_a_bar(path: Path) -> None:
    text = "\n".join(map(shown, cells(nbformat.read(path, as_version=4))))
    bars = re.findall(r'<progress value="(\d+)" max="(\d+)"></progress>', text)
    assert bars
    assert all(done == total for done, total in bars)
