"""What every reader gives: items, and the listing that holds them."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import io
import json
import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ptv_hub.errors import DataError
from ptv_hub.zoo.entry import Entry

Split = Literal["train", "val", "test"]


@dataclass(frozen=True, slots=True)
class Frames:
    """The frames of one video, as a frame list names them, in its order.

    Lists of a data set name millions of files, nearly always numbered without a gap, so
    that a beginning, an end and a count say them all.
    """

    stem: str
    """What stands before the number, folder included."""
    suffix: str
    """What stands behind it."""
    first: int
    count: int
    digits: int
    names: tuple[str, ...] = ()
    """The paths themselves where they are not numbered so."""

    @classmethod
    def of(cls, paths: Sequence[str]) -> Frames:
        """The most compact record of these paths."""
        match = re.fullmatch(r"(.*?)(\d+)(\D*)", paths[0]) if paths else None
        if match:
            stem, number, suffix = match.groups()
            frames = cls(stem, suffix, int(number), len(paths), len(number))
            if all(a == b for a, b in zip(frames.paths(), paths, strict=True)):
                return frames
        return cls("", "", 0, len(paths), 0, tuple(paths))

    def paths(self) -> Iterator[str]:
        if self.names:
            yield from self.names
            return
        for number in range(self.first, self.first + self.count):
            yield f"{self.stem}{number:0{self.digits}d}{self.suffix}"

    def below(self, folder: Path) -> Frames:
        """The same frames under a folder; absolute paths stay as they are."""
        if self.names:
            return dataclasses.replace(self, names=tuple(str(folder / name) for name in self.names))
        head, slash, tail = self.stem.rpartition("/")
        if not head and slash:  # a file of the root folder
            return self
        return dataclasses.replace(self, stem=f"{folder / head}/{tail}")


@dataclass(frozen=True, slots=True)
class Item:
    """One video of a data set."""

    id: str
    """Its name in the annotation; no two items of a listing share one."""
    video: str | Frames
    """A video file, a folder of frames, or the frames that a list names."""
    labels: tuple[int, ...]
    """Class indices, rising; of Kinetics and SSv2 exactly one, of Charades any number."""
    problem: str | None = None
    """Why it cannot be scored, as far as the annotation tells; no labels are given then."""

    @property
    def source(self) -> str | tuple[str, ...]:
        """What ``video.open_video`` takes."""
        return tuple(self.video.paths()) if isinstance(self.video, Frames) else self.video


@dataclass(frozen=True)
class Listing:
    """The items of one split of a data set, in the annotation's order."""

    dataset: str
    items: tuple[Item, ...]
    files: tuple[Path, ...]
    """The annotation files that were read."""
    notes: tuple[str, ...] = ()
    """What was odd about them, in words."""
    part: str | None = None
    """Which part of the annotation this is, in words, where it is not all of it."""

    @property
    def digest(self) -> str:
        """sha256 over ids, labels and problems in order: the same wherever the videos lie."""
        rows = [[item.id, item.labels, item.problem] for item in self.items]
        return hashlib.sha256(json.dumps(rows, separators=(",", ":")).encode()).hexdigest()

    def head(self, count: int) -> Listing:
        """The first ``count`` items."""
        if count >= len(self.items):
            return self
        part = f"the first {count} of {len(self.items)} videos, not a random sample"
        return dataclasses.replace(self, items=self.items[:count], part=part)

    def sample(self, count: int, seed: int = 0) -> Listing:
        """``count`` items drawn at random, in the annotation's order; one seed, one sample."""
        if count >= len(self.items):
            return self
        chosen = sorted(random.Random(seed).sample(range(len(self.items)), count))
        part = f"a random sample of {count} of {len(self.items)} videos (seed {seed})"
        return dataclasses.replace(self, items=tuple(self.items[i] for i in chosen), part=part)

    def checked(self, entry: Entry) -> Listing:
        """The listing with every item either usable for the model or with its problem said.

        Raises:
            DataError: no item, none that can be used, or labels that count from one.
        """
        where = ", ".join(map(str, self.files))
        if not self.items:
            raise DataError("no video in the annotation", where=where)
        items, notes = _unique(self.items)
        used = Counter(label for item in items for label in item.labels)
        if used and min(used) == 1 and len(used) == entry.num_classes == max(used):
            raise DataError(
                "the labels count from 1",
                where=where,
                expected=f"0 to {entry.num_classes - 1}",
                found=f"1 to {max(used)}",
                fix="subtract 1 from each label of the list",
            )
        single = entry.protocol.metric == "top1"
        items = [_in_range(item, entry.num_classes, single) for item in items]
        strange = [item for item in items if item.problem and item.problem.startswith("label ")]
        if strange:
            notes.append(
                f"{len(strange)} videos have a label outside 0 to {entry.num_classes - 1} "
                f"(the first: {strange[0].id}); is this the annotation of another data set, "
                "or do its labels count from 1?"
            )
        if all(item.problem for item in items):
            raise DataError(
                "no video of the annotation can be used",
                where=where,
                expected=f"labels of {entry.name}, 0 to {entry.num_classes - 1}",
                found=items[0].problem,
            )
        return dataclasses.replace(
            self, items=tuple(items), notes=tuple(dict.fromkeys((*self.notes, *notes)))
        )


