"""The held-out videos of drawn motion, drawn where they are asked for: ``--data drawn``.

They lie in the cache folder, each as it was first drawn; ``drawn:60`` asks for the first sixty.
Ten of each class are among those, and what was measured on them can be measured again anywhere.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from ptv_hub.datasets import motion
from ptv_hub.datasets.listing import Item, Listing
from ptv_hub.errors import UsageError, WriteError
from ptv_hub.fetching.cache import drawn_folder
from ptv_hub.zoo.entry import Entry

WORD = "drawn"
COUNT = 600
"""As many of each class."""
SEED = 0


def asks_for_drawn(data: str | os.PathLike[str], entry: Entry) -> bool:
    """Whether this is no folder but the word, said of a model that knows the drawn motions."""
    word = os.fspath(data).partition(":")[0]
    return word == WORD and entry.labels == motion.CLASSES


def listing(data: str | os.PathLike[str], entry: Entry) -> Listing:
    """The held-out videos as ``drawn`` or ``drawn:N`` asks for them, drawn if they are not there.

    The classes take turns, so that the first N hold as many of each.

    Raises:
        UsageError: no number, or a number that there is not.
        WriteError: the cache folder cannot be written, or its disk is full.
    """
    count = _count(os.fspath(data))
    items = []
    for place in range(count):
        number, label = divmod(place, len(motion.CLASSES))
        name = motion.CLASSES[label]
        path = drawn_folder() / f"motion-{SEED}" / name / f"{number:04d}.avi"
        if not path.is_file():
            _draw(path, name, number)
        items.append(Item(f"{name}/{path.name}", str(path), (label,)))
    part = None if count == COUNT else f"the first {count} of {COUNT} drawn videos"
    return Listing(entry.dataset, tuple(items), (Path(WORD),), part=part)


def _count(word: str) -> int:
    match = re.fullmatch(rf"{WORD}(:(\d+))?", word)
    count = int(match[2] or COUNT) if match else 0
    if not 1 <= count <= COUNT:
        raise UsageError(
            "drawn videos are not asked for in a way that is understood",
            expected=f"'{WORD}', or '{WORD}:N' with N from 1 to {COUNT}",
            found=repr(word),
        )
    return count


def _draw(path: Path, label: str, number: int) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError.because(error, path.parent) from error
    motion.write(path, motion.video("test", label, number, seed=SEED))
