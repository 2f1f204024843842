"""Dense windows over a video as arithmetic: lengths and a stride -> which frames each one sees.

A window is a span of time, half open. Its frames are the video's own, or those of the video
resampled to a rate (as FFmpeg's ``fps`` filter does), and of these the model gets as many as it
takes, chosen as its protocol chooses them from a clip. Pure, no torch.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal, get_args

from ptv_hub.errors import UsageError, VideoError
from ptv_hub.inference.frame_lines import SOURCE, FrameLine, OwnTimes, frame_line
from ptv_hub.inference.timestamps import Timestamps
from ptv_hub.inference.views import (
    Clip,
    ViewPlan,
    segment_indices,
    spread,
    uniform_indices,
)
from ptv_hub.zoo.input_spec import InputSpec, SecondsSampling, SegmentSampling
from ptv_hub.zoo.records import Record

Last = Literal["back", "drop", "pad", "whole"]
"""What becomes of the end of a video that no window fits: see ``Windows.last``."""
Choice = Literal["protocol", "consecutive", "pyslowfast"]
"""How the model's frames are chosen from a window's: see ``Windows.choice``."""

_NOTHING = Fraction(1, 1_000_000)
"""Seconds of a rest at the end that are none: ``eps`` of pytorchvideo's UniformClipSampler."""
_LENGTH = re.compile(r"\s*(\d+(?:\.\d+)?)(?:/(\d+))?\s*(s?)\s*", re.IGNORECASE)


class Windows(Record):
    """How windows lie over a video, as a user, a recipe or a journal says it."""

    window: str | None = None
    """Length: frames (``"32"``) or seconds (``"2s"``, ``"32/30s"``); the published clip's if
    not given."""
    stride: str | None = None
    """From one window's start to the next, likewise; the window's length if not given."""
    fps: float | Literal["source"] | None = None
    """Resample the video to this rate first. ``None``: the video's own frames by their times,
    where N frames are N / ``target_fps`` seconds (all of the zoo: 30). ``"source"``: the video's
    own frames by their number, a second being its rate, rounded."""
    last: Last = "back"
    """``back``: one more window, moved back to fit (as Ego4D). ``drop``: none. ``pad``: windows
    go on until the end is covered, the last frame repeated. ``whole``: a window for every whole
    stride, the last frame repeated."""
    choice: Choice = "protocol"
    """``protocol``: as the entry's protocol chooses from a clip. ``consecutive``: the window's
    first frames, one after another. ``pyslowfast``: spread over the published clip from the
    window's start, but not beyond its end (as PySlowFast of a decoded clip)."""
    at_least: int = 0
    """Rows: the last window is repeated until there are as many."""


@dataclass(frozen=True, slots=True)
class Length:
    """A length of time: of frames, or of seconds."""

    value: Fraction
    seconds: bool

    def time(self, rate: Fraction) -> Fraction:
        """In seconds, where ``rate`` frames are one."""
        return self.value if self.seconds else self.value / rate


def parse_length(text: object, what: str = "a length") -> Length:
    """``32``, ``"32"`` -> frames; ``"2s"``, ``"0.5s"``, ``"32/30s"`` -> seconds.

    Raises:
        UsageError: nothing of the kind, or not positive.
    """
    match = _LENGTH.fullmatch(str(text))
    whole = match is not None and (bool(match[3]) or float(match[1]).is_integer())
    divisor = 1 if match is None or match[2] is None else int(match[2])
    if match is None or not whole or divisor == 0 or (match[2] and not match[3]):
        raise _not_a_length(what, text)
    value = Fraction(match[1]) / divisor
    if value <= 0:
        raise _not_a_length(what, text)
    return Length(value, bool(match[3]))


def _not_a_length(what: str, found: object) -> UsageError:
    return UsageError(
        f"{what} is not understood",
        expected="frames (32) or seconds (2s, 0.5s, 32/30s), more than none",
        found=repr(found),
    )


def asked_windows(
    window: object = None,
    stride: object = None,
    every: object = None,
    fps: float | str | None = None,
    *,
    last: str = "back",
    consecutive: bool = False,
) -> Windows:
    """What a user asks for; ``every="2s"`` is a window of two seconds every two seconds.

    Raises:
        UsageError: lengths, a rate or a rule that are not understood, or contradict each other.
    """
    if every is not None:
        if stride is not None:
            raise UsageError("'every' is a stride, and there is one", found=f"stride={stride!r}")
        stride, window = every, every if window is None else window
    for name, given in (("window", window), ("stride", stride)):
        if given is not None:
            parse_length(given, name)
    rules = [rule for rule in get_args(Last) if rule != "whole"]
    if last not in get_args(Last):
        raise UsageError("no such rule for the end", expected=", ".join(rules), found=repr(last))
    if isinstance(fps, str) and fps != SOURCE:
        try:
            fps = float(fps)
        except ValueError:
            raise UsageError("not a rate", expected="a number", found=repr(fps)) from None
    if isinstance(fps, (int, float)) and not (math.isfinite(fps) and fps > 0):
        raise UsageError("not a rate", expected="more than 0", found=fps)
    return Windows.model_validate(
        {
            "window": None if window is None else str(window).strip(),
            "stride": None if stride is None else str(stride).strip(),
            "fps": fps,
            "last": last,
            "choice": "consecutive" if consecutive else "protocol",
        }
    )


@dataclass(frozen=True, slots=True)
class WindowPlan(ViewPlan):
    """A plan of windows, and the rate that their frames are counted at."""

    rate: Fraction = Fraction(30)
    """Frames a second, as in ``Windows.fps``."""


