"""Results of evaluations as pictures: the number and its interval, confusions, reliability."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

from ptv_hub.evaluation import interval, report
from ptv_hub.evaluation.result import Confidence, ConfusionMatrix, EvalResult
from ptv_hub.pages import figure
from ptv_hub.pages.figure import Drawn, Size
from ptv_hub.pages.look import colours, series
from ptv_hub.text import visible
from ptv_hub.zoo.facts import METRICS

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def confusion(matrix: ConfusionMatrix, size: Size) -> Figure:
    """A field for each class and what it was taken for; the darker, the more of its videos."""
    from matplotlib.patches import Rectangle

    names = [textwrap.shorten(visible(one), 12 if size.narrow else 24) for one in matrix.labels]
    rest = any(row[-1] for row in matrix.counts)
    columns = [*names, "others"] if rest else names
    letters = 8 if size.narrow and len(names) > 10 else 11
    margin = 24 + 0.64 * letters * max(map(len, columns))
    made, axes = figure.empty(size, left=margin, bottom=margin, top=6, right=6)
    for y, row in enumerate(matrix.counts):
        whole = sum(row) or 1
        for x, count in enumerate(row[: len(columns)]):
            if not count:
                continue
            colour = series(2 if x == y else 1)
            share = 0.1 + 0.5 * count / whole
            axes.add_patch(
                Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=colour, alpha=share, linewidth=0)
            )
            if not size.narrow or len(names) <= 10:
                at: Any = {"ha": "center", "va": "center", "fontsize": letters}
                axes.text(x, y, str(count), **at)
    axes.set(xlim=(-0.5, len(columns) - 0.5), ylim=(len(names) - 0.5, -0.5))
    axes.set_xticks(range(len(columns)), columns, rotation=90, fontsize=letters)
    axes.set_yticks(range(len(names)), names, fontsize=letters)
    axes.set_xlabel("" if size.narrow else "taken for")
    axes.grid(visible=False)
    return made


def reliability(found: tuple[Confidence, ...], size: Size) -> Figure:
    """How often what is said with some confidence is so; the line is what it should be."""
    made, axes = figure.empty(size)
    axes.plot([0, 100], [0, 100], color=colours()["faint"], linewidth=1, linestyle=(0, (4, 3)))
    at = [100 * one.score for one in found]
    axes.plot(at, [100 * one.right for one in found], color=series(0), linewidth=2)
    most = max((one.count for one in found), default=1)
    for n, one in enumerate(found):
        side = 5 + 12 * (one.count / most) ** 0.5
        axes.plot([at[n]], [100 * one.right], "o", color=series(0), markersize=side, clip_on=False)
    axes.set(xlim=(0, 100), ylim=(0, 100), xlabel="score, %", ylabel="right, %")
    return made


def calibration_error(found: tuple[Confidence, ...]) -> float | None:
    """How far scores are from how often they are right, on the mean, percent (the ECE)."""
    count = sum(one.count for one in found)
    if not count:
        return None
    return 100 * sum(one.count * abs(one.score - one.right) for one in found) / count


def headline_picture(result: EvalResult) -> Drawn:
    row = report.headline(result)
    name, within = METRICS[row.metric], (row.low, row.high)
    return figure.drawn(
        lambda size: interval.plot(name, row.measured, row.published, within, size),
        Size(760, 150),
        Size(figure.PHONE, 150, narrow=True),
        name="headline",
        told="the measured number with its interval, and the published one",
    )


def confusion_picture(matrix: ConfusionMatrix) -> Drawn:
    side = max(330.0, 26.0 * len(matrix.labels) + 150)
    return figure.drawn(
        lambda size: confusion(matrix, size),
        Size(side, side),
        Size(figure.PHONE, figure.PHONE, narrow=True),
        name="confusion",
        told="which classes were taken for which; the table beside holds the most frequent pairs",
    )


def reliability_picture(found: tuple[Confidence, ...]) -> Drawn:
    return figure.drawn(
        lambda size: reliability(found, size),
        Size(420, 380),
        Size(figure.PHONE, 300, narrow=True),
        name="reliability",
        told="how often what is said with some confidence is so",
    )
