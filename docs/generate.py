"""Writes the parts of the pages that the code knows best, as Markdown, into ``build/docs``.

The pages include them (``--8<-- "name.md"``), so that a name, a default or a figure stands once, in
the code. Run by ``make docs``.
"""

from __future__ import annotations

import argparse
import functools
import html
import inspect
import json
import re
import textwrap
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "build" / "docs"


def main() -> None:
    """Write every fragment."""
    OUT.mkdir(parents=True, exist_ok=True)
    for name, write in FRAGMENTS.items():
        (OUT / f"{name}.md").write_text("\n".join(write()) + "\n", encoding="utf-8")


def command_line() -> Iterator[str]:
    """Every command with its usage and a table of options for each group."""
    from bench.suite import parser

    for words, summary, command in _commands(parser(), ()):
        yield f"## `{' '.join(words[3:])}`\n"
        yield f"{_sentence(summary)}\n"
        yield from _arguments(command)


def nightly_command() -> Iterator[str]:
    """The options of the nightly job."""
    from bench.nightly import parser

    return _arguments(parser())


def _arguments(command: argparse.ArgumentParser) -> Iterator[str]:
    """Usage of a command, and a table of options for each group."""
    yield f"```console\n$ {_usage(command)}\n```\n"
    for group in command._action_groups:
        rows = [
            (_spelling(action), _help(command, action))
            for action in group._group_actions
            if not isinstance(action, argparse._HelpAction | argparse._SubParsersAction)
        ]
        if rows:
            if group.title not in ("options", "positional arguments"):
                yield f"**{_sentence(str(group.title)).removesuffix('.')}**\n"
            yield from _table(("argument", "meaning"), rows)


def option_structs() -> dict[str, tuple[list[Any], str]]:
    """The structs of options of each fragment, and the head of the column with their names."""
    from bench.cli.runs import RunFilter
    from bench.cli.speed import SpeedOptions
    from bench.execution.options import ExecutionOptions
    from bench.execution.selection import Axes, Selection
    from bench.ranking.options import RankOptions
    from bench.spec.training_options import TrainingOptions
    from bench.studies.options import StudyOptions
    from suites.molecular.options import MolecularOptions, MolecularSpeedOptions
    from suites.pinn.options import PINNOptions, PINNSpeedOptions

    both, python = "key, argument", "argument"
    return {
        "selection": ([Selection, Axes], python),
        "training": ([TrainingOptions], both),
        "pinn": ([PINNOptions], both),
        "molecular": ([MolecularOptions], both),
        "execution": ([ExecutionOptions], python),
        "study": ([StudyOptions], python),
        "rank": ([RankOptions], python),
        "runs": ([RunFilter], ""),
        "speed": ([SpeedOptions], ""),
        "speed-pinn": ([PINNSpeedOptions], ""),
        "speed-molecular": ([MolecularSpeedOptions], ""),
    }


#: What an option is in Python, where that is not an argument of its name.
IN_PYTHON = {
    "no_baseline": "`baseline=False`",
    "seeds": "`seeds=N`",
    "seed": "`seeds=[K, …]`",
    "options": "each by its own name",
}


def options(which: str) -> Iterator[str]:
    """A table of options, as their structs declare them."""
    structs, head = option_structs()[which]
    rows = []
    for option in (option for struct in structs for option in struct.declared()):
        spelling = f"`{option.flag} {option.doc.value}`".replace(" `", "`")
        name = [IN_PYTHON.get(option.name, f"`{option.name}`")] if head else []
        meaning = f"{option.doc.text}; repeat for several" if option.repeated else option.doc.text
        rows.append((spelling, *name, _values(option), _with_flags(meaning)))
    names = [head] if head else []
    yield from _table(("option", *names, "value", "meaning"), rows)


def _values(option: Any) -> str:
    """What an option takes, and its default."""
    if option.kind is bool:
        return "true or false"
    kind = {int: "whole number", float: "number", str: "text", Path: "path"}[option.kind]
    if option.doc.choices:
        kind = ", ".join(f"`{choice}`" for choice in option.doc.choices)
    elif option.repeated:
        kind = f"{kind}, or a list"
    values = option.default if option.repeated else (option.default,)
    default = ", ".join(f"`{value}`" for value in values if value not in (None, ""))
    return f"{kind}; default {default}" if default else kind


def _with_flags(text: str) -> str:
    """A help's text with its flags as code, which is not broken in the middle."""
    return re.sub("(?<!['`])--[a-z-]+", r"`\g<0>`", text)


