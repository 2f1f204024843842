"""The clips of a protocol as arithmetic: time stamps -> frame numbers. Pure, no torch.

The arithmetic is that of the code the zoo was evaluated with, down to what is a fraction and
what a float: a frame more or less at the edge of a clip changes which frames are sampled from
it. The clip samplers are those of pytorchvideo's ``data/clip_sampling.py``, the frame filters
those of its ``data/ssv2.py`` and ``data/charades.py``.
"""

from __future__ import annotations

import bisect
import itertools
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial

import numpy as np

from ptv_hub.errors import EmptyClip, UsageError, VideoError
from ptv_hub.inference.timestamps import Timestamps
from ptv_hub.zoo.input_spec import (
    FrameSampling,
    InputSpec,
    Protocol,
    SecondsSampling,
    SegmentSampling,
)

RESAMPLED = "frames resampled"
"""How the note on frames that are not those of the published protocol begins."""
LEFT_OUT = "frames left out, as by the reference"
"""How the note on a stream begins whose end the reference does not see."""
Draw = Callable[[int, int], int]
"""(low, high) -> a whole number between them, both included."""
Starts = Callable[[Fraction], Sequence[Fraction]]
"""Seconds at which the last clip may begin -> where the clips begin."""


@dataclass(frozen=True, slots=True)
class Clip:
    """One clip: its span of time, and the frames that the model sees of it."""

    index: int
    start: Fraction
    """Seconds from time zero."""
    end: Fraction
    """Seconds; the span is half open, and may reach beyond the end of the video."""
    frames: tuple[int, ...]
    """Places in ``Timestamps.pts``, as many as the model takes; some twice in a short span."""


@dataclass(frozen=True, slots=True)
class ViewPlan:
    """Which frames every view of a video is made of; view ``clip * num_crops + crop`` by number."""

    clips: tuple[Clip, ...]
    num_crops: int
    notes: tuple[str, ...] = ()
    """What differs from the published protocol, in words."""

    @property
    def frames(self) -> tuple[int, ...]:
        """The frames that some view needs, each once, in order."""
        return tuple(sorted({frame for clip in self.clips for frame in clip.frames}))

    @property
    def num_views(self) -> int:
        return len(self.clips) * self.num_crops


def parse_views(views: str | Sequence[int]) -> tuple[int, int]:
    """``"10x3"``, or ``(10, 3)`` -> (10 clips, 3 crops).

    Raises:
        UsageError: not two positive numbers, in a string with an x between them.
    """
    if isinstance(views, (list, tuple)):
        views = "x".join(map(str, views))
    if not isinstance(views, str):
        raise UsageError(
            "views are not understood", expected="'10x3' or (10, 3)", found=repr(views)
        )
    match = re.fullmatch(r"\s*([1-9]\d{0,3})\s*[x×]\s*([1-9]\d{0,2})\s*", views, re.IGNORECASE)
    if match is None:
        raise UsageError(
            "views are not understood",
            expected="clips x crops, as in '10x3' or (10, 3)",
            found=repr(views),
        )
    return int(match[1]), int(match[2])


def plan_views(timestamps: Timestamps, spec: InputSpec, protocol: Protocol) -> ViewPlan:
    """The frames of every view of a video, as the reference takes them.

    Raises:
        VideoError: a clip in which no frame falls (the reference drops such a video's remaining
            clips without a word).
        UsageError: more than one clip of a model that sees the whole video in one clip.
    """
    if not timestamps.pts:
        raise VideoError("the video has no frame")
    starts = partial(_starts, protocol=protocol)
    if isinstance(spec.sampling, SecondsSampling):
        notes: tuple[str, ...] = ()
        clips = _clips_of_seconds(timestamps, spec, starts)
    else:
        notes, frames = _stamped(timestamps, spec.sampling)
        if isinstance(spec.sampling, FrameSampling):
            clips = _clips_of_frames(frames, spec, spec.sampling.fps, starts)
        else:
            clips = _clip_of_segments(frames, spec, spec.sampling.fps, protocol)
    return ViewPlan(clips, protocol.num_crops, notes)


def plan_as_reference(timestamps: Timestamps, spec: InputSpec, protocol: Protocol) -> ViewPlan:
    """``plan_views`` over the span that the reference takes a file for, for the published numbers.

    Where that leaves out more than one frame that is shown, a note says so. Folders of frames,
    and what is extracted to such, have but one span. Raises as ``plan_views``.
    """
    if timestamps.reference is None or not isinstance(spec.sampling, SecondsSampling):
        return plan_views(timestamps, spec, protocol)
    start, duration = timestamps.reference
    theirs = replace(timestamps, start=start, duration=max(duration, Fraction(0)), reference=None)
    plan = plan_views(theirs, spec, protocol)
    seen = max(theirs.duration, Fraction(_seconds(spec)))
    base = timestamps.time_base
    lost = sum(not 0 <= (tick - start) * base < seen for tick in timestamps.pts)
    if lost > 1:
        note = (
            f"{LEFT_OUT}: {lost} of {len(timestamps.pts)}; its formula takes "
            f"{float(theirs.duration):.2f} s for the duration, not {float(timestamps.duration):.2f}"
        )
        plan = replace(plan, notes=(*plan.notes, note))
    return plan


