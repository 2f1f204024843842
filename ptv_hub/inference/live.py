"""A source of live video -> frames as they come, in a thread of their own.

A camera, an address, or a file as if it were one. Waits are bounded; what breaks is opened again.
Playlists are not followed, and an address is shown without its login and query.
"""

from __future__ import annotations

import errno
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import av
import numpy as np
import torch
from av.container import InputContainer
from av.video.reformatter import VideoReformatter

from ptv_hub.errors import PtvHubError, UsageError, VideoError
from ptv_hub.files import expanded
from ptv_hub.inference.frames import Frame, plain
from ptv_hub.inference.ring import Ring
from ptv_hub.inference.streams import choose, file_formats, open_container
from ptv_hub.inference.transforms import crops, prepare
from ptv_hub.zoo.input_spec import InputSpec

_PROTOCOLS = {
    "http": "http,https,httpproxy,tcp,tls",
    "https": "http,https,httpproxy,tcp,tls",
    "rtsp": "rtp,rtsp,srtp,tcp,tls,udp",
    "rtsps": "rtp,rtsp,srtp,tcp,tls,udp",
}
"""Scheme -> what FFmpeg may speak for it."""
_WAIT = (10.0, 10.0)
"""Seconds to connect, and between two packets."""
LONGEST_PAUSE = 30.0
"""Seconds between two tries to connect again, at most."""
_UNTIMED = Fraction(1, 30)
"""Seconds a frame, of a stream without time stamps."""
_BACK, _AHEAD = 1, 10
"""Seconds by which time stamps may go back, or ahead, within one stretch."""


class Clock:
    """Time, so that tests may have their own."""

    def now(self) -> float:
        """Seconds since some time or other."""
        return time.monotonic()

    def wait(self, seconds: float, unless: threading.Event) -> None:
        """Let so many seconds pass, or fewer where the event comes."""
        unless.wait(seconds)


Grabbed = tuple[int, Fraction, Frame]
"""A frame as it comes: its time stamp, the seconds of a tick, RGB of uint8 (H, W, 3)."""


class Origin(Protocol):
    """Where frames come from."""

    shown: str
    """As it may be told to others."""
    live: bool
    """Whether more is to come when it ends or breaks: it is then opened again."""

    def frames(self) -> Iterator[Grabbed]:
        """Open it, and give its frames. Raises VideoError."""
        ...


@dataclass
class Stream:
    """A camera, an address or a file, opened by FFmpeg."""

    address: str
    shown: str
    live: bool
    kind: str = "file"
    """``camera``, ``file`` or a scheme."""

    def frames(self) -> Iterator[Grabbed]:
        came = False
        try:
            with self._open() as container:
                stream, _ = choose(container, self.shown)
                if stream.codec_context is None or stream.time_base is None:
                    raise VideoError("no decoder for the video", where=self.shown)
                if self.kind.startswith("http") and container.duration:
                    self.live = False  # a recording: it ends where it ends
                stream.thread_type = "AUTO" if self.kind == "file" else "SLICE"  # frames wait less
                for grabbed in _decoded(container, self.shown):
                    came = True
                    yield grabbed
        except (av.error.FFmpegError, OSError, ValueError) as error:
            if came and self.kind.startswith("http") and getattr(error, "errno", 0) == errno.EIO:
                return  # FFmpeg's word for a body that ends and had not said how long it is
            raise VideoError(
                "the stream cannot be read", where=self.shown, found=plain(error)
            ) from error

    def _open(self) -> InputContainer:
        if self.kind == "file":
            return open_container(Path(self.address), self.shown)
        if self.kind == "camera":
            return av.open(self.address, "r", format=_camera_format(), timeout=_WAIT)
        formats = "rtsp,rtp,sdp,mpegts" if self.kind.startswith("rtsp") else file_formats()
        options = {"protocol_whitelist": _PROTOCOLS[self.kind], "format_whitelist": formats}
        if self.kind.startswith("rtsp"):
            options["rtsp_transport"] = "tcp"  # no packet is lost, and no port is opened
        container = av.open(self.address, "r", container_options=options, timeout=_WAIT)
        if not container.streams.video:
            container.close()
            raise VideoError("the stream has no video", where=self.shown)
        return container


def _decoded(container: InputContainer, name: str) -> Iterator[Grabbed]:
    stream, _ = choose(container, name)
    convert, number = VideoReformatter(), 0
    for packet in container.demux(stream):
        try:
            decoded = stream.codec_context.decode(packet if packet.size else None)
        except av.error.EOFError:
            return
        except av.error.InvalidDataError:
            continue  # a stream that was joined on its way, or lost a packet
        for frame in decoded:
            pixels = np.asarray(convert.reformat(frame, format="rgb24").to_ndarray(), np.uint8)
            # The stream's unit: the last frames, which come of no packet, have none of their own.
            if frame.pts is None or stream.time_base is None:
                yield number, _UNTIMED, pixels
            else:
                yield frame.pts, stream.time_base, pixels
            number += 1


