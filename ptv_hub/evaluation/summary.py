"""Journals -> the result: metrics, intervals, comparison with the published numbers, failures."""

from __future__ import annotations

import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptv_hub.datasets.listing import Item
from ptv_hub.errors import EvaluationError
from ptv_hub.evaluation import metrics
from ptv_hub.evaluation.result import (
    ClassResult,
    Comparison,
    Confusion,
    Counts,
    EvalResult,
    FailedVideo,
    HardVideo,
    Metrics,
)
from ptv_hub.files import atomic_write
from ptv_hub.runs.journal import Header, Journal, Row, journals, same_settings
from ptv_hub.zoo.entry import Entry

_PAIRS = 20
_HARDEST = 20


class Collected:
    """All journals of a run as one: of a video that stands in several, a row with scores."""

    def __init__(self, opened: Sequence[Journal]) -> None:
        self._opened = opened
        self.header: Header = opened[0].header()
        items: dict[str, Item] = {}
        notes: dict[str, None] = {}
        parts: dict[str | None, None] = {}
        for journal in opened:
            header = journal.header()
            theirs = header.settings.model_copy(update={"videos": self.header.settings.videos})
            same_settings(self.header.settings, theirs, journal.path or Path())
            for item in journal.items():
                if items.setdefault(item.id, item).labels != item.labels:
                    raise EvaluationError(
                        "two journals give a video other labels",
                        where=journal.path,
                        expected=f"{item.id}: {items[item.id].labels}",
                        found=item.labels,
                        fix="join runs over one annotation only",
                    )
            notes |= dict.fromkeys(header.notes)
            parts[header.part] = None
        self.items = list(items.values())
        self.notes = tuple(notes)
        self.part = _joined(parts, len(self.items))
        self._where: dict[str, Journal] = {}
        for journal in opened:
            for item_id, scored in journal.ids().items():
                if scored or item_id not in self._where:
                    self._where[item_id] = journal

    @property
    def sessions(self) -> tuple[dict[str, Any], ...]:
        return tuple(session for journal in self._opened for session in journal.sessions())

    def rows(self, *, views: bool = False) -> Iterator[tuple[Item, Row | None]]:
        """Each listed video with what became of it, in the list's order."""
        for item in self.items:
            journal = self._where.get(item.id)
            yield item, None if journal is None else journal.row(item.id, views=views)


def _joined(parts: dict[str | None, None], count: int) -> str | None:
    if len(parts) == 1:
        return next(iter(parts))
    told = "; ".join(part or "all of a list" for part in parts)
    return f"{count} videos joined from runs over: {told}"


def collect(folders: Sequence[Path], stack: ExitStack) -> Collected:
    """The journals of some folders as one; they stay open with the stack.

    Raises:
        EvaluationError: no journal there, damaged ones, or ones of several runs.
    """
    opened = []
    for folder in folders:
        found = [folder] if folder.is_file() else journals(folder)
        for path in found:
            journal = stack.enter_context(Journal(path, new=False))
            if not journal.is_new:
                opened.append(journal)
        if not found:
            raise EvaluationError(
                "no journal of an evaluation", where=folder, expected="journal-0.sqlite"
            )
    if not opened:
        raise EvaluationError("the journals are empty", where=folders[0])
    return Collected(opened)


def summarize(collected: Collected) -> EvalResult:
    """The result of a run, or of as much of it as there is."""
    header = collected.header
    entry, settings = header.entry, header.settings
    scored: list[Item] = []
    scores: list[NDArray[np.float32]] = []
    failed: list[FailedVideo] = []
    failed_items: list[Item] = []
    told: Counter[str] = Counter()
    seconds = [0.0, 0.0]
    for item, row in collected.rows():
        if row is None:
            continue
        told.update(row.notes)
        seconds[0] += row.model_seconds
        seconds[1] += row.decode_seconds
        if row.scores is None:
            reason = row.reason or "unknown"
            failed.append(FailedVideo(id=item.id, reason=reason, error=row.error or reason))
            failed_items.append(item)
        else:
            scored.append(item)
            scores.append(row.scores)
    classes = settings.num_classes
    matrix = np.stack(scores) if scores else np.zeros((0, classes), np.float32)
    one_label = settings.protocol.metric == "top1"
    facts = (_OneLabel if one_label else _ManyLabels)(matrix, scored, entry)
    counts = Counts(
        listed=len(collected.items),
        scored=len(scored),
        failed=len(failed),
        pending=len(collected.items) - len(scored) - len(failed),
    )
    differs = _differs(header)
    return EvalResult(
        model=entry.name,
        dataset=entry.dataset,
        metric=settings.protocol.metric,
        metrics=facts.metrics,
        metrics_failures_wrong=facts.with_failures(failed_items),
        counts=counts,
        comparisons=_comparisons(entry, facts, comparable=not differs),
        differs=differs,
        cautions=_cautions(collected, counts, told),
        failures_by_reason=dict(Counter(failure.reason for failure in failed).most_common()),
        failures=tuple(failed),
        classes=facts.classes(),
        confusions=facts.confusions(),
        hardest=facts.hardest(),
        notes=dict(told.most_common()),
        protocol=settings.protocol,
        input=entry.input,
        part=collected.part,
        files=header.files,
        weights_digest=settings.weights,
        videos_digest=settings.videos,
        backend=settings.backend,
        dtype=settings.dtype,
        model_seconds=seconds[0],
        decode_seconds=seconds[1],
        sessions=collected.sessions,
    )