def _unique(items: Iterable[Item]) -> tuple[list[Item], list[str]]:
    """Each id once. Said twice alike it counts once; with two answers it cannot be scored."""
    first: dict[str, Item] = {}
    again, torn = 0, set()
    for item in items:
        known = first.setdefault(item.id, item)
        if known is item:
            continue
        if known.labels == item.labels and known.problem == item.problem:
            again += 1
        else:
            torn.add(item.id)
            known_labels, labels = (_said(i) for i in (known, item))
            problem = f"listed with two labels: {known_labels} and {labels}"
            first[item.id] = dataclasses.replace(known, labels=(), problem=problem)
    notes = [f"{again} lines repeat an earlier one; each video counts once"] if again else []
    if torn:
        notes.append(
            f"{len(torn)} videos are listed with two labels: {', '.join(sorted(torn)[:3])}"
        )
    return list(first.values()), notes


def _said(item: Item) -> str:
    return ", ".join(map(str, item.labels)) or item.problem or "none"


def _in_range(item: Item, num_classes: int, single: bool) -> Item:
    wrong = [label for label in item.labels if not 0 <= label < num_classes]
    problem = item.problem
    if wrong:
        problem = f"label {wrong[0]} is outside 0 to {num_classes - 1}"
    elif single and problem is None and len(item.labels) != 1:
        problem = f"{len(item.labels)} labels, expected one"
    return dataclasses.replace(item, labels=(), problem=problem) if problem else item


def fold(name: str) -> str:
    """A class name without what spellings differ in: case, underscores, quotes, brackets."""
    return re.sub(r"[\s_]+", " ", re.sub(r"[\[\]\"']", "", name)).strip().casefold()


def check_names(names: dict[int, str], entry: Entry, where: Path) -> None:
    """That an annotation's class names stand at the model's indices.

    Raises:
        DataError: another name, or another number of them.
    """
    if not entry.labels:
        return
    wrong = [
        (index, name)
        for index, name in sorted(names.items())
        if not 0 <= index < len(entry.labels) or fold(name) != fold(entry.labels[index])
    ]
    if wrong or len(names) != len(entry.labels):
        index, name = wrong[0] if wrong else (len(names), "nothing")
        mine = entry.labels[index] if 0 <= index < len(entry.labels) else "nothing"
        raise DataError(
            f"the class names are not in the order of {entry.name}",
            where=where,
            expected=f"{len(entry.labels)} classes, {index}: {mine}",
            found=f"{len(names)} classes, {index}: {name}",
            fix="take the data set's own file; scores would be counted for the wrong classes",
        )


