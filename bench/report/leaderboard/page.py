"""A store's leaderboards as Markdown, and as a page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.report.leaderboard.board import Board
from bench.report.leaderboard.tables import board_tables, sentences
from bench.report.sheet import Section, write_sheet
from bench.report.tabulation import escaped, render

#: Where there is nothing to compare.
EMPTY = "No arm has a run with the seed of a baseline's under these conditions."


def markdown(boards: Sequence[Board]) -> str:
    """The leaderboards as Markdown: the same text for the same records."""
    parts = ["# Leaderboard\n"]
    for board in boards:
        parts.append(f"## {board.conditions}\n")
        if not board.comparisons:
            parts.append(f"{EMPTY}\n")
        parts += [render([table], "md") for table in board_tables(board)]
        if notes := sentences(board):
            parts.append("\n".join(f"* {escaped(note)}" for note in notes) + "\n")
    return "\n".join(parts)


def write_page(boards: Sequence[Board], path: Path) -> Path:
    """Write the leaderboards as a page.

    Raises:
        BadInput: It cannot be written.
    """
    sections = [
        Section(
            str(board.conditions),
            [] if board.comparisons else [EMPTY],
            board_tables(board),
            sentences(board),
        )
        for board in boards
    ]
    lines = ["Every arm against the baseline, like runs with like; what was left out is said."]
    return write_sheet(path, "Leaderboard", lines, sections)
