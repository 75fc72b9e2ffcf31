"""Tables as Markdown, CSV and LaTeX."""

from __future__ import annotations

import csv
import io
import math

import numpy as np
import pytest

from bench.report.rendering import _sort_key
from bench.report.tabulation import Keyed, Table, factor, keyed_rows, render, shown

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


@pytest.mark.parametrize(
    ("texts", "keys"),
    [
        (["×10.5", "×2.00", "×0.503", "7 of 9 diverged"], [10.5, 2, 0.503, 7]),
        (["1 (1–2)", "10 (9–12)", "2 (1–3)"], [1, 10, 2]),
        (["> 2000", "<×1e-6", "> ×3 on 1 of 3", "neither reaches it"], [2000, 1e-6, 3, math.nan]),
        (["−∞", "∞", "-2.5e-3", "0.001 to 0.003"], [-math.inf, math.inf, -2.5e-3, 0.001]),
        (["0.5 … 0.7", "", "3 of 3, 2 failed"], [0.5, None, 3]),
    ],
)
def test_texts_that_begin_with_numbers_have_a_place_among_numbers(
    texts: list[str], keys: list[float | None]
) -> None:
    rows = keyed_rows(Table("t", "", ["a", "b"], [["x", text] for text in texts]))
    found = [row[1].key if isinstance(row[1], Keyed) else None for row in rows]
    assert found == pytest.approx(keys, nan_ok=True)
    # They stay what they are, also as data.
    assert [row[1] for row in rows] == texts
    text = render([Table("t", "", ["a", "b"], rows)], "csv")
    assert [row[1] for row in csv.reader(io.StringIO(text))][1:] == [
        f"'{one}" if one[:1] == "-" else one for one in texts
    ]
    assert all(not isinstance(row[0], Keyed) for row in rows)


@pytest.mark.parametrize("texts", [
    ["baseline", "irelu", "3 layers"], ["1234abcd", "12345678", "ab"], ["2d-heat", "1d-heat"],
    ["tuned", "one rate"], ["", ""], ["1e3x", "v1"],
])  # fmt: skip
def test_names_are_no_numbers(texts: list[str]) -> None:
    rows = keyed_rows(Table("t", "", ["a"], [[text] for text in texts]))
    assert not any(isinstance(cell, Keyed) for row in rows for cell in row)


def test_a_key_is_a_number_whatever_made_it() -> None:
    assert [_sort_key(cell) for cell in (np.float64(2.5), np.float64("nan"), -math.inf, 3)] == [
        "2.5", "", "-1e999", "3"
    ]  # fmt: skip


def test_a_factor_is_short_for_people_and_whole_as_data() -> None:
    table = Table("t", "", ["a"], [[factor(0.123456789)], [factor(-0.5)], [factor(math.nan)]])
    assert shown(table.rows[0][0]) == "×0.123"
    assert render([table], "csv") == 'a\n0.123456789\n-0.5\n""\n'
