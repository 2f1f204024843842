"""Accuracy against FLOPs, as published: the zoo in one picture, for cards (PNG) and pages (SVG).

GFLOPs are those of one view, on a logarithmic axis; accuracies are percent. A line joins the models
that none is better than at their cost (the Pareto front).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ptv_hub.pages import figure
from ptv_hub.pages.figure import Drawn, Size
from ptv_hub.pages.look import colours, series
from ptv_hub.pages.svg import Mark
from ptv_hub.zoo.entry import Entry
from ptv_hub.zoo.facts import METRICS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FAMILIES = ("Slow", "SlowFast", "X3D", "C2D", "I3D", "CSN", "R(2+1)D")
"""Each has its colour, the last of them all others."""

WIDE = Size(760, 420)
NARROW = Size(figure.PHONE, 330, narrow=True)


@dataclass(frozen=True)
class Point:
    """One model."""

    name: str
    arch: str
    gflops: float
    accuracy: float
    """Percent."""
    told: str
    """Its figures in words."""
    in_front: bool = False
    """Whether no other is as accurate at no more cost."""
    highlighted: bool = False

    @property
    def family(self) -> int:
        return FAMILIES.index(self.arch) if self.arch in FAMILIES else len(FAMILIES)


@dataclass(frozen=True)
class Chart:
    points: tuple[Point, ...]
    metric: str
    """``top-1`` or ``mAP``."""

    @property
    def front(self) -> tuple[Point, ...]:
        """The Pareto front, by cost."""
        return tuple(sorted((p for p in self.points if p.in_front), key=lambda p: p.gflops))


def accuracy(item: Entry) -> float | None:
    """The published value of the entry's own metric (top-1 or mAP), percent."""
    value: float | None = getattr(item.published, item.protocol.metric, None)
    return value


def accuracy_against_flops(items: Sequence[Entry], *, highlight: str | None = None) -> Chart | None:
    """The chart of all entries that have published figures; ``None`` where none has.

    ``highlight`` is the name of the one to stand out. All must share a metric, as those of
    one data set do.
    """
    points = []
    for item in items:
        value, gflops = accuracy(item), item.published and item.published.gflops
        if value is None or not gflops:
            continue
        metric = METRICS[item.protocol.metric]
        told = f"{item.name}: {metric} {value:.2f}, {gflops:.2f} GFLOPs a view"
        highlighted = item.name == highlight
        points.append(Point(item.name, item.arch, gflops, value, told, highlighted=highlighted))
    if not points:
        return None
    known = tuple(replace(point, in_front=not _is_beaten(point, points)) for point in points)
    return Chart(known, metric)


def _is_beaten(point: Point, points: Sequence[Point]) -> bool:
    """Whether another is at least as accurate at no more cost, and better in one of them."""
    return any(
        other.gflops <= point.gflops
        and other.accuracy >= point.accuracy
        and (other.gflops, other.accuracy) != (point.gflops, point.accuracy)
        for other in points
    )


def png(chart: Chart) -> bytes:
    """The chart as a PNG file on paper, two pixels to each of a page."""
    return figure.png(lambda size: _figure(chart, size), WIDE)


def svg(
    chart: Chart, name: str, *, wide: Size = WIDE, links: Mapping[str, str] | None = None
) -> Drawn:
    """The chart for a page; ``name`` tells it from others there, ``links`` are its points' pages.

    ``wide``: its size on a wide page.
    """
    marks = [
        Mark(
            (f"point-{n}", f"words-{n}"),
            point.name,
            point.told,
            None if links is None else links[point.name],
        )
        for n, point in enumerate(chart.points)
    ]
    return figure.drawn(
        lambda size: _figure(chart, size),
        wide,
        NARROW,
        name=name,
        told=f"{chart.metric} in percent against GFLOPs of one view, as published",
        marks=marks,
    )


def _figure(chart: Chart, size: Size) -> Figure:
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    made, axes = figure.empty(size)
    axes.set_xscale("log")
    for n, point in enumerate(chart.points):
        axes.plot(
            [point.gflops],
            [point.accuracy],
            marker="o",
            markersize=14 if point.highlighted else 9,
            color=series(point.family),
            gid=f"point-{n}",
            clip_on=False,
        )
    front = chart.front
    if len(front) > 1:
        axes.plot(
            [p.gflops for p in front],
            [p.accuracy for p in front],
            color=colours()["faint"],
            linewidth=1.2,
            linestyle=(0, (4, 3)),
            zorder=1,
        )
    axes.margins(x=0.12, y=0.12)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=20))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda cost, _: f"{cost:g}"))
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.set_xlabel("GFLOPs of one view" + ("" if size.narrow else " (logarithmic)"))
    axes.set_ylabel(f"{chart.metric} %")
    _name_points(chart, axes, size)
    return made


def _name_points(chart: Chart, axes: Axes, size: Size) -> None:
    """Names where there is room, those of the front first; on a phone of the front alone."""
    order = sorted(
        range(len(chart.points)),
        key=lambda n: (not chart.points[n].highlighted, not chart.points[n].in_front),
    )
    if size.narrow and len(order) > 6:
        order = [n for n in order if chart.points[n].in_front or chart.points[n].highlighted]
    places = [(chart.points[n].gflops, chart.points[n].accuracy) for n in order]
    words = [chart.points[n].name for n in order]
    line = [(p.gflops, p.accuracy) for p in chart.front]
    texts = figure.place_words(axes, places, words, line=line, fontsize=11, color=colours()["text"])
    for n, text in zip(order, texts, strict=True):
        if text is not None:
            text.set(gid=f"words-{n}", weight="bold" if chart.points[n].highlighted else "normal")
