"""Results -> terminal tables and JSON. Nothing here computes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ptv_hub.text import json_text, visible

if TYPE_CHECKING:
    from rich.console import Console


def console(*, width_in_a_pipe: int | None = None) -> Console:
    """Rich's console on stdout: it prints texts as they are, whatever brackets they hold."""
    from rich.console import Console

    made = Console(highlight=False, markup=False, emoji=False)
    if width_in_a_pipe is not None and not made.is_terminal:
        made.width = width_in_a_pipe
    return made


def print_json(value: Any) -> None:
    """Write records, lists or dicts to stdout as JSON, indented, UTF-8 as it is."""
    print(json_text(json.dumps(value, default=_plain, indent=2, ensure_ascii=False)))


def _plain(value: Any) -> Any:
    from pydantic import BaseModel  # not for every --help

    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    return str(value)


def print_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: Sequence[str] = (),
    title: str | None = None,
) -> None:
    """Write a table to stdout; in a pipe as wide as its cells, so that nothing is folded.

    A cell is one line, and commands no terminal, whoever wrote what is in it. The first column
    holds names and is never folded; ``right`` names the columns of figures.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(
        box=SIMPLE_HEAD,
        pad_edge=False,
        header_style="bold",
        show_header=any(columns),
    )
    for index, column in enumerate(columns):
        table.add_column(
            visible(column),
            justify="right" if column in right else "left",
            overflow="fold",
            no_wrap=index == 0,
        )
    for row in rows:
        table.add_row(*map(visible, row))
    out = console(width_in_a_pipe=10_000)
    if title is not None:
        # Not the table's own, which would fold a long path to the table's width.
        out.print(visible(title), style="bold", soft_wrap=True)
    if out.is_terminal:
        out.print(table)
        return
    out.width = max(80, out.measure(table).maximum)
    with out.capture() as captured:
        out.print(table)
    print("\n".join(line.rstrip() for line in captured.get().splitlines()))
