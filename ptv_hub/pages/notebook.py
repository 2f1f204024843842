"""Records as a notebook shows them: a short table in the notebook's own colours; and as data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ptv_hub.errors import MissingExtra
from ptv_hub.pages.page import render

if TYPE_CHECKING:
    import pandas


def table(
    title: str,
    rows: Sequence[Sequence[str]],
    *,
    columns: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> str:
    """A title, a table and lines below it, as a part of a page; whatever is in it stays text."""
    return render("notebook.html", title=title, rows=rows, columns=columns, notes=notes)


def data_frame(columns: Mapping[str, Sequence[object]]) -> pandas.DataFrame:
    """Columns of one length as pandas has them.

    Raises:
        MissingExtra: pandas is not installed.
    """
    try:
        import pandas
    except ImportError as error:
        raise MissingExtra("pandas", "pandas", needed_for="to_pandas()") from error
    return pandas.DataFrame(dict(columns))
