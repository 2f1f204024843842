"""Views of a video -> batches of them through a model -> what it gives for each view of the plan.

Prediction, features and evaluation all take this road. Views come clip by clip, decoded here
or by another process; clips that repeat another's frames, as all of a short video do, come
once, and what the model gives for them is put in every place that they stand for.
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from tqdm.auto import tqdm

from ptv_hub.engines.transfers import Returning, on_device
from ptv_hub.inference.frames import Video
from ptv_hub.inference.transforms import ModelInput, crops, pack_pathways, prepare_clip
from ptv_hub.inference.viewing import Viewing
from ptv_hub.inference.views import Clip, ViewPlan
from ptv_hub.models.builders import ActionModel
from ptv_hub.zoo.input_spec import InputSpec


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


Outputs = Mapping[str, Tensor]
"""What a function of the model gives for a batch of views: name -> (B, ...)."""


class ViewBatches:
    """Views of videos on their way through a function of the model.

    Unless ``across`` is asked for, a batch never holds views of two videos, so that no number
    depends on its neighbours.
    """

    def __init__(
        self,
        function: Callable[[ModelInput], Outputs],
        spec: InputSpec,
        device: torch.device,
        size: int,
        *,
        across: bool = False,
        num_crops: int = 1,
    ) -> None:
        """
        Args:
            function: a batch of ``size`` views as the model takes them -> (B, ...).
            num_crops: views of a clip whose frames come as they were decoded.
        """
        self._function = function
        self._spec = spec
        self._device = device
        self._size = size
        self._across = across
        self._num_crops = num_crops
        self._late = device.type == "cuda"
        """Whether results are collected when the next batch is on its way."""
        self._pending: deque[_Launched] = deque()
        self._waiting: list[tuple[OneVideo, Tensor]] = []

    def video(self) -> OneVideo:
        """A place for the views of one video."""
        return OneVideo(self)

    def take(self, video: OneVideo, views: Iterable[Tensor]) -> None:
        for view in views:
            self._waiting.append((video, view))
            if len(self._waiting) == self._size:
                self._launch()

    def prepared(self, views: Sequence[Tensor]) -> Sequence[Tensor]:
        """The views of a clip, made here of frames (T, H, W, 3) of uint8 that came as they are."""
        if not views or views[0].dtype != torch.uint8:
            return views
        frames = on_device(views[0], self._device)
        return crops(prepare_clip(frames, self._spec), self._spec, self._num_crops)

    def end(self) -> None:
        """That a video has no more views."""
        if not self._across:
            self._launch()

    def flush(self) -> None:
        """Have what waits computed, a whole batch or not, and all results collected."""
        self._launch()
        while self._pending:
            self._collect()

    def _launch(self) -> None:
        """Begin to compute what waits; on a GPU only then is the batch before collected."""
        if not self._waiting:
            return
        start = time.perf_counter()
        batch = _together([view for _, view in self._waiting], self._device)
        owners = [owner for owner, _ in self._waiting]
        self._waiting = []
        found = self._function(pack_pathways(batch, self._spec))
        outputs = Returning({name: values.float() for name, values in found.items()})
        self._pending.append(_Launched(owners, outputs, time.perf_counter() - start))
        while len(self._pending) > int(self._late):
            self._collect()

    def _collect(self) -> None:
        """Give the oldest batch's results to their videos, waiting for them."""
        start = time.perf_counter()
        launched = self._pending.popleft()
        owners, outputs = launched.owners, launched.outputs.arrived()
        each = (launched.seconds + time.perf_counter() - start) / len(owners)
        first = 0
        for owner, group in itertools.groupby(owners):
            stop = first + len(list(group))
            owner.keep({name: values[first:stop] for name, values in outputs.items()})
            owner.seconds += each * (stop - first)
            first = stop


@dataclass
class _Launched:
    """A batch on its way through the model."""

    owners: list[OneVideo]
    outputs: Returning
    seconds: float
    """That the launch took here."""


def _together(views: Sequence[Tensor], device: torch.device) -> Tensor:
    """Views as one batch in the memory of a device: they are copied once before they go there."""
    pinned = None
    if device.type == "cuda" and views[0].device.type == "cpu":
        pinned = torch.empty(len(views), *views[0].shape, dtype=views[0].dtype, pin_memory=True)
    return on_device(torch.stack(list(views), out=pinned), device)


class OneVideo:
    """The views of one video, and what became of them."""

    def __init__(self, batches: ViewBatches) -> None:
        self._batches = batches
        self._found: list[Outputs] = []
        self._given = 0
        self._came = 0
        self.seconds = 0.0
        """Spent on what is computed, without the wait for views."""

    def add(self, views: Sequence[Tensor]) -> None:
        """Take the views of a clip; whole batches go through at once.

        Each is (3, T, S, S); or the one thing is the clip's frames, uint8, (T, H, W, 3).
        """
        views = self._batches.prepared(views)
        self._given += len(views)
        self._batches.take(self, views)

    def end(self) -> None:
        """That there are no more views."""
        self._batches.end()

    def keep(self, outputs: Outputs) -> None:
        self._came += len(next(iter(outputs.values())))
        self._found.append(outputs)

    @property
    def done(self) -> bool:
        """Whether all views that were given have gone through."""
        return self._came == self._given

    def result(self, order: Sequence[int], num_crops: int) -> dict[str, Tensor]:
        """What the function gave for every view of a plan: of each name float32, (views, ...).

        Args:
            order: of each clip of the plan, which of the clips that came it is.
        """
        if not self.done:
            self._batches.flush()
        result = {}
        for name in self._found[0] if order else ():
            values = torch.cat([found[name] for found in self._found])
            if len(values) != len(order) * num_crops or list(order) != sorted(set(order)):
                of_clips = torch.split(values, num_crops)
                values = torch.cat([of_clips[number] for number in order])
            result[name] = values
        return result


def over_views(
    function: Callable[[ModelInput], Outputs],
    model: ActionModel,
    video: Video,
    viewing: Viewing,
    batch_views: int,
    *,
    plan: ViewPlan | None = None,
    progress: bool = False,
) -> dict[str, Tensor]:
    """What a function of the model gives for every view of a video: float32, (views, ...).

    ``progress``: show a bar on stderr, or in a notebook, clip by clip.
    """
    plan = plan or viewing.plan(video.timestamps)
    few, order = distinct(plan)
    views = ViewBatches(function, viewing.spec, device_of(model), batch_views).video()
    with torch.inference_mode():
        clips = viewing.views(video, few)
        for clip in tqdm(clips, total=len(few.clips), unit="clip", disable=not progress):
            views.add(clip.views)
        return views.result(order, plan.num_crops)


def device_of(model: object) -> torch.device:
    """Where a model's parameters lie; the CPU of a callable that has none."""
    parameters = getattr(model, "parameters", None)
    first = next(iter(parameters()), None) if parameters else None
    return torch.device("cpu") if first is None else first.device
