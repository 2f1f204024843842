"""An opened video: when its frames are shown, and a way to their pixels.

Here are those whose frames lie there one by one, stamped at a rate: a folder or list of images,
and an array. Pillow reads the images, since the data sets' owners decoded theirs with
libjpeg-turbo, as Pillow does; PyAV's JPEG decoder gives other pixels.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ptv_hub.errors import UsageError, VideoError, WrongInput
from ptv_hub.inference.timestamps import Timestamps

Frame = NDArray[np.uint8]

FRAME_RATE = 30
"""Frames per second of a folder or an array of which nothing else is said: as SSv2's and
Charades' owners extracted theirs."""


UNSPECIFIED = 2
"""Of FFmpeg's codes for colours: nothing is said."""


@dataclass(frozen=True)
class Shown:
    """What a player makes of a file's frames, that no model sees."""

    rotation: int = 0
    """Degrees, counterclockwise, by which each is turned."""
    aspect: Fraction = Fraction(1)
    """Width of a pixel to its height."""
    colours: tuple[int, int, int] = (UNSPECIFIED, UNSPECIFIED, UNSPECIFIED)
    """FFmpeg's codes of the matrix, the primaries and the transfer."""


class Video(ABC):
    """One video, opened: when its frames are shown, and a way to their pixels.

    A context manager: on leaving it, what was downloaded is deleted.
    """

    name: str
    """Path, URL, or a description of what is in memory."""
    timestamps: Timestamps
    notes: tuple[str, ...] = ()
    """What a user should know of how it was read, in words."""
    shown: Shown = Shown()
    file: Path | bytes | None = None
    """The file itself, where there is one: its sound is there."""

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


class ImageVideo(Video):
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
        raise VideoError("a frame cannot be read", where=path, found=plain(error)) from error


class ArrayVideo(Video):
    """Frames in memory, stamped at a rate."""

    def __init__(self, frames: object, fps: float | None) -> None:
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


def plain(error: BaseException) -> str:
    """What a library's error says, without what stands around it."""
    return str(getattr(error, "strerror", None) or error or type(error).__name__)
