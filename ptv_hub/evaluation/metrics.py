"""Scores and labels -> the numbers of the published protocols, by scikit-learn and SciPy.

Accuracies and mAP are percent. mAP is the mean over the classes that occur of scikit-learn's
average precision, as PySlowFast's ``slowfast/utils/meters.py`` takes it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float32]
"""Of each video and class, (N, C)."""
Labels = NDArray[np.int64]
"""Class of each video, (N,)."""
Marks = NDArray[np.uint8]
"""Whether a video has a class, (N, C), 0 or 1."""

_RESAMPLES = 200
_FEWEST = 30  # videos of which a bootstrap says something


@dataclass(frozen=True)
class Interval:
    low: float
    """Percent, as ``high``."""
    high: float
    method: str


def marks(labels: Sequence[Sequence[int]], classes: int) -> Marks:
    """The class indices of each video as 0 and 1 of all classes, shape (videos, classes)."""
    found = np.zeros((len(labels), classes), np.uint8)
    for row, indices in enumerate(labels):
        found[row, list(indices)] = 1
    return found


def top_k(scores: Scores, labels: Labels, k: int) -> int | None:
    """How many videos have their class among their ``k`` best; ``None`` with fewer classes."""
    from sklearn.metrics import accuracy_score, top_k_accuracy_score

    classes = scores.shape[1]
    if k > classes or len(labels) == 0:
        return None
    if k == 1:
        return int(accuracy_score(labels, scores.argmax(axis=1), normalize=False))
    if k == classes:
        return len(labels)
    return int(
        top_k_accuracy_score(labels, scores, k=k, normalize=False, labels=np.arange(classes))
    )


def class_accuracies(scores: Scores, labels: Labels) -> NDArray[np.float64]:
    """Top-1 over the videos of each class, percent, shape (C,); NaN where there is none."""
    from sklearn.metrics import recall_score

    classes = np.arange(scores.shape[1])
    recalls = recall_score(
        labels, scores.argmax(axis=1), labels=classes, average=None, zero_division=np.nan
    )
    return np.asarray(100 * recalls, np.float64)


def confusions(scores: Scores, labels: Labels, count: int) -> list[tuple[int, int, int]]:
    """(class, class predicted in its place, videos), the most frequent pairs first."""
    from sklearn.metrics import confusion_matrix

    matrix = confusion_matrix(labels, scores.argmax(axis=1), labels=np.arange(scores.shape[1]))
    np.fill_diagonal(matrix, 0)
    order = np.argsort(-matrix, axis=None, kind="stable")[:count]
    pairs = (divmod(int(place), matrix.shape[1]) for place in order)
    return [(true, said, int(matrix[true, said])) for true, said in pairs if matrix[true, said]]


def most_confused(
    scores: Scores, labels: Labels, count: int
) -> tuple[list[int], NDArray[np.int64]]:
    """The classes that are in most confusions, at most ``count``, by index; and their matrix.

    The matrix is (classes, classes + 1): its last column is what else they were taken for.
    """
    from sklearn.metrics import confusion_matrix

    whole = confusion_matrix(labels, scores.argmax(axis=1), labels=np.arange(scores.shape[1]))
    wrong = whole - np.diag(np.diag(whole))
    worst = np.argsort(-(wrong.sum(axis=0) + wrong.sum(axis=1)), kind="stable")[:count]
    chosen = np.sort(worst)
    inner = whole[np.ix_(chosen, chosen)]
    others = whole[chosen].sum(axis=1, keepdims=True) - inner.sum(axis=1, keepdims=True)
    return chosen.tolist(), np.hstack([inner, others])


def reliability(
    scores: NDArray[np.float32], right: NDArray[np.bool_], parts: int = 10
) -> list[tuple[float, float, int, float, float]]:
    """How often what scores say is so: of each part of 0 to 1 that holds any its bounds, their
    number, their mean, and the share that is right.

    ``scores`` and ``right`` are of one shape, (N,).
    """
    from scipy.stats import binned_statistic

    if not len(scores):
        return []
    values = np.stack([scores.astype(np.float64), right.astype(np.float64)])
    clipped = np.clip(values[0], 0, 1)
    means, edges, places = binned_statistic(clipped, values, "mean", parts, range=(0, 1))
    counts = np.bincount(places - 1, minlength=parts)
    return [
        (
            *(float(edges[n]), float(edges[n + 1]), int(counts[n])),
            *(float(means[0, n]), float(means[1, n])),
        )
        for n in range(parts)
        if counts[n]
    ]


def average_precisions(scores: Scores, marks: Marks) -> NDArray[np.float64]:
    """Average precision of each class, percent, shape (C,); NaN where it does not occur."""
    from sklearn.metrics import average_precision_score

    occurs = marks.any(axis=0)
    values = np.full(marks.shape[1], np.nan)
    if occurs.any():
        mine, theirs = marks[:, occurs], scores[:, occurs]
        if mine.shape[1] == 1:  # scikit-learn takes a matrix of one column for something else
            mine, theirs = mine[:, 0], theirs[:, 0]
        values[occurs] = 100 * average_precision_score(mine, theirs, average=None)
    return values


def mean_average_precision(scores: Scores, marks: Marks) -> float | None:
    """mAP over the classes that occur, percent; ``None`` if none does."""
    values = average_precisions(scores, marks)
    return None if np.isnan(values).all() else float(np.nanmean(values))


def video_precisions(scores: Scores, marks: Marks) -> NDArray[np.float64]:
    """Average precision of each video's ranking of the classes, percent, (N,); NaN unlabelled."""
    return average_precisions(scores.T, marks.T)


