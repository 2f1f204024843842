"""A model for detection, a video and boxes in it -> the labelled scores of each box."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor

from ptv_hub.errors import UsageError
from ptv_hub.inference.batching import device_of
from ptv_hub.inference.box_files import Box, read_boxes
from ptv_hub.inference.clips import prepared
from ptv_hub.inference.frames import Video
from ptv_hub.inference.predict import ClassScore, best_classes, ready_model
from ptv_hub.inference.transforms import pack_pathways
from ptv_hub.inference.video import Source, open_video
from ptv_hub.inference.views import Clip, clip_around
from ptv_hub.models.builders import ActionModel, VideoModel, activated
from ptv_hub.zoo.entry import Entry
from ptv_hub.zoo.records import Record


class BoxScores(Record):
    """One box and its best classes."""

    time: float
    """Seconds from the beginning of the video; the clip's middle."""
    box: tuple[float, float, float, float]
    """x1, y1, x2, y2 in pixels of the video's own frames, cut at their edges."""
    predictions: tuple[ClassScore, ...]
    """Best first."""


class BoxPrediction(Record):
    """What a model says of the boxes of one video."""

    video: str
    model: str
    dataset: str
    boxes: tuple[BoxScores, ...]
    """In the order in which they were given."""
    activation: str
    duration: float
    """Seconds."""
    notes: tuple[str, ...] = ()


def predict_boxes(
    model: ActionModel | Entry | str,
    video: Source,
    boxes: Sequence[Box] | str | os.PathLike[str],
    top_k: int | None = None,
    *,
    threshold: float | None = None,
    weights: str | os.PathLike[str] | None = None,
    fps: float | None = None,
    allow_broken: bool = False,
) -> BoxPrediction:
    """The best classes of each box in a video.

    The model sees a clip whose middle is the box's time, whole frames of the entry's short side;
    boxes of one time share it.

    Args:
        model: a model for detection, loaded, or its name.
        video: as for ``predict``.
        boxes: a file that ``read_boxes`` reads, or its records; those of other videos, where they
            name one, are left out.
        top_k: how many classes of each; 5, or with ``threshold`` as many as reach it.
        threshold, weights, fps, allow_broken: as for ``predict``.

    Raises:
        UsageError: a model that takes no boxes, a file that cannot be read, no box of this video,
            or a box outside of its frames.
        VideoError: the video cannot be read, or shows nothing at a box's time.
    """
    if top_k is not None and top_k < 1:
        raise UsageError("no classes asked for", expected="top_k of 1 or more", found=top_k)
    net = ready_model(model, weights)
    item = net.entry
    if not item.head.takes_boxes or not isinstance(net, VideoModel):
        raise UsageError(f"{item.name} takes no boxes", fix="predict scores whole videos")
    listed = read_boxes(boxes) if isinstance(boxes, (str, os.PathLike)) else tuple(boxes)
    with (
        open_video(video, fps=fps, allow_broken=allow_broken) as opened,
        activated(net, item.protocol.activation),
        torch.inference_mode(),
    ):
        wanted = _of_video(listed, opened.name)
        scored = _scored(net, opened, wanted)
        count = top_k or (5 if threshold is None else item.num_classes)
        return BoxPrediction(
            video=opened.name,
            model=item.name,
            dataset=item.dataset,
            boxes=tuple(
                BoxScores(
                    time=box.time,
                    box=corners,
                    predictions=best_classes(scores, item, count, threshold),
                )
                for box, (corners, scores) in zip(wanted, scored, strict=True)
            ),
            activation=item.protocol.activation,
            duration=float(opened.timestamps.duration),
            notes=opened.notes,
        )


def _of_video(boxes: Sequence[Box], video: str) -> list[Box]:
    """Those that are of a video, or name none."""
    wanted = [box for box in boxes if box.is_in(video)]
    if not wanted:
        names = sorted({box.video for box in boxes if box.video is not None})
        raise UsageError("no box is of this video", where=video, found=f"boxes of {names[:3]}")
    return wanted


Corners = tuple[float, float, float, float]


def _scored(net: VideoModel, video: Video, boxes: Sequence[Box]) -> list[tuple[Corners, Tensor]]:
    """Of each box its corners in pixels and the scores of all classes; a pass for each time."""
    spec = net.entry.input
    of_time: dict[float, list[int]] = defaultdict(list)
    for number, box in enumerate(boxes):
        of_time[box.time].append(number)
    times = sorted(of_time)
    clips = [clip_around(video.timestamps, spec, time) for time in times]
    height, width = _size(video, clips[0])
    device = device_of(net)
    found: dict[int, tuple[Corners, Tensor]] = {}
    of_clip = {id(clip): of_time[time] for clip, time in zip(clips, times, strict=True)}
    for clip, frames in prepared(video, spec, clips):  # (3, T, h, w)
        numbers = of_clip[id(clip)]
        corners = [_in_pixels(boxes[number], height, width, video.name) for number in numbers]
        ratio = (frames.shape[3] / width, frames.shape[2] / height) * 2
        scaled = torch.tensor(corners) * torch.tensor(ratio)
        packed = pack_pathways(frames[None].to(device), spec)
        scores = net(packed, [scaled.to(device)]).float().cpu()
        found |= dict(zip(numbers, zip(corners, scores, strict=True), strict=True))
    return [found[number] for number in range(len(boxes))]


def _size(video: Video, clip: Clip) -> tuple[int, int]:
    """Height and width of the video's frames in pixels."""
    _, pixels = next(iter(video.frames(clip.frames[:1])))
    return pixels.shape[0], pixels.shape[1]


def _in_pixels(box: Box, height: int, width: int, where: str) -> Corners:
    """The corners in pixels of the video, cut at its edges."""
    across, down = (width, height) if box.relative else (1, 1)
    x1, y1, x2, y2 = box.box
    left, right = (min(max(side * across, 0.0), float(width)) for side in (x1, x2))
    top, bottom = (min(max(side * down, 0.0), float(height)) for side in (y1, y2))
    if left >= right or top >= bottom:
        raise UsageError(
            "a box lies outside of the frame",
            where=where,
            expected=f"within {width} x {height} pixels",
            found=f"{box.box} at {box.time:g} s",
        )
    return left, top, right, bottom
