"""Frame lists as PySlowFast reads and writes them: each frame's path, and its labels.

Blank-separated, with the header ``original_vido_id video_id frame_id path labels`` (its own
spelling).
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ptv_hub.datasets.annotations import read_text
from ptv_hub.datasets.listing import Frames, Span
from ptv_hub.errors import DataError
from ptv_hub.files import atomic_write

_NAMES = ("original_vido_id", "original_video_id")


@dataclass(frozen=True, slots=True)
class Listed:
    """One video of a frame list."""

    frames: Frames
    runs: tuple[tuple[int, int, int], ...]
    """A label, and the first and last of frames in a row that have it."""

    @property
    def labels(self) -> tuple[int, ...]:
        """Of all its frames together."""
        return tuple(sorted({label for label, _, _ in self.runs}))

    def spans(self, fps: int) -> tuple[Span, ...]:
        """When labels are to be seen; half a frame of room for rounding."""
        return tuple((c, (first - 0.5) / fps, (last + 0.5) / fps) for c, first, last in self.runs)


def is_frame_list(path: Path) -> bool:
    """Whether a file's header is that of a frame list."""
    header = read_text(path).split("\n", 1)[0]
    return any(name in header for name in _NAMES)


def read_frame_list(path: Path, folder: Path) -> dict[str, Listed]:
    """Id -> the frames, below a folder, and labels; order of videos and of frames as in the file.

    Raises:
        DataError: not such a list, or labels that are no numbers.
    """
    found: dict[str, _Reading] = {}
    current: _Reading | None = None
    for line, item_id, frame, labels in _lines(path):
        reading = found.setdefault(item_id, _Reading())
        if reading is not current:
            if current is not None:
                current.compact()
            current = reading
        try:
            reading.add(frame, labels)
        except ValueError as error:
            raise DataError(
                "labels of a frame list are no numbers",
                where=f"{path}, line {line}",
                found=labels,
            ) from error
    return {item_id: reading.listed(folder) for item_id, reading in found.items()}


def _lines(path: Path) -> Iterator[tuple[int, str, str, str]]:
    """(number of the line, id, path, labels) of each line."""
    text = read_text(path)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=" ")
    columns = next(lines)
    name = next((name for name in _NAMES if name in columns), None)
    if name is None or not {"path", "labels"} <= set(columns):
        raise DataError(
            "not a frame list",
            where=path,
            expected="the header 'original_vido_id video_id frame_id path labels'",
            found=text.split("\n", 1)[0].strip()[:80],
        )
    item_id, frame, labels = (columns.index(column) for column in (name, "path", "labels"))
    for row in lines:
        if not row:
            continue
        if len(row) != len(columns):
            raise DataError(
                "a line of a frame list has another number of fields than its header",
                where=f"{path}, line {lines.line_num}",
                expected=len(columns),
                found=len(row),
            )
        yield lines.line_num, row[item_id], row[frame], row[labels]


@dataclass(slots=True)
class _Reading:
    """A video of which lines are still to come."""

    paths: list[str] = field(default_factory=list)
    packed: Frames | None = None
    """The paths in short, once lines of another video came."""
    count: int = 0
    ended: list[tuple[int, int, int]] = field(default_factory=list)
    last: dict[int, list[int]] = field(default_factory=dict)
    """Label -> the first and last frame of its latest run."""

    def add(self, path: str, labels: str) -> None:
        if self.packed is not None:  # its lines go on after another video's
            self.paths, self.packed = list(self.packed.paths()), None
        self.paths.append(path)
        for word in labels.replace('"', "").split(","):
            if word.strip():
                self._mark(int(word))
        self.count += 1

    def _mark(self, label: int) -> None:
        run = self.last.get(label)
        if run is not None and run[1] >= self.count - 1:
            run[1] = self.count
            return
        if run is not None:
            self.ended.append((label, run[0], run[1]))
        self.last[label] = [self.count, self.count]

    def compact(self) -> None:
        self.packed, self.paths = Frames.of(self.paths), []

    def listed(self, folder: Path) -> Listed:
        frames = self.packed or Frames.of(self.paths)
        open_ = [(label, first, last) for label, (first, last) in self.last.items()]
        return Listed(frames.below(folder), (*self.ended, *open_))


def write_frame_list(
    path: str | os.PathLike[str], videos: Iterable[tuple[str, Frames, Sequence[tuple[int, ...]]]]
) -> None:
    """Write ids, frames and the labels of each frame as a frame list.

    Raises:
        WriteError: it cannot be written.
    """
    with atomic_write(path) as temporary, open(temporary, "w", newline="") as file:
        file.write("original_vido_id video_id frame_id path labels\n")
        for number, (item_id, frames, labels) in enumerate(videos):
            for frame_id, (name, seen) in enumerate(zip(frames.paths(), labels, strict=True)):
                said = ",".join(map(str, seen))
                file.write(f'{item_id} {number} {frame_id} {name} "{said}"\n')
