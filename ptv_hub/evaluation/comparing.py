"""Two runs over one list -> which is better, how sure that is, and the videos that changed."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ptv_hub.datasets.listing import Item
from ptv_hub.errors import EvaluationError
from ptv_hub.evaluation import metrics
from ptv_hub.evaluation.collected import Collected, collect
from ptv_hub.evaluation.findings import label_of
from ptv_hub.runs.settings import Header
from ptv_hub.zoo.records import Record

_RESAMPLES = 10_000


class ComparedRun(Record):
    """One of the two runs."""

    model: str
    weights_digest: str | None
    views: str
    """Clips x crops."""
    value: float | None
    """Its metric over the videos that both have scored, percent."""


class ChangedVideo(Record):
    """A video that the runs do not do equally well on."""

    id: str
    labels: tuple[str, ...]
    predicted: tuple[str, str]
    """By the first run, and by the second."""
    scores: tuple[float, float]
    """Of its class (one label a video), or the average precisions of its labels; 0 to 1."""


class RunComparison(Record):
    """What ``compare`` found: the second run against the first."""

    metric: str
    """``top1`` or ``mean_average_precision``."""
    runs: tuple[ComparedRun, ComparedRun]
    listed: int
    videos: int
    """Scored by both: all numbers are over these."""
    difference: float | None
    """The second's metric minus the first's, points."""
    low: float | None = None
    """95 % interval of the difference, points."""
    high: float | None = None
    interval: str | None = None
    """How it was taken."""
    only_first: int | None = None
    """Videos that the first run alone has right; null for several labels a video."""
    only_second: int | None = None
    p_value: float | None = None
    """McNemar's exact test: how likely videos are to change sides this unevenly by chance."""
    lost: tuple[ChangedVideo, ...]
    """Right by the first run alone; of several labels: ranked worse by the second. Those that
    changed most come first."""
    gained: tuple[ChangedVideo, ...]


def compare(first: Path, second: Path) -> RunComparison:
    """Hold one run's scores against another's, video by video.

    Args:
        first, second: folders of runs of ``evaluate``, over one list of videos.

    Raises:
        EvaluationError: no journals there, or runs of different lists, metrics or classes.
    """
    with ExitStack() as stack:
        runs = collect([first], stack), collect([second], stack)
        _require_one_list(*runs, where=(first, second))
        return _compared(*runs)


def _require_one_list(one: Collected, other: Collected, *, where: tuple[Path, Path]) -> None:
    lists = [{item.id: item.labels for item in run.items} for run in (one, other)]
    if lists[0] != lists[1]:
        apart = [len(a.items() - b.items()) for a, b in (lists, lists[::-1])]
        raise EvaluationError(
            "the runs are over different lists of videos, which cannot be compared",
            where=f"{where[0]}, {where[1]}",
            expected="the same videos with the same labels",
            found=f"{apart[0]} of {len(lists[0])} are the first's alone, "
            f"{apart[1]} of {len(lists[1])} the second's",
            fix="evaluate both models with the same --data, --limit, --sample and --seed",
        )
    told = [_kind(run.header) for run in (one, other)]
    if told[0] != told[1]:
        raise EvaluationError(
            "the runs measure different things",
            where=f"{where[0]}, {where[1]}",
            expected=told[0],
            found=told[1],
        )


def _kind(header: Header) -> str:
    settings = header.settings
    return f"{settings.protocol.metric} over {settings.num_classes} classes"


@dataclass(frozen=True)
class _Both:
    """The videos that both runs have scored."""

    header: Header
    items: list[Item]
    scores: tuple[metrics.Scores, metrics.Scores]

    def changed(
        self, places: Sequence[int], own: Sequence[NDArray[np.float64]]
    ) -> list[ChangedVideo]:
        entry = self.header.entry
        return [
            ChangedVideo(
                id=self.items[n].id,
                labels=tuple(label_of(entry, index) for index in self.items[n].labels),
                predicted=(
                    label_of(entry, int(self.scores[0][n].argmax())),
                    label_of(entry, int(self.scores[1][n].argmax())),
                ),
                scores=(float(own[0][n]), float(own[1][n])),
            )
            for n in places
        ]


