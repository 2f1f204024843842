"""When frames are shown: trimmed files, streams that do not start at zero, files without times."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import pytest

from ptv_hub.datasets.decoding import End, Reading, decode
from ptv_hub.datasets.listing import Item
from ptv_hub.errors import VideoError
from ptv_hub.fetching.hub import entry
from ptv_hub.inference.timestamps import Timestamps
from ptv_hub.inference.video import open_video
from ptv_hub.inference.viewing import ProtocolViews
from ptv_hub.inference.views import LEFT_OUT, plan_as_reference, plan_views
from tests import GOLDEN
from tests.inference.test_video import numbers, picture

LONG = GOLDEN / "videos" / "wide_30fps_10s.mp4"


def drawn(file, *, count=20, rate=25, start=0.0, **options):
    """A video of numbered frames whose first is shown at ``start`` seconds."""
    with av.open(file, "w") as container:
        stream = container.add_stream("libx264", rate=rate, options=options)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for index in range(count):
            frame = av.VideoFrame.from_ndarray(picture(index % 20, 64, 48), format="rgb24")
            frame.time_base = Fraction(1, rate)
            frame.pts = index + round(start * rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return file


def copied(source, target, *, seconds=0.0):
    """The packets of a file as they are, earlier by some seconds: ``ffmpeg -ss S -c copy``."""
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        stream = old.streams.video[0]
        copy = new.add_stream_from_template(stream)
        ticks = round(Fraction(seconds) / stream.time_base)
        for packet in old.demux(stream):
            if packet.size:
                packet.pts, packet.dts = packet.pts - ticks, packet.dts - ticks
                packet.stream = copy
                new.mux(packet)
    return str(target)


@pytest.mark.parametrize("suffix", ["mp4", "mov"])
@pytest.mark.parametrize("options", [{}, {"bf": "0"}, {"g": "6", "bf": "2"}])
@pytest.mark.parametrize("allow_broken", [False, True])
def test_a_trimmed_file_gives_every_frame_that_pyav_gives(tmp_path, options, suffix, allow_broken):
    whole = drawn(str(tmp_path / f"whole.{suffix}"), **options)
    file = copied(whole, tmp_path / f"trimmed.{suffix}", seconds=0.28)
    with av.open(file) as container:
        cut = sum(packet.is_discard for packet in container.demux(video=0))
    assert cut  # the key frame among them
    with open_video(file, allow_broken=allow_broken) as video:
        assert numbers(video) == list(range(7, 20))
        assert video.timestamps.duration == Fraction(13, 25)
        assert video.notes == ()


def test_a_trimmed_file_that_is_damaged_too_counts_what_is_shown(tmp_path):
    whole = drawn(str(tmp_path / "whole.mp4"), g="5", bf="0")
    data = bytearray(Path(copied(whole, tmp_path / "trimmed.mp4", seconds=0.28)).read_bytes())
    with av.open(str(tmp_path / "trimmed.mp4")) as container:
        at = [packet.pos for packet in container.demux(video=0) if packet.size][12]
    data[at : at + 12] = bytes(12)
    with pytest.raises(VideoError, match="damaged"), open_video(bytes(data)) as video:
        list(video.frames(range(len(video.timestamps.pts))))
    with open_video(bytes(data), allow_broken=True) as video:
        kept = len(video.timestamps.pts)
        assert f"damaged: {kept} of 13 frames" in video.notes[0]
        assert len(list(video.frames(range(kept)))) == kept < 13


@pytest.mark.parametrize("start", [0.0, 1.4, 600.0])
@pytest.mark.parametrize("suffix", ["ts", "mp4", "mkv", "flv"])
def test_a_stream_that_does_not_start_at_zero_keeps_its_length(tmp_path, start, suffix):
    file = drawn(str(tmp_path / f"camera.{suffix}"), count=100, start=start)
    item = entry("x3d_xs")
    with open_video(file) as video:
        times = video.timestamps
        assert len(times.pts) == 100
        assert float(times.duration) == pytest.approx(4.0, abs=0.06)
        assert times.seconds[0] == pytest.approx(0, abs=0.05)
        assert video.notes == ()
        plan = plan_views(times, item.input, item.protocol)
    assert plan.notes == ()
    seen = plan.frames
    assert seen[0] == 0
    assert seen[-1] > 88  # the last clip ends a tenth of the room before the end


@pytest.mark.parametrize("start", [1.4, 600.0])
def test_evaluation_keeps_the_references_formula_and_says_what_it_leaves_out(tmp_path, start):
    file = drawn(str(tmp_path / "camera.ts"), count=100, start=start)
    item = entry("x3d_xs")
    with av.open(file) as container:
        stream = container.streams.video[0]
        theirs = (stream.duration - stream.start_time) * stream.time_base
        shown = sorted(frame.pts for frame in container.decode(stream))
        base, zero = stream.time_base, stream.start_time
    length = Fraction(item.input.clip_seconds)
    room = max(theirs - length, 0)
    with open_video(file) as video:
        plan = plan_as_reference(video.timestamps, item.input, item.protocol)
        assert plan.clips != plan_views(video.timestamps, item.input, item.protocol).clips
    for index, clip in enumerate(plan.clips):  # as pytorchvideo's own clip sampler and filter
        assert clip.start == room * index / 10
        inside = [pts for pts in shown if clip.start <= (pts - zero) * base < clip.end]
        assert (shown[clip.frames[0]], shown[clip.frames[-1]]) == (inside[0], inside[-1])
    (note,) = plan.notes
    end = max(theirs, length)
    lost = sum((pts - zero) * base >= end for pts in shown)
    assert note.startswith(f"{LEFT_OUT}: {lost} of 100")
    assert lost > 1
    assert "-" not in note
    views = ProtocolViews(item.input, item.protocol, as_reference=True)
    *_, last = decode(Item("camera", file, (0,)), Reading(views))
    assert isinstance(last, End)
    assert last.notes == (note,)


def test_models_of_extracted_frames_see_the_whole_of_a_late_stream(tmp_path):
    file = drawn(str(tmp_path / "camera.ts"), count=100, start=600)
    item = entry("slow_r50_ssv2")
    with open_video(file) as video:
        plan = plan_as_reference(video.timestamps, item.input, item.protocol)
    assert plan.frames[-1] > 90
    assert not any(note.startswith(LEFT_OUT) for note in plan.notes)


@pytest.mark.parametrize("path", sorted((GOLDEN / "videos").iterdir()), ids=lambda path: path.name)
def test_ordinary_files_have_one_span(path):
    item = entry("x3d_xs")
    with open_video(path) as video:
        assert video.timestamps.reference is None
        ours = plan_views(video.timestamps, item.input, item.protocol)
        assert plan_as_reference(video.timestamps, item.input, item.protocol) == ours


@pytest.mark.parametrize(
    ("start", "stated", "first", "duration", "theirs"),
    [
        (0, 20, 0, 20, None),  # as most files
        (0, None, 0, 19, None),  # Matroska: the last frame's time
        (0, 40, 0, 40, None),  # the last frame is shown for long
        (5, 20, 5, 20, 15),  # begins late
        (500, 20, 500, 20, -480),
        (500, None, 500, 19, None),
        (-3, 20, 0, 20, 23),  # nothing is shown at the beginning
        (1, 20, 1, 19, None),  # one frame alone is left out
    ],
)
def test_spans(start, stated, first, duration, theirs):
    zero = max(start, 0) if start != 1 else 0
    pts = tuple(range(zero, zero + 20))
    times = Timestamps.of_stream(pts, Fraction(1, 10), start=start, stated=stated)
    assert times.start == first
    if theirs is None:
        assert times.reference is None
    else:
        assert times.reference == (start, Fraction(theirs, 10))
    assert times.duration == Fraction(duration, 10)


def test_an_avi_whose_recorder_dropped_frames_is_not_damaged(tmp_path):
    file = drawn(
        str(tmp_path / "dropped.avi"), start=0.4, bf="0"
    )  # ten empty chunks, then twenty frames
    with open_video(file) as video:
        assert numbers(video) == list(range(20))
        assert video.notes == ()


def test_frames_without_times_of_their_own(tmp_path):
    def stamped(name, stamp):
        """Forty intra frames, stamped by their numbers."""
        with av.open(str(tmp_path / name), "w") as container:
            stream = container.add_stream("mjpeg", rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
            packets = []
            for index in range(20):
                frame = av.VideoFrame.from_ndarray(picture(index, 64, 48), format="rgb24")
                packets += stream.encode(frame)
            packets += stream.encode()
            for index, packet in enumerate(packets):
                packet.time_base = Fraction(1, 25)
                packet.pts = packet.dts = stamp(index)
                container.mux(packet)
        return str(tmp_path / name)

    with pytest.raises(VideoError, match="no time stamps of their own") as caught:
        open_video(stamped("zero.mkv", lambda index: 0))
    assert "20 times of 20 frames" in caught.value.expected
    with open_video(stamped("pairs.mkv", lambda index: index // 2 * 2)) as video:
        assert len(video.timestamps.pts) == 10
        assert "10 of 20 frames share another's time" in video.notes[0]
