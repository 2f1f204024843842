"""A collection of videos through a model, into a folder: features or predictions of each.

What is done is kept in a journal at once, so that a killed run goes on: a video is skipped if
its content is what it was, and its files are as they were written. What failed is tried again.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import torch

from ptv_hub import environment
from ptv_hub.datasets.decoding import Failure, Reading
from ptv_hub.datasets.listing import Frames, Item
from ptv_hub.errors import UsageError, VideoError
from ptv_hub.files import write_text
from ptv_hub.inference.batching import ViewBatches
from ptv_hub.inference.finding import Found, named
from ptv_hub.runs import queue as shards
from ptv_hub.runs.database import alone
from ptv_hub.runs.engine import Outcome, through
from ptv_hub.runs.ledger import FOLDER, Entry, Ledger, known
from ptv_hub.runs.progress import Progress

log = logging.getLogger("ptv_hub")
FAILURES = "_failures.csv"


@dataclass(frozen=True)
class Made:
    """What became of one video."""

    result: Any
    """For who asked; kept by nobody."""
    files: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()


class Work(ABC):
    """What is done with each video of a collection."""

    reading: Reading
    settings: Mapping[str, Any]
    """All that the result depends on beside the video; plain values."""

    @abstractmethod
    def batches(self) -> ViewBatches:
        """Where views go through the model."""

    @abstractmethod
    def attached(self) -> AbstractContextManager[object]:
        """Within it the model is as the work needs it."""

    @abstractmethod
    def made(self, name: str, outcome: Outcome) -> Made:
        """Of a video that could be read, whose files are written here. Raises VideoError."""


@dataclass(frozen=True)
class Done:
    """One video of a collection, when it is through."""

    name: str
    video: Found
    made: Made | None
    failure: Failure | None = None


T = TypeVar("T")


@dataclass(frozen=True)
class Share:
    """How a run is shared out."""

    workers: int = 0
    """Processes that decode ahead of the model; 0 decodes between its runs."""
    part: tuple[int, int] = (1, 1)
    """I of N: of every N videos the I-th, for a scheduler's array of jobs."""
    progress: bool = False

    def own(self, videos: Sequence[T]) -> Sequence[T]:
        """Those of all that are this part's."""
        number, count = self.part
        return videos[number - 1 :: count]


def parse_shard(text: str) -> tuple[int, int]:
    """``"2/8"`` -> the second of eight parts. Raises UsageError."""
    number, slash, count = text.partition("/")
    if slash and number.strip().isdecimal() and count.strip().isdecimal():
        part = int(number), int(count)
        if 1 <= part[0] <= part[1]:
            return part
    raise UsageError("a part is not understood", expected="I/N, from 1/N to N/N", found=repr(text))


def run(
    work: Work, videos: Sequence[Found], out: Path | None, share: Share | None = None
) -> Iterator[Done]:
    """Every video of this process's part that is not done yet, as soon as it is through.

    Under ``torchrun`` all ranks take from one queue. Without ``out`` nothing is kept.

    Raises:
        EvaluationError: the folder holds what other settings gave, or another process has it.
        WriteError: the folder cannot be written; what was done is kept.
    """
    share = share or Share()
    settings = json.dumps({**work.settings, "part": share.part}, sort_keys=True)
    with ExitStack() as stack:
        run_id = hashlib.sha256(settings.encode()).hexdigest()
        queue = stack.enter_context(shards.queue(run_id))
        if out is None and queue.world_size > 1:
            raise UsageError("several ranks need a folder in common", fix="give --out")
        ledger, before = _ledger(out, work, queue, share, stack)
        names = named(videos, {entry.source: entry.name for entry in before.values()})
        listed = share.own(list(names.items()))
        show = share.progress and queue.rank == 0
        bar = stack.enter_context(Progress(len(listed), show=show))
        going = _Going(work, out, ledger, listed, queue, share.workers, bar)
        stack.enter_context(work.attached())
        stack.enter_context(torch.inference_mode())
        yield from going.through(queue.places(len(listed)), before)
        left = queue.left_behind(len(listed))
        if left and out is not None:
            log.warning("ranks are gone, or gave up: what they left of their videos is done here")
            yield from going.through(iter(left), known(out, work.settings))
        if out is not None and queue.rank == 0:
            _write_failures(out, known(out, work.settings))


