"""Results -> terminal tables and JSON. Nothing here computes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

__all__ = ["print_json", "print_table"]


def print_json(value: Any) -> None:
    """Write records, lists or dicts to stdout as JSON, indented, UTF-8 as it is."""
    print(json.dumps(value, default=_plain, indent=2, ensure_ascii=False))


def _plain(value: Any) -> Any:
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

    The first column holds names and is never folded; ``right`` names the columns of figures.
    """
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(
        box=SIMPLE_HEAD,
        pad_edge=False,
        header_style="bold",
        show_header=any(columns),
    )
    for index, column in enumerate(columns):
        table.add_column(
            column,
            justify="right" if column in right else "left",
            overflow="fold",
            no_wrap=index == 0,
        )
    for row in rows:
        table.add_row(*row)
    console = Console(highlight=False, markup=False, emoji=False)
    if title is not None:
        # Not the table's own, which would fold a long path to the table's width.
        console.print(title, style="bold", soft_wrap=True)
    if console.is_terminal:
        console.print(table)
        return
    console.width = 10_000
    console.width = max(80, console.measure(table).maximum)
    with console.capture() as captured:
        console.print(table)
    print("\n".join(line.rstrip() for line in captured.get().splitlines()))