def clip_at(
    timestamps: Timestamps, spec: InputSpec, place: float, draw: Draw | None = None
) -> Clip:
    """One clip for training: it begins at ``place`` (0 to 1) of the room there is for it.

    Where the whole video is one clip (segments), ``draw(low, high)`` chooses the frame of each
    segment, both ends included; without it the middle one is taken.

    Raises:
        VideoError: no frame falls into the clip.
    """
    if not timestamps.pts:
        raise VideoError("the video has no frame")

    def start(room: Fraction) -> list[Fraction]:
        return [room * Fraction(place)]

    if isinstance(spec.sampling, SecondsSampling):
        return _clips_of_seconds(timestamps, spec, start)[0]
    _, frames = _stamped(timestamps, spec.sampling)
    if isinstance(spec.sampling, FrameSampling):
        return _clips_of_frames(frames, spec, spec.sampling.fps, start)[0]
    taken = segment_indices(len(frames), spec.num_frames, draw)
    end = Fraction(len(frames), spec.sampling.fps)
    return Clip(0, Fraction(0), end, tuple(frames[i] for i in taken))


def clip_around(timestamps: Timestamps, spec: InputSpec, time: float) -> Clip:
    """The clip whose middle is at ``time`` seconds, for boxes that were drawn there.

    Frames every ``sampling_rate`` at ``target_fps``, counted from the one at ``time``: to each of
    these times the nearest, and beyond the edges the video's first or last. So does
    ``get_sequence`` of PySlowFast's ``datasets/utils.py`` for AVA.

    Raises:
        VideoError: the video has no frame, or none at that time.
    """
    if not timestamps.pts:
        raise VideoError("the video has no frame")
    if not 0 <= time <= timestamps.duration:
        raise VideoError(
            "no frame is shown at that time",
            expected=f"0 to {float(timestamps.duration):.3f} s",
            found=f"{time:g} s",
        )
    step, middle = Fraction(1, spec.target_fps), Fraction(time)
    half = spec.num_frames * spec.sampling_rate // 2
    wanted = [middle + (i * spec.sampling_rate - half) * step for i in range(spec.num_frames)]
    frames = tuple(_nearest(timestamps, second) for second in wanted)
    return Clip(0, max(wanted[0], Fraction(0)), wanted[-1] + spec.sampling_rate * step, frames)


def _nearest(timestamps: Timestamps, second: Fraction) -> int:
    """The frame whose time is nearest; of two the earlier."""
    pts, tick = timestamps.pts, second / timestamps.time_base + timestamps.start
    after = bisect.bisect_left(pts, tick)
    near = [place for place in (after - 1, after) if 0 <= place < len(pts)]
    return min(near, key=lambda place: abs(pts[place] - tick))


def _clips_of_seconds(timestamps: Timestamps, spec: InputSpec, starts: Starts) -> tuple[Clip, ...]:
    """Spans of seconds of a video, exact fractions all the way; the length alone is a float."""
    pts, base = timestamps.pts, timestamps.time_base
    length = Fraction(_seconds(spec))
    room = max(timestamps.duration - length, Fraction(0))
    clips = []
    for index, start in enumerate(starts(room)):
        first = bisect.bisect_left(pts, math.ceil(start / base) + timestamps.start)
        stop = bisect.bisect_left(pts, math.ceil((start + length) / base) + timestamps.start)
        if first == stop:
            at = timestamps.seconds
            raise _empty(
                index,
                start,
                start + length,
                f"{len(pts)} frames from {at[0]:.3f} s to {at[-1]:.3f} s",
            )
        taken = uniform_indices(stop - first, spec.num_frames)
        clips.append(Clip(index, start, start + length, tuple(first + i for i in taken)))
    return tuple(clips)


def _clips_of_frames(
    frames: Sequence[int], spec: InputSpec, fps: int, starts: Starts
) -> tuple[Clip, ...]:
    """Spans of frames stamped at ``fps``. Times turn to floats where the reference's do."""
    length = Fraction(_seconds(spec))
    duration = len(frames) / fps
    # A float minus a fraction is a float; exact fractions would move an edge in 13 % of clips.
    room = Fraction(max(duration - float(length), 0.0))
    clips = []
    for index, start in enumerate(starts(room)):
        first = math.ceil(fps * float(start))
        end = duration if start + length > duration else float(start + length)
        stop = min(math.ceil(fps * end), len(frames))
        if first >= stop:
            raise _empty(index, start, start + length, f"{len(frames)} frames at {fps} a second")
        taken = uniform_indices(stop - first, spec.num_frames)
        clips.append(Clip(index, start, start + length, tuple(frames[first + i] for i in taken)))
    return tuple(clips)


