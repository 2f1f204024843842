"""Views: frames and crops as the reference takes them, by hand and against its own arithmetic."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ptv_hub.errors import UsageError, VideoError
from ptv_hub.fetching.hub import entry
from ptv_hub.inference.timestamps import Timestamps
from ptv_hub.inference.views import (
    parse_views,
    plan_views,
    resample,
    segment_indices,
    uniform_indices,
)
from ptv_hub.zoo.input_spec import FrameSampling, InputSpec, Protocol, SegmentSampling
from ptv_hub.zoo.manifest import entries

KINETICS = entry("slow_r50")  # 8 frames, every 8th of 30 a second: 2.133 s
CHARADES = entry("Charades/SLOW_8x8_R50")
SSV2 = entry("SSv2/SLOW_8x8_R50")


def protocol(clips: int, crops: int = 3, sampling: str = "release", of=KINETICS) -> Protocol:
    changes = {"num_clips": clips, "num_crops": crops, "clip_sampling": sampling}
    return of.protocol.model_copy(update=changes)


def frames_of(timestamps: Timestamps, spec: InputSpec, how: Protocol) -> list[list[int]]:
    return [list(clip.frames) for clip in plan_views(timestamps, spec, how).clips]


# -- torch's and numpy's arithmetic ------------------------------------------------------


@pytest.mark.parametrize("samples", [1, 2, 3, 4, 5, 7, 8, 13, 16, 20, 32, 64])
def test_uniform_indices_are_torchs_linspace(samples):
    for count in range(1, 900):
        expected = torch.linspace(0, count - 1, samples).clamp(0, count - 1).long().tolist()
        assert list(uniform_indices(count, samples)) == expected, count


@settings(deadline=None)
@example(17, 31)  # told apart by a product that is rounded before it is subtracted
@example(8193, 127)
@example(3, 113)
@given(st.integers(1, 100_000), st.integers(1, 128))
def test_uniform_indices_are_torchs_linspace_anywhere(count, samples):
    expected = torch.linspace(0, count - 1, samples).clamp(0, count - 1).long().tolist()
    assert list(uniform_indices(count, samples)) == expected


@settings(deadline=None)
@given(st.integers(1, 5000), st.integers(1, 64))
def test_segments_round_halves_to_even_as_numpy_does(count, samples):
    size = float(count - 1) / samples
    expected = [
        (int(np.round(size * i)) + int(np.round(size * (i + 1)))) // 2 for i in range(samples)
    ]
    assert list(segment_indices(count, samples)) == expected


def test_segments_by_hand():
    assert segment_indices(45, 8) == (
        3,
        8,
        13,
        19,
        25,
        30,
        35,
        41,
    )  # edges 0 6 11 16 22 28 33 38 44
    assert segment_indices(5, 8) == (0, 0, 1, 2, 2, 2, 3, 4)  # edges at 0.5, 1.5, ... to the even
    assert segment_indices(1, 8) == (0,) * 8


# -- clips of seconds, by hand -----------------------------------------------------------


def test_ten_seconds_at_30():
    video = Timestamps.regular(300, 30)
    found = frames_of(video, KINETICS.input, protocol(10))
    assert found[0] == [0, 9, 18, 27, 36, 45, 54, 63]
    # (10 - 64/30) * 1/10 = 0.78666 s is frame 23.6: the first at or after it is 24. 24 + 64 = 88
    # is at or after the end, 87.6, so that frames 24 to 87 fall into the clip.
    assert found[1] == [24 + i for i in (0, 9, 18, 27, 36, 45, 54, 63)]
    assert found[9][0] == 213  # 9/10 of 236 frames is 212.4: "release" never reaches the end
    assert frames_of(video, KINETICS.input, protocol(10, sampling="main"))[9][-1] == 299


def test_clip_starts_of_release_and_main():
    video = Timestamps.regular(300, 30)
    room = Fraction(10) - Fraction(64 / 30)
    for sampling, parts in (("release", 4), ("main", 3)):
        clips = plan_views(video, KINETICS.input, protocol(4, sampling=sampling)).clips
        assert [clip.start for clip in clips] == [room * i / parts for i in range(4)]
        assert all(clip.end - clip.start == Fraction(64 / 30) for clip in clips)


@pytest.mark.parametrize("sampling", ["release", "main"])
def test_one_clip_is_the_first(sampling):
    video = Timestamps.regular(300, 30)
    (frames,) = frames_of(video, KINETICS.input, protocol(1, sampling=sampling))
    assert frames == [0, 9, 18, 27, 36, 45, 54, 63]


def test_a_video_shorter_than_a_clip_gives_the_same_frames_for_every_clip():
    found = frames_of(Timestamps.regular(12, 15), KINETICS.input, protocol(10))
    assert found == [[0, 1, 3, 4, 6, 7, 9, 11]] * 10


def test_one_frame():
    assert frames_of(Timestamps.regular(1, 30), KINETICS.input, protocol(2)) == [[0] * 8] * 2


@pytest.mark.parametrize(
    ("rate", "count", "in_first_clip"),
    [
        (Fraction(30000, 1001), 300, 64),  # 63.94 frames: those at 0 to 63
        (Fraction(24000, 1001), 240, 52),  # 51.15: 0 to 51
        (Fraction(25), 250, 54),  # 53.3
        (Fraction(60), 600, 128),  # 128 exactly: the end itself is not in
        (Fraction(6), 57, 13),  # 12.8
    ],
)
def test_odd_rates(rate, count, in_first_clip):
    (frames,) = frames_of(Timestamps.regular(count, rate), KINETICS.input, protocol(1))
    assert frames[-1] == in_first_clip - 1


def test_variable_rate():
    # A second at 10 a second, then one at 40: by time, not by number.
    pts = (*range(0, 1000, 100), *range(1000, 2000, 25))
    video = Timestamps(pts, Fraction(1, 1000), 0, Fraction(2))
    spec = KINETICS.input.model_copy(update={"num_frames": 5, "sampling_rate": 6})  # 1 s
    clips = plan_views(video, spec, protocol(2, sampling="main")).clips
    assert clips[0].frames == (0, 2, 4, 6, 9)
    assert clips[1].frames == (10, 19, 29, 39, 49)


def test_a_start_time_that_is_not_zero():
    zero = Timestamps(tuple(range(300)), Fraction(1, 30), 0, Fraction(10))
    late = Timestamps(tuple(range(90, 390)), Fraction(1, 30), 90, Fraction(10))
    assert plan_views(zero, KINETICS.input, protocol(10)) == plan_views(
        late, KINETICS.input, protocol(10)
    )
    assert late.seconds[:2] == (0.0, 1 / 30)


def test_a_clip_may_end_beyond_the_video():
    # 3 s of frames in a container that states 3.5: the last clip of "main" reaches 0.5 s too far.
    video = Timestamps(tuple(range(90)), Fraction(1, 30), 0, Fraction(7, 2))
    last = plan_views(video, KINETICS.input, protocol(10, sampling="main")).clips[-1]
    assert float(last.end) == pytest.approx(3.5)
    # 41 ticks exactly, were not 64 / 30 seconds a float a little under 64 ticks.
    assert last.frames[0] == 42
    assert last.frames[-1] == 89


def test_a_clip_in_which_no_frame_falls():
    video = Timestamps(tuple(range(90)), Fraction(1, 30), 0, Fraction(10))  # cut short: 3 of 10 s
    with pytest.raises(VideoError, match="no frame falls into clip 4") as caught:
        plan_views(video, KINETICS.input, protocol(10))
    assert "90 frames from 0.000 s to 2.967 s" in caught.value.found


def test_no_frames_at_all():
    with pytest.raises(VideoError, match="no frame"):
        plan_views(Timestamps((), Fraction(1, 30), 0, Fraction(1)), KINETICS.input, protocol(1))


# -- clips of seconds, against pytorchvideo ----------------------------------------------

ticks = st.lists(st.integers(1, 4000), min_size=1, max_size=200)


@settings(max_examples=150, deadline=None)
@given(
    gaps=ticks,
    base=st.sampled_from(
        [Fraction(1, 30), Fraction(1, 1000), Fraction(1, 15360), Fraction(1001, 30000)]
    ),
    start=st.integers(-5000, 5000),
    clips=st.integers(1, 12),
    frames=st.sampled_from([4, 8, 13, 16, 32]),
    rate=st.sampled_from([2, 4, 5, 6, 8, 12, 16]),
    beyond=st.integers(0, 3),
)
def test_clips_are_those_of_pytorchvideo(gaps, base, start, clips, frames, rate, beyond):
    """Its own sampler, and its rule for frames, on drawn time stamps."""
    from pytorchvideo.data.clip_sampling import make_clip_sampler
    from pytorchvideo.data.utils import secs_to_pts

    pts = [start + sum(gaps[:i]) for i in range(len(gaps) + 1)]
    duration = (pts[-1] - start + beyond) * base
    spec = KINETICS.input.model_copy(update={"num_frames": frames, "sampling_rate": rate})
    sampler = make_clip_sampler("constant_clips_per_video", frames * rate / 30, clips, 1)
    expected: list[list[int]] | None = []
    for _ in range(clips):
        info = sampler(0.0, duration, {})
        low, high = (
            secs_to_pts(seconds, base, start, round_mode="ceil")
            for seconds in (info.clip_start_sec, info.clip_end_sec)
        )
        inside = [i for i, tick in enumerate(pts) if low <= tick < high]
        if not inside:
            expected = None
            break
        chosen = torch.linspace(0, len(inside) - 1, frames).clamp(0, len(inside) - 1).long()
        expected.append([inside[i] for i in chosen])
    video = Timestamps(tuple(pts), base, start, duration)
    if expected is None:
        with pytest.raises(VideoError, match="no frame falls"):
            plan_views(video, spec, protocol(clips))
    else:
        assert frames_of(video, spec, protocol(clips)) == expected


@settings(max_examples=150, deadline=None)
@given(
    count=st.integers(1, 1500),
    clips=st.integers(1, 12),
    frames=st.sampled_from([8, 16, 32]),
    rate=st.sampled_from([2, 4, 8]),
)
def test_clips_of_frames_are_those_of_pytorchvideo(count, clips, frames, rate):
    """Its sampler, and ``FrameVideo``'s rule, whose times are floats."""
    from pytorchvideo.data.clip_sampling import make_clip_sampler

    spec = CHARADES.input.model_copy(update={"num_frames": frames, "sampling_rate": rate})
    duration = count / 30.0
    sampler = make_clip_sampler(
        "constant_clips_per_video", ((frames - 1) * rate + 1) / 30, clips, 1
    )
    expected = []
    for _ in range(clips):
        info = sampler(0.0, duration, {})
        low = math.ceil(30.0 * info.clip_start_sec)
        high = min(math.ceil(30.0 * min(info.clip_end_sec, duration)), count)
        inside = list(range(low, high))
        chosen = torch.linspace(0, len(inside) - 1, frames).clamp(0, len(inside) - 1).long()
        expected.append([inside[i] for i in chosen])
    assert frames_of(Timestamps.regular(count, 30), spec, protocol(clips)) == expected


