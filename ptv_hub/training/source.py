"""What a run trains on: items of both splits and class names, all looked at before it begins."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torch.utils.data import DataLoader, Dataset

from ptv_hub.datasets.annotations import read_text
from ptv_hub.datasets.check import Depth, fault
from ptv_hub.datasets.decoding import Failure
from ptv_hub.datasets.listing import Item, Listing, Split
from ptv_hub.datasets.reading import read_listing
from ptv_hub.errors import AnnotationMissing, DataError, UsageError
from ptv_hub.files import expanded
from ptv_hub.training.grouping import held_out_by_source, refuse_shared, sources_of
from ptv_hub.training.holdout import held_out, held_out_by_0_1, shortfalls
from ptv_hub.zoo.entry import Entry
from ptv_hub.zoo.input_spec import FrameSampling, InputSpec

Check = Literal["full", "open", "none"]
"""How videos are looked at before a run: decoded to the end, only opened, or not."""
_DEPTHS: dict[Check, Depth] = {"full": "ends", "open": "open"}


@dataclass(frozen=True)
class Source:
    """The data of one run."""

    entry: Entry
    """The model, with the number and names of the data's classes."""
    train: tuple[Item, ...]
    val: tuple[Item, ...]
    """Empty where the data has no such split and none was held out."""
    by_frame: bool = False
    """Whether a sample is marked with what its own frames show, and not with all that its video
    shows (Charades)."""
    notes: tuple[str, ...] = ()
    held_out: bool = False
    """Whether ``val`` is a part of the training videos."""
    earlier: tuple[tuple[Item, ...], tuple[Item, ...]] | None = None
    """Both splits as version 0.1 held videos out: a run that it began goes on with these."""
    removed: tuple[str, ...] = ()
    """Videos that a run began with and that are no longer listed."""

    @property
    def num_marks(self) -> int | None:
        """How many classes a sample marks any number of; ``None`` where it has one label."""
        several = self.entry.protocol.metric == "mean_average_precision"
        return self.entry.num_classes if several else None

    @property
    def watched(self) -> list[Item]:
        """What a look is over: those of ``val`` that are still there."""
        return [item for item in self.val if not item.problem]

    @property
    def digest(self) -> str:
        """sha256 over ids and labels of both splits in order: a resumed run must find the same."""
        return digest_of(self.train, self.val)


def digest_of(train: Sequence[Item], val: Sequence[Item]) -> str:
    """sha256 over ids and labels of two splits in order."""
    rows = "\n".join(f"{item.id}\t{item.labels}" for item in (*train, *val))
    return hashlib.sha256(f"{len(train)}\n{rows}".encode()).hexdigest()


def read_source(
    entry: Entry,
    data: str | Path,
    *,
    videos: str | Path | None = None,
    num_classes: int | Literal["auto"] | None = None,
    labels: Path | None = None,
    holdout: float = 0.1,
    seed: int = 0,
    group_by: str | None = None,
) -> Source:
    """The items to train on and to watch, with every label checked.

    Args:
        entry: the model; an SSv2 or Charades entry reads those data sets where they are.
        data: a folder with a folder of videos for each class (or ``train/`` and ``val/`` of
            such), or the annotation of a data set (``read_listing``), or a list of paths
            and labels.
        num_classes: ``"auto"`` counts the class folders, or the labels of a list; ``None``
            is as many as the entry has.
        labels: a text file of class names, one a line, in index order.
        holdout: the part of the training videos that is watched where there is no ``val``.
        group_by: a column of the list, or a regular expression over the clips' names, that says
            from which video each is: no video is to stand on both sides (``grouping``).

    Raises:
        DataError: nothing there, a label out of range, another number of classes, or a video with
            clips in both splits.
    """
    data = expanded(data)
    if not data.exists():
        raise DataError("there is no such data folder", where=data)
    if seed < 0:
        raise UsageError("a seed is 0 or more", found=seed)
    if not 0 <= holdout < 1:
        raise UsageError("a part to hold out is from 0 to under 1", found=holdout)
    entry = _with_classes(entry, data, num_classes, labels)
    train = _usable(read_listing(entry, data, videos=videos, split="train"), entry)
    notes = list(train.notes)
    val = _val(entry, data, videos, train)
    train_items, val_items = train.items, val.items if val else ()
    earlier = None
    held = not val and holdout > 0
    if group_by is not None and val:
        refuse_shared(train_items, val_items, group_by)
    if held and group_by is not None:
        sources = sources_of(train.items, group_by)
        train_items, val_items = held_out_by_source(train.items, sources, holdout, seed)
        told = f"{len(set(sources))} videos that they are of"
        notes.append(f"{len(val_items)} of {len(train.items)} clips are held out, by the {told}")
    elif held:
        train_items, val_items = held_out(train.items, holdout, seed)
        earlier = held_out_by_0_1(train.items, holdout, seed)
        notes.append(f"{len(val_items)} of {len(train.items)} videos are held out to watch")
    notes += shortfalls(entry, train_items, val_items, _class_folders(data))
    by_frame = isinstance(entry.input.sampling, FrameSampling) and train.dataset == "charades"
    if by_frame:
        _check_times(train)
    return Source(entry, train_items, val_items, by_frame, tuple(notes), held, earlier)


