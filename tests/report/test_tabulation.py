"""Tables as Markdown, CSV and LaTeX."""

from __future__ import annotations

import csv
import io
import math

from bench.report.tabulation import Table, render, shown

TABLE = Table(
    "sample",
    "A sample",
    ["arm", "ratio", "seeds"],
    [
        ["a|b", 0.123456, 3],
        ["50 % & $x_1$", math.inf, None],
        ["×–Å", math.nan, 10],
    ],
    "A note.",
)


def test_numbers_are_short_for_people() -> None:
    assert [shown(x) for x in (0.123456, 1e-9, math.inf, -math.inf, math.nan, 3, None, "x")] == [
        "0.123",
        "1.00e-9",
        "∞",
        "−∞",
        "–",
        "3",
        "",
        "x",
    ]


def test_csv_has_every_digit_and_reads_back() -> None:
    rows = list(csv.reader(io.StringIO(render([TABLE], "csv"))))
    assert rows[0] == ["arm", "ratio", "seeds"]
    assert rows[1] == ["a|b", "0.123456", "3"]
    assert rows[2][1:] == ["inf", ""]
    assert rows[3][1:] == ["", "10"]


def test_a_spreadsheet_takes_no_cell_for_a_formula() -> None:
    table = Table("t", "T", ["arm"], [["=cmd|' /C calc'!A0"], ["@SUM(A1)"]])
    for row in list(csv.reader(io.StringIO(render([table], "csv"))))[1:]:
        assert row[0].startswith("'")


def test_markdown_keeps_a_cell_in_its_column() -> None:
    lines = render([TABLE], "md").splitlines()
    assert lines[0] == "### A sample"
    assert "a\\|b" in lines[4]
    assert all(line.replace("\\|", "").count("|") == 4 for line in lines[2:7])
    assert lines[-1] == "A note."


def test_latex_is_escaped_ascii() -> None:
    text = render([TABLE], "latex")
    assert r"50 \% \& \$x\_1\$" in text
    assert r"$\times$--\AA{}" in text
    assert r"$\infty$" in text
    assert text.count(r"\\") == 4
    assert text.split("\n", 1)[1].isascii()


def test_a_table_without_rows_has_its_header() -> None:
    empty = Table("t", "T", ["arm", "ratio"], [])
    assert "arm" in render([empty], "md")
    assert render([empty], "csv") == "arm,ratio\n"