# -- whole videos, other rates -----------------------------------------------------------


def test_segments_see_the_whole_video_once():
    plan = plan_views(Timestamps.regular(45, 30), SSV2.input, SSV2.protocol)
    assert [clip.frames for clip in plan.clips] == [segment_indices(45, 8)]
    assert plan.num_views == 3
    assert plan.notes == ()
    with pytest.raises(UsageError, match="one clip"):
        plan_views(Timestamps.regular(45, 30), SSV2.input, protocol(10))


@pytest.mark.parametrize("item", [SSV2, CHARADES], ids=lambda item: item.name)
def test_another_rate_is_resampled_and_said(item):
    plan = plan_views(Timestamps.regular(60, 12), item.input, item.protocol)
    assert "resampled to 30" in plan.notes[0]
    assert plan.clips[-1].frames[-1] <= 59


@pytest.mark.parametrize("rate", [Fraction(12), Fraction(24000, 1001), Fraction(25), Fraction(60)])
def test_resampling_is_that_of_ffmpegs_filter(rate):
    import av

    count = 50
    graph = av.filter.Graph()
    source = graph.add_buffer(width=16, height=16, format="gray", time_base=1 / rate)
    chain = [source, graph.add("fps", "30"), graph.add("buffersink")]
    graph.link_nodes(*chain).configure()
    shown = []

    def pull():
        while True:
            try:
                shown.append(int(chain[-1].pull().to_ndarray()[0, 0]))
            except (av.error.BlockingIOError, av.error.EOFError):
                return

    for index in range(count):
        frame = av.VideoFrame.from_ndarray(np.full((16, 16), index, np.uint8), format="gray")
        frame.pts, frame.time_base = index, 1 / rate
        source.push(frame)
        pull()
    source.push(None)
    pull()
    ours = resample(Timestamps.regular(count, rate), 30)
    assert list(ours[: len(shown)]) == shown
    # The filter is not told how long the last frame lasts.
    assert 0 <= len(ours) - len(shown) <= math.ceil(30 / rate)


