"""Executes notebooks and stores their outputs in them.

    python docs/notebooks.py examples/front_door.ipynb

Run by ``make notebooks``.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

#: Seconds that a cell may take.
_LIMIT = 600


def executed(path: Path) -> NotebookNode:
    """A notebook with the outputs of its cells, executed in a copy of its folder.

    What it writes is gone afterwards.

    Raises:
        nbclient.exceptions.CellExecutionError: A cell failed.
    """
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        for file in path.parent.iterdir():
            if file.suffix in (".py", ".toml"):
                shutil.copy(file, folder)
        client = NotebookClient(
            notebook,
            timeout=_LIMIT,
            kernel_name="python3",
            record_timing=False,
            extra_arguments=["--log-level=ERROR"],
            resources={"metadata": {"path": folder}},
        )
        client.execute()
    # Of the kernel that this machine has, nothing is kept.
    notebook.metadata["language_info"] = {"name": "python"}
    return notebook


def main(paths: list[Path]) -> None:
    """Execute each notebook and write it back."""
    for path in paths:
        notebook = executed(path)
        nbformat.validate(notebook)
        nbformat.write(notebook, path)
        print(path)


if __name__ == "__main__":
    main([Path(name) for name in sys.argv[1:]])
