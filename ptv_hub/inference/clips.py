"""An opened video -> its prepared clips, each frame decoded and resized once.

A frame goes straight to its place in the clip; crops are views of that and copied by whoever
makes a batch of them. A clip is kept until its last frame is there, so that a minute of 1080p
takes no more memory than the clips that overlap.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from ptv_hub.errors import VideoError
from ptv_hub.inference.crops import scaled_size
from ptv_hub.inference.device_frames import device_frames
from ptv_hub.inference.frames import Frame, Video
from ptv_hub.inference.transforms import crops, prepare
from ptv_hub.inference.views import Clip, ViewPlan, plan_views
from ptv_hub.zoo.input_spec import InputSpec, Protocol


@dataclass(frozen=True)
class ClipViews:
    """One clip, and its crops as the model sees them (before ``transforms.pack_pathways``)."""

    clip: Clip
    views: tuple[Tensor, ...]
    """Of each crop: float32, shape (3, T, S, S). They overlap in memory: not to be written to."""


def clip_views(
    video: Video, spec: InputSpec, protocol: Protocol, *, plan: ViewPlan | None = None
) -> Iterator[ClipViews]:
    """The clips of a video in order of time; ``plan`` if it has been made already.

    Raises:
        VideoError: a frame that cannot be decoded, a clip in which none falls, frames whose
            size changes on the way.
    """
    plan = plan or plan_views(video.timestamps, spec, protocol)
    for clip, frames in prepared(video, spec, plan.clips):
        yield ClipViews(clip, tuple(crops(frames, spec, protocol.num_crops)))


def prepared(video: Video, spec: InputSpec, clips: Sequence[Clip]) -> Iterator[tuple[Clip, Tensor]]:
    """Each clip with its frames, normalised and resized, float32, shape (3, T, h, w).

    Raises:
        VideoError: a frame that cannot be decoded, frames whose size changes on the way.
    """
    places: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for number, clip in enumerate(clips):
        for time, frame in enumerate(clip.frames):
            places[frame].append((number, time))
    begun: dict[int, Tensor] = {}  # number of a clip -> (T, 3, h, w)
    missing = [len(clip.frames) for clip in clips]
    following = 0
    for frame, pixels in _of_one_size(video, video.frames(sorted(places))):
        size = pixels.shape
        scaled = scaled_size(size[0], size[1], spec.short_side)
        first: Tensor | None = None
        for number, time in places[frame]:
            if number not in begun:
                begun[number] = torch.empty(len(clips[number].frames), 3, *scaled)
            here = begun[number][time]
            if first is None:
                first = prepare(torch.from_numpy(pixels), spec, out=here)
            else:
                here.copy_(first)
            missing[number] -= 1
        while following < len(missing) and not missing[following]:
            yield clips[following], begun.pop(following).transpose(0, 1)
            following += 1


def undone_views(
    video: Video, clips: Sequence[Clip], *, decoder: str | None = None
) -> Iterator[ClipViews]:
    """Each clip with its frames as they were decoded: one tensor of uint8, (T, H, W, 3).

    ``decoder``: the device on which torchcodec decodes them, in whose memory they are then.

    Raises:
        VideoError: as ``prepared``.
        MissingExtra: there is no torchcodec.
    """

    def decoded(wanted: Sequence[int]) -> Iterator[tuple[int, Tensor]]:
        return _of_one_size(video, device_frames(video, wanted, decoder))

    for clip, frames in _together(clips, decoded):
        yield ClipViews(clip, (torch.stack(frames),))


def window_views(
    video: Video, spec: InputSpec, clips: Sequence[Clip], num_crops: int
) -> Iterator[ClipViews]:
    """Windows of a video in order of time; ``num_crops`` of 0 is all of each frame.

    A frame is decoded and resized once, however many windows see it, and waits alone until the
    last of them has; a window is put together when its last frame is there.

    Raises:
        VideoError: as ``prepared``.
    """

    def kept(wanted: Sequence[int]) -> Iterator[tuple[int, Tensor]]:
        for place, pixels in _of_one_size(video, video.frames(wanted)):
            whole = prepare(torch.from_numpy(pixels), spec)[:, None]  # (3, 1, h, w)
            # Of a window's only crop nothing else is kept: half of a wide frame.
            yield place, crops(whole, spec, 1)[0].contiguous() if num_crops == 1 else whole

    for clip, parts in _together(clips, kept):
        frames = torch.cat(parts, dim=1)  # (3, T, h, w)
        yield ClipViews(clip, tuple(crops(frames, spec, num_crops)) if num_crops > 1 else (frames,))


def _together(
    clips: Sequence[Clip], frames: Callable[[Sequence[int]], Iterator[tuple[int, Tensor]]]
) -> Iterator[tuple[Clip, list[Tensor]]]:
    """Each clip with what ``frames`` makes of its own, which wait until the last clip has them."""
    last_use = {frame: number for number, clip in enumerate(clips) for frame in clip.frames}
    kept: dict[int, Tensor] = {}
    following = 0
    for frame, values in frames(sorted(last_use)):
        kept[frame] = values
        while following < len(clips) and all(one in kept for one in clips[following].frames):
            clip = clips[following]
            yield clip, [kept[one] for one in clip.frames]
            for one in {one for one in clip.frames if last_use[one] == following}:
                del kept[one]
            following += 1


Pixels = TypeVar("Pixels", Frame, Tensor)


def _of_one_size(
    video: Video, frames: Iterator[tuple[int, Pixels]]
) -> Iterator[tuple[int, Pixels]]:
    """The frames, of shape (H, W, 3). Raises VideoError where their size changes on the way."""
    size: tuple[int, ...] = ()
    for frame, pixels in frames:
        if size and pixels.shape != size:
            raise VideoError(
                "the frames of the video are of several sizes",
                where=video.name,
                expected=f"{size[1]} x {size[0]} as the first",
                found=f"{pixels.shape[1]} x {pixels.shape[0]}",
            )
        size = pixels.shape
        yield frame, pixels
