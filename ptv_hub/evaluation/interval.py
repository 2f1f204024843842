"""A measured number with its interval, and the published one, as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ptv_hub.pages import figure
from ptv_hub.pages.figure import Size
from ptv_hub.pages.look import colours, series

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Interval = tuple[float | None, float | None]


def plot(
    name: str, measured: float | None, published: float | None, within: Interval, size: Size
) -> Figure:
    """On a line of percent; what is not known is left out."""
    made, axes = figure.empty(size, left=24, right=24, top=44)
    low_end, high_end = within
    known = [v for v in (measured, published, low_end, high_end) if v is not None]
    low, high = (min(known), max(known)) if known else (0.0, 100.0)
    room = max(0.35 * (high - low), 1.0)
    limits = max(0.0, low - room), min(100.0, high + room)
    axes.set(xlim=limits, ylim=(0, 1), yticks=[])
    axes.set_xlabel(f"{name}, %")
    axes.spines["left"].set_visible(False)
    axes.grid(axis="y", visible=False)
    if low_end is not None and high_end is not None:
        bar: Any = {"linewidth": 10, "solid_capstyle": "butt"}
        axes.plot([low_end, high_end], [0.5, 0.5], color=series(0), alpha=0.3, **bar)
    if measured is not None:
        axes.plot([measured], [0.5], "o", color=series(0), markersize=13)
        _say(axes, measured, limits, f"measured {measured:.2f}", over=22)
    if published is not None:
        axes.plot([published], [0.5], "D", color=series(1), markersize=9)
        _say(axes, published, limits, f"published {published:.2f}", over=4)
    return made


def _say(axes: Axes, at: float, limits: tuple[float, float], words: str, *, over: float) -> None:
    """Words so many pixels above the axes, over a place, and a line down to it."""
    share = (at - limits[0]) / (limits[1] - limits[0])
    across = "left" if share < 0.3 else "right" if share > 0.7 else "center"
    axes.axvline(at, 0.5, 1, color=colours()["faint"], linewidth=0.8)
    axes.annotate(
        words, (at, 1), (0, over), textcoords="offset points", ha=across, va="bottom", fontsize=12
    )
