"""Scores over time as a picture: a line a class, a point a clip."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ptv_hub.pages import figure
from ptv_hub.pages.figure import Drawn, Size
from ptv_hub.pages.look import series
from ptv_hub.pages.svg import Mark
from ptv_hub.text import visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDE = Size(1200, 300)
NARROW = Size(figure.PHONE, 260, narrow=True)
LEFT, RIGHT = 54, 14
"""Pixels beside the axes: where time begins and ends in the picture."""

_MOST_MARKS = 1000


@dataclass(frozen=True)
class ScoresOverTime:
    """What is drawn."""

    labels: tuple[str, ...]
    scores: tuple[float, ...]
    """Of each label, for the whole video, 0 to 1."""
    spans: tuple[tuple[float, float], ...]
    """Of each clip, seconds."""
    of_clips: tuple[tuple[float, ...], ...]
    """Of each clip the score of each label."""
    duration: float
    """Seconds."""

    @property
    def middles(self) -> list[float]:
        return [(start + end) / 2 for start, end in self.spans]


def percent(score: float) -> str:
    return f"{100 * score:.1f} %"


def plot(found: ScoresOverTime, size: Size) -> Figure:
    """The lines with their names, or, of a video without clips, bars."""
    if not found.spans:
        return _bars(found, size)
    made, axes = figure.empty(size, right=320)
    lines(found, axes)
    named(axes)
    return made


def lines(found: ScoresOverTime, axes: Axes) -> None:
    """A line a class over the middles of the clips; the best last, on top."""
    for index in reversed(range(len(found.labels))):
        values = [100 * scores[index] for scores in found.of_clips]
        width = 2.6 if index == 0 else 1.6
        told = textwrap.fill(f"{percent(found.scores[index])}  {visible(found.labels[index])}", 34)
        axes.plot(found.middles, values, color=series(index), linewidth=width, label=told)
        for clip, (at, value) in enumerate(zip(found.middles, values, strict=True)):
            facts: Any = {"color": series(index), "marker": "o", "markersize": 5}
            axes.plot([at], [value], gid=f"point-{index}-{clip}", clip_on=False, **facts)
    axes.set(xlim=(0, found.duration or 1), ylim=(0, None))
    axes.set_xlabel("seconds (the middle of each clip)")
    axes.set_ylabel("score, %")


def named(axes: Axes) -> None:
    """Names of the lines beside the axes, the best first."""
    handles, words = axes.get_legend_handles_labels()
    if handles:
        axes.legend(
            handles[::-1],
            words[::-1],
            loc="upper left",
            bbox_to_anchor=(1.02, 1.0),
            borderaxespad=0.0,
            title="whole video",
            alignment="left",
        )


def _bars(found: ScoresOverTime, size: Size) -> Figure:
    made, axes = figure.empty(size, left=220)
    places = range(len(found.labels))
    axes.barh(places, [100 * s for s in found.scores], color=series(0), height=0.6)
    axes.set_yticks(places, [textwrap.shorten(visible(one), 30) for one in found.labels])
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set(xlim=(0, 100), xlabel="score, %")
    return made


def for_page(found: ScoresOverTime) -> Drawn:
    """For a page, each point with its words."""

    def draw(size: Size) -> Figure:
        made, axes = figure.empty(size, left=LEFT, right=RIGHT)
        lines(found, axes)
        if size.narrow:
            axes.set_xlabel("seconds")
        return made

    marks = [
        Mark((f"point-{index}-{clip}",), "", _words(found, index, clip))
        for index in reversed(range(len(found.labels)))
        for clip in range(len(found.spans))
    ]
    told = "scores of the best classes over time; the table below holds them"
    shown = marks if len(marks) <= _MOST_MARKS else []
    return figure.drawn(draw, WIDE, NARROW, name="timeline", told=told, marks=shown)


def _words(found: ScoresOverTime, index: int, clip: int) -> str:
    start, end = found.spans[clip]
    score = percent(found.of_clips[clip][index])
    return f"{found.labels[index]}: {score}, {start:.2f} to {end:.2f} s"
