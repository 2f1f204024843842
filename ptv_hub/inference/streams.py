"""A file -> its container, opened to nothing but itself, and the one stream that is the video."""

from __future__ import annotations

import io
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from ptv_hub.errors import VideoError

# Formats whose files name others, which would be read in their stead, and streams of a network.
_ELSEWHERE = frozenset(
    {"applehttp", "concat", "dash", "hls", "image2", "image2pipe", "imf", "lavfi", "rtp", "rtsp"}
    | {"sap", "sdp", "vapoursynth", "vobsub", "avisynth", "webm_dash_manifest"}
)
_LISTS = (b"ffconcat", b"#EXTM3U", b"<?xml", b"<MPD", b"# VobSub", b"v=0")
"""How the files of such formats begin."""
_STILLS = frozenset({"bmp", "gif", "jpegls", "mjpeg", "png", "tiff", "webp"})
_COVER = Disposition.attached_pic | Disposition.timed_thumbnails


@cache
def file_formats() -> str:
    """The formats that are read, as FFmpeg takes their list; it is held to before a file is."""
    names = {name for names in av.formats_available for name in names.split(",")}
    return ",".join(sorted(names - _ELSEWHERE))


def open_container(
    file: Path | bytes, name: str, more: Mapping[str, str] | None = None
) -> InputContainer:
    """The container of a file, on disk or in memory; no other file is opened for it.

    ``more`` are further options of its demuxer.

    Raises:
        VideoError: a playlist, or no video in it.
        av.error.FFmpegError, OSError: it cannot be read.
    """
    source = io.BytesIO(file) if isinstance(file, bytes) else str(file.resolve())
    options = {**(more or {}), "protocol_whitelist": "file", "format_whitelist": file_formats()}
    try:
        # Not ``options``, which are each stream's, too: PyAV before 18 then crashes on streams
        # that are only found while reading, as those of FLV are.
        container = av.open(source, "r", container_options=options)
    except av.error.FFmpegError:
        if _head(file).startswith(_LISTS):
            raise VideoError(
                "a list of other files is not a video",
                where=name,
                expected="a file that holds the video itself",
                found="a playlist (concat, HLS, DASH, ...); the files it names were not opened",
                fix="name those files, or join them before: ffmpeg -i LIST -c copy OUT.mkv",
            ) from None
        raise
    if not container.streams.video:
        container.close()
        raise VideoError("the file has no video", where=name)
    return container


def _head(file: Path | bytes) -> bytes:
    if isinstance(file, bytes):
        return file[:64].lstrip(b"\xef\xbb\xbf \r\n\t")
    with file.open("rb") as opened:
        return opened.read(64).lstrip(b"\xef\xbb\xbf \r\n\t")


def choose(container: InputContainer, name: str) -> tuple[VideoStream, tuple[str, ...]]:
    """The stream that is the video: the first, but a moving one before a still picture.

    With it come notes, in words, where another stands before it or is left out.

    Raises:
        VideoError: nothing but cover images.
    """
    streams = container.streams.video
    real = [stream for stream in streams if not stream.disposition & _COVER]
    if not real:
        raise VideoError(
            "the file has no video", where=name, found=f"a cover image ({_told(streams[0])})"
        )
    chosen = next((stream for stream in real if not _still(stream)), real[0])
    notes = []
    if chosen is not streams[0]:
        kind = "a single picture" if streams[0] in real else "a cover image"
        notes.append(
            f"stream {chosen.index} ({_told(chosen)}) is read, since stream {streams[0].index} "
            f"({_told(streams[0])}) is {kind}"
        )
    others = [stream for stream in real if stream is not chosen and not _still(stream)]
    if others:
        left = ", ".join(f"stream {stream.index} ({_told(stream)})" for stream in others)
        notes.append(
            f"the file holds {len(others) + 1} videos: the first, stream {chosen.index} "
            f"({_told(chosen)}), is read; left out: {left}"
        )
    return chosen, tuple(notes)


def _still(stream: VideoStream) -> bool:
    """Whether a stream is one picture; of some containers only the codec tells."""
    codec = None if stream.codec_context is None else stream.codec_context.name
    return stream.frames == 1 or (codec in _STILLS and stream.frames == 0)


def _told(stream: VideoStream) -> str:
    context = stream.codec_context
    return (
        "no decoder" if context is None else f"{context.name}, {context.width} x {context.height}"
    )
