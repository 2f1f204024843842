"""What one item gives to a model: its views clip by clip, or why it gives none."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ptv_hub.datasets.listing import Frames, Item
from ptv_hub.errors import EmptyClip, PtvHubError, VideoError
from ptv_hub.inference.batching import distinct
from ptv_hub.inference.finding import Found
from ptv_hub.inference.video import has_no_rate, open_video
from ptv_hub.inference.viewing import Viewing
from ptv_hub.inference.views import ViewPlan


@dataclass(frozen=True)
class Views:
    """The views of one clip."""

    views: tuple[Tensor, ...]
    """Of each crop: float32, shape (3, T, S, S)."""

    def compact(self) -> Views:
        """The same in no more memory than their own numbers take.

        Crops of one clip share its memory, which goes to another process as it is; of a video
        much wider than high that would be many times what the crops show of it.
        """
        own = sum(view.nbytes for view in self.views)
        if self.views[0].untyped_storage().nbytes() <= own:
            return self
        return Views(torch.stack(self.views).unbind())


@dataclass(frozen=True)
class Failure:
    reason: str
    """Short, the same for all videos that failed alike."""
    error: str
    """All that is known, on several lines."""


@dataclass(frozen=True)
class End:
    """The last message of a video."""

    seconds: float
    """Spent on decoding and preparing."""
    clips: tuple[int, ...] = ()
    """Of each clip of the protocol, which of the clips sent it is: a short video repeats itself."""
    notes: tuple[str, ...] = ()
    failure: Failure | None = None
    plan: ViewPlan | None = None
    """What the clips are: when they are, and their frames."""
    duration: float = 0.0
    """Of the video, seconds."""
    mark: tuple[str, str] = ("", "")
    """``Found.quick`` before it was read, and ``Found.content``; where they are asked for."""


Message = Views | End


@dataclass(frozen=True)
class Reading:
    """What is to be seen of a video, and how its file is opened; goes to worker processes."""

    viewing: Viewing
    fps: float | None = None
    """Of folders of frames."""
    allow_broken: bool = False
    content: bool = False
    """Whether to say what the file's content is, so that it is known again."""


def decode(item: Item, reading: Reading) -> Iterator[Message]:
    """The views of one video, clip by clip, then the ``End``; what fails is told there."""
    start, waited = time.perf_counter(), 0.0
    order: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()
    plan, duration, failure = None, 0.0, None
    mark = ("", "")
    try:
        look(item)
        found = Found(item.source, item.id)
        quick = found.quick() if reading.content else ""
        fps = reading.fps if has_no_rate(item.source) else None
        with open_video(item.source, fps=fps, allow_broken=reading.allow_broken) as video:
            plan = reading.viewing.plan(video.timestamps)
            duration = float(video.timestamps.duration)
            notes = (*video.notes, *plan.notes)
            few, order = distinct(plan)
            for clip in reading.viewing.views(video, few):
                given = time.perf_counter()
                yield Views(clip.views)
                waited += time.perf_counter() - given
            notes = (*video.notes, *plan.notes)  # of damage that showed on the way, too
        if reading.content:
            mark = (quick, found.content())
    except Exception as error:
        failure = failure_of(error)
    yield End(time.perf_counter() - start - waited, order, notes, failure, plan, duration, mark)


def failure_of(error: Exception) -> Failure:
    """An error on reading a video as that video's failure: the others are to be scored.

    Raises:
        PtvHubError: what was not the video's fault, and would happen with every one.
    """
    if isinstance(error, VideoError):
        # A clip's number would make a reason of its own of each.
        same = "no frame falls into a clip" if isinstance(error, EmptyClip) else error.what
        return Failure(same, str(error))
    if isinstance(error, PtvHubError):
        raise error
    kind = type(error).__name__  # a decoder's, or a library's
    return Failure(f"decoding failed: {kind}", f"{kind}: {error}")


def look(item: Item) -> None:
    """What a decoder would tell less plainly."""
    if isinstance(item.video, Frames):
        folder = Path(next(item.video.paths())).parent
        if not folder.is_dir():
            raise VideoError("there is no such video", where=folder)
    elif os.path.isfile(item.video) and os.path.getsize(item.video) == 0:
        raise VideoError("the video file is empty", where=item.video, found="0 bytes")
