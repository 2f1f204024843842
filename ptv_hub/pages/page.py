"""Templates and facts -> pages of HTML that need nothing but themselves.

Whatever text a page is given stays text: it is escaped, and what would command or hide is written
out. Only pictures that were drawn here are put in as they are (``| safe`` in a template).
"""

from __future__ import annotations

import base64
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from ptv_hub.text import visible

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).parent / "templates"


def render(template: str, **facts: object) -> str:
    """A page, or a part of one, from a file of ``templates`` and what it is to show."""
    return _environment().get_template(template).render(**facts)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.tests["link"] = is_link
    made.filters["shown"] = _shown
    return made


def _shown(value: object) -> object:
    """Text without what would command or hide; markup, a subclass of str, stays as it is."""
    return visible(value, keep="\n\t") if type(value) is str else value


def is_link(address: str) -> bool:
    """Whether it is an address of the web, or of a file below this one's folder or beside it."""
    return bool(_LINK.fullmatch(address))


# What is not on this list, ``javascript:`` and ``data:`` in all their spellings, is no link.
_LINK = re.compile(
    r"https?://[\w.\[\]-][!-~\w]*|(?:\.\./)*[\w-][\w.%+-]*(?:/[\w.%+-]+)*", re.IGNORECASE
)


def data_url(data: bytes, kind: str) -> str:
    """Bytes as an address within the page: ``kind`` is ``image/jpeg`` or the like."""
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"