def names() -> Iterator[str]:
    """Everything that can be named: what ``list`` prints."""
    from bench.cli.listing import catalogue

    found = catalogue()
    for suite, parts in found["suites"].items():
        yield f"## Suite `{suite}`\n\n{_sentence(parts['summary'])}\n"
        for part in ("problems", "models", "budgets"):
            yield f"**{part.capitalize()}**\n"
            yield from _named(parts[part])
    yield "## Arms\n\nAny other combination of techniques, one per axis, is an arm as well.\n"
    yield from _named(found["arms"])
    for axis, choices in found["techniques"].items():
        yield f"## Axis `{axis}`\n"
        yield from _named(choices)


def studies() -> Iterator[str]:
    """The named studies: the question, and what is run on each suite."""
    from bench.studies.catalogue import named_studies

    for name, study in named_studies().items():
        yield f"### `{name}`\n\n{study.question}\n"
        rows = []
        for part in study.part:
            rows.append(
                (
                    f"`{part.suite}`",
                    ", ".join(f"`{v}`" for v in part.variants()),
                    ", ".join(f"`{m}`" for m in part.models) or "the suite's default",
                    ", ".join(f"`{p}`" for p in part.problems) or "the suite's default",
                    f"`{part.options}`" if part.options else "",
                )
            )
        yield from _table(("suite", "arms", "models", "problems", "options"), rows)


def problems() -> Iterator[str]:
    """Each built-in PDE: its docstring, loss terms and published set-up."""
    from suites.pinn.problems.catalogue import BUILT_IN, VARIANTS, get_problem

    for name in (*BUILT_IN, *VARIANTS):
        problem = get_problem(name)
        yield f"## `{name}`\n\n{_prose(type(problem))}\n"
        yield from _table(
            ("loss term", "from", "unit of"),
            [
                (
                    f"`{term.name}`",
                    {"residual": "an equation", "initial": "the initial state"}.get(
                        term.kind, "the boundary"
                    ),
                    "" if term.output is None else f"`{problem.outputs[term.output]}`",
                )
                for term in problem.terms
            ],
        )
        setup, points = problem.published, problem.published.points
        files = ", ".join(f"`{name}`" for name in problem.file.names) if problem.file else "none"
        yield (
            f"Published: {setup.steps} steps on {points.domain} points of the domain,"
            f" {points.boundary} of the boundary and {points.initial} of the initial state"
            f"{f'; {setup.supervised:.0%} of the grid are labels' if setup.supervised else ''}."
            f" PDEBench's file: {files}.\n"
        )


def truths() -> Iterator[str]:
    """The ground truths as they are solved now, each with its own estimate of its error."""
    from suites.pinn.problems.catalogue import BUILT_IN, VARIANTS, get_problem

    rows = []
    for name in (*BUILT_IN, *VARIANTS):
        problem = get_problem(name)
        truth = problem.own_truth(fine=True)
        assert truth is not None
        solution = truth.reference
        if solution.error is None:
            error = "no estimate"
        elif not any(solution.error):
            error = "0"
        else:
            pairs = zip(truth.outputs, solution.error, strict=True)
            error = "<br>".join(f"`{problem.outputs[k]}` {_short(value)}" for k, value in pairs)
        order = "" if solution.order is None else f"{solution.order:.1f}"
        grid = " × ".join(map(str, solution.shape))
        rows.append((f"`{name}`", solution.method, grid, error, order))
    yield from _table(
        ("problem", "method", "scored grid", "relative L2 error of the truth", "measured order"),
        rows,
    )


def pinn_budgets() -> Iterator[str]:
    """What each budget means for each PDE."""
    from suites.pinn.budgets import BUDGETS
    from suites.pinn.models.catalogue import parse_model
    from suites.pinn.problems.catalogue import BUILT_IN, get_problem

    model = parse_model("fnn")
    rows: list[list[Any]] = []
    for name in BUILT_IN:
        rows.append([f"`{name}`"])
        for budget in ("short", "quick", "paper"):
            made = BUDGETS[budget](get_problem(name), model)
            points = made.points
            rows[-1].append(made.steps)
            if budget != "short":  # the points of quick
                rows[-1].append(f"{points.domain} + {points.boundary} + {points.initial}")
    names = ("steps, `short`", "steps, `quick`", "points of both", "steps, `paper`")
    yield from _table(("problem", *names, "points, `paper`"), rows)


def pinn_protocols() -> Iterator[str]:
    """The protocols of the PINN suite beside each other."""
    from suites.pinn.protocols import PROTOCOLS

    yield from _protocols(PROTOCOLS)


def pinn_weights() -> Iterator[str]:
    """The weights of loss terms that are not 1 under `standard`."""
    from suites.pinn.problems.catalogue import BUILT_IN, get_problem

    rows = [
        (f"`{name}`", f"`{term}`", f"{weight:g}")
        for name in BUILT_IN
        for term, weight in get_problem(name).weights.items()
    ]
    yield from _table(("problem", "term", "weight"), rows)


