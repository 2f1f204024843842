"""Videos -> folders of JPEGs and frame lists, as the owners of the zoo made theirs.

Theirs were made by ``ffmpeg -i VIDEO -r 30 -q:v 1 ID/ID_%06d.jpg`` (PySlowFast's
``slowfast/datasets/DATASET.md``): 30 frames a second whatever the source's rate, repeated or
dropped. The same encoder at the same quality is used here; which frame a tick shows may
differ by one from some versions of ffmpeg.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

from ptv_hub.datasets.check import CheckedVideo, listed_labels
from ptv_hub.datasets.decoding import failure_of, look
from ptv_hub.datasets.frame_lists import write_frame_list
from ptv_hub.datasets.listing import Frames, Item, Listing
from ptv_hub.datasets.workers import each
from ptv_hub.errors import UsageError, WriteError
from ptv_hub.inference.video import open_video
from ptv_hub.inference.views import resample
from ptv_hub.zoo.entry import Entry
from ptv_hub.zoo.input_spec import SecondsSampling
from ptv_hub.zoo.records import Record


class Extracted(Record):
    """What came of an extraction."""

    folder: str
    frame_list: str
    listed: int
    extracted: int
    """Folders of frames that are whole now."""
    already: int
    """Of these, those that stood there before."""
    frames: int
    failures_by_reason: dict[str, int]
    failures: tuple[CheckedVideo, ...]


def extract(
    entry: Entry,
    listing: Listing,
    out: str | os.PathLike[str],
    *,
    workers: int = 0,
    on_video: Callable[[], None] = lambda: None,
) -> Extracted:
    """Write a folder of JPEGs for each video, and the frame list of those that could be read.

    A folder appears when all its frames are written, so that an extraction that was
    interrupted goes on where it was. The list (``val.csv`` of SSv2, ``test.csv`` of Charades)
    names videos in the listing's order; it takes the folder as prefix.

    Raises:
        UsageError: a model whose data set is read from video files.
        WriteError: the folder cannot be written, or the disk is full.
    """
    spec = entry.input
    if isinstance(spec.sampling, SecondsSampling):
        raise UsageError(
            f"{entry.name} reads video files, not frames",
            found=entry.dataset,
            fix="only for models of SSv2 and Charades",
        )
    folder = _made(out)
    rows: list[tuple[Item, Frames]] = []
    failures = []
    already = 0
    write = partial(_extracted, folder=folder, fps=spec.sampling.fps)
    for item, result in each(write, listing.items, workers):
        if result is None:
            failures.append(
                CheckedVideo(id=item.id, reason="the decoder crashed", error=str(item.video))
            )
        elif isinstance(result, CheckedVideo):
            failures.append(result)
        else:
            count, before = result
            already += before
            stem = f"{item.id}/{item.id}_"
            rows.append((item, Frames(stem, ".jpg", 1, count, 6)))
        on_video()
    path = folder / ("val.csv" if entry.dataset == "ssv2" else "test.csv")
    write_frame_list(path, [(i.id, f, listed_labels(entry, i, f.count)) for i, f in rows])
    return Extracted(
        folder=str(folder),
        frame_list=str(path),
        listed=len(listing.items),
        extracted=len(rows),
        already=already,
        frames=sum(frames.count for _, frames in rows),
        failures_by_reason=dict(Counter(v.reason or "" for v in failures).most_common()),
        failures=tuple(failures),
    )


def _made(out: str | os.PathLike[str]) -> Path:
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError.because(error, folder) from error
    return folder


def _extracted(item: Item, folder: Path, fps: int) -> tuple[int, bool] | CheckedVideo:
    """How many frames the video's folder holds, and whether it stood there before."""
    target = folder / item.id
    if target.is_dir():
        return len(list(target.glob(f"{item.id}_*.jpg"))), True
    if item.problem:
        return CheckedVideo(id=item.id, reason="the annotation cannot be used", error=item.problem)
    hidden = folder / f".{item.id}.tmp"
    shutil.rmtree(hidden, ignore_errors=True)
    try:
        hidden.mkdir()
        count = _write_frames(item, hidden, fps)
        os.replace(hidden, target)
    except OSError as error:
        raise WriteError.because(
            error, target, fix="make room and run the same again: whole folders are kept"
        ) from error
    except UsageError:
        raise
    except Exception as error:
        failure = failure_of(error)
        return CheckedVideo(id=item.id, reason=failure.reason, error=failure.error)
    finally:
        shutil.rmtree(hidden, ignore_errors=True)
    return count, False


def _write_frames(item: Item, folder: Path, fps: int) -> int:
    look(item)
    with open_video(item.source) as video:
        shown = resample(video.timestamps, fps)
        numbers: dict[int, list[int]] = {}
        for number, place in enumerate(shown, 1):
            numbers.setdefault(place, []).append(number)
        for place, jpeg in video.jpegs(numbers):
            for number in numbers[place]:
                (folder / f"{item.id}_{number:06d}.jpg").write_bytes(jpeg)
    return len(shown)
