"""What the documents say about the repository is so."""

from __future__ import annotations

import importlib
import importlib.util
import re
import tomllib
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest
import torch
from sample_study import constant, results

from bench.api.frames import comparison_frame, curve_frame, run_frame
from bench.arm import AXES
from bench.spec.options import Options

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
DOCUMENTS = [*(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")), *PAGES]

each_document = pytest.mark.parametrize(
    "path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT))
)


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def prose(path: Path) -> str:
    """A document without its code blocks."""
    return re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.M)


def test_the_readme_is_an_overview() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 200


@each_document
def test_links_lead_to_files(path: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", prose(path))
    local = [link.partition("#")[0] for link in links if not re.match(r"https?:|#", link)]
    assert [link for link in local if not (path.parent / link).exists()] == []


@each_document
def test_files_that_are_named_are_there(path: Path) -> None:
    named = re.findall(r"`((?:bench|suites|tests|docs|examples)/[\w./-]+)`", prose(path))
    assert [name for name in named if not (ROOT / name).exists()] == []


@each_document
def test_targets_that_are_named_are_in_the_makefile(path: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z][\w-]*):(?!=)", makefile, re.MULTILINE))
    text = path.read_text(encoding="utf-8")
    named = set(re.findall(r"(?:`|^|\$ )make (?:[A-Z]+=\S+ )*([a-z][\w-]*)", text, re.MULTILINE))
    assert named <= targets


def test_every_page_is_in_the_navigation() -> None:
    nav = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]["nav"]

    def pages(entry: object) -> list[str]:
        if isinstance(entry, str):
            return [entry]
        entries = entry.values() if isinstance(entry, dict) else entry
        return [page for one in entries for page in pages(one)]

    assert sorted(pages(nav)) == sorted(str(path.relative_to(DOCS)) for path in PAGES)


def test_pages_include_what_is_generated_and_nothing_else() -> None:
    included = {name for path in PAGES for name in re.findall(r'--8<-- "(.*?)"', path.read_text())}
    fragments = {f"{name}.md" for name in script("generate").FRAGMENTS}
    files = {name for name in included if (ROOT / name).is_file()}
    assert included - files == fragments
    examples = (*ROOT.glob("examples/*.py"), *ROOT.glob("examples/*.toml"))
    assert files == {str(path.relative_to(ROOT)) for path in examples}
    lines = [line for path in PAGES for line in re.findall("^--8.*$", path.read_text(), re.M)]
    assert [line for line in lines if not re.fullmatch(r'--8<-- "[\w./-]+"', line)] == []


def test_generated_parts_have_the_names_of_the_code() -> None:
    generate = script("generate")
    assert "| `xtb-ethanol` |" in "\n".join(generate.names())
    assert "| `--halve-on-oom` |" in "\n".join(generate.command_line())
    record = "\n".join(generate.record())
    assert "| `spec_hash` | `str` |" in record
    assert "| `step_ms_median` | `float | None` | Median time of one step. |" in record
    assert "| `status` | `done`, `diverged`," in record


def leaves(kind: type[Options]) -> set[type[Options]]:
    """The structs that are made of a command line or a call."""
    below = kind.__subclasses__()
    return {kind} if not below else set().union(*map(leaves, below))


def test_every_option_is_in_the_reference() -> None:
    generate = script("generate")
    tables = generate.option_structs()
    shown = {struct for structs, _ in tables.values() for struct in structs}
    rooms = (
        "bench.cli",
        "bench.execution",
        "bench.ranking",
        "bench.spec",
        "bench.studies",
        "suites.",
    )
    ours = {struct for struct in leaves(Options) if struct.__module__.startswith(rooms)}
    assert shown == ours
    for which, (structs, _) in tables.items():
        table = "\n".join(generate.options(which))
        flags = re.findall(r"^\| `(--[a-z-]+)", table, re.MULTILINE)
        assert flags == [option.flag for struct in structs for option in struct.declared()]
    assert "| `--lr X` | `lr` | number | learning rate of Adam" in "\n".join(
        generate.options("training")
    )