def _check_times(train: Listing) -> None:
    """That the annotation says of every label when it is to be seen."""
    for item in train.items:
        untimed = set(item.labels) - {label for label, _, _ in item.spans}
        if untimed:
            raise DataError(
                "an action of the annotation is not understood",
                where=f"{', '.join(map(str, train.files))}, {item.id}",
                expected="a class and two times, as in 'c092 11.90 21.20'",
                found=f"class {min(untimed)} without times",
            )


def _with_classes(
    entry: Entry, data: Path, num_classes: int | Literal["auto"] | None, labels: Path | None
) -> Entry:
    """The entry with the classes of the data."""
    folders = _class_folders(data)
    names: tuple[str, ...] = ()
    if labels is not None:
        names = tuple(line.strip() for line in read_text(labels).splitlines() if line.strip())
    elif folders:
        names = folders
        if num_classes is None and len(names) == entry.num_classes == len(entry.labels):
            return entry
    count = num_classes if isinstance(num_classes, int) else entry.num_classes
    if num_classes == "auto":
        count = len(names) or _highest_label(entry, data) + 1
    if names and len(names) != count:
        raise DataError(
            f"there are {len(names)} classes in the data, not {count}",
            where=labels or data,
            expected=f"{count} classes",
            found=", ".join(names[:8]) + (", ..." if len(names) > 8 else ""),
            fix="--num-classes auto takes as many as there are",
        )
    if count < 1:
        raise UsageError("a model needs a class", expected="1 or more", found=count)
    if not names and count == entry.num_classes:
        return entry
    own = "custom" if folders or count != entry.num_classes else entry.dataset
    return entry.model_copy(update={"num_classes": count, "labels": names, "dataset": own})


def _class_folders(data: Path) -> tuple[str, ...]:
    """Names of the class folders, sorted; none where the data is told by files."""
    if not data.is_dir() or any(data.glob("*.csv")) or any(data.glob("*.json")):
        return ()
    return folders_of(data, "train")


def folders_of(data: Path, split: Split) -> tuple[str, ...]:
    """Names of the folders in that of a split, or in the data's own where there is none; sorted."""
    root = data / split if (data / split).is_dir() else data
    return tuple(sorted(path.name for path in root.iterdir() if path.is_dir()))


def _highest_label(entry: Entry, data: Path) -> int:
    """Of a list of paths and numbers."""
    any_label = entry.model_copy(update={"num_classes": 1_000_000, "labels": ()})
    listing = read_listing(any_label, data, split="train")
    return max(label for item in listing.items for label in item.labels)


def _usable(listing: Listing, entry: Entry) -> Listing:
    return listing.labelled(f"labels from 0 to {entry.num_classes - 1}")


def _val(entry: Entry, data: Path, videos: str | Path | None, train: Listing) -> Listing | None:
    if data.is_file():
        return None
    try:
        val = read_listing(entry, data, videos=videos, split="val")
        if val.files == train.files and (data / "test").is_dir():
            val = read_listing(entry, data, videos=videos, split="test")
    except AnnotationMissing:
        return None
    return None if val.files == train.files else _usable(val, entry)


class _Looks(Dataset[Failure | None]):
    def __init__(self, items: Sequence[Item], spec: InputSpec, depth: Depth) -> None:
        self._items, self._spec, self._depth = items, spec, depth

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> Failure | None:
        failure, _ = fault(self._items[index], self._spec, None, self._depth)
        return failure


def check_videos(
    items: Sequence[Item],
    spec: InputSpec,
    how: Check,
    *,
    workers: int = 0,
    progress: Callable[[int, int], None] | None = None,
    skip_broken: bool = False,
) -> list[tuple[Item, Failure]]:
    """Look at every video before a run begins; those that cannot be used, if that is allowed.

    ``full`` decodes each to its end, ``open`` its first frame; ``progress(done, all)`` is
    called after each.

    Raises:
        DataError: some cannot be used, or with ``skip_broken`` none can; the error names the
            first of them and what is wrong.
    """
    items = [item for item in items if not item.problem]  # removed since the run began
    if how == "none":
        return []
    looks = _Looks(items, spec, _DEPTHS[how])
    loader: DataLoader[Failure | None] = DataLoader(looks, batch_size=None, num_workers=workers)
    broken: list[tuple[Item, Failure]] = []
    for index, failure in enumerate(loader):
        if failure is not None:
            broken.append((items[index], failure))
        if progress is not None:
            progress(index + 1, len(items))
    if broken and not (skip_broken and len(broken) < len(items)):
        raise DataError(
            f"{len(broken)} of {len(items)} videos cannot be used",
            where="; ".join(item.id for item, _ in broken[:5]) + ("; ..." if broken[5:] else ""),
            found=broken[0][1].error.replace("\n", ";"),
            fix="repair or remove them, or let others take their place: --skip-broken; nothing "
            "was trained",
        )
    return broken
