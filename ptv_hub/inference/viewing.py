"""Which views a video is made into: those of a protocol, or dense windows.

A frozen record each, that goes to worker processes as it is.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

from ptv_hub.inference.clips import ClipViews, clip_views, undone_views, window_views
from ptv_hub.inference.frames import Video
from ptv_hub.inference.timestamps import Timestamps
from ptv_hub.inference.views import ViewPlan, plan_as_reference, plan_views
from ptv_hub.inference.windows import WindowPlan, Windows, plan_windows
from ptv_hub.zoo.input_spec import InputSpec, Protocol

_LARGE = 3 * 1080 * 1920
"""Bytes of a frame: of most videos more than there are."""


@dataclass(frozen=True)
class Viewing(ABC):
    """Which frames of a video are seen together, and which parts of them."""

    spec: InputSpec

    @property
    @abstractmethod
    def num_crops(self) -> int:
        """Views of a clip."""

    @property
    def clip_bytes(self) -> int:
        """What the views of one clip take, as far as that is known before."""
        return 4 * 3 * self.num_crops * self.spec.num_frames * self.spec.crop_size**2

    @abstractmethod
    def plan(self, timestamps: Timestamps) -> ViewPlan:
        """The clips of a video, in order of time. Raises VideoError, UsageError."""

    @abstractmethod
    def views(self, video: Video, plan: ViewPlan) -> Iterator[ClipViews]:
        """The views of the clips of a plan. Raises VideoError."""


@dataclass(frozen=True)
class ProtocolViews(Viewing):
    """The clips and crops of a protocol."""

    protocol: Protocol
    as_reference: bool = False
    """Over the span that the reference takes a file for: for the published numbers."""
    undone: bool = False
    """Give frames of uint8 as they were decoded: whoever runs the model prepares them."""
    decoder: str | None = None
    """Of frames that are given so: the device on which torchcodec decodes them."""

    @property
    def clip_bytes(self) -> int:
        if self.undone:
            return self.spec.num_frames * _LARGE
        return super().clip_bytes

    @property
    def num_crops(self) -> int:
        return self.protocol.num_crops

    def plan(self, timestamps: Timestamps) -> ViewPlan:
        plan = plan_as_reference if self.as_reference else plan_views
        return plan(timestamps, self.spec, self.protocol)

    def views(self, video: Video, plan: ViewPlan) -> Iterator[ClipViews]:
        if self.undone:
            return undone_views(video, plan.clips, decoder=self.decoder)
        return clip_views(video, self.spec, self.protocol, plan=plan)


@dataclass(frozen=True)
class WindowViews(Viewing):
    """Windows one after another, in crops or whole."""

    windows: Windows
    crops: int = 1
    """Squares of a window; 0 for all of each frame, its short side scaled."""

    @property
    def num_crops(self) -> int:
        return max(1, self.crops)

    @property
    def clip_bytes(self) -> int:
        wide = 1 if self.crops else 16 / 9  # of most videos
        return math.ceil(super().clip_bytes * wide)

    def plan(self, timestamps: Timestamps) -> WindowPlan:
        return plan_windows(timestamps, self.spec, self.windows, self.num_crops)

    def views(self, video: Video, plan: ViewPlan) -> Iterator[ClipViews]:
        return window_views(video, self.spec, plan.clips, self.crops)
