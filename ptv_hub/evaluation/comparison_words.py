"""Comparisons of runs in words, tables and as a page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ptv_hub.errors import MissingExtra
from ptv_hub.evaluation.comparing import ChangedVideo, RunComparison
from ptv_hub.evaluation.report import Table
from ptv_hub.files import write_text
from ptv_hub.pages import figure
from ptv_hub.pages.figure import Drawn, Size
from ptv_hub.pages.look import colours, series
from ptv_hub.pages.page import render
from ptv_hub.zoo.facts import METRICS

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def verdict(found: RunComparison) -> str:
    """The difference in a sentence that says what it is worth."""
    metric = METRICS[found.metric]
    if found.difference is None:
        return f"no {metric} to compare: no video is scored by both runs"
    said = f"{metric} {found.difference:+.2f} points over {found.videos} videos"
    if found.low is None or found.high is None:
        return said
    said += f" (95 % interval {found.low:+.2f} to {found.high:+.2f})"
    if found.low <= 0 <= found.high:
        return f"{said}: it may be chance"
    return f"{said}: the {'second' if found.difference > 0 else 'first'} is better"


def numbers(found: RunComparison) -> Table:
    """A row a run."""
    columns = ("run", "model", "weights", "views", f"{METRICS[found.metric]} %")
    rows = [
        (
            *(which, run.model, (run.weights_digest or "-")[:12], run.views),
            "-" if run.value is None else f"{run.value:.2f}",
        )
        for which, run in zip(("first", "second"), found.runs, strict=True)
    ]
    return Table(columns, tuple(rows), columns[4:])


def tests(found: RunComparison) -> Table:
    """What the difference is worth, a row each."""
    rows = [("difference", verdict(found)), ("interval", found.interval or "too few videos")]
    if found.p_value is not None:
        told = (
            f"{found.only_first} right by the first alone, {found.only_second} by the second alone"
        )
        rows.append(("McNemar, exact", f"p = {found.p_value:.4g} ({told})"))
    if found.videos < found.listed:
        told = f"{found.listed - found.videos} of {found.listed} are not scored by both"
        rows.append(("left out", told))
    return Table(("", "found"), tuple(rows))


def changed(videos: tuple[ChangedVideo, ...], most: int | None = None) -> Table:
    """A row a video."""
    rows = [
        (
            *(one.id, ", ".join(one.labels), *one.predicted),
            *(f"{score:.3f}" for score in one.scores),
        )
        for one in videos[:most]
    ]
    columns = ("video", "labels", "first said", "second said", "first's score", "second's score")
    return Table(columns, tuple(rows), columns[4:])


def write_comparison(found: RunComparison, folder: Path) -> None:
    """Write ``comparison.html`` and ``comparison.json``. Raises WriteError."""
    write_text(folder / "comparison.json", found.model_dump_json(indent=2) + "\n")
    write_text(folder / "comparison.html", page(found))


def page(found: RunComparison) -> str:
    """The comparison as a page; without matplotlib it has no picture."""
    picture: Drawn | None = None
    if found.difference is not None:
        try:
            picture = figure.drawn(
                lambda size: _figure(found, size),
                Size(760, 120),
                Size(figure.PHONE, 120, narrow=True),
                name="difference",
                told="the difference with its interval, and zero",
            )
        except MissingExtra:
            picture = None
    return render(
        "comparison.html",
        title=" against ".join(run.model for run in reversed(found.runs)),
        found=found,
        metric=METRICS[found.metric],
        verdict=verdict(found),
        picture=picture,
        numbers=numbers(found),
        tests=tests(found),
        lost=changed(found.lost, _SHOWN),
        gained=changed(found.gained, _SHOWN),
        shown=_SHOWN,
    )


_SHOWN = 500  # videos of a side on the page; all are in comparison.json


def _figure(found: RunComparison, size: Size) -> Figure:
    made, axes = figure.empty(size, left=24, right=24)
    known = [v for v in (found.difference, found.low, found.high, 0.0) if v is not None]
    reach = 1.25 * max(abs(value) for value in known) or 1.0
    axes.set(xlim=(-reach, reach), ylim=(0, 1), yticks=[])
    axes.set_xlabel("points; the first is better to the left, the second to the right")
    if size.narrow:
        axes.set_xlabel("first better   |   second better")
    axes.spines["left"].set_visible(False)
    axes.grid(axis="y", visible=False)
    axes.axvline(0, color=colours()["faint"], linewidth=1.5)
    if found.low is not None and found.high is not None:
        across = ([found.low, found.high], [0.5, 0.5])
        axes.plot(*across, color=series(0), alpha=0.3, linewidth=10, solid_capstyle="butt")
    if found.difference is not None:
        axes.plot([found.difference], [0.5], "o", color=series(0), markersize=13)
    return made
