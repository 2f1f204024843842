"""A video file, in a container, read by PyAV: the only room that decodes video.

Time stamps come from the packets, so that what is needed is known before anything is decoded;
a file is then decoded once, and only the frames asked for are converted to RGB, by PyAV's
``to_rgb()`` as in the reference. Rotation metadata is not applied: neither does the reference.
"""

from __future__ import annotations

import io
import itertools
import os
import tempfile
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.codeccontext import VideoCodecContext
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from ptv_hub.errors import VideoError
from ptv_hub.inference.frames import Frame, Video, plain
from ptv_hub.inference.views import Timestamps

# Their packets need not be frames that are shown, so packets do not tell the time stamps.
_HIDDEN_FRAMES = frozenset({"vp8", "libvpx", "vp6f", "vp6a"})
_SHORT = 1.0  # seconds between a container's end and its last frame that are worth a word
_WAIT = (10.0, 60.0)  # seconds: to connect, and between two bytes


class EncodedVideo(Video):
    """A video file, on disk or in memory."""

    def __init__(self, name: str, file: Path | bytes, allow_broken: bool) -> None:
        self.name = name
        self._file = file
        self._allow_broken = allow_broken
        self._damage: list[str] = []
        with self._guard():
            self._scan()

    def _scan(self) -> None:
        """Read the time stamps: from the packets where they tell them, else by decoding all."""
        with self._open() as container:
            stream = container.streams.video[0]
            if stream.codec_context is None:
                raise VideoError("no decoder for the video", where=self.name)
            codec = stream.codec_context.name
            start = stream.start_time or 0
            base, stated, count = stream.time_base, stream.duration, stream.frames
            packets = [(p.pts, p.is_keyframe) for p in self._packets(container, stream)]
            whole = None if container.duration is None else container.duration / av.time_base
        if not packets:
            raise VideoError("the video has no frame", where=self.name)
        shown = [pts for pts, _ in packets]
        decoded = self._decoded()
        _, first = next(decoded, (None, None))
        if self._allow_broken or codec in _HIDDEN_FRAMES or not _trusted(packets):
            shown = [] if first is None else [first.pts, *(pts for pts, _ in decoded)]
        decoded.close()
        if first is None or not shown:
            raise VideoError("no frame of the video can be decoded", where=self.name)
        if base is None or None in shown:
            raise VideoError(
                "the frames have no time stamps",
                where=self.name,
                fix="put the stream into a container: ffmpeg -i IN -c copy OUT.mp4",
            )
        ticks = tuple(sorted({pts for pts in shown if pts is not None}))
        end, notes = ticks[-1] if stated is None else stated, []
        if len(packets) < count and not self._allow_broken:
            raise self._broken(f"{len(packets)} of {count} frames")
        if self._damage or len(packets) < count:
            # What the container states is no longer so: the end is that of the last frame kept.
            gaps = sorted(b - a for a, b in itertools.pairwise(ticks))
            end = ticks[-1] + (gaps[len(gaps) // 2] if gaps else 0)
            total = max(count, len(packets))
            notes = [f"damaged: {len(ticks)} of {total} frames could be decoded", *self._damage]
        elif stated is None and whole is not None and whole - (end - start) * base > _SHORT:
            last = float((end - start) * base)
            notes = [f"the container states {whole:.1f} s, the last frame is at {last:.1f} s"]
        if getattr(first, "rotation", 0):
            notes.append(f"rotation metadata ({first.rotation} degrees) is not applied")
        self.notes = tuple(dict.fromkeys(notes))
        self.timestamps = Timestamps(ticks, base, start, int(end - start) * base)

    def frames(self, wanted: Iterable[int]) -> Iterator[tuple[int, Frame]]:
        # As to_rgb(), which sets up the conversion anew for every frame.
        convert = VideoReformatter()
        with self._guard():
            for place, frame in self._native(wanted):
                pixels = convert.reformat(frame, format="rgb24").to_ndarray()
                yield place, np.asarray(pixels, np.uint8)

    def jpegs(self, wanted: Iterable[int]) -> Iterator[tuple[int, bytes]]:
        """(place, JPEG) of each frame wanted, as ``ffmpeg -q:v 1`` encodes it."""
        codec: VideoCodecContext | None = None
        with self._guard():
            for place, frame in self._native(wanted):
                if codec is None or (codec.width, codec.height) != (frame.width, frame.height):
                    codec = _jpeg_encoder(frame.width, frame.height)
                # Straight from the decoder's YUV, without the detour over RGB.
                full_range = frame.reformat(format="yuvj420p", dst_color_range="JPEG")
                full_range.pts, full_range.time_base = place, codec.time_base
                yield place, b"".join(bytes(packet) for packet in codec.encode(full_range))

    def _native(self, wanted: Iterable[int]) -> Iterator[tuple[int, av.VideoFrame]]:
        """(place, frame in the decoder's own format) of each frame wanted."""
        missing: dict[int | None, int] = {self.timestamps.pts[place]: place for place in wanted}
        with self._guard():
            for pts, frame in self._decoded() if missing else ():
                place = missing.pop(pts, None)
                if place is not None:
                    yield place, frame
                if not missing:
                    return
        if missing:
            at = min(missing.values())
            raise self._broken(f"no frame at {self.timestamps.seconds[at]:.3f} s")

    def _open(self) -> InputContainer:
        file = (
            io.BytesIO(self._file) if isinstance(self._file, bytes) else str(self._file.resolve())
        )
        # Nothing but the file itself: a playlist must not make the decoder read elsewhere.
        container = av.open(file, "r", options={"protocol_whitelist": "file"})
        if not container.streams.video:
            container.close()
            raise VideoError("the file has no video", where=self.name)
        return container

    def _packets(
        self, container: InputContainer, stream: VideoStream
    ) -> Iterator[av.Packet[VideoStream]]:
        try:
            for packet in container.demux(stream):
                if packet.size and not packet.is_discard:
                    yield packet
        except av.error.FFmpegError as error:
            self._note_damage(error)

    def _decoded(self) -> Generator[tuple[int | None, av.VideoFrame], None, None]:
        """All frames with their time stamps, in the decoder's order; not yet converted."""
        with self._open() as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            for packet in itertools.chain(self._packets(container, stream), [None]):
                try:
                    for frame in stream.codec_context.decode(packet):
                        yield frame.pts, frame
                except av.error.EOFError:
                    return
                except av.error.FFmpegError as error:
                    self._note_damage(error)

    def _note_damage(self, error: Exception) -> None:
        if not self._allow_broken:
            raise self._broken(plain(error)) from error
        self._damage.append(plain(error))

    def _broken(self, found: str) -> VideoError:
        return VideoError(
            "the video is damaged",
            where=self.name,
            found=found,
            fix="repair it, or allow broken videos to keep what can be decoded",
        )

    @contextmanager
    def _guard(self) -> Iterator[None]:
        """What PyAV throws becomes a VideoError."""
        try:
            yield
        except (av.error.FFmpegError, OSError, ValueError, MemoryError) as error:
            raise VideoError(
                "the file cannot be read as a video", where=self.name, found=plain(error)
            ) from error


def _jpeg_encoder(width: int, height: int) -> VideoCodecContext:
    codec = VideoCodecContext.create("mjpeg", "w")
    codec.width, codec.height, codec.pix_fmt = width, height, "yuvj420p"
    codec.time_base, codec.thread_count = Fraction(1, 30), 1
    codec.options = {"flags": "+qscale", "global_quality": "118"}  # FF_QP2LAMBDA x 1
    return codec


def _trusted(packets: Sequence[tuple[int | None, bool]]) -> bool:
    """Whether every packet is a frame that the decoder will show at the packet's time.

    Not where time stamps are missing or double, nor where frames come before the first key
    frame, as in a stream that was cut without being encoded anew: decoders drop those.
    """
    times = [pts for pts, _ in packets if pts is not None]
    return (
        len(times) == len(packets) == len(set(times))
        and packets[0][1]
        and min(times) == packets[0][0]
    )


class DownloadedVideo(EncodedVideo):
    """A video file behind http or https: brought here first, since it is read more than once."""

    def __init__(self, url: str, allow_broken: bool) -> None:
        handle, name = tempfile.mkstemp(prefix="ptv_hub-", suffix=".video")
        self._copy = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                _download(url, file)
            super().__init__(url, self._copy, allow_broken)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._copy.unlink(missing_ok=True)


def _download(url: str, file: io.BufferedWriter) -> None:
    import requests

    try:
        with requests.get(url, stream=True, timeout=_WAIT) as answer:
            answer.raise_for_status()
            for chunk in answer.iter_content(1 << 20):
                file.write(chunk)
    except requests.RequestException as error:
        raise VideoError("the video cannot be downloaded", where=url, found=error) from error
