"""A run that goes on, and the list of videos that it began with.

It steps through the list that it began with, so that every video keeps its
place; those that were removed since are replaced as broken ones are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ptv_hub.datasets.listing import Item
from ptv_hub.datasets.split_list import LISTED, read_splits
from ptv_hub.errors import DataError
from ptv_hub.training.source import Source, digest_of


def as_begun(source: Source, data: str, folder: Path) -> Source:
    """The source as the run in a folder began with it: the same, or with videos removed since.

    Args:
        data: digest of the list that the run began with.

    Raises:
        DataError: other videos, or other labels, than the run began with.
    """
    if data == source.digest:
        return source
    if source.earlier is not None and digest_of(*source.earlier) == data:
        train, val = source.earlier
        return replace(source, train=train, val=val)
    then = read_splits(folder / LISTED)
    if then is None or digest_of(*then) != data:
        raise _other(folder, f"data {data}", f"data {source.digest}")
    if source.held_out:  # its split follows from the whole list
        now = {item.id: item for item in (*source.train, *source.val)}
        found = [_still(items, now) for items in then]
        strange = set(now) - {item.id for items in then for item in items}
    else:
        splits = [{item.id: item for item in items} for items in (source.train, source.val)]
        found = [_still(items, now) for items, now in zip(then, splits, strict=True)]
        strange = {
            one
            for items, now in zip(then, splits, strict=True)
            for one in set(now) - {item.id for item in items}
        }
    if strange:
        more = ", ..." if len(strange) > 3 else ""
        raise _other(
            folder,
            "the videos that it began with, or some of them",
            f"{len(strange)} new: {', '.join(sorted(strange)[:3])}{more}",
        )
    train, val = found
    gone = tuple(item.id for item in (*train, *val) if item.problem)
    if sum(not item.problem for item in train) == 0:
        raise _other(folder, "a video to train on", "all were removed")
    return replace(source, train=train, val=val, removed=gone)


def _other(folder: Path, expected: str, found: str) -> DataError:
    return DataError(
        "the output folder holds a run on other data",
        where=folder,
        expected=expected,
        found=found,
        fix="take another output folder, or --restart to overwrite this one",
    )


def _still(items: Sequence[Item], now: Mapping[str, Item]) -> tuple[Item, ...]:
    """The items of the beginning with what is known of them now; gone are those of other labels."""
    kept = []
    for item in items:
        known = now.get(item.id)
        if known is None or known.labels != item.labels:
            what = "removed from the list" if known is None else "listed with another label"
            known = replace(item, problem=f"the video was {what} since the run began")
        kept.append(known)
    return tuple(kept)
