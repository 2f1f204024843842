"""Accuracy against FLOPs, as published: the zoo in one picture, for cards (PNG) and pages (SVG).

What is drawn where is settled once; two short functions then write it down. GFLOPs are those
of one view, on a logarithmic axis; accuracies are percent.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from ptv_hub.html import escape
from ptv_hub.zoo.entry import Entry
from ptv_hub.zoo.facts import METRICS

"""Field of the published figures -> how the field writes it."""

COLOURS = {
    "C2D": "#7a7a7a",
    "I3D": "#b8860b",
    "Slow": "#2b6cb0",
    "SlowFast": "#c2410c",
    "CSN": "#7e3ff2",
    "R(2+1)D": "#0f766e",
    "X3D": "#c01f6e",
}
"""One for each family; all readable on white and, in the pages, on dark."""

_OTHER = "#4a5568"

WIDTH, HEIGHT = 760, 440
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 24, 20, 48
_FONT = 12
_LETTER = 7.0  # pixels of a letter of that size, on the wide side


class Label(NamedTuple):
    """Where a name stands: its left end, middle or right end, and its baseline."""

    x: float
    y: float
    anchor: Literal["start", "middle", "end"]

    def box(self, width: float) -> Box:
        left = self.x - {"start": 0.0, "middle": width / 2, "end": width}[self.anchor]
        return (left, self.y - _FONT + 1, left + width, self.y + 3)


Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""


@dataclass(frozen=True)
class Point:
    """One model, in pixels from the top left."""

    name: str
    arch: str
    x: float
    y: float
    label: Label
    highlighted: bool
    told: str
    """Its figures in words."""

    @property
    def colour(self) -> str:
        return COLOURS.get(self.arch, _OTHER)


@dataclass(frozen=True)
class Chart:
    points: tuple[Point, ...]
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    x_title: str
    y_title: str


def accuracy(item: Entry) -> float | None:
    """The published value of the entry's own metric (top-1 or mAP), percent."""
    value: float | None = getattr(item.published, item.protocol.metric, None)
    return value


def accuracy_against_flops(items: Sequence[Entry], *, highlight: str | None = None) -> Chart | None:
    """The chart of all entries that have published figures; ``None`` where none has.

    ``highlight`` is the name of the one to stand out. All must share a metric, as those of
    one data set do.
    """
    rows = [(i, i.published.gflops or 0.0, accuracy(i)) for i in items if i.published]
    known = [(item, cost, value) for item, cost, value in rows if value is not None and cost > 0]
    if not known:
        return None
    costs, values = [cost for _, cost, _ in known], [value for _, _, value in known]
    x_low, x_high = math.log10(min(costs)) - 0.12, math.log10(max(costs)) + 0.22
    step = 1 if max(values) - min(values) < 6 else 2
    y_low = math.floor(min(values) / step - 0.4) * step
    y_high = math.ceil(max(values) / step + 0.4) * step

    def x_of(cost: float) -> float:
        share = (math.log10(cost) - x_low) / (x_high - x_low)
        return round(_LEFT + share * (WIDTH - _LEFT - _RIGHT), 1)

    def y_of(value: float) -> float:
        share = (value - y_low) / (y_high - y_low)
        return round(HEIGHT - _BOTTOM - share * (HEIGHT - _TOP - _BOTTOM), 1)

    places = [(x_of(cost), y_of(value)) for _, cost, value in known]
    labels = _labels([item.name for item, _, _ in known], places)
    metric = METRICS[known[0][0].protocol.metric]
    return Chart(
        points=tuple(
            Point(
                name=item.name,
                arch=item.arch,
                x=place[0],
                y=place[1],
                label=label,
                highlighted=item.name == highlight,
                told=f"{item.name}: {metric} {value:.2f}, {cost:.2f} GFLOPs a view",
            )
            for (item, cost, value), place, label in zip(known, places, labels, strict=True)
        ),
        x_ticks=tuple(
            (x_of(cost), f"{cost:g}") for cost in _decades() if x_low < math.log10(cost) < x_high
        ),
        y_ticks=tuple((y_of(value), str(value)) for value in range(y_low, y_high + 1, step)),
        x_title="GFLOPs of one view, as published (logarithmic)",
        y_title=f"{metric} %, as published",
    )


def _decades() -> Iterator[float]:
    for exponent in range(-3, 5):
        for digit in (1, 2, 5):
            yield digit * 10.0**exponent


def _labels(names: Sequence[str], places: Sequence[tuple[float, float]]) -> list[Label]:
    """For each name the first place around its point that touches no other, else to the right."""
    taken: list[Box] = [(x - 8, y - 8, x + 8, y + 8) for x, y in places]
    found = []
    for name, (x, y) in zip(names, places, strict=True):
        width = len(name) * _LETTER
        options = [
            Label(x + 11, y + 4, "start"),
            Label(x - 11, y + 4, "end"),
            Label(x, y - 12, "middle"),
            Label(x, y + 21, "middle"),
            *(Label(x + 9, y + down, "start") for down in (-9, 18, -22, 31)),
            *(Label(x - 9, y + down, "end") for down in (-9, 18, -22, 31)),
        ]
        label = next((at for at in options if _free(at.box(width), taken)), options[0])
        taken.append(label.box(width))
        found.append(Label(round(label.x, 1), round(label.y, 1), label.anchor))
    return found