def test_what_the_reference_of_python_names_is_there() -> None:
    page = (DOCS / "reference" / "python.md").read_text(encoding="utf-8")
    names = re.findall(r"^::: ([\w.]+)$", page, re.MULTILINE)
    assert len(names) > 40
    for name in names:
        module, _, attribute = name.rpartition(".")
        assert hasattr(importlib.import_module(module), attribute), name


def documented(title: str) -> list[str]:
    """The columns of a frame that the reference of Python names, in order."""
    page = (DOCS / "reference" / "python.md").read_text(encoding="utf-8")
    table = page.partition(f"`{title}()` has a row")[2].partition("\n\n")[2].partition("\n\n")[0]
    cells = [line.split("|")[1] for line in table.splitlines()]
    return [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]


def test_the_columns_of_frames_are_documented() -> None:
    sample = results(constant({"baseline": 1.0, "irelu": 0.5, "lsuv": 1.0, "irelu+lsuv": 0.4}))
    records = list(sample.records.values())
    of_runs = [name for name in run_frame(records).columns if name not in records[0].metrics]
    assert documented("frame") == of_runs
    assert set(AXES) <= set(of_runs)
    assert documented("curves") == list(curve_frame(records, ()).columns)
    compared: pd.DataFrame = comparison_frame([sample.compare("irelu", "baseline")], [sample])
    assert documented("compare") == list(compared.columns)


def test_a_notebook_on_the_site_has_its_outputs() -> None:
    page = "\n".join(script("generate").front_door())
    assert page.count('<img alt="') == page.count('src="data:image/png;base64,') == 2
    assert "<progress value=" in page and "<table><thead>" in page
    assert 'alt=""' not in page and "<style" not in page and "\n## " not in page


def test_the_readmes_activation_is_that_of_the_example() -> None:
    readme, example = (
        (ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "examples/snake.py")
    )
    (block,) = re.findall(r"```python\n# snake\.py\n(.*?)```", readme, re.DOTALL)
    found: list[dict[str, type[torch.nn.Module]]] = [{}, {}]
    for source, names in zip((block, example), found, strict=True):
        exec(source, names)  # noqa: S102 (the README's own example)
    x = torch.linspace(-3, 3, 50)
    assert torch.equal(*(names["Snake"]()(x) for names in found))


def test_the_changelog_names_modules_that_are_there() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    moved = re.findall(r"^\| `((?:bench|suites)[\w.]+)` \| `([\w.]+)` \|$", text, re.MULTILINE)
    assert len(moved) > 60
    for before, now in moved:
        path = ROOT / Path(*now.split("."))
        assert path.with_suffix(".py").is_file() or path.is_dir(), now
        assert not (ROOT / Path(*before.split("."))).with_suffix(".py").is_file(), before


@pytest.mark.parametrize(
    ("page", "loaded"),
    [
        ('<script src="https://example.org/a.js"></script>', ["https://example.org/a.js"]),
        ('<link rel="stylesheet" href="//example.org/a.css">', ["//example.org/a.css"]),
        ('<img srcset="a.png 1x, http://e.org/b.png 2x">', ["http://e.org/b.png 2x"]),
        ("<style>a{background:url('https://e.org/c.png')}</style>", ["https://e.org/c.png"]),
        ('<p style="background:url(https://e.org/d.png)">', ["https://e.org/d.png"]),
        ('<a href="https://example.org">elsewhere</a>', []),
        ('<link rel="canonical" href="https://example.org/">', []),
        ('<script src="../a.js"></script><img src="data:image/png;base64,//8=">', []),
    ],
)
def test_what_a_page_loads_from_elsewhere_is_found(
    tmp_path: Path, page: str, loaded: list[str]
) -> None:
    (tmp_path / "index.html").write_text(page)
    assert [address for _, address in script("check_site").external(tmp_path)] == loaded
    assert script("check_site").main(tmp_path) == bool(loaded)


def test_a_site_without_pages_is_refused(tmp_path: Path) -> None:
    assert script("check_site").main(tmp_path) == 1