@dataclass
class _Going:
    """A run on its way: videos of the list are taken, and what becomes of each is kept."""

    work: Work
    out: Path | None
    ledger: Ledger | None
    listed: Sequence[tuple[str, Found]]
    queue: shards.Queue
    workers: int
    bar: Progress

    def through(self, places: Iterator[int], before: Mapping[str, Entry]) -> Iterator[Done]:
        """What stands at these places of the list, but for what is known to be done."""
        work, videos = self.work, dict(self.listed)
        items = self._todo(places, before)
        for outcome in through(items, work.reading, work.batches(), self.workers):
            done = _done(work, outcome, videos[outcome.item.id])
            if self.ledger is not None:
                self.ledger.add(_entry(done, outcome, self.out))
            end, failed = outcome.end, done.failure is not None
            rows = 0 if end.plan is None or failed else len(end.plan.clips)
            self.bar.add(rows, end.duration, self.queue.finished(), failed=failed)
            self.bar.clear()
            yield done

    def _todo(self, places: Iterator[int], before: Mapping[str, Entry]) -> Iterator[Item]:
        for place in places:
            name, video = self.listed[place]
            entry = before.get(name)
            if self.out is not None and entry is not None and _is_done(entry, video, self.out):
                if self.ledger is not None and entry.quick != (quick := video.quick()):
                    self.ledger.add(replace(entry, quick=quick))  # copied, say: the same content
                self.bar.skip(self.queue.finished())
                continue
            source = video.source
            yield Item(name, source if isinstance(source, str) else Frames.of(source), ())


def _ledger(
    out: Path | None, work: Work, queue: shards.Queue, share: Share, stack: ExitStack
) -> tuple[Ledger | None, dict[str, Entry]]:
    if out is None:
        return None, {}
    number, count = share.part
    part = "" if count == 1 else f"part-{number}-of-{count}-"
    path = out / FOLDER / f"{part}rank-{queue.rank}.sqlite"
    alone(path, stack)
    ledger = stack.enter_context(Ledger(path))
    before = known(out, work.settings)
    facts = {**environment.versions("torch", "av"), **environment.system()}
    ledger.begin(work.settings, {**facts, "rank": queue.rank, "world_size": queue.world_size})
    return ledger, before


def _is_done(entry: Entry, video: Found, out: Path) -> bool:
    """Whether it was done, from the same content, and what was written is there."""
    if entry.reason is not None or not entry.stands(out):
        return False
    if entry.quick and entry.quick == video.quick():
        return True
    with suppress(VideoError):
        return entry.content == video.content()
    return False


def _done(work: Work, outcome: Outcome, video: Found) -> Done:
    name, failure = outcome.item.id, outcome.end.failure
    if failure is None:
        try:
            return Done(name, video, work.made(name, outcome))
        except VideoError as error:
            failure = Failure(error.what, str(error))
    return Done(name, video, None, failure)


def _entry(done: Done, outcome: Outcome, out: Path | None) -> Entry:
    end = outcome.end
    files = {}
    if out is not None and done.made is not None:
        files = {
            file.relative_to(out).as_posix(): os.stat(file).st_size for file in done.made.files
        }
    return Entry(
        name=done.name,
        source=done.video.key,
        told=done.video.told,
        quick=end.mark[0],
        content=end.mark[1],
        files=files,
        rows=0 if end.plan is None else len(end.plan.clips),
        reason=None if done.failure is None else done.failure.reason,
        error=None if done.failure is None else done.failure.error,
        seconds=end.duration,
        decode_seconds=end.seconds,
        model_seconds=outcome.views.seconds,
    )


def _write_failures(out: Path, entries: Mapping[str, Entry]) -> None:
    """A line a video that could not be done; no file where there is none."""
    failed = sorted((e for e in entries.values() if e.reason), key=lambda entry: entry.name)
    path = out / FAILURES
    if not failed:
        path.unlink(missing_ok=True)
        return
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(["video", "reason", "error"])
    lines.writerows([one.told, one.reason, one.error] for one in failed)
    write_text(path, text.getvalue())


def file_of(out: Path, name: str, suffix: str) -> Path:
    """Where a video's file lies below a folder; the folders to it are made.

    Raises:
        WriteError: they cannot be.
    """
    from ptv_hub.errors import WriteError

    path = out / f"{name}{suffix}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError.because(error, path.parent) from error
    return path
