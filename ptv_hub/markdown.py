"""Markdown tables that hold whatever text they are given."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence


def table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[str] = ()
) -> str:
    """A table, without a final newline; ``right`` names the columns of figures.

    A ``|`` in a cell is escaped, and lines of one become one line: neither ends the cell.
    """
    rule = ["--:" if column in right else "---" for column in columns]
    lines = [_line(map(cell, columns)), _line(rule)]
    return "\n".join([*lines, *(_line(map(cell, row)) for row in rows)])


def cell(text: str) -> str:
    """Text for a cell: on one line, and its ``|`` no end of the cell."""
    # A backslash before a "|" would escape the escape.
    escaped = re.sub(r"(\\*)\|", lambda found: rf"{2 * found[1]}\|", text)
    return " ".join(line.strip() for line in escaped.splitlines()) if text.strip() else text


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
