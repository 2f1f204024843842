"""The colours of the one stylesheet, by name, for pictures that are drawn and not written."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

from ptv_hub.pages.page import TEMPLATES

SERIES = 8
"""How many colours tell lines, points and families apart."""


@cache
def colours() -> Mapping[str, str]:
    """Name -> hexadecimal colour, as the stylesheet's light side has them.

    No two are the same: in a picture within a page each is put back to its name.
    """
    sheet = (TEMPLATES / "style.css").read_text(encoding="utf-8")
    light = sheet.split("@media", 1)[0]
    found = dict(re.findall(r"--([\w-]+):\s*(#[0-9a-f]{6});", light))
    assert len(set(found.values())) == len(found), "two names of one colour"
    return found


def series(number: int) -> str:
    """The colour of the nth of several lines, points or families, from 0."""
    return colours()[f"series-{number % SERIES + 1}"]
