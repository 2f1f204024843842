"""A model and a live source -> what it says of each window, as soon as that is whole."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import TracebackType

import torch

from ptv_hub.errors import UsageError
from ptv_hub.inference.batching import ViewBatches, device_of
from ptv_hub.inference.live import Clock, Feed, Origin, origin_of
from ptv_hub.inference.predict import SCORES, best_classes, how_many, ready_model, scores_of
from ptv_hub.inference.ring import Ring, Taken
from ptv_hub.inference.sliding import Seen, Wanted, sliding_windows
from ptv_hub.inference.timestamps import Timestamps
from ptv_hub.inference.windows import frames_of_window, window_lengths
from ptv_hub.models.builders import ActionModel, activated
from ptv_hub.zoo.entry import Entry

_FINEST = 16
"""Frames of the stream to each that the model takes, at most: of a camera of 240 a second some
are passed over."""


class Watched(Seen):
    """What a model says of one window of a stream, and what was left out before it."""

    skipped: int
    """Windows that were passed over since the one before, since newer ones were whole."""
    dropped: int
    """Frames of theirs that no window showed to the model."""
    behind: float
    """Seconds of the stream that had come after the window when it was taken."""


@dataclass(frozen=True)
class Following:
    """How a source is followed."""

    realtime: bool = False
    """Give a recording at its own pace, and leave out what the model has no time for."""
    retries: int = 5
    """How often in a row a live source is opened again in vain."""
    clock: Clock = field(default_factory=Clock)
    say: Callable[[str], object] = lambda _: None
    """Is told, from another thread, what breaks."""


class Watching:
    """The windows of a source, in order of time; to be closed, or gone through to the end."""

    def __init__(self, model: ActionModel, origin: Origin, wanted: Wanted, how: Following) -> None:
        self._model, self._wanted = model, wanted
        spec = model.entry.input
        self._length, stride = window_lengths(spec, wanted.windows)
        closest = self._length / (_FINEST * spec.num_frames)
        every = not origin.live and not how.realtime
        self._ring = Ring(self._length, stride, closest, every=every)
        self._feed = Feed(
            origin,
            self._ring,
            spec,
            paced=how.realtime,
            retries=how.retries,
            clock=how.clock,
            say=how.say,
        )
        self.windows, self.skipped, self.dropped = 0, 0, 0
        self._begun = False

    def __iter__(self) -> Iterator[Watched]:
        """Each window as soon as it is whole; where newer ones are, those before it are not given.

        Raises:
            VideoError: the source cannot be opened, or is gone for good.
        """
        if not self._begun:
            self._begun = True
            self._feed.start()
        return self._windows()

    def _windows(self) -> Iterator[Watched]:
        try:
            while (taken := self._ring.take()) is not None:
                self.windows += 1
                self.skipped += taken.skipped
                self.dropped += taken.dropped
                yield self._said(taken)
        finally:
            self.close()

    def close(self) -> None:
        """Let go of the source; a read that waits for a packet ends by itself within seconds."""
        self._ring.stop()
        if self._feed.is_alive():
            self._feed.join(timeout=1)

    def __enter__(self) -> Watching:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def _said(self, taken: Taken) -> Watched:
        model, item = self._model, self._model.entry
        clip = self._clip(taken)
        with activated(model, item.protocol.activation), torch.inference_mode():
            views = ViewBatches(scores_of(model), item.input, device_of(model), 1).video()
            views.add((clip,))
            scores = views.result((0,), 1)[SCORES][0]
        count = how_many(item, self._wanted.top_k, self._wanted.threshold)
        start = taken.stretch.begin + taken.start
        return Watched(
            start=float(start),
            end=float(start + self._length),
            predictions=best_classes(scores, item, count, self._wanted.threshold),
            skipped=taken.skipped,
            dropped=taken.dropped,
            behind=float(taken.behind),
        )

    def _clip(self, taken: Taken) -> torch.Tensor:
        """The frames that the model takes of a window, as of a file's: (3, T, S, S)."""
        base, first = taken.stretch.base, taken.stretch.first
        whole = taken.start // base  # ticks; what is over them stays, so that no frame changes side
        offset = taken.start - whole * base
        stamps = Timestamps(taken.ticks, base, first + int(whole), offset + self._length)
        windows, spec = self._wanted.windows, self._model.entry.input
        chosen = frames_of_window(stamps, spec, windows, offset, self._length)
        return torch.cat([taken.frames[place] for place in chosen], dim=1)


def watch(
    model: ActionModel | Entry | str | os.PathLike[str],
    source: str | os.PathLike[str],
    *,
    window: object = None,
    stride: object = None,
    top_k: int | None = None,
    threshold: float | None = None,
    realtime: bool = False,
    retries: int = 5,
    weights: str | os.PathLike[str] | None = None,
    any_weights: bool = False,
    device: str | torch.device | None = None,
    say: Callable[[str], object] = lambda _: None,
) -> Watching:
    """Follow a live source: an iterator of what the model says of each window.

        with ptv_hub.watch("x3d_m", "rtsp://camera/stream") as windows:
            for one in windows:
                print(one.end, one.predictions[0].label)

    When the model is slower than the stream, the newest whole window is taken, and what was left
    out is counted in the next ``Watched``. A recording without ``realtime`` is gone through
    window by window instead. What is held is bounded by a window and a stride of frames.

    Args:
        model: as for ``predict``.
        source: ``"0"`` or ``"/dev/video0"`` (a camera), ``rtsp://``, ``http://``, or a file.
        window, stride, top_k, threshold: as for ``annotate``.
        realtime: give a recording, a file or behind an address, at its own pace.
        retries: how often in a row a live source is opened again in vain, after 1, 2, 4, ... 30
            seconds; one that cannot be opened at first is not.
        weights, any_weights, device: as for ``predict``.
        say: is told what breaks, in words, from another thread.

    Raises:
        UsageError: lengths or a source that are not understood.
        VideoError: there is no such file; later, the source cannot be read, or is gone.
    """
    if (top_k is not None and top_k < 1) or retries < 0:
        raise UsageError("too few", expected="top_k from 1 on, retries from 0 on")
    origin = origin_of(os.fspath(source), realtime=realtime)
    net = ready_model(model, weights, any_weights=any_weights, device=device)
    wanted = Wanted(sliding_windows(net.entry.input, window, stride), top_k, threshold)
    return Watching(net, origin, wanted, Following(realtime=realtime, retries=retries, say=say))