def _compared(one: Collected, other: Collected) -> RunComparison:
    both = _both(one, other)
    one_label = one.header.settings.protocol.metric == "top1"
    return (_of_one_label if one_label else _of_many_labels)(both, (one, other))


def _both(one: Collected, other: Collected) -> _Both:
    scores = [
        {item.id: row.scores for item, row in run.rows() if row and row.scores is not None}
        for run in (one, other)
    ]
    items = [item for item in one.items if item.id in scores[0] and item.id in scores[1]]
    nothing = np.zeros((0, one.header.settings.num_classes), np.float32)
    pair = [np.stack([of[item.id] for item in items]) if items else nothing for of in scores]
    return _Both(one.header, items, (pair[0], pair[1]))


def _run(collected: Collected, value: float | None) -> ComparedRun:
    settings = collected.header.settings
    protocol = settings.protocol
    views = f"{protocol.num_clips}x{protocol.num_crops}"
    return ComparedRun(
        model=settings.model, weights_digest=settings.weights, views=views, value=value
    )


def _of_one_label(both: _Both, runs: tuple[Collected, Collected]) -> RunComparison:
    labels = np.array([item.labels[0] for item in both.items], np.int64)
    right = [scores.argmax(axis=1) == labels for scores in both.scores]
    own = [scores[np.arange(len(labels)), labels].astype(np.float64) for scores in both.scores]
    lost, gained = np.flatnonzero(right[0] & ~right[1]), np.flatnonzero(~right[0] & right[1])
    most = np.abs(own[0] - own[1])
    count = len(labels)
    interval = metrics.paired_interval(len(lost), len(gained), count, _RESAMPLES)
    values = [100 * float(one.mean()) if count else None for one in right]
    return RunComparison(
        metric="top1",
        runs=(_run(runs[0], values[0]), _run(runs[1], values[1])),
        listed=len(runs[0].items),
        videos=count,
        difference=100 * (len(gained) - len(lost)) / count if count else None,
        low=interval and interval.low,
        high=interval and interval.high,
        interval=interval and interval.method,
        only_first=len(lost),
        only_second=len(gained),
        p_value=metrics.mcnemar(len(lost), len(gained)),
        lost=tuple(both.changed(_by(most, lost), own)),
        gained=tuple(both.changed(_by(most, gained), own)),
    )


def _of_many_labels(both: _Both, runs: tuple[Collected, Collected]) -> RunComparison:
    marks = metrics.marks([item.labels for item in both.items], both.scores[0].shape[1])
    values = [
        metrics.mean_average_precision(scores, marks) if len(scores) else None
        for scores in both.scores
    ]
    own = [
        metrics.video_precisions(scores, marks) / 100 if len(scores) else np.zeros(0)
        for scores in both.scores
    ]
    moved = np.nan_to_num(own[1] - own[0])
    interval = metrics.paired_bootstrap(*both.scores, marks)
    known = values[0] is not None and values[1] is not None
    return RunComparison(
        metric="mean_average_precision",
        runs=(_run(runs[0], values[0]), _run(runs[1], values[1])),
        listed=len(runs[0].items),
        videos=len(both.items),
        difference=(values[1] or 0.0) - (values[0] or 0.0) if known else None,
        low=interval and interval.low,
        high=interval and interval.high,
        interval=interval and interval.method,
        lost=tuple(both.changed(_by(-moved, np.flatnonzero(moved < 0)), own)),
        gained=tuple(both.changed(_by(moved, np.flatnonzero(moved > 0)), own)),
    )


def _by(most: NDArray[np.float64], places: NDArray[np.intp]) -> list[int]:
    """The places, those of the most first."""
    return [int(n) for n in places[np.argsort(-most[places], kind="stable")]]
