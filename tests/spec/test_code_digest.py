"""Which code counts as that of a run: edits of small packages, and of a copy of the real sources.

That a checkpoint survives the one and not the other is in `tests/execution/test_edited_code.py`.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import molecular_specs
import pinn_specs
import pytest

from bench.arm import AXES
from bench.plugins import load_suite
from bench.spec.code_digest import Program, Unit, code_digests
from bench.spec.spec import Spec
from bench.spec.training import SCHEDULES
from bench.store.environment import provenance
from bench.techniques.offset import NO_OFFSET
from suites.molecular.models.catalogue import ARCHITECTURES
from suites.molecular.problems.catalogue import PROBLEMS
from suites.molecular.protocols import PROTOCOLS
from suites.pinn.models import catalogue as pinn_models
from suites.pinn.problems.catalogue import BUILT_IN, VARIANTS, get_problem

REPOSITORY = Path(__file__).parents[2]


# --- small packages -----------------------------------------------------------------------------


@pytest.fixture
def program(tmp_path: Path) -> Callable[..., Program]:
    """Writes modules of the package ``own`` by their names, and gives what reads them."""

    def write(**modules: str) -> Program:
        for name, source in {"__init__": "", **modules}.items():
            path = tmp_path / "own" / f"{name.replace('_in_', '/')}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(source)
        return Program(["own"], [str(tmp_path)])

    return write


def names(program: Program, root: str) -> set[str]:
    """What is reached, without the package's name."""
    return {str(unit).removeprefix("own.") for unit in program.closure(root)}


MODULE = '''
"""About the module."""
from __future__ import annotations
from typing import TYPE_CHECKING
import math
if TYPE_CHECKING:
    from own.types import Kind

LIMIT: int = 3

def used(x: Kind, scale: float = 2.0) -> float:
    """About the function."""
    found: Kind = math.sin(x) * scale  # why
    if found > LIMIT:
        raise ValueError(f"{found} is too much")
    return found

def unused():
    return 1
'''


@pytest.mark.parametrize(
    ("old", "new", "counts"),
    [
        ("  # why", "  # because", False),
        ("About the module.", "On the module.", False),
        ("About the function.", "On the function.", False),
        ('    """About the function."""\n', "", False),
        ("x: Kind, scale: float", "x, scale: int", False),
        ("-> float", "-> Kind", False),
        ("found: Kind =", "found =", False),
        ("LIMIT: int", "LIMIT: float", False),
        ("is too much", "is more than allowed", False),
        ("from own.types import Kind", "from own.types import Kind, Other", False),
        ("return 1", "return 2", False),
        ("\n\ndef unused", "\n\nNEW = 1\n\ndef unused", False),
        ("\n\nLIMIT", "\n\n\n\nLIMIT", False),
        ("* scale", "+ scale", True),
        ("LIMIT: int = 3", "LIMIT: int = 4", True),
        ("scale: float = 2.0", "scale: float = 2.5", True),
        ("ValueError", "TypeError", True),
        ("import math", "import cmath as math", True),
        ("\n\ndef unused", "\n\nmath.pi = 3\n\ndef unused", True),
        ("\n\ndef unused", "\n\nprint(0)\n\ndef unused", True),
        ("\n\ndef unused", "\n\nLIMIT += 1\n\ndef unused", True),
    ],
)
def test_what_of_a_module_counts(
    program: Callable[..., Program], old: str, new: str, counts: bool
) -> None:
    assert MODULE.count(old) == 1
    before = program(module=MODULE).digest("own.module:used")
    after = program(module=MODULE.replace(old, new)).digest("own.module:used")
    assert (after != before) == counts


