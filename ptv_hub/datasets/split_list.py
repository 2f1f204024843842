"""``videos.csv``: the list of videos that a training run began with, beside its checkpoints."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from ptv_hub.datasets.listing import Item
from ptv_hub.errors import DataError
from ptv_hub.files import atomic_write

LISTED = "videos.csv"
_COLUMNS = ("split", "id", "labels")


def write_splits(path: Path, train: Sequence[Item], val: Sequence[Item]) -> None:
    """Write both splits, an item a line. Raises WriteError."""
    with (
        atomic_write(path) as temporary,
        open(temporary, "w", encoding="utf-8", newline="") as file,
    ):
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(_COLUMNS)
        for split, items in (("train", train), ("val", val)):
            rows.writerows((split, item.id, " ".join(map(str, item.labels))) for item in items)


def read_splits(path: Path) -> tuple[tuple[Item, ...], tuple[Item, ...]] | None:
    """Both splits, of items without their videos; ``None`` where there is no such file.

    Raises:
        DataError: the file is no such list.
    """
    if not path.is_file():
        return None
    splits: dict[str, list[Item]] = {"train": [], "val": []}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                labels = tuple(int(label) for label in row["labels"].split())
                splits[row["split"]].append(Item(row["id"], "", labels))
    except (OSError, KeyError, ValueError, AttributeError, csv.Error) as error:
        raise DataError("a run's list of videos cannot be read", where=path, found=error) from error
    return tuple(splits["train"]), tuple(splits["val"])
