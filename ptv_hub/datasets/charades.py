"""Charades: PySlowFast's frame lists, or the owners' ``Charades_v1_test.csv`` with the videos.

Labels are those of the whole video: of all its frames in a frame list, of all its actions in
the owners' file. A video without an action is a video without a label, and counts. When each
is to be seen, either file says too: in training a clip is marked with the classes of its own
frames. Source: ``process_charades_label`` of ``slowfast/datasets/ptv_datasets.py``.

Upstream: ``pytorchvideo/data/charades.py``, and PySlowFast's ``DATASET.md``.
"""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

from ptv_hub.datasets.annotations import Media, check_names, find, read_rows, read_text
from ptv_hub.datasets.frame_lists import is_frame_list, read_frame_list
from ptv_hub.datasets.listing import Item, Listing, Span, Split
from ptv_hub.errors import AnnotationMissing, DataError
from ptv_hub.inference.frames import FRAME_RATE
from ptv_hub.zoo.entry import Entry
from ptv_hub.zoo.input_spec import FrameSampling

_FOLDERS = ("frames", "videos", "Charades_v1_480", "Charades_v1", "Charades_v1_rgb", "")
_SUFFIXES = (".mp4", ".mkv", ".avi")


def read(data: Path, videos: Path | None, split: Split, entry: Entry) -> Listing:
    """Items of the frame list where there is one, else of the owners' file."""
    folder = data if data.is_dir() else data.parent
    path = data if data.is_file() else _annotation(folder, split)
    files = [path]
    names = find(folder, ("Charades_v1_classes.txt",))
    if names is not None:
        files.append(names)
        check_names(_names(names), entry, names)
    roots = [videos] if videos else [folder / name for name in _FOLDERS]
    if is_frame_list(path):
        root = videos or next(root for root in roots if root.is_dir())
        sampling = entry.input.sampling
        fps = sampling.fps if isinstance(sampling, FrameSampling) else FRAME_RATE
        items = [
            Item(i, found.frames, found.labels, spans=found.spans(fps))
            for i, found in read_frame_list(path, root).items()
        ]
    else:
        media = Media(roots, _SUFFIXES)
        rows = read_rows(path, ",", ("id", "actions"))
        items = [_item(row, path, media) for row in rows]
    return Listing(entry.dataset, tuple(items), tuple(files))


def _annotation(folder: Path, split: Split) -> Path:
    lists = {
        "train": ("train.csv", "Charades_v1_train.csv"),
        "val": ("val.csv", "test.csv", "Charades_v1_test.csv"),
        "test": ("test.csv", "val.csv", "Charades_v1_test.csv"),
    }[split]
    found = find(folder, lists)
    if found is None:
        raise AnnotationMissing(
            "no annotation in the data folder",
            where=folder,
            expected=f"one of {', '.join(lists)}",
            found=", ".join(sorted(path.name for path in folder.iterdir())[:5]) or "nothing",
        )
    return found


def _names(path: Path) -> dict[int, str]:
    """Index -> name of lines such as ``c000 Holding some clothes``."""
    lines = [line.split(None, 1) for line in read_text(path).splitlines() if line.strip()]
    try:
        return {int(code.removeprefix("c")): name.strip() for code, name in lines}
    except ValueError as error:
        raise DataError(
            "the class names cannot be used",
            where=path,
            expected="lines such as 'c000 Holding some clothes'",
            found=error,
        ) from error


def _item(row: dict[str, str], path: Path, media: Media) -> Item:
    """Of ``c092 11.90 21.20;c147 0.00 12.60``: classes, with their first and last seconds."""
    labels: set[int] = set()
    spans: list[Span] = []
    for code, *times in (action.split() for action in row["actions"].split(";") if action.strip()):
        if not re.fullmatch(r"c\d{3}", code):
            raise DataError(
                "an action of the annotation is not understood",
                where=f"{path}, {row['id']}",
                expected="a code such as c092",
                found=code,
            )
        labels.add(int(code[1:]))
        # Without times it is a label all the same; who needs the times misses them.
        with suppress(ValueError):
            begin, end = map(float, times)
            spans.append((int(code[1:]), begin, end))
    item_id = row["id"]
    return Item(item_id, media.path(item_id), tuple(sorted(labels)), spans=tuple(spans))
