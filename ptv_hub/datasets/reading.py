"""A folder as a data set's users have it -> its items.

``read`` finds a data set's files in a folder as its users have them, one module a data set.
What cannot be used is not skipped: an item whose annotation is wrong says so in ``problem``,
and what was odd about the files as a whole stands in ``Listing.notes``. Videos are not touched
here; whether they are there and can be decoded is found out by who reads them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from ptv_hub.datasets import charades, drawn, kinetics, ssv2
from ptv_hub.datasets.listing import Listing, Split
from ptv_hub.errors import DataError
from ptv_hub.files import expanded
from ptv_hub.zoo.entry import Entry

_READERS: dict[str, Callable[[Path, Path | None, Split, Entry], Listing]] = {
    "charades": charades.read,
    "ssv2": ssv2.read,
}
"""Every other data set is read as Kinetics is: a list of paths and labels, or a folder a class."""


def read_listing(
    entry: Entry,
    data: str | os.PathLike[str],
    *,
    videos: str | os.PathLike[str] | None = None,
    split: Split = "test",
) -> Listing:
    """The items of a data set that a model is to be run on.

    Args:
        entry: the model; its data set decides how files are read, its class names and their
            number what labels there are.
        data: the folder of the annotation files, or one of them; of Kinetics also a folder
            with a folder of videos for each class; ``drawn`` (or ``drawn:60``) draws the videos of
            a model of drawn motion.
        videos: the folder below which the videos, or folders of frames, lie; without it beside
            the annotation.
        split: ``test`` takes PySlowFast's ``test.csv`` where there is one, and else the
            validation files: the data sets have no public test labels.

    Raises:
        DataError: no annotation there, one that cannot be read, or whose class names are in
            another order than the model's.
    """
    if drawn.asks_for_drawn(data, entry):
        return drawn.listing(data, entry).checked(entry)
    folder = expanded(data)
    if not folder.exists():
        raise DataError("there is no such data folder", where=folder)
    prefix = None if videos is None else expanded(videos)
    if prefix is not None and not prefix.is_dir():
        raise DataError("there is no such folder of videos", where=prefix)
    listing = _READERS.get(entry.dataset, kinetics.read)(folder, prefix, split, entry)
    return listing.checked(entry)