def wilson_interval(correct: int, total: int) -> Interval:
    """95 % Wilson interval of an accuracy, percent."""
    from scipy.stats import binomtest

    interval = binomtest(correct, total).proportion_ci(0.95, method="wilson")
    return Interval(100 * interval.low, 100 * interval.high, "Wilson, 95 %")


def bootstrap_interval(scores: Scores, marks: Marks) -> Interval | None:
    """95 % bootstrap interval of mAP over videos, percent; ``None`` for too few of them."""

    def statistic(rows: NDArray[np.int64]) -> float:
        value = mean_average_precision(scores[rows], marks[rows])
        return np.nan if value is None else value

    return _bootstrapped(statistic, marks, "bootstrap")


def _bootstrapped(
    statistic: Callable[[NDArray[np.int64]], float], marks: Marks, method: str
) -> Interval | None:
    """95 % percentile interval of a number of the videos in these rows; ``None`` for too few."""
    from scipy.stats import bootstrap

    if len(marks) < _FEWEST or not marks.any():
        return None
    found = bootstrap(
        (np.arange(len(marks)),),
        statistic,
        n_resamples=_RESAMPLES,
        vectorized=False,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    told = f"{method} over videos, {_RESAMPLES} resamples, 95 %"
    return Interval(float(found.low), float(found.high), told)


def mcnemar(only_first: int, only_second: int) -> float:
    """McNemar's exact test: the probability that what changes sides does so this unevenly."""
    from scipy.stats import binomtest

    changed = only_first + only_second
    return float(binomtest(only_first, changed, 0.5).pvalue) if changed else 1.0


def paired_interval(
    only_first: int, only_second: int, videos: int, resamples: int
) -> Interval | None:
    """95 % bootstrap interval of a difference of accuracies over the same videos, points.

    Videos count for the difference by their side alone, so that a resample of them is a draw of
    how many stand on each. ``None`` for too few videos.
    """
    if videos < _FEWEST:
        return None
    shares = np.array([only_first, only_second, videos - only_first - only_second]) / videos
    drawn = np.random.default_rng(0).multinomial(videos, shares, size=resamples)
    low, high = np.percentile(100 * (drawn[:, 1] - drawn[:, 0]) / videos, [2.5, 97.5])
    method = f"paired bootstrap over videos, {resamples} resamples, 95 %"
    return Interval(float(low), float(high), method)


def paired_bootstrap(first: Scores, second: Scores, marks: Marks) -> Interval | None:
    """95 % bootstrap interval of a difference of mAP over the same videos, points."""

    def statistic(rows: NDArray[np.int64]) -> float:
        values = [mean_average_precision(scores[rows], marks[rows]) for scores in (first, second)]
        return np.nan if None in values else (values[1] or 0.0) - (values[0] or 0.0)

    return _bootstrapped(statistic, marks, "paired bootstrap")
