"""The picture of the demonstration: frames with their labels, and the scores over time below.

Drawn at two sizes: beside text, and for phones, where letters would be too small.
"""

from __future__ import annotations

import bisect
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ptv_hub.files import atomic_write
from ptv_hub.inference.frames import Frame
from ptv_hub.inference.overlay import lay, panel
from ptv_hub.inference.predict import Prediction
from ptv_hub.inference.sliding import AtTime, Seen
from ptv_hub.inference.video import open_video
from ptv_hub.pages import figure
from ptv_hub.pages.figure import Size
from ptv_hub.pages.look import colours, series

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDE = Size(1000, 430)
NARROW = Size(380, 660, narrow=True)
_COLOURS = 128
"""Of the PNG's palette."""
_LEFT, _RIGHT, _GAP, _TITLE = 54, 12, 8, 24
"""Pixels beside the frames, between them, and above each."""
_LETTERS = 28
"""Height of the letters over a frame of the drawn video: larger than over the video itself."""


def middles(video: Path, seen: Sequence[Seen], parts: int) -> list[Frame]:
    """The frame in the middle of each of so many equal parts, its labels over it."""
    at_time = AtTime(seen)
    with open_video(video) as opened:
        seconds, duration = opened.timestamps.seconds, float(opened.timestamps.duration)
        at = [bisect.bisect(seconds, (part + 0.5) * duration / parts) - 1 for part in range(parts)]
        found = dict(opened.frames(at))
    labelled = []
    for place in at:
        frame = found[place]
        said = seen[at_time(seconds[place])].predictions[:2]
        labelled.append(lay(frame, panel(said, frame.shape[1], frame.shape[0], letters=_LETTERS)))
    return labelled


def write(
    path: Path,
    video: Path,
    seen: Sequence[Seen],
    found: Prediction,
    plan: Sequence[str],
    size: Size = WIDE,
) -> None:
    """Write the picture as PNG.

    Args:
        video: what was drawn.
        seen: what the model says of its windows.
        found: a prediction over time of all its classes.
        plan: what was drawn in each of so many equal parts of the video.
    """
    from PIL import Image

    frames = middles(video, seen, len(plan))
    data = figure.png(lambda at: _drawn(frames, found, plan, at), size)
    few = Image.open(io.BytesIO(data)).convert("RGB").quantize(_COLOURS)
    with atomic_write(path) as temporary:
        few.save(temporary, format="PNG", optimize=True)


def _drawn(frames: Sequence[Frame], found: Prediction, plan: Sequence[str], size: Size) -> Figure:
    across = 2 if size.narrow else len(frames)
    rows = -(-len(frames) // across)
    width = (size.width - _LEFT - _RIGHT - (across - 1) * _GAP) / across
    height = width * frames[0].shape[0] / frames[0].shape[1]
    above = rows * (height + _TITLE)
    made, axes = figure.empty(size, left=_LEFT, right=_RIGHT, top=above + 46, bottom=48)
    for number, (frame, label) in enumerate(zip(frames, plan, strict=True)):
        row, column = divmod(number, across)
        left = _LEFT + column * (width + _GAP)
        low = size.height - (row + 1) * (height + _TITLE)
        place = (left / size.width, low / size.height, width / size.width, height / size.height)
        shown = made.add_axes(place)
        shown.imshow(frame, aspect="auto", interpolation="nearest")
        shown.set_axis_off()
        shown.set_title(f"moves {label}", fontsize=11, color=colours()["faint"], pad=4)
    _lines(axes, found, plan)
    return made


def _lines(axes: object, found: Prediction, plan: Sequence[str]) -> None:
    """A line a class; what was drawn is the ground's colour, and its name stands above."""
    labels = [one.label for one in found.predictions]
    colour = {label: series(number) for number, label in enumerate(sorted(labels))}
    part = found.duration / len(plan)
    for number, label in enumerate(plan):
        start, end = number * part, (number + 1) * part
        axes.axvspan(start, end, color=colour[label], alpha=0.13, linewidth=0)
        axes.text(
            (start + end) / 2,
            104,
            label,
            ha="center",
            fontsize=12,
            weight="bold",
            color=colour[label],
        )
    moments = found.timeline or ()
    at = [(moment.start + moment.end) / 2 for moment in moments]
    for index, label in enumerate(labels):
        values = [100 * moment.scores[index] for moment in moments]
        axes.plot(at, values, color=colour[label], linewidth=2.2, clip_on=False)
    axes.set(xlim=(0, found.duration), ylim=(0, 100))
    axes.set_xticks([number * part for number in range(len(plan) + 1)])
    axes.set_xlabel("seconds")
    axes.set_ylabel("score, %")
