"""``python -m bench.suite list``: everything that can be named."""

from __future__ import annotations

import argparse
import json
from typing import Any

from bench.arm import AXES, NAMED
from bench.plugins import working_suites


def add_command(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser("list", help="problems, models, budgets and techniques")
    parser.add_argument("--json", action="store_true", help="as one JSON object")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the list; returns the exit code."""
    found = catalogue()
    if options.json:
        print(json.dumps(found, ensure_ascii=False, indent=1))
        return 0
    for name, parts in found["suites"].items():
        print(f"suite {name}: {parts['summary']}")
        for part in ("problems", "models", "budgets"):
            _print_section(f"  {part}", parts[part])
        print()
    _print_section("arms (any techniques joined by +, one per axis)", found["arms"])
    print()
    print("techniques")
    for axis, choices in found["techniques"].items():
        _print_section(f"  {axis}", choices)
    return 0


def catalogue() -> dict[str, Any]:
    """Suites with their problems, models and budgets, arms, and the choices on every axis."""
    suites = {}
    for suite in working_suites():
        suites[suite.name] = {
            "summary": suite.summary,
            "problems": dict(suite.problems),
            "models": dict(suite.models),
            "budgets": dict(suite.budgets),
        }
    techniques = {
        axis: {name: choice.summary for name, choice in registry.choices.items()}
        for axis, registry in AXES.items()
    }
    return {"suites": suites, "arms": NAMED, "techniques": techniques}


def _print_section(title: str, entries: dict[str, str]) -> None:
    print(title)
    width = max(map(len, entries), default=0)
    for name, summary in entries.items():
        print(f"    {name:<{width}}  {summary}")
