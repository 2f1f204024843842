"""``ptv_hub.finetune``: what ``ptv-hub finetune`` does, in one call."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from ptv_hub.training.engine import train
from ptv_hub.training.finetuning import finetuning
from ptv_hub.training.result import Progress, TrainingResult
from ptv_hub.training.source import read_source
from ptv_hub.weights.named import named, weights_file
from ptv_hub.zoo.entry import Entry


def finetune(
    name: str | os.PathLike[str] | Entry,
    data: str | os.PathLike[str],
    output: str | os.PathLike[str] = "finetuned",
    opts: Sequence[object] = (),
    *,
    num_classes: int | Literal["auto"] = "auto",
    weights: str | os.PathLike[str] | None = None,
    labels: str | os.PathLike[str] | None = None,
    videos: str | os.PathLike[str] | None = None,
    holdout: float = 0.1,
    freeze_stages: int = 0,
    group_by: str | None = None,
    more: Mapping[str, Any] | None = None,
    report: Callable[[Progress], None] | None = None,
    **how: Any,
) -> TrainingResult:
    """Train a model further, for classes of one's own.

    Args:
        name: the model to begin from, as ``load`` takes it.
        data, videos, num_classes, labels, holdout, group_by: as
            ``training.source.read_source`` takes them.
        output: the folder of the run; a run that was interrupted there goes on.
        opts: PySlowFast's keys and values: ``["SOLVER.MAX_EPOCH", 20, "TRAIN.BATCH_SIZE", 16]``.
        weights: what to begin from in place of the model's own, as ``load`` takes it.
        freeze_stages: blocks from the input on that do not learn.
        more: of the recipe what PySlowFast has no key for: ``accumulate``, ``ema_decay``,
            ``patience``, ``balance`` (``zoo.recipe.Recipe``).
        report: called as the run goes on.
        how: all else that ``training.engine.train`` takes: ``device``, ``check``, ``loggers``, ...

    Raises:
        PtvHubError: as ``load``, ``read_source`` and ``train``.
    """
    asked = named(name, None)
    settings = finetuning(
        asked.entry, output=os.fspath(output), frozen_stages=freeze_stages, opts=opts, more=more
    )
    source = read_source(
        settings.entry,
        Path(data),
        videos=None if videos is None else Path(videos),
        num_classes=num_classes,
        labels=None if labels is None else Path(labels),
        holdout=holdout,
        seed=settings.recipe.seed,
        group_by=group_by,
    )
    settings = settings.model_copy(update={"entry": source.entry})
    start = weights if weights is not None else name
    file = asked.file if weights is None else None
    if file is None:
        file = _own(start) if isinstance(start, Entry) else weights_file(start)
    return train(settings, source, weights=file, report=report, **how)


def _own(entry: Entry) -> Path:
    from ptv_hub.fetching.artifacts import fetch

    return fetch(entry).path
