"""A model and a video -> what it makes of each clip, or window, with its time."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ptv_hub.errors import UsageError
from ptv_hub.inference import similarity
from ptv_hub.inference.batching import over_views
from ptv_hub.inference.frames import Video
from ptv_hub.inference.outputs import EMBEDDING, MAPS, Extractor, channels_of, checked_outputs
from ptv_hub.inference.predict import protocol_for, ready_model, said_of_weights
from ptv_hub.inference.video import Source, has_no_rate, open_video
from ptv_hub.inference.viewing import ProtocolViews, Viewing, WindowViews
from ptv_hub.inference.views import ViewPlan
from ptv_hub.inference.windows import WindowPlan, Windows, asked_windows
from ptv_hub.models.builders import ActionModel
from ptv_hub.pages import figure, notebook
from ptv_hub.text import visible
from ptv_hub.zoo.entry import Entry

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure


@dataclass(frozen=True, repr=False)
class Features:
    """What a model makes of each clip, or window, of one video: a row each."""

    video: str
    """As it was given."""
    model: str
    """The entry's name."""
    outputs: Mapping[str, Tensor]
    """Name -> float32. Pooled: (rows, channels), the mean over the crops. Maps: of every view,
    (rows, crops, channels, T', H', W')."""
    start: tuple[float, ...]
    """Of each row, seconds from the beginning of the video."""
    end: tuple[float, ...]
    """Seconds; of a window that reaches beyond the video's end beyond it, of a clip not."""
    frames: tuple[tuple[int, ...], ...]
    """Of each row the frames that the model saw, by their number in the video."""
    rate: float
    """Frames a second in which ``start_frame`` and its like are counted: those of the resampled
    video; where it was not resampled, the model's ``target_fps``."""
    views: str
    """Clips x crops of a protocol, or what the windows are."""
    duration: float
    """Seconds."""
    notes: tuple[str, ...]
    """What was wrong with the video, in words."""

    @property
    def stage(self) -> str:
        """Name of the first output."""
        return next(iter(self.outputs)).removesuffix(MAPS)

    @property
    def values(self) -> Tensor:
        """The first output: (rows, channels), or as in ``outputs``."""
        return next(iter(self.outputs.values()))

    @property
    def centre(self) -> tuple[float, ...]:
        """Of each row, seconds."""
        return tuple((a + b) / 2 for a, b in zip(self.start, self.end, strict=True))

    def __repr__(self) -> str:
        shapes = ", ".join(f"{name} {tuple(made.shape)}" for name, made in self.outputs.items())
        name = visible(Path(self.video).name)
        return f"<Features {name}: {shapes} ({self.model}, {self.views})>"

    def _repr_html_(self) -> str:
        return notebook.table(
            Path(self.video).name,
            [(name, " x ".join(map(str, made.shape))) for name, made in self.outputs.items()],
            columns=("output", "shape"),
            notes=(f"{self.model}, {self.views}, {self.duration:.2f} s", *self.notes),
        )

    def plot(self) -> Figure:
        """How alike the rows are, by the first output: cosine similarity over time.

        Raises:
            MissingExtra: matplotlib is not installed.
        """
        size = figure.Size(520, 420)
        return figure.figure_of(lambda wide: similarity.plot(self.values, self.centre, wide), size)

    def to_pandas(self) -> pandas.DataFrame:
        """A row a clip or window.

        Columns: ``start`` and ``end`` in seconds, then of each pooled output a column a channel:
        ``embedding_0``, ``embedding_1`` and so on. Maps have no columns.

        Raises:
            UsageError: there are maps alone.
            MissingExtra: pandas is not installed.
        """
        pooled = {name: made for name, made in self.outputs.items() if made.ndim == 2}
        if not pooled:
            raise UsageError("maps are no table", found=", ".join(self.outputs), fix="pool=True")
        columns: dict[str, Sequence[object]] = {"start": self.start, "end": self.end}
        for name, made in pooled.items():
            columns |= {f"{name}_{n}": column for n, column in enumerate(made.T.numpy())}
        return notebook.data_frame(columns)


@dataclass(frozen=True)
class Wish:
    """What is to be taken, and of which views; checked against the model it is asked of."""

    entry: Entry
    outputs: tuple[str, ...]
    viewing: Viewing
    views: str


