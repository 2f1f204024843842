"""A model and a video -> an embedding of each clip, with its time; or a stage on the way."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from ptv_hub.errors import UsageError
from ptv_hub.files import atomic_write
from ptv_hub.inference.batching import over_views
from ptv_hub.inference.predict import protocol_for, ready_model
from ptv_hub.inference.transforms import ModelInput
from ptv_hub.inference.video import Source, open_video
from ptv_hub.inference.views import plan_views
from ptv_hub.models.builders import ActionModel, VideoModel
from ptv_hub.models.stages import StageModel
from ptv_hub.weights import checkpoint
from ptv_hub.zoo.entry import Entry


@dataclass(frozen=True)
class Features:
    """What a model makes of each clip of one video."""

    video: str
    model: str
    stage: str
    """Name of the stage, or ``embedding`` for what the classifier would see."""
    values: Tensor
    """Float32. Pooled: (clips, channels), the mean over the crops. Else of every view:
    (clips, crops, channels, T', H', W')."""
    start: tuple[float, ...]
    """Of each clip, seconds from the beginning of the video."""
    end: tuple[float, ...]
    views: str
    duration: float
    notes: tuple[str, ...]


def features(
    model: ActionModel | Entry | str,
    video: Source,
    *,
    stage: str | None = None,
    pool: bool = True,
    views: str | None = None,
    weights: str | os.PathLike[str] | None = None,
    clip_sampling: str | None = None,
    fps: float | None = None,
    allow_broken: bool = False,
    batch_views: int = 1,
) -> Features:
    """The features of every clip of a video.

    Args:
        model: a loaded model, or a name.
        video: as for ``predict``.
        stage: a name of ``ptv_hub.stages.stages(entry)``, as ``"stage3"`` or, of a SlowFast,
            ``"stage3.slow"``; ``None`` is the embedding: what the classifier sees, the mean
            over the head's positions.
        pool: mean over time, height, width and the crops; ``False`` keeps a stage's maps of
            every view, which are large.
        views: clips x crops, the published protocol's if not given; more clips are closer in time.
        weights, clip_sampling, fps, allow_broken, batch_views: as for ``predict``.

    Raises:
        UnknownName: the model has no such stage.
        VideoError, UsageError: as ``predict``.
    """
    net = ready_model(model, weights)
    item = net.entry
    protocol = protocol_for(item, views, clip_sampling)
    if stage is None and not pool:
        raise UsageError("the embedding has no maps", fix="name a stage, or leave pool=True")
    with open_video(video, fps=fps, allow_broken=allow_broken) as opened, ExitStack() as stack:
        plan = plan_views(opened.timestamps, item.input, protocol)
        extract = _extractor(cast(VideoModel, net), stage, pool, stack)
        of_views = over_views(extract, net, opened, plan, protocol, batch_views)
        # (clips * crops, ...) -> (clips, crops, ...)
        values = of_views.reshape(len(plan.clips), protocol.num_crops, *of_views.shape[1:])
        duration = float(opened.timestamps.duration)
        return Features(
            video=opened.name,
            model=item.name,
            stage=stage or "embedding",
            values=values.mean(dim=1) if pool else values,
            start=tuple(float(clip.start) for clip in plan.clips),
            end=tuple(min(float(clip.end), duration) for clip in plan.clips),
            views=f"{protocol.num_clips}x{protocol.num_crops}",
            duration=duration,
            notes=(*opened.notes, *plan.notes),
        )


def _extractor(
    net: VideoModel, stage: str | None, pool: bool, stack: ExitStack
) -> Callable[[ModelInput], Tensor]:
    """From a batch of views to their features: (B, channels), or (B, channels, T', H', W')."""
    if stage is not None:
        part = StageModel(net, [stage])

        def of_stage(views: ModelInput) -> Tensor:
            values: Tensor = part(views)[0]
            return values.mean(dim=(2, 3, 4)) if pool else values

        return of_stage

    seen: list[Tensor] = []

    def keep(_: object, inputs: tuple[Tensor, ...]) -> None:
        seen.append(inputs[0])  # (B, T', H', W', channels): the head has moved them last

    head = net.blocks[-1].get_submodule("proj")
    stack.callback(head.register_forward_pre_hook(keep).remove)

    def of_head(views: ModelInput) -> Tensor:
        net(views)
        return seen.pop().mean(dim=(1, 2, 3))

    return of_head


def save_features(found: Features, path: str | os.PathLike[str]) -> None:
    """Write features as ``.npz`` or ``.safetensors``, whole or not at all.

    Arrays ``features``, ``start`` and ``end`` (seconds); and video, model, stage and views:
    in a safetensors file as its metadata, in an npz as arrays of one string.

    Raises:
        UsageError: another suffix.
        WriteError: the file cannot be written.
    """
    path = Path(path)
    arrays: dict[str, Any] = {
        "features": found.values.numpy(),
        "start": np.asarray(found.start, np.float64),
        "end": np.asarray(found.end, np.float64),
    }
    words = {
        "video": found.video,
        "model": found.model,
        "stage": found.stage,
        "views": found.views,
        "notes": "\n".join(found.notes),
    }
    if path.suffix == ".npz":
        with atomic_write(path) as temporary, open(temporary, "wb") as file:
            arrays |= {key: np.asarray(value) for key, value in words.items()}
            np.savez(file, **arrays)
    elif path.suffix == ".safetensors":
        tensors = {key: torch.from_numpy(value) for key, value in arrays.items()}
        checkpoint.write(path, tensors, metadata=words)
    else:
        raise UsageError(
            "features are written in two formats",
            where=path,
            expected="a name that ends in .npz or .safetensors",
        )
