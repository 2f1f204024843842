"""An opened video -> its prepared clips, each frame decoded and resized once.

A frame goes straight to its place in the clip; crops are views of that and copied by whoever
makes a batch of them. A clip is kept until its last frame is there, so that a minute of 1080p
takes no more memory than the clips that overlap.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ptv_hub.errors import VideoError
from ptv_hub.inference.frames import Video
from ptv_hub.inference.transforms import crops, prepare
from ptv_hub.inference.views import Clip, ViewPlan, plan_views, scaled_size
from ptv_hub.zoo.entry import InputSpec, Protocol


@dataclass(frozen=True)
class ClipViews:
    """One clip, and its crops as the model sees them (before ``transforms.pack``)."""

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
    size: tuple[int, ...] = ()
    for frame, pixels in video.frames(sorted(places)):
        if size and pixels.shape != size:
            raise VideoError(
                "the frames of the video are of several sizes",
                where=video.name,
                expected=f"{size[1]} x {size[0]} as the first",
                found=f"{pixels.shape[1]} x {pixels.shape[0]}",
            )
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
