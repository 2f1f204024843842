"""A video, from wherever it comes -> time stamps, and the uint8 frames that are asked for.

The only room that decodes: PyAV for files, Pillow for folders of JPEGs and PNGs (the data
sets' owners decoded theirs with libjpeg-turbo, as Pillow does; PyAV's JPEG decoder gives
other pixels). Time stamps come from the packets, so that what is needed is known before
anything is decoded; a file is then decoded once, and only the frames asked for are converted
to RGB, by PyAV's ``to_rgb()`` as in the reference. Rotation metadata is not applied: neither
does the reference.
"""

from __future__ import annotations

import glob
import io
import itertools
import os
import re
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, Union

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from ptv_hub.errors import UsageError, VideoError, WrongInput
from ptv_hub.inference.views import Timestamps

Frame = NDArray[np.uint8]
Source = Union[str, "os.PathLike[str]", bytes, Sequence["str | os.PathLike[str]"], Any]
"""Path, URL, bytes of a file, folder or list of images, or an array (T, H, W, 3) of uint8."""

FRAME_RATE = 30
"""Frames per second of a folder or an array of which nothing else is said: as SSv2's and
Charades' owners extracted theirs."""

IMAGES = frozenset({".jpg", ".jpeg", ".png"})
VIDEOS = frozenset(
    {".3gp", ".asf", ".avi", ".flv", ".gif", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg"}
    | {".mpg", ".mts", ".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv"}
)

# Their packets need not be frames that are shown, so packets do not tell the time stamps.
_HIDDEN_FRAMES = frozenset({"vp8", "libvpx", "vp6f", "vp6a"})
_SHORT = 1.0  # seconds between a container's end and its last frame that are worth a word
_URL = re.compile(r"https?://", re.IGNORECASE)
_WAIT = (10.0, 60.0)  # seconds: to connect, and between two bytes


class Video(ABC):
    """One video, opened: when its frames are shown, and a way to their pixels.

    A context manager: on leaving it, what was downloaded is deleted.
    """

    name: str
    """Path, URL, or a description of what is in memory."""
    timestamps: Timestamps
    notes: tuple[str, ...] = ()
    """What a user should know of how it was read, in words."""

    @abstractmethod
    def frames(self, wanted: Iterable[int]) -> Iterator[tuple[int, Frame]]:
        """(place in ``timestamps.pts``, RGB frame of uint8, shape (H, W, 3)) of each frame wanted.

        Each comes once, mostly in order of presentation; decoding ends with the last.

        Raises:
            VideoError: a frame that cannot be decoded.
        """

    def jpegs(self, wanted: Iterable[int]) -> Iterator[tuple[int, bytes]]:
        """(place, JPEG) of each frame wanted; only of a video file.

        Raises:
            VideoError: a frame that cannot be decoded.
            UsageError: frames that are images already.
        """
        raise UsageError("only the frames of a video file are extracted", where=self.name)

    def close(self) -> None:  # noqa: B027 - most videos hold nothing
        """Delete what was downloaded."""

    def __enter__(self) -> Video:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_video(source: Source, *, fps: float | None = None, allow_broken: bool = False) -> Video:
    """Open a video file, a URL of one, bytes, a folder or list of images, or an array.

    Args:
        source: see ``Source``; images of a folder are taken in the natural order of their names.
        fps: frames per second of a folder, list or array; 30 if not given. A file has its own.
        allow_broken: keep what can be decoded of a damaged file, and say so in ``notes``. The
            whole file is then decoded twice.

    Raises:
        VideoError: nothing there, not a video, or (unless allowed) a damaged one. Damage that
            shows in the pixels alone is found by ``frames``.
        WrongInput: an array of another shape or type.
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        _no_rate(fps, "bytes of a file")
        data = bytes(source)
        return _EncodedVideo(f"{len(data)} bytes", data, allow_broken)
    if isinstance(source, (list, tuple)):
        return _ImageVideo(f"{len(source)} images", [Path(path) for path in source], fps)
    if not isinstance(source, (str, os.PathLike)):
        return _ArrayVideo(source, fps)
    name = os.fspath(source)
    if _URL.match(name):
        _no_rate(fps, name)
        return _DownloadedVideo(name, allow_broken)
    path = Path(name).expanduser()
    if path.is_dir():
        images = _images(path)
        if not images:
            raise VideoError(
                "no frames in the folder", where=path, expected=f"files {', '.join(sorted(IMAGES))}"
            )
        return _ImageVideo(name, images, fps)
    if not path.exists():
        raise VideoError("there is no such video", where=name)
    _no_rate(fps, name)
    return _EncodedVideo(name, path, allow_broken)


def find_videos(sources: Iterable[str]) -> list[str | list[str]]:
    """What each word of a command line stands for, as sources of ``open_video``.

    A folder of images is one video, another folder the videos (and folders of images) in it; a
    glob that matches images alone is one video of these frames, another one a video a match.

    Raises:
        VideoError: nothing matches.
    """
    found: list[str | list[str]] = []
    for source in sources:
        path = Path(source).expanduser()
        if _URL.match(source) or path.is_file():
            found.append(source)
        elif path.is_dir():
            found += _in_folder(source, path)
        elif glob.has_magic(source):
            matches = sorted(glob.glob(str(path), recursive=True), key=_natural)
            if not matches:
                raise VideoError("nothing matches", where=source)
            images = [match for match in matches if Path(match).suffix.lower() in IMAGES]
            found += [matches] if images == matches else matches
        else:
            raise VideoError("there is no such video", where=source)
    return found


def _in_folder(name: str, path: Path) -> list[str]:
    if _images(path):
        return [name]
    inside = [
        str(item)
        for item in sorted(path.iterdir(), key=_natural)
        if (_images(item) if item.is_dir() else item.suffix.lower() in VIDEOS)
    ]
    if not inside:
        raise VideoError(
            "no videos in the folder", where=name, expected="video files, or folders of frames"
        )
    return inside


def _images(folder: Path) -> list[Path]:
    return sorted(
        (item for item in folder.iterdir() if item.suffix.lower() in IMAGES and item.is_file()),
        key=_natural,
    )


def _natural(path: str | Path) -> list[tuple[int, str]]:
    """Key of an order in which 2 comes before 10; equal numbers by their spelling."""
    parts = re.split(r"(\d+)", Path(path).name)
    return [(int(part), part) if part.isdecimal() else (-1, part) for part in parts]


def _no_rate(fps: float | None, name: str) -> None:
    if fps is not None:
        raise UsageError(
            "a video file has its own time stamps",
            where=name,
            found=f"fps={fps}",
            fix="leave fps out; it is for folders of frames and arrays",
        )


class _EncodedVideo(Video):
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
        convert: Any = VideoReformatter()
        with self._guard():
            for place, frame in self._native(wanted):
                yield place, convert.reformat(frame, format="rgb24").to_ndarray()

    def jpegs(self, wanted: Iterable[int]) -> Iterator[tuple[int, bytes]]:
        """(place, JPEG) of each frame wanted, as ``ffmpeg -q:v 1`` encodes it."""
        codec: Any = None
        with self._guard():
            for place, frame in self._native(wanted):
                if codec is None or (codec.width, codec.height) != (frame.width, frame.height):
                    codec = _jpeg_encoder(frame.width, frame.height)
                # Straight from the decoder's YUV, without the detour over RGB.
                full_range = frame.reformat(format="yuvj420p", dst_color_range="JPEG")
                full_range.pts, full_range.time_base = place, codec.time_base
                yield place, b"".join(bytes(packet) for packet in codec.encode(full_range))

    def _native(self, wanted: Iterable[int]) -> Iterator[tuple[int, Any]]:
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

    def _open(self) -> Any:
        file = (
            io.BytesIO(self._file) if isinstance(self._file, bytes) else str(self._file.resolve())
        )
        # Nothing but the file itself: a playlist must not make the decoder read elsewhere.
        container = av.open(file, options={"protocol_whitelist": "file"})
        if not container.streams.video:
            container.close()
            raise VideoError("the file has no video", where=self.name)
        return container

    def _packets(self, container: Any, stream: Any) -> Iterator[Any]:
        try:
            for packet in container.demux(stream):
                if packet.size and not packet.is_discard:
                    yield packet
        except av.error.FFmpegError as error:
            self._note_damage(error)

    def _decoded(self) -> Generator[tuple[int | None, Any], None, None]:
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
            raise self._broken(_plain(error)) from error
        self._damage.append(_plain(error))

    def _broken(self, found: str) -> VideoError:
        return VideoError(
            "the video is damaged",
            where=self.name,
            found=found,
            fix="repair it, or allow broken videos to keep what can be decoded",
        )

    def _guard(self) -> _Guard:
        return _Guard(self.name)


def _jpeg_encoder(width: int, height: int) -> Any:
    codec: Any = av.CodecContext.create("mjpeg", "w")
    codec.width, codec.height, codec.pix_fmt = width, height, "yuvj420p"
    codec.time_base, codec.thread_count = Fraction(1, 30), 1
    codec.options = {"flags": "+qscale", "global_quality": "118"}  # FF_QP2LAMBDA x 1
    return codec


class _Guard:
    """What PyAV throws becomes a VideoError."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, (av.error.FFmpegError, OSError, ValueError, MemoryError)):
            raise VideoError(
                "the file cannot be read as a video", where=self._name, found=_plain(error)
            ) from error


def _plain(error: BaseException) -> str:
    return str(getattr(error, "strerror", None) or error or type(error).__name__)


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


class _DownloadedVideo(_EncodedVideo):
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


class _ImageVideo(Video):
    """A folder, or a list, of JPEGs or PNGs, stamped at a rate."""

    def __init__(self, name: str, images: Sequence[Path], fps: float | None) -> None:
        if not images:
            raise VideoError("the video has no frame", where=name)
        self.name = name
        self._images = tuple(images)
        self.timestamps = Timestamps.regular(len(images), FRAME_RATE if fps is None else fps)

    def frames(self, wanted: Iterable[int]) -> Iterator[tuple[int, Frame]]:
        for place in sorted(set(wanted)):
            yield place, _image(self._images[place])


def _image(path: Path) -> Frame:
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path, formats=("JPEG", "PNG")) as image:
            if image.mode[0] in "IF":
                raise ValueError(f"pixels of mode {image.mode}, 8 bits a channel are read")
            # The reference's decoder turns a picture as its EXIF data asks.
            upright = ImageOps.exif_transpose(image)
            return np.array(upright.convert("RGB"))
    except (OSError, ValueError, SyntaxError, UnidentifiedImageError, MemoryError) as error:
        raise VideoError("a frame cannot be read", where=path, found=_plain(error)) from error


class _ArrayVideo(Video):
    """Frames in memory, stamped at a rate."""

    def __init__(self, frames: Any, fps: float | None) -> None:
        array = frames.numpy(force=True) if hasattr(frames, "numpy") else np.asarray(frames)
        if array.dtype != np.uint8 or array.ndim != 4 or array.shape[-1] != 3 or 0 in array.shape:
            raise WrongInput(
                "frames of a video in memory",
                expected="uint8 of shape (T, H, W, 3), RGB",
                found=f"{array.dtype} of shape {array.shape}",
                fix="frames.permute(0, 2, 3, 1) turns (T, C, H, W) into it",
            )
        self.name = f"{array.shape[0]} frames of {array.shape[2]} x {array.shape[1]} in memory"
        self._frames: Frame = array
        rate = Fraction(FRAME_RATE) if fps is None else fps
        self.timestamps = Timestamps.regular(len(array), rate)

    def frames(self, wanted: Iterable[int]) -> Iterator[tuple[int, Frame]]:
        for place in sorted(set(wanted)):
            yield place, self._frames[place].copy()  # the user's may not be writable