def _label(entry: Entry, index: int) -> str:
    return entry.labels[index] if entry.labels else f"class {index}"


class _OneLabel:
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
                label=_label(self._entry, true), predicted=_label(self._entry, said), videos=count
            )
            for true, said, count in metrics.confusions(self._scores, self._labels, _PAIRS)
        )

    def hardest(self) -> tuple[HardVideo, ...]:
        own = self._scores[np.arange(len(self._labels)), self._labels]
        return _hardest(self._entry, self._items, self._scores, own)


class _ManyLabels:
    """What is told of videos with any number of labels: average precisions."""

    def __init__(self, scores: metrics.Scores, items: Sequence[Item], entry: Entry) -> None:
        self._scores, self._items, self._entry = scores, items, entry
        self._marks = _marks(items, scores.shape[1])
        self.metrics = Metrics(
            mean_average_precision=metrics.mean_average_precision(scores, self._marks)
        )

    def with_failures(self, failed: Sequence[Item]) -> Metrics:
        # No score for any class: ranked behind every video that has one.
        nothing = np.full((len(failed), self._scores.shape[1]), -1, np.float32)
        marks = _marks(failed, self._scores.shape[1])
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

    def hardest(self) -> tuple[HardVideo, ...]:
        if not self._items:
            return ()
        own = metrics.video_precisions(self._scores, self._marks) / 100
        return _hardest(self._entry, self._items, self._scores, own)


def _marks(items: Sequence[Item], classes: int) -> metrics.Marks:
    marks = np.zeros((len(items), classes), np.uint8)
    for row, item in enumerate(items):
        marks[row, list(item.labels)] = 1
    return marks


def _classes(
    entry: Entry, counts: NDArray[Any], values: NDArray[np.float64]
) -> tuple[ClassResult, ...]:
    return tuple(
        ClassResult(
            index=index,
            label=_label(entry, index),
            videos=int(count),
            value=None if np.isnan(value) else float(value),
        )
        for index, (count, value) in enumerate(zip(counts, values, strict=True))
    )


def _hardest(
    entry: Entry, items: Sequence[Item], scores: metrics.Scores, own: NDArray[Any]
) -> tuple[HardVideo, ...]:
    order = [int(place) for place in np.argsort(own, kind="stable") if not np.isnan(own[place])]
    return tuple(
        HardVideo(
            id=items[place].id,
            labels=tuple(_label(entry, index) for index in items[place].labels),
            predicted=_label(entry, int(scores[place].argmax())),
            score=float(own[place]),
        )
        for place in order[:_HARDEST]
    )


def _differs(header: Header) -> tuple[str, ...]:
    """In what the run is not the published protocol, in words."""
    mine, published = header.settings.protocol, header.entry.protocol
    found = []
    if (mine.num_clips, mine.num_crops) != (published.num_clips, published.num_crops):
        found.append(
            f"{mine.num_clips} x {mine.num_crops} views, "
            f"published with {published.num_clips} x {published.num_crops}"
        )
    if mine.clip_sampling != published.clip_sampling and mine.num_clips > 1:
        found.append(
            f"clip starts as in pytorchvideo's {mine.clip_sampling!r}, "
            f"published presumably with {published.clip_sampling!r}"
        )
    if (mine.activation, mine.ensemble) != (published.activation, published.ensemble):
        found.append(
            f"{mine.activation} and {mine.ensemble} over views, "
            f"published with {published.activation} and {published.ensemble}"
        )
    if mine.metric != published.metric:
        found.append(f"the metric is {mine.metric}, published is {published.metric}")
    return tuple(found)


