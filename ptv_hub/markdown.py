"""The one place for Markdown: whatever text it is given stays text.

What is Markdown already is a ``Markdown``; all other text is escaped, so that it makes no markup,
no link, no HTML and no line of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from ptv_hub.text import visible


class Markdown(str):
    """Text that is Markdown, not to be escaped again."""

    __slots__ = ()


_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_BLOCK = re.compile(r"^(#{1,6}|[-+]|\d{1,9}[.)])(?=\s|$)|^(-+|=+)$")
"""What begins a heading or an item of a list, or makes a heading of the line before."""


def text(told: str) -> Markdown:
    """Text that reads as it is written, on one line, for a paragraph of its own or within one."""
    line = _inline(told)
    found = None if isinstance(told, Markdown) else _BLOCK.match(line)
    if found is None:
        return line
    end = found.end() if found[0][0].isdigit() else 1
    return Markdown(f"{line[: end - 1]}\\{line[end - 1 :]}")


def _inline(told: str) -> Markdown:
    if isinstance(told, Markdown):
        return told
    line = visible(re.sub(r"[ \t\r\n]+", " ", told).strip())
    # Entities, not backslashes: not every reader of Markdown lets one escape a "<".
    line = re.sub(r"[&<>]", lambda found: _ENTITIES[found[0]], line)
    line = re.sub(r"([\\`*\[\]|~$])", r"\\\1", line)
    # An underscore between letters makes no emphasis.
    return Markdown(re.sub(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])", r"\\_", line))


def code(told: str) -> Markdown:
    """A span of code: as many backticks around it as none inside it can end."""
    line = visible(told)
    fence = "`" * (_longest_run(line) + 1)
    room = " " if line.startswith("`") or line.endswith("`") or not line.strip() else ""
    return Markdown(f"{fence}{room}{line}{room}{fence}")


def block(told: str, language: str = "") -> Markdown:
    """A block of code, which nothing inside it can end."""
    lines = visible(told, keep="\n")
    fence = "`" * max(3, _longest_run(lines) + 1)
    return Markdown(f"{fence}{language}\n{lines}\n{fence}")


def _longest_run(told: str) -> int:
    return max(map(len, re.findall("`+", told)), default=0)


def table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[str] = ()
) -> Markdown:
    """A table, without a final newline; ``right`` names the columns of figures."""
    rule = ["--:" if column in right else "---" for column in columns]
    lines = [_line(map(cell, columns)), _line(rule)]
    return Markdown("\n".join([*lines, *(_line(map(cell, row)) for row in rows)]))


def cell(told: str) -> Markdown:
    """Text or Markdown for a cell: on one line, and its ``|`` no end of the cell."""
    if not isinstance(told, Markdown):
        return _inline(told)
    # Of code: a "|" that an odd number of backslashes stands before is escaped already.
    escaped = re.sub(r"(?<!\\)((?:\\\\)*)\|", r"\1\\|", told)
    return Markdown(" ".join(line.strip() for line in escaped.splitlines()))


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