def plan_windows(
    timestamps: Timestamps, spec: InputSpec, windows: Windows, num_crops: int = 1
) -> WindowPlan:
    """The frames of every window of a video, in order of time.

    Raises:
        VideoError: no frame at all.
        UsageError: a model that sees whole videos (segments), and no window.
    """
    if not timestamps.pts:
        raise VideoError("the video has no frame")
    line = frame_line(timestamps, spec, windows.fps)
    length, stride = _lengths(spec, windows, line.rate, own=isinstance(line, OwnTimes))
    choose, pad = _CHOICES[windows.choice], windows.last in ("pad", "whole")
    clips, held = [], 0
    starts = spans_of(line.end, _unrounded(spec, length), stride, windows.last)
    for index, start in enumerate(starts):
        places, alone = line.places(start, start + length, pad=pad)
        held += alone
        taken = choose(places, spec, line)
        clips.append(Clip(index, start, start + length, tuple(taken)))
    notes = [*line.notes]
    if held:
        notes.append(f"no new frame falls into {held} windows: they see the one on display")
    if not clips:
        notes.append(f"shorter than one window ({float(length):.3f} s): no row")
    while clips and len(clips) < windows.at_least:
        clips.append(replace(clips[-1], index=len(clips)))
    return WindowPlan(tuple(clips), num_crops, tuple(notes), line.rate)


def spans_of(end: Fraction, length: Fraction, stride: Fraction, last: Last) -> list[Fraction]:
    """Seconds at which windows of ``length`` begin, ``stride`` apart, in a video that ends at
    ``end``.

    A video shorter than a window gives one that begins at 0, or by ``drop`` none.
    """
    if last == "whole":
        return [stride * index for index in range(max(1, math.floor(end / stride)))]
    fitting = max(0, math.floor((end + _NOTHING - length) / stride) + 1)
    starts = [stride * index for index in range(fitting)]
    if last == "drop":
        return starts
    if not starts:
        return [Fraction(0)]
    following = starts[-1] + stride
    covered = end - (starts[-1] + length) <= _NOTHING
    if not covered and end - following > _NOTHING:
        starts.append(end - length if last == "back" else following)
    return starts


def window_lengths(spec: InputSpec, windows: Windows) -> tuple[Fraction, Fraction]:
    """Length and stride in seconds, of a video whose end nobody knows yet, and not resampled.

    Raises:
        UsageError: as ``plan_windows``.
    """
    own = isinstance(spec.sampling, SecondsSampling)
    rate = spec.target_fps if isinstance(spec.sampling, SecondsSampling) else spec.sampling.fps
    return _lengths(spec, windows, Fraction(rate), own=own)


def frames_of_window(
    timestamps: Timestamps, spec: InputSpec, windows: Windows, start: Fraction, length: Fraction
) -> Sequence[int]:
    """Which of the frames the model takes of one window; there is one at least."""
    line = frame_line(timestamps, spec, windows.fps)
    places, _ = line.places(start, start + length)
    return _CHOICES[windows.choice](places, spec, line)


def _lengths(
    spec: InputSpec, windows: Windows, rate: Fraction, *, own: bool
) -> tuple[Fraction, Fraction]:
    length = _length(spec, windows, rate, own=own)
    if windows.stride is None:
        return length, _unrounded(spec, length)
    return length, parse_length(windows.stride).time(rate)


def _unrounded(spec: InputSpec, length: Fraction) -> Fraction:
    """A length without the rounding that the published clip's has: where windows begin it would
    add up, and one that is moved back to end with the video would lose its first frame."""
    published = None if spec.clip_seconds is None else Fraction(spec.clip_seconds)
    return length.limit_denominator(10_000) if length == published else length


def _length(spec: InputSpec, windows: Windows, rate: Fraction, *, own: bool) -> Fraction:
    """Of a window, in seconds. As long as the published clip is the published clip, with the
    rounding of its length, a float, that the reference has."""
    published = None if spec.clip_seconds is None else Fraction(spec.clip_seconds)
    if windows.window is None:
        if windows.choice == "consecutive":
            return spec.num_frames / rate
        if published is None:
            raise UsageError(
                "this model sees the whole video in one clip",
                fix="say how long a window is: window=64, or '2s'",
            )
        return published if own else round(published * rate) / rate
    length = parse_length(windows.window, "window").time(rate)
    if own and published is not None and abs(length - published) < _NOTHING:
        return published
    return length


def _by_protocol(places: Sequence[int], spec: InputSpec, line: FrameLine) -> Sequence[int]:
    segments = isinstance(spec.sampling, SegmentSampling)
    taken = (segment_indices if segments else uniform_indices)(len(places), spec.num_frames)
    return [places[index] for index in taken]


def _consecutive(places: Sequence[int], spec: InputSpec, line: FrameLine) -> Sequence[int]:
    return [places[min(index, len(places) - 1)] for index in range(spec.num_frames)]


def _as_pyslowfast(places: Sequence[int], spec: InputSpec, line: FrameLine) -> Sequence[int]:
    rate = math.floor(line.source_rate)
    clip = spec.num_frames * spec.sampling_rate * rate / float(line.rate)
    taken = spread(clip - 1, spec.num_frames, len(places) - 1)
    return [places[index] for index in taken]


_CHOICES = {
    "protocol": _by_protocol,
    "consecutive": _consecutive,
    "pyslowfast": _as_pyslowfast,
}
