"""What every reader gives: items, and the listing that holds them."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ptv_hub.errors import DataError
from ptv_hub.zoo.entry import Entry

Split = Literal["train", "val", "test"]
_ROUNDING = 1e-6  # frames: what times in seconds may be off


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


Span = tuple[int, float, float]
"""A class, and the first and last second at which it is to be seen."""


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
    spans: tuple[Span, ...] = ()
    """When its labels are to be seen, where the annotation says so (Charades)."""
    columns: tuple[tuple[str, str], ...] = ()
    """What its line of a table says, by the names of the columns, where they have names."""

    def labels_at(self, seconds: Iterable[float]) -> tuple[int, ...]:
        """The classes to be seen at any of these times, rising."""
        return tuple(sorted({c for c, a, b in self.spans for t in seconds if a <= t <= b}))

    def labels_of_frames(self, count: int, fps: int) -> list[tuple[int, ...]]:
        """Of each of ``count`` frames at ``fps``, the classes to be seen; else all of the video.

        A class whose time no frame falls into stands at the nearest one: the video keeps it.
        """
        if not self.spans:
            return [self.labels] * count
        seen: list[set[int]] = [set() for _ in range(count)]
        for label, begin, end in self.spans:
            first = min(math.ceil(begin * fps - _ROUNDING), count - 1)
            last = max(math.floor(end * fps + _ROUNDING), first)
            for frame in range(max(first, 0), min(last, count - 1) + 1):
                seen[frame].add(label)
        return [tuple(sorted(labels)) for labels in seen]

    @property
    def source(self) -> str | tuple[str, ...]:
        """What ``video.open_video`` takes."""
        return tuple(self.video.paths()) if isinstance(self.video, Frames) else self.video

    @property
    def shown(self) -> str:
        """The video, for whoever reads of it."""
        return f"{self.video.count} images" if isinstance(self.video, Frames) else self.video


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
    whole: Listing | None = None
    """What it is a part of."""
    random: bool = False
    """Whether the part was drawn at random."""

    @property
    def digest(self) -> str:
        """sha256 over ids, labels and problems in order: the same wherever the videos lie."""
        rows = [[item.id, item.labels, item.problem] for item in self.items]
        return hashlib.sha256(json.dumps(rows, separators=(",", ":")).encode()).hexdigest()

    def labelled(self, expected: str, *, fix: str | None = None) -> Listing:
        """This listing, if all its videos have labels that can be used.

        Raises:
            DataError: some have none; it says what was ``expected``, and what to do.
        """
        wrong = [item for item in self.items if item.problem]
        if wrong:
            raise DataError(
                f"{len(wrong)} of {len(self.items)} videos have no label that can be used",
                where=", ".join(map(str, self.files)),
                expected=expected,
                found="; ".join(f"{item.id}: {item.problem}" for item in wrong[:3]),
                fix=fix,
            )
        return self

    def head(self, count: int) -> Listing:
        """The first ``count`` items."""
        if count >= len(self.items):
            return self
        part = f"the first {count} of {len(self.items)} videos, not a random sample"
        return dataclasses.replace(
            self, items=self.items[:count], part=part, whole=self.whole or self, random=False
        )

    def sample(self, count: int, seed: int = 0) -> Listing:
        """``count`` items drawn at random, in the annotation's order; one seed, one sample."""
        if count >= len(self.items):
            return self
        chosen = sorted(random.Random(seed).sample(range(len(self.items)), count))
        part = f"a random sample of {count} of {len(self.items)} videos (seed {seed})"
        return dataclasses.replace(
            self,
            items=tuple(self.items[i] for i in chosen),
            part=part,
            whole=self.whole or self,
            random=self.whole is None or self.random,
        )

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
        strange = [item for item in items if _strange(item, entry.num_classes)]
        items = [_in_range(item, entry.num_classes, single) for item in items]
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
                fix="labels of classes of your own are numbers from 0; their names come from a "
                "folder for each class, or in training from --labels FILE",
            )
        return dataclasses.replace(
            self, items=tuple(items), notes=tuple(dict.fromkeys((*self.notes, *notes)))
        )


def _unique(items: Iterable[Item]) -> tuple[list[Item], list[str]]:
    """Each id once. Said twice alike it counts once; with two answers it cannot be scored."""
    first: dict[str, Item] = {}
    again, torn = 0, set()
    for item in items:
        known = first.setdefault(os.path.normpath(item.id), item)
        if known is item:
            continue
        if known.labels == item.labels and known.problem == item.problem:
            again += 1
        else:
            torn.add(known.id)
            known_labels, labels = (_said(i) for i in (known, item))
            problem = f"listed with two labels: {known_labels} and {labels}"
            first[os.path.normpath(item.id)] = dataclasses.replace(
                known, labels=(), spans=(), problem=problem
            )
    notes = [f"{again} lines repeat an earlier one; each video counts once"] if again else []
    if torn:
        notes.append(
            f"{len(torn)} videos are listed with two labels: {', '.join(sorted(torn)[:3])}"
        )
    return list(first.values()), notes


def _said(item: Item) -> str:
    return ", ".join(map(str, item.labels)) or item.problem or "none"


def _strange(item: Item, num_classes: int) -> list[int]:
    """The labels that are no class of the model."""
    return [label for label in item.labels if not 0 <= label < num_classes]


def _in_range(item: Item, num_classes: int, single: bool) -> Item:
    wrong = _strange(item, num_classes)
    problem = item.problem
    if wrong:
        problem = f"label {wrong[0]} is outside 0 to {num_classes - 1}"
    elif single and problem is None and len(item.labels) != 1:
        problem = f"{len(item.labels)} labels, expected one"
    return dataclasses.replace(item, labels=(), spans=(), problem=problem) if problem else item
