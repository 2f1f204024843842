"""The one look: colours stand in the stylesheet, pictures take them, text stays text."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ptv_hub.pages import figure, look
from ptv_hub.pages.page import TEMPLATES, is_link, render
from ptv_hub.pages.svg import Mark
from tests import ROOT

COLOUR = re.compile(
    r"#(?:[0-9a-fA-F]{3,4}){1,2}\b(?!;)|\b(?:rgb|hsl|oklch|lab)a?\("
    r"|\b(?:fill|stroke|color|colour|background|facecolor|edgecolor)\s*[=:]\s*[\"']?"
    r"(?:white|black|gr[ae]y|red|green|blue|orange|yellow|purple|C\d)\b"
)
"""A colour as CSS, SVG and matplotlib write it."""


def drawing() -> list[Path]:
    """What makes pages and pictures: templates, and every module that draws or renders."""
    found = [path for path in TEMPLATES.iterdir() if path.name != "style.css"]
    for path in sorted((ROOT / "ptv_hub").rglob("*.py")):
        if "ptv_hub.pages" in path.read_text() or path.parent.name == "pages":
            found.append(path)
    return found


def test_no_colour_stands_outside_the_stylesheet():
    assert COLOUR.search('fill="#0072b2"')
    assert COLOUR.search("color: white")
    for path in drawing():
        found = COLOUR.search(path.read_text())
        assert found is None, f"{path}: {found and found[0]}"


def _shades(mode: str) -> dict[str, str]:
    sheet = (TEMPLATES / "style.css").read_text()
    light, dark = sheet.split("@media (prefers-color-scheme: dark)")
    part = light if mode == "light" else dark.split("@media")[0]
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", part))


def _luminance(colour: str) -> float:
    """As WCAG 2 defines it."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_colours_are_told_from_the_paper(mode):
    shades = _shades(mode)
    assert set(shades) == set(look.colours())
    for name, colour in shades.items():
        least = 4.5 if name in ("text", "faint", "accent", "good", "bad") else 3.0
        for ground in ("paper", "sheet"):
            if name not in ("line", "paper", "sheet"):
                pair = sorted((_luminance(colour), _luminance(shades[ground])))
                assert (pair[1] + 0.05) / (pair[0] + 0.05) >= least, f"{name} on {ground}"


def _dot(size: figure.Size):
    made, axes = figure.empty(size)
    axes.plot([1], [1], "o", color=look.series(1), gid="dot")
    axes.set_title("<b> $x$ & \x1b[2J", gid="title")
    return made


def test_a_picture_of_a_page_has_the_pages_colours_and_its_texts_stay_texts():
    marks = [Mark(("dot",), "a<b", 'a "dot"', "models/a.html"), Mark(("title",), "t", "t")]
    size = figure.Size(300, 200)
    drawn = figure.drawn(_dot, size, size, name="one", told="a < picture", marks=marks)
    assert drawn == figure.drawn(_dot, size, size, name="one", told="a < picture", marks=marks)
    for picture in (drawn.wide, drawn.narrow):
        assert "fill: var(--series-2)" in picture
        assert not COLOUR.search(picture)
        assert "&lt;b&gt; $x$ &amp; \\x1b[2J" in picture
        assert '<g data-name="a&lt;b"><a href="models/a.html" aria-label="a &quot;dot&quot;">' in (
            re.sub(r">\s+<", "><", picture)
        )
        assert "DejaVu" not in picture
    ids = [set(re.findall(r' id="([^"]+)"', p)) for p in (drawn.wide, drawn.narrow)]
    assert ids[0]
    assert not ids[0] & ids[1], "two pictures of a page share a name"


def test_a_link_that_is_none_is_left_out():
    for address in ("javascript:alert(1)", "data:text/html,x", "//evil.example", " https://a"):
        assert not is_link(address)
    for address in ("https://a.example/b?c=d", "models/a.html", "../index.html"):
        assert is_link(address)


def test_text_is_escaped_once():
    page = render("base.html", title="x & <y>\x1b")
    assert page.startswith("<!DOCTYPE html>")
    assert "<title>x &amp; &lt;y&gt;\\x1b</title>" in page
    assert "<h1>x &amp; &lt;y&gt;\\x1b</h1>" in page
