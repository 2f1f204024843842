"""Which stream is the video, and that a file opens nothing but itself."""

from __future__ import annotations

import io
import shutil

import av
import numpy as np
import pytest
from av.stream import Disposition

from ptv_hub.errors import VideoError
from ptv_hub.inference.video import open_video
from tests.inference.test_video import VIDEOS, draw, numbers, picture


def still(container, codec="png", disposition=None):
    """A stream of one picture; with it the function that writes it."""
    stream = container.add_stream(codec, rate=1)
    stream.width, stream.height = 40, 30
    stream.pix_fmt = {"png": "rgb24", "mjpeg": "yuvj420p"}[codec]
    if disposition is not None:
        stream.disposition = disposition.value

    def write():
        frame = av.VideoFrame.from_ndarray(np.full((30, 40, 3), 200, np.uint8), format="rgb24")
        container.mux(stream.encode(frame))
        container.mux(stream.encode())

    return write


def moving(container, codec="libx264", size=(64, 48)):
    """A stream of twenty numbered frames."""
    stream = container.add_stream(codec, rate=25)
    stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"

    def write():
        for index in range(20):
            frame = av.VideoFrame.from_ndarray(picture(index, *size), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())

    return write


@pytest.mark.parametrize("disposition", [None, Disposition.attached_pic])
@pytest.mark.parametrize(
    ("suffix", "codec"), [("mkv", "mjpeg"), ("mov", "png"), ("mov", "mjpeg"), ("nut", "png")]
)
def test_a_cover_before_the_video_is_passed_over_with_a_word(tmp_path, codec, disposition, suffix):
    file = str(tmp_path / f"cover.{suffix}")
    with av.open(file, "w") as container:
        writers = [still(container, codec, disposition), moving(container)]
        for write in writers:
            write()
    with av.open(file) as container:
        first = container.streams.video[0].codec_context.name
    with open_video(file) as video:
        assert numbers(video) == list(range(20))
        told = "stream 1 (h264, 64 x 48) is read, since stream 0"
        assert (told in " ".join(video.notes)) == (first != "h264")
    assert first == codec or disposition is not None  # some muxers put covers last


def test_a_song_with_a_cover_is_no_video(tmp_path):
    file = str(tmp_path / "song.m4a")
    with av.open(file, "w", format="mp4") as container:
        sound = container.add_stream("aac", rate=16000)
        write = still(container, "png", Disposition.attached_pic)
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), "fltp", "mono")
        silence.rate = 16000
        container.mux(sound.encode(silence))
        container.mux(sound.encode())
        write()
    with pytest.raises(VideoError, match="no video") as caught:
        open_video(file)
    assert "a cover image (png, 40 x 30)" in caught.value.found


def test_a_single_picture_is_a_video_where_there_is_no_other(tmp_path):
    file = str(tmp_path / "one.mkv")
    with av.open(file, "w") as container:
        still(container, "mjpeg")()
    with open_video(file) as video:
        assert len(list(video.frames([0]))) == 1
        assert video.notes == ()


def test_a_second_video_is_said(tmp_path):
    file = str(tmp_path / "two.mkv")
    with av.open(file, "w") as container:
        writers = [moving(container), moving(container, "mpeg4", (32, 24))]
        for write in writers:
            write()
    with open_video(file) as video:
        assert next(video.frames([0]))[1].shape == (48, 64, 3)
        (note,) = video.notes
    assert "stream 0 (h264, 64 x 48), is read; left out: stream 1 (mpeg4, 32 x 24)" in note


LISTS = {
    "concat": "ffconcat version 1.0\nfile whole.mp4\n",
    "concat with a BOM": "\ufeffffconcat version 1.0\nfile whole.mp4\n",
    "HLS": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nwhole.ts\n#EXT-X-ENDLIST\n",
    "DASH": '<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" profiles="a">'
    '<Period><AdaptationSet><Representation id="1"><BaseURL>whole.mp4</BaseURL>'
    "</Representation></AdaptationSet></Period></MPD>",
}


@pytest.mark.parametrize("suffix", [".mp4", ".ffconcat", ".m3u8", ".mpd", ".txt"])
@pytest.mark.parametrize("kind", list(LISTS))
@pytest.mark.parametrize("in_memory", [False, True])
def test_a_list_of_other_files_is_refused(tmp_path, monkeypatch, kind, suffix, in_memory):
    shutil.copy(VIDEOS[1], tmp_path / "whole.mp4")
    draw(str(tmp_path / "whole.ts"))
    file = tmp_path / f"list{suffix}"
    file.write_text(LISTS[kind], encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(VideoError, match="a list of other files") as caught:
        open_video(file.read_bytes() if in_memory else file)
    assert "were not opened" in caught.value.found


@pytest.mark.parametrize(
    ("kind", "codec"),
    [
        *(("nut", "mpeg4"), ("asf", "mpeg4"), ("ivf", "libvpx-vp9"), ("mpegts", "mpeg2video")),
        *(("flv", "flv"), ("avi", "mpeg4"), ("matroska", "ffv1"), ("mpeg", "mpeg2video")),
    ],
)
def test_formats_that_name_no_other_file_are_read(kind, codec):
    data = io.BytesIO()
    draw(data, codec, format=kind)
    with open_video(data.getvalue()) as video:
        assert numbers(video) == list(range(20))