def _free(wanted: Box, taken: Iterable[Box]) -> bool:
    left, top, right, bottom = wanted
    inside = left > _LEFT and right < WIDTH - 2 and top > 2 and bottom < HEIGHT - _BOTTOM
    return inside and not any(
        left < box[2] and right > box[0] and top < box[3] and bottom > box[1] for box in taken
    )


def svg(chart: Chart, *, links: Mapping[str, str] | None = None) -> str:
    """The chart as an SVG element; ``links`` are the pages of its points, by name.

    Lines and letters take the colour of the text around them.
    """
    bottom, right = HEIGHT - _BOTTOM, WIDTH - _RIGHT
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" font-family="sans-serif"'
        f' font-size="{_FONT}" fill="currentColor" xmlns="http://www.w3.org/2000/svg">',
        f"<title>{escape(chart.y_title)} against {escape(chart.x_title)}</title>",
        '<g stroke="currentColor" stroke-opacity="0.15">',
        *(f'<line x1="{x}" y1="{_TOP}" x2="{x}" y2="{bottom}"/>' for x, _ in chart.x_ticks),
        *(f'<line x1="{_LEFT}" y1="{y}" x2="{right}" y2="{y}"/>' for y, _ in chart.y_ticks),
        "</g>",
        '<g fill-opacity="0.75">',
        *(
            f'<text x="{x}" y="{bottom + 17}" text-anchor="middle">{told}</text>'
            for x, told in chart.x_ticks
        ),
        *(
            f'<text x="{_LEFT - 8}" y="{y + 4}" text-anchor="end">{told}</text>'
            for y, told in chart.y_ticks
        ),
        f'<text x="{(_LEFT + right) / 2}" y="{HEIGHT - 10}" text-anchor="middle">'
        f"{escape(chart.x_title)}</text>",
        f'<text transform="translate(14 {(_TOP + bottom) / 2}) rotate(-90)" text-anchor="middle">'
        f"{escape(chart.y_title)}</text>",
        "</g>",
    ]
    for point in chart.points:
        mark = _svg_point(point)
        if links is not None:
            mark = f'<a href="{escape(links[point.name])}">{mark}</a>'
        parts.append(f'<g data-name="{escape(point.name)}">{mark}</g>')
    return "\n".join([*parts, "</svg>"])


def _svg_point(point: Point) -> str:
    weight = ' font-weight="bold"' if point.highlighted else ""
    radius = 8 if point.highlighted else 5
    return (
        f"<title>{escape(point.told)}</title>"
        f'<circle cx="{point.x}" cy="{point.y}" r="{radius}" fill="{point.colour}"/>'
        f'<text x="{point.label.x}" y="{point.label.y}" text-anchor="{point.label.anchor}"{weight}>'
        f"{escape(point.name)}</text>"
    )


def png(chart: Chart, *, scale: int = 2) -> bytes:
    """The chart as a PNG file on white, ``scale`` pixels to each of its own."""
    from PIL import Image, ImageDraw, ImageFont

    image = Image.new("RGB", (WIDTH * scale, HEIGHT * scale), "white")
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(_FONT * scale)
    grey, pale, black = "#555555", "#dddddd", "#111111"
    bottom, right = HEIGHT - _BOTTOM, WIDTH - _RIGHT

    def text(x: float, y: float, told: str, anchor: str, colour: str = grey) -> None:
        draw.text((x * scale, y * scale), told, fill=colour, font=font, anchor=anchor)

    for x, told in chart.x_ticks:
        draw.line([(x * scale, _TOP * scale), (x * scale, bottom * scale)], pale, scale)
        text(x, bottom + 17, told, "ms")
    for y, told in chart.y_ticks:
        draw.line([(_LEFT * scale, y * scale), (right * scale, y * scale)], pale, scale)
        text(_LEFT - 8, y, told, "rm")
    text((_LEFT + right) / 2, HEIGHT - 10, chart.x_title, "ms")
    title = Image.new("RGB", (300 * scale, 20 * scale), "white")
    place = (150 * scale, 10 * scale)
    ImageDraw.Draw(title).text(place, chart.y_title, fill=grey, font=font, anchor="mm")
    centre = int((_TOP + bottom) / 2 - 150)
    image.paste(title.rotate(90, expand=True), (2 * scale, centre * scale))
    for point in chart.points:
        radius = 8 if point.highlighted else 5
        box = [(point.x - radius) * scale, (point.y - radius) * scale]
        box += [(point.x + radius) * scale, (point.y + radius) * scale]
        draw.ellipse(box, fill=point.colour)
        stroke = scale // 2 if point.highlighted else 0
        draw.text(
            (point.label.x * scale, point.label.y * scale),
            point.name,
            fill=black if point.highlighted else grey,
            font=font,
            anchor={"start": "ls", "middle": "ms", "end": "rs"}[point.label.anchor],
            stroke_width=stroke,
            stroke_fill=black,
        )
    written = io.BytesIO()
    image.save(written, "PNG", optimize=True)
    return written.getvalue()
