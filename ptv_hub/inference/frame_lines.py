"""The frames of a video in a row, as windows are laid over them.

Its own frames at their own times, or frames at a rate: the video resampled, as FFmpeg's ``fps``
filter does, or its own by their numbers. Pure, no torch.
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from ptv_hub.inference.timestamps import Timestamps
from ptv_hub.inference.views import RESAMPLED, resample
from ptv_hub.zoo.input_spec import InputSpec, SecondsSampling

SOURCE = "source"
"""In place of a rate: the video's own frames by their numbers."""


class FrameLine:
    """The frames of a video as windows are laid over them; times in seconds from its start."""

    rate: Fraction
    """Frames to a second, where windows count them."""
    end: Fraction
    source_rate: Fraction
    """Of the video itself, the mean."""
    notes: tuple[str, ...] = ()

    def __init__(self, timestamps: Timestamps) -> None:
        self._timestamps = timestamps
        self.source_rate = len(timestamps.pts) / true_end(timestamps)

    def places(
        self, start: Fraction, end: Fraction, *, pad: bool = False
    ) -> tuple[Sequence[int], bool]:
        """The frames of a span; and whether there was none in it, and the one before stands in.

        With ``pad`` the last is repeated where the span reaches beyond the end of the video.
        """
        first, stop, count = self._inside(start, end)
        alone = first >= stop
        if alone:
            first = max(min(first, count) - 1, 0)
            stop = first + 1
        found = [self._place(number) for number in range(first, stop)]
        if pad:
            missing = round((end - max(self.end, start)) * self.padding_rate)
            found += [found[-1]] * max(0, missing)
        return found, alone

    @property
    def padding_rate(self) -> Fraction:
        """Frames to a second of what is repeated."""
        return self.rate

    def _inside(self, start: Fraction, end: Fraction) -> tuple[int, int, int]:
        """The first frame of a span, the one behind its last; and how many there are in all."""
        raise NotImplementedError

    def _place(self, number: int) -> int:
        raise NotImplementedError


class OwnTimes(FrameLine):
    """The video's own frames at their own times."""

    def __init__(self, timestamps: Timestamps, spec: InputSpec) -> None:
        super().__init__(timestamps)
        self.rate = Fraction(spec.target_fps)
        self.end = true_end(timestamps)

    @property
    def padding_rate(self) -> Fraction:
        return self.source_rate

    def _inside(self, start: Fraction, end: Fraction) -> tuple[int, int, int]:
        stamps = self._timestamps

        def first_from(time: Fraction) -> int:
            tick = math.ceil(time / stamps.time_base) + stamps.start
            return bisect.bisect_left(stamps.pts, tick)

        return first_from(start), first_from(end), len(stamps.pts)

    def _place(self, number: int) -> int:
        return number


class Ticks(FrameLine):
    """Frames at a rate: a number is a time. The first frame is at zero."""

    def __init__(self, timestamps: Timestamps, rate: Fraction, ticks: Sequence[int]) -> None:
        super().__init__(timestamps)
        self.rate = rate
        self._ticks = ticks
        self.end = Fraction(len(ticks)) / rate

    def _inside(self, start: Fraction, end: Fraction) -> tuple[int, int, int]:
        count = len(self._ticks)
        return math.ceil(start * self.rate), min(math.ceil(end * self.rate), count), count

    def _place(self, number: int) -> int:
        return self._ticks[number]


def frame_line(timestamps: Timestamps, spec: InputSpec, fps: float | str | None) -> FrameLine:
    count = len(timestamps.pts)
    if fps == SOURCE:
        rate = Fraction(max(1, math.floor(count / true_end(timestamps) + Fraction(1, 2))))
        return Ticks(timestamps, rate, range(count))
    extracted = None if isinstance(spec.sampling, SecondsSampling) else spec.sampling.fps
    wanted = extracted if fps is None else fps
    if wanted is None:
        return OwnTimes(timestamps, spec)
    rate = Fraction(wanted).limit_denominator(1_000_000)
    if timestamps.rate == rate:
        return Ticks(timestamps, rate, range(count))
    end = true_end(timestamps)
    ticks = resample(replace(timestamps, duration=end), rate)
    # A last frame may be nearest to a tick at which the video has ended: the filter drops it.
    shown = max(1, math.floor(end * rate + Fraction(1, 2)))
    line = Ticks(timestamps, rate, ticks[:shown])
    if extracted is not None and fps is None:
        line.notes = (f"{RESAMPLED} to {extracted} a second, as the model's data were",)
    return line


def true_end(timestamps: Timestamps) -> Fraction:
    """Seconds from time zero to the end of the video: what the container states, if the last
    frame is shown before it; else the last frame's time and a gap as they usually are.

    A container's duration is not that where its stream starts late, or where it names the last
    frame's time and not its end.
    """
    pts = timestamps.pts
    last = (pts[-1] - timestamps.start) * timestamps.time_base
    if timestamps.duration > last:
        return timestamps.duration
    gaps = sorted(later - earlier for earlier, later in itertools.pairwise(pts))
    # Of one frame alone nothing is known: as long as one at 30 a second.
    gap = gaps[len(gaps) // 2] * timestamps.time_base if gaps else Fraction(1, 30)
    return last + gap