def features(
    model: ActionModel | Entry | str | os.PathLike[str],
    video: Source,
    *,
    window: object = None,
    stride: object = None,
    every: object = None,
    windows: Windows | None = None,
    fps: float | str | None = None,
    last: str = "back",
    consecutive: bool = False,
    crops: int = 1,
    take: str | Sequence[str] = (),
    stage: str | None = None,
    pool: bool = True,
    views: str | Sequence[int] | None = None,
    weights: str | os.PathLike[str] | None = None,
    any_weights: bool = False,
    clip_sampling: str | None = None,
    allow_broken: bool = False,
    batch_views: int = 1,
    device: str | torch.device | None = None,
    progress: bool = False,
) -> Features:
    """The features of a video: of dense windows, or of every clip of the published protocol.

    Args:
        model: as for ``predict``.
        video: as for ``predict``.
        window: length, in frames (32) or seconds ("2s"); the published clip's if not given.
        stride: from one window's start to the next; the window's length if not given.
        every: ``"2s"``: a window of two seconds every two seconds.
        windows: all that can be said of windows (a recipe's), in place of these.
        fps: the rate a video is resampled to before windows are laid over it (``"source"``: its
            own frames, counted); of a folder of frames or an array its own rate.
        last: what becomes of the end: ``back``, ``drop`` or ``pad``; see ``Windows.last``.
        consecutive: the window's first frames one after another, not spread over it.
        crops: of windows: 1 (the centre), 3, or 0 for all of each frame.
        take: names of outputs, all from one pass: ``embedding``; ``slow``, ``fast`` (a SlowFast's
            pathways); a stage, pooled (``"stage3"``) or whole (``"stage3:maps"``); ``logits``;
            ``scores``. The embedding if not given.
        stage, pool: one stage in place of ``take``; ``pool=False`` is its maps.
        views: clips x crops of the protocol, where no window is asked for.
        weights, any_weights, clip_sampling, allow_broken, batch_views, device, progress: as
            for ``predict``.

    Raises:
        UnknownName: the model has no such output.
        VideoError, UsageError: as ``predict``.
    """
    net = ready_model(model, weights, any_weights=any_weights, device=device)
    if window is not None or stride is not None or every is not None:
        if windows is not None:
            raise UsageError("windows are said twice", fix="leave out window, stride and every")
        windows = asked_windows(window, stride, every, fps, last=last, consecutive=consecutive)
    elif last != "back" or consecutive or (windows is None and crops != 1):
        raise UsageError(
            "this is for windows, and none are asked for in these words",
            found=f"last={last!r}, consecutive={consecutive}, crops={crops}",
            fix="give window, stride or every",
        )
    taken = _taken(take, stage, pool)
    wish = asked_features(net.entry, taken, windows, crops, views, clip_sampling)
    own = float(fps) if fps is not None and fps != "source" else None
    if windows is not None and not has_no_rate(video):
        own = None  # the windows' own affair
    with open_video(video, fps=own, allow_broken=allow_broken) as opened:
        return _extracted(net, opened, wish, batch_views, progress)


def _taken(take: str | Sequence[str], stage: str | None, pool: bool) -> tuple[str, ...]:
    """Names of outputs, by either way to ask for them."""
    taken = (take,) if isinstance(take, str) else tuple(take)
    if stage is None and pool:
        return taken
    if stage is None:
        raise UsageError("the embedding has no maps", fix="name a stage, or leave pool=True")
    return (*taken, stage if pool else f"{stage}{MAPS}")


def _extracted(
    net: ActionModel, video: Video, wish: Wish, batch_views: int, progress: bool
) -> Features:
    plan = wish.viewing.plan(video.timestamps)
    with Extractor(net, wish.outputs).attached() as extract:
        of_views = over_views(
            extract, net, video, wish.viewing, batch_views, plan=plan, progress=progress
        )
    notes = (*said_of_weights(net), *video.notes)
    return features_of(wish, video.name, of_views, plan, float(video.timestamps.duration), notes)


def asked_features(
    entry: Entry,
    take: Sequence[str],
    windows: Windows | None,
    crops: int = 1,
    views: str | Sequence[int] | None = None,
    clip_sampling: str | None = None,
) -> Wish:
    """What is asked for, if the model has it.

    Raises:
        UnknownName, UsageError: it has not, or the words contradict each other.
    """
    outputs = checked_outputs(entry, tuple(take) or (EMBEDDING,))
    if windows is None:
        protocol = protocol_for(entry, views, clip_sampling)
        told = f"{protocol.num_clips}x{protocol.num_crops}"
        return Wish(entry, outputs, ProtocolViews(entry.input, protocol), told)
    if views is not None or clip_sampling is not None:
        raise UsageError("windows or views of the protocol, not both", found=f"views={views!r}")
    if crops not in (0, 1, 3):
        raise UsageError("crops of a window", expected="1, 3, or 0 for all of it", found=crops)
    return Wish(entry, outputs, WindowViews(entry.input, windows, crops), _told(windows, crops))


def _told(windows: Windows, crops: int) -> str:
    """Windows in words, on a line."""
    words = [f"{key} {value}" for key, value in windows.model_dump(exclude_defaults=True).items()]
    return ", ".join([*(words or ["windows"]), f"{crops} crops" if crops else "whole frame"])


def features_of(
    wish: Wish,
    video: str,
    of_views: Mapping[str, Tensor],
    plan: ViewPlan,
    duration: float,
    notes: Sequence[str] = (),
) -> Features:
    """Features from what a model gave for every view: (rows * crops, ...) of each output."""
    rows = len(plan.clips)
    outputs = {}
    for name in wish.outputs:
        if not rows:
            outputs[name] = torch.empty(0, channels_of(wish.entry, name))
            continue
        values = of_views[name].reshape(rows, plan.num_crops, *of_views[name].shape[1:])
        outputs[name] = values if name.endswith(MAPS) else values.mean(dim=1)
    dense = isinstance(plan, WindowPlan)
    ends = [float(clip.end) for clip in plan.clips]
    rate = plan.rate if isinstance(plan, WindowPlan) else wish.entry.input.target_fps
    return Features(
        video=video,
        model=wish.entry.name,
        outputs=outputs,
        start=tuple(float(clip.start) for clip in plan.clips),
        end=tuple(ends if dense else (min(end, duration) for end in ends)),
        frames=tuple(clip.frames for clip in plan.clips),
        rate=float(rate),
        views=wish.views,
        duration=duration,
        notes=(*notes, *plan.notes),
    )
