"""When the classes of a Charades video are to be seen: what a training clip is marked with.

In training a clip is marked with the classes of its own frames, in tests a video with those of
all its frames. Source: ``process_charades_label`` of ``slowfast/datasets/ptv_datasets.py``.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ptv_hub.datasets.listing import Listing, read_rows, read_text
from ptv_hub.errors import DataError

Span = tuple[int, float, float]
"""Class, first and last second."""


@dataclass(frozen=True)
class Spans:
    """Id of a video -> its spans."""

    by_id: dict[str, tuple[Span, ...]]

    def seen(self, item_id: str, seconds: Sequence[float]) -> tuple[int, ...]:
        """The classes to be seen at any of these times, rising."""
        spans = self.by_id.get(item_id, ())
        return tuple(sorted({c for c, low, high in spans for t in seconds if low <= t <= high}))


def read_spans(listing: Listing, fps: int) -> Spans:
    """The spans in the annotation that a listing was read from.

    Raises:
        DataError: times that are no numbers.
    """
    path = next(p for p in listing.files if p.suffix == ".csv")
    if "path" in read_text(path).split("\n", 1)[0].split():
        return _of_frames(path, fps)
    return _of_actions(path)


def _of_actions(path: Path) -> Spans:
    """Of the owners' ``c092 11.90 21.20;c147 0.00 12.60``."""
    found = {}
    for row in read_rows(path, ",", ("id", "actions")):
        try:
            parts = [action.split() for action in row["actions"].split(";") if action.strip()]
            found[row["id"]] = tuple((int(c[1:]), float(a), float(b)) for c, a, b in parts)
        except ValueError as error:
            raise DataError(
                "an action of the annotation is not understood",
                where=f"{path}, {row['id']}",
                expected="a class and two times, as in 'c092 11.90 21.20'",
                found=row["actions"],
            ) from error
    return Spans(found)


def _of_frames(path: Path, fps: int) -> Spans:
    """Of a frame list's label column, frame by frame; half a frame of room for rounding."""
    lines = csv.reader(io.StringIO(read_text(path), newline=""), delimiter=" ")
    columns = next(lines)
    name = "original_video_id" if "original_video_id" in columns else "original_vido_id"
    places = columns.index(name), columns.index("labels")
    open_: dict[tuple[str, int], list[int]] = {}
    spans: dict[str, list[Span]] = {}
    count: dict[str, int] = {}
    for row in lines:
        if not row:
            continue
        item_id, said = (row[place] for place in places)
        frame = count.setdefault(item_id, 0)
        count[item_id] += 1
        spans.setdefault(item_id, [])
        for label in {int(x) for x in said.replace('"', "").split(",") if x.strip()}:
            run = open_.get((item_id, label))
            if run is not None and run[1] == frame - 1:
                run[1] = frame
                continue
            if run is not None:
                spans[item_id].append(_span(label, run, fps))
            open_[item_id, label] = [frame, frame]
    for (item_id, label), run in open_.items():
        spans[item_id].append(_span(label, run, fps))
    return Spans({item_id: tuple(found) for item_id, found in spans.items()})


def _span(label: int, run: list[int], fps: int) -> Span:
    return label, (run[0] - 0.5) / fps, (run[1] + 0.5) / fps
