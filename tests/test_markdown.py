"""Tables hold whatever text they are given: each row has its cells, and no more."""

from __future__ import annotations

import re

import pytest

from ptv_hub.markdown import cell, table


def cells(line: str) -> list[str]:
    """As GitHub splits a row: a backslash escapes what follows it."""
    return re.findall(r"((?:\\.|[^|\\])*)\|", line)[1:]


@pytest.mark.parametrize(
    "text", ["a|b", "a\\|b", "a\\\\|b|", "two\nlines", "a\r\nb|c\n", "|", "\\", "", "  "]
)
def test_no_text_ends_its_cell_or_its_row(text):
    lines = table(["one", "two"], [["before", text], [text, "after"]]).split("\n")
    assert len(lines) == 4
    for line in lines:
        assert len(cells(line)) == 2, line
    assert cells(lines[2])[0].strip() == "before"
    assert cells(lines[3])[1].strip() == "after"


def test_figures_stand_to_the_right():
    assert table(["name", "top-1"], [["x", "75.94"]], right=["top-1"]) == (
        "| name | top-1 |\n| --- | --: |\n| x | 75.94 |"
    )


def test_plain_text_is_left_as_it_is():
    assert cell("*a* `b` <c>") == "*a* `b` <c>"