def _clip_of_segments(
    frames: Sequence[int], spec: InputSpec, fps: int, protocol: Protocol
) -> tuple[Clip, ...]:
    """The whole video as one clip."""
    if protocol.num_clips != 1:
        raise UsageError(
            "this model sees the whole video in one clip",
            expected="1 clip",
            found=f"{protocol.num_clips} clips",
            fix=f"ask for views '1x{protocol.num_crops}'",
        )
    taken = segment_indices(len(frames), spec.num_frames)
    end = Fraction(len(frames), fps)
    return (Clip(0, Fraction(0), end, tuple(frames[i] for i in taken)),)


def _seconds(spec: InputSpec) -> float:
    seconds = spec.clip_seconds
    assert seconds is not None, "only segments have no length, and they are not asked for it"
    return seconds


def _starts(room: Fraction, protocol: Protocol) -> list[Fraction]:
    """Where the clips begin when the last may begin at ``room`` seconds.

    pytorchvideo 0.1.5 divides by the number of clips, and never reaches ``room``; its head, since
    April 2022, by one less. MMAction2 takes the middle of equal parts.
    """
    clips = protocol.num_clips
    if protocol.clip_sampling == "centred":
        return [room / clips * (index + Fraction(1, 2)) for index in range(clips)]
    parts = clips if protocol.clip_sampling == "release" else max(clips - 1, 1)
    return [room / parts * index for index in range(clips)]


def _empty(index: int, start: Fraction, end: Fraction, found: str) -> EmptyClip:
    return EmptyClip(
        f"no frame falls into clip {index}",
        expected=f"a frame from {float(start):.3f} s to {float(end):.3f} s",
        found=found,
        fix="the video is cut short or has a gap: repair it, or leave it out",
    )


def _stamped(
    timestamps: Timestamps, sampling: FrameSampling | SegmentSampling
) -> tuple[tuple[str, ...], Sequence[int]]:
    """The frames as the data set's owners extracted them: at ``sampling.fps``."""
    if timestamps.rate == sampling.fps:
        return (), range(len(timestamps.pts))
    note = (
        f"{RESAMPLED} to {sampling.fps} a second; the published protocol reads JPEGs "
        "extracted at that rate, which is near but not the same"
    )
    return (note,), resample(timestamps, sampling.fps)


def resample(timestamps: Timestamps, fps: int | Fraction) -> tuple[int, ...]:
    """Which frame is shown at each tick of ``fps``, as FFmpeg's ``fps`` filter repeats and drops.

    A frame goes to the nearest tick (halves up), and stays until the next one comes; of several
    at one tick the last is shown. At least one tick comes back.
    """
    ticks = [
        math.floor((tick - timestamps.pts[0]) * timestamps.time_base * fps + Fraction(1, 2))
        for tick in timestamps.pts
    ]
    first = (timestamps.pts[0] - timestamps.start) * timestamps.time_base
    length = max(timestamps.duration - first, Fraction(0))
    count = max(math.floor(length * fps + Fraction(1, 2)), ticks[-1] + 1)
    return tuple(bisect.bisect_right(ticks, tick) - 1 for tick in range(count))


def uniform_indices(num_frames: int, num_samples: int) -> tuple[int, ...]:
    """``torch.linspace(0, num_frames - 1, num_samples).long()`` to the last digit, without torch.

    That is float32, counted from both ends to the middle.
    """
    return spread(num_frames - 1, num_samples, num_frames - 1)


def spread(last: float, num_samples: int, limit: int) -> tuple[int, ...]:
    """``linspace(0, last, num_samples).clamp(0, limit).long()`` to the last digit."""
    if num_samples == 1:
        return (0,)
    step = np.float32(last) / np.float32(num_samples - 1)
    places = np.arange(num_samples)
    rising = step * places.astype(np.float32)
    # torch multiplies and subtracts in one rounding; in float64 the product is exact.
    falling = (last - np.float64(step) * (num_samples - 1 - places)).astype(np.float32)
    values = np.where(places < num_samples // 2, rising, falling)
    return tuple(int(value) for value in np.clip(values, 0, limit))


def segment_indices(num_frames: int, num_samples: int, draw: Draw | None = None) -> tuple[int, ...]:
    """One frame of each of ``num_samples`` equal segments: as ``draw`` says, or the middle one."""
    size = float(num_frames - 1) / num_samples
    # Python's round, like numpy's, takes halves to the even neighbour.
    edges = [round(size * i) for i in range(num_samples + 1)]
    choose = draw or (lambda low, high: (low + high) // 2)
    return tuple(choose(low, high) for low, high in itertools.pairwise(edges))
