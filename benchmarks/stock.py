"""What a user has without this package: PySlowFast's test loop, from pytorchvideo's own parts.

PySlowFast's ``Ptvkinetics`` in test mode is pytorchvideo's labelled video data set with its
Kinetics clip sampling, and per view: subsample in time, values / 255, normalise, short side,
uniform crop, pathways. ``pytorchvideo.transforms`` no longer imports, so that these few
functions are written anew from the operations that it calls.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from ptv_hub.zoo.entry import Entry


class Transform:
    """One view of a decoded clip: (3, T, H, W), float of 0 to 255, as the data set gives it."""

    def __init__(self, item: Entry) -> None:
        self.spec = item.input

    def __call__(self, sample: dict[str, Any]) -> dict[str, Any]:
        spec = self.spec
        video = _subsample(sample["video"], spec.num_frames) / 255.0
        # torchvision's normalize, on (T, 3, H, W)
        frames = video.permute(1, 0, 2, 3).clone()
        frames.sub_(frames.new_tensor(spec.mean)[:, None, None])
        frames.div_(frames.new_tensor(spec.std)[:, None, None])
        video = _short_side(frames.permute(1, 0, 2, 3), spec.short_side)
        video = _crop(video, spec.crop_size, sample["aug_index"])
        if spec.slowfast_alpha is None:
            views = [video]
        else:
            views = [_subsample(video, spec.num_frames // spec.slowfast_alpha), video]
        return {"video": views, "video_index": sample["video_index"]}


def _subsample(video: Tensor, count: int) -> Tensor:
    frames = torch.linspace(0, video.shape[1] - 1, count).clamp(0, video.shape[1] - 1).long()
    return torch.index_select(video, 1, frames)


def _short_side(video: Tensor, size: int) -> Tensor:
    height, width = video.shape[2:]
    if width < height:
        shape = math.floor(height / width * size), size
    else:
        shape = size, math.floor(width / height * size)
    return torch.nn.functional.interpolate(video, shape, mode="bilinear", align_corners=False)


def _crop(video: Tensor, size: int, place: int) -> Tensor:
    height, width = video.shape[2:]
    top, left = math.ceil((height - size) / 2), math.ceil((width - size) / 2)
    if height > width:
        top = (0, top, height - size)[place]
    else:
        left = (0, left, width - size)[place]
    return video[:, :, top : top + size, left : left + size]


def views(item: Entry, videos: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Every view of the videos, in order: ``video``, a list of pathways (3, T, S, S)."""
    from pytorchvideo.data.clip_sampling import ConstantClipsPerVideoSampler
    from pytorchvideo.data.labeled_video_dataset import LabeledVideoDataset

    protocol, seconds = item.protocol, item.input.clip_seconds
    assert seconds is not None
    return iter(
        LabeledVideoDataset(
            [(video, {}) for video in videos],
            ConstantClipsPerVideoSampler(seconds, protocol.num_clips, protocol.num_crops),
            torch.utils.data.SequentialSampler,
            Transform(item),
            decode_audio=False,
        )
    )


def scores(model: Any, videos: Sequence[str], batch: int, device: str = "cpu") -> Tensor:
    """The mean over the views of each video, as the loop does it: (videos, classes)."""
    item = model.entry
    sums = torch.zeros(len(videos), item.num_classes)
    waiting: list[dict[str, Any]] = []

    def flush() -> None:
        if not waiting:
            return
        pathways = [
            torch.stack(parts).to(device)
            for parts in zip(*(w["video"] for w in waiting), strict=True)
        ]
        with torch.no_grad():
            found = model(pathways if len(pathways) > 1 else pathways[0]).cpu()
        for one, row in zip(waiting, found, strict=True):
            sums[one["video_index"]] += row
        waiting.clear()

    for view in views(item, videos):
        waiting.append(view)
        if len(waiting) == batch:
            flush()
    flush()
    return sums / item.protocol.num_views
