"""What of a data set is there, what is missing, and what cannot be decoded."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

from ptv_hub.datasets.decoding import End, Failure, decode, failure_of, look
from ptv_hub.datasets.listing import Frames, Item, Listing
from ptv_hub.datasets.workers import each
from ptv_hub.datasets.writing import write_frame_list, write_list
from ptv_hub.errors import DataError
from ptv_hub.inference.video import open_video
from ptv_hub.inference.views import plan_views
from ptv_hub.zoo.entry import Entry, InputSpec, Protocol, Record, SecondsSampling


class CheckedVideo(Record):
    id: str
    reason: str | None = None
    """Why it cannot be used; null if it can."""
    error: str | None = None
    notes: tuple[str, ...] = ()


class DataCheck(Record):
    """What a data set was found to be."""

    dataset: str
    model: str
    """Whose protocol the videos were checked for."""
    files: tuple[str, ...]
    listed: int
    usable: int
    decoded: bool
    """Whether every frame that the protocol takes was decoded, or the time stamps only read."""
    failures_by_reason: dict[str, int]
    failures: tuple[CheckedVideo, ...]
    notes: dict[str, int]
    """What was said of videos as they were read, and of how many."""
    annotation_notes: tuple[str, ...]
    """What was odd about the annotation."""
    classes: int
    """Classes that occur."""


def check(
    entry: Entry,
    listing: Listing,
    *,
    decode_all: bool = False,
    workers: int = 0,
    on_video: Callable[[], None] = lambda: None,
) -> DataCheck:
    """Look at every video of a listing as an evaluation would.

    Args:
        decode_all: decode every frame that the protocol takes, which takes as long as an
            evaluation's decoding; else time stamps are read and the first frame is decoded, and
            of frame folders the files are looked for.
        workers: processes; 0 for none.
        on_video: called after each video.
    """
    look = partial(_checked, spec=entry.input, protocol=entry.protocol, decode_all=decode_all)
    found = []
    for item, result in each(look, listing.items, workers):
        crashed = CheckedVideo(id=item.id, reason="the decoder crashed", error=f"{item.video}")
        found.append(result or crashed)
        on_video()
    bad = tuple(video for video in found if video.reason)
    told = Counter(note for video in found for note in video.notes)
    return DataCheck(
        dataset=entry.dataset,
        model=entry.name,
        files=tuple(map(str, listing.files)),
        listed=len(found),
        usable=len(found) - len(bad),
        decoded=decode_all,
        failures_by_reason=dict(Counter(v.reason or "" for v in bad).most_common()),
        failures=bad,
        notes=dict(told.most_common()),
        annotation_notes=listing.notes,
        classes=len({label for item in listing.items for label in item.labels}),
    )


def _checked(item: Item, spec: InputSpec, protocol: Protocol, decode_all: bool) -> CheckedVideo:
    if item.problem:
        return CheckedVideo(id=item.id, reason="the annotation cannot be used", error=item.problem)
    failure, notes = _decoded(item, spec, protocol) if decode_all else _opened(item, spec, protocol)
    if failure is None and isinstance(item.video, Frames):
        failure = _missing_frames(item.video)
    if failure:
        return CheckedVideo(id=item.id, reason=failure.reason, error=failure.error, notes=notes)
    return CheckedVideo(id=item.id, notes=notes)


def _decoded(
    item: Item, spec: InputSpec, protocol: Protocol
) -> tuple[Failure | None, tuple[str, ...]]:
    end = End(0.0)
    for message in decode(item, spec, protocol):
        if isinstance(message, End):
            end = message
    return end.failure, end.notes


def _opened(
    item: Item, spec: InputSpec, protocol: Protocol
) -> tuple[Failure | None, tuple[str, ...]]:
    try:
        look(item)
        with open_video(item.source) as video:
            plan = plan_views(video.timestamps, spec, protocol)
            return None, (*video.notes, *plan.notes)
    except Exception as error:
        return failure_of(error), ()


def _missing_frames(frames: Frames) -> Failure | None:
    """The files of a list that are not there; a folder is read once, not asked for each."""
    there: dict[Path, set[str]] = {}
    missing = []
    for name in frames.paths():
        folder, file = os.path.split(name)
        if Path(folder) not in there:
            there[Path(folder)] = set(os.listdir(folder)) if os.path.isdir(folder) else set()
        if file not in there[Path(folder)]:
            missing.append(name)
    if not missing:
        return None
    error = f"{len(missing)} of {frames.count} frames are missing\n  where:    {missing[0]}"
    return Failure("frames of the list are missing", error)


def write_usable(entry: Entry, listing: Listing, found: DataCheck, path: Path, below: Path) -> int:
    """Write the list of the videos that can be used, as PySlowFast reads it; how many they are.

    Of Kinetics ``path label`` lines; of SSv2 and Charades a frame list with paths relative to
    ``below``, which takes folders of frames.

    Raises:
        DataError: videos that are files where a list of frames is asked for.
        WriteError: it cannot be written.
    """
    bad = {video.id for video in found.failures}
    items = [item for item in listing.items if item.id not in bad]
    if isinstance(entry.input.sampling, SecondsSampling):
        write_list(path, items)
        return len(items)
    rows = []
    for item in items:
        frames = item.video
        if not isinstance(frames, Frames):
            if not os.path.isdir(frames):
                raise DataError(
                    "a frame list is of frames, not of video files",
                    where=frames,
                    fix="'ptv-hub data extract' writes the frames and their list",
                )
            frames = _in_folder(Path(frames))
        relative = Frames.of([os.path.relpath(name, below) for name in frames.paths()])
        labels = item.labels if entry.protocol.metric != "top1" else ()
        rows.append((item.id, relative, labels))
    write_frame_list(path, rows)
    return len(rows)


def _in_folder(folder: Path) -> Frames:
    names = [path for path in folder.iterdir() if path.suffix.lower() in {".jpg", ".jpeg", ".png"}]
    # By length first: 10 comes behind 9.
    return Frames.of([str(path) for path in sorted(names, key=lambda p: (len(p.name), p.name))])
