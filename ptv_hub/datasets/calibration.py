"""Videos of one's own -> the views that a quantized model is calibrated on, and held out ones.

Any videos like those that the model will see: a folder of them, a list, or the training list of
a data set. No label is looked at.
"""

from __future__ import annotations

import hashlib
import logging
import os
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from torch import Tensor

from ptv_hub.datasets.reading import read_listing
from ptv_hub.engines.calibrated import Calibration
from ptv_hub.errors import DataError, UsageError, VideoError
from ptv_hub.files import expanded
from ptv_hub.inference.finding import Found, find
from ptv_hub.inference.video import has_no_rate, open_video
from ptv_hub.inference.viewing import ProtocolViews
from ptv_hub.inference.views import ViewPlan
from ptv_hub.zoo.entry import Entry

VIEWS = 64
HELD_OUT = 2
"""Times as many views are compared on: of 128, one that flips is under one percent."""
_FEW = 3
"""Videos, from which on no video serves both."""

log = logging.getLogger("ptv_hub")


@dataclass(frozen=True)
class Videos:
    """``CalibrationViews`` of videos; which views is drawn from the seed, and always the same."""

    entry: Entry
    source: str
    found: tuple[Found, ...]
    views: int = VIEWS
    seed: int = 0

    @cached_property
    def record(self) -> Calibration:
        first, others = self._parts
        files = "\n".join(f"{one.key} {one.quick()}" for one in self._drawn)
        told = f"{files}\n{self.views} {self.seed} {self.entry.input} {self.entry.protocol}"
        return Calibration(
            source=self.source,
            videos=len(self.found),
            views=self.views,
            held_out_views=HELD_OUT * self.views,
            held_out_videos=len(others) if first != others else 0,
            seed=self.seed,
            digest=hashlib.sha256(told.encode()).hexdigest(),
        )

    def calibrating(self) -> Iterator[Tensor]:
        """Of each view (3, T, S, S). Raises DataError: no video can be decoded."""
        return self._of(self._parts[0], self.views, last=False)

    def held_out(self) -> Iterator[Tensor]:
        """As ``calibrating``, of other videos; of one or two, other views of the same."""
        return self._of(self._parts[1], HELD_OUT * self.views, last=True)

    @cached_property
    def _drawn(self) -> tuple[Found, ...]:
        """As many videos as there can be views, in the seed's order."""
        videos = list(self.found)
        random.Random(self.seed).shuffle(videos)
        return tuple(videos[: (1 + HELD_OUT) * self.views])

    @property
    def _parts(self) -> tuple[tuple[Found, ...], tuple[Found, ...]]:
        if len(self._drawn) < _FEW:
            return self._drawn, self._drawn
        first = max(1, len(self._drawn) // (1 + HELD_OUT))
        return self._drawn[:first], self._drawn[first:]

    def _of(self, videos: Sequence[Found], count: int, *, last: bool) -> Iterator[Tensor]:
        each, left = -(-count // len(videos)), count
        for video in videos:
            try:
                for view in self._views(video, min(each, left), last):
                    left -= 1
                    yield view
            except VideoError as error:
                log.warning("left out of calibrating: %s", error)
        if left == count:
            raise DataError("no video to calibrate on can be decoded", where=self.source)

    def _views(self, video: Found, count: int, last: bool) -> Iterator[Tensor]:
        """``count`` of a video's views, drawn from the seed and its name, each decoded alone."""
        viewing = ProtocolViews(self.entry.input, self.entry.protocol)
        source = video.source
        fps = 30.0 if has_no_rate(source) else None
        with open_video(source, fps=fps) as opened:
            plan = viewing.plan(opened.timestamps)
            numbers = list(range(plan.num_views))
            random.Random(f"{self.seed} {video.stem}").shuffle(numbers)
            if len(self._drawn) < _FEW:  # a video serves both, each with views of its own
                share = -(-len(numbers) // (1 + HELD_OUT))
                numbers = numbers[share:] if last else numbers[:share]
            for number in numbers[:count]:
                clip, crop = divmod(number, plan.num_crops)
                one = ViewPlan((plan.clips[clip],), plan.num_crops)
                for clip_views in viewing.views(opened, one):
                    yield clip_views.views[crop].contiguous()


def calibration(
    entry: Entry,
    source: str | os.PathLike[str],
    *,
    views: int = VIEWS,
    seed: int = 0,
) -> Videos:
    """The views that a model is calibrated on in int8, and those held out.

    Args:
        entry: the model.
        source: a folder of videos; a file with a video a line; or a data set's training list (a
            folder with ``train.csv``, or a list of paths and labels).
        views: to calibrate on; twice as many are compared on.
        seed: which videos, and which of their views.

    Raises:
        UsageError: no views, or nothing there.
        DataError: no video in it.
    """
    if views < 1 or seed < 0:
        raise UsageError("views and a seed count", expected="1 or more, 0 or more", found=views)
    path = expanded(source)
    if not path.exists():
        raise UsageError("there is nothing to calibrate on", where=source)
    found = _training(entry, path) if _is_list(path) else _plain(path)
    if not found:
        raise DataError("no video to calibrate on", where=source)
    return Videos(entry, os.fspath(source), tuple(found), views, seed)


def of_training_list(
    entry: Entry, data: Path, videos: Path | None, *, views: int = VIEWS, seed: int = 0
) -> Videos:
    """As ``calibration``, on the training list of the data set that a config names.

    Raises:
        DataError: there is none.
    """
    found = _training(entry, data, videos)
    return Videos(entry, f"the training list of {data}", tuple(found), views, seed)


def _is_list(path: Path) -> bool:
    """Whether it is a data set's list: of paths and labels, or a folder with one."""
    if path.is_dir():
        return (path / "train.csv").is_file()
    try:
        with open(path, encoding="utf-8") as file:
            words = file.readline().replace(",", " ").split()
    except (OSError, UnicodeDecodeError):
        return False
    return len(words) > 1 and words[-1].isdecimal()


def _training(entry: Entry, path: Path, videos: Path | None = None) -> list[Found]:
    listing = read_listing(entry, path, videos=videos, split="train")
    return [Found(item.source, item.id) for item in listing.items if not item.problem]


def _plain(path: Path) -> list[Found]:
    if path.is_dir():
        try:
            return find(str(path))
        except VideoError as error:
            raise DataError("no video to calibrate on", where=path, found=error.what) from error
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError("a list of videos cannot be read", where=path, found=error) from error
    return [one for line in lines if line.strip() for one in find(line.strip())]