FOLLOWED = {
    "by a name": "from own.other import helper\ndef root(): return helper()",
    "by another name": "from own.other import helper as h\ndef root(): return h()",
    "by a module": "import own.other\ndef root(): return own.other.helper()",
    "by a module's other name": "import own.other as o\ndef root(): return o.helper()",
    "from a package": "from own import other\ndef root(): return other.helper()",
    "relatively": "from .other import helper\ndef root(): return helper()",
    "inside a function": "def root():\n    from own.other import helper\n    return helper()",
    "from a function around": (
        "def root():\n    from own import other\n    def inner(): return other.helper()\n"
        "    return inner"
    ),
    "through a package's names": "from own.inner import again\ndef root(): return again()",
    "after an except": (
        "try:\n    from nothing import helper\nexcept ImportError:\n"
        "    from own.other import helper\ndef root(): return helper()"
    ),
    "by a default": "from own.other import helper\ndef root(f=helper): return f()",
    "by a decorator": "from own.other import helper\n@helper\ndef root(): pass",
    "by a base class": "from own.other import helper\nclass root(helper): pass",
    "by a field's annotation": "from own.other import helper\nclass root:\n    x: helper",
    "in a comprehension": "from own.other import helper\ndef root(): return [helper() for _ in ()]",
    "by a lambda": "from own.other import helper\nroot = lambda: helper()",
    "by a string": "def root(): return load('own.other:helper')",
    "by a call": "from importlib import import_module\ndef root(): import_module('own.other')",
    "by a module as an object": "from own import other\ndef root(n): return getattr(other, n)",
    "by all names": "from own.other import *\ndef root(): return helper()",
    "by a later change": "from own.other import helper\nroot = {}\nroot['x'] = helper",
    "by a call on it": "from own.other import helper\nroot = {}\nroot.update(x=helper)",
    "by what a module does": "from own.other import helper\nhelper()\ndef root(): pass",
    "but in a main program": (
        "from own.other import helper\nif __name__ == '__main__': pass\nelse: helper()\nroot = 1"
    ),
    "if a name is global": (
        "from own.other import helper\ndef root():\n    global helper\n    helper = helper()"
    ),
}


@pytest.mark.parametrize("source", FOLLOWED.values(), ids=FOLLOWED)
def test_a_use_is_followed(program: Callable[..., Program], source: str) -> None:
    made: dict[str, str] = {
        "module": source,
        "other": "FACTOR = 2\ndef helper(): return FACTOR\ndef third(): return 3",
        "inner_in___init__": "from ..other import helper as again",
    }
    before = program(**made)
    assert {"module:root", "other:helper", "other:FACTOR"} <= names(before, "own.module:root")
    made["other"] = made["other"].replace("2", "5")
    after = program(**made)
    assert after.digest("own.module:root") != before.digest("own.module:root")


IGNORED = {
    "an argument": "from own.other import helper\ndef root(helper): return helper()",
    "a local": "from own.other import helper\ndef root():\n    helper = 1\n    return helper",
    "a loop's name": "from own.other import helper\ndef root():\n    for helper in (): helper",
    "a comprehension's": "from own.other import helper\ndef root(): [helper for helper in ()]",
    "an exception's": (
        "from own.other import helper\ndef root():\n    try: pass\n"
        "    except ValueError as helper: helper"
    ),
    "one around": (
        "from own.other import helper\ndef root(helper):\n    def inner(): return helper()\n"
        "    return inner"
    ),
    "an annotation": "from own.other import helper\ndef root(x: helper) -> helper: x: helper = 1",
    "what is said of a failure": "from own.other import helper\ndef root(): raise E(helper())",
    "what words a failure": "from own.other import helper\ndef root(): raise helper('no')",
    "the entries of a table": "root = {'a': 'own.other:helper', 'b': ('own.other:FACTOR', '')}",
    "a main program": "from own.other import helper\nif __name__ == '__main__': helper()\nroot = 1",
    "what a checker sees": (
        "from own.other import helper\nimport typing\nif typing.TYPE_CHECKING: helper()\nroot = 1"
    ),
    "a neighbour": "from own.other import helper\ndef root(): pass\ndef other(): helper()",
}


@pytest.mark.parametrize("source", IGNORED.values(), ids=IGNORED)
def test_what_is_no_use_is_not_followed(program: Callable[..., Program], source: str) -> None:
    other = "FACTOR = 2\ndef helper(): return FACTOR"
    assert names(program(module=source, other=other), "own.module:root") == {"module:root"}


def test_a_name_that_stands_for_another_counts(program: Callable[..., Program]) -> None:
    """Though neither the definition nor the set of what it uses changes."""
    other = "def f(): return 1\ndef g(): return 2"
    use = "from own.other import {}\ndef root(): return f() - g()"
    found = []
    for imported in ("f, g", "f as g, g as f"):
        made = program(module=use.format(imported), other=other)
        found.append((names(made, "own.module:root"), made.digest("own.module:root")))
    (before, digest), (after, swapped) = found
    assert before == after
    assert digest != swapped


TABLE = """
from own.registry import Registry, Choice
CHOICES = Registry("axis", {
    "one": Choice("own.other:One", "the first"),
})
def get(name): return CHOICES.get(name)
"""
REGISTRY = """
class Registry:
    def get(self, name): return name
class Choice: pass
"""


def test_the_entries_of_a_table_do_not_count_but_what_it_is(
    program: Callable[..., Program],
) -> None:
    def digest(table: str, registry: str = REGISTRY) -> str:
        made = program(module=table, registry=registry, other="One = 1\nTwo = 2")
        assert "other:One" not in names(made, "own.module:get")
        return made.digest("own.module:get")

    before = digest(TABLE)
    entry = '    "two": Choice("own.other:Two", "the second"),\n'
    assert digest(TABLE.replace("})", f"{entry}}})")) == before
    assert digest(TABLE.replace("the first", "number one")) == before
    assert digest(TABLE.replace('"axis"', '"axes"')) != before
    assert digest(TABLE, REGISTRY.replace("return name", "return None")) != before