def molecular_protocols() -> Iterator[str]:
    """The protocols of the molecular suite beside each other."""
    from suites.molecular.protocols import PROTOCOLS

    yield from _protocols(PROTOCOLS)


def _protocols(protocols: Mapping[str, Any]) -> Iterator[str]:
    fields = list(next(iter(protocols.values())).__dataclass_fields__)
    meanings = _documented(type(next(iter(protocols.values()))))
    rows = [
        (
            f"`{field}`",
            meanings[field],
            *(_plain(getattr(protocol, field)) for protocol in protocols.values()),
        )
        for field in fields
        if field != "summary"
    ]
    yield from _table(("setting", "meaning", *(f"`{name}`" for name in protocols)), rows)


def molecular_models() -> Iterator[str]:
    """What each potential's publication chose, and its sizes."""
    from suites.molecular.models.catalogue import ARCHITECTURES

    rows = [
        (
            f"`{name}`",
            f"`{a.activation}`",
            f"`{a.normalization}`",
            f"{a.quick.features} × {a.quick.interactions}, {a.quick.n_rbf}, {a.quick.cutoff} Å",
            f"{a.paper.features} × {a.paper.interactions}, {a.paper.n_rbf}, {a.paper.cutoff} Å",
            a.quick_steps,
        )
        for name, a in ARCHITECTURES.items()
    ]
    yield from _table(
        (
            "model",
            "activation",
            "normalisation",
            "size under `quick`: features × blocks, radial functions, cutoff",
            "size under `paper`",
            "steps under `quick`",
        ),
        rows,
    )


def molecular_starts() -> Iterator[str]:
    """How the paper's potentials start, layer by layer."""
    from suites.molecular.models.starts import STARTS

    rows = [
        (
            f"`{name}`",
            f"`{start.layers}`".replace("|", "\\|"),
            start.weight.text,
            start.bias.text if start.bias else "none",
            start.source,
        )
        for name, starts in STARTS.items()
        for start in starts
    ]
    yield from _table(("model", "layers", "weights", "biases", "where it says so"), rows)


def record() -> Iterator[str]:
    """The fields of a record and of what it holds."""
    from bench.spec.spec import Spec
    from bench.spec.training import Training
    from bench.store.record import SCHEMA, Metric, Record, Timing

    yield f"This is version {SCHEMA} of the layout.\n"
    for kind in (Record, Metric, Timing, Spec, Training):
        yield f"## {kind.__name__}\n\n{_prose(kind)}\n"
        meanings = _documented(kind)
        hints = typing.get_type_hints(kind)
        rows = []
        for field in msgspec.structs.fields(kind):
            repeated = kind is Record and field.name in Spec.__struct_fields__
            meaning = meanings.get(field.name, "As in `spec`." if repeated else "")
            if field.name == "spec_hash":
                meaning = "Name of the run: the hash of `spec`."
            rows.append((f"`{field.name}`", _type(hints[field.name]), meaning))
        yield from _table(("field", "type", "meaning"), rows)


def metric_units() -> Iterator[str]:
    """The metrics of potentials with their units."""
    from suites.molecular.metrics import unit_of

    plain = ["MAE_E", "RMSE_E", "MAE_E_atom", "RMSE_E_atom", "MAE_F", "RMSE_F"]
    plain += ["MAE_stress", "RMSE_stress", "EFwT", "cos_F"]
    yield from _table(
        ("metric", "unit of labels in kcal/mol", "unit of labels in eV"),
        [(f"`{m}`", unit_of(m, "kcal/mol"), unit_of(m, "eV")) for m in plain],
    )