def _cautions(collected: Collected, counts: Counts, told: Counter[str]) -> tuple[str, ...]:
    header = collected.header
    found = []
    if counts.pending:
        found.append(f"{counts.pending} of {counts.listed} videos are not scored yet")
    if counts.failed:
        found.append(
            f"{counts.failed} of {counts.listed} videos failed: the numbers are over "
            f"{counts.scored}; with failures counted as wrong they stand beside"
        )
    if collected.part:
        found.append(f"the list is {collected.part}")
        if header.settings.protocol.metric == "mean_average_precision":
            found.append("mAP of a part of a data set changes with the classes that occur in it")
    resampled = sum(count for note, count in told.items() if note.startswith("frames resampled"))
    if resampled:
        found.append(
            f"not frame-identical: {resampled} videos were read from video files and resampled, "
            "where the published protocol reads extracted JPEGs"
        )
    if header.settings.dtype != "fp32":
        found.append(f"computed in {header.settings.dtype}; the published numbers are of fp32")
    found += collected.notes
    known = header.entry.digest
    if known is not None and header.settings.weights != known:
        found.append("the weights are not those of the entry: their digest is another")
    return tuple(found)


def _comparisons(
    entry: Entry, facts: _OneLabel | _ManyLabels, *, comparable: bool
) -> tuple[Comparison, ...]:
    measured = facts.metrics.model_dump()
    rows = []
    for metric, value in measured.items():
        published = getattr(entry.published, metric) if entry.published else None
        if value is None and published is None:
            continue
        headline = metric in ("top1", "mean_average_precision")
        interval = facts.interval() if headline and value is not None else None
        difference = inside = None
        if comparable and published is not None and value is not None:
            difference = value - published
            inside = interval and interval.low <= published <= interval.high
        rows.append(
            Comparison(
                metric=metric,
                published=published,
                measured=value,
                difference=difference,
                low=interval and interval.low,
                high=interval and interval.high,
                interval=interval and interval.method,
                inside=inside,
                comparable=comparable and published is not None,
            )
        )
    return tuple(rows)


def write_scores(collected: Collected, path: Path) -> None:
    """Write ``scores.npz``: what was scored, in the list's order, a row at a time.

    ``ids``; ``labels``, the class of each video or, of several labels, a 0/1 row of all classes;
    ``scores`` over all views (N, classes); ``num_views``; and ``views`` (N, views, classes) where
    they were kept.

    Raises:
        WriteError: it cannot be written.
    """
    settings = collected.header.settings
    rows = [(item, row) for item, row in collected.rows() if row and row.scores is not None]
    items = [item for item, _ in rows]
    if settings.protocol.metric == "top1":
        labels: NDArray[Any] = np.array([item.labels[0] for item in items], np.int64)
    else:
        labels = _marks(items, settings.num_classes)
    shape = (len(rows), settings.num_classes)
    with (
        atomic_write(path) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED, allowZip64=True) as file,
    ):
        _member(file, "ids", np.array([item.id for item in items], np.str_))
        _member(file, "labels", labels)
        scores = [row.scores for _, row in rows if row.scores is not None]
        _member(file, "scores", np.stack(scores) if scores else np.zeros(shape, np.float32))
        _member(file, "num_views", np.array([row.num_views for _, row in rows], np.int64))
        if settings.keep_views:
            _views_member(file, collected, len(rows))


def _views_member(file: zipfile.ZipFile, collected: Collected, count: int) -> None:
    """``views`` a video at a time: all of a data set's are gigabytes."""
    settings = collected.header.settings
    shape = (count, settings.protocol.num_views, settings.num_classes)
    with file.open("views.npy", "w", force_zip64=True) as member:
        np.lib.format.write_array_header_2_0(
            member, {"descr": "<f4", "fortran_order": False, "shape": shape}
        )
        for _, row in collected.rows(views=True):
            if row is not None and row.views is not None:
                member.write(row.views.astype("<f4").tobytes())


def _member(file: zipfile.ZipFile, name: str, array: NDArray[Any]) -> None:
    with file.open(f"{name}.npy", "w", force_zip64=True) as member:
        np.lib.format.write_array(member, array, allow_pickle=False)