def test_a_table_of_other_strings_with_colons_counts(program: Callable[..., Program]) -> None:
    before = program(module="root = {'a': 'key:value'}").digest("own.module:root")
    assert program(module="root = {'a': 'key:other'}").digest("own.module:root") != before


CLASS = """
from own.other import Base, first, second, third
class Suite(Base):
    name = "suite"
    unused = third()
    def __init__(self): self.x = 1
    def build(self): return self._inner(), self.name
    def _inner(self): return first()
    def report(self): return second()
"""


def test_of_a_method_counts_what_it_uses_of_its_class(program: Callable[..., Program]) -> None:
    other = "class Base:\n    def also(self): pass\n"
    other += "".join(f"def {name}(): pass\n" for name in ("first", "second", "third"))
    made = program(module=CLASS, other=other)
    assert names(made, "own.module:Suite.build") == {
        "module:Suite.build",
        "other:Base",
        "other:first",
    }
    assert {"other:second", "other:third"} <= names(made, "own.module:Suite")
    before = made.digest("own.module:Suite.build")
    for old, new, counts in (
        ("second()", "None", False),
        ("unused = third()", "unused = 2", False),
        ("first()", "None", True),
        ('"suite"', '"other"', True),
        ("self.x = 1", "self.x = 2", True),
        ("Suite(Base)", "Suite", True),
    ):
        after = program(module=CLASS.replace(old, new), other=other)
        assert (after.digest("own.module:Suite.build") != before) == counts, old
    handed_on = CLASS.replace("return self._inner()", "return first(self)")
    found = names(program(module=handed_on, other=other), "own.module:Suite.build")
    assert {"other:second", "other:third"} <= found
    default = CLASS.replace("def build(self)", "def build(self, x=unused) -> Suite")
    found = names(program(module=default, other=other), "own.module:Suite.build")
    assert "other:third" in found and "other:second" not in found
    # One that is inherited: all of both classes.
    assert {"module:Suite", "other:Base"} <= names(made, "own.module:Suite.also")


def test_a_module_that_cannot_be_told_counts_as_a_whole(program: Callable[..., Program]) -> None:
    computed = "import importlib\ndef root(name): importlib.import_module(name)\ndef other(): pass"
    assert "module:other" in names(program(module=computed), "own.module:root")
    asked = "from own import other\ndef root(): return other.made_up"
    made = program(module=asked, other="def __getattr__(name): return 1\ndef third(): pass")
    assert {"other:__getattr__", "other:third"} <= names(made, "own.module:root")


def test_what_importing_does_counts_for_all_that_is_imported(
    program: Callable[..., Program],
) -> None:
    made: dict[str, str] = {
        "__init__": "import os\nos.environ['A'] = '1'",
        "module": "import own.effects\ndef root(): pass",
        "effects": "import os\nos.register_at_fork(before=print)\nUNUSED = 1",
        "elsewhere": "import os\nos.umask(0)",
    }
    digest = program(**made).digest("own.module:root")
    for module, old, new, counts in (
        ("__init__", "'1'", "'2'", True),
        ("effects", "print", "repr", True),
        ("effects", "UNUSED = 1", "UNUSED = 2", False),
        ("elsewhere", "0", "1", False),
    ):
        edited = program(**{**made, module: made[module].replace(old, new)})
        assert (edited.digest("own.module:root") != digest) == counts, (module, old)
        program(**made)


def test_what_one_of_ones_own_decorators_may_register_counts(
    program: Callable[..., Program],
) -> None:
    source = "from own.other import add\nimport functools\n@add\ndef f(): pass\n"
    source += "@functools.cache\ndef g(): pass\ndef root(): pass"
    other = "TABLE = []\ndef add(f): TABLE.append(f); return f"
    found = names(program(module=source, other=other), "own.module:root")
    assert found == {"module:root", "module:f", "other:add", "other:TABLE"}


@pytest.mark.parametrize(
    "root", ["own.module:nothing", "own.nothing:root", "elsewhere:root", "own.module:nothing.a"]
)
def test_a_root_that_is_not_there_is_refused(program: Callable[..., Program], root: str) -> None:
    with pytest.raises(LookupError, match=root):
        program(module="def root(): pass").digest(root)


# --- the real sources ---------------------------------------------------------------------------