def _camera_format() -> str:
    known = {"linux": "video4linux2,v4l2", "darwin": "avfoundation"}
    kind = known.get(sys.platform)
    if kind not in av.formats_available:
        raise VideoError(
            "this PyAV reads no cameras here",
            found=f"{sys.platform}, PyAV {av.__version__}",
            fix="serve the camera by another program, over RTSP or HTTP",
        )
    return str(kind)


def origin_of(source: str, *, realtime: bool) -> Stream:
    """What a user calls a source: ``0``, ``/dev/video0``, an address, or a file.

    Raises:
        UsageError: none of them.
        VideoError: there is no such file.
    """
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]+)://", source)
    if scheme:
        kind = scheme[1].lower()
        if kind not in _PROTOCOLS:
            raise UsageError(
                "an address of another kind", expected=", ".join(sorted(_PROTOCOLS)), found=kind
            )
        return Stream(source, _without_login(source), not realtime, kind)
    if source.isdecimal():
        address = f"/dev/video{source}" if sys.platform == "linux" else source
        return Stream(address, address, True, "camera")
    if re.fullmatch(r"/dev/video\d+", source):
        return Stream(source, source, True, "camera")
    path = expanded(source)
    if not path.is_file():
        raise VideoError(
            "there is no such video",
            where=source,
            expected="a camera (0, /dev/video0), rtsp://, http://, or a file",
        )
    return Stream(str(path), source, False)


def _without_login(address: str) -> str:
    """An address without user, password, query and fragment, each of which may hold a secret."""
    parts = urlsplit(address)
    query = "?..." if parts.query else ""
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}{query}"


class Feed(threading.Thread):
    """Frames of a source on their way into a ring, prepared for a model: until it is stopped."""

    def __init__(
        self,
        origin: Origin,
        ring: Ring,
        spec: InputSpec,
        *,
        paced: bool,
        retries: int,
        clock: Clock,
        say: Callable[[str], object],
    ) -> None:
        """
        Args:
            paced: give frames no sooner than their time stamps say.
            retries: how often in a row a live source is opened again in vain.
            say: is told what breaks, from this thread.
        """
        super().__init__(name="ptv_hub decoding", daemon=True)
        self._origin, self._ring, self._spec, self._paced = origin, ring, spec, paced
        self._retries, self._clock, self._say = retries, clock, say
        self._began = clock.now()

    def run(self) -> None:
        try:
            self._ring.end(self._feed())
        except Exception as error:  # it is raised again where the windows are asked for
            self._ring.end(error)

    def _feed(self) -> PtvHubError | None:
        """Give frames until there are no more; why, where something is wrong."""
        tries, ever = 0, False
        while not self._ring.stopped.is_set():
            came, error = self._once()
            if self._ring.stopped.is_set():
                break
            ever = ever or came
            if not self._origin.live or not ever:
                return error
            tries = 0 if came else tries + 1
            why = error.found or error.what if error else "it ended"
            if self._retries == 0 and error is None:
                return None  # it ended, and is not to be opened again
            if tries >= self._retries:
                return VideoError(
                    "the stream is gone",
                    where=self._origin.shown,
                    found=f"{why}, {tries} times in a row" if tries else why,
                )
            pause = min(2.0**tries, LONGEST_PAUSE)
            self._say(f"{self._origin.shown}: {why}; again in {pause:.0f} s")
            self._clock.wait(pause, self._ring.stopped)
        return None

    def _once(self) -> tuple[bool, PtvHubError | None]:
        """Read the source until it ends or breaks: whether frames came, and what broke."""
        last: tuple[int, Fraction] | None = None
        try:
            with closing(self._origin.frames()) as frames:  # type: ignore[type-var]
                for tick, base, pixels in frames:
                    if self._ring.stopped.is_set():
                        break
                    if last is None or _apart(last, tick, base):
                        self._begin(base, tick)
                    elif tick <= last[0]:
                        continue
                    last = (tick, base)
                    self._give(tick, base, pixels)
        except PtvHubError as error:
            return last is not None, error
        return last is not None, None

    def _begin(self, base: Fraction, tick: int) -> None:
        ended = self._ring.end_of_stretch
        passed = Fraction(self._clock.now() - self._began).limit_denominator(1000)
        self._first = tick
        self._start = self._clock.now()
        # A stream goes on by the clock while it is away; a file by itself.
        begin = Fraction(0) if self._ring.is_new else ended
        if self._origin.live and not self._ring.is_new:
            begin = max(ended, passed)
        self._ring.begin(base, tick, begin)

    def _give(self, tick: int, base: Fraction, pixels: Frame) -> None:
        if self._paced:
            due = float((tick - self._first) * base) - (self._clock.now() - self._start)
            if due > 0:
                self._clock.wait(due, self._ring.stopped)
        if self._ring.wants(tick):
            whole = prepare(torch.from_numpy(pixels), self._spec)[:, None]  # (3, 1, h, w)
            self._ring.add(tick, crops(whole, self._spec, 1)[0].contiguous())


def _apart(last: tuple[int, Fraction], tick: int, base: Fraction) -> bool:
    """Whether a frame's time says that it does not follow the last one."""
    ahead = (tick - last[0]) * base
    return base != last[1] or not -_BACK < ahead < _AHEAD
