"""The accuracy of a model that is attested, where its videos are at hand."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ptv_hub.datasets.reading import read_listing
from ptv_hub.evaluation.loop import evaluate
from ptv_hub.models.builders import ActionModel
from ptv_hub.zoo.entry import Entry, Measured
from ptv_hub.zoo.names import file_name

_FEW = 32
"""Videos for which no process is worth starting."""


@dataclass(frozen=True)
class Videos:
    """Where the validation videos lie."""

    data: Path
    """A folder for each data set (``kinetics400``, ``ssv2``, ``charades``), or one data set's."""
    out: Path
    """Below it a folder of journals for each model."""
    videos: Path | None = None
    """The folder below which they lie, where it is not beside the annotation."""

    def of(self, item: Entry) -> Path | None:
        """The folder of a model's data set; ``None`` where there is none for it."""
        own = self.data / item.dataset
        if own.is_dir():
            return own
        others = any((self.data / name).is_dir() for name in ("kinetics400", "ssv2", "charades"))
        return None if others else self.data


def measured(model: ActionModel, where: Videos, *, progress: bool) -> Measured | None:
    """The accuracy by the published protocol; ``None`` where the data set is not at hand.

    Raises:
        DataError, EvaluationError, WriteError: as ``evaluate``.
    """
    item = model.entry
    folder = where.of(item)
    if folder is None:
        return None
    listing = read_listing(item, folder, videos=where.videos)
    few = len(listing.items) <= _FEW
    workers = 0 if few else max(1, (os.cpu_count() or 2) // 2)
    out = where.out / file_name(item.name)
    result = evaluate(model, listing, out=out, workers=workers, progress=progress)
    if result is None or result.counts.scored == 0:
        return None
    headline = next(row for row in result.comparisons if row.metric == result.metric)
    return Measured(
        **result.metrics.model_dump(),
        scored=result.counts.scored,
        listed=result.counts.listed,
        lost=headline.lost
        if headline.lost is not None
        else 100 * result.counts.failed / result.counts.listed,
        reproduced=headline.reproduced,
    )
