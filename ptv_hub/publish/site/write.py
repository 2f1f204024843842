"""All pages of the zoo into one folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from ptv_hub.files import ready_folder, write_text
from ptv_hub.pages.figure import require_matplotlib
from ptv_hub.publish.site.index import index_page
from ptv_hub.publish.site.model import model_page
from ptv_hub.verification.records import Check
from ptv_hub.verification.spec import check_spec
from ptv_hub.zoo.entry import Entry
from ptv_hub.zoo.names import file_name


def write_site(
    items: Sequence[Entry],
    out: str | os.PathLike[str],
    *,
    report: Callable[[int, str], None] | None = None,
) -> list[Path]:
    """Write ``index.html`` and ``models/NAME.html`` of all entries into a folder; their paths.

    ``report`` is told the number and name of each model whose figures are being counted.

    Raises:
        MissingExtra: matplotlib is not installed, which draws the charts.
        WriteError: the folder cannot be written.
    """
    require_matplotlib("the charts of the pages")
    out = Path(out)
    for folder in (out, out / "models"):
        ready_folder(folder)  # before a minute of counting
    files = _file_names(items)
    checks: dict[str, list[Check]] = {}
    for number, item in enumerate(items, 1):
        if report is not None:
            report(number, item.name)
        checks[item.name] = check_spec(item)
    pages = {out / "index.html": index_page(items, checks, files)}
    for item in items:
        pages[out / files[item.name]] = model_page(item, checks[item.name])
    for path, text in pages.items():
        write_text(path, text)
    return list(pages)


def _file_names(items: Sequence[Entry]) -> dict[str, str]:
    """Name of an entry -> address of its page."""
    found: dict[str, str] = {}
    for item in items:
        stem = file_name(item.name)
        taken = {address.casefold() for address in found.values()}
        while f"models/{stem}.html".casefold() in taken:
            stem += "_"
        found[item.name] = f"models/{stem}.html"
    return found
