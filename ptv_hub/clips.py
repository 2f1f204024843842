"""An opened video -> its views, clip by clip, each frame decoded and resized once.

Frames are kept only until the last clip that sees them has been given away, so that a minute
of 1080p takes no more memory than its longest clip.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ptv_hub.entry import InputSpec, Protocol
from ptv_hub.errors import VideoError
from ptv_hub.transforms import crops, prepare
from ptv_hub.video import Video
from ptv_hub.views import Clip, ViewPlan, plan_views

__all__ = ["ClipViews", "clip_views"]


@dataclass(frozen=True)
class ClipViews:
    """One clip, and its crops as the model sees them (before ``transforms.pack``)."""

    clip: Clip
    views: Tensor
    """Float32, shape (crops, 3, T, S, S)."""


def clip_views(
    video: Video, spec: InputSpec, protocol: Protocol, *, plan: ViewPlan | None = None
) -> Iterator[ClipViews]:
    """The clips of a video in order of time; ``plan`` if it has been made already.

    Raises:
        VideoError: a frame that cannot be decoded, a clip in which none falls, frames whose
            size changes on the way.
    """
    plan = plan or plan_views(video.timestamps, spec, protocol)
    last_clip = {frame: clip.index for clip in plan.clips for frame in clip.frames}
    kept: dict[int, Tensor] = {}
    free: list[Tensor] = []
    waiting = list(plan.clips)
    size: tuple[int, ...] = ()
    for place, pixels in video.frames(plan.frames):
        if size and pixels.shape != size:
            raise VideoError(
                "the frames of the video are of several sizes",
                where=video.name,
                expected=f"{size[1]} x {size[0]} as the first",
                found=f"{pixels.shape[1]} x {pixels.shape[0]}",
            )
        size = pixels.shape
        prepared = prepare(torch.from_numpy(pixels), spec)
        if not free:
            # In blocks: small tensors that stay, between large ones that come and go, would
            # leave holes in the heap that add up to several times what is kept.
            free += torch.empty(spec.num_frames, *prepared.shape).unbind()
        kept[place] = free.pop().copy_(prepared)
        while waiting and all(frame in kept for frame in waiting[0].frames):
            clip = waiting.pop(0)
            views = _views([kept[frame] for frame in clip.frames], spec, protocol.num_crops)
            free += [kept.pop(frame) for frame in list(kept) if last_clip[frame] <= clip.index]
            yield ClipViews(clip, views)


def _views(frames: Sequence[Tensor], spec: InputSpec, num_crops: int) -> Tensor:
    """Prepared frames (3, h, w) -> (crops, 3, T, S, S); each crop is copied once, to its place."""
    views = torch.empty(num_crops, 3, len(frames), spec.crop_size, spec.crop_size)
    for time, frame in enumerate(frames):
        for view, crop in zip(views, crops(frame[:, None], spec, num_crops), strict=True):
            view[:, time] = crop[:, 0]
    return views
