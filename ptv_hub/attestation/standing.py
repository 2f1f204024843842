"""What of the zoo was seen and measured, and what was not, in the README's words."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ptv_hub import markdown as md
from ptv_hub.errors import ManifestError
from ptv_hub.zoo.entry import Entry
from ptv_hub.zoo.facts import figures

_BEGIN, _END = "<!-- what was not run: generated -->", "<!-- end of what was not run -->"


def with_standing(readme: str, items: Sequence[Entry]) -> str:
    """The README with what the manifests say now between its markers.

    Raises:
        ManifestError: it has no such markers.
    """
    pattern = re.compile(f"{re.escape(_BEGIN)}.*{re.escape(_END)}", re.DOTALL)
    if not pattern.search(readme):
        raise ManifestError("the README has no place for what was not run", expected=_BEGIN)
    return pattern.sub(lambda _: f"{_BEGIN}\n{standing(items)}\n{_END}", readme)


def standing(items: Sequence[Entry]) -> str:
    """What is known of the entries' files and numbers, a line or two in Markdown."""
    seen = [item for item in items if item.attested is not None]
    files = [a for item in items for a in item.artifacts]
    vouched = [a for a in files if a.hash_source is not None and "attested on" in a.hash_source]
    number = [i for i in seen if i.attested is not None and i.attested.measured is not None]
    return "\n\n".join(
        [_of_files(len(vouched), len(files), seen, items), _of_numbers(number, items)]
    )


def _of_files(vouched: int, all_: int, seen: Sequence[Entry], items: Sequence[Entry]) -> str:
    if not vouched:
        return (
            f"Nobody has attested any of the {all_} files of these {len(items)} models"
            " ([the first day with a connection](docs/first-day.md))."
        )
    people = sorted({f"{i.attested.by} ({i.attested.on})" for i in seen if i.attested})
    rest = [item.name for item in items if item not in seen]
    told = f"{vouched} of the {all_} files of these {len(items)} models are attested"
    by = f", by {md.text(', '.join(people))}" if people else ""
    missing = f" Not the preferred file of {_names(rest)}." if rest else ""
    return f"{told}{by}: their hashes are checked, their outputs known.{missing}"


def _of_numbers(number: Sequence[Entry], items: Sequence[Entry]) -> str:
    if not number:
        return "No published number has been reproduced."
    rows = []
    for item in number:
        found = item.attested.measured if item.attested else None
        assert found is not None, "only these are given"
        measured = ", ".join(f"{name} {value}" for name, value in figures(found))
        published = ", ".join(f"{name} {value}" for name, value in figures(item.published))
        over = f"{found.scored} of {found.listed}"
        rows.append((md.code(item.name), published, measured, over, found.reproduced or "not told"))
    head = ("name", "published", "measured", "videos", "reproduced")
    rest = [item.name for item in items if item not in number]
    missing = f"\n\nNot measured: {_names(rest)}." if rest else ""
    return f"{md.table(head, rows)}{missing}"


def _names(names: Sequence[str]) -> str:
    return ", ".join(map(md.code, names))
