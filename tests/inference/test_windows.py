"""Windows over a video: a table by hand, a slow way written once more, and the end rules."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ptv_hub.errors import UsageError
from ptv_hub.fetching.hub import entry
from ptv_hub.inference.frame_lines import true_end
from ptv_hub.inference.timestamps import Timestamps
from ptv_hub.inference.views import plan_views, resample, uniform_indices
from ptv_hub.inference.windows import (
    Windows,
    asked_windows,
    parse_length,
    plan_windows,
    spans_of,
)
from ptv_hub.zoo.manifest import entries

SLOWFAST = entry("slowfast_r50").input  # 32 frames over 64
XS = entry("x3d_xs").input  # 4 frames over 48

# frames at 30 a second, window, stride -> by which rule the windows begin where.
TABLE = [
    (39, 32, 16, "back", [0, 7]),
    (39, 32, 16, "drop", [0]),
    (39, 32, 16, "pad", [0, 16]),
    (39, 32, 16, "whole", [0, 16]),
    (32, 32, 16, "back", [0]),
    (32, 32, 16, "pad", [0]),
    (33, 32, 16, "back", [0, 1]),
    (48, 32, 16, "back", [0, 16]),
    (48, 32, 16, "pad", [0, 16]),
    (49, 32, 16, "pad", [0, 16, 32]),
    (20, 32, 16, "back", [0]),
    (20, 32, 16, "pad", [0]),
    (20, 32, 16, "drop", []),
    (100, 10, 40, "drop", [0, 40, 80]),
    (105, 10, 50, "back", [0, 50, 95]),
    (100, 10, 50, "back", [0, 50]),
    (125, 10, 60, "pad", [0, 60, 120]),
    (1, 1, 1, "drop", [0]),
]


def at_30(count: int) -> Timestamps:
    return Timestamps.regular(count, 30)


@pytest.mark.parametrize(("count", "window", "stride", "last", "starts"), TABLE)
def test_where_windows_begin(count, window, stride, last, starts):
    asked = Windows(window=str(window), stride=str(stride), last=last)
    plan = plan_windows(at_30(count), SLOWFAST, asked)
    assert [clip.start * 30 for clip in plan.clips] == starts
    assert all(clip.end - clip.start == Fraction(window, 30) for clip in plan.clips)
    assert plan.rate == 30
    assert bool(plan.notes) == (not starts)


def slowly(end: Fraction, length: Fraction, stride: Fraction, last: str) -> list[Fraction]:
    """The rules one by one, as a person would go along the video."""
    starts, start = [], Fraction(0)
    while start + length <= end:
        starts.append(start)
        start += stride
    if last == "drop":
        return starts
    if not starts:
        return [Fraction(0)]
    if starts[-1] + length < end and start < end:
        starts.append(start if last == "pad" else end - length)
    return starts


numbers = st.integers(1, 400)
patiently = settings(deadline=None, max_examples=60)  # machines are busy


@patiently
@given(numbers, numbers, numbers, st.sampled_from(["back", "drop", "pad"]))
def test_spans_are_those_of_the_slow_way(end, length, stride, last):
    third = Fraction(1, 3)
    found = spans_of(end * third, length * third, stride * third, last)
    assert found == slowly(end * third, length * third, stride * third, last)
    assert found == sorted(set(found))
    if last == "back" and length <= end:
        assert all(start >= 0 and start + length * third <= end * third for start in found)
    if last != "drop" and stride <= length:
        assert max(found) + length * third >= end * third


@st.composite
def videos(draw) -> Timestamps:
    """Time stamps of any gaps, in the time bases of real containers."""
    base = draw(st.sampled_from([Fraction(1, 15360), Fraction(1001, 30000), Fraction(1, 1000)]))
    gaps = draw(st.lists(st.integers(1, 900), min_size=1, max_size=60))
    first = draw(st.sampled_from([0, 0, 512, 90_000]))
    ticks = [first]
    for gap in gaps:
        ticks.append(ticks[-1] + gap)
    stated = draw(st.integers(-50, 1500))
    return Timestamps(tuple(ticks), base, first, (ticks[-1] - first + stated) * base)


@patiently
@given(videos(), st.integers(1, 90), st.integers(1, 90), st.sampled_from(["back", "drop", "pad"]))
def test_a_windows_frames_are_those_shown_in_it(stamps, window, stride, last):
    asked = Windows(window=f"{window}/30s", stride=f"{stride}/30s", last=last)
    plan = plan_windows(stamps, XS, asked)
    times = [(tick - stamps.start) * stamps.time_base for tick in stamps.pts]
    end = true_end(stamps)
    for clip in plan.clips:
        inside = [i for i, time in enumerate(times) if clip.start <= time < clip.end]
        if not inside:
            before = max((i for i, time in enumerate(times) if time < clip.start), default=0)
            assert set(clip.frames) == {before}
        elif last == "pad" and clip.end > end:
            assert set(clip.frames) <= set(inside)
        else:
            assert clip.frames == tuple(inside[i] for i in uniform_indices(len(inside), 4))


@patiently
@given(videos(), st.sampled_from([12, 25, 30, 29.97]), st.integers(1, 40), st.integers(1, 40))
def test_resampled_windows_are_ranges_of_the_resampled_frames(stamps, fps, window, stride):
    rate = Fraction(fps).limit_denominator(1_000_000)
    asked = Windows(window=str(window), stride=str(stride), fps=fps, last="pad")
    plan = plan_windows(stamps, XS, asked)
    whole = Timestamps(stamps.pts, stamps.time_base, stamps.start, true_end(stamps))
    shown = resample(whole, rate)[: max(1, math.floor(true_end(stamps) * rate + Fraction(1, 2)))]
    for number, clip in enumerate(plan.clips):
        mine = [*shown, *([shown[-1]] * window)][number * stride : number * stride + window]
        assert clip.start == number * stride / rate
        assert clip.frames == tuple(mine[i] for i in uniform_indices(window, 4))
    assert plan.rate == rate


@pytest.mark.parametrize(
    "item", [e for e in entries() if e.input.clip_seconds], ids=lambda item: item.name
)
@pytest.mark.parametrize("rate", [24, 25, Fraction(30000, 1001), 30, 60])
def test_a_window_as_long_as_the_published_clip_is_the_published_clip(item, rate):
    stamps = Timestamps.regular(round(10 * rate), rate)
    spec = item.input
    frames = round(spec.clip_seconds * 30)
    published = plan_views(stamps, spec, item.protocol).clips[0]
    for asked in (Windows(), Windows(window=str(frames), stride="16")):
        first = plan_windows(stamps, spec, asked).clips[0]
        assert first.frames == published.frames
        assert (first.start, float(first.end)) == (0, pytest.approx(float(published.end)))


@pytest.mark.parametrize("name", ["x3d_xs", "x3d_m", "slowfast_r50", "csn_r101"])
def test_the_rounding_of_the_published_clips_length_moves_no_window(name):
    """48/30 as a float is more, and 80/30 less, than it is."""
    spec = entry(name).input
    frames = round(spec.clip_seconds * 30)
    starts = [0, frames, 2 * frames, 2 * frames + 10]  # the last one is moved back
    for asked in (Windows(), Windows(window=str(frames))):
        plan = plan_windows(at_30(3 * frames + 10), spec, asked)
        assert [clip.frames[0] for clip in plan.clips] == starts
        assert plan.clips[-1].frames[-1] == 3 * frames + 9


def test_consecutive_frames_and_the_videos_own_by_number():
    stamps = Timestamps.regular(100, Fraction(30000, 1001))
    asked = Windows(window="40", stride="1s", fps="source", choice="consecutive", last="drop")
    plan = plan_windows(stamps, SLOWFAST, asked)
    assert [clip.frames for clip in plan.clips] == [
        tuple(range(start, start + 32)) for start in (0, 30, 60)
    ]
    assert plan.rate == 30
    short = plan_windows(at_30(10), SLOWFAST, Windows(choice="consecutive"))
    assert [clip.frames for clip in short.clips] == [(*range(10), *[9] * 22)]


def test_a_window_in_a_gap_sees_what_is_on_display():
    stamps = Timestamps((0, 1, 2, 50, 51), Fraction(1, 10), 0, Fraction(52, 10))
    plan = plan_windows(stamps, XS, Windows(window="1s", last="drop"))
    assert [set(clip.frames) for clip in plan.clips] == [{0, 1, 2}, {2}, {2}, {2}, {2}]
    assert plan.notes == ("no new frame falls into 4 windows: they see the one on display",)


def test_a_row_is_repeated_until_there_are_enough():
    asked = Windows(window="32", stride="30", last="pad", at_least=4)
    plan = plan_windows(at_30(50), SLOWFAST, asked)
    assert [clip.start * 30 for clip in plan.clips] == [0, 30, 30, 30]
    assert [clip.index for clip in plan.clips] == [0, 1, 2, 3]


def test_streams_whose_start_is_late_have_no_negative_end():
    late = Timestamps((90_000, 93_000, 96_000), Fraction(1, 90_000), 90_000, Fraction(-9, 10))
    assert true_end(late) == Fraction(1, 10)
    assert true_end(Timestamps((0,), Fraction(1, 1000), 0, Fraction(0))) == Fraction(1, 30)
    assert true_end(Timestamps((0, 1), Fraction(1, 30), 0, Fraction(3))) == 3


def test_models_of_whole_videos_and_of_extracted_frames():
    whole = entry("slow_r50_ssv2").input
    with pytest.raises(UsageError, match="whole video in one clip"):
        plan_windows(at_30(90), whole, Windows(stride="16"))
    stamps = Timestamps.regular(50, 25)
    plan = plan_windows(stamps, whole, Windows(window="30"))
    assert len(plan.clips) == 2
    assert plan.notes == ("frames resampled to 30 a second, as the model's data were",)
    charades = entry("slow_r50_charades").input
    assert len(plan_windows(at_30(120), charades, Windows()).clips) == 3  # of 57 frames


@pytest.mark.parametrize(
    ("text", "value", "seconds"),
    [
        *(("32", 32, False), (16, 16, False), ("2s", 2, True), ("0.5S", Fraction(1, 2), True)),
        *(("32/30s", Fraction(16, 15), True), (" 1.25 s ", Fraction(5, 4), True)),
    ],
)
def test_lengths(text, value, seconds):
    length = parse_length(text)
    assert (length.value, length.seconds) == (value, seconds)


@pytest.mark.parametrize(
    "text", ["", "0", "-3", "2.5", "s", "2m", "1/0s", "1/2", "nan", "1e3", "0s"]
)
def test_lengths_that_mean_nothing(text):
    with pytest.raises(UsageError, match="frames \\(32\\) or seconds"):
        parse_length(text)


def test_what_is_asked_for():
    assert asked_windows(every="2s") == Windows(window="2s", stride="2s")
    assert asked_windows(64, every="1s", fps="25") == Windows(window="64", stride="1s", fps=25.0)
    assert asked_windows(fps="source", consecutive=True).choice == "consecutive"
    for wrong in (
        {"every": "2s", "stride": 3},
        {"window": "x"},
        {"fps": "fast"},
        {"fps": 0},
        {"fps": float("inf")},
        {"last": "left"},
    ):
        with pytest.raises(UsageError):
            asked_windows(**wrong)
