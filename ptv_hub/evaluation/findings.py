"""Scores and labels -> what is told of them: of one label a video, or of any number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptv_hub.datasets.listing import Item
from ptv_hub.evaluation import metrics
from ptv_hub.evaluation.result import (
    ClassResult,
    Confidence,
    Confusion,
    ConfusionMatrix,
    HardVideo,
    Metrics,
)
from ptv_hub.zoo.entry import Entry

_PAIRS = 20
_HARDEST = 20
_MATRIX = 20  # classes


def label_of(entry: Entry, index: int) -> str:
    """A class's name, or its number where it has none."""
    return entry.labels[index] if entry.labels else f"class {index}"


class OneLabel:
    """What is told of videos with one label: accuracies."""

    def __init__(self, scores: metrics.Scores, items: Sequence[Item], entry: Entry) -> None:
        self._scores, self._items, self._entry = scores, items, entry
        self._labels = np.array([item.labels[0] for item in items], np.int64)
        self._right = {k: metrics.top_k(scores, self._labels, k) for k in (1, 5)}
        self.metrics = self._of(len(items))

    def _of(self, count: int) -> Metrics:
        top1, top5 = (
            None if not count or right is None else 100 * right / count
            for right in self._right.values()
        )
        return Metrics(top1=top1, top5=top5)

    def with_failures(self, failed: Sequence[Item]) -> Metrics:
        if not self._items:
            return Metrics(top1=0.0, top5=0.0) if failed else Metrics()
        return self._of(len(self._items) + len(failed))

    def interval(self) -> metrics.Interval | None:
        right = self._right[1]
        return None if right is None else metrics.wilson_interval(right, len(self._items))

    def classes(self) -> tuple[ClassResult, ...]:
        found = np.bincount(self._labels, minlength=self._scores.shape[1])
        if not self._items:
            return ()
        values = metrics.class_accuracies(self._scores, self._labels)
        return _classes(self._entry, found, values)

    def confusions(self) -> tuple[Confusion, ...]:
        if not self._items:
            return ()
        return tuple(
            Confusion(
                label=label_of(self._entry, true),
                predicted=label_of(self._entry, said),
                videos=count,
            )
            for true, said, count in metrics.confusions(self._scores, self._labels, _PAIRS)
        )

    def matrix(self) -> ConfusionMatrix | None:
        if not self._items:
            return None
        chosen, counts = metrics.most_confused(self._scores, self._labels, _MATRIX)
        labels = tuple(label_of(self._entry, index) for index in chosen)
        return ConfusionMatrix(labels=labels, counts=tuple(map(tuple, counts.tolist())))

    def reliability(self) -> tuple[Confidence, ...]:
        if not self._items:
            return ()
        right = self._scores.argmax(axis=1) == self._labels
        return _reliability(self._scores.max(axis=1), right)

    def hardest(self) -> tuple[HardVideo, ...]:
        own = self._scores[np.arange(len(self._labels)), self._labels]
        return _hardest(self._entry, self._items, self._scores, own)


class ManyLabels:
    """What is told of videos with any number of labels: average precisions."""

    def __init__(self, scores: metrics.Scores, items: Sequence[Item], entry: Entry) -> None:
        self._scores, self._items, self._entry = scores, items, entry
        self._marks = metrics.marks([item.labels for item in items], scores.shape[1])
        self.metrics = Metrics(
            mean_average_precision=metrics.mean_average_precision(scores, self._marks)
        )

    def with_failures(self, failed: Sequence[Item]) -> Metrics:
        # No score for any class: ranked behind every video that has one.
        nothing = np.full((len(failed), self._scores.shape[1]), -1, np.float32)
        marks = metrics.marks([item.labels for item in failed], self._scores.shape[1])
        return Metrics(
            mean_average_precision=metrics.mean_average_precision(
                np.concatenate([self._scores, nothing]), np.concatenate([self._marks, marks])
            )
        )

    def interval(self) -> metrics.Interval | None:
        return metrics.bootstrap_interval(self._scores, self._marks)

    def classes(self) -> tuple[ClassResult, ...]:
        values = metrics.average_precisions(self._scores, self._marks)
        return _classes(self._entry, self._marks.sum(axis=0), values)

    def confusions(self) -> tuple[Confusion, ...]:
        return ()

    def matrix(self) -> ConfusionMatrix | None:
        return None

    def reliability(self) -> tuple[Confidence, ...]:
        return _reliability(self._scores.ravel(), self._marks.ravel().astype(bool))

    def hardest(self) -> tuple[HardVideo, ...]:
        if not self._items:
            return ()
        own = metrics.video_precisions(self._scores, self._marks) / 100
        return _hardest(self._entry, self._items, self._scores, own)


def _classes(
    entry: Entry, counts: NDArray[Any], values: NDArray[np.float64]
) -> tuple[ClassResult, ...]:
    return tuple(
        ClassResult(
            index=index,
            label=label_of(entry, index),
            videos=int(count),
            value=None if np.isnan(value) else float(value),
        )
        for index, (count, value) in enumerate(zip(counts, values, strict=True))
    )


def _reliability(scores: NDArray[np.float32], right: NDArray[np.bool_]) -> tuple[Confidence, ...]:
    return tuple(
        Confidence(low=low, high=high, count=count, score=score, right=share)
        for low, high, count, score, share in metrics.reliability(scores, right)
    )


def _hardest(
    entry: Entry, items: Sequence[Item], scores: metrics.Scores, own: NDArray[Any]
) -> tuple[HardVideo, ...]:
    order = [int(place) for place in np.argsort(own, kind="stable") if not np.isnan(own[place])]
    return tuple(
        HardVideo(
            id=items[place].id,
            labels=tuple(label_of(entry, index) for index in items[place].labels),
            predicted=label_of(entry, int(scores[place].argmax())),
            score=float(own[place]),
        )
        for place in order[:_HARDEST]
    )
