"""A store's leaderboards on the terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from bench.report.leaderboard.board import Board
from bench.report.leaderboard.page import EMPTY
from bench.report.leaderboard.tables import board_tables, sentences
from bench.report.tables import print_table, render_console

#: Of text: longer lines are hard to read, however wide the terminal is.
_WIDEST = 100


def print_boards(boards: Sequence[Board]) -> None:
    """Print the tables of each leaderboard, and what a reader must know beside them."""
    console = render_console()
    width = min(console.width, _WIDEST)
    for board in boards:
        print(f"\n{board.conditions}\n")
        if not board.comparisons:
            print(f"  {EMPTY}\n")
        for table in board_tables(board):
            print(table.title)
            print_table(table, console)
            print()
        for text in sentences(board):
            print(textwrap.fill(text, width, initial_indent="  ", subsequent_indent="    "))
