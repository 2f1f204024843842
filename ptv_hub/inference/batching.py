"""Views of a video -> batches of them through a model -> what it gives for each view of the plan.

Prediction, features and evaluation all take this road. Views come clip by clip, decoded here
or by another process; clips that repeat another's frames, as all of a short video do, come
once, and what the model gives for them is put in every place that they stand for.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

from ptv_hub.inference.clips import clip_views
from ptv_hub.inference.frames import Video
from ptv_hub.inference.transforms import ModelInput, pack
from ptv_hub.inference.views import Clip, ViewPlan
from ptv_hub.models.builders import ActionModel
from ptv_hub.zoo.entry import InputSpec, Protocol


def distinct(plan: ViewPlan) -> tuple[ViewPlan, tuple[int, ...]]:
    """The clips of a plan that differ in their frames; and, of each of its clips, which it is."""
    places: dict[tuple[int, ...], int] = {}
    clips: list[Clip] = []
    for clip in plan.clips:
        if clip.frames not in places:
            places[clip.frames] = len(clips)
            clips.append(clip)
    order = tuple(places[clip.frames] for clip in plan.clips)
    return ViewPlan(tuple(clips), plan.num_crops), order


class ViewBatches:
    """The views of one video on their way through a function of the model.

    A batch never holds views of two videos, so that no score depends on its neighbours.
    """

    def __init__(
        self,
        function: Callable[[ModelInput], Tensor],
        spec: InputSpec,
        device: torch.device,
        size: int,
    ) -> None:
        """``function``: a batch of ``size`` views as the model takes them -> (B, ...)."""
        self._function = function
        self._spec = spec
        self._device = device
        self._size = size
        self._waiting: list[Tensor] = []
        self._found: list[Tensor] = []
        self.seconds = 0.0
        """Spent on what is computed, without the wait for views."""

    def add(self, views: Iterable[Tensor]) -> None:
        """Take the views of a clip, each (3, T, S, S); whole batches go through at once."""
        start = time.perf_counter()
        for view in views:
            self._waiting.append(view)
            if len(self._waiting) == self._size:
                self._forward()
        self.seconds += time.perf_counter() - start

    def result(self, order: Sequence[int], num_crops: int) -> Tensor:
        """What the function gave for every view of a plan: float32, shape (views, ...).

        Args:
            order: of each clip of the plan, which of the clips that came it is.
        """
        if self._waiting:
            start = time.perf_counter()
            self._forward()
            self.seconds += time.perf_counter() - start
        of_clips = torch.split(torch.cat(self._found), num_crops)
        return torch.cat([of_clips[number] for number in order])

    def _forward(self) -> None:
        batch = torch.stack(self._waiting)
        self._waiting = []
        if self._device.type == "cuda":
            # From pinned memory the copy runs beside the model's work on the last batch.
            batch = batch.pin_memory()
        batch = batch.to(self._device, non_blocking=True)
        self._found.append(self._function(pack(batch, self._spec)).float().cpu())


def over_views(
    function: Callable[[ModelInput], Tensor],
    model: ActionModel,
    video: Video,
    plan: ViewPlan,
    protocol: Protocol,
    batch_views: int,
) -> Tensor:
    """What a function of the model gives for every view of a video: float32, shape (views, ...)."""
    spec = model.entry.input
    few, order = distinct(plan)
    batches = ViewBatches(function, spec, device_of(model), batch_views)
    with torch.inference_mode():
        for clip in clip_views(video, spec, protocol, plan=few):
            batches.add(clip.views)
        return batches.result(order, plan.num_crops)


def device_of(model: object) -> torch.device:
    """Where a model's parameters lie; the CPU of a callable that has none."""
    parameters = getattr(model, "parameters", None)
    first = next(iter(parameters()), None) if parameters else None
    return torch.device("cpu") if first is None else first.device
