"""A window that slides along a video -> what the model says at each of its places."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import torch

from ptv_hub.inference.batching import over_views
from ptv_hub.inference.frames import Video
from ptv_hub.inference.predict import (
    SCORES,
    ClassScore,
    best_classes,
    ensemble,
    how_many,
    scores_of,
)
from ptv_hub.inference.viewing import WindowViews
from ptv_hub.inference.windows import Windows, asked_windows, parse_length
from ptv_hub.models.builders import ActionModel, activated
from ptv_hub.zoo.input_spec import InputSpec
from ptv_hub.zoo.records import Record

WHOLE_VIDEO = "4s"
"""Length of a window of a model that sees whole videos in one clip: as Something-Something's are,
in the mean."""


class Seen(Record):
    """What a model says of one window."""

    start: float
    """Seconds from the beginning of the video."""
    end: float
    predictions: tuple[ClassScore, ...]
    """Best first."""


@dataclass(frozen=True)
class Wanted:
    """Which windows, and how much is said of each."""

    windows: Windows
    top_k: int | None = None
    """Classes; 5, or with a threshold as many as reach it."""
    threshold: float | None = None


def sliding_windows(spec: InputSpec, window: object = None, stride: object = None) -> Windows:
    """Windows of the published clip's length, each begun half of it after the one before.

    Args:
        window, stride: other lengths, in frames (32) or seconds ("2s").

    Raises:
        UsageError: lengths that are not understood.
    """
    if window is None and spec.clip_seconds is None:
        window = WHOLE_VIDEO
    if stride is None:
        if window is None:
            half = Fraction(spec.clip_seconds or 0).limit_denominator(1000) / 2
            stride = f"{half.numerator}/{half.denominator}s"
        else:
            length = parse_length(window, "window")
            half = length.value / 2
            in_seconds = f"{half.numerator}/{half.denominator}s"
            stride = in_seconds if length.seconds else max(1, int(half))
    return asked_windows(window, stride)


def slide(
    model: ActionModel, video: Video, wanted: Wanted, batch_views: int = 1
) -> tuple[tuple[Seen, ...], tuple[str, ...]]:
    """What the model says of each window of a video, in order of time; and notes on the windows.

    The centre of each frame is seen, and nothing is mixed from window to window.

    Raises:
        VideoError: a frame that cannot be decoded, frames whose size changes on the way.
        UsageError: as ``plan_windows``.
    """
    item = model.entry
    count = how_many(item, wanted.top_k, wanted.threshold)
    viewing = WindowViews(item.input, wanted.windows)
    plan = viewing.plan(video.timestamps)
    with activated(model, item.protocol.activation):
        scores = over_views(scores_of(model), model, video, viewing, batch_views, plan=plan)[SCORES]
    of_windows = zip(plan.clips, torch.split(scores, plan.num_crops), strict=True)
    return tuple(
        Seen(
            start=float(clip.start),
            end=float(clip.end),
            predictions=best_classes(
                ensemble(views, item.protocol.ensemble), item, count, wanted.threshold
            ),
        )
        for clip, views in of_windows
    ), plan.notes


class AtTime:
    """Which window a frame is shown with: the one whose middle is nearest to its time."""

    def __init__(self, seen: Sequence[Seen]) -> None:
        middles = [(one.start + one.end) / 2 for one in seen]
        self._borders = [(a + b) / 2 for a, b in itertools.pairwise(middles)]

    def __call__(self, second: float) -> int:
        return bisect.bisect_right(self._borders, second)