def read_text(path: Path) -> str:
    """The text of an annotation file, with or without a BOM, lines ended in any way.

    Raises:
        DataError: it cannot be read, is empty, or is not UTF-8.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError("an annotation file is not UTF-8", where=path, found=error) from error
    except OSError as error:
        raise DataError(
            "an annotation file cannot be read", where=path, found=error.strerror or error
        ) from error
    if not text.strip():
        raise DataError("an annotation file is empty", where=path)
    return text


def read_json(path: Path) -> Any:
    """What a JSON file holds. Raises DataError."""
    try:
        return json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise DataError("an annotation file is not JSON", where=path, found=error) from error


def read_rows(path: Path, delimiter: str, columns: Sequence[str]) -> list[dict[str, str]]:
    """The rows of a CSV file with a header.

    Raises:
        DataError: a column that is not there, or a row with fewer or more fields.
    """
    reader = csv.DictReader(io.StringIO(read_text(path), newline=""), delimiter=delimiter)
    missing = [column for column in columns if column not in (reader.fieldnames or ())]
    if missing:
        raise DataError(
            "an annotation file lacks columns",
            where=path,
            expected=", ".join(columns),
            found=", ".join(reader.fieldnames or ()) or "nothing",
        )
    rows = []
    for row in reader:
        if None in row or None in row.values():
            raise DataError(
                "a line of an annotation file has another number of fields than its header",
                where=f"{path}, line {reader.line_num}",
                expected=len(reader.fieldnames or ()),
            )
        rows.append(row)
    return rows


def find(folder: Path, patterns: Iterable[str]) -> Path | None:
    """The first file of a folder that matches, by the order of the patterns."""
    for pattern in patterns:
        found = sorted(path for path in folder.glob(pattern) if path.is_file())
        if found:
            return found[0]
    return None


class Media:
    """Where the video of an id lies: a folder of frames, or a file with any of its suffixes."""

    def __init__(self, folders: Iterable[Path], suffixes: Sequence[str]) -> None:
        self._suffixes = suffixes
        self._folders = [folder for folder in folders if folder.is_dir()]
        # One look into each folder; asking for 25,000 names one by one takes minutes on a
        # network drive.
        self._names = {folder: {e.name for e in folder.iterdir()} for folder in self._folders}

    def path(self, item_id: str) -> str:
        """Where it lies, or where it was looked for first."""
        for folder, names in self._names.items():
            for suffix in ("", *self._suffixes):
                if item_id + suffix in names:
                    return str(folder / (item_id + suffix))
        return str(self._folders[0] / (item_id + self._suffixes[0]))


def read_frame_list(path: Path, folder: Path) -> dict[str, tuple[Frames, tuple[int, ...]]]:
    """Id -> frames and labels (of all its frames together) of a PySlowFast frame list.

    Blank-separated, with the header ``original_vido_id video_id frame_id path labels`` (its
    own spelling); order of videos and of frames as in the file.

    Raises:
        DataError: not such a list, or labels that are no numbers.
    """
    paths: dict[str, list[str]] = {}
    labels: dict[str, set[int]] = {}
    frames: dict[str, Frames] = {}
    text = read_text(path)
    header = text.split("\n", 1)[0]
    name = "original_video_id" if "original_video_id" in header else "original_vido_id"
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=" ")
    columns = next(lines)
    if not {name, "path", "labels"} <= set(columns):
        raise DataError(
            "not a frame list",
            where=path,
            expected="the header 'original_vido_id video_id frame_id path labels'",
            found=header.strip()[:80],
        )
    places = [columns.index(column) for column in (name, "path", "labels")]
    current: str | None = None
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
        item_id, frame, said = (row[place] for place in places)
        if item_id != current:
            if current is not None:
                _pack(paths, frames, current)
            if item_id in frames:  # its lines go on after another video's
                paths[item_id] = list(frames.pop(item_id).paths())
            current = item_id
        paths.setdefault(item_id, []).append(frame)
        known = labels.setdefault(item_id, set())
        try:
            known.update(int(label) for label in said.replace('"', "").split(",") if label.strip())
        except ValueError as error:
            raise DataError(
                "labels of a frame list are no numbers",
                where=f"{path}, line {lines.line_num}",
                found=said,
            ) from error
    if current is not None:
        _pack(paths, frames, current)
    return {i: (frames[i].below(folder), tuple(sorted(labels[i]))) for i in labels}


def _pack(paths: dict[str, list[str]], frames: dict[str, Frames], item_id: str) -> None:
    frames[item_id] = Frames.of(paths.pop(item_id))
