"""The one HTML renderer: pages that need nothing but themselves, for reports, pictures and cards.

Text is escaped wherever it comes from; what is markup already is an ``Html``. A link leads to a
web page or to a file beside this one, or it is none. No script, no font, no image from elsewhere.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Sequence
from html import escape as _escape

from ptv_hub.text import visible


class Html(str):
    """Text that is markup, not to be escaped again."""

    __slots__ = ()


def element(tag: str, *content: str, **attributes: str | float) -> Html:
    """``element("p", "a < b", class_="note")`` -> ``<p class="note">a &lt; b</p>``.

    A final underscore of an attribute is dropped, other underscores are hyphens. An ``href`` that
    is no address to follow (``is_link``) is left out.
    """
    words = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(str(value))}"'
        for name, value in attributes.items()
        if name != "href" or is_link(str(value))
    )
    if tag in _EMPTY:
        return Html(f"<{tag}{words}>")
    return Html(f"<{tag}{words}>{''.join(map(_safe, content))}</{tag}>")


_EMPTY = frozenset({"br", "hr", "img", "meta", "link"})


def escape(text: str) -> Html:
    """Text as markup that shows it, within an element or an attribute."""
    return Html(_escape(visible(text, keep="\n\t")))


def is_link(address: str) -> bool:
    """Whether it is an address of the web, or of a file below this one's folder or beside it."""
    return bool(_LINK.fullmatch(address))


# What is not on this list, ``javascript:`` and ``data:`` in all their spellings, is no link.
_LINK = re.compile(
    r"https?://[\w.\[\]-][!-~\w]*|(?:\.\./)*[\w-][\w.%+-]*(?:/[\w.%+-]+)*", re.IGNORECASE
)


def _safe(content: str) -> str:
    if isinstance(content, Html):
        return content
    return _escape(visible(content, keep="\n\t"), quote=False)


def table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[str] = ()
) -> Html:
    """A table; ``right`` names the columns of figures."""
    kinds = ["figure" if column in right else "text" for column in columns]

    def row(cells: Sequence[str], tag: str) -> Html:
        pairs = zip(cells, kinds, strict=True)
        return element("tr", *(element(tag, cell, class_=kind) for cell, kind in pairs))

    body = element("tbody", *(row(cells, "td") for cells in rows))
    return element(
        "div", element("table", element("thead", row(columns, "th")), body), class_="wide"
    )


def image(data: bytes, alt: str, *, kind: str = "png") -> Html:
    """A picture inside the page: PNG, or ``kind="jpeg"``."""
    source = f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"
    return element("img", src=source, alt=alt)


def page(title: str, *content: str, style: str = "", script: str = "") -> str:
    """A whole page, light or dark as the reader's system is.

    ``style`` and ``script`` are the page's own CSS and JavaScript; they stand inside it.
    """
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        Html(f"<style>{_STYLE}{style}</style>"),
    )
    run = [Html(f"<script>{script}</script>")] if script else []
    body = element("body", element("main", element("h1", title), *content), *run)
    return f"<!DOCTYPE html>\n{element('html', head, body, lang='en')}\n"


_STYLE = """
:root { color-scheme: light dark; --text: #1a202c; --faint: #64748b; --line: #d8dee8;
  --paper: #ffffff; --sheet: #f7f9fc; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e6eaf0; --faint: #94a3b8; --line: #334155; --paper: #0f172a; --sheet: #172033; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--text);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
main { max-width: 1100px; margin: 0 auto; padding: 2rem 1rem 3rem; }
h1 { font-size: 1.5rem; line-height: 1.25; overflow-wrap: anywhere; margin: 0 0 .75rem; }
h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
p.note, figcaption { color: var(--faint); }
a { color: inherit; }
code { font-family: ui-monospace, "SF Mono", Menlo, Consolas, monospace; font-size: .92em; }
figure { margin: 1rem 0; }
img, svg { max-width: 100%; height: auto; display: block; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; }
th, td { padding: .3rem .8rem; border-bottom: 1px solid var(--line); vertical-align: top; }
th { text-align: left; color: var(--faint); font-weight: 600; }
.figure { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.strip { display: flex; gap: 2px; }
.strip img { flex: 1 1 0; min-width: 0; height: 100%; object-fit: cover; }
"""
