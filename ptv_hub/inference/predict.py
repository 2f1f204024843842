"""A model and a video -> labelled scores, as the zoo was evaluated: the views of its protocol,
its activation at each position, its ensemble over the views."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ptv_hub.engines.device import usable_device
from ptv_hub.errors import UsageError, WrongInput
from ptv_hub.inference.batching import Outputs, over_views
from ptv_hub.inference.prediction import ClassScore as ClassScore
from ptv_hub.inference.prediction import Moment as Moment
from ptv_hub.inference.prediction import Prediction as Prediction
from ptv_hub.inference.transforms import ModelInput
from ptv_hub.inference.video import Source, open_video
from ptv_hub.inference.viewing import ProtocolViews
from ptv_hub.inference.views import Clip, parse_views
from ptv_hub.models.builders import ActionModel, activated
from ptv_hub.weights.load import load
from ptv_hub.zoo.entry import Entry
from ptv_hub.zoo.input_spec import Protocol

SCORES = "scores"
"""Name of what predictions are made from, among what is taken of a model."""


@dataclass(frozen=True)
class VideoScores:
    """The scores of every view of one video."""

    video: str
    scores: Tensor
    """Float32, shape (views, classes); view = clip * crops + crop."""
    clips: tuple[Clip, ...]
    num_crops: int
    duration: float
    notes: tuple[str, ...]


def predict(
    model: ActionModel | Entry | str | os.PathLike[str],
    video: Source,
    top_k: int | None = None,
    views: str | Sequence[int] | None = None,
    *,
    threshold: float | None = None,
    timeline: bool = False,
    weights: str | os.PathLike[str] | None = None,
    any_weights: bool = False,
    clip_sampling: str | None = None,
    fps: float | None = None,
    allow_broken: bool = False,
    batch_views: int = 1,
    device: str | torch.device | None = None,
    progress: bool = False,
) -> Prediction:
    """The best classes of a video.

    Args:
        model: a loaded model (what it returns is put back after), or what ``load`` takes.
        video: a path, URL, bytes, folder or list of images, or frames (T, H, W, 3) of uint8.
        top_k: how many classes; 5, or with ``threshold`` as many as reach it.
        views: clips x crops, ``"10x3"`` or ``(10, 3)``; the published protocol's if not given.
        threshold: leave out classes with a lower score (for models of several labels a video).
        timeline: also the scores of each clip.
        weights, any_weights: of a model given by name, as for ``load``.
        clip_sampling: ``"release"`` or ``"main"``, the entry's if not given.
        fps: frames per second of a folder or an array; 30 if not given.
        allow_broken: keep what can be decoded of a damaged file; ``notes`` says so.
        batch_views: views that go through the model at once; more is for GPUs, and takes more
            memory.
        device: where it runs, as for ``load``; of a name ``"auto"``, a model stays where it is.
        progress: show a bar on stderr, or in a notebook, clip by clip.

    Raises:
        VideoError: the video cannot be read, or a clip of it has no frame.
        UsageError: a value that has no meaning, or a model in training mode.
    """
    if top_k is not None and top_k < 1:
        raise UsageError("no classes asked for", expected="top_k of 1 or more", found=top_k)
    net = ready_model(model, weights, any_weights=any_weights, device=device)
    protocol = protocol_for(net.entry, views, clip_sampling)
    told = Telling(net.entry, protocol, top_k, threshold, said_of_weights(net))
    found = score_video(
        net,
        video,
        told.protocol,
        fps=fps,
        allow_broken=allow_broken,
        batch_views=batch_views,
        progress=progress,
    )
    return told.of(found, timeline=timeline)


@dataclass(frozen=True)
class Telling:
    """What is said of a video's scores."""

    entry: Entry
    protocol: Protocol
    top_k: int | None = None
    """Classes; 5, or with a threshold as many as reach it."""
    threshold: float | None = None
    notes: tuple[str, ...] = ()
    """What is said of the weights (``said_of_weights``)."""

    def of(self, found: VideoScores, *, timeline: bool = False) -> Prediction:
        """The best classes; with ``timeline`` also each clip's."""
        item, protocol = self.entry, self.protocol
        count = how_many(item, self.top_k, self.threshold)
        best = best_classes(ensemble(found.scores, protocol.ensemble), item, count, self.threshold)
        return Prediction(
            video=found.video,
            model=item.name,
            dataset=item.dataset,
            predictions=best,
            views=f"{protocol.num_clips}x{protocol.num_crops}",
            clip_sampling=protocol.clip_sampling,
            activation=protocol.activation,
            ensemble=protocol.ensemble,
            duration=found.duration,
            timeline=_timeline(found, item, protocol, best, count) if timeline else None,
            notes=(*self.notes, *found.notes),
        )


def said_of_weights(model: ActionModel) -> tuple[str, ...]:
    """What every result says of weights that are not known to be the published ones."""
    doubt = None if model.origin is None else model.origin.doubt
    return () if doubt is None else (doubt,)


