"""Which of the training videos are watched instead, and what is too little of them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from ptv_hub.datasets.listing import Item
from ptv_hub.zoo.entry import Entry

FEW = 30
"""Watched videos below which a percentage says little."""
Splits = tuple[tuple[Item, ...], tuple[Item, ...]]


def held_out(items: Sequence[Item], part: float, seed: int) -> Splits:
    """The items but for a random part of each class, and that part, both in order.

    Of a class a video is kept to train on. Of several labels an item counts for its rarest.
    """
    counts = Counter(label for item in items for label in item.labels)
    classes: dict[int, list[int]] = defaultdict(list)
    for place, item in enumerate(items):
        classes[min(item.labels, key=lambda c: (counts[c], c), default=-1)].append(place)
    wanted = _number(len(items), part)
    shares = {c: wanted * len(places) / len(items) for c, places in classes.items()}
    taken = {c: min(int(share), len(classes[c]) - 1) for c, share in shares.items()}
    # What the whole parts leave goes to the largest rests, as seats in a parliament.
    for c in sorted(shares, key=lambda c: (taken[c] - shares[c], c)):
        if sum(taken.values()) < wanted and taken[c] < len(classes[c]) - 1:
            taken[c] += 1
    out: set[int] = set()
    for c, places in classes.items():
        order = np.random.default_rng([seed, len(items), c + 1]).permutation(len(places))
        out |= {places[i] for i in order[: taken[c]]}
    return _parted(items, out)


def held_out_by_0_1(items: Sequence[Item], part: float, seed: int) -> Splits:
    """As version 0.1 held out: over all videos, whatever their classes."""
    order = np.random.default_rng([seed, len(items)]).permutation(len(items))
    return _parted(items, set(order[: _number(len(items), part)].tolist()))


def _number(count: int, part: float) -> int:
    return max(1, round(count * part)) if count > 1 else 0


def _parted(items: Sequence[Item], out: set[int]) -> Splits:
    return (
        tuple(item for i, item in enumerate(items) if i not in out),
        tuple(item for i, item in enumerate(items) if i in out),
    )


def shortfalls(
    entry: Entry, train: Sequence[Item], val: Sequence[Item], folders: Sequence[str]
) -> list[str]:
    """What there is too little of, in words.

    Args:
        folders: names of the class folders, if the data is told by such.
    """
    notes = []
    seen = {label for item in train for label in item.labels}
    never = [c for c in range(entry.num_classes) if c not in seen]
    if never:
        notes.append(
            f"{len(never)} of {entry.num_classes} classes have no video to train on and are never "
            f"learnt: {_told(entry, never)}"
        )
    filled = {item.id.split("/", 1)[0] for item in (*train, *val)}
    empty = [name for name in folders if name not in filled]
    if empty:
        more = ", ..." if empty[5:] else ""
        notes.append(f"{len(empty)} class folders hold no video: {', '.join(empty[:5])}{more}")
    if 0 < len(val) < FEW:
        notes.append(
            f"only {len(val)} videos are watched: one more or less of them right is "
            f"{100 / len(val):.0f} points"
        )
    return notes


def _told(entry: Entry, classes: Sequence[int]) -> str:
    names = [f"{c} ({entry.labels[c]})" if entry.labels else str(c) for c in classes[:5]]
    return ", ".join(names) + (", ..." if classes[5:] else "")
