"""Tables hold whatever text they are given: each row has its cells, and no more."""

from __future__ import annotations

import html
import re

import pytest

from ptv_hub.markdown import Markdown, block, cell, code, table, text


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


def test_what_is_markdown_is_left_as_it_is():
    assert cell(Markdown("*a* `b` &lt;c&gt;")) == "*a* `b` &lt;c&gt;"


@pytest.mark.parametrize(
    "told",
    [
        *(
            "x3d_xs",
            "R(2+1)D",
            "8x8, 69.12 %",
            "-0.5",
            "-",
            "C:\\a",
            "__init__",
            "a & b < c",
            "* a",
        ),
        *("[t](javascript:alert(1))", "![i](data:x)", "<script>alert(1)</script>", "<!-- x -->"),
        *("`rm`", "``` x", "~~~", "# h", "1. a", "- a", "+ a", "---", "===", "> q", "$x$", "&lt;"),
    ],
)
def test_text_reads_as_it_was_written(told):
    """The backslashes and entities are the reader's; what is left is the text."""
    for escaped in (text(told), cell(told)):
        plain = html.unescape(re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", escaped))
        assert plain == told
        assert not re.search(r"(?<!\\)(?:\\\\)*[`*\[\]|~$<>]", escaped), escaped
    assert not re.match(r"(#{1,6}|[-+]|\d+[.)])\s|-+$|=+$", text(told))


@pytest.mark.parametrize(
    "told", ["a\nverified: holds", "a\r\n\n## b", "a\u2028b", "a\x85b", "\x0bb"]
)
def test_text_makes_no_line_of_its_own(told):
    for made in (text(told), code(told), cell(told), cell(Markdown(told))):
        assert len(made.splitlines()) == 1


@pytest.mark.parametrize("told", ["a", "`", "``a`", "```\nx", " ", "a`"])
def test_code_ends_where_it_ends(told):
    span, lines = code(told), block(told, "python").splitlines()
    fence = re.match("`+", span)[0]
    assert not re.search(f"(?<!`){fence}(?!`)", span[len(fence) : -len(fence)])
    assert lines[0] == f"{lines[-1]}python"
    assert set(lines[-1]) == {"`"}
    assert all(lines[-1] not in line for line in lines[1:-1])