def front_door() -> Iterator[str]:
    """The notebook, without its title, a level below the page's headings."""
    notebook = json.loads((ROOT / "examples" / "front_door.ipynb").read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            yield re.sub("^## ", "### ", re.sub("^# .*\n*", "", source)) + "\n"
            continue
        yield f"```python\n{source}\n```\n"
        for output in cell["outputs"]:
            yield from _output(output, cell["metadata"].get("alt", ""))


def _output(output: Mapping[str, Any], alt: str) -> Iterator[str]:
    """What a cell shows. Pictures are embedded, and tables look as others of the site do."""
    shown = {kind: "".join(text) for kind, text in output.get("data", {}).items()}
    if "image/png" in shown:
        data = shown["image/png"].replace("\n", "")
        yield f'<img alt="{html.escape(alt)}" src="data:image/png;base64,{data}">\n'
    elif "text/html" in shown:
        table = re.sub("<style.*?</style>", "", shown["text/html"], flags=re.DOTALL)
        table = re.sub(' (?:border|class|style)="[^"]*"', "", table)
        lines = [line.strip() for line in table.splitlines()]
        yield f'<div class="output">{"".join(lines)}</div>\n'
    else:
        text = shown.get("text/plain", "".join(output.get("text", ""))).rstrip()
        lines = [part for line in text.splitlines() for part in textwrap.wrap(line, 88) or [""]]
        yield "\n".join(["```text", *lines, "```", ""])


FRAGMENTS = {
    "command-line": command_line,
    "nightly-command": nightly_command,
    "names": names,
    "studies": studies,
    "problems": problems,
    "truths": truths,
    "pinn-budgets": pinn_budgets,
    "pinn-protocols": pinn_protocols,
    "pinn-weights": pinn_weights,
    "molecular-protocols": molecular_protocols,
    "molecular-models": molecular_models,
    "molecular-starts": molecular_starts,
    "record": record,
    "metric-units": metric_units,
    "front-door": front_door,
    **{f"options-{which}": functools.partial(options, which) for which in option_structs()},
}


def _commands(
    parser: argparse.ArgumentParser, words: tuple[str, ...]
) -> Iterator[tuple[list[str], str, argparse.ArgumentParser]]:
    """(words of the call, summary, parser) of every command that is no group of others."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            summaries = {choice.dest: choice.help or "" for choice in action._choices_actions}
            for name, command in action.choices.items():
                inner = list(_commands(command, (*words, name)))
                if inner:
                    yield from inner
                else:
                    yield command.prog.split(), summaries.get(name, ""), command


def _usage(command: argparse.ArgumentParser) -> str:
    """The call with its arguments, without a list of forty options."""
    required = [
        str(a.metavar) if a.required else f"[{a.metavar}]"
        for a in command._actions
        if not a.option_strings
    ]
    return " ".join([command.prog, *required, "[OPTION …]"])


def _spelling(action: argparse.Action) -> str:
    if not action.option_strings:
        return f"`{action.metavar}`"
    words = [action.option_strings[-1]]
    if action.nargs != 0:
        words.append(str(action.metavar or "|".join(map(str, action.choices or ()))))
    return f"`{' '.join(words)}`"


def _help(command: argparse.ArgumentParser, action: argparse.Action) -> str:
    return _with_flags(command._get_formatter()._expand_help(action)) if action.help else ""


def _sentence(text: str) -> str:
    text = " ".join(text.split())
    return f"{text[:1].upper()}{text[1:]}." if text else text


def _named(entries: Mapping[str, str]) -> Iterator[str]:
    return _table(("name", "what it is"), [(f"`{name}`", text) for name, text in entries.items()])


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        cells = (_cell(str(cell)) for cell in row)
        yield f"| {' | '.join(cells)} |"
    yield ""


def _cell(text: str) -> str:
    """Text in a table: a bar ends a cell, except in code."""
    parts = text.replace("\n", " ").split("`")
    return "`".join(p if k % 2 else p.replace("|", "\\|") for k, p in enumerate(parts))


def _prose(kind: type) -> str:
    """A docstring's text before its sections, as Markdown."""
    text = inspect.getdoc(kind) or ""
    text = re.split(r"^(?:Attributes|Args|Returns|Raises):$", text, flags=re.MULTILINE)[0]
    return text.replace("``", "`").strip()


def _documented(kind: type) -> dict[str, str]:
    """The section ``Attributes`` of a docstring: name to text."""
    text = inspect.getdoc(kind) or ""
    _, _, section = text.partition("\nAttributes:\n")
    found: dict[str, str] = {}
    name = ""
    for line in inspect.cleandoc(f"\n{section}").splitlines():
        begins = re.match(r"(\w+): (.*)", line)
        if begins:
            name, found[begins[1]] = begins[1], begins[2]
        elif name and line.strip():
            found[name] += f" {line.strip()}"
    return {key: value.replace("``", "`") for key, value in found.items()}


def _type(hint: Any) -> str:
    """A type as code, without the modules of its names."""
    if typing.get_origin(hint) is Literal:
        return ", ".join(f"`{choice}`" for choice in typing.get_args(hint))
    text = str(hint) if typing.get_args(hint) else getattr(hint, "__name__", str(hint))
    return f"`{re.sub(r'[a-z_]+[.]', '', text)}`"


def _short(value: float) -> str:
    """Two digits: 1.1e-5."""
    mantissa, _, exponent = f"{value:.1e}".partition("e")
    return f"{mantissa}e{int(exponent)}"


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"`{value}`" if isinstance(value, str) else str(value)


if __name__ == "__main__":
    main()
