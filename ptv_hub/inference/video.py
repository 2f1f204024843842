"""A video, from wherever it comes -> an opened one: a file, a URL, bytes, images, an array.

What each of them is stands in ``container`` and ``frames``; here is decided which it is.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Union

from ptv_hub.errors import UsageError, VideoError
from ptv_hub.files import expanded
from ptv_hub.inference.container import DownloadedVideo, EncodedVideo
from ptv_hub.inference.frames import ArrayVideo, ImageVideo, Video

Source = Union[str, "os.PathLike[str]", bytes, Sequence["str | os.PathLike[str]"], Any]
"""Path, URL, bytes of a file, folder or list of images, or an array (T, H, W, 3) of uint8."""

IMAGES = frozenset({".jpg", ".jpeg", ".png"})
VIDEOS = frozenset(
    {".3gp", ".asf", ".avi", ".flv", ".gif", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg"}
    | {".mpg", ".mts", ".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv"}
)
_URL = re.compile(r"https?://", re.IGNORECASE)


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
        return EncodedVideo(f"{len(data)} bytes", data, allow_broken)
    if isinstance(source, (list, tuple)):
        _refuse_videos(source)
        return ImageVideo(f"{len(source)} images", [Path(path) for path in source], fps)
    if not isinstance(source, (str, os.PathLike)):
        return ArrayVideo(source, fps)
    name = os.fspath(source)
    if is_address(name):
        _no_rate(fps, name)
        return DownloadedVideo(name, allow_broken)
    path = expanded(name)
    if path.is_dir():
        images = sorted(
            (item for item in path.iterdir() if item.suffix.lower() in IMAGES and item.is_file()),
            key=natural,
        )
        if not images:
            raise VideoError(
                "no frames in the folder", where=path, expected=f"files {', '.join(sorted(IMAGES))}"
            )
        return ImageVideo(name, images, fps)
    if not path.exists():
        raise VideoError("there is no such video", where=name)
    _no_rate(fps, name)
    return EncodedVideo(name, path, allow_broken)


def is_address(source: str) -> bool:
    """Whether it begins as http or https does."""
    return bool(_URL.match(source))


def has_no_rate(source: Source) -> bool:
    """Whether it is frames alone, whose rate is not known but by who has them."""
    if isinstance(source, (str, os.PathLike)):
        name = os.fspath(source)
        return not is_address(name) and expanded(name).is_dir()
    return not isinstance(source, (bytes, bytearray, memoryview))


def natural(path: str | Path) -> list[tuple[int, str]]:
    """Key of an order in which 2 comes before 10; equal numbers by their spelling."""
    parts = re.split(r"(\d+)", Path(path).name)
    return [(int(part), part) if part.isdecimal() else (-1, part) for part in parts]


def _refuse_videos(sources: Sequence[str | os.PathLike[str]]) -> None:
    """A list is one video's frames; of videos it would be read as a few odd images."""
    videos = [path for path in map(Path, sources) if path.suffix.lower() in VIDEOS - IMAGES]
    if videos:
        raise UsageError(
            "a list of paths is the frames of one video, and these are videos",
            found=", ".join(map(str, videos[:3])),
            fix="one after another: [ptv_hub.predict(model, path) for path in paths], with a "
            "model that was loaded once",
        )


def _no_rate(fps: float | None, name: str) -> None:
    if fps is not None:
        raise UsageError(
            "a video file has its own time stamps",
            where=name,
            found=f"fps={fps}",
            fix="leave fps out; it is for folders of frames and arrays",
        )
