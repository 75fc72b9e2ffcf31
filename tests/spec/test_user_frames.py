"""Errors in a user's own files name the file and the line."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pinn_specs
import pytest

from bench.spec.user_code import load
from bench.spec.user_frames import is_own
from bench.text.errors import BadInput
from suites.pinn.problems.catalogue import get_problem

Write = Callable[[str, str], None]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Writes files into the working directory, which is empty at first."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = set(sys.modules)

    def put(name: str, source: str) -> None:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)

    yield put
    for module in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[module], "__file__", "")):
            del sys.modules[module]


def _message(reference: str) -> str:
    with pytest.raises(BadInput) as found:
        load(reference)
    return str(found.value)


def test_an_error_while_importing_names_its_line(write: Write) -> None:
    write("own_a.py", "import math\n\nx = foo + 1\n")
    assert _message("own_a:problem") == (
        "cannot import 'own_a' of 'own_a:problem': NameError: name 'foo' is not defined"
        " (own_a.py, line 3)"
    )


def test_the_deepest_of_the_users_own_lines_is_named(write: Write) -> None:
    write("own_b.py", "import helpers.roots\n")
    write("helpers/__init__.py", "")
    write("helpers/roots.py", "import json\n\n\ndef f():\n    return json.loads('{')\n\n\nf()\n")
    said = _message("own_b:problem")
    assert "JSONDecodeError" in said and said.endswith("(helpers/roots.py, line 5)")


def test_a_file_that_is_no_python_names_its_line_once(write: Write) -> None:
    write("own_c.py", "x = 1\ny = = 2\n")
    assert _message("own_c:problem").endswith("SyntaxError: invalid syntax (own_c.py, line 2)")


def test_a_module_that_is_not_there_says_where_and_what_is(write: Write, tmp_path: Path) -> None:
    write("own_problem.py", "")
    assert _message("own_problme:x") == (
        f"cannot import 'own_problme' of 'own_problme:x': no module 'own_problme' in {tmp_path} or"
        " on the Python path; did you mean 'own_problem'?"
    )
    write("pack_d/__init__.py", "")
    write("pack_d/peaks.py", "")
    said = _message("pack_d.peak:x")
    assert f"no module 'pack_d.peak' in {tmp_path / 'pack_d'} " in said
    assert "did you mean 'peaks'?" in said


def test_a_module_that_a_users_module_misses_is_another_matter(write: Write) -> None:
    write("own_e.py", "\nimport nowhere_to_be_found\n")
    said = _message("own_e:x")
    assert "No module named 'nowhere_to_be_found' (own_e.py, line 2)" in said


def test_a_problem_that_cannot_be_made_names_the_line(write: Write) -> None:
    write(
        "own_f.py",
        "from suites.pinn import Problem\n\n\nclass Mine(Problem):\n"
        "    def __init__(self):\n        self.x = [][3]\n    own_truth = data = None\n",
    )
    with pytest.raises(BadInput, match=r"IndexError.*\(own_f.py, line 6\)"):
        get_problem("own_f:Mine")


PROBLEM = """
import deepxde as dde
import torch

from suites.pinn import wrap


def equation(x, y):
    {line}
    return dde.grad.jacobian(y, x)


def data():
    geometry = dde.geometry.Interval(0, 1)
    return dde.data.PDE(
        geometry,
        equation,
        [dde.icbc.DirichletBC(geometry, lambda x: x, lambda x, on: on)],
        num_domain=8,
        num_boundary=2,
        train_distribution="pseudo",
    )


problem = wrap(data, name="mine", outputs=["u"], losses=["Lf", "LBC"])
"""


#: Not in the process that looks at the problem before, where an error is refused.
HERE = "(__import__('multiprocessing').parent_process() is None)"


def test_a_failed_run_names_the_users_line(write: Write, tmp_path: Path) -> None:
    write("own_g.py", PROBLEM.format(line=f"if {HERE}: raise ArithmeticError('too hard')"))
    record = pinn_specs.run(tmp_path / "store", "own_g:problem")
    assert record.status == "failed"
    assert record.reason == "ArithmeticError: too hard (own_g.py, line 9)"


def test_a_failed_run_names_where_the_error_was_raised_too(write: Write, tmp_path: Path) -> None:
    write("own_h.py", PROBLEM.format(line=f"dde.grad.jacobian(y, x, i=7 * {HERE})"))
    record = pinn_specs.run(tmp_path / "store", "own_h:problem")
    assert record.status == "failed" and record.reason
    assert "(own_h.py, line 9; raised at " in record.reason
    assert "deepxde" in record.reason.partition("raised at")[2]


def test_a_suite_that_was_not_imported_is_no_user_s_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "suites.pinn.suite", raising=False)
    assert get_problem.__module__ == "suites.pinn.problems.catalogue"
    assert not is_own(get_problem.__wrapped__.__code__.co_filename)
    assert is_own(__file__)
