"""What of a data set is there, what is missing, and what cannot be decoded."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal

from ptv_hub.datasets.decoding import End, Failure, Reading, decode, failure_of, look
from ptv_hub.datasets.frame_lists import write_frame_list
from ptv_hub.datasets.kinetics import write_list
from ptv_hub.datasets.listing import Frames, Item, Listing
from ptv_hub.datasets.workers import each
from ptv_hub.errors import DataError
from ptv_hub.inference.video import IMAGES, natural, open_video
from ptv_hub.inference.viewing import ProtocolViews
from ptv_hub.inference.views import clip_at, plan_as_reference
from ptv_hub.zoo.entry import Entry
from ptv_hub.zoo.input_spec import InputSpec, Protocol, SecondsSampling
from ptv_hub.zoo.records import Record

Depth = Literal["open", "ends", "views"]
"""How far a video is looked at: opened (its first frame is decoded), decoded to its last frame,
or decoded and prepared as an evaluation would."""


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
    depth: Depth = "views" if decode_all else "open"
    one = partial(_checked, spec=entry.input, protocol=entry.protocol, depth=depth)
    found = []
    for item, result in each(one, listing.items, workers):
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


def _checked(item: Item, spec: InputSpec, protocol: Protocol, depth: Depth) -> CheckedVideo:
    if item.problem:
        return CheckedVideo(id=item.id, reason="the annotation cannot be used", error=item.problem)
    failure, notes = fault(item, spec, protocol, depth)
    if failure:
        return CheckedVideo(id=item.id, reason=failure.reason, error=failure.error, notes=notes)
    return CheckedVideo(id=item.id, notes=notes)


def fault(
    item: Item, spec: InputSpec, protocol: Protocol | None, depth: Depth
) -> tuple[Failure | None, tuple[str, ...]]:
    """What is wrong with an item's video, and what was said of it as it was read.

    Args:
        protocol: whose clips have to be in it; ``None`` for the one in the middle, as in training.

    Raises:
        PtvHubError: what is not the video's fault, and would happen with every one.
    """
    notes: tuple[str, ...] = ()
    failure: Failure | None = None
    if depth == "views" and protocol is not None:
        for message in decode(item, Reading(ProtocolViews(spec, protocol, as_reference=True))):
            if isinstance(message, End):
                failure, notes = message.failure, message.notes
    else:
        try:
            notes = _opened(item, spec, protocol, to_the_end=depth != "open")
        except Exception as error:
            failure = failure_of(error)
    if failure is None and isinstance(item.video, Frames):
        failure = _missing_frames(item.video)
    return failure, notes


def _opened(
    item: Item, spec: InputSpec, protocol: Protocol | None, *, to_the_end: bool
) -> tuple[str, ...]:
    look(item)
    with open_video(item.source) as video:
        notes: tuple[str, ...] = ()
        if protocol is None:
            clip_at(video.timestamps, spec, 0.5)
        else:
            notes = plan_as_reference(video.timestamps, spec, protocol).notes
        ends = (0, len(video.timestamps.pts) - 1)
        for _ in video.frames(ends if to_the_end else ()):
            pass
        return (*video.notes, *notes)


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
    ``below``, which takes folders of frames. Each frame keeps its own labels where the
    annotation tells them apart.

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
            frames = _in_folder(frames)
        relative = Frames.of([os.path.relpath(name, below) for name in frames.paths()])
        rows.append((item.id, relative, listed_labels(entry, item, frames.count)))
    write_frame_list(path, rows)
    return len(rows)


def listed_labels(entry: Entry, item: Item, count: int) -> list[tuple[int, ...]]:
    """The labels of each of an item's frames in a frame list of the entry's data set."""
    sampling = entry.input.sampling
    if entry.protocol.metric == "top1" or isinstance(sampling, SecondsSampling):
        return [()] * count  # SSv2's labels stand in its JSON files
    return item.labels_of_frames(count, sampling.fps)


def _in_folder(folder: str) -> Frames:
    if not os.path.isdir(folder):
        raise DataError(
            "a frame list is of frames, not of video files",
            where=folder,
            fix="'ptv-hub data extract' writes the frames and their list",
        )
    names = [path for path in Path(folder).iterdir() if path.suffix.lower() in IMAGES]
    return Frames.of([str(path) for path in sorted(names, key=natural)])
