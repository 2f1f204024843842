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
from collections import deque
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
from ptv_hub.inference.frames import Frame, Shown, Video, plain
from ptv_hub.inference.streams import choose, open_container
from ptv_hub.inference.timestamps import Timestamps

# Their packets need not be frames that are shown, so packets do not tell the time stamps.
_HIDDEN_FRAMES = frozenset({"vp8", "libvpx", "vp6f", "vp6a"})
_REORDERED = 16  # frames that may be shown before one that they build on: the most in H.264
_SHORT = 1.0  # seconds between a container's end and its last frame that are worth a word
CORRUPT = "damaged pixels, by the decoder's word"
"""How the note on frames that the decoder marks as corrupt ends."""
Decoded = Generator[tuple[int | None, av.VideoFrame], None, None]
_WAIT = (10.0, 60.0)  # seconds: to connect, and between two bytes


class EncodedVideo(Video):
    """A video file, on disk or in memory."""

    file: Path | bytes
    stream: int
    """Of the container, which is read."""

    def __init__(self, name: str, file: Path | bytes, allow_broken: bool) -> None:
        self.name = name
        self.file = file
        self._allow_broken = allow_broken
        self._damage: list[str] = []
        self._corrupt: set[int | None] = set()
        self._one_thread = False
        with self._guard():
            self._scan()

    def _scan(self) -> None:
        """Read the time stamps: from the packets where they tell them, else by decoding all."""
        with open_container(self.file, self.name) as container:
            stream, chosen = choose(container, self.name)
            if stream.codec_context is None:
                raise VideoError("no decoder for the video", where=self.name)
            codec, self.stream = stream.codec_context.name, stream.index
            start = stream.start_time or 0
            base, stated, count = stream.time_base, stream.duration, stream.frames
            aspect, colours = stream.sample_aspect_ratio, _colours(stream.codec_context)
            packets = [
                (p.pts, p.is_keyframe, p.is_discard) for p in self._packets(container, stream)
            ]
            whole = _whole(container, start * (base or 0))
        if not packets:
            raise VideoError("the video has no frame", where=self.name)
        shown = [pts for pts, _, _ in packets]
        first = self._first()
        if self._allow_broken or codec in _HIDDEN_FRAMES or not _trusted(packets):
            shown = self._shown()
        if first is None or not shown:
            raise VideoError("no frame of the video can be decoded", where=self.name)
        if base is None or None in shown:
            raise VideoError(
                "the frames have no time stamps",
                where=self.name,
                fix="put the stream into a container: ffmpeg -i IN -c copy OUT.mp4",
            )
        ticks = tuple(sorted({pts for pts in shown if pts is not None}))
        notes = [*chosen, *self._shared(len(shown), len(ticks))]
        missing = max(count - self._packed(), 0) if len(packets) < count else 0
        if missing and not self._allow_broken:
            raise self._broken(f"{count - missing} of {count} frames")
        damaged = bool(self._damage or missing)
        if damaged:
            total = sum(not discard for _, _, discard in packets) + missing
            notes += [f"damaged: {len(ticks)} of {total} frames could be decoded", *self._damage]
        elif stated is None and whole is not None and whole - (ticks[-1] - start) * base > _SHORT:
            last = float((ticks[-1] - start) * base)
            notes.append(f"the container states {whole:.1f} s, the last frame is at {last:.1f} s")
        if getattr(first, "rotation", 0):
            notes.append(f"rotation metadata ({first.rotation} degrees) is not applied")
        self._said = self.notes = tuple(dict.fromkeys(notes))
        turned = int(getattr(first, "rotation", 0))
        self.shown = Shown(turned, aspect or Fraction(1), colours)
        self.timestamps = Timestamps.of_stream(
            ticks, base, start=start, stated=stated, damaged=damaged
        )

    def _packed(self) -> int:
        """The packets of the stream, with what an edit list cuts away, and empty ones of an AVI."""
        options = {"ignore_editlist": "1"}
        with open_container(self.file, self.name, options) as container:
            stream, _ = choose(container, self.name)
            avi = container.format.name == "avi"
            try:
                times = [p.dts for p in container.demux(stream) if p.size and p.dts is not None]
            except av.error.FFmpegError:
                return 0
        # A recorder that dropped frames wrote chunks of nothing, which are not given: a tick each,
        # and so it is behind each frame where a tick is half of one, as of copied H.264.
        gaps = sorted(b - a for a, b in itertools.pairwise(times)) or [1]
        return max(times, default=-1) + max(gaps[len(gaps) // 2], 1) if avi else len(times)

    def _first(self) -> av.VideoFrame | None:
        """The first frame that can be decoded."""
        decoded = self._decoded(one_thread=False)
        _, first = next(decoded, (None, None))
        decoded.close()
        return first

    def _shown(self) -> list[int | None]:
        """The time stamp of every frame that the decoder gives."""
        shown, corrupt = [], False
        for pts, frame in self._decoded(one_thread=False):
            shown.append(pts)
            corrupt = corrupt or frame.is_corrupt
        if corrupt or self._damage:
            # Which frames come of a damaged file may change with the number of threads.
            self._one_thread, self._damage = True, []
            shown = [pts for pts, _ in self._decoded(one_thread=True)]
        return shown

    def _shared(self, frames: int, times: int) -> list[str]:
        """What there is to say of frames that share a time stamp: the first alone is read."""
        if 2 * times < frames:
            raise VideoError(
                "the frames have no time stamps of their own",
                where=self.name,
                expected=f"{frames} times of {frames} frames",
                found=f"{times}",
                fix="stamp them anew: ffmpeg -i IN -vf setpts=N/25/TB OUT.mp4, with its own rate",
            )
        if times < frames:
            return [f"{frames - times} of {frames} frames share another's time and are left out"]
        return []

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
            for pts, frame in self._steady() if missing else ():
                place = missing.pop(pts, None)
                if place is not None:
                    yield place, frame
                if not missing:
                    return
        if missing:
            at = min(missing.values())
            raise self._broken(f"no frame at {self.timestamps.seconds[at]:.3f} s")

    def _packets(
        self, container: InputContainer, stream: VideoStream
    ) -> Iterator[av.Packet[VideoStream]]:
        try:
            for packet in container.demux(stream):
                if packet.size:
                    yield packet
        except av.error.FFmpegError as error:
            self._note_damage(error)

    def _decoded(self, *, one_thread: bool) -> Decoded:
        """All frames with their time stamps, in the decoder's order; not yet converted.

        Frames that an edit list cuts away go through the decoder, since others build on them,
        which then keeps them back.
        """
        with open_container(self.file, self.name) as container:
            stream, _ = choose(container, self.name)
            stream.thread_type = "AUTO"
            if one_thread:
                stream.codec_context.thread_count = 1
            for packet in itertools.chain(self._packets(container, stream), [None]):
                try:
                    for frame in stream.codec_context.decode(packet):
                        yield frame.pts, frame
                except av.error.EOFError:
                    return
                except av.error.FFmpegError as error:
                    self._note_damage(error)

    def _steady(self) -> Decoded:
        """The same frames each time: from the first damage on as one thread decodes them.

        Threads that decode beside each other fill damaged places with whatever is there at the
        time. A frame may build on one that is shown after it, and so some are held back
        until those behind them are known to be sound.
        """
        given: set[int | None] = set()
        if not self._one_thread:
            held: deque[tuple[int | None, av.VideoFrame]] = deque()
            ended: VideoError | None = None
            try:
                for pts, frame in self._decoded(one_thread=False):
                    if frame.is_corrupt:
                        self._one_thread = True
                        break
                    held.append((pts, frame))
                    if len(held) > _REORDERED:
                        given.add(held[0][0])
                        yield held.popleft()
            except VideoError as error:
                ended = error
            if not self._one_thread:
                yield from held
                if ended is not None:
                    raise ended
                return
            held.clear()
        for pts, frame in self._decoded(one_thread=True):
            if frame.is_corrupt and pts not in self._corrupt:
                self._corrupt.add(pts)
                count = len(self._corrupt)
                self.notes = (*self._said, f"{count} {_frames(count)} {CORRUPT}")
            if pts not in given:
                yield pts, frame

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


def _whole(container: InputContainer, begin: Fraction | int) -> float | None:
    """Seconds from a stream's ``begin`` to the end that its container states, if it does.

    Matroska and WebM state when the end is, as FFmpeg writes them, and others how long it takes.
    """
    if container.duration is None:
        return None
    from_zero = "matroska" in container.format.name
    return container.duration / av.time_base - (float(begin) if from_zero else 0.0)


def _colours(codec: VideoCodecContext) -> tuple[int, int, int]:
    """As ``Shown.colours``: of the stream, since frames of PyAV 15 do not have all of them."""
    return int(codec.colorspace), int(codec.color_primaries), int(codec.color_trc)


def _jpeg_encoder(width: int, height: int) -> VideoCodecContext:
    codec = VideoCodecContext.create("mjpeg", "w")
    codec.width, codec.height, codec.pix_fmt = width, height, "yuvj420p"
    codec.time_base, codec.thread_count = Fraction(1, 30), 1
    codec.options = {"flags": "+qscale", "global_quality": "118"}  # FF_QP2LAMBDA x 1
    return codec


def _frames(count: int) -> str:
    return "frame has" if count == 1 else "frames have"


def _trusted(packets: Sequence[tuple[int | None, bool, bool]]) -> bool:
    """Whether every packet is a frame that the decoder will show at the packet's time.

    Not where time stamps are missing or double, or some are marked to be discarded (a file that
    was trimmed by an edit list), nor where frames come before the first key frame, as in a
    stream that was cut without being encoded anew: decoders drop those.
    """
    times = [pts for pts, _, discard in packets if pts is not None and not discard]
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