def ready_model(
    model: ActionModel | Entry | str | os.PathLike[str],
    weights: str | os.PathLike[str] | None = None,
    *,
    any_weights: bool = False,
    device: str | torch.device | None = None,
) -> ActionModel:
    """A model as it is, on the device that is asked for, or the one of a name, loaded.

    Of a name it is on ``auto``: a GPU where there is one.

    Raises:
        UsageError: weights for a model that has its own, or one in training mode.
        WrongInput: neither a model of this package nor a name.
    """
    if isinstance(model, (str, os.PathLike, Entry)):
        place = "auto" if device is None else device
        return load(model, weights=weights, any_weights=any_weights, device=place)
    if not isinstance(getattr(model, "entry", None), Entry):
        raise WrongInput(
            "not a model of the zoo",
            expected="what ptv_hub.load returns, or a name",
            found=f"a {type(model).__name__}",
        )
    if weights is not None:
        raise UsageError("weights are for a model given by name", found=f"weights={weights!r}")
    if model.training:
        raise UsageError(
            "the model is in training mode, and would give other scores each time",
            fix="model.eval()",
        )
    return model if device is None else model.to(usable_device(device))


def protocol_for(
    item: Entry, views: str | Sequence[int] | None, clip_sampling: str | None = None
) -> Protocol:
    """The entry's protocol with other views.

    Raises:
        UsageError: views that are not understood, or a sampling there is not.
    """
    if item.head.takes_boxes:
        raise UsageError(
            f"{item.name} scores boxes in a video, not the video",
            fix="ptv_hub.predict_boxes, or 'ptv-hub predict NAME VIDEO --boxes FILE'",
        )
    changes: dict[str, Any] = {}
    if views is not None:
        changes["num_clips"], changes["num_crops"] = parse_views(views)
    if clip_sampling is not None:
        if clip_sampling not in ("release", "main"):
            raise UsageError(
                "clip_sampling is not understood",
                expected="'release' or 'main'",
                found=repr(clip_sampling),
            )
        changes["clip_sampling"] = clip_sampling
    return item.protocol.model_copy(update=changes)


def score_video(
    model: ActionModel,
    video: Source,
    protocol: Protocol,
    *,
    fps: float | None = None,
    allow_broken: bool = False,
    batch_views: int = 1,
    progress: bool = False,
) -> VideoScores:
    """The scores of every view of a video, by the protocol's activation; nothing is ensembled.

    Raises:
        VideoError: as ``predict``.
    """
    with (
        open_video(video, fps=fps, allow_broken=allow_broken) as opened,
        activated(model, protocol.activation),
    ):
        viewing = ProtocolViews(model.entry.input, protocol)
        plan = viewing.plan(opened.timestamps)
        found = over_views(
            scores_of(model), model, opened, viewing, batch_views, plan=plan, progress=progress
        )
        duration = float(opened.timestamps.duration)
        notes = (*opened.notes, *plan.notes)
        return VideoScores(
            opened.name, found[SCORES], plan.clips, protocol.num_crops, duration, notes
        )


def scores_of(model: Callable[[ModelInput], Tensor]) -> Callable[[ModelInput], Outputs]:
    """A model as a function of views that gives its scores by name."""
    return lambda views: {SCORES: model(views)}


def ensemble(scores: Tensor, how: str) -> Tensor:
    """(views, classes) -> (classes,): the mean (PySlowFast sums), or the maximum (Charades)."""
    return scores.amax(dim=0) if how == "max" else scores.mean(dim=0)


def how_many(item: Entry, top_k: int | None, threshold: float | None) -> int:
    """Classes that are shown: 5 if ``top_k`` says no other number, or with a threshold all that
    reach it."""
    return top_k or (5 if threshold is None else item.num_classes)


def best_classes(
    scores: Tensor, item: Entry, count: int, threshold: float | None
) -> tuple[ClassScore, ...]:
    """The best of the scores of all classes, best first, that reach the threshold."""
    values, indices = scores.topk(min(count, len(scores)))
    return tuple(
        ClassScore(label=_label(item.labels, index), index=index, score=value)
        for value, index in zip(values.tolist(), indices.tolist(), strict=True)
        if threshold is None or value >= threshold
    )


def _label(labels: Sequence[str], index: int) -> str:
    """The class's name; a fine-tuned head may have none."""
    return labels[index] if labels else f"class {index}"


def _timeline(
    found: VideoScores, item: Entry, protocol: Protocol, best: tuple[ClassScore, ...], count: int
) -> tuple[Moment, ...]:
    moments = []
    for clip, views in zip(found.clips, torch.split(found.scores, found.num_crops), strict=True):
        scores = ensemble(views, protocol.ensemble)
        moments.append(
            Moment(
                start=float(clip.start),
                end=min(float(clip.end), found.duration),
                predictions=best_classes(scores, item, min(count, 5), None),
                scores=tuple(float(scores[one.index]) for one in best),
            )
        )
    return tuple(moments)
