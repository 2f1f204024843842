"""An SVG as matplotlib writes it -> an element of a page: named colours, words, links.

Colours become the stylesheet's names, so that the picture is light or dark as its page is; letters
are the page's own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from ptv_hub.pages.look import colours
from ptv_hub.pages.page import is_link
from ptv_hub.text import visible

_SVG, _XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
_HREF = f"{{{_XLINK}}}href"
ElementTree.register_namespace("", _SVG)
ElementTree.register_namespace("xlink", _XLINK)


@dataclass(frozen=True)
class Mark:
    """Something in a picture that has words of its own."""

    parts: tuple[str, ...]
    """The ``gid`` of matplotlib's artists that it is made of."""
    name: str
    """What the page's script knows it by."""
    told: str
    href: str | None = None


def for_page(svg: bytes, *, kind: str, told: str, marks: Sequence[Mark] = ()) -> str:
    """The element to put into a page, of CSS class ``kind``."""
    # Control characters, which matplotlib passes on and XML has none of, are written out.
    root = ElementTree.fromstring(visible(svg.decode(), keep="\n"))
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    root.attrib |= {"class": kind, "aria-label": visible(told)}
    # What is within an image has no links, for who does not see it.
    root.set("role", "group" if any(mark.href for mark in marks) else "img")
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{{{_SVG}}}metadata", f"{{{_SVG}}}style"):
                parent.remove(child)
    _gather(root, marks)
    _name_colours(root)
    _drop_names(root)
    return ElementTree.tostring(root, encoding="unicode")


def _gather(root: ElementTree.Element, marks: Sequence[Mark]) -> None:
    """Put the parts of each mark together, last and so on top, with its words and its link."""
    parents = {child: parent for parent in root.iter() for child in parent}
    named = {child.get("id"): child for child in parents}
    for mark in marks:
        parts = [named[part] for part in mark.parts if part in named]
        if not parts:
            continue
        group = ElementTree.SubElement(parents[parts[0]], f"{{{_SVG}}}g")
        group.set("data-name", visible(mark.name))
        inner = group
        if mark.href is not None and is_link(mark.href):
            inner = ElementTree.SubElement(group, f"{{{_SVG}}}a")
            inner.attrib |= {"href": mark.href, "aria-label": visible(mark.told)}
        ElementTree.SubElement(inner, f"{{{_SVG}}}title").text = visible(mark.told)
        for part in parts:
            parents[part].remove(part)
            inner.append(part)


def _name_colours(root: ElementTree.Element) -> None:
    names = {value: f"var(--{name})" for name, value in colours().items()}
    for element in root.iter():
        style = element.get("style")
        if style:
            style = re.sub(r"#[0-9a-f]{6}\b", lambda found: names.get(found[0], found[0]), style)
            # Older versions of matplotlib write "font: 700 12px 'DejaVu Sans'".
            style = re.sub(r"font: ((?:\w+ )*?)([\d.]+px) [^;]+", _letters, style)
            style = re.sub(r"font-family: [^;]+(; |$)", "", style)
            element.set("style", style)


def _letters(found: re.Match[str]) -> str:
    weight = "; font-weight: bold" if {"bold", "700"} & set(found[1].split()) else ""
    return f"font-size: {found[2]}{weight}"


def _drop_names(root: ElementTree.Element) -> None:
    """Leave only the ids that something within the picture refers to."""
    text = ElementTree.tostring(root, encoding="unicode")
    used = set(re.findall(r'(?:href="#|url\(#)([\w-]+)', text))
    for element in root.iter():
        if element.get("id") not in used:
            element.attrib.pop("id", None)