SPECS: Mapping[str, Callable[[], Spec]] = {
    "irelu": lambda: pinn_specs.specify(arm="irelu"),
    "water": lambda: pinn_specs.specify("shallow-water-2d"),
    "schnet": lambda: molecular_specs.specify(arm="irelu"),
    "cgcnn": lambda: molecular_specs.specify("cgcnn:8x2", "baseline", "--protocol", "paper"),
}
PINN, MOLECULAR = {"irelu", "water"}, {"schnet", "cgcnn"}
EVERY = PINN | MOLECULAR


@pytest.fixture(scope="module")
def roots(session_environment: None) -> dict[str, list[str]]:
    """Of each spec, as a run has them."""
    return {name: list(code_of(spec())) for name, spec in SPECS.items()}


def code_of(spec: Spec) -> dict[str, str]:
    code: dict[str, str] = provenance(load_suite(spec.suite), spec)["code"]
    return code


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the harness and the suites."""
    folder = tmp_path_factory.mktemp("sources")
    for package in ("bench", "suites"):
        files = shutil.ignore_patterns("__pycache__", "shipped", "*.csv", "page")
        shutil.copytree(REPOSITORY / package, folder / package, ignore=files)
    return folder


def digests(tree: Path, roots: Mapping[str, list[str]]) -> dict[str, list[str]]:
    program = Program(["bench", "suites"], [str(tree)])
    return {name: [program.digest(root) for root in of_spec] for name, of_spec in roots.items()}


@pytest.fixture(scope="module")
def unedited(tree: Path, roots: dict[str, list[str]]) -> dict[str, list[str]]:
    return digests(tree, roots)


@pytest.fixture
def edited(tree: Path) -> Iterator[Callable[[str, str, str], None]]:
    """Edits a file of the tree for one test."""
    before: dict[Path, str | None] = {}

    def edit(name: str, old: str, new: str) -> None:
        path = tree / name
        content = path.read_text() if path.exists() else ""
        before[path] = content if path.exists() else None
        assert content.count(old) == 1 or not old, f"{old!r} is {content.count(old)} times there"
        path.write_text(content.replace(old, new) if old else content + new)

    yield edit
    for path, content in before.items():
        if content is None:
            path.unlink()
        else:
            path.write_text(content)


def test_the_copy_is_the_code(
    tree: Path, roots: dict[str, list[str]], unedited: dict[str, list[str]]
) -> None:
    assert unedited == {name: list(code_of(spec()).values()) for name, spec in SPECS.items()}


#: File, what is replaced (at the end, if empty) and by what.
IRRELEVANT: Mapping[str, tuple[str, str, str]] = {
    "a comment in the loop": (
        "bench/training/loop.py",
        "totals: list[Tensor] = []",
        "totals: list[Tensor] = []  # of all",
    ),
    "a comment in speed": ("bench/training/stock_speed.py", "", "# measured again\n"),
    "a docstring of a loss": (
        "suites/pinn/loss.py",
        "every term in the new unit.",
        "all terms in the new unit.",
    ),
    "a message": ("suites/pinn/loss.py", "so its labels cannot be", "so labels cannot be"),
    "an annotation": (
        "suites/molecular/labels.py",
        "    training: Frames,",
        "    training: object,",
    ),
    "a report": ("bench/report/tables.py", "_WIDTH = 200", "_WIDTH = 201"),
    "a command": ("bench/cli/show.py", "width = max(", "width = min("),
    "statistics": ("bench/statistics/claims.py", "ALPHA = 0.01", "ALPHA = 0.02"),
    "the store": ("bench/store/store.py", "_MOST_BYTES = 256_000_000", "_MOST_BYTES = 1"),
    "claims": ("bench/store/leases.py", "LEASE_S = 60.0", "LEASE_S = 61.0"),
    "the pool": ("bench/execution/pool.py", "_ENDING_S = 5.0", "_ENDING_S = 6.0"),
    "what is said of a run": ("bench/training/run.py", "memory ran out:", "no memory:"),
    "a new module": ("bench/new.py", "", "print('new')\n"),
    "a new package": ("suites/third/suite.py", "", "X = 1\n"),
    "another problem": (
        "suites/pinn/problems/diffusion_sorption.py",
        "Sorption(D, POROSITY,",
        "Sorption(2 * D, POROSITY,",
    ),
    "another problem's truth": ("suites/pinn/reference/diffusion_reaction.py", "", "X = 1\n"),
    "a new problem": (
        "suites/pinn/problems/catalogue.py",
        "BUILT_IN = {",
        'BUILT_IN = {"burgers": ("suites.pinn.problems.burgers:Burgers", "new"),',
    ),
    "another activation": ("bench/techniques/integrated.py", "mul_(alpha)", "mul_(2 * alpha)"),
    "a new activation in the same file": (
        "bench/techniques/integrated.py",
        "",
        "class Cubic(nn.Module):\n    def forward(self, x): return x**3\n",
    ),
    "a new entry of the registry": (
        "bench/techniques/activation.py",
        '        "irelu": Choice(',
        '        "cubic": Choice("bench.techniques.integrated:Cubic", "x³"),\n'
        '        "irelu": Choice(',
    ),
    "a summary": ("bench/techniques/activation.py", "hyperbolic tangent", "tanh"),
    "a new initialisation": (
        "bench/techniques/initialization.py",
        '        "he": Choice(',
        '        "own": Choice("bench.techniques.initializers:own", "new"), "he": Choice(',
    ),
    "another initialisation": (
        "bench/techniques/initializers.py",
        "_TOLERANCE = 1e-3",
        "_TOLERANCE = 2e-3",
    ),
    "a new rescaling": (
        "bench/techniques/rescaling.py",
        '        "rescale": Choice(',
        '        "r2": Choice("bench.techniques.rescaling:weights", ""), "rescale": Choice(',
    ),
    "a new schedule": (
        "bench/spec/training.py",
        '        "constant": "bench',
        '        "none": "bench.training.optimization:none", "constant": "bench',
    ),
    "another schedule": ("bench/training/optimization.py", "0.01**progress", "0.02**progress"),
    "a new network": (
        "suites/pinn/models/catalogue.py",
        '        "fnn-bn": "',
        '        "fnn-new": "suites.pinn.models.catalogue:FNN_NEW", "fnn-bn": "',
    ),
    "another network": (
        "suites/pinn/models/catalogue.py",
        'normalization="batchnorm"',
        'normalization="layernorm"',
    ),
    "a new potential": (
        "suites/molecular/models/catalogue.py",
        '        "painn": "suites',
        '        "new": "suites.molecular.models.new:NEW", "painn": "suites',
    ),
    "another potential": (
        "suites/molecular/models/dimenet.py",
        "class DimeNetReadout",
        "X = 1\n\n\nclass DimeNetReadout",
    ),
    "another potential's parts": ("suites/molecular/models/potential.py", "_LMAX = 2", "_LMAX = 3"),
    "a new protocol": (
        "suites/molecular/protocols.py",
        '        "paper": "',
        '        "new": "suites.molecular.protocols:NEW", "paper": "',
    ),
    "a new molecule": (
        "suites/molecular/data/molecules.py",
        'URACIL = Molecule("uracil"',
        'WATER = Molecule("water", "H2O", 1)\nURACIL = Molecule("uracil"',
    ),
    "another molecule": ("suites/molecular/data/molecules.py", '"C7H8"', '"C7H9"'),
    "a new molecular problem": (
        "suites/molecular/problems/catalogue.py",
        '        "xtb-oxides": "',
        '        "xtb-water": "suites.molecular.problems.xtb:WATER", "xtb-oxides": "',
    ),
    "what downloads": ("suites/molecular/data/download.py", "", "X = 1\n"),
    "a budget": ("suites/pinn/budgets.py", "_NORMALIZED_SHARE = 0.5", "_NORMALIZED_SHARE = 0.6"),
    "what exports": ("suites/molecular/export.py", "FORMAT = 1", "FORMAT = 2"),
    "the options of a suite": (
        "suites/pinn/suite.py",
        "_MOST_INITIAL = 1_000_000",
        "_MOST_INITIAL = 2_000_000",
    ),
}


@pytest.mark.parametrize("edit", IRRELEVANT.values(), ids=IRRELEVANT)
def test_what_makes_no_number_does_not_count(
    edit: tuple[str, str, str],
    tree: Path,
    roots: dict[str, list[str]],
    unedited: dict[str, list[str]],
    edited: Callable[[str, str, str], None],
) -> None:
    (tree / edit[0]).parent.mkdir(exist_ok=True)
    edited(*edit)
    assert digests(tree, roots) == unedited


#: The same, and which of `SPECS` it is the code of.
RELEVANT: Mapping[str, tuple[tuple[str, str, str], set[str]]] = {
    "an operator of IReLU": (
        (
            "bench/techniques/integrated.py",
            "def _irelu_value(x: Tensor) -> Tensor:\n    return torch.relu(x).square_().mul_(0.5)",
            "def _irelu_value(x: Tensor) -> Tensor:\n    return torch.relu(x).square_().div_(2.0)",
        ),
        {"irelu", "schnet"},
    ),
    "the slope of IReLU": (
        ("bench/techniques/integrated.py", "(x > 0).to(x.dtype)", "(x >= 0).to(x.dtype)"),
        {"irelu", "schnet"},
    ),
    "an operator of a PINN's loss": (
        ("suites/pinn/loss.py", "1 / scale**2 for scale", "1 / scale**3 for scale"),
        PINN,
    ),
    "an operator of the potentials' loss": (
        ("suites/molecular/loss.py", "e.square() if", "2 * e.square() if"),
        MOLECULAR,
    ),
    "an operator of a truth solver": (
        (
            "suites/pinn/reference/shallow_water.py",
            "(inner - outer) * wet",
            "(inner + outer) * wet",
        ),
        {"water"},
    ),
    "what a truth solver calls": (
        ("suites/pinn/reference/finite_volume.py", "below * above > 0", "below * above >= 0"),
        {"water"},
    ),
    "the grid of a truth": (
        ("suites/pinn/problems/shallow_water.py", "np.linspace(0, 1, 51", "np.linspace(0, 2, 51"),
        {"water"},
    ),
    "a constant of a problem": (
        ("suites/pinn/problems/advection.py", "BETA = 0.1", "BETA = 0.2"),
        {"irelu"},
    ),
    "an operator of an equation": (
        ("suites/pinn/problems/advection.py", "return u_t + BETA", "return u_t - BETA"),
        {"irelu"},
    ),
    "the engine": (
        (
            "suites/pinn/engine/taylor.py",
            "total = parts[a] * parts[b]",
            "total = parts[a] + parts[b]",
        ),
        PINN,
    ),
    "a constant of the loop": (
        ("bench/training/loop.py", "_EXPLODED = 1e8", "_EXPLODED = 1e9"),
        EVERY,
    ),
    "an operator of the loop": (
        ("bench/training/loop.py", "step % self._loss_every == 0", "step % self._loss_every == 1"),
        EVERY,
    ),
    "determinism": (
        ("bench/training/device.py", "torch.set_num_threads(1)", "torch.set_num_threads(2)"),
        EVERY,
    ),
    "how seeds become streams": (
        ("bench/spec/randomness.py", "digest()[:4]", "digest()[4:8]"),
        EVERY,
    ),
    "the optimiser": (
        ("bench/training/optimization.py", "history_size=50", "history_size=51"),
        EVERY,
    ),
    "a schedule": (
        (
            "bench/training/optimization.py",
            "math.cos(math.pi * progress)",
            "math.cos(3 * progress)",
        ),
        {"schnet"},
    ),
    "a protocol": (
        ("suites/molecular/protocols.py", "force_weight=30.0", "force_weight=31.0"),
        {"cgcnn"},
    ),
    "a potential": (
        ("suites/molecular/models/cgcnn.py", "torch.sigmoid(gate) *", "torch.tanh(gate) *"),
        {"cgcnn"},
    ),
    "a potential's parts": (
        ("suites/molecular/models/potential.py", "_CGCNN_HIDDEN = 128", "_CGCNN_HIDDEN = 64"),
        {"cgcnn"},
    ),
    "a published size": (
        (
            "suites/molecular/models/catalogue.py",
            "Size(1024, 5, n_rbf=200",
            "Size(1024, 6, n_rbf=200",
        ),
        {"schnet"},
    ),
    "a network": (
        (
            "suites/pinn/models/network.py",
            "x = linear(x)",
            "x = -linear(x)",
        ),
        PINN,
    ),
    "the threads of a library": (("bench/__init__.py", '"1"', '"2"'), EVERY),
    "the backend": (("suites/pinn/__init__.py", '"pytorch"', '"jax"'), PINN),
    "an energy": (("suites/molecular/labels.py", "1: -66.60", "1: -66.61"), MOLECULAR),
    "how frames are batched": (
        ("suites/molecular/data/batches.py", "shuffling/{epoch}", "shuffled/{epoch}"),
        MOLECULAR,
    ),
    "what is told of a failure": (
        (
            "suites/pinn/loss.py",
            'raise BadInput(\n                    f"problem {problem!r} names',
            'raise ValueError(\n                    f"problem {problem!r} names',
        ),
        PINN,
    ),
}


@pytest.mark.parametrize(("edit", "of"), RELEVANT.values(), ids=RELEVANT)
def test_what_makes_the_numbers_counts_for_those_that_use_it(
    edit: tuple[str, str, str],
    of: set[str],
    tree: Path,
    roots: dict[str, list[str]],
    unedited: dict[str, list[str]],
    edited: Callable[[str, str, str], None],
) -> None:
    edited(*edit)
    found = digests(tree, roots)
    assert {name for name in SPECS if found[name] != unedited[name]} == of


# --- ground truths ------------------------------------------------------------------------------

#: An edit, and the problems whose ground truths are computed anew; each is kept by the code that
#: makes it, see `suites.pinn.reference.cache`.
TRUTHS: Mapping[str, tuple[tuple[str, str, str], set[str]]] = {
    "a comment in a solver": (
        (
            "suites/pinn/reference/shallow_water.py",
            "law = ShallowWater(g)",
            "law = ShallowWater(g)  #",
        ),
        set(),
    ),
    "a solver": (
        (
            "suites/pinn/reference/shallow_water.py",
            "(inner - outer) * wet",
            "(inner + outer) * wet",
        ),
        {"shallow-water-2d"},
    ),
    "what solvers share": (
        ("suites/pinn/reference/finite_volume.py", "below * above > 0", "below * above >= 0"),
        {"shallow-water-2d", "compressible-flow-1d"},
    ),
    "how it is estimated": (
        ("suites/pinn/reference/convergence.py", "max(order, 0.5)", "max(order, 0.6)"),
        {"shallow-water-2d", "compressible-flow-1d", "diffusion-sorption-1d"},
    ),
    "the end of its time": (
        ("suites/pinn/problems/diffusion_reaction.py", "np.linspace(0, 5,", "np.linspace(0, 6,"),
        {"diffusion-reaction-2d", "diffusion-reaction-2d-noise"},
    ),
    "an initial state": (
        (
            "suites/pinn/problems/diffusion_reaction.py",
            "(np.asarray(a) + 1)",
            "(np.asarray(a) + 2)",
        ),
        {"diffusion-reaction-2d-noise"},
    ),
    "a variant's network": (
        (
            "suites/pinn/problems/diffusion_sorption.py",
            "return outputs.relu()",
            "return outputs.abs()",
        ),
        set(),
    ),
}


@pytest.mark.parametrize(("edit", "of"), TRUTHS.values(), ids=TRUTHS)
def test_an_edited_truth_is_computed_anew(
    edit: tuple[str, str, str], of: set[str], tree: Path, edited: Callable[[str, str, str], None]
) -> None:
    names = {*BUILT_IN, *VARIANTS} - {"advection-1d", "diffusion-sorption-1d-relu"}
    definitions = {name: [get_problem(name).truth_definition] for name in names}
    before = digests(tree, definitions)
    edited(*edit)
    after = digests(tree, definitions)
    assert {name for name in names if after[name] != before[name]} == of


def test_a_variant_of_the_same_truth_shares_it() -> None:
    both = [get_problem(f"diffusion-sorption-1d{suffix}") for suffix in ("", "-relu")]
    assert both[0].truth_definition == both[1].truth_definition


# --- what is reached ----------------------------------------------------------------------------


def closure(spec: Spec) -> set[Unit]:
    program = Program(["bench", "suites"])
    return set().union(*(program.closure(root) for root in code_of(spec)))


def unit(reference: str) -> Unit:
    return Unit(*reference.split(":"))


@pytest.mark.parametrize("name", [*BUILT_IN, *VARIANTS])
def test_a_pinn_problem_is_reached_and_no_other(name: str) -> None:
    found = closure(pinn_specs.specify(name))
    references = {key: unit(reference) for key, (reference, _) in {**BUILT_IN, **VARIANTS}.items()}
    assert references[name] in found
    # A variant is derived from its problem.
    others = {reference for key, reference in references.items() if not name.startswith(key)}
    assert not others & found
    solvers = {one.module for one in found if one.module.startswith("suites.pinn.reference.")}
    solver = type(get_problem(name)).__module__.replace(".problems.", ".reference.")
    if name != "advection-1d":
        assert Unit(solver, "solve") in found
    for other in ("compressible_flow", "diffusion_reaction", "diffusion_sorption", "shallow_water"):
        module = f"suites.pinn.reference.{other}"
        assert (module in solvers) == (module == solver)


@pytest.mark.parametrize("name", pinn_models.ARCHITECTURES)
def test_a_pinn_model_is_reached_and_no_other(name: str) -> None:
    found = closure(pinn_specs.specify(model=name))
    of_models = {unit(reference) for reference in pinn_models.ARCHITECTURES.references.values()}
    assert of_models & found == {unit(pinn_models.ARCHITECTURES.references[name])}
    assert Unit("suites.pinn.models.network", "FNN") in found


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_potential_is_reached_and_no_other(name: str) -> None:
    found = closure(molecular_specs.specify(f"{name}:8x2"))
    of_models = {unit(reference) for reference in ARCHITECTURES.references.values()}
    builders = {unit(architecture.builder) for architecture in ARCHITECTURES.values()}
    assert of_models & found == {unit(ARCHITECTURES.references[name])}
    assert builders & found == {unit(ARCHITECTURES[name].builder)}
    networks = {one.module.rpartition(".")[2] for one in found} & {"cgcnn", "forcenet", "dimenet"}
    assert networks == ({name.rstrip("+")} & {"cgcnn", "forcenet", "dimenet"})


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_protocol_and_a_molecule_are_reached_and_no_others(protocol: str) -> None:
    spec = molecular_specs.specify("schnet:8x2", "baseline", "--protocol", protocol)
    found = closure(spec)
    for table, name in ((PROTOCOLS, protocol), (PROBLEMS, "xtb-ethanol")):
        of_table = {unit(reference) for reference in table.references.values()}
        assert of_table & found == {unit(table.references[name])}


TECHNIQUES = [(axis, token) for axis, registry in AXES.items() for token in registry._builtin]


@pytest.mark.parametrize(("axis", "token"), TECHNIQUES)
def test_a_technique_is_reached(axis: str, token: str) -> None:
    target = AXES[axis].choices[token].target
    # A protocol's own offset is in no spec.
    spec = pinn_specs.specify(arm=token)
    if token == NO_OFFSET:
        spec = molecular_specs.specify("schnet:8x2", token)
    found = closure(spec)
    assert (unit(target) in found) == target.startswith("bench.")
    of_axis = {unit(choice.target) for choice in AXES[axis]._builtin.values()}
    # What batch norm and the engine ask for by its kind, and what LSUV begins with.
    shared = {"FrozenBatchNorm", "LayerNorm", "PointwiseBatchNorm", "glorot_normal"}
    assert {one.name for one in of_axis & found} <= {unit(target).name} | shared


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_schedule_is_reached_and_no_other(schedule: str) -> None:
    found = closure(pinn_specs.specify(schedule=schedule))
    of_table = {unit(reference) for reference in SCHEDULES.references.values()}
    assert of_table & found == {unit(SCHEDULES.references[schedule])}


def test_no_record_and_no_report_is_reached() -> None:
    found = set().union(*(closure(spec()) for spec in SPECS.values()))
    modules = {one.module for one in found}
    for apart in ("cli", "execution", "report", "statistics", "studies", "tracking"):
        assert not any(module.startswith(f"bench.{apart}") for module in modules), apart
    # What the loop's log is made of.
    of_store = {str(one) for one in found if one.module.startswith("bench.store")}
    assert of_store == {"bench.store.record:Metric", "bench.store.record:Timing"}


def test_tables_name_what_there_is() -> None:
    for table in (pinn_models.ARCHITECTURES, ARCHITECTURES, PROTOCOLS, PROBLEMS, SCHEDULES):
        assert list(table) == list(table.references)
        assert all(value is table[name] for name, value in table.items())
        assert "nothing" not in table
    for name, problem in PROBLEMS.items():
        assert problem.name == name


# --- time ---------------------------------------------------------------------------------------


def test_a_digest_is_asked_for_thousands_of_records(monkeypatch: pytest.MonkeyPatch) -> None:
    spec, suite = pinn_specs.specify(), load_suite("pinn")
    provenance(suite, spec)

    def refuse(*arguments: Any) -> Any:
        pytest.fail("read again")

    monkeypatch.setattr("bench.spec.code_digest.find_source", refuse)
    monkeypatch.setattr(Program, "closure", refuse)
    for seed in range(100):
        again = pinn_specs.specify(seed=seed)
        assert provenance(suite, again) == provenance(suite, spec)


def test_the_digest_of_roots_is_in_the_order_of_their_names() -> None:
    roots = ["bench.training.group:Group", "bench.arm:Arm"]
    assert list(code_digests(roots)) == sorted(roots) == list(code_digests(reversed(roots)))


# --- sources in another language ----------------------------------------------------------------


def test_every_file_of_a_folder_counts(tmp_path: Path) -> None:
    folder = tmp_path / "own" / "native"
    folder.mkdir(parents=True)
    (tmp_path / "own" / "__init__.py").touch()
    (folder / "sum.cpp").write_text("a + b")
    (folder / "sign.h").write_text("-")

    def digest() -> str:
        return Program(["own"], [str(tmp_path)]).digest("own:native/")

    found = {digest()}
    assert digest() in found
    (folder / "sum.cpp").write_text("a + c")
    found.add(digest())
    (folder / "sign.h").rename(folder / "other.h")
    found.add(digest())
    (folder / "more.h").touch()
    found.add(digest())
    assert len(found) == 4
    with pytest.raises(LookupError, match="own:foreign/"):
        Program(["own"], [str(tmp_path)]).digest("own:foreign/")


def test_the_native_kernel_is_code_of_a_pinns_run() -> None:
    spec = pinn_specs.specify("advection-1d")
    roots = load_suite("pinn").definitions(spec)
    files = [root for root in roots if root.endswith("/")]
    assert files and code_digests(files)