@settings(deadline=None)
@given(st.integers(1, 300), st.fractions(1, 120), st.integers(1, 60))
def test_resampling_keeps_order_and_length(count, rate, fps):
    rate = rate.limit_denominator(1_000_000)
    shown = resample(Timestamps.regular(count, rate), fps)
    assert list(shown) == sorted(shown)
    assert 0 <= shown[0] <= shown[-1] <= count - 1
    assert -0.5 <= len(shown) - count / rate * fps <= 1.5


# -- words -------------------------------------------------------------------------------


def test_views_as_words():
    assert parse_views("10x3") == (10, 3)
    assert parse_views(" 1 X 1 ") == (1, 1)
    for wrong in ("", "10", "0x3", "10x0", "-1x3", "10x3x1", "tenx3", "1.5x3"):
        with pytest.raises(UsageError, match="not understood"):
            parse_views(wrong)


def test_frames_cannot_be_stamped_at_no_rate():
    for rate in (0, -1, math.nan, math.inf):
        with pytest.raises(UsageError):
            Timestamps.regular(10, rate)


def test_every_entry_of_the_zoo_has_a_plan():
    for item in entries():
        plan = plan_views(Timestamps.regular(300, 30), item.input, item.protocol)
        assert plan.num_views == item.protocol.num_views
        for clip in plan.clips:
            assert len(clip.frames) == item.input.num_frames
            assert list(clip.frames) == sorted(clip.frames)
        assert isinstance(item.input.sampling, SegmentSampling) == (item.protocol.num_clips == 1)
        assert plan.notes == () or not isinstance(item.input.sampling, FrameSampling)
