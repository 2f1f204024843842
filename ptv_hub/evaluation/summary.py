"""Journals -> the result: metrics, intervals, comparison with the published numbers, failures."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ptv_hub.datasets.listing import Item, Listing
from ptv_hub.datasets.validation import doubt_about
from ptv_hub.evaluation.collected import Collected
from ptv_hub.evaluation.doubts import TRAINED_ON, UNKNOWN_LIST, UNKNOWN_WEIGHTS
from ptv_hub.evaluation.findings import ManyLabels, OneLabel
from ptv_hub.evaluation.reproduced import lost, reproduced
from ptv_hub.evaluation.result import Comparison, Counts, EvalResult, FailedVideo
from ptv_hub.inference.views import LEFT_OUT, RESAMPLED
from ptv_hub.runs.journal import Row
from ptv_hub.runs.settings import NVDEC, Header
from ptv_hub.zoo.entry import Entry

QUANTIZATION = "quantization"
"""Of what a session says: how a model in int8 was made, and how near it is to float32."""


def summarize(collected: Collected) -> EvalResult:
    """The result of a run, or of as much of it as there is."""
    header = collected.header
    entry, settings = header.entry, header.settings
    told = _Told.of(collected)
    classes = settings.num_classes
    matrix = np.stack(told.scores) if told.scores else np.zeros((0, classes), np.float32)
    one_label = settings.protocol.metric == "top1"
    facts = (OneLabel if one_label else ManyLabels)(matrix, told.scored, entry)
    counts = Counts(
        listed=len(collected.items),
        scored=len(told.scored),
        failed=len(told.failures),
        pending=len(collected.items) - len(told.scored) - len(told.failures),
    )
    differs = _differs(header)
    unknown_list = unknown_weights = None
    if entry.published is not None:
        unknown_list, unknown_weights = _unknown_list(collected), _unknown_weights(collected)
    return EvalResult(
        model=entry.name,
        dataset=entry.dataset,
        metric=settings.protocol.metric,
        metrics=facts.metrics,
        metrics_failures_wrong=facts.with_failures(told.failed),
        counts=counts,
        comparisons=_comparisons(
            entry,
            facts,
            counts,
            part=collected.part is not None,
            comparable=not (differs or unknown_list or unknown_weights),
        ),
        differs=differs,
        unknown_list=unknown_list,
        unknown_weights=unknown_weights,
        cautions=_cautions(collected, counts, told.notes),
        failures_by_reason=dict(Counter(failure.reason for failure in told.failures).most_common()),
        failures=tuple(told.failures),
        classes=facts.classes(),
        confusions=facts.confusions(),
        hardest=facts.hardest(),
        matrix=facts.matrix(),
        reliability=facts.reliability(),
        notes=dict(told.notes.most_common()),
        protocol=settings.protocol,
        input=entry.input,
        part=collected.part,
        files=header.files,
        weights_digest=settings.weights,
        videos_digest=settings.videos,
        backend=settings.backend,
        dtype=settings.dtype,
        model_seconds=told.model_seconds,
        decode_seconds=told.decode_seconds,
        sessions=collected.sessions,
    )


@dataclass
class _Told:
    """The rows of a run, sorted by what became of their videos."""

    scored: list[Item] = field(default_factory=list)
    scores: list[NDArray[np.float32]] = field(default_factory=list)
    failed: list[Item] = field(default_factory=list)
    failures: list[FailedVideo] = field(default_factory=list)
    notes: Counter[str] = field(default_factory=Counter)
    model_seconds: float = 0.0
    decode_seconds: float = 0.0

    @classmethod
    def of(cls, collected: Collected) -> _Told:
        told = cls()
        for item, row in collected.rows():
            if row is not None:
                told._take(item, row)
        return told

    def _take(self, item: Item, row: Row) -> None:
        self.notes.update(row.notes)
        self.model_seconds += row.model_seconds
        self.decode_seconds += row.decode_seconds
        if row.scores is not None:
            self.scored.append(item)
            self.scores.append(row.scores)
            return
        reason = row.reason or "unknown"
        self.failed.append(item)
        self.failures.append(FailedVideo(id=item.id, reason=reason, error=row.error or reason))


def _differs(header: Header) -> tuple[str, ...]:
    """In what the run is not the published protocol, in words."""
    mine, published = header.settings.protocol, header.entry.protocol
    theirs = "published with" if header.entry.published is not None else "its own protocol has"
    found = []
    if (mine.num_clips, mine.num_crops) != (published.num_clips, published.num_crops):
        found.append(
            f"{mine.num_clips} x {mine.num_crops} views, "
            f"{theirs} {published.num_clips} x {published.num_crops}"
        )
    if mine.clip_sampling != published.clip_sampling and mine.num_clips > 1:
        found.append(
            f"clip starts as in pytorchvideo's {mine.clip_sampling!r}, "
            f"published presumably with {published.clip_sampling!r}"
        )
    if (mine.activation, mine.ensemble) != (published.activation, published.ensemble):
        found.append(
            f"{mine.activation} and {mine.ensemble} over views, "
            f"{theirs} {published.activation} and {published.ensemble}"
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
    trained_on = collected.sessions[-1].get(TRAINED_ON)
    if trained_on:
        found.append(trained_on)
    if collected.part:
        found.append(f"the list is {collected.part}")
        if header.settings.protocol.metric == "mean_average_precision":
            found.append("mAP of a part of a data set changes with the classes that occur in it")
    resampled = sum(count for note, count in told.items() if note.startswith(RESAMPLED))
    if resampled:
        found.append(
            f"not frame-identical: {resampled} videos were read from video files and resampled, "
            "where the published protocol reads extracted JPEGs"
        )
    left_out = sum(count for note, count in told.items() if note.startswith(LEFT_OUT))
    if left_out:
        found.append(
            f"{left_out} videos do not start at time zero: some of their frames are left out, as "
            "by the reference"
        )
    if header.settings.dtype != "fp32":
        how = collected.sessions[-1].get(QUANTIZATION)
        found.append(
            f"computed in {header.settings.dtype}{f', {how}' if how else ''}; "
            "the published numbers are of fp32"
        )
    if header.settings.preprocess != "host":
        found.append("frames were normalised and resized on the device, which rounds otherwise")
    if header.settings.preprocess == NVDEC:
        found.append(
            "frames were decoded on the GPU, by torchcodec: their pixels are not those that the "
            "published numbers were made of"
        )
    found += collected.notes
    return tuple(found)


def _unknown_list(collected: Collected) -> str | None:
    """Of several lists that were joined, together they may be the validation set."""
    listing = Listing(collected.header.entry.dataset, tuple(collected.items), ())
    doubt = doubt_about(listing, collected.header.entry)
    if doubt is None:
        return None
    session = collected.sessions[-1]
    told: str | None = session.get(UNKNOWN_LIST, doubt)
    return told


def _unknown_weights(collected: Collected) -> str | None:
    """As they were found when the last session began."""
    header, session = collected.header, collected.sessions[-1]
    known = header.entry.digest
    if known is not None and header.settings.weights != known:
        return "the weights are not those of the entry: their digest is another"
    if UNKNOWN_WEIGHTS not in session:
        return (
            "version 0.1, which scored them, did not ask whose weights they are; the same command "
            "asks, and scores nothing anew"
        )
    told: str | None = session[UNKNOWN_WEIGHTS]
    return told


def _comparisons(
    entry: Entry, facts: OneLabel | ManyLabels, counts: Counts, *, part: bool, comparable: bool
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
        row = Comparison(
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
        if headline and difference is not None:
            share = lost(entry, counts, part=part)
            said = reproduced(row, share, pending=counts.pending)
            row = row.model_copy(update={"lost": share, "reproduced": said})
        rows.append(row)
    return tuple(rows)
