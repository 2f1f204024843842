"""Clips that were cut from one video stand on one side: trained on, or watched, never both.

A model that has seen one clip of a video knows its scene, its people and its light; a clip of the
same video among those that are watched makes it look better than it is.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from ptv_hub.datasets.listing import Item
from ptv_hub.errors import DataError, UsageError

_SHOWN = 3


def sources_of(items: Sequence[Item], by: str) -> list[str]:
    """Of each item the video that it was cut from.

    Args:
        by: the name of a column of the list; or a regular expression that finds the video's name
            in an item's: its first group, or all that it finds.

    Raises:
        UsageError: neither a column nor a regular expression.
        DataError: an item has no such column, or the expression finds nothing in its name.
    """
    columns = [dict(item.columns) for item in items]
    if any(by.casefold() in told for told in columns):
        found = [told.get(by.casefold()) for told in columns]
    else:
        try:
            pattern = re.compile(by)
        except re.error as error:
            raise UsageError(
                "not what clips can be grouped by",
                expected="a column of the list, or a regular expression",
                found=f"{by!r}: {error}",
            ) from error
        matches = [pattern.search(item.id) for item in items]
        found = [None if m is None else m[1] if pattern.groups else m[0] for m in matches]
    missing = [item.id for item, source in zip(items, found, strict=True) if not source]
    if missing:
        more = ", ..." if missing[_SHOWN:] else ""
        raise DataError(
            "of some clips nothing says from which video they are",
            where=", ".join(missing[:_SHOWN]) + more,
            expected=f"{by!r} in the name of each, or as a column of the list",
            found=f"{len(missing)} of {len(items)} without",
        )
    return [source or "" for source in found]


def held_out_by_source(
    items: Sequence[Item], sources: Sequence[str], part: float, seed: int
) -> tuple[tuple[Item, ...], tuple[Item, ...]]:
    """The items but for the clips of some videos, and those clips, both in order.

    Videos are drawn class by class, as ``holdout`` draws items (a video counts for the rarest
    class of its clips), until a class has given ``part`` of its clips; the last one may be left
    out to stay nearer to it. Of every class that has two videos one is kept to train on.

    Raises:
        DataError: there are fewer than two videos.
    """
    clips: dict[str, list[int]] = defaultdict(list)
    for place, source in enumerate(sources):
        clips[source].append(place)
    if len(clips) < 2:
        raise DataError(
            "all clips are of one video: none can be held out",
            expected="clips of two videos or more",
            found=next(iter(clips), "no clip"),
        )
    counts = Counter(label for item in items for label in item.labels)
    classes: dict[int, list[str]] = defaultdict(list)
    for source, places in clips.items():
        labels = {label for place in places for label in items[place].labels}
        classes[min(labels, key=lambda c: (counts[c], c), default=-1)].append(source)
    out: set[str] = set()
    for c, names in sorted(classes.items()):
        order = np.random.default_rng([seed, len(items), c + 1]).permutation(len(names))
        out |= _taken([names[i] for i in order], clips, part)
    if not out:  # every class has one video alone
        out = {min(clips, key=lambda name: (len(clips[name]), name))}
    return (
        tuple(item for item, source in zip(items, sources, strict=True) if source not in out),
        tuple(item for item, source in zip(items, sources, strict=True) if source in out),
    )


def _taken(names: Sequence[str], clips: dict[str, list[int]], part: float) -> set[str]:
    """Videos of one class, in their order, with about a part of its clips; never all of them."""
    wanted = part * sum(len(clips[name]) for name in names)
    taken: set[str] = set()
    have = 0
    for name in names[:-1]:
        # Nearer with it than without it.
        if abs(have + len(clips[name]) - wanted) < abs(have - wanted):
            taken.add(name)
            have += len(clips[name])
    return taken


def refuse_shared(train: Sequence[Item], val: Sequence[Item], by: str) -> None:
    """That no video has clips in both of the splits that the data has.

    Raises:
        DataError: one has. Else as ``sources_of``.
    """
    sources = sources_of((*train, *val), by)
    both = sorted(set(sources[: len(train)]) & set(sources[len(train) :]))
    if both:
        more = ", ..." if both[_SHOWN:] else ""
        raise DataError(
            "videos have clips among those to train on and among those to watch",
            where=", ".join(both[:_SHOWN]) + more,
            expected="each video on one side",
            found=f"{len(both)} on both",
            fix="move their clips to one side, or leave the val split away and hold out",
        )
