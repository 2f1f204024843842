"""Frames of a video file decoded by torchcodec into a device's memory: on a GPU by NVDEC.

Which frames there are and when each is shown stays PyAV's word, as everywhere; torchcodec's is held
against it, and a file of which the two do not say the same is not read this way. NVDEC's pixels
are not PyAV's: another converter makes them of the same YUV. On a CPU they are, bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from ptv_hub.errors import MissingExtra, UsageError, VideoError
from ptv_hub.inference.container import EncodedVideo
from ptv_hub.inference.frames import Video

_AT_ONCE = 32
"""Frames: of 1080p 200 MB."""
_WAY_OUT = "leave --preprocess nvdec out: PyAV reads it"


def require_torchcodec() -> None:
    """Raises MissingExtra where it is not installed, UsageError where it finds no FFmpeg."""
    _decoder_class()


def device_frames(
    video: Video, wanted: Sequence[int], device: str | None
) -> Iterator[tuple[int, Tensor]]:
    """(place in ``timestamps.pts``, RGB frame of uint8, shape (H, W, 3)) of each frame wanted.

    In order of presentation. Without a device, and of what is no video file (folders of frames,
    arrays), they are in the host's memory, as ``video.frames`` gives them.

    Raises:
        VideoError: a frame that cannot be decoded, or a file of which torchcodec says otherwise
            than PyAV which frames it has, when, or which way up.
        MissingExtra: torchcodec is not installed.
    """
    if device is None or not isinstance(video, EncodedVideo):
        yield from ((place, torch.from_numpy(pixels)) for place, pixels in video.frames(wanted))
        return
    decoder = _opened(video, device)
    ticks, base = video.timestamps.pts, video.timestamps.time_base
    places = sorted(set(wanted))
    for first in range(0, len(places), _AT_ONCE):
        few = places[first : first + _AT_ONCE]
        try:
            found = decoder.get_frames_at(few)
        except RuntimeError as error:
            raise _otherwise(video, "every frame decoded", str(error).splitlines()[0]) from error
        for place, frame, at in zip(few, found.data, found.pts_seconds.tolist(), strict=True):
            stated = float(ticks[place] * base)
            if abs(at - stated) > base / 2:
                raise _otherwise(video, f"frame {place} at {stated:.4f} s", f"at {at:.4f} s")
            yield place, frame


def _opened(video: EncodedVideo, device: str) -> Any:
    made = _decoder_class()
    if video.shown.rotation:
        raise _otherwise(video, "frames as they are stored", "torchcodec turns them as is stated")
    source = video.file if isinstance(video.file, bytes) else str(video.file.resolve())
    try:
        decoder = made(source, stream_index=video.stream, dimension_order="NHWC", device=device)
    except (RuntimeError, ValueError) as error:
        raise _otherwise(video, "a file that it reads", str(error).splitlines()[0]) from error
    count = len(video.timestamps.pts)
    if len(decoder) != count:
        raise _otherwise(video, f"{count} frames", f"{len(decoder)}")
    if device.startswith("cuda") and decoder.cpu_fallback:
        video.notes = (*video.notes, "decoded on the CPU: the GPU has no decoder for it")
    return decoder


def _otherwise(video: EncodedVideo, expected: str, found: str) -> VideoError:
    return VideoError(
        "torchcodec does not read the file as PyAV does",
        where=video.name,
        expected=expected,
        found=found,
        fix=_WAY_OUT,
    )


def _decoder_class() -> Any:
    try:
        from torchcodec.decoders import VideoDecoder
    except ImportError as error:
        raise MissingExtra("torchcodec", "nvdec", needed_for="decoding on the GPU") from error
    except (OSError, RuntimeError) as error:  # it is there, and a library of FFmpeg is not
        raise UsageError(
            "torchcodec cannot be used",
            expected="FFmpeg 4 to 9 as shared libraries, and the torch that it was built for",
            found=str(error).splitlines()[0],
            fix="install FFmpeg (apt install ffmpeg, conda install ffmpeg); " + _WAY_OUT,
        ) from error
    return VideoDecoder
